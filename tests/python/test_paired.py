"""The comparison of sampled with full training: its arithmetic, and a run of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from slide_rs import Network, datasets, layers, samplers

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))
import paired  # noqa: E402


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / "paired.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_difference_has_the_standard_error_of_the_mean() -> None:
    # Deviations -1, 0 and 1: a variance of 2 / (3 - 1), and of 1 / 3 for the mean.
    assert paired.difference([1.0, 2.0, 3.0]) == pytest.approx((2.0, 3**-0.5))
    assert str(paired.difference([-0.01, -0.01])) == "-0.0100 (0.0000)"
    assert np.isnan(paired.difference([0.5]).error)


def test_curves_are_farthest_apart_whichever_is_ahead() -> None:
    full = np.array([0.5, 0.6, 0.7])
    for gaps, expected in (([0.01, -0.02, 0.0], (2, -0.02)), ([0.03, -0.02, 0.0], (1, 0.03))):
        assert paired.farthest(np.add(full, gaps), full) == pytest.approx(expected)


def test_a_sum_up_pairs_seeds_and_leaves_out_one_without_a_partner() -> None:
    runs = paired.Runs()
    for sampler, ends in (("lsh", (0.50, 0.52, 0.9)), ("full", (0.51, 0.51))):
        runs.epochs[sampler] = [np.array([[0.4] * 3, [end] * 3]) for end in ends]
        runs.seconds[sampler] = [3.0 if sampler == "full" else 2.0] * len(ends)
    lines = paired.summary(runs).splitlines()
    assert lines[1:5] == [
        "P@1, means of 2 seeds",
        "epoch     lsh    full  lsh - full",
        "    1  0.4000  0.4000  +0.0000 (0.0000)",
        "    2  0.5100  0.5100  +0.0000 (0.0100)",
    ]
    assert lines[6].endswith(": -0.0250")
    assert lines[-1] == "full takes 1.5 times as long (median)"
    assert paired.summary(paired.Runs()) == ""


def test_shares_of_few_labels_ask_for_no_more_than_the_first_depth() -> None:
    assert paired.depths(1000) == [5]
    assert paired.depths(22_085) == [5, 11, 22, 44, 110]


@pytest.mark.parametrize(("k", "most"), [(1, 128), (12, 128), (13, 130)])
def test_tables_score_as_many_as_in_training_or_ten_a_label(k: int, most: int) -> None:
    chain = [layers.SparseInput(4), layers.Dense(4), layers.SampledDense(22_085)]
    assert paired.scored(Network(chain, threads=1), k) == most


def test_random_outputs_are_not_scored_by_a_prediction() -> None:
    sampler = samplers.LSH(n_active=400, random_share=0.25)
    chain = [layers.SparseInput(4), layers.Dense(4), layers.SampledDense(2000, sampler=sampler)]
    assert paired.scored(Network(chain, threads=1), 5) == 300


def test_both_samplers_learn_from_files_and_are_drawn(
    easy: tuple[datasets.Dataset, datasets.Dataset], tmp_path: Path
) -> None:
    files = [str(tmp_path / name) for name in ("train.txt", "test.txt")]
    for file, data in zip(files, easy, strict=True):
        datasets.write_xmc(file, *data)
    drawn = tmp_path / "new" / "curves.png"
    sizes = ["--seeds", "2", "--epochs", "2", "--hidden", "8", "--rows", "200"]
    found = run(*files, *sizes, "--picture", str(drawn))
    assert found.returncode == 0, found.stderr
    lines = found.stdout.splitlines()
    assert "; 200 test rows; 8 hidden, 2 epochs, batches of 32" in lines[0]
    # Two lines of the LSH network, one of the full one, one of the difference.
    assert [line.split()[:2] for line in lines[2:6]] == [
        ["0", "lsh"],
        ["0", "mode='lsh'"],
        ["0", "full"],
        ["0", "lsh"],
    ]
    assert "P@1, means of 2 seeds" in lines
    # 50 of 1,500, of which training would find 32; and 70, which are at most a twentieth.
    assert [line.split()[0] for line in lines[-2:]] == ["5", "7"]
    assert [line.split()[-1] for line in lines[-2:]] == ["3.33%", "4.67%"]
    assert drawn.read_bytes().startswith(b"\x89PNG")
    alone = run(*files, *sizes, "--lsh-only", "--seeds", "1")
    assert alone.returncode == 0, alone.stderr
    assert "full" not in alone.stdout


def test_what_it_can_not_compare_is_refused(tiny_file: Path) -> None:
    few = run(str(tiny_file), str(tiny_file), "--epochs", "1", "--hidden", "4")
    assert "found 60 labels: by rule all outputs are computed below 1,000" in few.stderr
    assert "wanted TRAIN and TEST, or --made" in run(str(tiny_file)).stderr
    assert run("--help").stdout.startswith("usage: paired.py")

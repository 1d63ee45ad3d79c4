"""The command line, in this process and as a process of its own."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import slide_rs as sr
from slide_rs import datasets
from slide_rs.cli import main

FIELDS = [
    "epoch",
    "read_seconds",
    "train_seconds",
    "samples_per_second",
    "loss",
    "active_fraction",
    "recall_at_1",
]
MEASURED = ["p@1", "p@3", "p@5", "ndcg@5"]
QUICK = ["--hidden", "8", "--epochs", "2"]
ALONE = ["--members", "1", "--no-ranker"]


@pytest.fixture(scope="module")
def model(tiny_file: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the path of a model trained on the tiny file."""
    path = str(tmp_path_factory.mktemp("model") / "net.safetensors")
    sizes = ["--hidden", "16", "--epochs", "9", "--active", "30"]
    assert main(["train", str(tiny_file), *sizes, *ALONE, "--out", path]) == 0
    return path


def objects(text: str) -> list[dict[str, float]]:
    return [json.loads(line) for line in text.splitlines()]


def test_json_is_one_object_an_epoch_with_the_agreed_fields(
    tiny_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = str(tiny_file)
    assert main(["train", data, "--valid", data, "--json", *QUICK, *ALONE]) == 0
    out, _ = capfd.readouterr()
    first, last = objects(out)
    assert list(first) == [*FIELDS, *MEASURED, "peak_rss_mb"]
    assert [first["epoch"], last["epoch"]] == [1, 2]
    assert first["train_seconds"] < last["train_seconds"]
    assert first["read_seconds"] == last["read_seconds"]
    assert last["samples_per_second"] * last["train_seconds"] == pytest.approx(2 * 400)
    assert 10 < last["peak_rss_mb"] < 4000
    assert 0 < last["active_fraction"] <= 1


def test_without_valid_nothing_is_measured_and_a_twentieth_is_held_out(
    tiny_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(tiny_file), "--json", *QUICK, *ALONE]) == 0
    last = objects(capfd.readouterr().out)[-1]
    assert list(last) == [*FIELDS, "peak_rss_mb"]
    assert last["samples_per_second"] * last["train_seconds"] == pytest.approx(2 * 380)


def test_the_last_object_describes_the_saved_model(
    tiny_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data, path = str(tiny_file), str(tmp_path / "net.safetensors")
    command = ["train", data, "--valid", data, "--json", "--out", path]
    assert main([*command, *QUICK]) == 0
    last = objects(capfd.readouterr().out)[-1]
    assert main(["evaluate", path, data, "--json"]) == 0
    (found,) = objects(capfd.readouterr().out)
    assert found == {name: last[name] for name in MEASURED}


@pytest.mark.parametrize("alone", [True, False])
def test_the_file_says_nothing_about_threads_time_or_validation(
    alone: bool, tmp_path: Path
) -> None:
    train, valid = datasets.make_xmc(1200, n_features=2000, n_labels=1100, seed=2).split(1000)
    data, *others = (str(tmp_path / name) for name in ("train.txt", "a.txt", "b.txt"))
    datasets.write_xmc(data, *train)
    datasets.write_xmc(others[0], *valid)
    datasets.write_xmc(others[1], train.X[300:], train.Y[300:])
    digests = set()
    for run, options in enumerate(
        [
            ["--threads", "1", "--valid", others[0]],
            ["--threads", "1", "--valid", others[0]],
            ["--threads", "2", "--valid", others[1]],
            ["--threads", "4", "--valid", others[0], "--json"],
        ]
    ):
        path = tmp_path / f"{run}.safetensors"
        options += ALONE if alone else []
        assert main(["train", data, *QUICK, "--out", str(path), *options]) == 0
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
        made: sr.Network | sr.Ensemble = sr.load(path) if alone else sr.Ensemble.load(path)
        assert isinstance(made.config.output.sampler, sr.samplers.LSH)
    assert len(digests) == 1


def test_the_help_says_what_is_held_out(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", "--help"])
    assert ended.value.code == 0
    words = " ".join(capfd.readouterr().out.split())
    assert "a twentieth of the training rows, at most 1,000, is held out" in words


def test_by_default_networks_and_a_ranker_decide_together(
    tiny_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data, path = str(tiny_file), str(tmp_path / "model.slide")
    command = ["train", data, "--valid", data, *QUICK, "--members", "2"]
    assert main([*command, "--json", "--out", path]) == 0
    *epochs, last = objects(capfd.readouterr().out)
    assert [(line["member"], line["epoch"]) for line in epochs] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert list(epochs[0]) == ["member", *FIELDS, *MEASURED, "peak_rss_mb"]
    # Of 400 rows 20 are held out, and each epoch has the others.
    assert epochs[3]["samples_per_second"] * epochs[3]["train_seconds"] == pytest.approx(4 * 380)
    weights = ["ranker_weight", "neighbours_weight"]
    assert list(last) == ["members", *weights, *FIELDS, *MEASURED, "peak_rss_mb"]
    assert (last["members"], last["epoch"]) == (2, 2)
    assert main(["evaluate", path, data, "--json"]) == 0
    (found,) = objects(capfd.readouterr().out)
    assert found == {name: last[name] for name in MEASURED}
    model = sr.Ensemble.load(path)
    assert main(["predict", path, data, "--k", "2", "--calibrated"]) == 0
    line = capfd.readouterr().out.splitlines()[0]
    top = model.predict_topk(datasets.read_xmc(data).X, 2, calibrated=True)
    pairs = [f"{label}:{p:.6g}" for label, p in zip(top.labels[0], top.scores[0], strict=True)]
    assert line.split() == pairs
    assert main(command) == 0
    lines = capfd.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["epoch", "1.1", "1.2", "2.1", "2.2", "all"]
    assert "2 networks" in lines[-1]


def test_a_network_alone_has_no_probabilities_to_write(
    model: str, tiny_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", model, str(tiny_file), "--calibrated"]) == 2
    assert capfd.readouterr().err.startswith("slide-rs: --calibrated: found with")


@pytest.mark.parametrize("sampler", ["lsh", "uniform", "full"])
def test_options_reach_the_network(sampler: str, tiny_file: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "net.safetensors")
    options = ["--lr", "0.25", "--seed", "5", "--batch-size", "100", "--sampler", sampler]
    if sampler != "full":
        options += ["--active", "7"]
    assert main(["train", str(tiny_file), *QUICK, *ALONE, *options, "--out", path]) == 0
    config = sr.load(path).config
    assert config.seed == 5
    assert config.optimizer.lr == 0.25
    assert config.hidden[0].units == 8
    assert type(config.output.sampler).__name__.lower() == sampler
    assert getattr(config.output.sampler, "n_active", 7) == 7


def test_for_people_there_is_an_aligned_line_an_epoch(
    tiny_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(tiny_file), "--valid", str(tiny_file), *QUICK, *ALONE]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["epoch", "loss", "active", "recall@1"]
    assert len(lines) == 3
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize("mode", ["exact", "lsh"])
def test_predict_writes_the_answers_best_first(
    mode: str, model: str, tiny_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["predict", model, str(tiny_file), "--k", "3", "--mode", mode]
    assert main(command) == 0
    text = capfd.readouterr().out
    assert main([*command, "--out", str(tmp_path / "top.txt")]) == 0
    assert (tmp_path / "top.txt").read_text() == text
    top = sr.load(model).predict_topk(datasets.read_xmc(tiny_file).X, 3, mode=mode)
    for line, labels, scores in zip(text.splitlines(), top.labels, top.scores, strict=True):
        pairs = [pair.split(":") for pair in line.split()]
        assert [int(label) for label, _ in pairs] == labels[labels >= 0].tolist()
        found = [float(score) for _, score in pairs]
        np.testing.assert_allclose(found, scores[labels >= 0], rtol=1e-5)


def test_evaluate_prints_the_metrics_of_the_network(
    model: str, tiny_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = datasets.read_xmc(tiny_file)
    command = ["evaluate", model, str(tiny_file), "--metrics", "p@1,psp@5"]
    assert main([*command, "--json"]) == 0
    (found,) = objects(capfd.readouterr().out)
    weights = sr.metrics.inv_propensity(data.Y)
    net = sr.load(model)
    assert found == net.evaluate(data.X, data.Y, ["p@1", "psp@5"], inv_propensity=weights)
    assert main([*command, "--train", str(tiny_file)]) == 0
    assert capfd.readouterr().out.split()[::2] == ["p@1", "psp@5"]


def test_a_file_may_know_of_fewer_features_and_labels(
    model: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "narrow.txt").write_text("2 10 3\n0 1:1 2:1\n2 9:1\n")
    assert main(["evaluate", model, str(tmp_path / "narrow.txt")]) == 0
    assert main(["predict", model, str(tmp_path / "narrow.txt"), "--k", "1"]) == 0
    assert "p@1" in capfd.readouterr().out


def run(*arguments: str, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-m", "slide_rs", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_python_dash_m_is_the_command_line() -> None:
    process = run("--help")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.startswith("usage: slide-rs")
    assert err == ""


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to a child on Windows")
@pytest.mark.parametrize("members", [1, 3])
def test_ctrl_c_saves_the_model_so_far_and_exits_130(
    members: int, tiny_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "net.safetensors"
    command = ["train", str(tiny_file), "--epochs", "1000000", "--json", "--out", str(path)]
    process = run(*command, *([] if members > 1 else ALONE))
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    assert (first.get("member"), first["epoch"]) == (None if members == 1 else 1, 1)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    if members == 1:
        assert sr.load(path).config.input.in_features == 300
    else:
        # The networks that were not begun are left out.
        saved = sr.Ensemble.load(path)
        assert (len(saved.members), saved.classifiers) == (1, None)


def test_ctrl_c_leaves_a_model_that_is_there_and_names_the_file_of_the_other(
    tiny_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "net.safetensors"
    assert main(["train", str(tiny_file), "--epochs", "1", "--out", str(path), *ALONE]) == 0
    before = path.read_bytes()
    command = ["train", str(tiny_file), "--epochs", "1000000", "--json", "--out", str(path)]
    process = run(*command, *ALONE)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert path.read_bytes() == before
    assert f"interrupted; what was trained is in {path}.interrupted" in err
    assert sr.load(f"{path}.interrupted").config.input.in_features == 300


def test_what_was_mistyped_is_guessed(capsys: pytest.CaptureFixture[str], tiny_file: Path) -> None:
    assert main(["train", str(tiny_file), "--epohcs", "1"]) == 2
    assert "unrecognized arguments: --epohcs 1 (did you mean --epochs?)" in capsys.readouterr().err
    assert main(["train", str(tiny_file), "more.txt", "--stream"]) == 2
    assert "a pattern of files stands in quotes" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="pipes break otherwise on Windows")
def test_a_reader_that_has_enough_is_no_error(model: str, tiny_file: Path) -> None:
    process = run("predict", model, str(tiny_file), "--k", "60")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 0


@pytest.mark.parametrize("kind", [ALONE, ["--members", "2", "--no-ranker"]])
def test_train_records_and_stops_each_network(
    kind: list[str], tiny_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data, table, board = str(tiny_file), tmp_path / "log.csv", tmp_path / "board"
    stop = ["--early-stopping", "--patience", "1", "--lr", "0.5"]
    record = ["--log-csv", str(table), "--tensorboard", str(board)]
    sizes = ["--hidden", "8", "--epochs", "40"]
    assert main(["train", data, "--valid", data, "--json", *sizes, *kind, *stop, *record]) == 0
    rows = list(csv.DictReader(table.open(newline="")))
    said = capfd.readouterr()
    found = [row for row in objects(said.out) if "ranker_weight" not in row]
    endings = [line for line in said.err.splitlines() if "--early-stopping" in line]
    assert [float(row["val_p@1"]) for row in rows] == [row["p@1"] for row in found]
    fits = ["1"] if kind == ALONE else ["1", "2"]
    assert sorted({row["fit"] for row in rows}) == fits
    for fit in fits:
        values = [float(row["val_p@1"]) for row in rows if row["fit"] == fit]
        assert len(values) < 40
        assert values[-1] <= values[-2]
        best, last = len(values) - 1, len(values)
        assert endings.pop(0) == (
            f"slide-rs: --early-stopping: val_p@1 was best, {max(values):.4g}, in epoch {best}, "
            f"whose network is kept; training ends after epoch {last}, 1 without a better one"
        )
    assert not endings
    assert len(list(board.rglob("events.out.tfevents.*"))) == len(fits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--early-stopping"], "--early-stopping: found without --valid"),
        (["--patience", "2"], "--patience: found without --early-stopping"),
        (["--valid", "t", "--early-stopping", "--patience", "0"], "--patience: found 0"),
        (["--log-csv", "no-such-folder/log.csv"], "--log-csv: found no-such-folder"),
    ],
)
def test_what_train_can_not_record_or_stop_by_is_said_before_reading(
    options: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "no-such-file", *options]) == 2
    assert message in capfd.readouterr().err

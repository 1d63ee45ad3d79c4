"""``slide-rs bench`` with files: who runs, what is measured, and how the rest is reported."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slide_rs import Ensemble, bench, contestants, datasets, layers, metrics, network, samplers
from slide_rs._peers.rows import Rows, flat
from slide_rs.bench_data import prepare
from slide_rs.cli import main
from slide_rs.contestants import Outcome

OURS = ["lsh", "uniform", "in_batch", "full"]
QUICK = ["--hidden", "8", "--epochs", "2", "--batch-size", "50"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("bench")
    data = datasets.make_xmc(500, n_features=300, n_labels=60, seed=1)
    paths = [str(folder / name) for name in ("train.txt", "test.txt")]
    for path, part in zip(paths, data.split(400), strict=True):
        datasets.write_xmc(path, *part)
    return paths


def script(path: Path, body: str) -> str:
    """Return the path of something that is called like an interpreter."""
    path.write_text(f"#!{sys.executable}\nimport sys\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_json_is_one_object_with_every_contestant(
    files: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *files, *QUICK, "--only", ",".join(OURS), "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert list(found) == ["data", "settings", "repeats", "machine", "contestants"]
    assert found["settings"]["rows"] == 400
    assert found["data"]["test_rows"] == 100
    assert [row["contestant"] for row in found["contestants"]] == OURS
    for row in found["contestants"]:
        assert (row["status"], row["runs"]) == ("done", 1)
        assert len(row["curve"]) == 2
        assert row["curve"][-1]["p@1"] == row["p@1"]
        assert row["curve"][-1]["seconds"] == pytest.approx(row["total_seconds"])
        assert row["total_seconds"] > row["build_seconds"] > 0
        trained = row["total_seconds"] - row["build_seconds"]
        assert row["samples_per_second"] == pytest.approx(2 * 400 / trained)
        assert 10 < row["peak_rss_mb"] < 4000
        assert 0 < row["facts"]["active_fraction"] <= 1
        assert row["versions"].keys() == {"slide_rs"}
    assert found["contestants"][0]["ratio"] == 1
    assert found["contestants"][3]["facts"]["active_fraction"] == 1
    assert found["contestants"][2]["facts"]["recall_at_1"] is None


def test_what_is_judged_is_what_the_network_predicts(
    files: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["bench", *files, *QUICK, "--only", "uniform", "--seed", "5", "--n-active", "20"]
    assert main([*command, "--json"]) == 0
    (row,) = json.loads(capfd.readouterr().out)["contestants"]
    train, test = (datasets.read_xmc(path) for path in files)
    net = network.Network(
        [
            layers.SparseInput(300),
            layers.Dense(8),
            layers.SampledDense(60, sampler=samplers.Uniform(n_active=20)),
        ],
        seed=5,
    )
    history = net.fit(train.X, train.Y, epochs=2, batch_size=50, verbose=False)
    # Of the rows trained on; nothing else is known of how rare a label is.
    weights = metrics.inv_propensity(train.Y)
    wanted = net.evaluate(test.X, test.Y, contestants.METRICS, inv_propensity=weights)
    assert list(wanted) == ["p@1", "p@3", "p@5", "psp@1", "psp@3", "psp@5"]
    assert {name: row[name] for name in wanted} == wanted
    assert row["facts"]["active_fraction"] == np.mean(history["active_fraction"])


def test_the_model_is_what_train_makes_when_nothing_is_said(
    files: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # Sizes of the other contestants are not its sizes.
    assert main(["bench", *files, *QUICK, "--only", "model", "--seed", "5", "--json"]) == 0
    (row,) = json.loads(capfd.readouterr().out)["contestants"]
    train, test = (datasets.read_xmc(path) for path in files)
    model = Ensemble(
        [layers.SparseInput(300), layers.Dense(192), layers.SampledDense(60)],
        seed=5,
    )
    histories = model.fit(train.X, train.Y, verbose=False)
    weights = metrics.inv_propensity(train.Y)
    wanted = model.evaluate(test.X, test.Y, contestants.METRICS, inv_propensity=weights)
    assert {name: row[name] for name in wanted} == wanted
    shares = [history["active_fraction"] for history in histories]
    assert row["facts"]["active_fraction"] == pytest.approx(np.mean(shares))
    assert row["facts"]["members"] == 2
    assert row["facts"]["predict_seconds"] > 0
    assert len(row["curve"]) == 1
    saved = str(tmp_path / "model")
    assert main(["train", files[0], "--seed", "5", "--out", saved]) == 0
    made = Ensemble.load(saved).evaluate(
        test.X, test.Y, contestants.METRICS, inv_propensity=weights
    )
    assert made == wanted


def test_without_a_test_file_a_tenth_is_held_out_by_the_seed(
    files: list[str], tmp_path: Path
) -> None:
    held = []
    for seed in (0, 0, 1):
        found = prepare(tmp_path, files[0], None, most=None, seed=seed, text=False)
        assert (found.rows, found.test_rows) == (360, 40)
        held.append(found.truth.toarray())
    np.testing.assert_array_equal(held[0], held[1])
    assert (held[0] != held[2]).any()


def test_a_part_of_the_rows_is_of_both_files(files: list[str], tmp_path: Path) -> None:
    found = prepare(tmp_path, *files, most=70, seed=0, text=True)
    assert (found.rows, found.test_rows) == (70, 70)
    text = datasets.read_xmc(tmp_path / "test.txt")
    assert text.X.shape == (70, 300)
    # What omikuji reads is what the others read.
    rows = Rows.read(tmp_path, "test")
    np.testing.assert_array_equal(text.X.data, rows.values)
    np.testing.assert_array_equal(text.Y.indices, rows.labels)
    lengths = np.sqrt(np.add.reduceat(rows.values.astype(np.float64) ** 2, rows.indptr[:-1]))
    # Each of some 40 squares is rounded to a float once.
    np.testing.assert_allclose(lengths, 1, rtol=40 * np.finfo(np.float32).eps)


def test_a_label_weighs_by_the_rows_that_are_left_to_train_on(
    files: list[str], tmp_path: Path
) -> None:
    found = prepare(tmp_path, *files, most=70, seed=0, text=True)
    kept = datasets.read_xmc(tmp_path / "train.txt")
    np.testing.assert_array_equal(found.inv_propensity, metrics.inv_propensity(kept.Y))
    assert (found.inv_propensity != metrics.inv_propensity(datasets.read_xmc(files[0]).Y)).any()


def test_a_single_row_to_train_on_is_refused(files: list[str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"train.txt: found 1 rows, wanted 2 or more"):
        prepare(tmp_path, *files, most=1, seed=0, text=False)


def test_entries_of_rows_are_found_in_the_order_of_the_rows() -> None:
    indptr, chosen = np.array([0, 3, 3, 4, 9]), np.array([3, 1, 0])
    where, counts = flat(indptr, chosen)
    assert counts.tolist() == [5, 0, 3]
    assert where.tolist() == [4, 5, 6, 7, 8, 0, 1, 2]


@pytest.mark.skipif(os.name == "nt", reason="no scripts as interpreters on Windows")
def test_one_that_fails_or_is_missing_is_reported_and_the_others_go_on(
    files: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    failing = script(tmp_path / "failing", "sys.exit('no such instruction')")
    # Isolated from site-packages, so that nothing is installed there.
    bare = f"import os\nos.execv({sys.executable!r}, ['python', '-S', *sys.argv[1:]])"
    missing = script(tmp_path / "missing", bare)
    command = ["bench", *files, *QUICK, "--only", "torch_dense,omikuji,uniform"]
    command += ["--torch-python", failing, "--omikuji-python", missing]
    assert main(command) == bench.FAILED
    lines = capfd.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in lines if line}
    assert rows["torch_dense"].endswith(" failed: no such instruction")
    assert rows["omikuji"].endswith(" not installed: omikuji is not installed")
    assert rows["uniform"].split()[4] == "1.00"


@pytest.mark.skipif(os.name == "nt", reason="no scripts as interpreters on Windows")
def test_what_is_not_installed_is_no_failure_beside_one_that_ran(
    files: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bare = f"import os\nos.execv({sys.executable!r}, ['python', '-S', *sys.argv[1:]])"
    python = ["--omikuji-python", script(tmp_path / "bare", bare)]
    assert main(["bench", *files, *QUICK, "--only", "omikuji", *python]) == bench.FAILED
    command = ["bench", *files, *QUICK, "--only", "omikuji,uniform", *python, "--json"]
    capfd.readouterr()
    assert main(command) == 0
    lost, ran = json.loads(capfd.readouterr().out)["contestants"]
    assert lost == {
        "contestant": "omikuji",
        "status": "missing",
        "note": "omikuji is not installed",
        "runs": 0,
    }
    assert (ran["status"], ran["ratio"]) == ("done", 1)


def test_what_would_take_too_long_is_skipped_by_its_first_rows(
    files: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["bench", *files, "--only", "full", "--epochs", "1000000", "--limit", "0.000001"]
    assert main([*command, "--hidden", "512", "--batch-size", "1"]) == bench.FAILED
    line = capfd.readouterr().out.splitlines()[-1]
    assert line.startswith("full          skipped: would train for about ")
    assert line.endswith("above the limit of 1e-06 s")


def test_a_model_that_would_take_too_long_is_skipped_after_a_pass(
    files: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *files, "--only", "model", "--limit", "0.000001"]) == bench.FAILED
    line = capfd.readouterr().out.splitlines()[-1]
    assert line.startswith("model         skipped: would train for about ")


def test_neighbours_run_if_named_only(files: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert "model" in contestants.DEFAULT
    assert "neighbours" not in contestants.DEFAULT
    assert main(["bench", *files, "--only", "neighbours", "--json"]) == 0
    (row,) = json.loads(capfd.readouterr().out)["contestants"]
    assert row["facts"].keys() == {"neighbours", "predict_seconds"}
    assert row["versions"].keys() == {"scipy"}
    assert row["total_seconds"] > row["build_seconds"] > 0
    # Chance is 1 / 60 for each label of a row.
    assert row["p@1"] > 0.1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--only", "lsh,keras"], "--only: found 'keras', wanted"),
        (["--repeats", "0"], "--repeats: found 0"),
        (["--limit", "0"], "--limit: found 0"),
        (["--n-active", "61"], "--n-active: found 61"),
        (["--labels", "5"], "--labels: found with a file"),
        (["--micro"], "--micro: found with a file"),
        (["--torch-python", "no-such-python"], "--torch-python: found no-such-python"),
        (["--plot", "no-such-folder/out.png"], "--plot: found no-such-folder/out.png"),
    ],
    ids=str,
)
def test_a_wrong_option_is_named(
    files: list[str], capfd: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    assert main(["bench", *files, *more]) == 2
    assert said in capfd.readouterr().err


def test_rounds_meet_all_and_one_that_fails_is_not_run_again(
    files: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, int]] = []

    def run(settings: Any, data: Any, python: str) -> Outcome:
        ran.append((settings.contestant, settings.seed))
        if settings.contestant == "full":
            return Outcome("failed", "why")
        precision = [dict.fromkeys(contestants.METRICS, 0.5)]
        return Outcome("done", "", 0.5, [float(len(ran))], 100.0, {}, {}, precision)

    monkeypatch.setattr(contestants, "run", run)
    command = ["bench", *files, "--only", "lsh,full,uniform", "--repeats", "3", "--seed", "7"]
    assert main([*command, "--json"]) == bench.FAILED
    assert ran == [
        ("lsh", 7),
        ("full", 7),
        ("uniform", 7),
        ("lsh", 8),
        ("uniform", 8),
        ("lsh", 9),
        ("uniform", 9),
    ]
    lsh, full, uniform = json.loads(capfd.readouterr().out)["contestants"]
    assert lsh["total_seconds_of_runs"] == [1.5, 4.5, 6.5]
    assert lsh["total_seconds"] == 4.5
    assert uniform["ratio"] == pytest.approx(np.median([3.5 / 1.5, 5.5 / 4.5, 7.5 / 6.5]))
    assert (full["status"], full["note"]) == ("failed", "why")


def test_ctrl_c_leaves_the_table_of_what_is_done(
    files: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = contestants.run

    def interrupted(settings: Any, data: Any, python: str) -> Outcome:
        if settings.contestant == "full":
            raise KeyboardInterrupt
        return run(settings, data, python)

    monkeypatch.setattr(contestants, "run", interrupted)
    assert main(["bench", *files, *QUICK, "--only", "uniform,full"]) == 130
    *_, done, lost = capfd.readouterr().out.splitlines()
    assert done.startswith("uniform ")
    assert lost == "full          skipped: interrupted"


def test_the_table_is_aligned_and_the_picture_drawn(
    files: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "out.png"
    command = ["bench", *files, *QUICK, "--only", "uniform,full", "--repeats", "2"]
    assert main([*command, "--plot", str(picture)]) == 0
    about, sizes, empty, head, *rows = capfd.readouterr().out.splitlines()
    assert about == "400 rows to train on, 100 to test, 300 features, 60 labels"
    assert sizes.startswith("2 epochs, batches of 50, 8 hidden units, ")
    assert empty == ""
    assert head.split()[0] == "contestant"
    assert head.split()[-6:] == ["P@1", "P@3", "P@5", "PSP@1", "PSP@3", "PSP@5"]
    assert len(rows) == 2
    assert {len(row) for row in rows} == {len(head)}
    assert picture.read_bytes().startswith(b"\x89PNG")

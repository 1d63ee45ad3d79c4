"""The verbs of the command line: help, JSON, exit codes, options from a file."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slide_rs as sr
from slide_rs import conversion, datasets, options_file
from slide_rs.cli import main

VERBS = (
    "train",
    "evaluate",
    "predict",
    "inspect",
    "tune",
    "compare",
    "convert",
    "export",
    "completion",
    "bench",
)
QUICK = ["--hidden", "8", "--epochs", "1"]
LABELS, HASHED = 60, 40


@pytest.fixture(scope="module")
def files(tiny_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Paths of a data set, a network with hash tables and an ensemble."""
    folder = tmp_path_factory.mktemp("verbs")
    found = {"data": str(tiny_file), "net": str(folder / "net"), "model": str(folder / "model")}
    alone = ["--members", "1", "--no-ranker", "--active", f"{HASHED}"]
    assert main(["train", found["data"], *QUICK, *alone, "--out", found["net"]]) == 0
    assert main(["train", found["data"], *QUICK, "--members", "2", "--out", found["model"]]) == 0
    return found


def told(capfd: pytest.CaptureFixture[str], *argv: str) -> list[Any]:
    """Run a command, whose standard output must be JSON from end to end."""
    capfd.readouterr()
    assert main(list(argv)) == 0
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_takes_json(verb: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    out = capfd.readouterr().out
    assert out.startswith(f"usage: slide-rs {verb}")
    assert "--json" in out


def test_the_help_names_every_verb(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    words = capfd.readouterr().out.split()
    assert set(VERBS) <= set(words)


def test_predict_writes_an_object_a_row(
    files: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    found = told(capfd, "predict", files["net"], files["data"], "--k", "3", "--json")
    top = sr.load(files["net"]).predict_topk(datasets.read_xmc(files["data"]).X, 3)
    assert [row["labels"] for row in found] == top.labels.tolist()
    np.testing.assert_array_equal([row["scores"] for row in found], top.scores)


@pytest.mark.parametrize("which", ["net", "model"])
def test_inspect_tells_of_tables_recall_and_precision(
    which: str, files: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    (bare,) = told(capfd, "inspect", files[which], "--json")
    (found,) = told(capfd, "inspect", files[which], files["data"], "--json")
    assert bare["measured"] == {}
    assert found["members"] == (1 if which == "net" else 2)
    assert found["config"]["output"]["units"] == LABELS
    # Of so few labels all are computed by rule; the network has tables because --active says so.
    assert [table["rows"] for table in found["tables"]] == ([LABELS] if which == "net" else [])
    assert {"p@1", "ndcg@5"} < set(found["measured"])
    assert main(["inspect", files[which], files["data"]]) == 0
    text = capfd.readouterr().out
    whole = "layer " if which == "net" else "<slide_rs.Ensemble of 2 x "
    assert text.startswith(whole)
    assert "recall_at_1" in text


def test_inspect_explains_a_row(
    files: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    x = datasets.read_xmc(files["data"]).X[7:8]
    (tmp_path / "names").write_text("".join(f"word{i}\n" for i in range(300)))
    command = ["inspect", files["model"], "--explain", files["data"], "--row", "7", "--k", "4"]
    (found,) = told(capfd, *command, "--feature-names", str(tmp_path / "names"), "--json")
    model = sr.Ensemble.load(files["model"])
    best = int(model.predict_topk(x, 1).labels[0, 0])
    assert (found["row"], found["label"]) == (7, best)
    expected = sr.inspect.explain(model, x, best, k=4)
    assert [one["contribution"] for one in found["contributions"]] == [
        one.contribution for one in expected
    ]
    assert [one["name"] for one in found["contributions"]] == [
        f"word{one.feature}" for one in expected
    ]
    assert main([*command, "--label", "3"]) == 0
    assert capfd.readouterr().out.startswith("row 7, label 3\n")


def test_tune_saves_the_tables_that_it_found(
    files: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for which in ("net", "model"):
        out = str(tmp_path / which)
        options = ["--families", "simhash", "--time-limit", "0.5", "--out", out, "--json"]
        (found,) = told(capfd, "tune", files[which], files["data"], *options)
        assert 0 < found["recall"] <= 1
        loaded = [sr.load(out)] if which == "net" else sr.Ensemble.load(out).members
        for member in loaded:
            sampler = member.config.output.sampler
            assert isinstance(sampler, sr.samplers.LSH)
            assert sampler.n_active == found["n_active"]
            assert sampler.tables.n_tables == found["tables"]["n_tables"]


def test_convert_refuses_names_of_what_it_does_not_write(
    files: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "a.parquet"
    assert main(["convert", files["data"], str(target)]) == 2
    assert "a.parquet, wanted .npz, or the name of a text" in capfd.readouterr().err
    assert not target.exists()


def test_options_are_written_in_full(
    files: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", files["data"], "--epoch", "1"]) == 2
    assert "did you mean --epochs?" in capfd.readouterr().err


def test_convert_goes_round(
    files: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = datasets.read_xmc(files["data"])
    chain = [files["data"], *(str(tmp_path / name) for name in ("a.npz", "b.txt.gz", "c.txt"))]
    for source, target in zip(chain, [*chain[1:], f"{chain[-1]}.slide-cache"], strict=True):
        (found,) = told(capfd, "convert", source, target, "--json")
        sizes = {"rows": 400, "features": 300, "labels": 60, "bytes": Path(target).stat().st_size}
        assert found == {"out": target, **sizes}
    for path in chain[1:]:
        again = conversion.read(path)
        for matrix, expected in zip(again, data, strict=True):
            assert matrix.shape == expected.shape
            assert (matrix != expected).nnz == 0
    assert gzip.decompress(Path(chain[2]).read_bytes()).startswith(b"400 300 60\n")


def test_grades_are_not_lost_without_a_word(tmp_path: Path) -> None:
    graded = datasets.make_xmc(20, n_features=9, n_labels=4, seed=0)
    graded.Y.data[3] = 0.5
    conversion.write_npz(tmp_path / "a.npz", graded)
    conversion.convert(tmp_path / "a.npz", tmp_path / "b.npz")
    assert (conversion.read(tmp_path / "b.npz").Y != graded.Y).nnz == 0
    with pytest.raises(ValueError, match="found grades in Y"):
        conversion.convert(tmp_path / "a.npz", tmp_path / "b.txt")
    assert not (tmp_path / "b.txt").exists()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"X_data": None}, "wanted X_data and so on"),
        ({"X_shape": np.array([20])}, "is no data set"),
        ({"X_indptr": np.arange(20)}, "is no data set"),
        ({"Y_indices": np.full(3, 99)}, "is no data set|found"),
    ],
)
def test_arrays_that_are_no_data_set_are_refused(
    change: dict[str, Any], match: str, tmp_path: Path
) -> None:
    conversion.write_npz(tmp_path / "a.npz", datasets.make_xmc(20, n_features=9, n_labels=4))
    with np.load(tmp_path / "a.npz") as arrays:
        changed = {name: array for name, array in {**arrays, **change}.items() if array is not None}
    np.savez(tmp_path / "b.npz", **changed)
    with pytest.raises(ValueError, match=match):
        conversion.read(tmp_path / "b.npz")


def test_export_writes_what_it_says(
    files: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for form in ("safetensors", "onnx", "usearch"):
        out = str(tmp_path / form)
        (found,) = told(capfd, "export", files["net"], "--to", form, "--out", out, "--json")
        assert found == {"out": out, "format": form, "bytes": Path(out).stat().st_size}
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    sr.export.to_onnx(sr.Ensemble.load(files["model"]).members[1], one, 3, inputs="dense")
    options = ["--member", "2", "--k", "3", "--inputs", "dense", "--out", two]
    told(capfd, "export", files["model"], "--to", "onnx", *options, "--json")
    assert Path(one).read_bytes() == Path(two).read_bytes()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_verbs_and_options(shell: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capfd.readouterr().out
    assert all(verb in script for verb in VERBS)
    assert "every-neuron" in script
    (found,) = told(capfd, "completion", shell, "--json")
    assert found["script"] in script


def write(path: Path, options: dict[str, Any]) -> str:
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in options.items()]
    path.write_text("".join(lines) if path.suffix == ".toml" else json.dumps(options))
    return str(path)


@pytest.mark.parametrize("suffix", [".json", ".toml"])
def test_options_of_a_file_count_and_those_of_the_command_line_win(
    suffix: str, files: dict[str, str], tmp_path: Path
) -> None:
    if suffix == ".toml" and sys.version_info < (3, 11):
        pytest.importorskip("tomli", reason="Python 3.10 has no TOML")
    options = {"hidden": 12, "batch_size": 50, "no-ranker": True, "members": 1, "json": False}
    config = write(tmp_path / f"net{suffix}", {**options, "epochs": 1, "lr": 0.25})
    out = tmp_path / "net.safetensors"
    command = ["train", files["data"], "--hidden", "6", "--out", str(out), "--config", config]
    assert main(command) == 0
    made = sr.load(out).config
    assert (made.hidden[0].units, made.optimizer.lr) == (6, 0.25)
    assert main([*command[:2], *command[4:]]) == 0
    assert sr.load(out).config.hidden[0].units == 12


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"hiden": 3}, "found unknown key 'hiden', wanted one of valid, epochs"),
        ({"config": "x"}, "found unknown key 'config'"),
        ({"json": 1}, "found json = 1, wanted true or false"),
        ({"hidden": True}, "found hidden = True, wanted a number or a text"),
        ({"hidden": None}, "found hidden = None, wanted"),
        ({"hidden": "many"}, "argument --hidden: invalid int value: 'many'"),
        ({"hidden": 0}, "--hidden: found 0, wanted"),
        ({"sampler": "best"}, "argument --sampler: invalid choice: 'best'"),
    ],
)
def test_a_wrong_key_or_value_of_a_file_is_named(
    options: dict[str, Any],
    match: str,
    files: dict[str, str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    config = write(tmp_path / "net.json", options)
    assert main(["train", files["data"], "--config", config]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert match in err


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("a.json", "{", "found text that is not JSON"),
        ("a.json", "[]", "found list, wanted an object"),
        ("a.toml", "a = ", "found text that is not TOML"),
    ],
)
def test_a_file_that_is_no_object_of_options_is_refused(
    name: str, text: str, match: str, tmp_path: Path
) -> None:
    if name == "a.toml" and sys.version_info < (3, 11):
        pytest.importorskip("tomli", reason="Python 3.10 has no TOML")
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=match):
        options_file.read(str(tmp_path / name))


def test_without_toml_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tomllib", "tomli"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "a.toml").write_text("")
    with pytest.raises(ImportError, match=r"pip install 'slide_rs\[cli\]'"):
        options_file.read(str(tmp_path / "a.toml"))


@pytest.mark.parametrize(
    ("argv", "code", "match"),
    [
        (["nothing"], 2, "invalid choice: 'nothing'"),
        (["inspect", "NET", "--row", "1"], 2, "--row: found without --explain"),
        (["inspect", "NET", "--explain", "DATA", "--row", "400"], 2, "--row: found 400"),
        (["inspect", "NET", "--explain", "DATA", "--label", "60"], 2, "--label: found 60"),
        (["inspect", "NET", "--history", "DATA"], 2, "--history: found without --html"),
        (["inspect", "missing"], 2, "missing: No such file"),
        (["tune", "NET", "DATA", "--recall", "1"], 2, "--recall: found 1"),
        (["convert", "DATA", "DATA"], 2, "which is the source"),
        (["convert", "DATA", "other.slide-cache"], 2, "beside the text"),
        (["convert", "MODEL", "a.txt"], 2, "is no data set"),
        (["export", "MODEL", "--to", "onnx", "--out", "a"], 2, "wanted --member 1 to 2"),
        (["export", "MODEL", "--to", "onnx", "--out", "a", "--member", "3"], 2, "--member: found"),
        (["export", "NET", "--to", "usearch", "--out", "a", "--k", "3"], 2, "--k: found with"),
        (["export", "NET", "--to", "onnx", "--out", "a", "--opset", "9"], 2, "opset: found 9"),
        (["completion", "csh"], 2, "invalid choice: 'csh'"),
    ],
)
def test_wrong_use_ends_with_one_line_and_code_2(
    argv: list[str],
    code: int,
    match: str,
    files: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    named = {"NET": files["net"], "MODEL": files["model"], "DATA": files["data"]}
    assert main([named.get(word, word) for word in argv]) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("slide-rs: ")
    assert err.count("\n") == 1
    assert match in err


def test_what_can_not_be_done_ends_with_code_1(
    files: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["train", files["data"], "--max-memory", "9 kB"]) == 1
    monkeypatch.setitem(sys.modules, "onnx", None)
    out = str(tmp_path / "net.onnx")
    assert main(["export", files["net"], "--to", "onnx", "--out", out]) == 1
    assert "pip install 'slide_rs[onnx]'" in capfd.readouterr().err


def test_the_command_line_needs_numpy_and_scipy_alone(files: dict[str, str]) -> None:
    code = """
import sys
for name in ("matplotlib", "onnx", "usearch", "faiss", "shtab", "safetensors", "sklearn"):
    sys.modules[name] = None
from slide_rs.cli import main
sys.exit(main(sys.argv[1:]))
"""
    for argv in (
        ["inspect", files["model"], files["data"]],
        ["evaluate", files["model"], files["data"]],
        ["export", files["net"], "--to", "safetensors", "--out", files["net"] + ".weights"],
    ):
        subprocess.run([sys.executable, "-c", code, *argv], check=True, capture_output=True)

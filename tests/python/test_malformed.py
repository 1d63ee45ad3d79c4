"""Every wrong input is refused by an error that names it: never a crash, never an answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import malformed_arrays
import malformed_files
import malformed_settings
import numpy as np
import pytest
import slide_rs as sr
from slide_rs import datasets, layers
from slide_rs.cli import main

CALLS = {**malformed_arrays.CASES, **malformed_settings.CASES}


def test_at_least_200_wrong_inputs_are_listed() -> None:
    files = (malformed_files.XMC, malformed_files.MODELS, malformed_files.COMMANDS)
    assert len(CALLS) + sum(map(len, files)) >= 200


@pytest.mark.parametrize("case", CALLS.values(), ids=CALLS.keys())
@pytest.mark.filterwarnings("ignore::slide_rs.SlideWarning", "error::RuntimeWarning")
def test_a_wrong_argument_is_named(
    case: tuple[Callable[[], object], type[Exception], str],
) -> None:
    call, error, match = case
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize(
    ("content", "match"), malformed_files.XMC.values(), ids=malformed_files.XMC.keys()
)
def test_a_wrong_xmc_file_is_named_with_its_line(
    content: bytes, match: str, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"wrong\.txt: .*" + match):
        datasets.read_xmc(path)


@pytest.mark.parametrize(
    "damage", malformed_files.MODELS.values(), ids=malformed_files.MODELS.keys()
)
def test_a_wrong_model_file_is_named(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "wrong.safetensors"
    path.write_bytes(damage(malformed_files.saved(tmp_path)))
    with pytest.raises(ValueError, match=r"wrong\.safetensors"):
        sr.load(path)


def test_a_missing_model_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"missing\.safetensors"):
        sr.load(tmp_path / "missing.safetensors")


@pytest.mark.parametrize("path", [None, 3, ["model"]], ids=str)
def test_a_path_of_a_wrong_kind_is_named(path: object) -> None:
    with pytest.raises(TypeError, match="path: found"):
        sr.load(path)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def inputs(tiny_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the files that the command lines name."""
    folder = tmp_path_factory.mktemp("inputs")
    net = sr.Network([layers.SparseInput(300), layers.Dense(4), layers.SampledDense(60)])
    net.save(folder / "model.safetensors")
    (folder / "wide.txt").write_text("1 999 60\n0 998:1\n")
    (folder / "norows.txt").write_text("0 300 60\n")
    return {
        "DATA": str(tiny_file),
        "MODEL": str(folder / "model.safetensors"),
        "WIDE": str(folder / "wide.txt"),
        "NOROWS": str(folder / "norows.txt"),
    }


@pytest.mark.parametrize(
    ("argv", "match"), malformed_files.COMMANDS.values(), ids=malformed_files.COMMANDS.keys()
)
def test_a_wrong_command_line_ends_with_one_line_and_code_2(
    argv: list[str],
    match: str,
    inputs: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([inputs.get(word, word) for word in argv]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("slide-rs: ")
    assert err.count("\n") == 1
    with pytest.raises(ValueError, match=match):
        raise ValueError(err)


@pytest.mark.filterwarnings("ignore::slide_rs.SlideWarning")
def test_after_all_errors_the_network_works_as_before() -> None:
    net = malformed_arrays.net()
    fresh = sr.Network([layers.SparseInput(6), layers.Dense(4), layers.SampledDense(5)])
    rows = np.eye(6, dtype=np.float32)
    for call, error, _ in malformed_arrays.CASES.values():
        with pytest.raises(error):
            call()
    np.testing.assert_array_equal(net.predict_proba(rows), fresh.predict_proba(rows))

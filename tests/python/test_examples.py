"""The examples say how they are called, and draw what they are given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from slide_rs.cli import main

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    "name",
    [
        "amazon670k.py",
        "curves.py",
        "knowledge_graph.py",
        "larger_than_memory.py",
        "latency.py",
        "mnist.py",
        "optimizers.py",
        "output_layer.py",
        "precision.py",
        "word_vectors.py",
    ],
)
def test_help_is_how_it_is_called(name: str) -> None:
    found = run(name, "--help")
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith(f"usage: {name}")


def test_curves_are_drawn_of_the_output_of_train(
    tiny_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.json"
    data = str(tiny_file)
    assert main(["train", data, "--valid", data, "--epochs", "2", "--hidden", "8", "--json"]) == 0
    path.write_text(capfd.readouterr().out, encoding="utf-8")
    found = run("curves.py", str(path))
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("P@1    * run")
    path.write_text('{"epoch": 1}\n', encoding="utf-8")
    assert "run.json: found no p@1" in run("curves.py", str(path)).stderr


def test_every_repeat_of_the_large_epoch_has_its_figures(tiny_file: Path) -> None:
    sizes = ["--repeats", "2", "--n-active", "30", "--threads", "1"]
    found = run("amazon670k.py", str(tiny_file), str(tiny_file), *sizes)
    assert found.returncode == 0, found.stderr
    head, first, second, empty, said, medians = found.stdout.splitlines()
    assert (empty, said) == ("", "medians of 2")
    assert len({len(row) for row in (head, first, second, medians)}) == 1
    # Of 60 labels 30 are computed.
    assert first.split()[6] == "0.50000"

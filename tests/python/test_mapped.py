"""Networks that answer from their file, beside the engine on the same file."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slide_rs as sr
from numpy.testing import assert_allclose, assert_array_equal
from slide_rs import datasets, layers, mapped, samplers

ROWS = datasets.make_xmc(300, n_features=200, n_labels=1500, seed=0)


def saved(folder: Path, *hidden: layers.Hidden, **output: Any) -> tuple[sr.Network, str]:
    stack = [layers.SparseInput(200), *hidden, layers.SampledDense(1500, **output)]
    net = sr.Network(stack, seed=0)
    net.fit(ROWS.X, ROWS.Y, epochs=2, verbose=False)
    path = str(folder / "net.safetensors")
    net.save(path)
    return net, path


@pytest.mark.parametrize(
    ("hidden", "output"),
    [
        ([layers.Dense(16)], {}),
        ([layers.Dense(16)], {"dtype": "bfloat16"}),
        ([layers.Dense(16)], {"dtype": "float16"}),
        ([layers.Dense(24, activation="relu"), layers.Dense(16, activation="gelu")], {}),
        ([layers.Dense(8), layers.SampledDense(40, sampler=samplers.Full())], {"bias": False}),
    ],
)
@pytest.mark.parametrize("block", [16_384, 100])
def test_a_mapped_file_answers_as_the_network_does(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hidden: list[layers.Hidden],
    output: dict[str, Any],
    block: int,
) -> None:
    monkeypatch.setattr(mapped, "_LABELS", block)
    net, path = saved(tmp_path, *hidden, **output)
    found = sr.load(path, mmap=True)
    top, wanted = found.predict_topk(ROWS.X, 10), net.predict_topk(ROWS.X, 10)
    # Hidden vectors and rows have at most a few dozen entries below 10: some 100 roundings.
    close = 100 * 10 * float(np.finfo(np.float32).eps) * float(np.abs(wanted.scores).max())
    assert_allclose(top.scores, wanted.scores, atol=close)
    # Labels may change places where their scores differ by no more.
    apart = np.diff(wanted.scores, axis=1, append=-np.inf) < -2 * close
    apart[:, 1:] &= apart[:, :-1]
    assert apart.mean() > 0.5
    assert_array_equal(top.labels[apart], wanted.labels[apart])
    chosen = [[5, 3, 9]] * 300
    few = found.predict_topk(ROWS.X, 3, candidates=chosen)
    assert_allclose(few.scores, net.predict_topk(ROWS.X, 3, candidates=chosen).scores, atol=close)
    assert found.evaluate(ROWS.X, ROWS.Y, ["p@1"]) == pytest.approx(
        net.evaluate(ROWS.X, ROWS.Y, ["p@1"]), abs=0.01
    )


def test_of_equal_scores_the_lower_labels_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped, "_LABELS", 7)
    stack = [layers.SparseInput(4), layers.Dense(8), layers.SampledDense(20)]
    net = sr.Network(stack)
    net.remove_labels(range(1, 20))
    net.add_labels(19, init="zeros")
    net.save(tmp_path / "net")
    found = sr.load(tmp_path / "net", mmap=True)
    x = np.zeros((2, 4), np.float32)
    assert_array_equal(found.predict_topk(x, 5).labels, net.predict_topk(x, 5).labels)
    assert_array_equal(found.predict_topk(x, 5).labels, [[0, 1, 2, 3, 4]] * 2)


def test_no_more_is_read_than_rows_that_are_wanted(tmp_path: Path) -> None:
    stack = [layers.SparseInput(2000), layers.Dense(128), layers.SampledDense(200_000)]
    sr.Network(stack).save(tmp_path / "net", include_optimizer=False)
    assert (tmp_path / "net").stat().st_size > 100_000_000
    script = (
        "import resource, sys, numpy as np, slide_rs\n"
        "def resident():\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "slide_rs.load\n"
        "before = resident()\n"
        "net = slide_rs.load(sys.argv[1], mmap=True)\n"
        "x = np.zeros((1, 2000), np.float32)\n"
        "net.predict_topk(x, 1, candidates=[[7, 150_000]])\n"
        "print(resident() - before)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "net")]
    kilobytes = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert kilobytes < 30_000


def test_a_mapped_network_is_pickled_by_its_path(tmp_path: Path) -> None:
    _, path = saved(tmp_path, layers.Dense(16))
    found = sr.load(path, mmap=True)
    again = pickle.loads(pickle.dumps(found))
    assert_array_equal(again.predict_topk(ROWS.X, 3).labels, found.predict_topk(ROWS.X, 3).labels)
    assert repr(found) == f"<slide_rs.MappedNetwork of {path}>"
    assert found.predict_topk(ROWS.X[:0], 3).labels.shape == (0, 3)


def damaged(content: bytes, change: str) -> bytes:
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    if change == "cut":
        return content[:-100]
    if change == "length":
        return (1 << 60).to_bytes(8, "little") + content[8:]
    if change == "shape":
        header["output.weight"]["shape"] = [3, 16]
    elif change == "place":
        header["output.weight"]["data_offsets"] = [-64, header["output.weight"]["data_offsets"][1]]
    elif change == "dtype":
        header["output.weight"]["dtype"] = "I8"
    elif change == "missing":
        del header["output.weight"]
    else:
        header["__metadata__"] = {"slide_rs": change}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


@pytest.mark.parametrize(
    "change", ["cut", "length", "shape", "place", "dtype", "missing", "[]", '{"format": 4}', "{"]
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, change: str) -> None:
    _, path = saved(tmp_path, layers.Dense(16))
    Path(path).write_bytes(damaged(Path(path).read_bytes(), change))
    with pytest.raises(ValueError, match=r"net.safetensors is not a readable slide_rs model: "):
        sr.load(path, mmap=True)


def test_what_only_tables_can_choose_is_refused(tmp_path: Path) -> None:
    _, path = saved(tmp_path, layers.Dense(8), layers.SampledDense(2000))
    with pytest.raises(ValueError, match=r"found hidden.1, which computes the neurons that"):
        sr.load(path, mmap=True)
    with pytest.raises(TypeError, match="mmap: found 'yes', wanted True or False"):
        sr.load(path, mmap="yes")  # type: ignore[call-overload]
    with pytest.raises(FileNotFoundError):
        sr.load(tmp_path / "missing", mmap=True)

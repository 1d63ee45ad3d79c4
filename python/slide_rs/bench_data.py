"""The rows that ``slide-rs bench`` trains and tests with, in files for its contestants."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from slide_rs import datasets, metrics
from slide_rs._peers.rows import Rows
from slide_rs.arrays import SparseRows, features
from slide_rs.commands import widened
from slide_rs.datasets import Dataset
from slide_rs.labels import labels

__all__ = ["BenchData", "prepare"]

#: Without a test file, one row in so many is held out.
HELD_OUT = 10


@dataclass(frozen=True, slots=True)
class BenchData:
    """A folder with the rows to train on and to test with, and the truth about the latter."""

    folder: Path
    rows: int
    test_rows: int
    n_features: int
    n_labels: int
    truth: csr_array[np.float32]
    #: How much each label weighs in psp@k, by the rows to train on.
    inv_propensity: NDArray[np.float64]


def prepare(
    folder: Path, train: str, test: str | None, *, most: int | None, seed: int, text: bool
) -> BenchData:
    """Read the files and write what the contestants read; rows are scaled to length 1.

    Parameters
    ----------
    folder : path
        Where to write.
    train, test : str
        Files in the format of extreme classification; without `test` a tenth of `train`, chosen
        by the seed, is held out.
    most : int, optional
        Take no more than so many rows of each, chosen by the seed.
    seed : int
        What chooses rows.
    text : bool
        Whether to write text files too.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> datasets.write_xmc(folder / "all.txt", *datasets.make_xmc(50, n_features=90, n_labels=9))
    >>> found = prepare(folder, str(folder / "all.txt"), None, most=None, seed=0, text=False)
    >>> found.rows, found.test_rows
    (45, 5)
    """
    random = np.random.default_rng(seed)
    found = datasets.read_xmc(train)
    if found.X.shape[0] < 3 and test is None:
        raise ValueError(
            f"{train}: found {found.X.shape[0]} rows, wanted 3 or more to hold one out"
        )
    if test is None:
        order = random.permutation(found.X.shape[0])
        count = max(len(order) // HELD_OUT, 1)
        held, kept = (np.sort(part) for part in (order[:count], order[count:]))
        parts = {"train": _taken(found, kept), "test": _taken(found, held)}
    else:
        parts = {"train": found, "test": _read_test(test, found)}
    if most is not None:
        for name, part in parts.items():
            chosen = random.permutation(part.X.shape[0])[:most]
            parts[name] = _taken(part, np.sort(chosen))
    for name, part in parts.items():
        # By a single row to train on, a label that it lacks has a propensity below 0.
        path, least = (train, 2) if name == "train" else (test, 1)
        if part.X.shape[0] < least:
            raise ValueError(f"{path}: found {part.X.shape[0]} rows, wanted {least} or more")
        _write(folder, name, part, text)
    return BenchData(
        folder,
        int(parts["train"].X.shape[0]),
        int(parts["test"].X.shape[0]),
        found.n_features,
        found.n_labels,
        parts["test"].Y,
        metrics.inv_propensity(parts["train"].Y),
    )


def _read_test(path: str, train: Dataset) -> Dataset:
    found = datasets.read_xmc(path)
    return Dataset(
        widened(found.X, train.n_features, path, "features"),
        widened(found.Y, train.n_labels, path, "labels"),
    )


def _taken(data: Dataset, rows: NDArray[np.int64]) -> Dataset:
    return Dataset(data.X[rows], data.Y[rows])


def _write(folder: Path, name: str, part: Dataset, text: bool) -> None:
    indptr, ids, values = cast(SparseRows, features(part.X, part.n_features))
    counts = np.diff(indptr)
    row_of = np.repeat(np.arange(len(counts)), counts)
    lengths = np.sqrt(np.bincount(row_of, np.square(values), len(counts)))
    # A row of zeros has no length to be scaled by.
    lengths[lengths == 0] = 1
    scaled = values / lengths.astype(np.float32)[row_of]
    Rows(indptr, ids, scaled, *labels(part.Y, part.n_labels)).write(folder, name)
    if text:
        x = csr_array((scaled, ids, indptr), shape=part.X.shape)
        datasets.write_xmc(folder / f"{name}.txt", x, part.Y)

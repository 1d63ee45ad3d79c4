"""Some of the rows of features and of labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from slide_rs import defaults
from slide_rs.arrays import Features
from slide_rs.labels import Labels

__all__ = ["labels_of", "split", "take"]


def split(n_rows: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows to train on and those that are held out, by the seed, ascending.

    Examples
    --------
    >>> rows, held = split(1000, seed=0)
    >>> len(rows), len(held)
    (950, 50)
    """
    order = np.random.default_rng(seed).permutation(n_rows).astype(np.int64)
    spare = defaults.held_out(n_rows)
    return np.sort(order[spare:]), np.sort(order[:spare])


def take(x: Features, rows: NDArray[np.int64]) -> Features:
    """Return a copy of these rows.

    Examples
    --------
    >>> x = (np.array([0, 1, 2]), np.array([4, 7]), np.array([1, 2], np.float32))
    >>> [part.tolist() for part in take(x, np.array([1]))]
    [[0, 1], [7], [2.0]]
    """
    if not isinstance(x, tuple):
        return x[rows]
    indptr, ids, values = x
    taken, ends = _entries(indptr, rows)
    # Of the type that the ids have, which is one of two.
    bounds: Any = ends.astype(ids.dtype)
    return bounds, ids[taken], values[taken]


def labels_of(y: Labels, rows: NDArray[np.int64]) -> Labels:
    """Return a copy of the labels of these rows.

    Examples
    --------
    >>> [part.tolist() for part in labels_of((np.array([0, 1, 3]), np.array([4, 5, 7])), [1])]
    [[0, 2], [5, 7]]
    """
    indptr, ids = y
    taken, ends = _entries(indptr, rows)
    bounds: Any = ends.astype(ids.dtype)
    return bounds, ids[taken]


def _entries(indptr: NDArray[Any], rows: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the entries of rows stand, and the bounds of these rows."""
    chosen = np.asarray(rows, dtype=np.int64)
    lengths = (indptr[chosen + 1] - indptr[chosen]).astype(np.int64)
    bounds = np.concatenate(([0], np.cumsum(lengths)))
    starts = np.repeat(indptr[chosen].astype(np.int64) - bounds[:-1], lengths)
    return starts + np.arange(bounds[-1]), bounds

"""Sparse rows with their labels, as arrays in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rows", "flat"]


class Rows(NamedTuple):
    """Features and labels of rows: bounds and ids, both as in CSR.

    Examples
    --------
    >>> ids, one = np.array([0, 1], np.int32), np.ones(2, np.float32)
    >>> Rows(np.arange(3, dtype=np.int32), ids, one, np.arange(3, dtype=np.int32), ids).size
    2
    """

    indptr: NDArray[Any]
    ids: NDArray[Any]
    values: NDArray[np.float32]
    label_indptr: NDArray[Any]
    labels: NDArray[Any]

    @property
    def size(self) -> int:
        """The number of rows."""
        return len(self.indptr) - 1

    @classmethod
    def read(cls, folder: Path, part: str) -> Rows:
        """Read the rows of a part, such as ``"train"``, into memory."""
        return cls(*(np.load(folder / f"{part}.{name}.npy") for name in cls._fields))

    def write(self, folder: Path, part: str) -> None:
        """Write a file an array, for `read`."""
        for name, values in zip(self._fields, self, strict=True):
            np.save(folder / f"{part}.{name}.npy", values)


def flat(indptr: NDArray[Any], rows: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the entries of some rows are, row after row, and how many each row has.

    Examples
    --------
    >>> where, counts = flat(np.array([0, 2, 2, 5]), np.array([2, 0]))
    >>> where.tolist(), counts.tolist()
    ([2, 3, 4, 0, 1], [3, 2])
    """
    starts = indptr[rows].astype(np.int64)
    counts = indptr[rows + 1].astype(np.int64) - starts
    ends = np.cumsum(counts)
    inside = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
    return np.repeat(starts, counts) + inside, counts

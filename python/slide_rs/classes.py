"""What the outputs of a classifier stand for: the classes of a vector, or columns of labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from slide_rs.arrays import is_compressed
from slide_rs.topk import TopK

__all__ = ["Classes"]


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes, and how the user writes them.

    Examples
    --------
    >>> classes = Classes.of(np.array(["dog", "cat", "dog"]))
    >>> classes.encode(np.array(["cat", "dog"])).tolist()
    [0, 1]
    >>> Classes.of(np.array([[0, 1], [1, 1]])).most
    2
    """

    #: Sorted classes; for labels the numbers of their columns.
    names: NDArray[Any]
    #: How labels are written: "csr_array", "csr_matrix" or "dense"; None for classes.
    form: str | None = None
    #: The labels of the training row that has most.
    most: int = 1

    @classmethod
    def of(cls, y: Any) -> Classes:
        """Read them from the targets: a vector, or an indicator matrix, dense or sparse."""
        if y.ndim == 1:
            return cls(np.unique(y))
        if is_compressed(y):
            form = "csr_array" if isinstance(y, sparse.sparray) else "csr_matrix"
            counts = np.diff(y.indptr)
        else:
            form, counts = "dense", np.count_nonzero(y, axis=1)
        return cls(np.arange(y.shape[1]), form, max(int(counts.max()), 1))

    @property
    def multilabel(self) -> bool:
        """Whether a row may have any number of labels, in place of one class."""
        return self.form is not None

    def encode(self, y: Any) -> Any:
        """Return targets as a network takes them: a vector of positions, or a CSR matrix.

        Raises
        ------
        ValueError
            If a class is not among these, the number of columns differs, or a value is below 0.
        """
        if self.multilabel != (y.ndim == 2):
            found, wanted = ("labels", "classes") if y.ndim == 2 else ("classes", "labels")
            raise ValueError(f"y: found {found}, wanted {wanted} as in the rows before")
        if y.ndim == 1:
            places = self.places(y)
            if (places < 0).any():
                unknown = y[places.argmin() :].tolist()[0]
                raise ValueError(
                    f"y: found the class {unknown!r}, wanted one of the classes before"
                )
            return places
        if y.shape[1] != len(self.names):
            raise ValueError(f"y: found {y.shape[1]} columns, wanted {len(self.names)}")
        return _canonical(y) if is_compressed(y) else sparse.csr_array(y != 0)

    def places(self, y: Any) -> NDArray[np.int64]:
        """Return the position of each class, and -1 for those that are not among these.

        Examples
        --------
        >>> Classes(np.array(["cat", "dog"])).places(np.array(["dog", "cow"])).tolist()
        [1, -1]
        """
        places = np.minimum(np.searchsorted(self.names, y), len(self.names) - 1)
        found: NDArray[np.int64] = np.where(self.names[places] == y, places, -1)
        return found

    def decode(self, top: TopK, loss: str) -> Any:
        """Return the classes, or the matrix of labels, that the best outputs tell.

        Labels are those with more than even odds, or with a softmax those that are at least half
        as probable as the best one.
        """
        if self.form is None:
            return self.names[top.labels[:, 0]]
        if loss.startswith("softmax"):
            chosen = top.scores >= top.scores[:, :1] - math.log(2.0)
        else:
            chosen = top.scores > (0.5 if loss == "squared" else 0.0)
        bounds = np.concatenate(([0], np.cumsum(chosen.sum(axis=1))))
        ids = top.labels[chosen]
        shape = (len(top.labels), len(self.names))
        labels = sparse.csr_array((np.ones(len(ids), np.int64), ids, bounds), shape=shape)
        labels.sort_indices()
        if self.form == "dense":
            return labels.toarray()
        return labels if self.form == "csr_array" else sparse.csr_matrix(labels)


def _canonical(y: Any) -> Any:
    """Sort labels, drop zeros, and give grades the type of the engine; a copy where needed."""
    if len(y.data) and y.data.min() < 0:
        raise ValueError(f"y: found the value {y.data.min()}, wanted 0 or above (1 = label)")
    if not y.has_canonical_format or np.count_nonzero(y.data) < len(y.data):
        y = y.copy()
        y.sum_duplicates()
        y.eliminate_zeros()
    return y.astype(np.float32, copy=False) if y.data.dtype.kind == "f" else y

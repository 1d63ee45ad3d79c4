"""The best labels of each row, with their scores."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from slide_rs import checks

__all__ = ["TopK"]


class TopK(NamedTuple):
    """The `k` best labels of `n` rows, best first.

    A row with fewer than `k` labels is padded with label -1 and score minus infinity.

    Examples
    --------
    >>> top = TopK(np.array([[2, 0]], np.int32), np.array([[1.5, 0.5]], np.float32))
    >>> top.to_csr(3).toarray()
    array([[0.5, 0. , 1.5]], dtype=float32)
    """

    #: Label ids, int32, shape (n, k).
    labels: NDArray[np.int32]
    #: Scores, float32, shape (n, k).
    scores: NDArray[np.float32]

    def to_csr(self, n_labels: int) -> csr_array[np.float32]:
        """Return the scores as a sparse array of `n_labels` columns, without the padding.

        Raises
        ------
        ValueError
            If a label is not below `n_labels`.
        """
        columns = checks.whole("n_labels", n_labels, 1)
        if self.labels.size and self.labels.max() >= columns:
            raise ValueError(f"n_labels: found {columns}, wanted more than {self.labels.max()}")
        kept = self.labels >= 0
        indptr = np.concatenate(([0], np.cumsum(kept.sum(axis=1))))
        shape = (len(self.labels), columns)
        top = csr_array((self.scores[kept], self.labels[kept], indptr), shape=shape)
        top.sort_indices()
        return top

"""The labels of the nearest training rows, which is what training has to be better than.

Nearest is by the cosine of the features, exactly: each test row is compared with all training rows
that share a feature with it. A label has the sum of the cosines of the neighbours that have it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from . import matrices
from .course import SETTLED, Course, TooSlow, Watch
from .rows import Rows

__all__ = ["NEIGHBOURS", "Nearest", "highest", "make", "parts"]

NEIGHBOURS = 10
#: Cosines that are held at once, each with the number of its row: 64 MB.
MOST_COSINES = 1 << 23


def make(course: Course) -> Nearest:
    """Return the contestant."""
    return Nearest(course)


class Nearest:
    """The training rows by feature. Making that is all the training there is."""

    def __init__(self, course: Course) -> None:
        settings = course.settings
        train, test = Rows.read(course.folder, "train"), Rows.read(course.folder, "test")
        self.settings = settings
        self.train = matrices.features(train, settings.n_features)
        self.labels = matrices.labels(train, settings.n_labels)
        self.test = matrices.features(test, settings.n_features)
        self.by_feature: Any = None
        self.predict_seconds = 0.0

    def epoch(self, watch: Watch) -> None:
        """Transpose the features."""
        self.by_feature = self.train.T.tocsr()

    def best(self) -> bytes:
        """Find the neighbours of some rows at a time, and let them vote."""
        start, found = time.perf_counter(), []
        for first, last in parts(self.test, self.by_feature):
            rows, cosines = highest(self.test[first:last] @ self.by_feature, NEIGHBOURS)
            bounds = np.arange(0, rows.size + 1, NEIGHBOURS)
            # Where there is no neighbour, the cosine is 0 and any row will do.
            votes = csr_array(
                (cosines.ravel(), np.maximum(rows, 0).ravel(), bounds),
                shape=(last - first, self.settings.rows),
            )
            found.append(highest(votes @ self.labels, self.settings.k)[0])
            self._judge_pace(time.perf_counter() - start, last)
        self.predict_seconds = time.perf_counter() - start
        return np.concatenate(found).tobytes()

    def facts(self) -> dict[str, Any]:
        """Return how many neighbours vote, and how long all test rows took."""
        return {"neighbours": NEIGHBOURS, "predict_seconds": self.predict_seconds}

    def _judge_pace(self, seconds: float, done: int) -> None:
        limit, rows = self.settings.limit, self.test.shape[0]
        estimate = seconds / done * rows
        if done < rows and seconds >= min(SETTLED, limit) and estimate > limit:
            raise TooSlow("predict", estimate, done, limit)


def parts(rows: csr_array[Any], by_feature: csr_array[Any]) -> Iterator[tuple[int, int]]:
    """Yield bounds of rows whose cosines are few enough to be held, or of a single row.

    Examples
    --------
    >>> list(parts(csr_array(np.eye(3)), csr_array(np.eye(3))))
    [(0, 3)]
    """
    entries = np.diff(by_feature.indptr)[rows.indices].cumsum(dtype=np.int64)
    cosines = np.diff(np.concatenate(([0], entries))[rows.indptr])
    # A feature more does not make more rows than there are.
    ends = np.concatenate(([0], np.minimum(cosines, by_feature.shape[1]).cumsum()))
    start = 0
    while start < rows.shape[0]:
        stop = int(np.searchsorted(ends, ends[start] + MOST_COSINES, side="right")) - 1
        stop = max(stop, start + 1)
        yield start, stop
        start = stop


def highest(scores: csr_array[Any], k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the columns of the `k` highest scores above 0 of each row, ties by lower column.

    Where there are not as many, the column is -1 and the score 0.

    Examples
    --------
    >>> highest(csr_array(np.array([[0, 3, 5, 3], [0, 0, 2, -1]], np.float32)), 2)[0]
    array([[ 2,  1],
           [ 2, -1]], dtype=int32)
    """
    columns = np.full((scores.shape[0], k), -1, dtype=np.int32)
    values = np.zeros((scores.shape[0], k), dtype=np.float32)
    for row, (start, stop) in enumerate(pairwise(scores.indptr.tolist())):
        own, ids = scores.data[start:stop], scores.indices[start:stop]
        if len(own) > k:
            # Sorting a few is cheap; there may be hundreds of thousands.
            kept = own >= np.partition(own, len(own) - k)[len(own) - k]
            own, ids = own[kept], ids[kept]
        order = np.lexsort((ids, -own))[:k]
        order = order[own[order] > 0]
        columns[row, : len(order)], values[row, : len(order)] = ids[order], own[order]
    return columns, values

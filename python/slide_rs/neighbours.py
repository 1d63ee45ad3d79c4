"""Training rows that share rare features with a row, and the labels that they vote for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from slide_rs import defaults, evaluation, metrics, shortlists
from slide_rs.arrays import Features, n_rows
from slide_rs.labels import Labels
from slide_rs.ranker import LOOKED_AT, Classifiers
from slide_rs.topk import TopK

__all__ = ["MOST", "Neighbours", "added", "chosen", "heard", "proposed"]

#: Values of training rows beyond which there are no neighbours: an index takes 16 bytes for each.
MOST = 1 << 24
#: Neighbours of a row, labels that they propose, and the power of a similarity, in parts of the
#: greatest, that a vote is.
NEAREST, PROPOSED, POWER = 30, 50, 6
#: Weights of a vote that are tried.
WEIGHTS = (2.0, 4.0, 8.0)
#: By how much neighbours must raise nDCG@5 on held-out rows. These may have siblings among the
#: training rows, as what comes later may not, and nothing finds siblings better than neighbours.
GAIN = 1.1


class Neighbours:
    """An inverted index of training rows, and their labels.

    Two rows are as similar as the sum of log((1 + n) / (1 + n_f)) over the features that they
    share, where n_f of n rows have feature f: BM25 with b = 0 and features that are there or not
    (Robertson and Zaragoza, "The probabilistic relevance framework", 2009, section 3.4.3). The 30
    most similar rows vote for their labels, each with its similarity in parts of the greatest to
    the power 6.

    Parameters
    ----------
    x : Features
        The features of the training rows; of their values no use is made.
    y : Labels
        Their labels.
    sizes : pair of int
        Numbers of features and of labels.
    weight : float
        What a vote counts beside a log probability.
    threads : int, optional
        All that there are.

    Examples
    --------
    >>> x = (np.arange(3), np.array([0, 1]), np.ones(2, np.float32))
    >>> near = Neighbours(x, (np.arange(3), np.array([7, 4])), (2, 9), weight=2.0)
    >>> near.votes(x).toarray().argmax(axis=1).tolist()
    [7, 4]
    """

    def __init__(
        self,
        x: Features,
        y: Labels,
        sizes: tuple[int, int],
        weight: float,
        threads: int | None = None,
    ) -> None:
        bounds, ids = _present(x, sizes[0])
        rows, counts = len(bounds) - 1, np.bincount(ids, minlength=sizes[0])
        rare = np.log((1 + rows) / (1 + counts)).astype(np.float32)
        arrays = bounds.astype(np.int64), ids.astype(np.int32), rare[ids]
        none = np.zeros(rows, dtype=np.float32)
        self._index = Classifiers.from_arrays(sizes[0], (*arrays, none), threads)
        ones = np.ones(len(y[1]), dtype=np.float32)
        # Copied: what was fitted must not follow what the caller does to the arrays.
        self._labels = csr_array((ones, y[1], y[0]), shape=(rows, sizes[1]), copy=True)
        self.weight = weight

    @classmethod
    def checked(
        cls,
        arrays: tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]],
        sizes: tuple[int, int],
        weight: float,
        threads: int | None,
    ) -> Neighbours:
        """Put them together from what `arrays` returned.

        Raises
        ------
        ValueError
            If these are no such arrays.
        """
        bounds, ids, label_bounds, labels = arrays
        for starts, found, most in ((bounds, ids, sizes[0]), (label_bounds, labels, sizes[1])):
            right = (
                len(starts) > 1
                and starts[0] == 0
                and starts[-1] == len(found)
                and bool((np.diff(starts) >= 0).all())
                and (not len(found) or 0 <= found.min() <= found.max() < most)
            )
            if not right or len(starts) != len(bounds):
                raise ValueError("its neighbours are not rows of features and labels")
        x = bounds, ids, np.ones(len(ids), dtype=np.float32)
        return cls(x, (label_bounds, labels), sizes, weight, threads)

    def arrays(
        self,
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64], NDArray[np.int32]]:
        """Return where the features of each row begin, and they; the same of its labels."""
        bounds, ids, _, _ = self._index.arrays()
        labels = self._labels
        return bounds, ids, labels.indptr.astype(np.int64), labels.indices.astype(np.int32)

    def votes(self, x: Features) -> csr_array[np.float32]:
        """Return the votes for labels, an array of shape (rows, labels) with few in a row."""
        bounds, ids = _present(x, self._index.n_features)
        present = bounds, ids, np.ones(len(ids), dtype=np.float32)
        count = self._labels.shape[0]
        near = self._index.propose(present, min(NEAREST, count), defaults.postings(count))
        found = near >= 0
        listed = shortlists.flat(near, found)
        scores = np.zeros(near.shape, dtype=np.float32)
        scores[found] = self._index.score(present, listed)
        # A row that shares nothing but what all have is similar to none.
        greatest = np.maximum(scores.max(axis=1, initial=0, keepdims=True), np.float32(1e-30))
        shares = np.maximum(scores / greatest, 0)[found] ** np.float32(POWER)
        ballots = csr_array((shares, listed[1], listed[0]), shape=(n_rows(x), count))
        result: csr_array[np.float32] = ballots @ self._labels
        result.sort_indices()
        return result


def _present(x: Features, n_features: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return where the features of each row begin that are not zero, and which these are."""
    if isinstance(x, tuple):
        bounds, ids, values = x
        if values.all():
            return bounds, ids
        found = csr_array((values, ids, bounds), shape=(len(bounds) - 1, n_features), copy=True)
        found.eliminate_zeros()
    else:
        found = csr_array(x)
    return found.indptr, found.indices


def proposed(votes: csr_array[np.float32]) -> NDArray[np.int32]:
    """Return the labels of each row with most votes, padded with -1.

    Examples
    --------
    >>> proposed(csr_array(np.array([[0, 1, 2], [0, 0, 0]], np.float32)))[:, :3].tolist()
    [[2, 1, -1], [-1, -1, -1]]
    """
    rows = np.repeat(np.arange(votes.shape[0]), np.diff(votes.indptr))
    order = np.lexsort((votes.indices, -votes.data, rows))
    place = np.arange(len(order)) - votes.indptr[rows]
    kept = place < PROPOSED
    result = np.full((votes.shape[0], PROPOSED), -1, dtype=np.int32)
    result[rows[kept], place[kept]] = votes.indices[order][kept]
    return result


def heard(
    neighbours: Neighbours | None, x: Features, others: NDArray[np.int32] | None
) -> tuple[NDArray[np.int32] | None, csr_array[np.float32] | None]:
    """Return what others propose with what the neighbours do, and the votes of these.

    Examples
    --------
    >>> heard(None, np.eye(2, dtype=np.float32), None)
    (None, None)
    """
    if neighbours is None:
        return others, None
    votes = neighbours.votes(x)
    own = proposed(votes)
    return own if others is None else np.concatenate([others, own], axis=1), votes


def added(top: TopK, votes: csr_array[np.float32] | None, neighbours: Neighbours | None) -> TopK:
    """Return shortlists with what the votes count added to their scores, in the same order.

    Examples
    --------
    >>> x = (np.arange(3), np.array([0, 1]), np.ones(2, np.float32))
    >>> found = Neighbours(x, (np.arange(3), np.array([0, 1])), (2, 2), weight=4.0)
    >>> top = TopK(np.array([[1, 0, -1]], np.int32), np.array([[-1, -2, -np.inf]], np.float32))
    >>> added(top, csr_array(np.array([[0.5, 0]], np.float32)), found).scores.tolist()
    [[-1.0, 0.0, -inf]]
    """
    if neighbours is None or votes is None or not votes.nnz:
        return top
    width = np.int64(votes.shape[1])
    rows = np.repeat(np.arange(votes.shape[0], dtype=np.int64), np.diff(votes.indptr))
    keys = rows * width + votes.indices
    wanted = np.arange(len(top.labels), dtype=np.int64)[:, None] * width + top.labels
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    found = (keys[place] == wanted) & (top.labels >= 0)
    more = np.where(found, votes.data[place], np.float32(0)) * np.float32(neighbours.weight)
    return TopK(top.labels, top.scores + more)


def chosen(
    found: Neighbours | None,
    ranked: Callable[[Neighbours | None], TopK],
    labels: Labels,
    n_labels: int,
) -> Neighbours | None:
    """Return neighbours with the weight that helps held-out rows most; None if it hardly does.

    Parameters
    ----------
    found : Neighbours, optional
        Those of the rows that were not held out; their weight is changed.
    ranked : function
        The best labels of the held-out rows with these neighbours, or without.
    labels : Labels
        Their labels.
    n_labels : int
        Number of labels.
    """
    if found is None:
        return None
    truth = evaluation.as_csr(labels, n_labels)

    def judged(weight: float) -> float:
        found.weight = weight
        top = ranked(found if weight else None)
        return metrics.ndcg_at_k(truth, evaluation.widened(top, LOOKED_AT), LOOKED_AT)

    least = GAIN * judged(0.0)
    best, found.weight = max((judged(weight), weight) for weight in WEIGHTS)
    return found if best > least else None

"""What several networks propose together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from slide_rs import _core
from slide_rs.arrays import Features, n_rows, slice_rows
from slide_rs.labels import Labels
from slide_rs.topk import TopK

__all__ = ["chunks", "flat", "followed", "log_softmax", "ordered", "propose", "stacked", "weighed"]

# Rows at a time: what is made on the way stays small.
CHUNK = 8192


def propose(
    cores: Sequence[_core.Network],
    x: Features,
    k: int,
    mode: str,
    others: NDArray[np.int32] | None = None,
) -> TopK:
    """Return what networks propose, by the mean of their log probabilities.

    Each network proposes its best `k`; all of them score what any of them proposed, and take a
    softmax over that.

    Parameters
    ----------
    cores : sequence of networks
        At least one.
    x : Features
        At most a few thousand rows.
    k : int
        At most the number of labels.
    mode : {"exact", "lsh"}
        How each network finds its best.
    others : array of int32, shape (n, m), optional
        Labels that are proposed as well; -1 where there are fewer.

    Returns
    -------
    TopK
        All that was proposed, best first: `k` for each network and `m`, padded with -1.
    """
    found = [core.predict_topk(x, k, mode) for core in cores]
    if len(found) == 1 and others is None:
        labels, scores = found[0]
        return TopK(labels, log_softmax(scores))
    parts = [labels for labels, _ in found] + ([] if others is None else [others])
    together = np.sort(np.concatenate(parts, axis=1), axis=1)
    fresh = together >= 0
    fresh[:, 1:] &= together[:, 1:] != together[:, :-1]
    # What is no label of its row goes behind all labels, so that rows are lists again.
    candidates = flat(together, fresh)
    mean = np.zeros(together.shape, dtype=np.float32)
    for core in cores:
        scores = np.full(together.shape, -np.inf, dtype=np.float32)
        scores[fresh] = core.score(x, candidates)
        mean += log_softmax(scores) / np.float32(len(cores))
    top = TopK(np.where(fresh, together, np.int32(-1)), mean)
    return ordered(top, together.shape[1])


def flat(labels: NDArray[np.int32], kept: NDArray[np.bool_]) -> Labels:
    """Return the labels that are kept as ``(indptr, ids)``.

    Examples
    --------
    >>> found = np.array([[3, 1], [2, -1]], np.int32)
    >>> [part.tolist() for part in flat(found, found >= 0)]
    [[0, 2, 3], [3, 1, 2]]
    """
    indptr = np.concatenate(([0], np.cumsum(kept.sum(axis=1), dtype=np.int64)))
    found = labels[kept]
    if len(found) > np.iinfo(np.int32).max:
        return indptr, found.astype(np.int64)
    return indptr.astype(np.int32), found


def ordered(top: TopK, k: int) -> TopK:
    """Return the best `k` of each row, best first, ties by lower label, padding last.

    Examples
    --------
    >>> top = TopK(np.array([[3, 1, -1]], np.int32), np.array([[1, 2, -np.inf]], np.float32))
    >>> ordered(top, 2).labels
    array([[1, 3]], dtype=int32)
    """
    order = np.lexsort((top.labels, -top.scores), axis=1)[:, :k]
    return TopK(
        np.take_along_axis(top.labels, order, axis=1),
        np.take_along_axis(top.scores, order, axis=1),
    )


def weighed(top: TopK, extra: NDArray[np.float32], weight: float, k: int) -> TopK:
    """Return the best `k` by log probability and what classifiers say, weighed.

    Examples
    --------
    >>> top = TopK(np.array([[1, 2]], np.int32), np.zeros((1, 2), np.float32))
    >>> weighed(top, np.array([[0.5, 1]], np.float32), 4.0, k=1).scores
    array([[4.]], dtype=float32)
    """
    return ordered(TopK(top.labels, top.scores + np.float32(weight) * extra), k)


def followed(first: TopK, longer: TopK) -> TopK:
    """Return as many labels as `longer` has: those of `first`, then its others, in its order.

    Their scores go on below the last of `first`.

    Examples
    --------
    >>> first = TopK(np.array([[7]], np.int32), np.array([[5]], np.float32))
    >>> longer = TopK(np.array([[3, 7]], np.int32), np.array([[-1, -2]], np.float32))
    >>> [part.tolist() for part in followed(first, longer)]
    [[[7, 3]], [[5.0, 5.0]]]
    """
    rows, k = longer.labels.shape
    base = np.arange(rows, dtype=np.int64)[:, None] << 32
    fresh = (longer.labels >= 0) & ~np.isin(base + longer.labels, base + first.labels)
    scores = np.where(fresh, longer.scores, np.float32(-np.inf))
    rest = ordered(TopK(np.where(fresh, longer.labels, np.int32(-1)), scores), k)
    last = np.where(np.isfinite(first.scores), first.scores, np.inf).min(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        below = np.where(rest.labels >= 0, rest.scores - rest.scores[:, :1] + last, -np.inf)
    below = below.astype(np.float32)
    together = TopK(
        np.concatenate([first.labels, rest.labels], axis=1),
        np.concatenate([first.scores, below], axis=1),
    )
    # Padding of the first goes behind what follows; nothing else changes its place.
    order = np.argsort(together.labels < 0, axis=1, kind="stable")[:, :k]
    return TopK(
        np.take_along_axis(together.labels, order, axis=1),
        np.take_along_axis(together.scores, order, axis=1),
    )


def stacked(tops: Sequence[TopK], k: int) -> TopK:
    """Put the answers of parts below each other.

    Examples
    --------
    >>> stacked([], 3).labels.shape
    (0, 3)
    """
    if not tops:
        return TopK(np.empty((0, k), np.int32), np.empty((0, k), np.float32))
    return TopK(
        np.concatenate([top.labels for top in tops]), np.concatenate([top.scores for top in tops])
    )


def log_softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return log probabilities of each row; minus infinity stays what it is.

    Examples
    --------
    >>> log_softmax(np.array([[0.0, 0.0], [1.0, -np.inf]], np.float32)).tolist()
    [[-0.6931471824645996, -0.6931471824645996], [0.0, -inf]]
    """
    # A row in which nothing was found has no greatest score.
    greatest = np.maximum(scores.max(axis=1, keepdims=True), np.finfo(np.float32).min)
    shifted = scores - greatest
    # The exponential of the greatest is 1, so that only such a row has a sum of 0.
    total = np.log(np.maximum(np.exp(shifted).sum(axis=1, keepdims=True), 1))
    result: NDArray[np.float32] = shifted - total
    return result


def chunks(x: Features) -> Iterator[tuple[int, int, Features]]:
    """Return where parts of a few thousand rows begin and end, and these parts.

    Examples
    --------
    >>> [(start, stop) for start, stop, _ in chunks(np.zeros((9000, 1), np.float32))]
    [(0, 8192), (8192, 9000)]
    """
    for start in range(0, n_rows(x), CHUNK):
        stop = min(start + CHUNK, n_rows(x))
        yield start, stop, slice_rows(x, start, stop)

"""From scores to answers: best labels, chosen candidates, probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from slide_rs import _core, checks
from slide_rs.arrays import Features, Index, n_rows, slice_rows
from slide_rs.labels import Candidates, Labels
from slide_rs.labels import candidates as read_candidates
from slide_rs.topk import TopK

__all__ = ["Scorer", "among_candidates", "answer", "best", "masked", "probabilities", "scores"]

MODES = ("exact", "lsh")
#: The losses whose scores tell probabilities.
PROBABLE = ("softmax", "softmax_per_label", "sigmoid")
# Between two calls of the engine Ctrl-C is heard, and its buffers are this many rows long.
CHUNK = 8192
#: Rows of one call have at most this many candidates together, unless a single row has more.
PAIRS = 1 << 20
MOST_CELLS = 10_000_000


class Scorer(Protocol):
    """What answers are made from: the engine, or a file that is mapped."""

    def predict_topk(
        self, x: Features, k: int, mode: str
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the best labels of each row and their scores."""

    def score(self, x: Features, candidates: Labels) -> NDArray[np.float32]:
        """Return the score of each candidate of each row."""


def answer(
    core: Scorer, x: Features, wanted: tuple[int, str], candidates: object, units: int
) -> TopK:
    """Return the best of all labels or of candidates; `wanted` is how many, and the mode."""
    k, mode = wanted
    checks.choice("mode", mode, MODES)
    if candidates is None:
        return best(core, x, k, mode)
    if mode != "exact":
        raise ValueError(f"candidates: found with mode={mode!r}, wanted mode='exact'")
    return among_candidates(core, x, read_candidates(candidates, units, n_rows(x)), k)


def best(core: Scorer, x: Features, k: int, mode: str) -> TopK:
    """Return the `k` best of all labels."""
    if n_rows(x) <= CHUNK:
        return TopK(*core.predict_topk(x, k, mode))
    parts = [core.predict_topk(slice_rows(x, *rows), k, mode) for rows in _chunks(n_rows(x))]
    return TopK(
        np.concatenate([labels for labels, _ in parts]),
        np.concatenate([scores for _, scores in parts]),
    )


def among_candidates(core: Scorer, x: Features, candidates: Candidates, k: int) -> TopK:
    """Return the `k` best of each row's candidates, computing the scores of no other label."""
    top = _empty(n_rows(x), k)
    for start, stop in _chunks_by_pairs(candidates.bounds):
        indptr, ids = candidates.rows(start, stop)
        scores = core.score(slice_rows(x, start, stop), (indptr, ids))
        rows = np.repeat(np.arange(stop - start), np.diff(indptr))
        # Best first within a row, ties by lower id, as the engine orders.
        order = np.lexsort((ids, -scores, rows))
        place = np.arange(len(ids)) - indptr[rows]
        kept = place < k
        chosen = order[kept]
        top.labels[start + rows[kept], place[kept]] = ids[chosen]
        top.scores[start + rows[kept], place[kept]] = scores[chosen]
    return top


def masked(top: TopK, threshold: float) -> TopK:
    """Return `top` with padding in place of every score below `threshold`.

    Examples
    --------
    >>> top = TopK(np.array([[2, 0]], np.int32), np.array([[1.5, 0.5]], np.float32))
    >>> masked(top, 1.0).labels
    array([[ 2, -1]], dtype=int32)
    """
    low = top.scores < checks.number("threshold", threshold)
    return TopK(
        np.where(low, np.int32(-1), top.labels),
        np.where(low, np.float32(-np.inf), top.scores),
    )


def probabilities(
    core: _core.Network, x: Features, n_labels: int, loss: str
) -> NDArray[np.float32]:
    """Return the probabilities that the loss makes of all scores.

    Raises
    ------
    ValueError
        If the loss has none, or they are more than 10,000,000 numbers.
    """
    if loss not in PROBABLE:
        raise ValueError(
            f"loss: found {loss!r}, whose scores are no probabilities, wanted one of {PROBABLE}; "
            "predict_topk returns scores"
        )
    powers = scores(core, x, n_labels)
    if not len(powers):
        return powers
    if loss == "sigmoid":
        # Of exp(-|a|), which never overflows.
        small = np.exp(-np.abs(powers))
        logistic: NDArray[np.float32] = np.where(powers < 0, small, np.float32(1)) / (1 + small)
        return logistic
    powers -= powers.max(axis=1, keepdims=True)
    np.exp(powers, out=powers)
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def scores(core: _core.Network, x: Features, n_labels: int) -> NDArray[np.float32]:
    """Return the scores of all labels.

    Raises
    ------
    ValueError
        If they are more than 10,000,000 numbers.
    """
    cells = n_rows(x) * n_labels
    if cells > MOST_CELLS:
        raise ValueError(
            f"X: found {n_rows(x):,} rows, which with {n_labels:,} labels are {cells:,} "
            f"numbers, wanted at most {MOST_CELLS:,}; predict_topk returns only the best"
        )
    return core.scores(x) if cells else np.empty((0, n_labels), dtype=np.float32)


def _chunks(rows: int) -> Iterator[tuple[int, int]]:
    for start in range(0, rows, CHUNK):
        yield start, min(start + CHUNK, rows)


def _chunks_by_pairs(bounds: Index) -> Iterator[tuple[int, int]]:
    # The sum below may be beyond int32.
    ends = bounds.astype(np.int64, copy=False)
    start, rows = 0, len(ends) - 1
    while start < rows:
        fits = int(np.searchsorted(ends, ends[start] + PAIRS, side="right")) - 1
        stop = min(max(fits, start + 1), start + CHUNK)
        yield start, stop
        start = stop


def _empty(rows: int, k: int) -> TopK:
    return TopK(
        np.full((rows, k), -1, dtype=np.int32), np.full((rows, k), -np.inf, dtype=np.float32)
    )

"""How the ranker of an ensemble is trained: what it is to tell apart, and how much it counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from slide_rs import _core, defaults, evaluation, metrics, shortlists, subsets
from slide_rs.arrays import Features, n_rows
from slide_rs.labels import Labels
from slide_rs.neighbours import MOST, Neighbours
from slide_rs.ranker import LOOKED_AT, WEIGHT, WEIGHTS, Classifiers, Ranker
from slide_rs.topk import TopK

__all__ = ["Task", "best_weight", "once"]

#: When classifiers are good enough to say which labels they take wrongly for those of a row.
TOLERANCE, PASSES = 0.3, 5
#: How many times as many labels they propose as the networks do.
OWN = 2


@dataclass(frozen=True, slots=True)
class Task:
    """Rows that classifiers are trained on, and how.

    Examples
    --------
    >>> x = (np.arange(3), np.array([0, 1]), np.ones(2, np.float32))
    >>> task = Task(x, (np.arange(3), np.array([0, 1])), (2, 2), Ranker(), seed=0)
    >>> both = np.array([[0, 1], [1, 0]], np.int32)
    >>> task.train(both, np.arange(2)).propose(x, k=1, most=10).ravel().tolist()
    [0, 1]
    """

    x: Features
    y: Labels
    #: Numbers of features and of labels.
    sizes: tuple[int, int]
    settings: Ranker
    seed: int
    threads: int | None = None

    def train(self, listed: NDArray[np.int32], rows: NDArray[np.int64]) -> Classifiers:
        """Train on these rows; `listed` has what is proposed for all, and -1 anywhere."""
        return self._train(listed, rows, self.settings)

    def train_rest(
        self, trained: Classifiers, listed: NDArray[np.int32], rest: NDArray[np.int64]
    ) -> Classifiers:
        """Train on all rows the labels of those in `rest`, which `trained` has not seen.

        For other labels these would be but a few more negatives.
        """
        again = np.zeros(self.sizes[1], dtype=np.bool_)
        again[subsets.labels_of(self.y, rest)[1]] = True
        lists = shortlists.flat(listed, listed >= 0)
        return trained.refit(self.x, self.y, lists, again, self.settings, seed=self.seed)

    def neighbours(self, rows: NDArray[np.int64] | None, weight: float = 0.0) -> Neighbours | None:
        """Return what these rows, or all, are to others, if wanted and not too many."""
        wanted = self.settings.neighbours
        if not wanted or not isinstance(self.x, tuple) or len(self.x[1]) > MOST:
            return None
        x: Features = self.x
        y = self.y
        if rows is not None:
            x, y = subsets.take(x, rows), subsets.labels_of(y, rows)
        return Neighbours(x, y, self.sizes, weight, self.threads)

    def proposals(
        self, cores: Sequence[_core.Network], mode: str, rows: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """Return what networks and classifiers propose for each row of `x`.

        To the labels that the networks propose come those that classifiers would, which see the
        features alone and were trained on `rows` against what the networks propose. What they
        take wrongly for a label of a row no network may, and they are asked for labels too (hard
        negatives of the model itself: Xiong et al., "Approximate nearest neighbor negative
        contrastive learning for dense text retrieval", ICLR 2021, section 3).
        """
        units = self.sizes[1]
        k = min(self.settings.shortlist, units)
        own = min(OWN * k, units)
        listed = np.full((n_rows(self.x), k + own), -1, dtype=np.int32)
        proposed = listed[:, :k]
        for start, stop, part in shortlists.chunks(self.x):
            proposed[start:stop] = shortlists.propose(cores, part, k, mode).labels[:, :k]
        quick = replace(
            self.settings,
            tolerance=max(self.settings.tolerance, TOLERANCE),
            max_iter=min(self.settings.max_iter, PASSES),
        )
        trained = self._train(proposed, rows, quick)
        most = defaults.postings(units)
        for start, stop, part in shortlists.chunks(self.x):
            listed[start:stop, k:] = trained.propose(part, own, most)
        return once(listed)

    def _train(
        self, listed: NDArray[np.int32], rows: NDArray[np.int64], settings: Ranker
    ) -> Classifiers:
        x, y = self.x, self.y
        if len(rows) < n_rows(x):
            x, y, listed = subsets.take(x, rows), subsets.labels_of(y, rows), listed[rows]
        lists = shortlists.flat(listed, listed >= 0)
        return Classifiers.fit(
            x, y, lists, self.sizes, settings, seed=self.seed, threads=self.threads
        )


def once(listed: NDArray[np.int32]) -> NDArray[np.int32]:
    """Put -1 in place of what stands in a row before, and the rest in ascending order, in place.

    Examples
    --------
    >>> once(np.array([[4, 2, 3, 2]], np.int32))
    array([[ 2, -1,  3,  4]], dtype=int32)
    """
    for start in range(0, len(listed), shortlists.CHUNK):
        part = listed[start : start + shortlists.CHUNK]
        part.sort(axis=1)
        part[:, 1:][part[:, 1:] == part[:, :-1]] = -1
    return listed


def best_weight(
    parts: Sequence[tuple[TopK, NDArray[np.float32]]], truth: csr_array[np.float32]
) -> float:
    """Return the weight by rule, or the best of lesser ones where none at all is better.

    A thousand rows do not tell 3 from 6; that a ranker harms, they do. It is judged by nDCG@5.

    Parameters
    ----------
    parts : sequence of (TopK, array)
        Shortlists and what classifiers say of them.
    truth : csr_array
        The labels of their rows.
    """
    k = min(LOOKED_AT, truth.shape[1])

    def judged(weight: float) -> float:
        top = shortlists.stacked([shortlists.weighed(*part, weight, k) for part in parts], k)
        return metrics.ndcg_at_k(truth, evaluation.widened(top, LOOKED_AT), LOOKED_AT)

    return WEIGHT if judged(WEIGHT) >= judged(0.0) else max(WEIGHTS, key=judged)

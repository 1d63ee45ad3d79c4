"""From scores to probabilities: how often scores as high were right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Calibration", "Isotonic", "expected_calibration_error"]

#: Rows below which a rank shares the regression of the one before it.
FEWEST = 100


@dataclass(frozen=True, slots=True)
class Isotonic:
    """Probabilities that never fall while scores rise.

    From the least to the greatest score of a block it is constant, as it is beyond the first and
    the last, and between two blocks a straight line (Zadrozny and Elkan, "Transforming classifier
    scores into accurate multiclass probability estimates", KDD 2002, section 3).

    Examples
    --------
    >>> isotonic = Isotonic.fit([0, 1, 2, 3], [False, True, False, True])
    >>> isotonic(np.array([-1.0, 0.5, 1.5, 9.0])).tolist()
    [0.0, 0.25, 0.5, 1.0]
    """

    #: Scores, ascending: the least and the greatest of each block.
    scores: NDArray[np.float64]
    #: The probability at each.
    probabilities: NDArray[np.float64]

    @classmethod
    def fit(cls, scores: ArrayLike, correct: ArrayLike) -> Isotonic:
        """Fit by the pool adjacent violators algorithm.

        Parameters
        ----------
        scores : array of float
            Finite scores, at least one.
        correct : array of bool
            Whether each was that of a true label.
        """
        right = np.asarray(correct, dtype=np.float64).ravel()
        # Equal scores are one, whatever their order.
        levels, place, counts = np.unique(
            np.asarray(scores, dtype=np.float64).ravel(), return_inverse=True, return_counts=True
        )
        truths = np.bincount(place.ravel(), weights=right)
        # Each block: the sum of its truths, how many there are, its least and greatest score.
        blocks: list[list[float]] = []
        for score, truth, count in zip(levels, truths, counts, strict=True):
            blocks.append([float(truth), float(count), float(score), float(score)])
            while len(blocks) > 1 and _mean(blocks[-2]) >= _mean(blocks[-1]):
                last = blocks.pop()
                blocks[-1][0] += last[0]
                blocks[-1][1] += last[1]
                blocks[-1][3] = last[3]
        found = np.array(blocks, dtype=np.float64)
        return cls(found[:, 2:].ravel(), np.repeat(found[:, 0] / found[:, 1], 2))

    @classmethod
    def checked(cls, scores: NDArray[np.float64], probabilities: NDArray[np.float64]) -> Isotonic:
        """Return what arrays of a file say.

        Raises
        ------
        ValueError
            If they are not as many, ascending, and from 0 to 1.
        """
        right = (
            len(scores) == len(probabilities) > 0
            and bool(np.isfinite(scores).all() and (np.diff(scores) >= 0).all())
            and bool((np.diff(probabilities) >= 0).all())
            and 0 <= probabilities[0] <= probabilities[-1] <= 1
        )
        if not right:
            raise ValueError("its calibration does not rise from 0 to 1")
        return cls(scores, probabilities)

    def __call__(self, scores: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return the probability of each score; 0 for minus infinity."""
        found = np.interp(scores, self.scores, self.probabilities)
        return np.where(np.isneginf(scores), 0.0, found).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Probabilities of the best labels of a row, by their scores and their ranks.

    A first label is right more often than a second one of the same score, since the first was the
    best of its row; so each rank has an isotonic regression of its own. Ranks beyond those that
    were looked at share that of the last, and no label is likelier than one before it.

    Examples
    --------
    >>> calibration = Calibration.fit(np.array([[3.0, 1.0], [2.0, 1.5]]), np.eye(2, dtype=bool))
    >>> calibration(np.array([[3.0, 1.5, 1.0]])).tolist()
    [[1.0, 1.0, 0.0]]
    """

    ranks: tuple[Isotonic, ...]

    @classmethod
    def fit(cls, scores: NDArray[np.floating[Any]], correct: NDArray[np.bool_]) -> Calibration:
        """Fit to the best labels of rows that were not trained on.

        Parameters
        ----------
        scores : array of float, shape (n, k)
            Scores of the best `k` labels, best first; minus infinity where there are fewer.
        correct : array of bool, shape (n, k)
            Which of them are true labels.
        """
        ranks = []
        for own, right in zip(scores.T, correct.T, strict=True):
            found = np.isfinite(own)
            if np.count_nonzero(found) < min(FEWEST, len(own)) or not len(own):
                break
            ranks.append(Isotonic.fit(own[found], right[found]))
        return cls(tuple(ranks))

    def __call__(self, scores: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return the probabilities of scores of shape (n, k), best first."""
        if not self.ranks:
            return np.zeros(scores.shape, dtype=np.float32)
        last = len(self.ranks) - 1
        columns = [self.ranks[min(i, last)](own) for i, own in enumerate(scores.T)]
        found: NDArray[np.float32] = np.minimum.accumulate(np.stack(columns, axis=1), axis=1)
        return found


def expected_calibration_error(
    probabilities: ArrayLike, correct: ArrayLike, n_bins: int = 15
) -> float:
    """Return by how much probabilities differ from how often they were right.

    It is the mean over bins of equal width of the difference between the mean probability and the
    share of true ones, weighted by how many fall into a bin (Guo et al., "On calibration of modern
    neural networks", ICML 2017, equation 3).

    Parameters
    ----------
    probabilities : array of float
        From 0 to 1.
    correct : array of bool
        Whether each label was a true one.
    n_bins : int
        Number of bins.

    Examples
    --------
    >>> expected_calibration_error([0.9, 0.9, 0.1, 0.1], [True, True, False, False])
    0.1
    """
    found = np.asarray(probabilities, dtype=np.float64).ravel()
    right = np.asarray(correct, dtype=np.float64).ravel()
    bins = np.minimum((found * n_bins).astype(np.int64), n_bins - 1)
    gaps = np.bincount(bins, weights=found - right, minlength=n_bins)
    return round(float(np.abs(gaps).sum() / max(len(found), 1)), 12)


def _mean(block: list[float]) -> float:
    return block[0] / block[1]

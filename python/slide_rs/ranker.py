"""A linear classifier for each label, which orders the shortlists of a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from slide_rs import _core, checks
from slide_rs.arrays import Features, features
from slide_rs.labels import Labels

__all__ = ["Classifiers", "Ranker"]

#: Settings are floats of 32 bits in the engine.
MOST = 1e30

#: The weight of the ranker, and those that are tried where held-out rows are worse with it.
WEIGHT, WEIGHTS = 6.0, (0.0, 1.0, 3.0)
#: Labels that networks propose where there is no ranker to say how many.
SHORTLIST = 50
#: Labels of each held-out row that calibration looks at.
LOOKED_AT = 5


@dataclass(frozen=True, slots=True)
class Ranker:
    """How shortlists of an `Ensemble` are extended and ordered.

    For each label a linear support vector machine over the sparse features, one against the rest,
    is trained on the rows that have the label and on those in whose shortlist it stands wrongly
    (Yu et al., "PECOS: Prediction for Enormous and Correlated Output Spaces", JMLR 2022, section
    4: matcher-aware negatives). Rows are scaled to length 1. Shortlists are what networks propose
    and what an inverted index of the classifiers finds. What they say is added to the log
    probability of the networks: ``log p + weight * score``.

    Where held-out rows are better by a tenth of nDCG@5 with them, the training rows that share
    rare features with a row propose labels as well, and vote (`slide_rs.neighbours`): they, without
    their values, then become a part of the model and of its file.

    Parameters
    ----------
    weight : float, optional
        When not given, 6, or the best of 0, 1 and 3 by nDCG@5 where held-out rows are better
        with 0, the order of the networks alone, than with 6.
    shortlist : int
        Labels that each network proposes for a row, and the classifiers as well; in training these
        propose twice as many.
    cost : float
        What an error costs beside the length of the weights: C of liblinear.
    threshold : float
        Weights nearer to zero are left out (Babbar and Schölkopf, "DiSMEC", WSDM 2017, section 2).
    tolerance : float
        Passes over the rows of a label end when no dual variable has a greater gradient, or when
        there were `max_iter`.
    max_iter : int
        Most passes.
    neighbours : bool
        Whether training rows may vote; False keeps them out of the model and of its file.

    Examples
    --------
    >>> Ranker(shortlist=20).cost
    1.0
    """

    weight: float | None = None
    shortlist: int = 50
    cost: float = 1.0
    threshold: float = 0.1
    tolerance: float = 0.3
    max_iter: int = 20
    neighbours: bool = True

    def __post_init__(self) -> None:
        """Check the values."""
        if self.weight is not None:
            _keep(self, "weight", checks.number("weight", self.weight, least=0.0, below=MOST))
        _keep(self, "shortlist", checks.whole("shortlist", self.shortlist, 1, checks.MOST))
        _keep(self, "cost", checks.number("cost", self.cost, above=1 / MOST, below=MOST))
        _keep(self, "threshold", checks.number("threshold", self.threshold, least=0.0, below=MOST))
        _keep(self, "tolerance", checks.number("tolerance", self.tolerance, above=0.0, below=MOST))
        _keep(self, "max_iter", checks.whole("max_iter", self.max_iter, 1, checks.MOST))
        checks.flag("neighbours", self.neighbours)


class Classifiers:
    """The classifiers of all labels.

    Examples
    --------
    >>> x = (np.arange(3), np.array([0, 1]), np.ones(2, np.float32))
    >>> each = np.arange(3), np.array([0, 1])
    >>> both = np.array([0, 2, 4]), np.array([0, 1, 0, 1])
    >>> trained = Classifiers.fit(x, each, both, (2, 2), Ranker(), seed=0)
    >>> (trained.score(x, both) > 0).tolist()
    [True, False, False, True]
    """

    def __init__(self, core: _core.Ranker) -> None:
        self._core = core

    @classmethod
    def fit(
        cls,
        x: Features,
        y: Labels,
        shortlist: Labels,
        sizes: tuple[int, int],
        settings: Ranker,
        *,
        seed: int,
        threads: int | None = None,
    ) -> Classifiers:
        """Train them.

        Parameters
        ----------
        x : Features
            Rows of features; a copy is made for the work, 8 bytes a value.
        y, shortlist : Labels
            The labels of each row, and what was proposed for it.
        sizes : pair of int
            Numbers of features and of labels.
        settings : Ranker
            How.
        seed : int
            Of the order of rows, and of random negatives where a label has few others.
        threads : int, optional
            All that there are.
        """
        how = _how(settings, seed)
        return cls(_core.Ranker.fit(x, y, shortlist, sizes, *how, threads))

    def refit(
        self,
        x: Features,
        y: Labels,
        shortlist: Labels,
        again: NDArray[np.bool_],
        settings: Ranker,
        *,
        seed: int,
    ) -> Classifiers:
        """Return classifiers of which those that are marked in `again` are trained anew.

        Parameters
        ----------
        x, y, shortlist, settings, seed : as in ``fit``
            The rows, and how.
        again : array of bool, shape (labels,)
            The others stay as they are.
        """
        return Classifiers(self._core.refit(x, y, shortlist, again, *_how(settings, seed)))

    @classmethod
    def from_arrays(
        cls,
        n_features: int,
        arrays: tuple[
            NDArray[np.int64], NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]
        ],
        threads: int | None = None,
    ) -> Classifiers:
        """Put them together from what `arrays` returned.

        Raises
        ------
        ValueError
            If these are no such arrays.
        """
        return cls(_core.Ranker.from_parts(n_features, *arrays, threads))

    @property
    def n_labels(self) -> int:
        """How many classifiers there are."""
        return self._core.n_labels

    @property
    def n_features(self) -> int:
        """How many features they can see."""
        return self._core.n_features

    def score(self, x: object, candidates: Labels) -> NDArray[np.float32]:
        """Return the score of each candidate of each row, in their order.

        Parameters
        ----------
        x : as `X` of ``Network.fit``, or Features
            Rows of features.
        candidates : Labels
            Two arrays of int32 or of int64: where the labels of each row begin, and the labels.

        Raises
        ------
        TypeError
            If either is of another kind.
        """
        return self._core.score(self._rows(x), _lists("candidates", candidates))

    def propose(self, x: object, k: int, most: int) -> NDArray[np.int32]:
        """Return the `k` labels of each row for which most speaks of what an index says.

        Parameters
        ----------
        x : as `X` of ``Network.fit``, or Features
            Rows of features.
        k : int
            Labels of a row, at most as many as there are.
        most : int
            Weights that are read for a row, shared among its features; those that speak most for
            a label come first, so that what speaks against it may stay unread: the order is not
            that of `score`.

        Returns
        -------
        array of int32, shape (n, k)
            Labels, best first by the sum of what was read; -1 where no more were found.
        """
        k = checks.whole("k", k, 0, self._core.n_labels)
        return self._core.propose(self._rows(x), k, checks.whole("most", most, 0, checks.MOST))

    def arrays(
        self,
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
        """Return where the weights of each label begin, their features, them, and the biases."""
        return self._core.parts()

    def weights(self) -> tuple[csr_array[np.float32], NDArray[np.float32]]:
        """Return the weights as a CSR array, a row for each label, and the biases."""
        bounds, ids, weights, biases = self.arrays()
        shape = (self._core.n_labels, self._core.n_features)
        return csr_array((weights, ids, bounds), shape=shape), biases

    def _rows(self, x: object) -> Features:
        """Return rows as the engine takes them, which a tuple of three arrays has already."""
        if isinstance(x, tuple) and len(x) == 3 and all(isinstance(a, np.ndarray) for a in x):
            return x
        return features(x, self._core.n_features, name="x")

    def __repr__(self) -> str:
        return f"<slide_rs.Classifiers of {self._core.n_labels} labels>"


def _how(s: Ranker, seed: int) -> tuple[float, float, int, float, int]:
    return s.cost, s.tolerance, s.max_iter, s.threshold, seed


def _lists(name: str, found: object) -> Labels:
    """Return `found` if it is lists of labels as the engine takes them."""
    wanted = "wanted two vectors of int32 or of int64, where each row begins and its labels"
    if not isinstance(found, tuple) or len(found) != 2:
        count = f" of {len(found)}" if isinstance(found, tuple) else ""
        raise TypeError(f"{name}: found {type(found).__name__}{count}, {wanted}")
    kinds = [
        f"{a.ndim}-D {a.dtype}" if isinstance(a, np.ndarray) else type(a).__name__ for a in found
    ]
    if kinds not in (["1-D int32"] * 2, ["1-D int64"] * 2):
        raise TypeError(f"{name}: found {' and '.join(kinds)}, {wanted}")
    return found


def _keep(ranker: Ranker, name: str, value: object) -> None:
    object.__setattr__(ranker, name, value)

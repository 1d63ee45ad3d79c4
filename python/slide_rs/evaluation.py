"""Predictions of a network compared with the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from slide_rs import metrics as measures
from slide_rs import prediction
from slide_rs.arrays import Features
from slide_rs.labels import Labels, pattern
from slide_rs.topk import TopK

if TYPE_CHECKING:
    from slide_rs.network import Network

__all__ = [
    "Validation",
    "as_csr",
    "check",
    "compared",
    "deepest",
    "held_out",
    "measure",
    "needs_propensity",
    "right",
    "widened",
]


@dataclass(frozen=True, slots=True)
class Validation:
    """Held-out rows, and what to measure on them.

    Examples
    --------
    >>> x, y = np.eye(2, dtype=np.float32), (np.arange(3), np.arange(2))
    >>> Validation(None, x, y, ("p@1",), 2, y).metrics
    ('p@1',)
    """

    core: prediction.Scorer
    x: Features
    y: Labels
    metrics: tuple[str, ...]
    n_labels: int
    #: Propensities are those of the labels that were trained on.
    trained_labels: Labels

    def __call__(self) -> dict[str, float]:
        """Predict the rows and return the value of each metric."""
        weights = None
        if needs_propensity(self.metrics):
            weights = measures.inv_propensity(as_csr(self.trained_labels, self.n_labels))
        return measure(self.core, self.x, self.y, self.metrics, self.n_labels, weights)


def held_out(
    network: Network, pair: object, metrics: tuple[str, ...], trained_labels: Labels, *, copy: bool
) -> Validation:
    """Return what to measure on the pair (X, Y) that is given as ``validation_data``."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise TypeError("validation_data: wanted a pair (X, Y)")
    names = ("validation_data[0]", "validation_data[1]")
    x, y = network._pair(pair[0], pair[1], names, copy)
    units = network.config.output.units
    return Validation(network._core, x, pattern(y), metrics, units, trained_labels)


def check(metrics: object, *, propensity: bool = True) -> tuple[str, ...]:
    """Return the names of metrics as a tuple, if all are known.

    Parameters
    ----------
    metrics : object
        What the user gave.
    propensity : bool
        Whether there are propensities, which ``"psp@k"`` and ``"psndcg@k"`` need.

    Examples
    --------
    >>> check(["p@1", "ndcg@5"])
    ('p@1', 'ndcg@5')
    """
    if isinstance(metrics, str | bytes) or not isinstance(metrics, Sequence):
        raise TypeError(f"metrics: found {metrics!r}, wanted a list such as ['p@1', 'ndcg@5']")
    names = tuple(metrics)
    for name in names:
        measures.parse_name(name)
    if needs_propensity(names) and not propensity:
        raise ValueError(
            "inv_propensity: found None with psp@k or psndcg@k in metrics, "
            "wanted metrics.inv_propensity(labels trained on)"
        )
    return names


def needs_propensity(metrics: Sequence[str]) -> bool:
    """Tell whether a metric weighs labels by how rare they are.

    Examples
    --------
    >>> needs_propensity(["p@1", "psp@5"])
    True
    """
    return any(measures.parse_name(name)[0] in ("psp", "psndcg") for name in metrics)


def measure(
    core: prediction.Scorer,
    x: Features,
    y: Labels,
    metrics: tuple[str, ...],
    n_labels: int,
    inv_propensity: NDArray[Any] | None = None,
    mode: str = "exact",
) -> dict[str, float]:
    """Predict the rows of `x` and return the value of each metric."""
    if not metrics:
        return {}
    top = prediction.best(core, x, min(deepest(metrics), n_labels), mode)
    return compared(as_csr(y, n_labels), top, metrics, inv_propensity)


def deepest(metrics: Sequence[str]) -> int:
    """Return how many labels of a row the metrics look at; there must be one.

    Examples
    --------
    >>> deepest(["p@1", "ndcg@5"])
    5
    """
    return max(measures.parse_name(name)[1] for name in metrics)


def compared(
    truth: csr_array[np.float32],
    top: TopK,
    metrics: tuple[str, ...],
    inv_propensity: NDArray[Any] | None = None,
) -> dict[str, float]:
    """Compare predictions with the truth and return the value of each metric.

    Examples
    --------
    >>> top = TopK(np.array([[1], [0]], np.int32), np.ones((2, 1), np.float32))
    >>> compared(csr_array(np.eye(2, dtype=np.float32)), top, ("p@1",))
    {'p@1': 0.0}
    """
    wide = widened(top, deepest(metrics))
    return measures.evaluate(truth, wide, metrics, inv_propensity=inv_propensity)


def as_csr(y: Labels, n_labels: int) -> csr_array[np.float32]:
    """Return labels as a CSR array of ones.

    Examples
    --------
    >>> as_csr((np.array([0, 1]), np.array([2])), 3).toarray()
    array([[0., 0., 1.]], dtype=float32)
    """
    indptr, ids = y
    ones = np.ones(len(ids), dtype=np.float32)
    return csr_array((ones, ids, indptr), shape=(len(indptr) - 1, n_labels))


def right(truth: csr_array[np.float32], top: TopK) -> NDArray[np.bool_]:
    """Return which of the predicted labels are true ones.

    Examples
    --------
    >>> top = TopK(np.array([[1, 0]], np.int32), np.ones((1, 2), np.float32))
    >>> right(csr_array(np.array([[1, 0]], np.float32)), top)
    array([[False,  True]])
    """
    rows = np.repeat(np.arange(len(top.labels)), top.labels.shape[1])
    found = np.asarray(truth[rows, np.maximum(top.labels, 0).ravel()]).reshape(top.labels.shape)
    return (found > 0) & (top.labels >= 0)


def widened(top: TopK, k: int) -> TopK:
    """Pad to `k` columns where there are fewer labels than a metric looks at.

    Examples
    --------
    >>> widened(TopK(np.zeros((1, 1), np.int32), np.ones((1, 1), np.float32)), 2).labels
    array([[ 0, -1]], dtype=int32)
    """
    missing = ((0, 0), (0, k - top.labels.shape[1]))
    return TopK(
        np.pad(top.labels, missing, constant_values=-1),
        np.pad(top.scores, missing, constant_values=-np.inf),
    )

"""How good a ranking is: precision, recall and nDCG of the first `k` labels.

The definitions are those of the Extreme Classification Repository
(http://manikvarma.org/downloads/XC/XMLRepository.html), so values compare with published ones
after a division: here 1.0 is perfect, where papers print 100. Every metric is a mean over *all*
rows; a row without true labels counts with 0. With ``hit(i)`` for "the label at rank `i` is true"
and ``d(i) = 1 / log2(i + 1)``, for a row of `y` true labels:

==========  =============================================================
``p@k``     ``sum(hit(i) for i <= k) / k``
``r@k``     ``sum(hit(i) for i <= k) / y``
``ndcg@k``  ``sum(hit(i) * d(i) for i <= k) / sum(d(i) for i <= min(k, y))``
==========  =============================================================

``psp@k`` and ``psndcg@k`` weigh each hit by the label's inverse propensity (Jain, Prabhu and
Varma, "Extreme Multi-label Loss Functions", KDD 2016), and divide the mean by the best mean that
any ranking could have: rare labels count more, and the best value is again 1.

True labels are given as a CSR matrix (a value that is not zero makes its column a label: grades,
which training reads there, are ignored by all metrics, so gains in nDCG are 0 or 1) or as a
list with the label ids of each row. Predictions are a `TopK`, a 2-D array of label ids, best
first, or a CSR matrix of scores, of which the highest count, ties by lower id. Label -1 is padding
and never hits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from slide_rs import arrays, checks
from slide_rs.labels import labels as read_labels
from slide_rs.notices import Notices

__all__ = [
    "evaluate",
    "inv_propensity",
    "ndcg_at_k",
    "parse_name",
    "precision_at_k",
    "psndcg_at_k",
    "psprecision_at_k",
    "recall_at_k",
]

_Floats: TypeAlias = NDArray[np.float64]
_NAME = re.compile(r"(p|r|ndcg|psp|psndcg)@([1-9][0-9]{0,8})")
_ANY_ID = np.iinfo(np.int32).max


def precision_at_k(Y: object, top: object, k: int = 5) -> float:
    """Return the share of true labels among the first `k`.

    Parameters
    ----------
    Y : CSR matrix or array, or list of lists
        True labels.
    top : TopK, 2-D integer array, or CSR of scores
        Predicted labels.
    k : int
        How many of them count.

    Examples
    --------
    >>> precision_at_k([[0, 3], [1]], np.array([[3, 2], [2, 1]]), k=2)
    0.5
    """
    return _one("p", Y, top, k)


def recall_at_k(Y: object, top: object, k: int = 5) -> float:
    """Return the share of the true labels that are among the first `k`.

    Parameters are those of `precision_at_k`.

    Examples
    --------
    >>> recall_at_k([[0, 3], [1]], np.array([[3, 2], [2, 1]]), k=2)
    0.75
    """
    return _one("r", Y, top, k)


def ndcg_at_k(Y: object, top: object, k: int = 5) -> float:
    """Return the normalised discounted cumulative gain of the first `k`.

    Parameters are those of `precision_at_k`.

    Examples
    --------
    >>> round(ndcg_at_k([[0, 3], [1]], np.array([[3, 2], [2, 1]]), k=2), 4)
    0.622
    """
    return _one("ndcg", Y, top, k)


def psprecision_at_k(Y: object, top: object, inv_propensity: ArrayLike, k: int = 5) -> float:
    """Return the propensity-scored precision of the first `k`, over the best there can be.

    Parameters
    ----------
    Y : CSR matrix or array, or list of lists
        True labels.
    top : TopK, 2-D integer array, or CSR of scores
        Predicted labels.
    inv_propensity : array of float
        One weight a label, as `inv_propensity` makes them from the *training* labels.
    k : int
        How many predictions count.

    Examples
    --------
    >>> psprecision_at_k([[0], [1]], np.array([[0], [0]]), [1.0, 3.0], k=1)
    0.25
    """
    return _one("psp", Y, top, k, inv_propensity)


def psndcg_at_k(Y: object, top: object, inv_propensity: ArrayLike, k: int = 5) -> float:
    """Return the propensity-scored nDCG of the first `k`, over the best there can be.

    Parameters are those of `psprecision_at_k`.

    Examples
    --------
    >>> psndcg_at_k([[0], [1]], np.array([[0, 1], [1, 0]]), [1.0, 3.0], k=2)
    1.0
    """
    return _one("psndcg", Y, top, k, inv_propensity)


def inv_propensity(Y: Any, A: float = 0.55, B: float = 1.5) -> _Floats:
    """Return one over the propensity of each label: how much a rare one counts more.

    This is ``1 + C / (n + B) ** A`` with ``C = (log(N) - 1) * (B + 1) ** A`` for a label with `n`
    of the `N` rows, the model of Jain et al. 2016.

    Parameters
    ----------
    Y : CSR matrix or array
        Labels of the *training* rows.
    A, B : float
        The defaults are for any data; the XC repository takes 0.6 and 2.6 for Amazon, 0.5 and 0.4
        for Wikipedia.

    Returns
    -------
    array of float64
        One weight for each column of `Y`.

    Examples
    --------
    >>> Y = sparse.csr_array(np.array([[1, 0], [1, 1], [1, 0], [1, 0]]))
    >>> inv_propensity(Y).round(2)
    array([1.25, 1.39])
    """
    a = checks.number("A", A, least=0.0)
    b = checks.number("B", B, above=0.0)
    if not (arrays.is_compressed(Y) or sparse.issparse(Y)):
        raise TypeError(f"Y: found {type(Y).__name__}, wanted a SciPy CSR matrix or array")
    columns = int(Y.shape[1])
    indptr, ids = read_labels(Y, columns)
    rows = len(indptr) - 1
    if rows == 0:
        raise ValueError("Y: found no rows, wanted the training labels")
    counts = np.bincount(ids, minlength=columns)
    scale = (np.log(rows) - 1.0) * (b + 1.0) ** a
    return np.asarray(1.0 + scale * (counts + b) ** -a, dtype=np.float64)


def parse_name(name: object) -> tuple[str, int]:
    """Return the kind and the `k` of a metric such as ``"ndcg@5"``.

    Raises
    ------
    ValueError
        If there is no such metric.

    Examples
    --------
    >>> parse_name("ndcg@5")
    ('ndcg', 5)
    """
    found = _NAME.fullmatch(name) if isinstance(name, str) else None
    if found is None:
        raise ValueError(
            f"metrics: found {name!r}, wanted p@k, r@k, ndcg@k, psp@k or psndcg@k with k at least 1"
        )
    return found[1], int(found[2])


def evaluate(
    Y: object,
    top: object,
    metrics: Sequence[str] | None = None,
    *,
    ks: Sequence[int] = (1, 3, 5),
    inv_propensity: ArrayLike | None = None,
) -> dict[str, float]:
    """Return several metrics at once, by name.

    Parameters
    ----------
    Y : CSR matrix or array, or list of lists
        True labels.
    top : TopK, 2-D integer array, or CSR of scores
        Predicted labels.
    metrics : sequence of str, optional
        Names such as ``"p@1"``, ``"r@5"``, ``"ndcg@3"``, ``"psp@5"``, ``"psndcg@5"``. By default
        p, r and ndcg, and with `inv_propensity` also psp and psndcg, at each of `ks`.
    ks : sequence of int
        Used if `metrics` is not given.
    inv_propensity : array of float, optional
        One weight a label, for psp and psndcg.

    Returns
    -------
    dict
        Value from 0 to 1 by name of the metric.

    Raises
    ------
    ValueError
        If a name is unknown, the rows differ, or there are fewer predictions than a metric needs.

    Examples
    --------
    >>> evaluate([[0, 3], [1]], np.array([[3, 2], [2, 1]]), ["p@1", "p@2", "r@2"])
    {'p@1': 0.5, 'p@2': 0.5, 'r@2': 0.75}
    """
    if metrics is None:
        kinds = ["p", "r", "ndcg"] + ([] if inv_propensity is None else ["psp", "psndcg"])
        depths = [checks.whole("ks", k, 1) for k in ks]
        metrics = [f"{kind}@{k}" for kind in kinds for k in depths]
    elif isinstance(metrics, str):
        raise TypeError(f"metrics: found {metrics!r}, wanted a list such as ['p@1', 'ndcg@5']")
    wanted = {name: parse_name(name) for name in metrics}
    if not wanted:
        return {}
    deepest = max(k for _, k in wanted.values())
    judged = _Judged.of(Y, top, deepest)
    weights = None if inv_propensity is None else judged.check_weights(inv_propensity)
    return {name: _value(judged, kind, k, weights) for name, (kind, k) in wanted.items()}


def _one(
    kind: str, Y: object, top: object, k: int, inv_propensity: ArrayLike | None = None
) -> float:
    name = f"{kind}@{checks.whole('k', k, 1)}"
    return evaluate(Y, top, [name], inv_propensity=inv_propensity)[name]


@dataclass(frozen=True, slots=True)
class _Judged:
    """Predictions beside the truth; the true labels of a row are sorted."""

    #: Whether each predicted label is true, shape (n, k).
    hits: NDArray[np.bool_]
    predicted: NDArray[np.int64]
    indptr: NDArray[np.int64]
    ids: NDArray[np.int64]

    @classmethod
    def of(cls, Y: Any, top: object, k: int) -> _Judged:
        sized = arrays.is_compressed(Y) or sparse.issparse(Y)
        n_labels = int(Y.shape[1]) if sized else _ANY_ID
        truth = read_labels(Y, n_labels)
        indptr, ids = (part.astype(np.int64, copy=False) for part in truth)
        rows = len(indptr) - 1
        predicted = _best(top, k)
        if len(predicted) != rows:
            raise ValueError(f"top: found {len(predicted)} rows, wanted the {rows} of Y")
        if rows == 0:
            raise ValueError("Y: found no rows, wanted at least one")
        _check_predicted(predicted, n_labels)
        # One number for each (row, label): sorted for the truth, so that a search finds the hits.
        width = 1 + max(ids.max(initial=0), predicted.max(initial=0))
        true_keys = np.repeat(np.arange(rows) * width, np.diff(indptr)) + ids
        keys = np.arange(rows)[:, None] * width + predicted
        places = np.searchsorted(true_keys, keys)
        hits = np.zeros(predicted.shape, dtype=np.bool_)
        if len(ids):
            hits = (true_keys[np.minimum(places, len(ids) - 1)] == keys) & (predicted >= 0)
        return cls(hits, predicted, indptr, ids)

    def check_weights(self, found: ArrayLike) -> _Floats:
        """Return one weight a label, if there are enough and they are positive."""
        weights = np.asarray(found, dtype=np.float64)
        least = 1 + max(self.ids.max(initial=0), self.predicted.max(initial=0))
        if weights.ndim != 1 or len(weights) < least:
            raise ValueError(
                f"inv_propensity: found shape {weights.shape}, wanted one weight for each label "
                f"({least} or more)"
            )
        if not (np.isfinite(weights) & (weights > 0)).all():
            raise ValueError("inv_propensity: found a weight that is not positive and finite")
        return weights


def _value(judged: _Judged, kind: str, k: int, weights: _Floats | None) -> float:
    hits = judged.hits[:, :k]
    counts = np.diff(judged.indptr)
    rows = len(counts)
    if kind == "p":
        return float(np.count_nonzero(hits) / (rows * k))
    if kind == "r":
        return float(np.sum(hits.sum(axis=1) / np.maximum(counts, 1)) / rows)
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    # Rows without labels have no hits; rank 1 as their ideal only avoids 0 / 0.
    ideal = np.cumsum(discount)[np.clip(counts, 1, k) - 1]
    if kind == "ndcg":
        return float(np.sum(hits @ discount / ideal) / rows)
    if weights is None:
        raise ValueError(
            f"inv_propensity: found None with {kind}@{k} in metrics, "
            "wanted metrics.inv_propensity(labels trained on)"
        )
    gains = np.where(hits, weights[judged.predicted[:, :k]], 0.0)
    row, rank, best = _best_gains(judged, weights, k)
    if kind == "psp":
        reached, possible = gains.sum(), best.sum()
    else:
        reached = np.sum(gains @ discount / ideal)
        possible = np.sum(best * discount[rank] / ideal[row])
    return float(reached / possible) if possible else 0.0


def _best_gains(
    judged: _Judged, weights: _Floats, k: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], _Floats]:
    """Return row, rank and weight of the `k` weightiest true labels of each row."""
    row = np.repeat(np.arange(len(judged.indptr) - 1), np.diff(judged.indptr))
    gains = weights[judged.ids]
    gains = gains[np.lexsort((-gains, row))]
    rank = np.arange(len(row)) - judged.indptr[row]
    first = rank < k
    return row[first], rank[first], gains[first]


def _best(top: object, k: int) -> NDArray[np.int64]:
    """Return the `k` best predicted labels of each row."""
    if arrays.is_compressed(top) or sparse.issparse(top):
        return _best_scored(top, k)
    found = np.asarray(getattr(top, "labels", top))
    if found.ndim != 2 or found.dtype.kind not in "iu":
        raise ValueError(
            f"top: found {found.ndim}-D {found.dtype}, wanted a TopK, a 2-D array of integer label "
            "ids, best first, or a CSR matrix of scores"
        )
    if found.shape[1] < k:
        raise ValueError(f"top: found {found.shape[1]} labels a row, wanted at least {k}")
    return found[:, :k].astype(np.int64)


def _best_scored(top: Any, k: int) -> NDArray[np.int64]:
    """Return the `k` labels with the highest scores of each row, padded with -1."""
    wanted = "wanted finite scores"
    (indptr, ids, scores), rows = arrays.compressed(
        top, int(top.shape[1]), Notices("top", copy=True), wanted
    )
    if not np.isfinite(scores).all():
        raise ValueError(f"top: found a score that is infinite or not a number, {wanted}")
    row = np.repeat(np.arange(rows), np.diff(indptr))
    # Twice stable: ids rise among equal scores, whatever order the matrix holds them in.
    order = np.lexsort((ids, -scores.astype(np.float64), row))
    rank = np.arange(len(row)) - indptr[row]
    first = rank < k
    best = np.full((rows, k), -1, dtype=np.int64)
    best[row[first], rank[first]] = ids[order][first]
    return best


def _check_predicted(predicted: NDArray[np.int64], n_labels: int) -> None:
    if predicted.size == 0:
        return
    if predicted.min() < -1 or predicted.max() >= n_labels:
        wrong = predicted.min() if predicted.min() < -1 else predicted.max()
        raise ValueError(f"top: found label {wrong}, wanted -1 (padding) to {n_labels - 1}")
    ordered = np.sort(predicted, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        row = int(twice.any(axis=1).argmax())
        label = int(ordered[row, 1:][twice[row]][0])
        raise ValueError(f"top: found label {label} twice in row {row}, wanted each once")

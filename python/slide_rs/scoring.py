"""A scorer for scikit-learn that asks for the best labels, not for the scores of all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from slide_rs import checks, evaluation, prediction
from slide_rs.arrays import is_compressed
from slide_rs.classes import Classes
from slide_rs.topk import TopK

__all__ = ["TopKScorer", "make_topk_scorer"]


@dataclass(frozen=True, slots=True, eq=False)
class TopKScorer:
    """What `make_topk_scorer` makes: call it with an estimator, rows and their targets.

    Examples
    --------
    >>> TopKScorer("p@1").metric
    'p@1'
    """

    metric: str
    inv_propensity: ArrayLike | None = None
    mode: str = "exact"

    def __call__(self, estimator: Any, X: Any, y: Any) -> float:
        """Return the value of the metric, from 0 to 1."""
        classes = np.asarray(estimator.classes_)
        k = min(evaluation.deepest([self.metric]), len(classes))
        top = _ask(estimator, X, k, self.mode)
        weights = None if self.inv_propensity is None else np.asarray(self.inv_propensity)
        found = evaluation.compared(_truth(y, classes), top, (self.metric,), weights)
        return found[self.metric]


def make_topk_scorer(
    metric: str, *, inv_propensity: ArrayLike | None = None, mode: str = "exact"
) -> TopKScorer:
    """Return a scorer for ``scoring=`` of `cross_val_score`, `GridSearchCV` and others.

    It asks `SlideClassifier.predict_topk`, at the end of a pipeline too, so that no matrix of rows
    times labels is made.

    Parameters
    ----------
    metric : str
        ``"p@k"``, ``"r@k"``, ``"ndcg@k"``, ``"psp@k"`` or ``"psndcg@k"``, as in
        `slide_rs.metrics`.
    inv_propensity : array of shape (n_labels,), optional
        From `metrics.inv_propensity`; ``"psp@k"`` and ``"psndcg@k"`` need it.
    mode : {"exact", "lsh"}
        Score every label, or only those that the hash tables find.

    Raises
    ------
    ValueError
        If there is no such metric, or it lacks `inv_propensity`.

    Examples
    --------
    >>> make_topk_scorer("ndcg@5")
    TopKScorer(metric='ndcg@5', inv_propensity=None, mode='exact')
    """
    evaluation.check([metric], propensity=inv_propensity is not None)
    checks.choice("mode", mode, prediction.MODES)
    return TopKScorer(metric, inv_propensity, mode)


def _ask(estimator: Any, X: Any, k: int, mode: str) -> TopK:
    """Return the best labels, through pipelines and finished searches."""
    if hasattr(estimator, "predict_topk"):
        top: TopK = estimator.predict_topk(X, k, mode=mode)
        return top
    if hasattr(estimator, "best_estimator_"):
        return _ask(estimator.best_estimator_, X, k, mode)
    if hasattr(estimator, "steps"):
        before = estimator[:-1]
        return _ask(estimator[-1], before.transform(X) if len(before) else X, k, mode)
    raise TypeError(
        f"estimator: found {type(estimator).__name__}, wanted SlideClassifier, or a pipeline or "
        "search with one at its end"
    )


def _truth(y: Any, classes: Any) -> Any:
    """Return targets as a CSR array with a column for each class."""
    if is_compressed(y) or sparse.issparse(y):
        return sparse.csr_array(y)
    y = np.asarray(y)
    if y.ndim == 2:
        return sparse.csr_array(y != 0)
    places = Classes(classes).places(y)
    bounds = np.concatenate(([0], np.cumsum(places >= 0)))
    ids = places[places >= 0]
    return sparse.csr_array((np.ones(len(ids)), ids, bounds), shape=(len(y), len(classes)))

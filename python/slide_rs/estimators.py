"""The bases of an estimator, with types: scikit-learn comes without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["BaseEstimator", "ClassifierMixin"]

if TYPE_CHECKING:
    Estimator = TypeVar("Estimator", bound="BaseEstimator")

    class BaseEstimator:
        """Parameters by name."""

        n_features_in_: int

        def get_params(self, deep: bool = True) -> dict[str, Any]:
            """Return the parameters by name."""

        def set_params(self: Estimator, **params: Any) -> Estimator:
            """Change parameters, and return the estimator."""

        def __sklearn_tags__(self) -> Any: ...

    class ClassifierMixin:
        """What all classifiers have."""

        def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
            """Return the accuracy, which for labels is that of whole rows."""
else:
    from sklearn.base import BaseEstimator, ClassifierMixin

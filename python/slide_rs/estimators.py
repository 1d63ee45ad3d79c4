"""The bases of an estimator, with types: scikit-learn comes without."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

__all__ = ["BaseEstimator", "ClassifierMixin", "all_or_nothing"]

Fitted = TypeVar("Fitted")
Asked = ParamSpec("Asked")
Result = TypeVar("Result")


def all_or_nothing(
    train: Callable[Concatenate[Fitted, Asked], Result],
) -> Callable[Concatenate[Fitted, Asked], Result]:
    """Leave an estimator as it was when its training raises an error, but not on Ctrl-C.

    Examples
    --------
    >>> class Estimator:
    ...     @all_or_nothing
    ...     def fit(self, X):
    ...         self.mean_ = 0.0
    ...         self.mean_ = sum(X) / len(X)
    >>> estimator = Estimator()
    >>> estimator.fit([])
    Traceback (most recent call last):
    ZeroDivisionError: division by zero
    >>> vars(estimator)
    {}
    """

    @wraps(train)
    def guarded(self: Fitted, /, *args: Asked.args, **named: Asked.kwargs) -> Result:
        before = dict(vars(self))
        try:
            return train(self, *args, **named)
        except Exception:
            vars(self).clear()
            vars(self).update(before)
            raise

    return guarded


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

"""How rows of features are brought to sizes that a network learns from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slide_rs import checks
from slide_rs.arrays import is_compressed

__all__ = ["Scaling"]

KINDS = ("auto", "rows", "columns", "none")


@dataclass(frozen=True, slots=True)
class Scaling:
    """What is done to features, and what of the training rows it takes.

    Rows that are mostly zeros, such as those of texts, are scaled to length 1, which the network
    does itself. Columns of numbers that are mostly not zero, such as measurements in units of their
    own, are brought to mean 0 and variance 1, by a `sklearn.preprocessing.StandardScaler`.

    Examples
    --------
    >>> scaling = Scaling.of(np.array([[1, 10], [3, 30]], np.float32), "auto")
    >>> scaling.kind, scaling.apply(np.array([[2, 30]], np.float32)).tolist()
    ('columns', [[0.0, 1.0]])
    """

    kind: str
    #: A fitted `StandardScaler`, where columns are scaled.
    scaler: Any = None

    @classmethod
    def of(cls, X: Any, kind: object) -> Scaling:
        """Choose by rule where `kind` is ``"auto"``, and measure the columns if need be.

        Whether `X` is stored sparse does not matter: the share of its values that are zero does.
        """
        kind = checks.choice("scaling", kind, KINDS)
        if kind == "auto":
            filled = np.count_nonzero(X.data if is_compressed(X) else X)
            kind = "columns" if 2 * filled > X.shape[0] * X.shape[1] else "rows"
        if kind != "columns":
            return cls(kind)
        from sklearn.preprocessing import StandardScaler

        return cls(kind, StandardScaler().fit(cls._dense(X)))

    def apply(self, X: Any) -> Any:
        """Return the rows as the network takes them: `X` itself unless columns are scaled."""
        return X if self.scaler is None else self.scaler.transform(self._dense(X))

    @staticmethod
    def _dense(X: Any) -> NDArray[np.float32]:
        if not is_compressed(X):
            found: NDArray[np.float32] = X
            return found
        if 2 * X.nnz <= X.shape[0] * X.shape[1]:
            raise ValueError(
                "scaling: found 'columns' with a sparse X that is mostly zeros, which it would "
                "fill, wanted 'rows' or 'none'"
            )
        # More than half full, so that with an index for each value it is the larger form.
        filled: NDArray[np.float32] = X.toarray()
        return filled

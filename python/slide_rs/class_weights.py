"""Weights of labels as weights of rows, for ``sample_weight``.

The engine weighs rows. Where each row has one label that is the same: the row weighs what its label
does. A row with several labels weighs the mean of theirs; this is not a weight for each term of its
loss, which only grades in `Y` are, and which only some losses have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from slide_rs import checks
from slide_rs.labels import Targets, targets

__all__ = ["ClassWeight", "of_rows", "row_weights"]

ClassWeight = str | Mapping[int, float] | Sequence[float] | NDArray[np.floating]


def row_weights(Y: object, class_weight: ClassWeight, n_labels: int) -> NDArray[np.float32]:
    """Return the weight of each row: the mean over its labels, weighed by their grades if any.

    Parameters
    ----------
    Y : as in ``Network.fit``
        The labels of each row. A row without labels weighs 1.
    class_weight : "balanced", mapping, or vector of `n_labels` numbers
        The weight of each label, at least 0; in a mapping from ids those that are missing weigh 1.
        With ``"balanced"`` a label weighs ``pairs / (labels * count)``: pairs of a row and its
        label, over labels that occur times the rows with this one. With one label a row these are
        the weights of scikit-learn.
    n_labels : int
        The number of labels of the network.

    Returns
    -------
    array of float32, shape (rows,)
        For ``sample_weight``.

    Raises
    ------
    TypeError
        If `class_weight` is none of these.
    ValueError
        If a label or weight is out of range, or there are more or fewer weights than labels.

    Examples
    --------
    >>> row_weights([[0], [1], [0, 1], []], {0: 3.0}, n_labels=2)
    array([3., 1., 2., 1.], dtype=float32)
    >>> row_weights([0, 0, 0, 1], "balanced", n_labels=2)
    array([0.6666667, 0.6666667, 0.6666667, 2.       ], dtype=float32)
    """
    n_labels = checks.whole("n_labels", n_labels, 1, checks.MOST)
    return of_rows(targets(Y, n_labels), class_weight, n_labels)


def of_rows(y: Targets, class_weight: object, n_labels: int) -> NDArray[np.float32]:
    """Return what `row_weights` does, of labels as the engine takes them.

    Examples
    --------
    >>> of_rows((np.array([0, 1, 3]), np.array([0, 0, 1])), {0: 3.0}, n_labels=2)
    array([3., 2.], dtype=float32)
    """
    indptr, ids = y[0], y[1]
    shares = np.ones(len(ids)) if len(y) == 2 else y[2].astype(np.float64)
    if isinstance(class_weight, str):
        checks.choice("class_weight", class_weight, ("balanced",))
        of_label = _balanced(y, n_labels)
    else:
        of_label = _given(class_weight, n_labels)
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    total = np.bincount(rows, shares, len(indptr) - 1)
    weighed = np.bincount(rows, shares * of_label[ids], len(indptr) - 1)
    mean = np.divide(weighed, total, out=np.ones(len(total)), where=total > 0)
    return mean.astype(np.float32)


def _balanced(y: Targets, n_labels: int) -> NDArray[np.float64]:
    counts = np.bincount(y[1], minlength=n_labels).astype(np.float64)
    there = counts > 0
    weight = np.ones(n_labels)
    weight[there] = counts.sum() / (there.sum() * counts[there])
    return weight


def _given(found: object, n_labels: int) -> NDArray[np.float64]:
    wanted = f"wanted 'balanced', weights by label, or {n_labels} numbers of at least 0"
    if isinstance(found, Mapping):
        weight = np.ones(n_labels)
        for label, value in found.items():
            place = checks.whole("class_weight", label, 0, n_labels - 1)
            weight[place] = checks.number(f"class_weight[{place}]", value, least=0.0)
        return weight
    if not (isinstance(found, list | tuple) or hasattr(found, "__array__")):
        raise TypeError(f"class_weight: found {type(found).__name__}, {wanted}")
    vector = np.asarray(found)
    if vector.dtype.kind not in "biuf":
        raise TypeError(f"class_weight: found dtype {vector.dtype}, {wanted}")
    if vector.shape != (n_labels,):
        raise ValueError(f"class_weight: found shape {vector.shape}, {wanted}")
    vector = vector.astype(np.float64)
    fine = np.isfinite(vector) & (vector >= 0)
    if not fine.all():
        place = int(np.argmin(fine))
        raise ValueError(f"class_weight: found {vector[place]:g} for label {place}, {wanted}")
    return vector

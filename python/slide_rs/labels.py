"""The user's labels, and candidates for prediction, as the arrays that the engine borrows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from slide_rs import arrays
from slide_rs.arrays import Index
from slide_rs.notices import Notices

__all__ = [
    "Candidates",
    "Labels",
    "Targets",
    "candidates",
    "check_grades",
    "labels",
    "pattern",
    "slice_labels",
    "targets",
    "weights",
]

Labels: TypeAlias = tuple[Index, Index]
#: Labels, and where they are graded, the grade of each.
Targets: TypeAlias = Labels | tuple[Index, Index, NDArray[np.float32]]

_ROWS = (list, tuple, set, frozenset, range, np.ndarray)
_WANTED = (
    "wanted a SciPy CSR matrix or array (non-zero = label), a list with the label ids of each row, "
    "or a vector of one label id a row"
)
#: What stands for no label in a 2-D array of ids: `TopK` pads with the first, PyTorch with both.
_PADDING = (-1, -100)


def labels(
    y: object, n_labels: int, rows: int | None = None, *, name: str = "Y", copy: bool = True
) -> Labels:
    """Return `y` as ``(indptr, ids)``, ids of a row sorted and each there once.

    Parameters
    ----------
    y : CSR matrix or array, list of lists, integer vector, or padded 2-D integer array
        The labels of each row. In CSR, a value that is not zero makes its column a label. In a 2-D
        array the ids of a row are different ones, and -1 or -100 stand behind the last of them, so
        that no matrix of zeros and ones is taken for one.
    n_labels : int
        Ids are below this; CSR has this many columns.
    rows : int, optional
        The number of rows that `y` must have.
    name : str
        What errors call it.
    copy : bool
        Convert where needed, with a warning; if False, a ValueError in its place. A list of lists
        is always read into new arrays, and without a warning.

    Raises
    ------
    TypeError
        If `y` is of a kind that holds no labels.
    ValueError
        If an id, a value or a length is wrong.

    Examples
    --------
    >>> indptr, ids = labels([[2, 0], [], [1]], 3)
    >>> indptr.tolist(), ids.tolist()
    ([0, 2, 2, 3], [0, 2, 1])
    """
    return pattern(targets(y, n_labels, rows, name=name, copy=copy, graded=False))


def targets(
    y: object,
    n_labels: int,
    rows: int | None = None,
    *,
    name: str = "Y",
    copy: bool = True,
    graded: bool = True,
) -> Targets:
    """Return `y` as `labels` does, with the grade of each label where it has grades.

    The values of a CSR matrix are grades if they are floats and not all 1. Parameters and errors
    are those of `labels`.

    Parameters
    ----------
    y, n_labels, rows, name, copy
        As in `labels`.
    graded : bool
        Whether grades are wanted at all.

    Examples
    --------
    >>> found = targets(sparse.csr_array(np.array([[0, 0.5], [2, 0]], np.float32)), 2)
    >>> [part.tolist() for part in found]
    [[0, 1, 2], [1, 0], [0.5, 2.0]]
    """
    notices = Notices(name, copy)
    found: Targets
    if arrays.is_compressed(y) or sparse.issparse(y):
        found = _from_compressed(y, n_labels, notices, graded)
    elif isinstance(y, list | tuple):
        found = _from_lists(y, n_labels, name)
    elif hasattr(y, "__array__"):
        vector = np.asarray(y)
        # Rows of lists, such as a column of a data frame.
        nested = vector.ndim == 1 and vector.dtype == object
        found = (
            _from_lists(vector.tolist(), n_labels, name)
            if nested
            else _from_vector(vector, n_labels, notices)
        )
    else:
        raise TypeError(f"{name}: found {type(y).__name__}, {_WANTED}")
    count = len(found[0]) - 1
    if rows is not None and count != rows:
        raise ValueError(f"{name}: found {count} rows, wanted the {rows} of X")
    return found


def pattern(y: Targets) -> Labels:
    """Return the labels without their grades.

    Examples
    --------
    >>> [len(part) for part in pattern((np.arange(3), np.arange(2), np.ones(2, np.float32)))]
    [3, 2]
    """
    return y[0], y[1]


def check_grades(y: Targets, loss: str, *, name: str = "Y") -> None:
    """Refuse grades that are no targets of the loss: a sigmoid never reaches what is above 1.

    Examples
    --------
    >>> graded = np.arange(2), np.array([4]), np.array([3], np.float32)
    >>> check_grades(graded, "squared")
    >>> check_grades(graded, "sigmoid")
    Traceback (most recent call last):
    ValueError: Y: found the grade 3 with loss='sigmoid', wanted at most 1, as it is the target
    """
    if loss == "sigmoid" and len(y) == 3 and len(y[2]) and y[2].max() > 1:
        raise ValueError(
            f"{name}: found the grade {y[2].max():g} with loss='sigmoid', wanted at most 1, as it "
            "is the target"
        )


def weights(
    found: object, rows: int, *, name: str = "sample_weight", copy: bool = True
) -> NDArray[np.float32] | None:
    """Return the weights of rows as float32, or None where there are none.

    Parameters
    ----------
    found : 1-D array or list of numbers, or None
        A weight a row, at least 0.
    rows : int
        The number of rows.
    name, copy
        As in `labels`.

    Examples
    --------
    >>> weights([1, 0.5], 2)
    array([1. , 0.5], dtype=float32)
    """
    if found is None:
        return None
    wanted = f"wanted one number of at least 0 for each of the {rows} rows of X"
    listed = isinstance(found, list | tuple)
    if not (listed or hasattr(found, "__array__")) or sparse.issparse(found):
        raise TypeError(f"{name}: found {type(found).__name__}, {wanted}")
    vector = np.asarray(found)
    if vector.dtype.kind not in "biuf":
        raise TypeError(f"{name}: found dtype {vector.dtype}, {wanted}")
    if vector.ndim != 1 or len(vector) != rows:
        raise ValueError(f"{name}: found shape {vector.shape}, {wanted}")
    if vector.dtype != np.float32 or not arrays.contiguous(vector):
        if not listed:
            notices = Notices(name, copy)
            notices.copied(f"{vector.dtype} was cast to float32", f"{name}.astype(np.float32)")
        # A value beyond float32 becomes infinite here, and is refused below.
        with np.errstate(over="ignore"):
            vector = np.ascontiguousarray(vector, dtype=np.float32)
    _check_values(vector, name, "")
    return vector


@dataclass(frozen=True, slots=True)
class Candidates:
    """The label ids to score for each row; those that all rows share are held once.

    Examples
    --------
    >>> shared = Candidates(np.array([0, 2, 4, 6]), np.array([2, 4]), shared=True)
    >>> [part.tolist() for part in shared.rows(1, 3)]
    [[0, 2, 4], [2, 4, 2, 4]]
    """

    #: Row ``i`` has the candidates from ``bounds[i]`` to ``bounds[i + 1]``.
    bounds: Index
    ids: Index
    shared: bool

    def rows(self, start: int, stop: int) -> Labels:
        """Return the candidates of rows `start` to `stop`."""
        if not self.shared:
            return slice_labels((self.bounds, self.ids), start, stop)
        bounds = self.bounds[start : stop + 1] - self.bounds[start]
        # The engine wants one dtype for both; what it is given at once never is beyond int32.
        indptr: Any = bounds.astype(self.ids.dtype)
        ids: Any = np.tile(self.ids, stop - start)
        return indptr, ids


def candidates(found: object, n_labels: int, rows: int) -> Candidates:
    """Return the label ids to score for each row; a vector of ids is shared by all rows.

    Examples
    --------
    >>> chosen = candidates(np.array([4, 2]), 5, rows=2)
    >>> chosen.ids.tolist(), chosen.bounds.tolist(), chosen.shared
    ([2, 4], [0, 2, 4], True)
    """
    name = "candidates"
    if arrays.is_compressed(found) or sparse.issparse(found) or _is_nested(found):
        return Candidates(*labels(found, n_labels, rows, name=name), shared=False)
    if isinstance(found, str | bytes) or not (
        hasattr(found, "__array__") or isinstance(found, list | tuple)
    ):
        raise TypeError(f"{name}: found {type(found).__name__}, {_WANTED.split(', or')[0]}")
    shared = np.asarray(found)
    if shared.ndim == 2:
        return Candidates(*labels(shared, n_labels, rows, name=name), shared=False)
    if shared.ndim == 1 and not len(shared):
        shared = shared.astype(np.int64)
    _, given = _from_vector(shared, n_labels, Notices(name, copy=True))
    ids: Any = np.unique(given)
    return Candidates(np.arange(rows + 1, dtype=np.int64) * len(ids), ids, shared=True)


def slice_labels(y: Labels, start: int, stop: int) -> Labels:
    """Return rows `start` to `stop`; ids are a view.

    Examples
    --------
    >>> [part.tolist() for part in slice_labels((np.array([0, 1, 3]), np.array([5, 6, 7])), 1, 2)]
    [[0, 2], [6, 7]]
    """
    indptr, ids = y
    bounds = indptr[start : stop + 1]
    return bounds - bounds[0], ids[int(bounds[0]) : int(bounds[-1])]


def _from_compressed(y: Any, n_labels: int, notices: Notices, graded: bool) -> Targets:
    name = notices.name
    (indptr, ids, values), rows = arrays.compressed(y, n_labels, notices, _WANTED)
    if values.dtype.kind in "if":
        _check_values(values, name, " (1 = label)")
    graded = graded and values.dtype.kind == "f" and bool(((values != 0) & (values != 1)).any())
    if graded:
        values = _as_grades(values, notices)
    zeros = np.count_nonzero(values) < len(values)
    unordered = arrays.out_of_order(indptr, ids)
    if zeros:
        notices.copied("explicit zeros were removed", f"{name}.eliminate_zeros()")
    if unordered:
        notices.copied("unsorted or repeated labels were sorted", f"{name}.sum_duplicates()")
    if zeros or unordered:
        kept = values != 0
        matrix: Any = sparse.csr_array(
            (
                values[kept] if graded else np.ones(int(kept.sum()), dtype=np.int32),
                ids[kept],
                np.concatenate(([0], np.cumsum(kept)))[indptr],
            ),
            shape=(rows, n_labels),
        )
        matrix.sum_duplicates()
        indptr, ids = matrix.indptr.astype(ids.dtype), matrix.indices.astype(ids.dtype)
        values = matrix.data
    return (indptr, ids, values) if graded else (indptr, ids)


def _as_grades(values: NDArray[Any], notices: Notices) -> NDArray[np.float32]:
    if values.dtype == np.float32 and arrays.contiguous(values):
        return values
    name = notices.name
    notices.copied(f"grades were cast from {values.dtype} to float32", f"{name}.astype(np.float32)")
    with np.errstate(over="ignore"):
        grades = np.ascontiguousarray(values, dtype=np.float32)
    _check_values(grades, name, "")
    return grades


def _check_values(values: NDArray[Any], name: str, meaning: str) -> None:
    if not len(values):
        return
    # Written so that NaN, for which every comparison is false, is caught too.
    if not values.min() >= 0:
        raise ValueError(f"{name}: found the value {values.min()}, wanted 0 or above{meaning}")
    if not np.isfinite(values.max()):
        raise ValueError(f"{name}: found the value {values.max()}, wanted finite values")


def _from_lists(y: list[Any] | tuple[Any, ...], n_labels: int, name: str) -> Labels:
    if y and all(isinstance(label, int | np.integer) for label in y):
        return _from_vector(np.asarray(y), n_labels, Notices(name, copy=True))
    lengths = np.zeros(len(y) + 1, dtype=np.int64)
    parts: list[NDArray[np.int64]] = []
    for row, found in enumerate(y):
        ids = _row_ids(found, row, name)
        parts.append(ids)
        lengths[row + 1] = len(ids)
    indptr = np.cumsum(lengths)
    ids = np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
    arrays.check_ids(indptr, ids, n_labels, name, "label")
    return indptr, ids


def _row_ids(found: object, row: int, name: str) -> NDArray[np.int64]:
    if not isinstance(found, _ROWS):
        raise TypeError(
            f"{name}: found {type(found).__name__} as row {row}, wanted a list of label ids"
        )
    ids = np.asarray(list(found) if isinstance(found, set | frozenset) else found)
    if ids.size == 0:
        return np.empty(0, dtype=np.int64)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise TypeError(
            f"{name}: found {ids.ndim}-D {ids.dtype} in row {row}, wanted a list of integer ids; "
            "the id of a name is its place in a list of all names"
        )
    return np.unique(ids).astype(np.int64)


def _from_vector(vector: NDArray[Any], n_labels: int, notices: Notices) -> Labels:
    name = notices.name
    if vector.ndim == 2:
        return _from_padded(vector, n_labels, name)
    if vector.ndim != 1:
        raise TypeError(f"{name}: found {vector.ndim} dimensions, {_WANTED}")
    if vector.dtype.kind not in "iu":
        raise TypeError(f"{name}: found dtype {vector.dtype}, wanted integer label ids")
    indptr = np.arange(len(vector) + 1, dtype=np.int64)
    arrays.check_ids(indptr, vector, n_labels, name, "label")
    if vector.dtype == np.int32 and arrays.contiguous(vector):
        return indptr.astype(np.int32), vector
    if vector.dtype != np.int64 or not arrays.contiguous(vector):
        notices.copied(f"a vector of {vector.dtype} was cast to int64", f"{name}.astype(np.int64)")
        vector = np.ascontiguousarray(vector, dtype=np.int64)
    return indptr, vector


def _from_padded(rows: NDArray[Any], n_labels: int, name: str) -> Labels:
    padding = np.isin(rows, _PADDING)
    if rows.dtype.kind not in "iu" or not _are_ids(rows, padding, n_labels):
        raise TypeError(
            f"{name}: found a dense 2-D array, {_WANTED}; in a 2-D array of ids those of a row "
            "differ and -1 or -100 come last; of zeros and ones "
            f"scipy.sparse.csr_array({name}) makes CSR"
        )
    ordered = np.sort(np.where(padding, -1, rows.astype(np.int64)), axis=1)
    kept = ordered != -1
    indptr = np.concatenate(([0], np.cumsum(kept.sum(axis=1), dtype=np.int64)))
    ids = ordered[kept]
    arrays.check_ids(indptr, ids, n_labels, name, "label")
    return indptr, ids


def _are_ids(rows: NDArray[Any], padding: NDArray[np.bool_], n_labels: int) -> bool:
    """Tell ids, which differ in a row and end with padding, from zeros and ones or signs."""
    ordered = np.sort(np.where(padding, -1, rows.astype(np.int64)), axis=1)
    repeated = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != -1)
    ended = padding[:, :-1] & ~padding[:, 1:]
    # Two columns of zeros and ones may be either.
    either = rows.shape[1] < 3 and rows.shape[1] == n_labels and not padding.any()
    return not (repeated.any() or ended.any() or either)


def _is_nested(found: object) -> bool:
    """Tell whether this is a list with a list of ids for each row."""
    return (
        isinstance(found, list | tuple)
        and len(found) > 0
        and any(isinstance(row, Iterable) for row in found)
    )

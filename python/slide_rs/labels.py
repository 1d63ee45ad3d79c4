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

__all__ = ["Candidates", "Labels", "candidates", "labels", "slice_labels"]

Labels: TypeAlias = tuple[Index, Index]

_ROWS = (list, tuple, set, frozenset, range, np.ndarray)
_WANTED = (
    "wanted a SciPy CSR matrix or array (non-zero = label), a list with the label ids of each row, "
    "or a vector of one label id a row"
)


def labels(
    y: object, n_labels: int, rows: int | None = None, *, name: str = "Y", copy: bool = True
) -> Labels:
    """Return `y` as ``(indptr, ids)``, ids of a row sorted and each there once.

    Parameters
    ----------
    y : CSR matrix or array, list of lists, or integer vector
        The labels of each row. In CSR, a value that is not zero makes its column a label.
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
    notices = Notices(name, copy)
    if arrays.is_compressed(y) or sparse.issparse(y):
        indptr, ids = _from_compressed(y, n_labels, notices)
    elif isinstance(y, list | tuple):
        indptr, ids = _from_lists(y, n_labels, name)
    elif hasattr(y, "__array__"):
        indptr, ids = _from_vector(np.asarray(y), n_labels, notices)
    else:
        raise TypeError(f"{name}: found {type(y).__name__}, {_WANTED}")
    if rows is not None and len(indptr) - 1 != rows:
        raise ValueError(f"{name}: found {len(indptr) - 1} rows, wanted the {rows} of X")
    return indptr, ids


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


def _from_compressed(y: Any, n_labels: int, notices: Notices) -> Labels:
    name = notices.name
    (indptr, ids, values), rows = arrays.compressed(y, n_labels, notices, _WANTED)
    if len(values) and values.dtype.kind in "if" and not values.min() >= 0:
        # Written so that NaN, for which every comparison is false, is caught too.
        raise ValueError(f"{name}: found the value {values.min()}, wanted 0 or above (1 = label)")
    if values.dtype.kind == "f" and not np.isfinite(values.max(initial=0)):
        raise ValueError(f"{name}: found the value {values.max()}, wanted finite values")
    zeros = np.count_nonzero(values) < len(values)
    unordered = arrays.out_of_order(indptr, ids)
    if not (zeros or unordered):
        return indptr, ids
    if zeros:
        notices.copied("explicit zeros were removed", f"{name}.eliminate_zeros()")
    if unordered:
        notices.copied("unsorted or repeated labels were sorted", f"{name}.sum_duplicates()")
    kept = values != 0
    matrix: Any = sparse.csr_array(
        (
            np.ones(int(kept.sum()), dtype=np.int32),
            ids[kept],
            np.concatenate(([0], np.cumsum(kept)))[indptr],
        ),
        shape=(rows, n_labels),
    )
    matrix.sum_duplicates()
    return matrix.indptr.astype(ids.dtype), matrix.indices.astype(ids.dtype)


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
            f"{name}: found {ids.ndim}-D {ids.dtype} in row {row}, wanted a list of integer ids"
        )
    return np.unique(ids).astype(np.int64)


def _from_vector(vector: NDArray[Any], n_labels: int, notices: Notices) -> Labels:
    name = notices.name
    if vector.ndim == 2:
        raise TypeError(
            f"{name}: found a dense 2-D array, {_WANTED}; "
            f"scipy.sparse.csr_array({name}) makes CSR of it"
        )
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


def _is_nested(found: object) -> bool:
    """Tell whether this is a list with a list of ids for each row."""
    return (
        isinstance(found, list | tuple)
        and len(found) > 0
        and any(isinstance(row, Iterable) for row in found)
    )

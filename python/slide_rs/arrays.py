"""The user's feature rows as the arrays that the engine borrows.

A CSR matrix with float32 values and int32 or int64 indices, or a C-contiguous float32 array, is
passed on as it is: no byte is copied. Anything else that has one clear meaning is converted in a
copy, and a `SlideWarning` says what was copied and how to avoid it.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from slide_rs import _core
from slide_rs.notices import Notices

__all__ = ["Features", "Index", "SparseRows", "compressed", "features", "n_rows"]

Index: TypeAlias = NDArray[np.int32] | NDArray[np.int64]
SparseRows: TypeAlias = tuple[Index, Index, NDArray[np.float32]]
Features: TypeAlias = SparseRows | NDArray[np.float32]

_WANTED = "wanted a SciPy CSR matrix or array, or a 2-D NumPy array"


def features(x: object, columns: int, *, name: str = "X", copy: bool = True) -> Features:
    """Return `x` as the engine takes it: ``(indptr, indices, data)`` or a dense float32 array.

    Parameters
    ----------
    x : CSR matrix or array, other SciPy sparse, or 2-D array
        The rows.
    columns : int
        The number of columns that `x` must have.
    name : str
        What errors call it.
    copy : bool
        Convert where needed, with a warning; if False, a ValueError in its place.

    Raises
    ------
    TypeError
        If `x` is of a kind that holds no such rows.
    ValueError
        If its arrays contradict each other, or hold an id or a value that is out of range.

    Examples
    --------
    >>> features(np.eye(2, dtype=np.float32), 2).shape
    (2, 2)
    """
    if (ready := _ready(x, columns)) is not None:
        return ready
    notices = Notices(name, copy)
    if is_compressed(x) or sparse.issparse(x):
        (indptr, indices, data), _ = compressed(x, columns, notices, _WANTED)
        data = _as_float32(data, notices)
        indptr, indices, data = _sorted(indptr, indices, data, notices)
        _check_finite(data, name)
        return indptr, indices, data
    if isinstance(x, list | tuple | set | dict | str | bytes) or not hasattr(x, "__array__"):
        raise TypeError(
            f"{name}: found {type(x).__name__}, {_WANTED} "
            f"(np.asarray({name}, dtype=np.float32) makes one of a list of rows)"
        )
    dense = np.asarray(x)
    if dense.ndim != 2:
        raise ValueError(f"{name}: found {dense.ndim} dimensions, wanted 2 (rows and columns)")
    _check_columns(dense.shape[1], columns, name)
    dense = _as_float32(dense, notices)
    _check_finite(dense, name)
    return dense


def n_rows(x: Features) -> int:
    """Return the number of rows.

    Examples
    --------
    >>> n_rows(np.eye(2, dtype=np.float32))
    2
    """
    return len(x[0]) - 1 if isinstance(x, tuple) else len(x)


def slice_rows(x: Features, start: int, stop: int) -> Features:
    """Return rows `start` to `stop`; ids and values are views.

    Examples
    --------
    >>> slice_rows(np.eye(3, dtype=np.float32), 1, 3).shape
    (2, 3)
    """
    if not isinstance(x, tuple):
        return x[start:stop]
    indptr, indices, data = x
    bounds = indptr[start : stop + 1]
    inside = slice(int(bounds[0]), int(bounds[-1]))
    return bounds - bounds[0], indices[inside], data[inside]


def is_compressed(x: object) -> bool:
    """Tell whether `x` looks like CSR: anything with ``indptr``, ``indices``, ``data``, ``shape``.

    Examples
    --------
    >>> is_compressed(sparse.csr_array((2, 2)))
    True
    """
    if sparse.issparse(x):
        return bool(getattr(x, "format", None) == "csr")
    return all(hasattr(x, name) for name in ("indptr", "indices", "data", "shape"))


def compressed(
    x: Any, columns: int, notices: Notices, wanted: str
) -> tuple[tuple[Index, Index, NDArray[Any]], int]:
    """Return the checked arrays of a sparse matrix, values in their own dtype, and its row count.

    Indices may still be unsorted or occur twice.
    """
    name = notices.name
    if not is_compressed(x):
        notices.copied(f"{x.format.upper()} was converted to CSR", f"{name}.tocsr()")
        x = x.tocsr()
    if len(x.shape) != 2:
        raise ValueError(f"{name}: found shape {tuple(x.shape)}, wanted rows and columns")
    rows, width = int(x.shape[0]), int(x.shape[1])
    indptr, indices, data = (np.asarray(part) for part in (x.indptr, x.indices, x.data))
    for part, array in (("indptr", indptr), ("indices", indices), ("data", data)):
        if array.ndim != 1:
            raise ValueError(f"{name}.{part}: found {array.ndim} dimensions, wanted 1")
        if part != "data" and array.dtype.kind not in "iu":
            raise TypeError(f"{name}.{part}: found dtype {array.dtype}, wanted int32 or int64")
    if data.dtype.kind not in "biuf":
        raise TypeError(f"{name}.data: found dtype {data.dtype}, wanted numbers; {wanted}")
    _check_bounds(indptr, len(indices), rows, name)
    if len(data) != len(indices):
        raise ValueError(
            f"{name}.data: found {len(data)} values for {len(indices)} indices, wanted one each"
        )
    _check_columns(width, columns, name)
    used = int(indptr[-1])
    indices, data = indices[:used], data[:used]
    check_ids(indptr, indices, columns, name, "column")
    indptr, indices = _one_index_type(indptr, indices, notices)
    return (indptr, indices, data), rows


def check_ids(indptr: NDArray[Any], ids: NDArray[Any], limit: int, name: str, what: str) -> None:
    """Raise if an id is negative or not below `limit`, naming its row."""
    if not len(ids):
        return
    for place, wrong in ((ids.argmin(), ids.min() < 0), (ids.argmax(), ids.max() >= limit)):
        if wrong:
            row = int(np.searchsorted(indptr, place, side="right")) - 1
            raise ValueError(
                f"{name}: found {what} {int(ids[place])} in row {row}, wanted 0 to {limit - 1}"
            )


def out_of_order(indptr: NDArray[Any], indices: NDArray[Any]) -> bool:
    """Tell whether a row's indices are unsorted or hold one twice.

    Examples
    --------
    >>> out_of_order(np.array([0, 2]), np.array([3, 1]))
    True
    """
    falls = indices[1:] <= indices[:-1]
    starts = indptr[1:-1]
    # From the last index of a row to the first of the next, any step is right.
    falls[starts[(starts > 0) & (starts < len(indices))] - 1] = False
    return bool(falls.any())


def contiguous(array: NDArray[Any]) -> bool:
    """Tell whether the engine can borrow an array of this layout.

    Examples
    --------
    >>> contiguous(np.arange(6)[::2])
    False
    """
    return bool(array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative)


def _ready(x: Any, columns: int) -> SparseRows | None:
    """Return the arrays of rows that are fine as they are, from one look of the engine at them.

    Of a single row the checks one by one take longer than to predict its labels. They are left for
    what is not fine: they know what to convert, or what to say.
    """
    if not is_compressed(x):
        return None
    arrays = (x.indptr, x.indices, x.data)
    plain = all(type(array) is np.ndarray and array.flags.aligned for array in arrays)
    if plain and x.shape == (len(arrays[0]) - 1, columns):
        return arrays if _core.is_well_formed(arrays, columns) else None
    return None


def _check_bounds(indptr: NDArray[Any], entries: int, rows: int, name: str) -> None:
    if len(indptr) != rows + 1:
        raise ValueError(
            f"{name}.indptr: found length {len(indptr)}, wanted {rows + 1} for {rows} rows"
        )
    if indptr[0] != 0:
        raise ValueError(f"{name}.indptr: found {int(indptr[0])} at its start, wanted 0")
    falls = indptr[1:] < indptr[:-1]
    if falls.any():
        raise ValueError(
            f"{name}.indptr: found a fall at row {int(falls.argmax())}, wanted it never to fall"
        )
    if indptr[-1] > entries:
        raise ValueError(
            f"{name}.indptr: found {int(indptr[-1])} at its end, wanted at most the "
            f"{entries} of {name}.indices"
        )


def _check_columns(found: int, wanted: int, name: str) -> None:
    if found != wanted:
        raise ValueError(f"{name}: found {found} columns, wanted {wanted}, as the network has")


def _one_index_type(
    indptr: NDArray[Any], indices: NDArray[Any], notices: Notices
) -> tuple[Index, Index]:
    """Give both arrays one of the two dtypes of the engine, casting the shorter one if possible."""
    fine = (np.dtype(np.int32), np.dtype(np.int64))
    kind = indices.dtype if indices.dtype in fine else np.dtype(np.int64)
    fits = len(indices) <= np.iinfo(np.int32).max
    if indptr.dtype in fine and (
        indices.dtype not in fine or len(indptr) > len(indices) or not fits
    ):
        kind = indptr.dtype if fits or indptr.dtype == np.int64 else np.dtype(np.int64)
    parts = []
    for part, array in (("indptr", indptr), ("indices", indices)):
        if array.dtype != kind or not contiguous(array):
            notices.copied(
                f"{part} was cast from {array.dtype} to {kind}"
                if array.dtype != kind
                else f"{part} was copied to be contiguous",
                f"int32 or int64 for both of {notices.name}.indptr and {notices.name}.indices",
            )
            array = np.ascontiguousarray(array, dtype=kind)
        parts.append(array)
    return parts[0], parts[1]


def _as_float32(array: NDArray[Any], notices: Notices) -> NDArray[np.float32]:
    name = notices.name
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: found dtype {array.dtype}, wanted float32")
    if array.dtype == np.float32 and contiguous(array):
        return array
    if array.dtype == np.float32:
        notices.copied("values were copied to be C-contiguous", f"np.ascontiguousarray({name})")
    else:
        notices.copied(
            f"values were cast from {array.dtype} to float32", f"{name}.astype(np.float32)"
        )
    # A value beyond float32 becomes infinite here, and is then refused by its row.
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=np.float32)


def _check_finite(values: NDArray[np.float32], name: str) -> None:
    # A float64 sum of float32 values overflows for no real array, so it is finite if they all are.
    with np.errstate(invalid="ignore"):
        if np.isfinite(values.sum(dtype=np.float64)):
            return
    place = int(np.isfinite(values).ravel().argmin())
    raise ValueError(
        f"{name}: found the value {values.ravel()[place]} at place {place} of its data, "
        "wanted finite float32"
    )


def _sorted(
    indptr: Index, indices: Index, data: NDArray[np.float32], notices: Notices
) -> SparseRows:
    if not out_of_order(indptr, indices):
        return indptr, indices, data
    notices.copied(
        "unsorted or repeated indices were sorted and summed",
        f"{notices.name}.sum_duplicates()",
    )
    width = int(indices.max()) + 1
    matrix: Any = sparse.csr_array(
        (data.copy(), indices.copy(), indptr.copy()), shape=(len(indptr) - 1, width)
    )
    matrix.sum_duplicates()
    kind = indices.dtype
    return matrix.indptr.astype(kind), matrix.indices.astype(kind), matrix.data

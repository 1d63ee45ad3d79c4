"""Columns of an Arrow table as rows of features and labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slide_rs import arrays
from slide_rs.streams import Batch, csr

__all__ = ["Columns", "batch_of"]


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table hold what.

    Examples
    --------
    >>> Columns("tokens", "items").names
    ['tokens', 'items']
    """

    x: str | tuple[str, ...]
    y: str
    values: str | None = None
    weight: str | None = None

    @property
    def names(self) -> list[str]:
        """All of them, each once."""
        x = [self.x] if isinstance(self.x, str) else [*self.x]
        more = [name for name in (self.values, self.weight) if name is not None]
        return list(dict.fromkeys([*x, self.y, *more]))

    def check(self, found: list[str], source: str) -> None:
        """Raise if a column is not there."""
        for name in self.names:
            if name not in found:
                raise ValueError(f"{source}: found no column {name!r} among {found}")


def batch_of(
    table: Any, columns: Columns, sizes: tuple[int | None, int | None], source: str
) -> Batch:
    """Return the rows of a pyarrow Table or RecordBatch.

    Parameters
    ----------
    table : Table or RecordBatch
        The rows.
    columns : Columns
        What to read of it.
    sizes : pair of int
        Numbers of features and of labels.
    source : str
        What errors call it.

    Examples
    --------
    >>> import pyarrow as pa
    >>> table = pa.table({"x": [[0.5, 1], [2, 3]], "y": [1, 0]})
    >>> batch_of(table, Columns("x", "y"), (2, 2), "table").Y
    array([1, 0])
    """
    columns.check(table.schema.names, source)
    n_features, n_labels = sizes
    y = _Column.of(table, columns.y, source)
    labels: Any = y.numbers("iu", "whole numbers") if not y.lists else y.as_csr(n_labels, None, "y")
    x: Any
    if isinstance(columns.x, tuple):
        parts = [_Column.of(table, n, source).numbers("iufb", "numbers") for n in columns.x]
        x = np.column_stack([part.astype(np.float32, copy=False) for part in parts])
    else:
        found = _Column.of(table, columns.x, source)
        values = None if columns.values is None else _Column.of(table, columns.values, source)
        x = found.as_rows() if found.floats else found.as_csr(n_features, values, "x")
    weight = None
    if columns.weight is not None:
        found = _Column.of(table, columns.weight, source)
        weight = found.numbers("iufb", "numbers").astype(np.float32, copy=False)
    return Batch(x, labels, weight)


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of numbers or of lists of numbers, and what errors call it."""

    title: str
    flat: Any
    #: How long each list is; None if there are no lists.
    lengths: NDArray[np.int64] | None

    @classmethod
    def of(cls, table: Any, name: str, source: str) -> _Column:
        import pyarrow as pa
        import pyarrow.compute as pc

        found = table.column(name)
        if isinstance(found, pa.ChunkedArray):
            found = found.combine_chunks()
        title = f"{source}, column {name!r}"
        kind = found.type
        lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
        if not any(test(kind) for test in lists):
            return cls(title, found, None)
        lengths = pc.fill_null(pc.list_value_length(found), 0).to_numpy(zero_copy_only=False)
        return cls(title, pc.list_flatten(found), lengths.astype(np.int64))

    @property
    def lists(self) -> bool:
        return self.lengths is not None

    @property
    def floats(self) -> bool:
        """Whether it has lists of floats: dense rows."""
        import pyarrow as pa

        return self.lists and pa.types.is_floating(self.flat.type)

    def numbers(self, kinds: str, wanted: str) -> NDArray[Any]:
        """Return the numbers of all rows, one behind another."""
        import pyarrow as pa

        if pa.types.is_null(self.flat.type) and not len(self.flat):
            return np.empty(0, np.int32 if "i" in kinds else np.float32)
        if self.flat.null_count:
            raise ValueError(f"{self.title}: found a null, wanted {wanted}")
        numeric = pa.types.is_integer(self.flat.type) or pa.types.is_floating(self.flat.type)
        if not (numeric or pa.types.is_boolean(self.flat.type)):
            raise ValueError(f"{self.title}: found {self.flat.type}, wanted {wanted}")
        array: NDArray[Any] = self.flat.to_numpy(zero_copy_only=False)
        if array.dtype.kind not in kinds:
            raise ValueError(f"{self.title}: found {self.flat.type}, wanted {wanted}")
        return array

    def as_rows(self) -> NDArray[np.float32]:
        """Return lists of floats, all of one length, as dense rows."""
        assert self.lengths is not None
        numbers = self.numbers("f", "floats").astype(np.float32, copy=False)
        rows = len(self.lengths)
        width = int(self.lengths[0]) if rows else 0
        if (self.lengths != width).any():
            lengths = f"{self.lengths.min()} to {self.lengths.max()}"
            raise ValueError(f"{self.title}: found lists of {lengths} floats, wanted one length")
        return np.ascontiguousarray(numbers.reshape(rows, width))

    def as_csr(self, columns: int | None, values: _Column | None, what: str) -> Any:
        """Return lists of ids as CSR: repeated features are summed, repeated labels count once."""
        if self.lengths is None:
            raise ValueError(f"{self.title}: found {self.flat.type}, wanted lists of ids")
        if columns is None:
            name = "n_features" if what == "x" else "n_labels"
            raise ValueError(f"{name}: found None, wanted the number of columns of {self.title}")
        ids = self.numbers("iu", "whole numbers")
        if len(ids) and (ids.min() < 0 or ids.max() >= columns):
            wrong = ids.min() if ids.min() < 0 else ids.max()
            raise ValueError(f"{self.title}: found the id {wrong}, wanted 0 to {columns - 1}")
        data = np.ones(len(ids), np.float32)
        if values is not None:
            if values.lengths is None or not np.array_equal(values.lengths, self.lengths):
                raise ValueError(f"{values.title}: wanted lists as long as those of {self.title}")
            # A copy, as what pyarrow lends cannot be written to.
            data = values.numbers("iufb", "numbers").astype(np.float32)
        indptr = np.concatenate(([0], np.cumsum(self.lengths)))
        kind = np.int32 if len(ids) <= np.iinfo(np.int32).max else np.int64
        matrix = csr(indptr, ids.astype(kind), data, columns)
        if arrays.out_of_order(matrix.indptr, matrix.indices):
            matrix.sum_duplicates()
            if what == "y":
                matrix.data[:] = 1.0
        return matrix

"""Tables with columns of lists: Arrow, Parquet files, and data frames.

Features are a column of lists of ids, with the values in a second one or all 1; or a column of
lists of floats, or several columns of numbers, for dense rows. Labels are a column of lists of ids,
or of one id a row. A list that is null is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from slide_rs import checks
from slide_rs.list_columns import Columns, batch_of
from slide_rs.streams import AHEAD, BUFFER, Batch, Stream
from slide_rs.xmc_stream import Paths, found_files

__all__ = ["from_arrow", "from_frame", "stream_parquet"]

#: Rows of a piece.
ROWS = 16_384


class _Tables(Stream):
    """The rows of Arrow tables, which `read` yields with the name that errors give them."""

    def __init__(
        self,
        read: Callable[[], Iterator[tuple[str, Any]]],
        columns: Columns,
        sizes: tuple[int | None, int | None, int | None],
        options: dict[str, int],
        *,
        once: bool = False,
    ) -> None:
        n_rows, n_features, n_labels = sizes
        super().__init__((), n_features=n_features, n_labels=n_labels, **options)
        self._n_rows, self._tables, self._named, self._once = n_rows, read, columns, once

    @property
    def once(self) -> bool:
        return self._once

    def _read(self, n_features: int | None, n_labels: int | None) -> Iterator[Batch]:
        for name, table in self._tables():
            yield batch_of(table, self._named, (n_features, n_labels), name)


def from_arrow(
    table: object,
    x: str | Sequence[str],
    y: str,
    *,
    values: str | None = None,
    weight: str | None = None,
    n_rows: int | None = None,
    n_features: int | None = None,
    n_labels: int | None = None,
    shuffle_buffer: int = BUFFER,
    seed: int = 0,
    prefetch: int = AHEAD,
) -> Stream:
    """Return the rows of Arrow data, to train on.

    Parameters
    ----------
    table : pyarrow Table, RecordBatch, Dataset or RecordBatchReader, or iterable of batches
        The rows, or anything that exports them as an Arrow stream. A reader ends after one epoch.
    x : str or sequence of str
        The column of the features: lists of ids, or of floats for dense rows; or the columns of
        numbers that dense rows consist of.
    y : str
        The column of the labels: lists of ids, or an id a row.
    values : str, optional
        The column of the values of the features, lists as long as those of the ids; all are 1
        without.
    weight : str, optional
        The column of the weights of the rows.
    n_rows : int, optional
        As in `Stream`; tables and data sets know it.
    n_features, n_labels, shuffle_buffer, seed, prefetch
        As in `Stream`.

    Raises
    ------
    ImportError
        If pyarrow is not there: ``pip install 'slide_rs[data]'``.
    ValueError
        If there is no such column, here or while it is read.

    Examples
    --------
    >>> import pyarrow as pa
    >>> table = pa.table({"words": [[0, 3], [2]], "count": [[1.5, 1], [2]], "label": [[1], [0, 2]]})
    >>> rows = from_arrow(table, "words", "label", values="count", n_features=4, n_labels=3)
    >>> next(iter(rows)).X.toarray()
    array([[1.5, 0. , 0. , 1. ],
           [0. , 0. , 2. , 0. ]], dtype=float32)
    """
    pa = _pyarrow("from_arrow")
    columns = Columns(x if isinstance(x, str) else tuple(x), y, values, weight)
    read, known, once = _reader(pa, table, columns)
    options = {"shuffle_buffer": shuffle_buffer, "seed": seed, "prefetch": prefetch}
    return _Tables(read, columns, (n_rows or known, n_features, n_labels), options, once=once)


def stream_parquet(
    paths: Paths,
    x: str | Sequence[str],
    y: str,
    *,
    values: str | None = None,
    weight: str | None = None,
    n_features: int | None = None,
    n_labels: int | None = None,
    piece_rows: int = ROWS,
    shuffle_buffer: int = BUFFER,
    seed: int = 0,
    prefetch: int = AHEAD,
) -> Stream:
    """Return the rows of Parquet files, to train on.

    Parameters
    ----------
    paths : path or sequence of paths
        The files, in their order. A text with ``*`` stands for all files that it matches, by name.
    x, y, values, weight
        Columns, as in `from_arrow`; no others are read.
    n_features, n_labels, shuffle_buffer, seed, prefetch
        As in `Stream`.
    piece_rows : int
        Rows that are read at a time.

    Raises
    ------
    ImportError
        If pyarrow is not there: ``pip install 'slide_rs[data]'``.
    OSError
        If a file cannot be read.
    ValueError
        If it is no Parquet file, or has no such columns.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import pyarrow as pa, pyarrow.parquet as pq
    >>> path = pathlib.Path(tempfile.mkdtemp(), "rows.parquet")
    >>> pq.write_table(pa.table({"tokens": [[0, 3], [2]], "item_ids": [[1], [0, 2]]}), path)
    >>> stream_parquet(path, x="tokens", y="item_ids").n_rows
    2
    """
    _pyarrow("stream_parquet")
    import pyarrow.parquet as pq

    columns = Columns(x if isinstance(x, str) else tuple(x), y, values, weight)
    size = checks.whole("piece_rows", piece_rows, 1, checks.MOST)
    files = found_files(paths)
    count = 0
    for path in files:
        with _of_file(path), pq.ParquetFile(path) as file:
            columns.check(file.schema_arrow.names, path)
            count += file.metadata.num_rows

    def read() -> Iterator[tuple[str, Any]]:
        for path in files:
            with _of_file(path), pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=size, columns=columns.names):
                    yield path, batch

    options = {"shuffle_buffer": shuffle_buffer, "seed": seed, "prefetch": prefetch}
    return _Tables(read, columns, (count, n_features, n_labels), options)


def from_frame(
    frame: object,
    x: str | Sequence[str],
    y: str,
    *,
    values: str | None = None,
    weight: str | None = None,
    n_features: int | None = None,
    n_labels: int | None = None,
    shuffle_buffer: int = BUFFER,
    seed: int = 0,
    prefetch: int = AHEAD,
) -> Stream:
    """Return the rows of a data frame of pandas, Polars or any other that narwhals knows.

    Parameters
    ----------
    frame : data frame
        One that is in memory; collect a lazy one first.
    x, y, values, weight
        Columns, as in `from_arrow`. In pandas lists are objects.
    n_features, n_labels, shuffle_buffer, seed, prefetch
        As in `Stream`.

    Raises
    ------
    ImportError
        If narwhals or pyarrow is not there: ``pip install 'slide_rs[data]'``.
    TypeError
        If `frame` is no data frame in memory.
    ValueError
        If there is no such column.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"height": [1.5, 2.0], "width": [0.5, 1.0], "label": [1, 0]})
    >>> rows = from_frame(frame, ["height", "width"], "label", n_features=2, n_labels=2)
    >>> next(iter(rows)).X
    array([[1.5, 0.5],
           [2. , 1. ]], dtype=float32)
    """
    _pyarrow("from_frame")
    try:
        import narwhals as nw
    except ImportError:
        raise _missing("from_frame", "narwhals") from None
    try:
        known: Any = nw.from_native(frame, eager_only=True)
    except TypeError:
        raise TypeError(
            f"frame: found {type(frame).__name__}, wanted a data frame in memory, such as of "
            "pandas or Polars (collect() makes one of a lazy frame)"
        ) from None
    columns = Columns(x if isinstance(x, str) else tuple(x), y, values, weight)
    columns.check(known.columns, "frame")
    chosen = known.select(columns.names)

    def read() -> Iterator[tuple[str, Any]]:
        for start in range(0, len(chosen), ROWS):
            yield "frame", chosen[start : start + ROWS].to_arrow()

    options = {"shuffle_buffer": shuffle_buffer, "seed": seed, "prefetch": prefetch}
    return _Tables(read, columns, (len(chosen) or None, n_features, n_labels), options)


def _reader(
    pa: Any, table: Any, columns: Columns
) -> tuple[Callable[[], Iterator[tuple[str, Any]]], int | None, bool]:
    """Return what reads the batches, how many rows there are, and whether they can be read once."""
    if isinstance(table, pa.RecordBatch):
        table = pa.Table.from_batches([table])
    known = (pa.Table, pa.RecordBatchReader)
    if hasattr(table, "count_rows") and hasattr(table, "to_batches"):
        columns.check(table.schema.names, "table")
        scan = partial(table.to_batches, columns=columns.names, batch_size=ROWS)
        return lambda: _listed(pa, scan()), table.count_rows() or None, False
    if not isinstance(table, known) and hasattr(table, "__arrow_c_stream__"):
        table = pa.table(table)
    if isinstance(table, known):
        columns.check(table.schema.names, "table")
    if isinstance(table, pa.Table):
        cut = partial(table.select(columns.names).to_batches, max_chunksize=ROWS)
        return lambda: _listed(pa, cut()), len(table) or None, False
    if not isinstance(table, Iterable) or isinstance(table, str | bytes):
        raise TypeError(
            f"table: found {type(table).__name__}, wanted a pyarrow Table, RecordBatch, Dataset or "
            "RecordBatchReader, or an iterable of RecordBatch"
        )
    once = isinstance(table, Iterator | pa.RecordBatchReader)
    return lambda: _listed(pa, table), None, once


def _listed(pa: Any, batches: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    for number, batch in enumerate(batches):
        if not isinstance(batch, pa.RecordBatch | pa.Table):
            raise TypeError(
                f"table[{number}]: found {type(batch).__name__}, wanted a pyarrow RecordBatch"
            )
        yield f"table[{number}]", batch


@contextmanager
def _of_file(path: str) -> Iterator[None]:
    """Name the file in what pyarrow says of it."""
    import pyarrow as pa

    try:
        yield
    except pa.ArrowException as error:
        raise ValueError(f"{path}: {error}") from error


def _pyarrow(function: str) -> Any:
    try:
        import pyarrow as pa
    except ImportError:
        raise _missing(function, "pyarrow") from None
    return pa


def _missing(function: str, package: str) -> ImportError:
    return ImportError(f"data.{function} needs {package}: pip install 'slide_rs[data]'")

"""Batches for a training loop of the user's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from slide_rs import arrays, checks
from slide_rs.arrays import Features
from slide_rs.labels import Targets
from slide_rs.streaming import checked
from slide_rs.streams import Batch, Stream, csr
from slide_rs.windows import Piece, windows

__all__ = ["batches"]

_WANTED = "wanted a SciPy CSR matrix or array, a 2-D NumPy array, or a data.Stream"


def batches(
    X: object,
    Y: object = None,
    batch_size: int = 256,
    *,
    shuffle: bool = True,
    seed: int = 0,
    sample_weight: object = None,
) -> Iterator[Batch]:
    """Yield each row once, in batches for `Network.train_batch`.

    Parameters
    ----------
    X : CSR matrix or array, or 2-D array; or Stream
        Features. A stream must know its numbers of columns, and shuffles in its buffer.
    Y : CSR matrix or array, list of lists, or vector
        Labels of each row; not given with a stream.
    batch_size : int
        Rows of a batch; the last may have fewer.
    shuffle : bool
        Take rows in random order. Otherwise batches are slices, whose ids and values are borrowed.
    seed : int
        The same seed gives the same order; take another for each epoch.
    sample_weight : vector of numbers, optional
        Weight of each row.

    Yields
    ------
    Batch
        With X, Y and weight.

    Examples
    --------
    >>> X, Y = np.eye(5, dtype=np.float32), [[0], [1], [2], [0], [1]]
    >>> [batch.Y for batch in batches(X, Y, batch_size=2, shuffle=False)]
    [[[0], [1]], [[2], [0]], [[1]]]
    """
    size = checks.whole("batch_size", batch_size, 1, checks.MOST)
    random = np.random.default_rng(checks.whole("seed", seed, 0))
    checks.flag("shuffle", shuffle)
    if isinstance(X, Stream):
        if Y is not None or sample_weight is not None:
            raise TypeError("X: found a stream with Y or sample_weight, wanted them inside of it")
        return _of_stream(X, size, random if shuffle else None)
    if not (arrays.is_compressed(X) or sparse.issparse(X) or isinstance(X, np.ndarray)):
        raise TypeError(f"X: found {type(X).__name__}, {_WANTED}")
    shape: Any = getattr(X, "shape", ())
    if len(shape) != 2:
        raise ValueError(f"X: found {len(shape)} dimensions, wanted 2 (rows and columns)")
    rows = int(shape[0])
    columns = {"Y": Y} if sample_weight is None else {"Y": Y, "sample_weight": sample_weight}
    for name, found in columns.items():
        if (count := _length(found, name)) != rows:
            raise ValueError(f"{name}: found {count} rows, wanted the {rows} of X")
    order = random.permutation(rows) if shuffle else None
    return _of_rows((X, Y, sample_weight), rows, size, order)


def _of_rows(
    parts: tuple[Any, Any, Any], rows: int, size: int, order: NDArray[np.int64] | None
) -> Iterator[Batch]:
    for start in range(0, rows, size):
        stop = min(start + size, rows)
        chosen = slice(start, stop) if order is None else order[start:stop]
        yield Batch(*(None if part is None else _chosen(part, chosen) for part in parts))


def _chosen(part: Any, rows: Any) -> Any:
    if isinstance(part, list | tuple):
        return part[rows] if isinstance(rows, slice) else [part[row] for row in rows]
    if sparse.issparse(part) and not arrays.is_compressed(part):
        raise TypeError(f"found {type(part).__name__}, wanted CSR, whose rows can be taken")
    if isinstance(rows, slice) and arrays.is_compressed(part):
        bounds = part.indptr[rows.start : rows.stop + 1]
        inside = slice(int(bounds[0]), int(bounds[-1]))
        return csr(bounds - bounds[0], part.indices[inside], part.data[inside], part.shape[1])
    if arrays.is_compressed(part) and not sparse.issparse(part):
        return csr(part.indptr, part.indices, part.data, part.shape[1])[rows]
    return part[rows]


def _length(found: Any, name: str) -> int:
    shape = getattr(found, "shape", None)
    if shape:
        return int(shape[0])
    if not isinstance(found, list | tuple):
        raise TypeError(
            f"{name}: found {type(found).__name__}, wanted CSR, a list or a NumPy array"
        )
    return len(found)


def _of_stream(stream: Stream, size: int, random: np.random.Generator | None) -> Iterator[Batch]:
    width, units = stream.n_features, stream.n_labels
    if width is None or units is None:
        name = "n_features" if width is None else "n_labels"
        raise ValueError(f"{name}: found None for a stream, wanted its number of columns")
    return _windowed(stream, size, random, (width, units))


def _windowed(
    stream: Stream, size: int, random: np.random.Generator | None, columns: tuple[int, int]
) -> Iterator[Batch]:
    buffer = stream.shuffle_buffer if random is not None else 0
    choose = np.random.default_rng(0) if random is None else random
    with closing(checked(stream, columns)) as pieces:
        for window in windows(pieces, size, buffer, choose):
            rows = np.arange(len(window.held)) if window.rows is None else window.rows
            if random is not None:
                rows = random.permutation(rows)
            for start in range(0, len(rows), size):
                yield _as_batch(window.held.taken(rows[start : start + size]), columns)
            # Not kept alive while the next one is put together.
            del window


def _as_batch(piece: Piece, columns: tuple[int, int]) -> Batch:
    return Batch(_features(piece.x, columns[0]), _labels(piece.y, columns[1]), piece.weight)


def _features(x: Features, columns: int) -> Any:
    return csr(*x, columns) if isinstance(x, tuple) else x


def _labels(y: Targets, columns: int) -> Any:
    grades = y[2] if len(y) == 3 else np.ones(len(y[1]), np.float32)
    return csr(y[0], y[1], grades, columns)

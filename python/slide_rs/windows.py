"""The rows of a stream that are in memory at a time, and which of them are trained on next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from slide_rs.arrays import Features, n_rows
from slide_rs.labels import Targets
from slide_rs.subsets import labels_of, take

__all__ = ["Piece", "Window", "joined", "windows"]

_MOST = int(np.iinfo(np.int32).max)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of a stream as the engine takes them.

    Examples
    --------
    >>> len(Piece(np.eye(2, dtype=np.float32), (np.arange(3), np.arange(2)), None))
    2
    """

    x: Features
    y: Targets
    weight: NDArray[np.float32] | None

    def __len__(self) -> int:
        return n_rows(self.x)

    def taken(self, rows: NDArray[np.int64]) -> Piece:
        """Return a copy of these rows."""
        y = labels_of(self.y, rows) if len(self.y) == 2 else take(self.y, rows)
        weight = None if self.weight is None else self.weight[rows]
        return Piece(take(self.x, rows), y, weight)  # type: ignore[arg-type]


class Window(NamedTuple):
    """Rows in memory, and those of them to train on: all where `rows` is None."""

    held: Piece
    rows: NDArray[np.int64] | None


def windows(
    pieces: Iterable[Piece], batch_size: int, buffer: int, random: np.random.Generator
) -> Iterator[Window]:
    """Yield windows of about `buffer` rows, so that each row of the stream is chosen once.

    When the buffer is full, half of its rows are chosen at random, and the others stay for the
    window that follows; whoever trains shuffles those that are chosen. The chosen rows of all
    windows but the last are whole batches. A stream that fits in the buffer is one window.

    Parameters
    ----------
    pieces : iterable of Piece
        The rows, in any portions.
    batch_size : int
        Rows of a step.
    buffer : int
        Rows to hold, at least two batches; 0 to choose rows in their order, a batch or more at a
        time.
    random : Generator
        Chooses the rows.

    Examples
    --------
    >>> y = np.arange(4), np.array([0, 0, 0])
    >>> pieces = [Piece(np.eye(3, dtype=np.float32), y, None)] * 3
    >>> found = list(windows(pieces, 2, 4, np.random.default_rng(0)))
    >>> [len(w.held) if w.rows is None else len(w.rows) for w in found]
    [4, 2, 3]
    """
    most = max(buffer, 2 * batch_size) if buffer else batch_size
    held: list[Piece] = []
    count = 0
    for piece in pieces:
        held.append(piece)
        count += len(piece)
        if count <= most:
            continue
        pool = joined(held)
        held.clear()
        del piece
        stay = most // 2 if buffer else 0
        chosen = (count - stay) // batch_size * batch_size
        order = random.permutation(count) if buffer else np.arange(count)
        yield Window(pool, np.sort(order[:chosen]).astype(np.int64))
        rest = np.sort(order[chosen:]).astype(np.int64)
        count -= chosen
        if count:
            held.append(pool.taken(rest))
        del pool
    if count:
        pool = joined(held)
        held.clear()
        yield Window(pool, None)


def joined(pieces: Sequence[Piece]) -> Piece:
    """Return the rows of all pieces, one behind another; a single piece as it is.

    Examples
    --------
    >>> y = np.arange(3), np.array([0, 1])
    >>> len(joined([Piece(np.eye(2, dtype=np.float32), y, None)] * 3))
    6
    """
    if len(pieces) == 1:
        return pieces[0]
    weight = None
    if any(piece.weight is not None for piece in pieces):
        ones = (np.ones(len(p), np.float32) if p.weight is None else p.weight for p in pieces)
        weight = np.concatenate(list(ones))
    graded = any(len(piece.y) == 3 for piece in pieces)
    y = _stacked([_graded(piece.y) if graded else piece.y for piece in pieces])
    parts = [piece.x for piece in pieces]
    sparse = [part for part in parts if isinstance(part, tuple)]
    x: Any = _stacked(sparse) if sparse else np.concatenate(parts)
    return Piece(x, y, weight)  # type: ignore[arg-type]


def _graded(y: Targets) -> Targets:
    return y if len(y) == 3 else (*y, np.ones(len(y[1]), np.float32))


def _stacked(parts: Sequence[tuple[NDArray[Any], ...]]) -> tuple[NDArray[Any], ...]:
    """Put compressed rows behind one another; bounds and ids have one type."""
    entries = sum(len(part[1]) for part in parts)
    wide = entries > _MOST or any(part[1].dtype == np.int64 for part in parts)
    kind = np.int64 if wide else np.int32
    bounds = np.zeros(sum(len(part[0]) - 1 for part in parts) + 1, kind)
    np.cumsum(np.concatenate([np.diff(part[0]) for part in parts]), out=bounds[1:])
    ids = np.concatenate([part[1] for part in parts]).astype(kind, copy=False)
    return (bounds, ids, *(np.concatenate(v) for v in zip(*(p[2:] for p in parts), strict=True)))

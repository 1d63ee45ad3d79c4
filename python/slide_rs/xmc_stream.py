"""Files in the text format of extreme classification, read piece by piece."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from slide_rs import _core, checks
from slide_rs.streams import AHEAD, BUFFER, Batch, Stream, csr

__all__ = ["Paths", "found_files", "stream_xmc"]

Paths: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

#: Bytes of text in a piece.
PIECE = 1 << 24


class _XmcStream(Stream):
    """The rows of one or more files, one file after another."""

    def __init__(
        self,
        paths: list[str],
        columns: tuple[int | None, int | None],
        piece_bytes: int,
        shuffling: tuple[int, int],
        prefetch: int,
    ) -> None:
        headers = [_core.XmcReader(path, 1).header for path in paths]
        known = [header for header in headers if header is not None]
        whole = len(known) == len(paths)
        buffer, seed = shuffling
        super().__init__(
            paths,
            n_features=columns[0] or (max(h[1] for h in known) if whole else None),
            n_labels=columns[1] or (max(h[2] for h in known) if whole else None),
            shuffle_buffer=buffer,
            seed=seed,
            prefetch=prefetch,
        )
        # The engine counts the rows of each file and compares with its header.
        self._n_rows = sum(h[0] for h in known) if whole else None
        self._paths = paths
        self._bytes = piece_bytes

    def _read(self, n_features: int | None, n_labels: int | None) -> Iterator[Batch]:
        for path in self._paths:
            reader = _core.XmcReader(path, self._bytes)
            width = _agreed(path, "features", n_features, reader.header and reader.header[1])
            units = _agreed(path, "labels", n_labels, reader.header and reader.header[2])
            while (rows := reader.read()) is not None:
                x_indptr, x_ids, values, y_indptr, y_ids = rows
                _check_ids(path, "feature", x_ids, width)
                _check_ids(path, "label", y_ids, units)
                ones = np.ones(len(y_ids), np.float32)
                yield Batch(csr(x_indptr, x_ids, values, width), csr(y_indptr, y_ids, ones, units))


def stream_xmc(
    paths: Paths,
    *,
    n_features: int | None = None,
    n_labels: int | None = None,
    piece_bytes: int = PIECE,
    shuffle_buffer: int = BUFFER,
    seed: int = 0,
    prefetch: int = AHEAD,
) -> Stream:
    r"""Return the rows of files in the text format of extreme classification, to train on.

    The format is that of `datasets.read_xmc`, gzip too. Where all files have headers the rows need
    not be counted; each file is found out that has more or fewer than it says.

    Parameters
    ----------
    paths : path or sequence of paths
        The files, in their order. A text with ``*`` stands for all files that it matches, by name.
    n_features, n_labels : int, optional
        Numbers of columns, at least those of each file; the largest of the headers when not given.
    piece_bytes : int
        Text that is parsed at a time; its rows take about half as much memory again.
    shuffle_buffer, seed, prefetch : int
        As in `Stream`.

    Raises
    ------
    OSError
        If a file cannot be read.
    ValueError
        If it is no such file, here where its header shows it, or while it is read.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from slide_rs import Network, layers
    >>> path = pathlib.Path(tempfile.mkdtemp(), "tiny.txt")
    >>> _ = path.write_text("2 5 4\n0,3 1:0.5 4:1.25\n1 2:1\n")
    >>> rows = stream_xmc(path)
    >>> rows.n_rows, rows.n_features, rows.n_labels
    (2, 5, 4)
    >>> net = Network([layers.SparseInput(5), layers.Dense(8), layers.SampledDense(4)])
    >>> net.fit(rows, epochs=3, verbose=False).epochs
    [1, 2, 3]
    """
    columns = tuple(
        None if found is None else checks.whole(name, found, 1, checks.MOST)
        for name, found in (("n_features", n_features), ("n_labels", n_labels))
    )
    size = checks.whole("piece_bytes", piece_bytes, 1, 1 << 40)
    shuffling = shuffle_buffer, seed
    return _XmcStream(found_files(paths), (columns[0], columns[1]), size, shuffling, prefetch)


def found_files(paths: Paths) -> list[str]:
    """Return the files that paths and patterns stand for; there must be some.

    Examples
    --------
    >>> found_files(["b.txt", "a.txt"])
    ['b.txt', 'a.txt']
    """
    listed = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found: list[str] = []
    for path in listed:
        name = checks.path("paths", path)
        if isinstance(path, str) and glob.has_magic(path) and not os.path.exists(path):
            matched = sorted(glob.glob(path))
            if not matched:
                raise FileNotFoundError(f"paths: found no file that matches {path}")
            found.extend(matched)
        else:
            found.append(name)
    if not found:
        raise ValueError("paths: found no file, wanted at least one")
    return found


def _agreed(path: str, what: str, wanted: int | None, header: int | None) -> int:
    """Return the number of columns, if that of the header is no larger."""
    if wanted is None:
        raise ValueError(f"n_{what}: found None and no header in {path}, wanted the number")
    if header is not None and header > wanted:
        raise ValueError(f"{path}: found {header} {what} in the header, wanted at most {wanted}")
    return wanted


def _check_ids(path: str, what: str, ids: NDArray[Any], columns: int) -> None:
    if len(ids) and ids.max() >= columns:
        raise ValueError(f"{path}: found the {what} {ids.max()}, wanted 0 to {columns - 1}")

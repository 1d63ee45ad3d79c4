"""Data sets from one form of file to another: text, gzipped text, NumPy arrays, caches.

An ``.npz`` holds the parts of both CSR matrices, ``X_data``, ``X_indices``, ``X_indptr`` and
``X_shape``, and those of ``Y`` likewise, for programs that have NumPy and no reader of the text.
"""

from __future__ import annotations

import os
import zipfile
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from slide_rs import archives, caches, checks, datasets
from slide_rs.arrays import features
from slide_rs.datasets import Dataset
from slide_rs.labels import labels

__all__ = ["convert", "read", "write_npz"]

_PARTS = ("data", "indices", "indptr", "shape")
#: Ends of names that promise what is not written here.
_OTHERS = (".parquet", ".arrow", ".feather", ".csv", ".json", ".jsonl", ".npy", ".h5", ".pkl")


def convert(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> Dataset:
    """Write the data set of a file to another, whose name tells its form, and return it.

    Parameters
    ----------
    source : str or path
        A text in the format of extreme classification, plain or gzipped, or an ``.npz`` of this
        module.
    target : str or path
        ``.npz`` for arrays, ``<source>.slide-cache`` for the cache of a text, and the text for any
        other name, gzipped if it ends in ``.gz``.

    Raises
    ------
    OSError
        If a file can not be read or written.
    ValueError
        If `source` is no data set or has grades, which a text does not, or `target` is a cache of
        something else.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> datasets.write_xmc(folder / "a.txt", *datasets.make_xmc(9, n_features=8, n_labels=4))
    >>> X, Y = convert(folder / "a.txt", folder / "a.npz")
    >>> (convert(folder / "a.npz", folder / "b.txt.gz").X != X).nnz
    0
    """
    found, wanted = checks.path("source", source), checks.path("target", target)
    if os.path.abspath(found) == os.path.abspath(wanted):
        raise ValueError(f"target: found {wanted}, which is the source; wanted another file")
    if wanted.endswith(caches.SUFFIX):
        if wanted != found + caches.SUFFIX or archives.is_archive(found):
            raise ValueError(
                f"target: found {wanted}, wanted {found}{caches.SUFFIX}, beside the text that it "
                "is the cache of"
            )
        data = datasets.read_xmc(found, cache=True)
        if not os.path.isfile(wanted):
            raise OSError(f"{wanted}: the folder can not be written")
        return data
    if wanted.lower().endswith(_OTHERS):
        raise ValueError(f"target: found {wanted}, wanted .npz, or the name of a text")
    data = read(found)
    if wanted.endswith(".npz"):
        write_npz(wanted, data)
    elif data.Y.nnz and not (data.Y.data == 1).all():
        raise ValueError(f"{found}: found grades in Y, which a text has no place for; wanted .npz")
    else:
        datasets.write_xmc(wanted, *data)
    return data


def read(path: str | os.PathLike[str]) -> Dataset:
    """Read a text or an ``.npz``, whatever its name.

    Raises
    ------
    ValueError
        If the file is neither.
    """
    name = checks.path("path", path)
    if not archives.is_archive(name):
        return datasets.read_xmc(name)
    try:
        with np.load(name, allow_pickle=False) as arrays:
            parts = {what: [arrays[f"{what}_{part}"] for part in _PARTS] for what in "XY"}
        X, Y = (_matrix(*parts[what]) for what in "XY")
    except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        text = " ".join(str(error).split())
        raise ValueError(f"{name} is no data set: found {text}, wanted X_data and so on") from None
    # As the engine reads them, or an error that names what is wrong.
    features(X, X.shape[1])
    labels(Y, Y.shape[1], X.shape[0])
    return Dataset(X, Y)


def write_npz(path: str | os.PathLike[str], data: Dataset) -> None:
    """Write both matrices as arrays, compressed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "a.npz")
    >>> write_npz(path, datasets.make_xmc(9, n_features=8, n_labels=4))
    >>> read(path).X.shape
    (9, 8)
    """
    arrays: dict[str, Any] = {}
    for what, matrix in zip("XY", data, strict=True):
        arrays |= {f"{what}_{part}": np.asarray(getattr(matrix, part)) for part in _PARTS}
    # An open file, for NumPy appends to names.
    with open(checks.path("path", path), "wb") as file:
        np.savez_compressed(file, **arrays)


def _matrix(data: Any, indices: Any, indptr: Any, shape: Any) -> csr_array[Any]:
    rows, columns = (int(size) for size in shape)
    return csr_array((data, indices, indptr), shape=(rows, columns))

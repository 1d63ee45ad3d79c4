"""A data set as arrays in a file beside its text, mapped into memory where it was read before.

The file ``<text>.slide-cache`` is in the safetensors format, so that other programs can read it as
well: six arrays, ``X.indptr`` to ``Y.data``, and in the metadata what the text was like. It is used
only if size, time of change and a sample of the text are still the same, if its checksum is right,
and if its arrays are compressed rows that could have come from a text; otherwise the text is read.

A file is complete when it gets its name, and it is never changed afterwards, so that any number of
processes may read and write caches of the same text.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
import stat
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from slide_rs import _core
from slide_rs.notices import warn

__all__ = ["SUFFIX", "Stamp", "load", "save"]

#: What the name of a cache has behind that of its text.
SUFFIX = ".slide-cache"

_log = logging.getLogger("slide_rs")
_Matrix: TypeAlias = "csr_array[np.float32]"

# Raised when the reader of texts comes to other arrays, or older versions would misread a file.
_FORMAT = 1
_KEY = "slide_rs"
_PARTS = ("indptr", "indices", "data")
_DTYPES = {"I64": "<i8", "I32": "<i4", "F32": "<f4"}
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}
_MOST_COLUMNS = int(np.iinfo(np.int32).max)
# Both are far above what a header needs; a longer one is not ours.
_LONGEST_HEADER, _ALIGNMENT = 1 << 14, 64
# Texts of up to a megabyte are hashed whole.
_SAMPLE_BYTES, _SAMPLES = 1 << 14, 64


class _DamagedError(Exception):
    """What is wrong with a cache."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a text was like when it was read.

    Examples
    --------
    >>> Stamp.of(__file__) == Stamp.of(__file__)
    True
    """

    size: int
    mtime_ns: int
    digest: str

    @classmethod
    def of(cls, text: str) -> Stamp | None:
        """Look at a text; None if it is no regular file, which might be read only once.

        Raises
        ------
        OSError
            If it cannot be read.
        """
        if not stat.S_ISREG(os.stat(text).st_mode):
            return None
        digest = hashlib.blake2b(digest_size=16, usedforsecurity=False)
        with open(text, "rb") as file:
            status = os.fstat(file.fileno())
            last = max(status.st_size - _SAMPLE_BYTES, 0)
            for start in (*range(0, last, max(_SAMPLE_BYTES, last // _SAMPLES)), last):
                file.seek(start)
                digest.update(file.read(_SAMPLE_BYTES))
        return cls(status.st_size, status.st_mtime_ns, digest.hexdigest())


def load(text: str, stamp: Stamp) -> tuple[_Matrix, _Matrix] | None:
    """Map the cache of a text; None if there is none, or it is of another text.

    The arrays are private to the process: writing to them changes neither the file nor what others
    see. A damaged file is not used, and a `SlideWarning` says so.

    Examples
    --------
    >>> load("no-such-file", Stamp(0, 0, "")) is None
    True
    """
    path = text + SUFFIX
    # Anything but a file, such as a named pipe, might never answer.
    if not os.path.isfile(path):
        return None
    try:
        with open(path, "rb") as file:
            return _matrices(file, stamp)
    except _DamagedError as error:
        warn(f"{path}: found a cache that {error}; read {text} in its place")
    except OSError as error:
        # No right to read it, or no address space left to map it.
        _log.debug("%s: not used: %s", path, error)
    return None


def save(text: str, stamp: Stamp, X: _Matrix, Y: _Matrix) -> None:
    """Write the cache of a text, if it is still the same and its folder can be written.

    Examples
    --------
    >>> empty = csr_array((1, 1), dtype=np.float32)
    >>> save("no-such-folder/text", Stamp(0, 0, ""), empty, empty)
    """
    arrays = {
        f"{name}.{part}": getattr(matrix, part)
        for name, matrix in (("X", X), ("Y", Y))
        for part in _PARTS
    }
    sizes = {name: (_NAMES[array.dtype], len(array)) for name, array in arrays.items()}
    parts = [arrays[name].view(np.uint8) for name in _in_order(sizes)]
    about = _about(stamp, int(X.shape[1]), int(Y.shape[1]))
    header = _header(sizes, about, _checksum(about, parts))
    try:
        # What was read while it was written is neither the text of then nor that of now.
        if Stamp.of(text) == stamp:
            _write(text, header, parts)
    except OSError as error:
        # Data that was read is not lost because it cannot be kept.
        _log.debug("%s: not written: %s", text + SUFFIX, error)


def _write(text: str, header: bytes, parts: Sequence[NDArray[np.uint8]]) -> None:
    folder, name = os.path.split(text + SUFFIX)
    descriptor, partial = tempfile.mkstemp(".partial", f".{name}.", folder or ".")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(header)
            for part in parts:
                file.write(part.data)
            file.flush()
            # Otherwise the name might outlive a power failure, and the bytes not.
            os.fsync(file.fileno())
        # A temporary file is for its owner alone; a cache is for those who may read the text.
        os.chmod(partial, stat.S_IMODE(os.stat(text).st_mode) & 0o666)
        os.replace(partial, text + SUFFIX)
    except BaseException:
        os.unlink(partial)
        raise


def _about(stamp: Stamp, n_features: int, n_labels: int) -> str:
    return json.dumps(
        {
            "format": _FORMAT,
            "text": [stamp.size, stamp.mtime_ns, stamp.digest],
            "columns": [n_features, n_labels],
        }
    )


def _in_order(sizes: Mapping[str, tuple[str, int]]) -> list[str]:
    """Put wide numbers first, so that all are aligned."""
    return sorted(sizes, key=lambda name: -np.dtype(_DTYPES[sizes[name][0]]).itemsize)


def _offsets(sizes: Mapping[str, tuple[str, int]]) -> dict[str, tuple[int, int]]:
    offsets, end = {}, 0
    for name in _in_order(sizes):
        dtype, length = sizes[name]
        start, end = end, end + length * np.dtype(_DTYPES[dtype]).itemsize
        offsets[name] = (start, end)
    return offsets


def _checksum(about: str, parts: Sequence[NDArray[np.uint8]]) -> str:
    return f"{_core.crc32([np.frombuffer(about.encode(), np.uint8), *parts]):08x}"


def _header(sizes: Mapping[str, tuple[str, int]], about: str, checksum: str) -> bytes:
    """Return all that stands before the arrays: the one way to describe them."""
    entries: dict[str, Any] = {"__metadata__": {_KEY: about, "crc32": checksum}}
    for name, offsets in _offsets(sizes).items():
        dtype, length = sizes[name]
        entries[name] = {"dtype": dtype, "shape": [length], "data_offsets": list(offsets)}
    text = json.dumps(entries).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


@dataclass(frozen=True, slots=True)
class _Description:
    """What a header says, in which nothing contradicts anything else."""

    sizes: dict[str, tuple[str, int]]
    about: str
    checksum: str
    #: Where the arrays begin.
    start: int

    @classmethod
    def read(cls, file: BinaryIO) -> _Description:
        length = int.from_bytes(file.read(8), "little")
        text = file.read(length) if length <= _LONGEST_HEADER else b""
        try:
            entries = json.loads(text)
            about = entries["__metadata__"][_KEY]
            checksum = entries["__metadata__"]["crc32"]
            sizes = {}
            for name in (f"{matrix}.{part}" for matrix in "XY" for part in _PARTS):
                dtype, (count,) = entries[name]["dtype"], entries[name]["shape"]
                if type(count) is not int or count < 0:
                    raise _DamagedError("has no lengths of arrays")
                sizes[name] = (str(dtype), count)
            header = _header(sizes, about, checksum)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise _DamagedError("has no readable header") from error
        # Whatever is spelled otherwise may mean something else: overlaps, gaps, other names.
        if header != length.to_bytes(8, "little") + text:
            raise _DamagedError("has a header that is not ours")
        return cls(sizes, about, checksum, len(header))


def _matrices(file: BinaryIO, stamp: Stamp) -> tuple[_Matrix, _Matrix] | None:
    found = _Description.read(file)
    columns = _columns(found.about)
    if found.about != _about(stamp, *columns):
        return None
    arrays = _mapped(file, found)
    parts = [arrays[name].view(np.uint8) for name in _in_order(found.sizes)]
    if _checksum(found.about, parts) != found.checksum:
        raise _DamagedError("has a wrong checksum")
    X, Y = (
        _checked(width, *(arrays[f"{name}.{part}"] for part in _PARTS))
        for name, width in zip("XY", columns, strict=True)
    )
    if X.shape[0] != Y.shape[0]:
        raise _DamagedError("has not as many labels as rows")
    if Y.nnz and not Y.data.min() == Y.data.max() == 1.0:
        raise _DamagedError("has labels that are not 1")
    return X, Y


def _mapped(file: BinaryIO, found: _Description) -> dict[str, NDArray[Any]]:
    offsets = _offsets(found.sizes)
    end = found.start + max(end for _, end in offsets.values())
    if os.fstat(file.fileno()).st_size != end:
        raise _DamagedError("ends early or late")
    whole = mmap.mmap(file.fileno(), end, access=mmap.ACCESS_COPY)
    if hasattr(mmap, "MADV_WILLNEED"):
        whole.madvise(mmap.MADV_WILLNEED)
    arrays = {}
    # Not slices of one array: SciPy copies what is a small part of its base.
    for name, (first, _) in offsets.items():
        dtype, length = found.sizes[name]
        arrays[name] = np.frombuffer(whole, _DTYPES[dtype], length, found.start + first)
    return arrays


def _columns(about: str) -> tuple[int, int]:
    """Read the numbers of features and labels."""
    try:
        features, labels = json.loads(about)["columns"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _DamagedError("does not say how many columns it has") from error
    for count in (features, labels):
        if type(count) is not int or not 0 <= count <= _MOST_COLUMNS:
            raise _DamagedError("has an impossible number of columns")
    return features, labels


def _checked(
    columns: int, indptr: NDArray[Any], indices: NDArray[Any], data: NDArray[Any]
) -> _Matrix:
    """Wrap mapped arrays in CSR, if they are what the reader of texts could have made."""
    if indptr.dtype != indices.dtype or data.dtype != np.float32 or indptr.dtype == np.float32:
        raise _DamagedError("has arrays of other types")
    if not _core.is_canonical((indptr, indices, data), columns):
        raise _DamagedError("has arrays that contradict each other")
    return csr_array((data, indices, indptr), shape=(len(indptr) - 1, columns))

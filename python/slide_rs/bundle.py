"""An ensemble as one file: a zip archive of models and arrays, nothing in it compressed."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slide_rs import checks, durable
from slide_rs.archives import of_ensemble
from slide_rs.calibration import Calibration, Isotonic
from slide_rs.loading import load
from slide_rs.neighbours import Neighbours
from slide_rs.network import Network
from slide_rs.ranker import Classifiers, Ranker

__all__ = ["MOST_MEMBERS", "Parts", "packed", "read", "save", "unpacked"]

_FORMAT = 2
_SETTINGS = "ensemble.json"
_ARRAYS = ("bounds", "features", "weights", "biases")
_DTYPES = ("<i8", "<i4", "<f4", "<f4")
_CALIBRATION = ("scores", "probabilities")
_NEAR = ("near-bounds", "near-features", "near-label-bounds", "near-labels")
_NEAR_DTYPES = ("<i8", "<i4", "<i8", "<i4")
# Archives know no earlier time; equal models are equal files.
_TIME = (1980, 1, 1, 0, 0, 0)
MOST_MEMBERS = 1024
# What readers of archives, of JSON and of arrays say of damaged ones.
_DAMAGES = (
    zipfile.BadZipFile,
    AttributeError,
    EOFError,
    KeyError,
    MemoryError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Parts:
    """What an ensemble consists of.

    Examples
    --------
    >>> Parts([], None, 0.0, None, None, None).members
    []
    """

    members: Sequence[Network]
    ranker: Ranker | None
    weight: float
    classifiers: Classifiers | None
    calibration: Calibration | None
    neighbours: Neighbours | None


def save(parts: Parts, path: str | os.PathLike[str]) -> None:
    """Write the parts beside `path`, and move the file there when it is complete."""
    target = checks.path("path", path)
    partial = f"{target}.partial"
    settings = {
        "format": _FORMAT,
        "members": len(parts.members),
        "ranker": None if parts.ranker is None else asdict(parts.ranker),
        "weight": parts.weight,
        "classifiers": parts.classifiers is not None,
        "neighbours": 0.0 if parts.neighbours is None else parts.neighbours.weight,
        "ranks": 0 if parts.calibration is None else len(parts.calibration.ranks),
    }
    try:
        with zipfile.ZipFile(partial, "w") as archive, tempfile.TemporaryDirectory() as folder:
            _write(archive, _SETTINGS, json.dumps(settings).encode())
            for i, member in enumerate(parts.members):
                own = Path(folder, _member(i))
                member.save(own, include_optimizer=False)
                _copy(archive, own)
                own.unlink()
            for name, array in _named(parts):
                own = Path(folder, name)
                np.save(own, array, allow_pickle=False)
                _copy(archive, own)
                own.unlink()
        durable.replace(partial, target)
    finally:
        Path(partial).unlink(missing_ok=True)


def read(path: str | os.PathLike[str], threads: int | None) -> Parts:
    """Read what `save` wrote.

    Raises
    ------
    OSError
        If the file can not be read.
    ValueError
        If it is not such a file, or a damaged one.
    """
    source = of_ensemble(path)
    try:
        with zipfile.ZipFile(source) as archive, tempfile.TemporaryDirectory() as folder:
            return _read(archive, Path(folder), threads)
    except _DAMAGES as error:
        text = " ".join(str(error).split())
        raise ValueError(f"{source} is not a readable slide_rs ensemble: {text}") from None


def packed(parts: Parts) -> bytes:
    """Return the file that `save` would write."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ensemble.slide")
        save(parts, path)
        return path.read_bytes()


def unpacked(content: bytes, threads: int | None) -> Parts:
    """Read what `packed` returned."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ensemble.slide")
        path.write_bytes(content)
        return read(path, threads)


def _read(archive: zipfile.ZipFile, folder: Path, threads: int | None) -> Parts:
    # Stored, not compressed: no entry can be larger than the file.
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
        raise ValueError("an entry is compressed")
    settings: dict[str, Any] = json.loads(archive.read(_SETTINGS))
    if not isinstance(settings, dict) or settings.get("format") != _FORMAT:
        raise ValueError(f"its format is not {_FORMAT}")
    count = checks.whole("members", settings["members"], 1, MOST_MEMBERS)
    members = []
    for i in range(count):
        extracted = archive.extract(_member(i), folder)
        members.append(load(extracted, threads))
        Path(extracted).unlink()
    sizes = {(m.config.input.in_features, m.config.output.units) for m in members}
    if len(sizes) != 1:
        raise ValueError("its networks differ in their features or labels")
    ((n_features, n_labels),) = sizes
    ranker = None if settings["ranker"] is None else Ranker(**settings["ranker"])
    weight = checks.number("weight", settings["weight"], least=0.0)
    classifiers = calibration = None
    if settings["classifiers"]:
        bounds, ids, values, biases = [
            _array(archive, name, dtype) for name, dtype in zip(_ARRAYS, _DTYPES, strict=True)
        ]
        if len(biases) != n_labels:
            raise ValueError(f"it has classifiers of {len(biases)} labels, not of {n_labels}")
        found: Any = bounds, ids, values, biases
        classifiers = Classifiers.from_arrays(n_features, found, threads)
    ranks = [
        Isotonic.checked(*(_array(archive, f"{name}-{i}", "<f8") for name in _CALIBRATION))
        for i in range(checks.whole("ranks", settings["ranks"], 0, MOST_MEMBERS))
    ]
    if ranks:
        calibration = Calibration(tuple(ranks))
    # Files of before there were neighbours do not say how much they count.
    counts = checks.number("neighbours", settings.get("neighbours", 0.0), least=0.0)
    neighbours = None
    if counts and classifiers is not None:
        named = zip(_NEAR, _NEAR_DTYPES, strict=True)
        rows: Any = tuple(_array(archive, name, dtype) for name, dtype in named)
        neighbours = Neighbours.checked(rows, (n_features, n_labels), counts, threads)
    return Parts(members, ranker, weight, classifiers, calibration, neighbours)


def _named(parts: Parts) -> list[tuple[str, NDArray[Any]]]:
    """Return the arrays with the names of their entries."""
    found: list[tuple[str, NDArray[Any]]] = []
    if parts.classifiers is not None:
        arrays: tuple[NDArray[Any], ...] = parts.classifiers.arrays()
        found += [
            (f"{name}.npy", array.astype(dtype, copy=False))
            for name, dtype, array in zip(_ARRAYS, _DTYPES, arrays, strict=True)
        ]
    if parts.neighbours is not None:
        rows: tuple[NDArray[Any], ...] = parts.neighbours.arrays()
        found += [
            (f"{name}.npy", array.astype(dtype, copy=False))
            for name, dtype, array in zip(_NEAR, _NEAR_DTYPES, rows, strict=True)
        ]
    for i, rank in enumerate(() if parts.calibration is None else parts.calibration.ranks):
        own = (rank.scores, rank.probabilities)
        found += [
            (f"{name}-{i}.npy", array.astype("<f8", copy=False))
            for name, array in zip(_CALIBRATION, own, strict=True)
        ]
    return found


def _array(archive: zipfile.ZipFile, name: str, dtype: str) -> NDArray[Any]:
    with archive.open(f"{name}.npy") as file:
        found: NDArray[Any] = np.load(file, allow_pickle=False)
    if found.ndim != 1 or found.dtype != np.dtype(dtype):
        raise ValueError(f"{name} is {found.ndim}-D {found.dtype}, but 1-D {dtype} is wanted")
    return found.astype(found.dtype.newbyteorder("="), copy=False)


def _member(i: int) -> str:
    return f"member-{i}.safetensors"


def _write(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _TIME), content)


def _copy(archive: zipfile.ZipFile, path: Path) -> None:
    """Copy a file into the archive, a piece at a time."""
    with path.open("rb") as source:
        entry = zipfile.ZipInfo(path.name, _TIME)
        entry.file_size = path.stat().st_size
        with archive.open(entry, "w") as out:
            while piece := source.read(1 << 20):
                out.write(piece)

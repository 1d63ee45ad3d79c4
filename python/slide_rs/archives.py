"""How files of ensembles and of networks are told apart."""

from __future__ import annotations

import os

from slide_rs import checks

__all__ = ["is_archive", "of_ensemble", "of_network"]

#: How a zip archive begins. In a safetensors file this would be the length of its header.
MAGIC = b"PK\x03\x04"


def is_archive(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file begins like an ensemble.

    Examples
    --------
    >>> is_archive(__file__)
    False
    """
    with open(checks.path("path", path), "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def of_network(path: str | os.PathLike[str]) -> str:
    """Return the path, unless the file is there and is an ensemble.

    Examples
    --------
    >>> of_network("missing.safetensors")
    'missing.safetensors'
    """
    found = checks.path("path", path)
    # What cannot be read is told by whoever reads it.
    if os.path.isfile(found) and os.access(found, os.R_OK) and is_archive(found):
        raise ValueError(f"{found} is an ensemble of networks: slide_rs.Ensemble.load reads it")
    return found


def of_ensemble(path: str | os.PathLike[str]) -> str:
    """Return the path, unless the file begins like a network.

    Examples
    --------
    >>> of_ensemble("missing.slide")
    'missing.slide'
    """
    found = checks.path("path", path)
    if os.path.isfile(found) and os.access(found, os.R_OK):
        with open(found, "rb") as file:
            begin = file.read(9)
        # A safetensors file: the length of its header, and the header.
        if len(begin) == 9 and begin[8:] == b"{" and not begin.startswith(MAGIC):
            raise ValueError(f"{found} is a network alone: slide_rs.load reads it")
    return found

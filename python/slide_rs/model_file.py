"""A model file of either kind: a network alone, or an ensemble."""

from __future__ import annotations

from slide_rs import archives, checks
from slide_rs.ensemble import Ensemble
from slide_rs.loading import load
from slide_rs.network import Network

__all__ = ["read"]


def read(path: str, threads: int | None = None) -> Network | Ensemble:
    """Read what `Network.save` or `Ensemble.save` wrote, for the command line.

    Examples
    --------
    >>> read("missing.slide", threads=0)
    Traceback (most recent call last):
    ValueError: --threads: found 0, wanted a whole number from 1 to 1024
    """
    checks.threads(threads, "--threads")
    if archives.is_archive(path):
        return Ensemble.load(path, threads=threads)
    return load(path, threads=threads)

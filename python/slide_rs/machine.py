"""The machine that times were taken on, and what steers the libraries that compute there."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from slide_rs._core import build_info

__all__ = ["about", "cores", "memory"]

#: What steers the libraries that the contestants compute with.
_STEERING = ("LD_PRELOAD", "THP_MEM_ALLOC_ENABLE", "MKL", "OMP", "KMP", "GOMP", "OPENBLAS")


def about() -> dict[str, Any]:
    """Return what times depend on, and what steers the libraries of the peers.

    Examples
    --------
    >>> sorted(about())
    ['cores', 'engine', 'environment', 'load', 'processor', 'python', 'system']
    """
    steered = {k: v for k, v in os.environ.items() if k.startswith(_STEERING)}
    return {
        "processor": _processor(),
        "cores": cores(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "engine": build_info(),
        "environment": steered,
    }


def cores() -> int:
    """Return the number of cores that this process may use.

    Examples
    --------
    >>> cores() >= 1
    True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory() -> int | None:
    """Return the bytes of memory that the machine has; None where the system does not tell.

    Examples
    --------
    >>> memory() is None or memory() > 2**20
    True
    """
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _processor() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line for line in lines if line.startswith("model name")).split(": ", 1)[1]
    except (OSError, StopIteration, IndexError):
        return platform.processor()

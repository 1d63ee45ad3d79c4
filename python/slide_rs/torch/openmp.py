"""Threads of PyTorch that are done do not wait for more by spinning.

PyTorch computes in threads of OpenMP, which look for more work for some milliseconds after each
operation before they sleep. The threads of a layer are others: until then they have half of each
processor. So before a layer begins to work, those of OpenMP are told to rest; the next operation
of PyTorch starts them again, which takes some tens of microseconds.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable

import torch

__all__ = ["pause"]

#: ``omp_pause_soft``: what the threads of a program know stays (OpenMP 5.0, section 3.2.44).
_SOFT = 1
#: Processes whose threads of OpenMP are those of a parent, which are not there.
_forked: set[int] = set()


def pause() -> None:
    """Let threads of OpenMP that wait for work of the calling thread rest."""
    if os.getpid() not in _forked:
        _function()(_SOFT)


@functools.cache
def _function() -> Callable[[int], object]:
    """Return what OpenMP has for it, or something that does nothing."""
    try:
        # Names are looked up in what a library was linked with, too.
        function = ctypes.CDLL(torch._C.__file__).omp_pause_resource_all
    except (AttributeError, OSError):
        return bool
    function.argtypes, function.restype = [ctypes.c_int], ctypes.c_int
    return function


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _forked.add(os.getpid()))

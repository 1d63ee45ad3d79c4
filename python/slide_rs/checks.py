"""Checks of single arguments; an error names the argument, what was found and what was wanted."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Sequence
from typing import SupportsFloat, SupportsIndex

__all__ = ["MOST", "choice", "flag", "number", "path", "threads", "whole", "whole_or"]

#: The largest count: of layers' units, rows, steps and whatever else the engine counts.
MOST = 2**31 - 1
#: The largest number of threads.
MOST_THREADS = 1024


def whole(name: str, found: object, minimum: int, maximum: int | None = None) -> int:
    """Return `found` as an `int` within its bounds.

    Examples
    --------
    >>> whole("units", 64, 1)
    64
    """
    # Asking for a protocol takes microseconds, and predictions of single rows ask each time.
    if type(found) is int and minimum <= found and (maximum is None or found <= maximum):
        return found
    wanted = f"a whole number of at least {minimum}"
    if maximum is not None:
        wanted = f"a whole number from {minimum} to {maximum}"
    if isinstance(found, bool) or not isinstance(found, SupportsIndex):
        raise TypeError(f"{name}: found {_show(found)}, wanted {wanted}")
    value = operator.index(found)
    if value < minimum or (maximum is not None and value > maximum):
        raise ValueError(f"{name}: found {value}, wanted {wanted}")
    return value


def whole_or(name: str, found: object, rule: int) -> int:
    """Return `found` as a whole number of at least 1, or what the rule says when not given.

    Examples
    --------
    >>> whole_or("epochs", None, 4), whole_or("epochs", 9, 4)
    (4, 9)
    """
    return rule if found is None else whole(name, found, 1, MOST)


def threads(found: object, name: str = "threads") -> int | None:
    """Return a number of threads, or None for as many as there are.

    Examples
    --------
    >>> threads(2)
    2
    """
    return None if found is None else whole(name, found, 1, MOST_THREADS)


def number(
    name: str,
    found: object,
    *,
    above: float = -math.inf,
    least: float = -math.inf,
    below: float = math.inf,
) -> float:
    """Return `found` as a finite `float` with ``above < value``, ``least <= value < below``.

    Examples
    --------
    >>> number("lr", 1, above=0.0)
    1.0
    """
    bounds = [
        f"above {above:g}" if above > -math.inf else "",
        f"at least {least:g}" if least > -math.inf else "",
        f"below {below:g}" if below < math.inf else "",
    ]
    wanted = "a finite number " + " and ".join(bound for bound in bounds if bound)
    if isinstance(found, bool | str | bytes) or not isinstance(found, SupportsFloat):
        raise TypeError(f"{name}: found {_show(found)}, wanted {wanted.strip()}")
    try:
        value = float(found)
    except OverflowError:
        # An int may be larger than any float.
        value = math.inf
    if not (math.isfinite(value) and above < value and least <= value < below):
        raise ValueError(f"{name}: found {value:g}, wanted {wanted.strip()}")
    return value


def choice(name: str, found: object, options: Sequence[str]) -> str:
    """Return `found` if it is one of `options`.

    Examples
    --------
    >>> choice("mode", "exact", ["exact", "lsh"])
    'exact'
    """
    if isinstance(found, str) and found in options:
        return found
    wanted = " or ".join(repr(option) for option in options)
    if not isinstance(found, str):
        raise TypeError(f"{name}: found {_show(found)}, wanted {wanted}")
    raise ValueError(f"{name}: found {found!r}, wanted {wanted}")


def flag(name: str, found: object) -> bool:
    """Return `found` if it is a `bool`.

    Examples
    --------
    >>> flag("bias", True)
    True
    """
    if not isinstance(found, bool):
        raise TypeError(f"{name}: found {_show(found)}, wanted True or False")
    return found


def path(name: str, found: object) -> str:
    """Return `found` as a path.

    Examples
    --------
    >>> path("path", "net.safetensors")
    'net.safetensors'
    """
    if not isinstance(found, str | os.PathLike):
        raise TypeError(f"{name}: found {_show(found)}, wanted a path")
    return os.fsdecode(found)


def _show(found: object) -> str:
    text = repr(found)
    return text if len(text) <= 40 else f"an object of type {type(found).__name__}"

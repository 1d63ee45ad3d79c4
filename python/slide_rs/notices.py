"""Warnings about work that the user can spare the machine."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

__all__ = ["Notices", "SlideWarning", "warn"]

_PACKAGE = str(Path(__file__).parent)


class SlideWarning(UserWarning):
    """An argument was usable only after more work than needed; the message says how to avoid it."""


@dataclass(frozen=True, slots=True)
class Notices:
    """What to say about copies of one argument.

    Parameters
    ----------
    name : str
        The argument.
    copy : bool
        If False, a copy is an error.

    Examples
    --------
    >>> Notices("X", copy=False).copied("it was sorted", "X.sort_indices()")
    Traceback (most recent call last):
    ValueError: X: copy=False, but it was sorted; X.sort_indices() avoids that
    """

    name: str
    copy: bool

    def copied(self, what: str, remedy: str) -> None:
        """Warn where the user's code called, or raise if copies are not wanted.

        Raises
        ------
        ValueError
            If `copy` is False.
        """
        if not self.copy:
            raise ValueError(f"{self.name}: copy=False, but {what}; {remedy} avoids that")
        warn(f"{self.name}: {what} in a copy; {remedy} avoids that")


def warn(message: str) -> None:
    """Warn where the user's code called.

    Examples
    --------
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn("train.txt.slide-cache: found a damaged cache")
    >>> caught[0].category.__name__
    'SlideWarning'
    """
    warnings.warn(message, SlideWarning, stacklevel=_frames_inside() + 1)


def _frames_inside() -> int:
    """Count the frames from the caller of this function out to the user's code."""
    frame: FrameType | None = sys._getframe(1)
    depth = 0
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        depth += 1
        frame = frame.f_back
    return depth

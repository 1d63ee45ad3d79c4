"""How the learning rate changes from step to step."""

from __future__ import annotations

from dataclasses import dataclass

from slide_rs import checks

__all__ = ["Constant", "Schedule", "WarmupCosine"]


@dataclass(frozen=True, slots=True)
class WarmupCosine:
    """Rise linearly over `warmup` steps, then fall along half a cosine to the end of ``fit``.

    Parameters
    ----------
    warmup : int, optional
        Number of optimiser steps of the rise; by rule when not given.

    Examples
    --------
    >>> WarmupCosine(warmup=100)
    WarmupCosine(warmup=100)
    """

    warmup: int | None = None

    def __post_init__(self) -> None:
        _check_warmup(self)


@dataclass(frozen=True, slots=True)
class Constant:
    """Rise linearly over `warmup` steps, then stay.

    Parameters
    ----------
    warmup : int, optional
        Number of optimiser steps of the rise; by rule when not given, 0 for none.

    Examples
    --------
    >>> Constant(warmup=0)
    Constant(warmup=0)
    """

    warmup: int | None = None

    def __post_init__(self) -> None:
        _check_warmup(self)


Schedule = WarmupCosine | Constant


def _check_warmup(schedule: Schedule) -> None:
    if schedule.warmup is not None:
        object.__setattr__(
            schedule, "warmup", checks.whole("warmup", schedule.warmup, 0, checks.MOST)
        )

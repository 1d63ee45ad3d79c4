"""How the learning rate changes from step to step.

All but `OneCycle` begin with a warm-up (Goyal et al., "Accurate, large minibatch SGD", 2017,
section 2.2). The end is that of ``fit``; with ``train_batch`` alone there is none, and the rate
stays after its warm-up, but for `Step`.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from slide_rs import checks

__all__ = ["Constant", "Linear", "OneCycle", "Schedule", "Step", "WarmupCosine"]


@dataclass(frozen=True, slots=True)
class _Warmed:
    warmup: int | None = None

    def __post_init__(self) -> None:
        _check_warmup(self)


@dataclass(frozen=True, slots=True)
class WarmupCosine(_Warmed):
    """Rise linearly over `warmup` steps, then fall along half a cosine to the end of ``fit``.

    From Loshchilov and Hutter, "SGDR", ICLR 2017, section 3, without restarts.

    Parameters
    ----------
    warmup : int, optional
        Number of optimiser steps of the rise; by rule when not given.

    Examples
    --------
    >>> WarmupCosine(warmup=100)
    WarmupCosine(warmup=100)
    """


@dataclass(frozen=True, slots=True)
class Constant(_Warmed):
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


@dataclass(frozen=True, slots=True)
class Linear(_Warmed):
    """Rise linearly over `warmup` steps, then fall along a straight line to the end of ``fit``.

    Parameters
    ----------
    warmup : int, optional
        Number of optimiser steps of the rise; by rule when not given.

    Examples
    --------
    >>> Linear(warmup=100)
    Linear(warmup=100)
    """


@dataclass(frozen=True, slots=True)
class Step:
    """Rise linearly over `warmup` steps, then be multiplied by `gamma` every so many steps.

    Parameters
    ----------
    every : int
        Number of optimiser steps between.
    gamma : float
        The factor, above 0 and at most 1.
    warmup : int, optional
        Number of optimiser steps of the rise; by rule when not given.

    Examples
    --------
    >>> Step(every=1000, gamma=0.5)
    Step(every=1000, gamma=0.5, warmup=None)
    """

    every: int
    gamma: float = 0.1
    _: KW_ONLY
    warmup: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "every", checks.whole("every", self.every, 1, checks.MOST))
        gamma = checks.number("gamma", self.gamma, above=0.0)
        if gamma > 1:
            raise ValueError(f"gamma: found {gamma:g}, wanted a number above 0 and at most 1")
        object.__setattr__(self, "gamma", gamma)
        _check_warmup(self)


@dataclass(frozen=True, slots=True)
class OneCycle:
    """Rise along half a cosine from a 25th, then fall along another to almost nothing.

    The rise takes three tenths of ``fit``, the fall ends at a 250,000th of the highest rate (Smith
    and Topin, "Super-convergence", 2018, section 3). There is no warm-up beside it.

    Examples
    --------
    >>> OneCycle()
    OneCycle()
    """


Schedule = WarmupCosine | Constant | Linear | Step | OneCycle
KINDS = (WarmupCosine, Constant, Linear, Step, OneCycle)


def _check_warmup(schedule: _Warmed | Step) -> None:
    if schedule.warmup is not None:
        object.__setattr__(
            schedule, "warmup", checks.whole("warmup", schedule.warmup, 0, checks.MOST)
        )

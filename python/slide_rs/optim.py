"""Optimisers. Each touches only the rows that a batch touched."""

from __future__ import annotations

from dataclasses import dataclass, field

from slide_rs import checks, schedules
from slide_rs.schedules import Schedule

__all__ = ["SGD", "Adam", "Optimizer", "schedules"]


@dataclass(frozen=True, slots=True)
class Adam:
    """Row-sparse Adam with bias correction.

    Parameters
    ----------
    lr : float, optional
        Highest learning rate; by rule when not given.
    beta1, beta2 : float
        Decay of the running mean and of the running square.
    eps : float
        Added to the root of the running square.
    schedule : WarmupCosine or Constant, optional
        `schedules.WarmupCosine()` when not given.

    Examples
    --------
    >>> Adam(lr=0.003).lr
    0.003
    """

    lr: float | None = None
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    schedule: Schedule = field(default_factory=schedules.WarmupCosine)

    def __post_init__(self) -> None:
        _check_rate(self)
        for name in ("beta1", "beta2"):
            checks.number(name, getattr(self, name), least=0.0, below=1.0)
        checks.number("eps", self.eps, above=0.0)


@dataclass(frozen=True, slots=True)
class SGD:
    """Plain row-sparse gradient descent.

    Parameters
    ----------
    lr : float, optional
        Highest learning rate; by rule when not given.
    schedule : WarmupCosine or Constant, optional
        `schedules.WarmupCosine()` when not given.

    Examples
    --------
    >>> SGD(lr=0.5, schedule=schedules.Constant()).schedule
    Constant(warmup=None)
    """

    lr: float | None = None
    schedule: Schedule = field(default_factory=schedules.WarmupCosine)

    def __post_init__(self) -> None:
        _check_rate(self)


Optimizer = Adam | SGD


def _check_rate(optimizer: Optimizer) -> None:
    if optimizer.lr is not None:
        object.__setattr__(optimizer, "lr", checks.number("lr", optimizer.lr, above=0.0))
    if optimizer.schedule is None:
        object.__setattr__(optimizer, "schedule", schedules.WarmupCosine())
    elif not isinstance(optimizer.schedule, schedules.WarmupCosine | schedules.Constant):
        raise TypeError(
            f"schedule: found {type(optimizer.schedule).__name__}, "
            "wanted schedules.WarmupCosine or schedules.Constant"
        )

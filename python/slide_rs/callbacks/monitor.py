"""One measure of the epochs: its value, and whether it became better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from slide_rs import checks

__all__ = ["Monitor"]

MODES = ("auto", "min", "max")
_LESS = ("loss", "val_loss", "seconds")
_MORE = ("recall_at_1", "recall_gain", "samples_per_second")


@dataclass(frozen=True, slots=True)
class Monitor:
    """The name of a measure, and what is better.

    Examples
    --------
    >>> monitor = Monitor.of("val_p@1", mode="auto", min_delta=0.01)
    >>> monitor.mode, monitor.is_better(0.42, than=0.40), monitor.is_better(0.405, than=0.40)
    ('max', True, False)
    """

    name: str
    mode: str
    #: What a value must be better by.
    min_delta: float

    @classmethod
    def of(cls, name: object, mode: object, min_delta: object) -> Monitor:
        """Check the arguments; with ``"auto"`` the name says what is better."""
        if not isinstance(name, str):
            raise TypeError(f"monitor: found {type(name).__name__}, wanted the name of a measure")
        chosen = checks.choice("mode", mode, MODES)
        if chosen == "auto":
            chosen = _mode_of(name)
        return cls(name, chosen, checks.number("min_delta", min_delta, least=0.0))

    def read(self, logs: Mapping[str, float]) -> float:
        """Return the value of the measure.

        Raises
        ------
        ValueError
            If it was not measured.
        """
        if self.name not in logs:
            raise ValueError(
                f"monitor: found {self.name!r}, wanted one of {', '.join(logs)} "
                "(with validation_data there are those of its metrics)"
            )
        return float(logs[self.name])

    def is_better(self, value: float, than: float | None) -> bool:
        """Return whether a value is better than the best so far; NaN never is."""
        if not math.isfinite(value):
            return False
        if than is None:
            return True
        if self.mode == "min":
            return value < than - self.min_delta
        return value > than + self.min_delta


def _mode_of(name: str) -> str:
    if name in _LESS:
        return "min"
    if "@" in name or name in _MORE:
        return "max"
    raise ValueError(
        f"mode: found 'auto', but {name!r} does not say what is better, wanted 'min' or 'max'"
    )

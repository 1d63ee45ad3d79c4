"""Training of a trial ends when other trials did better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slide_rs.callbacks.base import Callback
from slide_rs.callbacks.monitor import Monitor

__all__ = ["OptunaPruning"]


class OptunaPruning(Callback):
    """Reports a measure to Optuna after each epoch, and prunes the trial if Optuna says so.

    A pruned trial ends ``fit`` with ``optuna.TrialPruned``, which the study expects; the network
    stays usable, and its history has the epochs. Callbacks later in the list do not run after the
    last epoch, so loggers belong before this one.

    Parameters
    ----------
    trial : optuna.Trial
        The trial that the objective was given.
    monitor : str
        A measure of `History`, such as ``"val_p@1"`` or ``"loss"``. Whether more of it is better is
        the direction of the study.

    Raises
    ------
    ImportError
        If Optuna is not there: ``pip install 'slide_rs[optuna]'``.

    Examples
    --------
    >>> import optuna
    >>> study = optuna.create_study(direction="maximize")
    >>> pruning = OptunaPruning(study.ask(), "val_p@1")
    >>> pruning.on_epoch_end(1, {"val_p@1": 0.3})
    """

    def __init__(self, trial: Any, monitor: str = "val_p@1") -> None:
        try:
            from optuna import TrialPruned  # type: ignore[import-not-found, unused-ignore]
        except ImportError:
            raise ImportError(
                "OptunaPruning needs optuna: pip install 'slide_rs[optuna]'"
            ) from None
        if not (hasattr(trial, "report") and hasattr(trial, "should_prune")):
            raise TypeError(f"trial: found {type(trial).__name__}, wanted an optuna.Trial")
        self._trial = trial
        self._pruned = TrialPruned
        # The study knows its direction, so the mode is never asked for.
        self._monitor = Monitor.of(monitor, "max", 0.0)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Report the value; raise if the trial is pruned."""
        value = self._monitor.read(logs)
        self._trial.report(value, epoch)
        if self._trial.should_prune():
            raise self._pruned(f"{self._monitor.name} was {value:g} after epoch {epoch}")

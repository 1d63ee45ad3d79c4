"""Why training ended before its last epoch, for who waits at the command line."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from slide_rs.callbacks import Callback, EarlyStopping

__all__ = ["Ending"]


class Ending(Callback):
    """Says on standard error when early stopping ends training, and why.

    It runs behind the callback that it tells of.

    Examples
    --------
    >>> Ending(EarlyStopping("val_p@1")).stop_training
    False
    """

    def __init__(self, stopping: EarlyStopping) -> None:
        self._stopping = stopping

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Look whether this epoch was the last."""
        found = self._stopping
        if not found.stop_training:
            return
        best = "had no value" if found.best is None else f"was best, {found.best:.4g}, in epoch"
        left = f" {found.best_epoch}, whose network is kept" if found.best_epoch else ""
        print(
            f"slide-rs: --early-stopping: {found.monitor} {best}{left}; training ends after epoch "
            f"{epoch}, {found.patience} without a better one",
            file=sys.stderr,
            flush=True,
        )

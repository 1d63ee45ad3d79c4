"""The base of all callbacks: what they may override, and when it runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slide_rs.network import Network

__all__ = ["Callback"]


class Callback:
    """Base of all callbacks: override what you need.

    Set `stop_training` to end training after the epoch that is running.

    Examples
    --------
    >>> class StopBelow(Callback):
    ...     def on_epoch_end(self, epoch, logs):
    ...         self.stop_training = logs["loss"] < 0.1
    """

    stop_training: bool = False

    def on_train_begin(self, network: Network, epochs: int) -> None:
        """Run before the first epoch."""

    def on_train_end(self) -> None:
        """Run after the last epoch, and also when training was interrupted."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Run before each epoch; the first is number 1."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Run after each epoch, with what `History` records of it."""

    def measure(self, epoch: int, logs: Mapping[str, float]) -> Mapping[str, float]:
        """Run after each epoch, before `on_epoch_end`; what it returns joins the logs.

        Parameters
        ----------
        epoch : int
            Number of the epoch.
        logs : dict
            What `History` records of it, with what earlier callbacks measured.

        Returns
        -------
        dict
            Values by name, of the same names for each epoch.
        """
        return {}

    def on_batch_end(self, done: int, total: int, loss: float) -> None:
        """Run after batches, at most some 20 times a second.

        Parameters
        ----------
        done, total : int
            Rows of this epoch that were trained on, and that there are.
        loss : float
            Mean over the epoch so far.

        Notes
        -----
        The network is in the middle of its epoch. What describes it, such as ``repr(network)``,
        can be read; a method that trains, predicts or saves raises a RuntimeError that says the
        network is busy, and ends ``fit`` unless it is caught. In the other methods of a callback
        the network can be used.
        """

    def keep_in(self, folder: Path) -> None:
        """Take a folder for files that a resumed run needs; run first, if there are checkpoints."""

    def state(self) -> dict[str, object]:
        """Return what a checkpoint must keep of this callback, as JSON values."""
        return {}

    def load_state(self, state: Mapping[str, object]) -> None:
        """Take back what `state` returned, when training is resumed."""

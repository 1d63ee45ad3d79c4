"""Training ends when it no longer helps."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slide_rs import checks, engine
from slide_rs.callbacks.base import Callback
from slide_rs.callbacks.monitor import Monitor

if TYPE_CHECKING:
    from slide_rs.network import Network

__all__ = ["EarlyStopping"]

_log = logging.getLogger("slide_rs")


class EarlyStopping(Callback):
    """Ends training when a measure has not become better for some epochs.

    Parameters
    ----------
    monitor : str
        A measure of `History`, such as ``"val_p@1"`` or ``"loss"``.
    patience : int
        Epochs without a better value after which training ends.
    min_delta : float
        What a value must be better by.
    mode : {"auto", "min", "max"}
        What is better; by the name when not given: less of a loss, more of a metric.
    restore_best : bool
        Leave the network as it was after the best epoch, however training ends. A copy of it,
        with the state of the optimiser, is kept in a file in the folder for temporary files, or
        beside the checkpoints of the run, if it has any.

    Attributes
    ----------
    best : float or None
        The best value; None if there was none but NaN.
    best_epoch : int
        Its epoch; 0 if there was none.

    Raises
    ------
    ValueError
        By ``fit`` after the first epoch, if there is no such measure.

    Examples
    --------
    >>> import slide_rs as sr
    >>> data = sr.datasets.make_xmc(300, n_features=200, n_labels=20, seed=0)
    >>> net = sr.Network([
    ...     sr.layers.SparseInput(200), sr.layers.Dense(8), sr.layers.SampledDense(20),
    ... ])
    >>> stopping = EarlyStopping("val_p@1", patience=1)
    >>> history = net.fit(
    ...     data.X[:200], data.Y[:200], epochs=50, validation_data=(data.X[200:], data.Y[200:]),
    ...     callbacks=[stopping], verbose=False,
    ... )
    >>> history.epochs[-1] < 50, history["val_p@1"][stopping.best_epoch - 1] == stopping.best
    (True, True)
    """

    def __init__(
        self,
        monitor: str = "val_p@1",
        *,
        patience: int = 2,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best: bool = True,
    ) -> None:
        self._monitor = Monitor.of(monitor, mode, min_delta)
        self.patience: int = checks.whole("patience", patience, 1, checks.MOST)
        self.restore_best: bool = checks.flag("restore_best", restore_best)
        self._network: Network | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        # Where the best network is kept for a resumed run.
        self._beside: Path | None = None
        self._resumed = False
        self._begin()

    @property
    def monitor(self) -> str:
        """The name of the measure."""
        return self._monitor.name

    def _begin(self) -> None:
        self.best: float | None = None
        self.best_epoch: int = 0
        self._waited = 0
        # Whether the network is the one that the best epoch left.
        self._is_best = False

    def keep_in(self, folder: Path) -> None:
        """Keep the best network beside the checkpoints, whichever of these are deleted."""
        name = "".join(letter if letter.isalnum() else "-" for letter in self._monitor.name)
        self._beside = folder / f"best-{name}.safetensors"

    def on_train_begin(self, network: Network, epochs: int) -> None:
        """Forget earlier training, unless this resumes it."""
        self._network = network
        if not self._resumed:
            self._begin()
        self.stop_training = False

    def on_epoch_begin(self, epoch: int) -> None:
        """Note that the network is about to change."""
        self._is_best = False

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Keep the network if it is the best so far; end training if it was not for too long."""
        value = self._monitor.read(logs)
        if self._monitor.is_better(value, self.best):
            self.best, self.best_epoch, self._waited, self._is_best = value, epoch, 0, True
            if self.restore_best:
                self._keep()
            return
        self._waited += 1
        if self._waited >= self.patience:
            self.stop_training: bool = True
            _log.info(
                "EarlyStopping: %s was best in epoch %d; training ends after epoch %d.",
                self._monitor.name,
                self.best_epoch,
                epoch,
            )

    def on_train_end(self) -> None:
        """Restore the network of the best epoch."""
        network, folder, kept = self._network, self._folder, self._kept()
        resumed = self._resumed
        self._network, self._folder, self._beside, self._resumed = None, None, None, False
        try:
            if network is not None and kept is not None and not self._is_best:
                engine.restore(network, str(kept))
            elif resumed and self.restore_best and self.best_epoch and not self._is_best:
                _log.warning(
                    "EarlyStopping: epoch %d was the best, but ended before training was resumed, "
                    "and its network was not kept beside the checkpoints: it is not restored.",
                    self.best_epoch,
                )
        finally:
            if folder is not None:
                folder.cleanup()

    def _keep(self) -> None:
        assert self._network is not None
        if self._beside is None and self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="slide_rs-")
        self._network.save(self._file())

    def _file(self) -> Path:
        if self._beside is not None:
            return self._beside
        assert self._folder is not None
        return Path(self._folder.name, "best.safetensors")

    def _kept(self) -> Path | None:
        """Return the file of the best network, if it was kept."""
        if not self.restore_best or not self.best_epoch:
            return None
        there = self._folder is not None or (self._beside is not None and self._beside.exists())
        return self._file() if there else None

    def state(self) -> dict[str, object]:
        """Return the best value, its epoch and the epochs since; the copy is not part of it."""
        return {"best": self.best, "best_epoch": self.best_epoch, "waited": self._waited}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on counting where `state` was taken."""
        self.best, self.best_epoch = state["best"], int(state["best_epoch"])
        self._waited, self._resumed = int(state["waited"]), True
        # Until another epoch begins: a run that had ended has none to come.
        self._is_best = self.best_epoch > 0 and not self._waited

"""Learning rates that depend on the epoch or on what was measured.

Both callbacks multiply the rate that the optimiser and its schedule say by one factor, so they can
be used together. The factor is 1 when training begins and after it has ended.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from slide_rs import checks
from slide_rs.callbacks.base import Callback
from slide_rs.callbacks.monitor import Monitor

if TYPE_CHECKING:
    from slide_rs.network import Network

__all__ = ["LearningRateScheduler", "ReduceLROnPlateau"]

_log = logging.getLogger("slide_rs")


class _Rate(Callback):
    """Holds the network and the factor on its learning rate."""

    _network: Network | None = None
    _factor: float | None = None

    def on_train_begin(self, network: Network, epochs: int) -> None:
        """Take the network, and the factor of training that is resumed."""
        self._network = network
        if self._factor is None:
            self._begin()
        else:
            network._core.set_rate_factor(self._factor)

    def on_train_end(self) -> None:
        """Give the optimiser its own rate back."""
        network, self._network, self._factor = self._network, None, None
        if network is not None:
            network._core.set_rate_factor(1.0)

    def _begin(self) -> None:
        """Forget what earlier training left."""

    @property
    def _lr(self) -> float:
        assert self._network is not None
        return self._base * self._network._core.rate_factor

    @_lr.setter
    def _lr(self, wanted: float) -> None:
        assert self._network is not None
        self._network._core.set_rate_factor(wanted / self._base)

    @property
    def _base(self) -> float:
        assert self._network is not None
        lr = self._network.config.optimizer.lr
        assert lr is not None
        return lr

    def state(self) -> dict[str, object]:
        """Return the factor on the learning rate."""
        network = self._network
        return {"factor": 1.0 if network is None else network._core.rate_factor}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on with the factor that was."""
        self._factor = state["factor"]
        if self._network is not None:
            self._network._core.set_rate_factor(state["factor"])


class LearningRateScheduler(_Rate):
    """Asks a function for the learning rate before each epoch.

    Parameters
    ----------
    schedule : callable
        ``schedule(epoch, lr)`` returns the learning rate of an epoch, of at least 0. The first
        epoch is number 1, and `lr` is the rate of the epoch before; that of the optimiser at first.

    Notes
    -----
    The optimiser's own schedule goes on within and across epochs: it multiplies what is returned.
    With ``schedules.Constant(warmup=0)`` the rate is the one returned. Layers with an optimiser
    of their own have their rates changed in the same ratio. ``lr`` in the logs is the rate that
    the last step had. A schedule that does not look at `lr` sets the rate whatever
    `ReduceLROnPlateau` has lowered it to: beside that, return a multiple of `lr`.

    Examples
    --------
    >>> from slide_rs import Network, layers, optim, schedules
    >>> import numpy as np
    >>> adam = optim.Adam(lr=0.008, schedule=schedules.Constant(warmup=0))
    >>> net = Network(
    ...     [layers.SparseInput(4), layers.Dense(8), layers.SampledDense(4)], optimizer=adam
    ... )
    >>> halved = LearningRateScheduler(lambda epoch, lr: lr if epoch == 1 else lr / 2)
    >>> history = net.fit(
    ...     np.eye(4, dtype=np.float32), [[0], [1], [2], [3]], epochs=3, callbacks=[halved],
    ...     verbose=False,
    ... )
    >>> [round(lr, 6) for lr in history["lr"]]
    [0.008, 0.004, 0.002]
    """

    def __init__(self, schedule: Callable[[int, float], float]) -> None:
        if not callable(schedule):
            raise TypeError(
                f"schedule: found {type(schedule).__name__}, wanted a function of epoch and lr"
            )
        self._schedule = schedule
        self._begin()

    def _begin(self) -> None:
        self._epoch = 0

    def on_epoch_begin(self, epoch: int) -> None:
        """Set the rate of the epoch, unless it was set before training was resumed in it."""
        if epoch != self._epoch:
            returned = self._schedule(epoch, self._lr)
            self._lr = checks.number("schedule(epoch, lr)", returned, least=0.0)
            self._epoch = epoch

    def state(self) -> dict[str, object]:
        """Return the factor on the learning rate, and the epoch that it was set for."""
        return {**super().state(), "epoch": self._epoch}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on with the factor that was."""
        super().load_state(state)
        self._epoch = state["epoch"]


class ReduceLROnPlateau(_Rate):
    """Lowers the learning rate when a measure has not become better for some epochs.

    Parameters
    ----------
    monitor : str
        A measure of `History`, such as ``"val_p@1"`` or ``"loss"``.
    factor : float
        The rate is multiplied by it: above 0 and below 1.
    patience : int
        Epochs without a better value after which that happens.
    min_delta : float
        What a value must be better by.
    mode : {"auto", "min", "max"}
        What is better; by the name when not given: less of a loss, more of a metric.
    cooldown : int
        Epochs after a lower rate in which none is counted as without a better value.
    min_lr : float
        The optimiser's rate is not lowered below this.

    Notes
    -----
    The optimiser's own schedule multiplies the lowered rate, as with `LearningRateScheduler`.

    Examples
    --------
    >>> ReduceLROnPlateau("loss", factor=0.5, patience=1).factor
    0.5
    """

    def __init__(
        self,
        monitor: str = "val_p@1",
        *,
        factor: float = 0.1,
        patience: int = 2,
        min_delta: float = 0.0,
        mode: str = "auto",
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        self._monitor = Monitor.of(monitor, mode, min_delta)
        self.factor: float = checks.number("factor", factor, above=0.0, below=1.0)
        self.patience: int = checks.whole("patience", patience, 1, checks.MOST)
        self.cooldown: int = checks.whole("cooldown", cooldown, 0, checks.MOST)
        self.min_lr: float = checks.number("min_lr", min_lr, least=0.0)
        self._begin()

    def _begin(self) -> None:
        self._best: float | None = None
        self._waited = 0
        self._cooling = 0

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Count the epochs without a better value, and lower the rate if there are enough."""
        value = self._monitor.read(logs)
        cooling = self._cooling > 0
        if cooling:
            self._cooling -= 1
        if self._monitor.is_better(value, self._best):
            self._best, self._waited = value, 0
        elif not cooling:
            self._waited += 1
            if self._waited >= self.patience:
                self._lower(epoch)

    def _lower(self, epoch: int) -> None:
        self._waited = 0
        before = self._lr
        after = max(before * self.factor, self.min_lr)
        # A rate of `min_lr` may have been rounded up, to seven digits.
        if after < before * (1 - 1e-6):
            self._lr, self._cooling = after, self.cooldown
            _log.info(
                "ReduceLROnPlateau: %s was not better for %d epochs; after epoch %d the learning "
                "rate is %g.",
                self._monitor.name,
                self.patience,
                epoch,
                after,
            )

    def state(self) -> dict[str, object]:
        """Return the factor on the learning rate, the best value and the epochs counted."""
        counted = {"waited": self._waited, "cooling": self._cooling}
        return {**super().state(), "best": self._best, **counted}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on counting where `state` was taken."""
        super().load_state(state)
        self._best, self._waited = state["best"], state["waited"]
        self._cooling = state["cooling"]

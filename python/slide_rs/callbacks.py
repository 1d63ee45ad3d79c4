"""Code of the user that runs in the course of training."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from slide_rs import checks, engine, inspect, samplers

if TYPE_CHECKING:
    from slide_rs.network import Network

__all__ = ["Callback", "HashTableMonitor", "ModelCheckpoint", "ProgressBar", "chosen"]

#: Times as often as random outputs, below which hashing is not worth its work.
USELESS_GAIN = 1.2
#: Recall, and active share, above which that says nothing: no gain can exceed 1 / share.
ENOUGH = 0.5
#: Share of the rows that one bucket may hold.
MOST_IN_ONE = 0.5
#: Share of the buckets in use that may overflow.
MOST_FULL = 0.1
_log = logging.getLogger("slide_rs")


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

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of this callback: JSON values by name."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned, when training goes on; after `on_train_begin`."""

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


class ProgressBar(Callback):
    """Progress on standard error: a moving line on a terminal, else one line an epoch.

    ``fit`` adds one by itself when standard error is a terminal.

    Examples
    --------
    >>> ProgressBar().width
    24
    """

    width: int = 24

    def __init__(self) -> None:
        self._epochs = 0
        self._epoch = 0
        self._start = 0.0
        self._drawn = 0

    def on_train_begin(self, network: Network, epochs: int) -> None:
        """Note how many epochs there will be."""
        self._epochs = epochs

    def on_epoch_begin(self, epoch: int) -> None:
        """Start the clock of the epoch."""
        self._epoch = epoch
        self._start = time.perf_counter()

    def on_batch_end(self, done: int, total: int, loss: float) -> None:
        """Redraw the line, on a terminal."""
        if not sys.stderr.isatty():
            return
        filled = self.width * done // max(total, 1)
        bar = "#" * filled + "." * (self.width - filled)
        speed = done / max(time.perf_counter() - self._start, 1e-9)
        self._draw(
            f"epoch {self._epoch}/{self._epochs} [{bar}] {done:,}/{total:,}  "
            f"loss {loss:.4f}  {speed:,.0f} rows/s"
        )

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Leave one line that sums the epoch up."""
        measures = "  ".join(f"{name} {value:.4g}" for name, value in logs.items())
        self._draw(f"epoch {epoch}/{self._epochs}  {measures}")
        self._end_line()

    def on_train_end(self) -> None:
        """Leave the line of an epoch that was cut short."""
        if self._drawn:
            self._end_line()

    def _draw(self, text: str) -> None:
        if sys.stderr.isatty():
            # Blanks wipe what a longer line left behind.
            sys.stderr.write("\r" + text.ljust(self._drawn))
        else:
            sys.stderr.write(text)
        sys.stderr.flush()
        self._drawn = len(text)

    def _end_line(self) -> None:
        sys.stderr.write("\n")
        sys.stderr.flush()
        self._drawn = 0


class HashTableMonitor(Callback):
    """Records how the hash tables do, and warns in plain words when they are of no use.

    Of each layer with tables, ``NAME.empty`` (share of the buckets without a row), ``NAME.full``
    (share of the others with as many rows as count, or more) and ``NAME.largest`` (share of the
    rows that are in the largest bucket) join the history, with ``recall_gain``: how many times
    more often the best output is found than among as many random ones, of as many as the tables
    are asked for (`random_share` of the active outputs is not). All are NaN where there is nothing
    to measure: no row with labels, or another sampler since training began. Warnings go to the
    logger ``slide_rs``.

    Parameters
    ----------
    every : int
        Epochs from one look to the next; between them the values are NaN.

    Examples
    --------
    >>> HashTableMonitor(every=2).every
    2
    """

    def __init__(self, every: int = 1) -> None:
        self.every = checks.whole("every", every, 1, checks.MOST)
        self._network: Network | None = None
        self._names: tuple[str, ...] = ()

    def on_train_begin(self, network: Network, epochs: int) -> None:
        """Take the network and its layers with tables, and say so if it has none."""
        self._network = network
        # The history has the same columns in each epoch, whatever becomes of the samplers.
        self._names = tuple(engine.hashed_layers(network))
        if not self._names:
            _log.warning("HashTableMonitor: no layer of the network has hash tables to look at.")

    def measure(self, epoch: int, logs: Mapping[str, float]) -> Mapping[str, float]:
        """Look at the tables, and warn of what is wrong with them."""
        assert self._network is not None
        hashed = list(engine.hashed_layers(self._network))
        skipped = (epoch - 1) % self.every > 0
        found: dict[str, float] = {}
        if "output" in self._names:
            sampler = self._network.config.output.sampler
            found["recall_gain"] = math.nan if skipped else _gain(sampler, logs)
        for name in self._names:
            shares = (math.nan, math.nan, math.nan)
            if name in hashed and not skipped:
                stats = inspect.table_stats(self._network, hashed.index(name))
                shares = (stats.empty_share, stats.full_share, stats.largest_share)
                _warn_of_tables(stats)
            for measure, share in zip(("empty", "full", "largest"), shares, strict=True):
                found[f"{name}.{measure}"] = share
        return found


def _gain(sampler: samplers.Sampler, logs: Mapping[str, float]) -> float:
    """Return how much better than random the tables of the output do, and warn if hardly."""
    if not isinstance(sampler, samplers.LSH):
        return math.nan
    recall, active = logs["recall_at_1"], logs["active_fraction"]
    # Recall counts no outputs drawn at random, so it is not compared with them either.
    drawn = (sampler.random_share or 0.0) if sampler.fill == "random" else 0.0
    asked = active * (1.0 - drawn)
    if not asked > 0.0:
        return math.nan
    gain = recall / asked
    if gain <= USELESS_GAIN and recall < ENOUGH and active <= ENOUGH:
        _log.warning(
            "Sampling is hardly better than random: the hash tables find the best output for "
            "%.1f %% of the rows. They are asked for %.1f %% of all outputs, and as many drawn at "
            "random would find it for as many rows, %.1f %%. More tables (n_tables) or fewer "
            "hashes (n_hashes) may help; lsh.autotune finds out.",
            100 * recall,
            100 * asked,
            100 * asked,
        )
    return gain


def _warn_of_tables(stats: inspect.TableStats) -> None:
    if stats.largest_share > MOST_IN_ONE:
        _log.warning(
            "%s: one bucket of the hash tables holds %.0f %% of the rows, so its table tells them "
            "hardly apart. Rows that point the same way do that; center=True in the tables "
            "subtracts what they share.",
            stats.layer,
            100 * stats.largest_share,
        )
    if stats.full_share > MOST_FULL:
        _log.warning(
            "%s: %.0f %% of the buckets overflow: they hold the %d rows that count, or more, and "
            "what is beyond is not found. A larger bucket_size or more hashes (n_hashes) help.",
            stats.layer,
            100 * stats.full_share,
            stats.bucket_size,
        )


def chosen(callbacks: Sequence[Callback] | None, verbose: bool | str) -> list[Callback]:
    """Return what runs in the course of ``fit``: the user's callbacks, then the progress bar.

    Examples
    --------
    >>> chosen(None, verbose=False)
    []
    """
    found = list(callbacks or ())
    for place, callback in enumerate(found):
        if not isinstance(callback, Callback):
            raise TypeError(
                f"callbacks[{place}]: found {type(callback).__name__}, wanted a Callback"
            )
    if _wants_progress(verbose):
        found.append(ProgressBar())
    return found


def _wants_progress(verbose: bool | str) -> bool:
    if isinstance(verbose, bool):
        return verbose
    checks.choice("verbose", verbose, ("auto",))
    return sys.stderr.isatty()


# Below the base that it is made from.
from slide_rs.checkpoints import ModelCheckpoint  # noqa: E402

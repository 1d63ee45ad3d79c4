"""What becomes of the hash tables in the course of training."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from slide_rs import checks, engine, inspect, samplers
from slide_rs.callbacks.base import Callback

if TYPE_CHECKING:
    from slide_rs.network import Network

__all__ = ["HashTableMonitor"]

#: Times as often as random outputs, below which hashing is not worth its work.
USELESS_GAIN = 1.2
#: Recall, and active share, above which that says nothing: no gain can exceed 1 / share.
ENOUGH = 0.5
#: Share of the rows that one bucket may hold.
MOST_IN_ONE = 0.5
#: Share of the buckets in use that may overflow.
MOST_FULL = 0.1
_log = logging.getLogger("slide_rs")


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
        self.every: int = checks.whole("every", every, 1, checks.MOST)
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

"""The way from a network, as users hold it, to its compiled engine and its hash tables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from slide_rs import _core, samplers, tables
from slide_rs.arrays import Features, features, n_rows
from slide_rs.config import NetworkConfig

if TYPE_CHECKING:
    from slide_rs.network import Network

__all__ = [
    "choose_rows",
    "core",
    "hashed_layers",
    "output_tables",
    "queries",
    "recall",
    "restore",
]


def core(net: object) -> _core.Network:
    """Return the compiled network inside of `net`.

    Examples
    --------
    >>> core("net")
    Traceback (most recent call last):
    TypeError: net: found str, wanted a Network
    """
    found: _core.Network | None = getattr(net, "_core", None)
    if found is None:
        raise TypeError(f"net: found {type(net).__name__}, wanted a Network")
    return found


def hashed_layers(net: Network) -> dict[str, tables.Tables]:
    """Return the tables of the layers that have any, first to last, by name of the layer."""
    return {
        name: layer.sampler.tables
        for name, layer in net.config.sampled.items()
        if isinstance(layer.sampler, samplers.LSH)
    }


def queries(net: Network, X: object) -> Features:
    """Return the rows as the engine takes them; there must be some."""
    x = features(X, net.config.input.in_features)
    if not n_rows(x):
        raise ValueError("X: found 0 rows, wanted at least 1")
    return x


def choose_rows(x: Features, most: int, seed: int) -> NDArray[np.int64]:
    """Choose up to so many rows by the seed, in random order.

    Examples
    --------
    >>> len(choose_rows(np.zeros((9, 2), np.float32), 5, seed=0))
    5
    """
    return np.random.default_rng(seed).permutation(n_rows(x))[:most].astype(np.int64)


def output_tables(net: Network) -> tables.Tables:
    """Return the tables of the output layer; there must be some."""
    hashed = hashed_layers(net).get("output")
    if hashed is None:
        raise ValueError("net: found no hash tables at its output, wanted samplers.LSH there")
    return hashed


def recall(net: Network, x: Features, rows: NDArray[np.int64] | None, k: int) -> float:
    """Return the share of the exact best `k` outputs that the sampler of the output layer finds.

    It is NaN with `samplers.InBatch`: what other rows have as labels says nothing about a row.
    """
    if isinstance(net.config.output.sampler, samplers.InBatch):
        return math.nan
    return net._core.recall_at_k(x, rows, k)


def restore(net: Network, path: str) -> None:
    """Make `net` what it was when it was saved; its history stays."""
    core = _core.Network.load(path, net._threads)
    net._core, net._config = core, NetworkConfig.from_json(core.config)

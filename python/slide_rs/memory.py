"""How much memory a network takes, before any of it is taken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

from slide_rs import _core, checks
from slide_rs.config import NetworkConfig
from slide_rs.layers import Layer
from slide_rs.optim import Optimizer

__all__ = ["MemoryEstimate", "estimate_memory", "limit", "of_config", "readable", "size"]

#: Rows of a batch, where nobody says how many.
BATCH = 256
_UNITS = {
    **{"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12},
    **{"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40},
}


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes that a network takes while it trains, by what they are for.

    Examples
    --------
    >>> print(MemoryEstimate(6_000_000, 12_000_000, 2_500_000, 40_000, 800_000))
    21.3 MB (weights 6 MB, moments 12 MB, tables 2.5 MB, hash functions 40 kB, scratch 800 kB)
    """

    #: Weights and biases.
    weights: int
    #: What the optimiser keeps beside them.
    moments: int
    #: Hash tables: codes, buckets, and what else is known of each row.
    tables: int
    #: Hash functions.
    hash_functions: int
    #: Work space of the threads and of a batch.
    scratch: int

    @property
    def total(self) -> int:
        """All of them.

        Examples
        --------
        >>> MemoryEstimate(1, 2, 3, 4, 5).total
        15
        """
        return sum(getattr(self, field.name) for field in fields(self))

    def __str__(self) -> str:
        parts = ", ".join(
            f"{field.name.replace('_', ' ')} {readable(getattr(self, field.name))}"
            for field in fields(self)
        )
        return f"{readable(self.total)} ({parts})"


def estimate_memory(
    layers: Sequence[Layer],
    loss: str = "softmax",
    optimizer: Optimizer | None = None,
    *,
    batch_size: int = BATCH,
    threads: int | None = None,
    update: str = "sharded",
) -> MemoryEstimate:
    """Return how much memory a network of these layers takes; none of it is taken.

    It is what is resident after the first steps on batches of `batch_size` rows. Not in it are
    the interpreter, the data, and what ``fit`` needs to measure its epochs.

    Parameters
    ----------
    layers, loss, optimizer, threads, update : as in `Network`
        The network.
    batch_size : int
        Rows of a training step.

    Examples
    --------
    >>> from slide_rs.layers import Dense, SampledDense, SparseInput
    >>> amazon = [SparseInput(135_909), Dense(128), SampledDense(670_091)]
    >>> round(estimate_memory(amazon, threads=2).total / 1e9, 1)
    0.9
    """
    config = NetworkConfig(layers, loss, optimizer, update=update)
    return of_config(config, batch_size, threads)


def of_config(
    config: NetworkConfig, batch_size: int = BATCH, threads: int | None = None
) -> MemoryEstimate:
    """Return the same for a configuration.

    Examples
    --------
    >>> from slide_rs.layers import Dense, SampledDense, SparseInput
    >>> config = NetworkConfig([SparseInput(1000), Dense(16), SampledDense(50)])
    >>> of_config(config).weights
    67520
    """
    rows = checks.whole("batch_size", batch_size, 1, checks.MOST)
    found = _core.estimate_memory(config.to_json(), rows, checks.threads(threads))
    return MemoryEstimate(**found)


def limit(config: NetworkConfig, threads: int | None, most: object, count: int = 1) -> None:
    """Raise a MemoryError if `count` networks would take more than `most`.

    Parameters
    ----------
    config : NetworkConfig
        The network.
    threads : int or None
        How many will work for it.
    most : int, str or None
        Bytes, such as 2_000_000_000, "2GB" or "1.5 GiB"; None for no limit.
    count : int
        How many of them there are at a time.

    Examples
    --------
    >>> from slide_rs.layers import Dense, SampledDense, SparseInput
    >>> config = NetworkConfig([SparseInput(1000), Dense(16), SampledDense(50)])
    >>> limit(config, 1, "100 MB")
    """
    allowed = size("max_memory", most)
    if allowed is None:
        return
    estimate = of_config(config, threads=threads)
    if count * estimate.total > allowed:
        found = "a network that takes" if count == 1 else f"{count} networks, each of which takes"
        raise MemoryError(
            f"max_memory: found {found} {estimate} in batches of {BATCH} rows, "
            f"wanted at most {readable(allowed)}"
        )


def readable(count: float) -> str:
    """Return a number of bytes with three digits and a unit.

    Examples
    --------
    >>> readable(1_234_567)
    '1.23 MB'
    >>> readable(999_999)
    '1 MB'
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        # What rounds to a thousand would be written as 1e+03.
        if float(f"{count:.3g}") < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.0f} PB" if count >= 1000 else f"{count:.3g} PB"


def size(name: str, found: object) -> int | None:
    """Return a number of bytes that may have a unit, or None where there is none.

    Examples
    --------
    >>> size("max_memory", "1.5 GB")
    1500000000
    """
    if found is None:
        return None
    if not isinstance(found, str):
        return checks.whole(name, found, 1)
    text = found.strip()
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
    unit = _UNITS.get(text[len(digits) :].strip().upper())
    try:
        count = float(digits) * unit if unit else math.nan
    except ValueError:
        count = math.nan
    if not (math.isfinite(count) and count >= 1):
        raise ValueError(f"{name}: found {found!r}, wanted bytes such as 2_000_000_000 or '2GB'")
    return int(count)

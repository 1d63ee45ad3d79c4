"""Rules for what the user does not say."""

from __future__ import annotations

import math

from slide_rs.config import NetworkConfig

__all__ = ["batch_size", "epochs", "held_out", "members", "postings"]

#: Neurons of the hidden layer that the command line builds.
HIDDEN = 192

#: Networks of an ensemble, unless one has more than so many weights: two then take gigabytes.
MEMBERS, FEW_WEIGHTS = 2, 1 << 26

#: Steps below which a network has not settled, whatever the number of rows.
STEPS = 750


def batch_size(n_rows: int) -> int:
    """Return the rows of a batch: about 800 batches to a pass, from 32 rows to 256.

    Examples
    --------
    >>> batch_size(10_000), batch_size(1_000_000)
    (32, 256)
    """
    nearest = 1 << round(math.log2(max(n_rows / 800, 1)))
    return min(max(nearest, 32), 256)


def epochs(n_rows: int, batch: int) -> int:
    """Return the passes over the data: 4, or more for small sets, which need the steps.

    Examples
    --------
    >>> epochs(2_000, 32), epochs(1_000_000, 256)
    (12, 4)
    """
    steps = math.ceil(n_rows / batch)
    return min(max(round(STEPS / max(steps, 1)), 4), 20)


def members(config: NetworkConfig) -> int:
    """Return the networks of an ensemble: 2, or 1 of those that are large.

    Examples
    --------
    >>> from slide_rs.layers import Dense, SampledDense, SparseInput
    >>> members(NetworkConfig([SparseInput(1000), Dense(128), SampledDense(20_000)]))
    2
    """
    inputs = [config.input.in_features, *(layer.units for layer in config.hidden)]
    outputs = [*(layer.units for layer in config.hidden), config.output.units]
    weights = sum(a * b for a, b in zip(inputs, outputs, strict=True))
    return MEMBERS if weights <= FEW_WEIGHTS else 1


def held_out(n_rows: int) -> int:
    """Return how many rows are kept from training to measure on: a twentieth, at most 1,000.

    Examples
    --------
    >>> held_out(399), held_out(10_000), held_out(1_000_000)
    (0, 500, 1000)
    """
    spare = min(n_rows // 20, 1000)
    return spare if spare >= 20 else 0


def postings(units: int) -> int:
    """Return how many weights of classifiers are read to find labels by features alone.

    A twentieth of the labels, so that no more than these are looked at, but enough for small sets
    and at most 10,000: features that are so frequent tell little.

    Examples
    --------
    >>> postings(100), postings(100_000), postings(10_000_000)
    (1000, 5000, 10000)
    """
    return min(max(units // 20, 1000), 10_000)

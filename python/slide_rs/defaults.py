"""Rules for what the user does not say."""

from __future__ import annotations

import math

__all__ = ["batch_size", "epochs"]

#: Neurons of the hidden layer that the command line builds.
HIDDEN = 128
LARGE = 50_000


def batch_size(n_rows: int) -> int:
    """Return the rows of a batch: 256 for large sets, fewer for small ones.

    Examples
    --------
    >>> batch_size(10_000), batch_size(1_000_000)
    (64, 256)
    """
    if n_rows >= LARGE:
        return 256
    nearest = 1 << round(math.log2(max(n_rows / 200, 1)))
    return min(max(nearest, 32), 256)


def epochs(n_rows: int, batch: int) -> int:
    """Return the passes over the data: 4 for large sets, more until there are 1,000 steps.

    Examples
    --------
    >>> epochs(10_000, 64), epochs(1_000_000, 256)
    (7, 4)
    """
    if n_rows >= LARGE:
        return 4
    steps = math.ceil(n_rows / batch)
    return min(max(math.ceil(1000 / steps), 4), 20)

"""Rules for what the user does not say."""

from __future__ import annotations

import math

__all__ = ["batch_size", "epochs"]

#: Neurons of the hidden layer that the command line builds.
HIDDEN = 192

#: Steps below which a network has not settled, whatever the number of rows.
STEPS = 750


def batch_size(n_rows: int) -> int:
    """Return the rows of a batch: about 400 batches to a pass, from 32 rows to 256.

    Examples
    --------
    >>> batch_size(10_000), batch_size(1_000_000)
    (32, 256)
    """
    nearest = 1 << round(math.log2(max(n_rows / 400, 1)))
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

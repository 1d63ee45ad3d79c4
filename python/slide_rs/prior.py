"""What is known of the labels before training: how often each occurs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from slide_rs.labels import Targets

if TYPE_CHECKING:
    from slide_rs.network import Network

__all__ = ["begin_at_frequencies", "output_bias"]

#: Below so many occurrences of a label, on average, most labels are too rare to be learned one by
#: one from where all are equal.
RARE = 3.0

#: Rows that are counted at a time, so that what is made on the way stays small.
CHUNK = 1 << 18


def begin_at_frequencies(
    net: Network,
    y: Targets,
    *,
    rows: NDArray[np.int64] | None = None,
    weight: NDArray[np.float32] | None = None,
) -> None:
    """Set the output biases of a network that was never trained, where most labels are rare.

    By `output_bias`, if the loss is a softmax and a label occurs less than three times on average.
    Where labels are frequent, they learn their biases soon enough, and better (decision 0017).

    Parameters
    ----------
    net : Network
        Nothing is done if it has made a step, or has no output biases.
    y : arrays of `labels.targets`
        The labels.
    rows : int64 array, optional
        The rows of `y` that will be trained on; all when not given.
    weight : float32 array, optional
        Weight of each row of `y`.
    """
    config, core = net.config, net._core
    if core.steps or not config.output.bias or config.loss not in ("softmax", "softmax_per_label"):
        return
    if len(y[1]) >= RARE * config.output.units:
        return
    bias = output_bias(y, config.output.units, rows=rows, weight=weight)
    if bias is not None:
        core.set_output_bias(bias)


def output_bias(
    y: Targets,
    n_labels: int,
    *,
    rows: NDArray[np.int64] | None = None,
    weight: NDArray[np.float32] | None = None,
) -> NDArray[np.float32] | None:
    """Return the biases with which a softmax that knows no features is right about frequencies.

    They are the log of how often each label occurs, half of a mean occurrence added, up to a
    constant that changes no probability: their mean over the labels of all rows is 0. The labels of
    a row share one occurrence, by their grades. Lin et al., "Focal loss for dense object
    detection", ICCV 2017, section 3.3, begin so with two classes.

    Parameters
    ----------
    y, rows, weight
        As in `begin_at_frequencies`.
    n_labels : int
        The number of outputs.

    Returns
    -------
    float32 array of shape (n_labels,), or None
        None where no row has a label.

    Examples
    --------
    >>> y = np.array([0, 1, 2, 4]), np.array([0, 0, 0, 1])
    >>> output_bias(y, 3).astype(float).round(2).tolist()
    [0.2, -0.99, -1.84]
    """
    counts, seen = np.zeros(n_labels), 0
    total_rows = len(y[0]) - 1 if rows is None else len(rows)
    for start in range(0, total_rows, CHUNK):
        stop = min(start + CHUNK, total_rows)
        chosen = np.arange(start, stop) if rows is None else rows[start:stop]
        first = y[0][chosen].astype(np.int64)
        lengths = y[0][chosen + 1].astype(np.int64) - first
        of = np.repeat(np.arange(len(chosen)), lengths)
        place = np.arange(lengths.sum()) + np.repeat(first - (np.cumsum(lengths) - lengths), lengths)
        mass = np.ones(len(place)) if len(y) == 2 else y[2][place].astype(np.float64)
        in_row = np.bincount(of, mass, len(chosen))
        mass /= np.where(in_row > 0.0, in_row, 1.0)[of]
        if weight is not None:
            mass *= weight[chosen][of]
        # Ids are below `n_labels`: `labels.targets` has seen to it.
        counts += np.bincount(y[1][place], mass, n_labels)
        seen += len(place)
    total = counts.sum()
    if total == 0.0:
        return None
    bias = np.log(counts + 0.5 * total / seen)
    bias -= np.dot(bias, counts) / total
    return bias.astype(np.float32)

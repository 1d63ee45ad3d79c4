"""What is known of the labels before training: how often each occurs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from slide_rs.labels import Targets

if TYPE_CHECKING:
    from slide_rs.network import Network

__all__ = ["begin_at_frequencies", "most_labels", "output_bias"]

#: Below so many occurrences of a label, on average, most labels are too rare to be pushed down one
#: by one.
RARE = 3.0

_SOFTMAX = ("softmax", "softmax_per_label")

#: Labels that are counted at a time, so that what is made on the way stays small.
CHUNK = 1 << 20


def begin_at_frequencies(
    net: Network,
    y: Targets,
    weight: NDArray[np.float32] | None = None,
    rows: NDArray[np.int64] | None = None,
) -> None:
    """Set the output biases by `output_bias`, where most labels are rare.

    That is where a label occurs less than three times on average. Where labels are frequent, they
    learn their biases soon enough, and end better (decision 0017). Nothing is done to a network
    that has made a step; where not all `rows` are trained on, labels of the others do not count.
    """
    config, core = net.config, net._core
    if len(y[1]) >= most_labels(net):
        return
    if rows is not None:
        chosen = np.zeros(len(y[0]) - 1, np.float32)
        chosen[rows] = 1.0 if weight is None else weight[rows]
        weight = chosen
    bias = output_bias(y, config.output.units, config.loss, weight)
    if bias is not None:
        core.set_output_bias(bias)


def most_labels(net: Network) -> float:
    """Return from how many labels of all rows on `begin_at_frequencies` has nothing to do."""
    output = net.config.output
    begins = output.bias and not net._core.steps and net.config.loss in _SOFTMAX
    return RARE * output.units if begins else 0.0


def output_bias(
    y: Targets, n_labels: int, loss: str, weight: NDArray[np.float32] | None = None
) -> NDArray[np.float32] | None:
    """Return the biases with which a softmax that knows no features is right about frequencies.

    They are the log of the share of each label, up to a constant that changes no probability: the
    mean over the labels of all rows is 0. Half of a mean occurrence is added to each. Without them
    training begins with all labels equally likely, and has to push each of the many rare ones down
    first; Lin et al., "Focal loss for dense object detection", ICCV 2017, section 3.3, begin so
    with two classes.

    Parameters
    ----------
    y : arrays of `labels.targets`
        The labels.
    n_labels : int
        The number of outputs.
    loss : str
        As in `Network`.
    weight : float32 array, optional
        Weight of each row.

    Returns
    -------
    float32 array of shape (n_labels,), or None
        None for losses other than softmax, and where no row has a label.

    Examples
    --------
    >>> y = np.array([0, 1, 2, 4]), np.array([0, 0, 0, 1])
    >>> output_bias(y, 3, "softmax").astype(float).round(2).tolist()
    [0.2, -0.99, -1.84]
    """
    if loss not in _SOFTMAX:
        return None
    counts, n = _occurrences(y, n_labels, weight, shared=loss == "softmax")
    total = counts.sum()
    if total == 0.0:
        return None
    bias: NDArray[np.float64] = np.log(counts + 0.5 * total / n)
    bias -= np.dot(bias, counts) / total
    return bias.astype(np.float32)


def _occurrences(
    y: Targets, n_labels: int, weight: NDArray[np.float32] | None, *, shared: bool
) -> tuple[NDArray[np.float64], int]:
    """Count the labels by their targets; those of a row share one occurrence, or have one each.

    Returns
    -------
    tuple
        The sum for each label, and how many were summed in all: those with a target and a weight.
    """
    indptr, ids = y[0], y[1]
    counts = np.zeros(n_labels)
    n, start, rows = 0, 0, len(indptr) - 1
    while start < rows:
        stop = int(np.searchsorted(indptr, int(indptr[start]) + CHUNK, side="right")) - 1
        stop = min(max(stop, start + 1), rows)
        first, last = int(indptr[start]), int(indptr[stop])
        lengths = np.diff(indptr[start : stop + 1])
        of_label = np.ones(last - first) if len(y) == 2 else y[2][first:last].astype(np.float64)
        row = np.repeat(np.arange(stop - start), lengths)
        if shared:
            mass = np.bincount(row, of_label, stop - start)
            of_label /= np.where(mass > 0.0, mass, 1.0)[row]
        if weight is not None:
            of_label *= weight[start:stop][row]
        # Ids are below `n_labels`: `labels.targets` has seen to it.
        n += np.count_nonzero(of_label)
        counts += np.bincount(ids[first:last], of_label, n_labels)
        start = stop
    return counts, n

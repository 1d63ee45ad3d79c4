"""Whether another optimiser has made a step since it got gradients."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Watch"]


class Watch:
    """One row of a weight, as it was when its gradient was found.

    A version tells of most changes, but fused steps of PyTorch leave it as it is. And gradients
    that were found are no step: they may add up, or be dropped.

    Examples
    --------
    >>> weight, watch = torch.zeros(3, 2), Watch()
    >>> watch.begin(weight, torch.tensor([0, 2]), torch.tensor([0.1, -0.5]))
    >>> watch.has_moved(weight)
    False
    >>> weight[2] += 1
    >>> watch.has_moved(weight)
    True
    """

    def __init__(self) -> None:
        self._row = 0
        self._values: Tensor | None = None

    def begin(self, weight: Tensor, rows: Tensor, deltas: Tensor) -> None:
        """Remember the row with the largest derivative by its score, if any is not zero."""
        if len(deltas):
            largest = int(deltas.abs().argmax())
            if deltas[largest]:
                self._row = int(rows[largest])
                self._values = weight.detach()[self._row].clone()

    def has_moved(self, weight: Tensor) -> bool:
        """Tell whether the row is another than it was."""
        return self._values is not None and not torch.equal(
            weight.detach()[self._row], self._values
        )

    def end(self) -> None:
        """Forget the row."""
        self._values = None

"""A sampled softmax in the place of ``nn.AdaptiveLogSoftmaxWithLoss``."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from slide_rs import samplers
from slide_rs.torch.linear import SlideLinear
from slide_rs.torch.targets import IGNORED

__all__ = ["SampledSoftmax", "SoftmaxOutput"]


class SoftmaxOutput(NamedTuple):
    """What a `SampledSoftmax` returns, in the order of ``nn.AdaptiveLogSoftmaxWithLoss``.

    Examples
    --------
    >>> SoftmaxOutput(torch.tensor([-1.0]), torch.tensor(1.0)).loss
    tensor(1.)
    """

    #: The log-probability of the target of each row, shape (rows,): among its active classes, with
    #: the correction of the sampler for those that are not.
    output: Tensor
    #: Minus the mean of `output`.
    loss: Tensor


class SampledSoftmax(nn.Module):  # type: ignore[misc, unused-ignore]
    """Softmax over many classes, of which a row computes its own and likely others.

    Parameters
    ----------
    in_features, n_classes : int
        The widths.
    bias : bool
        Whether classes have biases.
    sampler : samplers.Sampler, optional
        Which classes are active besides that of a row; `samplers.LSH()` when not given.
    grad : {"rows", "sparse", "dense"}, optional
        As for `SlideLinear`.
    seed : int
        Of the sampler.
    dtype : torch.dtype, optional
        As for `SlideLinear`.

    Attributes
    ----------
    head : SlideLinear
        The layer.

    Examples
    --------
    >>> softmax = SampledSoftmax(8, 2000, sampler=samplers.Uniform(n_active=20))
    >>> output, loss = softmax(torch.randn(4, 8), torch.tensor([3, 1999, 0, 7]))
    >>> output.shape, softmax.predict(torch.randn(4, 8)).shape
    (torch.Size([4]), torch.Size([4]))
    """

    in_features: int
    n_classes: int
    head: SlideLinear

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        bias: bool = True,
        *,
        sampler: samplers.Sampler | None = None,
        grad: str | None = None,
        seed: int = 0,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_features, self.n_classes = in_features, n_classes
        self.head = SlideLinear(
            in_features, n_classes, bias, sampler=sampler, grad=grad, seed=seed, dtype=dtype
        )

    def forward(self, input: Tensor, target: Tensor) -> SoftmaxOutput:
        """Return the log-probability of each row's target, and the loss.

        Parameters
        ----------
        input : Tensor
            Floats of shape (rows, in_features).
        target : Tensor
            One class a row, int64, shape (rows,).

        Raises
        ------
        TypeError, ValueError
            If shapes, types or classes are wrong; every row has a class here.
        """
        if target.ndim != 1 or bool((target == IGNORED).any()):
            raise ValueError(f"target: found rows without a class, wanted {len(input)} classes")
        found: Any = self.head(input, target)
        return SoftmaxOutput(-found.losses, found.loss)

    def log_prob(self, input: Tensor) -> Tensor:
        """Return the log-probabilities of all classes; see `SlideLinear.log_prob`."""
        found: Tensor = self.head.log_prob(input)
        return found

    def predict(self, input: Tensor) -> Tensor:
        """Return the most likely class of each row, among all, int64 of shape (rows,)."""
        best: Tensor = self.head.topk(input, 1).labels[:, 0]
        return best

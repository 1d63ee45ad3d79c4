"""The layer in float64 and plain PyTorch, to check the compiled one and for gradcheck.

Weights of active neurons are gathered, so autograd knows every operation. The sampler sees a copy
in float32. Losses are those over the active neurons: scores are not corrected for the chance of
being drawn, and samplers that would are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from slide_rs.torch import exact, ops, storage
from slide_rs.torch.activations import SlideOutput, SparseActivations, TopK
from slide_rs.torch.head import clock
from slide_rs.torch.targets import Targets, targets

if TYPE_CHECKING:
    from slide_rs.torch.linear import SlideLinear

__all__ = ["check_sampler", "forward", "topk"]


def check_sampler(sampler: Mapping[str, Any]) -> None:
    """Refuse samplers that correct scores.

    Raises
    ------
    ValueError
        If it is one.

    Examples
    --------
    >>> check_sampler({"kind": "uniform", "log_q": True})
    Traceback (most recent call last):
    ValueError: sampler: found log_q=True in float64, wanted False: its scores are not corrected
    """
    correction, share = sampler.get("log_q", "random"), sampler.get("random_share")
    if correction is True or correction == "all" or (correction == "random" and share):
        what = f"random_share={share:g}" if share else f"log_q={correction!r}"
        wanted = "0" if share else "False"
        raise ValueError(
            f"sampler: found {what} in float64, wanted {wanted}: its scores are not corrected"
        )


def forward(layer: SlideLinear, x: Any, target: Any) -> SlideOutput:
    """Return what `SlideLinear.forward` does."""
    rows = x[0].shape[0] if x[1] is None else x[1].shape[0] - 1
    wanted = None
    if target is not None:
        wanted = targets(target, layer.out_features, rows, ignore_index=layer.ignore_index)
    with torch.no_grad():
        indptr, indices = _active(layer, x, wanted)
    inputs = exact.dense(x, layer.in_features)
    samples = SparseActivations(indptr, indices, inputs).samples()
    logits = (layer.weight[indices] * inputs[samples]).sum(1)
    if layer.bias is not None:
        logits = logits + layer.bias[indices]
    if wanted is None:
        return SlideOutput(None, indptr, indices, logits)
    truth = _truth(wanted, indptr, len(indices), layer.loss, layer.out_features)
    if layer.loss == "softmax":
        losses = _cross_entropy(logits, truth, samples, rows)
    else:
        each = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        losses = torch.zeros(rows, dtype=each.dtype).index_add(0, samples, each)
    losses = _labelled(losses, wanted)
    return SlideOutput(losses.sum() / wanted.labelled, indptr, indices, logits, losses)


def _active(layer: SlideLinear, x: Any, wanted: Targets | None) -> tuple[Tensor, Tensor]:
    state, single = layer._state, (x[0].float(), *x[1:])
    state.take(sparse=x[1] is not None)
    state.count_changes()
    state.head.stale()
    lent: Any = _lent(layer)
    rows = ops.features(*single)
    if wanted is None:
        step = clock(state.ledger, None) if layer.training else None
        indptr, indices, _ = state.head.activate(lent[0], lent[1], rows, step)
    else:
        known = _arrays(wanted, layer.out_features)
        step = clock(state.ledger, wanted.labels)
        _, indptr, indices, _, _, _ = state.head.losses(lent[0], lent[1], rows, known, step)
    return torch.from_numpy(indptr), torch.from_numpy(indices)


def _lent(layer: SlideLinear) -> Any:
    places, stride = layer._state.shape
    weight, bias = storage.allocate(places, stride), None
    weight[: layer.out_features, : layer.in_features] = layer.weight
    if layer.bias is not None:
        bias = storage.allocate(places)
        bias[: layer.out_features] = layer.bias
    return weight.numpy(), None if bias is None else bias.numpy()


def _arrays(wanted: Targets, n_labels: int) -> Any:
    return ops.as_arrays(wanted.labels, wanted.indptr, wanted.grades, n_labels)


def _truth(wanted: Targets, indptr: Tensor, count: int, loss: str, n_labels: int) -> Tensor:
    """Return the target of each active neuron: those of a row's labels come first."""
    bounds, labels, *grades = _arrays(wanted, n_labels)
    lengths = np.diff(bounds)
    within = np.arange(len(labels)) - np.repeat(bounds[:-1], lengths)
    places = np.repeat(indptr.numpy()[:-1], lengths) + within
    values = grades[0].astype(float) if grades else np.ones(len(labels))
    if loss == "softmax":
        sums = np.bincount(np.repeat(np.arange(len(lengths)), lengths), values, len(lengths))
        values = values / np.repeat(np.where(sums > 0, sums, 1), lengths)
    found = np.zeros(count)
    found[places] = values
    return torch.from_numpy(found)


def _cross_entropy(logits: Tensor, truth: Tensor, samples: Tensor, rows: int) -> Tensor:
    lowest = torch.full((rows,), -torch.inf, dtype=logits.dtype)
    highest = lowest.scatter_reduce(0, samples, logits.detach(), "amax")
    shifted = logits - highest[samples]
    sums = torch.zeros(rows, dtype=logits.dtype).index_add(0, samples, shifted.exp())
    return torch.zeros(rows, dtype=logits.dtype).index_add(
        0, samples, truth * (sums.log()[samples] - shifted)
    )


def _labelled(losses: Tensor, wanted: Targets) -> Tensor:
    if wanted.indptr is None:
        return losses * (wanted.labels >= 0)
    return losses * (wanted.indptr.diff() > 0)


def topk(layer: SlideLinear, x: Any, k: int, mode: str) -> TopK:
    """Return what `SlideLinear.topk` does."""
    inputs = exact.dense(x, layer.in_features)
    if mode == "exact":
        scores = functional.linear(inputs, layer.weight, layer.bias)
        best = scores.topk(k, dim=1)
        return TopK(best.indices, best.values)
    state, single = layer._state, (x[0].float(), *x[1:])
    state.take(sparse=x[1] is not None)
    state.head.stale()
    weight, bias = _lent(layer)
    labels, values = state.head.topk(weight, bias, ops.features(*single), k, mode)
    return TopK(torch.from_numpy(labels), torch.from_numpy(values).double())

"""What a sampled layer says of all its outputs: best labels, probabilities, and what it misses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from slide_rs import checks
from slide_rs.torch import ops, reference
from slide_rs.torch.activations import SparseActivations, TopK

if TYPE_CHECKING:
    from slide_rs.torch.linear import SlideLinear

__all__ = ["log_prob", "recall", "topk"]

MODES = ("exact", "lsh")


def topk(layer: SlideLinear, x: Any, k: int, mode: str) -> TopK:
    """Return the best labels of each row; see `SlideLinear.topk`."""
    count = checks.whole("k", k, 1, layer.out_features)
    checks.choice("mode", mode, MODES)
    with torch.no_grad():
        if layer.weight.dtype == torch.float64:
            return reference.topk(layer, x, count, mode)
        state = layer._state
        if state.config["sampler"]["kind"] == "full":
            # A small layer computes all of its neurons, by rule; nothing is missed.
            mode = "exact"
        with state.lock:
            state.take(sparse=x[1] is not None)
            lent = state.lend(layer.weight, layer.bias)
            labels, scores = state.head.topk(*lent, ops.features(*x), count, mode)
        return TopK(torch.from_numpy(labels), torch.from_numpy(scores))


def log_prob(layer: SlideLinear, x: Any) -> Tensor:
    """Return the log-probabilities of all labels; see `SlideLinear.log_prob`."""
    weight: Tensor = layer.weight
    bias: Tensor | None = layer.bias
    if layer.grad != "dense":
        weight, bias = weight.detach(), None if bias is None else bias.detach()
    return functional.linear(dense(x, layer.in_features), weight, bias).log_softmax(1)


def recall(layer: SlideLinear, x: Any, k: int) -> float:
    """Return the share of the best labels that are found; see `SlideLinear.recall`."""
    best = topk(layer, x, k, "exact").labels
    found = topk(layer, x, k, "lsh").labels
    hits = (best[:, :, None] == found[:, None, :]).any(2)
    return float(hits.double().mean())


def dense(x: tuple[Tensor, Tensor | None, Tensor | None], columns: int) -> Tensor:
    """Return an input as a dense tensor."""
    values, indptr, indices = x
    if indptr is None or indices is None:
        return values
    return SparseActivations(indptr, indices, values, columns).dense()

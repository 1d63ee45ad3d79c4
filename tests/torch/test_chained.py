"""Sampled layers behind sampled layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from slide_rs import samplers
from slide_rs.torch import SlideAdam, SlideLinear, SlideOutput, SparseActivations
from torch import Tensor

D, HIDDEN, N, BATCH = 12, 50, 40, 7
#: As in test_linear.
CLOSE = 1e-4


def layers(first: Any = None, **options: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    sampler = samplers.Full() if first is None else first
    return (
        SlideLinear(D, HIDDEN, sampler=sampler, **options),
        SlideLinear(HIDDEN, N, sampler=samplers.Full(), **options),
    )


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(BATCH, D, generator=generator)
    return x, torch.randint(0, N, (BATCH,), generator=generator)


@pytest.mark.parametrize("sampler", [None, samplers.Uniform(n_active=9)])
def test_both_layers_have_the_gradients_of_dense_ones_on_the_active_neurons(sampler: Any) -> None:
    first, second = layers(sampler, grad="dense")
    x, y = batch()
    same = x.clone().requires_grad_()
    hidden = first(x.requires_grad_())
    loss = second(hidden.relu(), y).loss
    loss.backward()
    active = SparseActivations(
        hidden.indptr, hidden.indices, torch.ones_like(hidden.logits), HIDDEN
    ).dense()
    found = [p.grad for p in (*first.parameters(), *second.parameters())]
    first.zero_grad()
    second.zero_grad()
    dense = torch.nn.functional.linear(same, first.weight, first.bias).relu() * active
    scores = torch.nn.functional.linear(dense, second.weight, second.bias)
    wanted = torch.nn.functional.cross_entropy(scores, y)
    wanted.backward()
    torch.testing.assert_close(loss, wanted, rtol=CLOSE, atol=CLOSE)
    torch.testing.assert_close(x.grad, same.grad, rtol=CLOSE, atol=CLOSE)
    for mine, parameter in zip(found, (*first.parameters(), *second.parameters()), strict=True):
        torch.testing.assert_close(mine, parameter.grad, rtol=CLOSE, atol=CLOSE)


@pytest.mark.parametrize("chosen", [samplers.LSH(n_active=300), samplers.Uniform(n_active=300)])
def test_a_chain_learns(chosen: Any) -> None:
    torch.manual_seed(0)
    first = SlideLinear(D, 2000, sampler=chosen)
    second = SlideLinear(2000, 1500, sampler=samplers.LSH(n_active=100))
    optimizer = SlideAdam([{"modules": [first, second]}], lr=0.01)
    x, y = batch()
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = second(first(x).relu(), y).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    first.eval(), second.eval()
    best = second.topk(first(x).relu(), 1).labels[:, 0]
    assert (best == y).float().mean() > 0.5


def test_an_output_is_taken_as_it_is_and_a_size_is_checked() -> None:
    first, second = layers()
    x, y = batch()
    hidden = first(x)
    sizeless = SparseActivations(hidden.indptr, hidden.indices, hidden.logits)
    assert second(hidden, y).loss.item() == second(sizeless, y).loss.item()
    with pytest.raises(ValueError, match="input: found 9 columns, wanted 50"):
        second(SparseActivations(*sizeless[:3], 9), y)
    beyond = SlideOutput(None, torch.tensor([0, 1]), torch.tensor([HIDDEN]), torch.ones(1))
    with pytest.raises(ValueError, match="column"):
        second(beyond, y[:1])


def test_a_layer_takes_one_kind_of_input() -> None:
    first, second = layers()
    x, y = batch()
    second(first(x).relu(), y)
    with pytest.raises(ValueError, match="input: found dense input after sparse input"):
        second(torch.zeros(BATCH, HIDDEN), y)
    first(x)
    with pytest.raises(ValueError, match="input: found sparse input after dense input"):
        first(SparseActivations(torch.tensor([0, 1]), torch.tensor([2]), torch.ones(1)))


def test_a_chain_in_float64_is_that_in_float32() -> None:
    narrow, wide = layers(), layers(dtype=torch.float64)
    for mine, other in zip(narrow, wide, strict=True):
        other.load_state_dict(mine.state_dict())
    x, y = batch()
    found = narrow[1](narrow[0](x).relu(), y).loss
    wanted = wide[1](wide[0](x.double()).relu(), y).loss
    torch.testing.assert_close(found.double(), wanted, rtol=CLOSE, atol=CLOSE)


@pytest.mark.parametrize(
    ("indptr", "indices", "values", "error"),
    [
        ([0, 2], [3, 3], [1.0, 2.0], "input: found a column twice in a row"),
        ([0, 2], [-1, 3], [1.0, 2.0], "input: found columns from -1 to 3"),
        ([0, 2], [1, D], [1.0, 2.0], f"input: found columns from 1 to {D}, wanted them from 0"),
        ([0, 1, 2], [1, 4], [1.0, float("nan")], "input: row 1 has the value NaN"),
        ([0, 2], [1, 4], [1.0], "input.values: found 1, wanted 2"),
        ([0, 3], [1, 4], [1.0, 2.0], "input.indptr: found bounds"),
        ([1, 2], [1, 4], [1.0, 2.0], "input.indptr: found bounds"),
        ([0, 2, 1, 2], [1, 4], [1.0, 2.0], "input.indptr: found bounds"),
        ([], [1, 4], [1.0, 2.0], "input.indptr: found "),
        ([0.0, 2.0], [1, 4], [1.0, 2.0], "input.indptr: found dtype torch.float32"),
        ([0, 2], [[1, 4]], [1.0, 2.0], "input.indices: found shape"),
    ],
)
def test_what_is_no_sparse_rows_is_refused(
    indptr: Any, indices: Any, values: Any, error: str
) -> None:
    rows = SparseActivations(*map(torch.tensor, (indptr, indices, values)))
    with pytest.raises((TypeError, ValueError), match=error):
        layers()[0](rows, torch.zeros(max(len(indptr) - 1, 0), dtype=torch.int64))

"""The operators under PyTorch's own checks, and compiled training against training as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from slide_rs import samplers
from slide_rs.torch import SlideAdam, SlideLinear, ops
from torch import Tensor, nn

D, N, BATCH = 16, 2000, 6
BACKENDS = ["eager", "aot_eager"]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def batch(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(BATCH, D, generator=generator)
    return x, torch.randint(0, N, (BATCH,), generator=generator)


def parts(**options: Any) -> tuple[nn.Linear, SlideLinear]:
    torch.manual_seed(0)
    return nn.Linear(D, D), SlideLinear(D, N, sampler=samplers.LSH(n_active=30), **options)


def once(trunk: Any, head: Any, x: Tensor, y: Tensor) -> Any:
    return head(trunk(x), y).loss


def three_times(trunk: Any, head: Any, x: Tensor, y: Tensor) -> Any:
    """Two calls with the same arguments and one without a target, in one graph."""
    h = trunk(x)
    return head(h, y).loss + head(h, y).loss + head(h).logits.square().mean()


def losses(loss: Callable[..., Any], steps: int = 4) -> list[float]:
    trunk, head = parts()
    optimizer = SlideAdam([{"params": trunk.parameters()}, {"modules": [head]}], lr=0.01)
    found = []
    for seed in range(steps):
        optimizer.zero_grad()
        value = loss(trunk, head, *batch(seed))
        value.backward()
        optimizer.step()
        found.append(value.item())
    return found


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("loss", [once, three_times])
def test_compiled_training_has_the_same_losses(loss: Any, backend: str) -> None:
    assert losses(torch.compile(loss, backend=backend, fullgraph=True)) == losses(loss)


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backward_pass_of_a_compiled_graph_leaves_its_rows(backend: str) -> None:
    norms = []
    for loss in (three_times, torch.compile(three_times, backend=backend, fullgraph=True)):
        trunk, head = parts()
        for seed in (0, 1):
            loss(trunk, head, *batch(seed)).backward()
        norms.append(head._state.head.norm(head._state.gradients()))
    # The compiler adds up in another order: a few roundings of the largest term.
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)


def test_a_frozen_trunk_does_not_make_the_rows_of_a_compiled_graph_disappear() -> None:
    trunk, head = parts()
    trunk.requires_grad_(False)
    loss = torch.compile(once, backend="aot_eager", fullgraph=True)
    loss(trunk, head, *batch(0)).backward()
    assert len(head._state.gradients()) == 1


def test_compiled_graphs_refuse_two_forward_passes_before_their_backward_passes() -> None:
    trunk, head = parts()
    loss = torch.compile(three_times, backend="aot_eager", fullgraph=True)
    first, second = (loss(trunk, head, *batch(seed)) for seed in (0, 1))
    first.backward()
    # Not silently wrong: the ledger, which a compiled graph saves, has gone on.
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        second.backward()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("grad", ["sparse", "dense"])
def test_compiled_gradients_are_the_same(grad: str, backend: str) -> None:
    found = []
    for loss in (once, torch.compile(once, backend=backend, fullgraph=True)):
        trunk, head = parts(grad=grad)
        loss(trunk, head, *batch(0)).backward()
        found.append([p.grad.to_dense() for p in (*trunk.parameters(), *head.parameters())])
    assert all(torch.equal(mine, other) for mine, other in zip(*found, strict=True))


@pytest.mark.parametrize("input_gradient", [True, False])
@pytest.mark.parametrize("grad", ["rows", "sparse", "dense"])
@pytest.mark.parametrize("operator", [ops.sampled_loss, ops.sampled_logits])
def test_operators_pass_opcheck(operator: Any, grad: str, input_gradient: bool) -> None:
    _, head = parts(grad=grad)
    x, y = batch(0)
    common = (x.requires_grad_(input_gradient), None, None, head.weight, head.bias)
    state = head._state
    if operator is ops.sampled_loss:
        arguments = (*common, y, None, None, state.ledger, state.handle, grad)
    else:
        arguments = (*common, state.ledger, state.handle, grad, True)
    checks = torch.library.opcheck(operator, arguments)
    assert set(checks.values()) == {"SUCCESS"}

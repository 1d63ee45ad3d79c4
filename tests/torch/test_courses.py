"""Training in pieces: what is computed again, loaded, shared or put in the place of something."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from slide_rs import lsh, samplers
from slide_rs.torch import SampledSoftmax, SlideAdam, SlideLinear
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint

D, N, BATCH = 16, 3000, 12
SAMPLERS = [
    samplers.LSH(n_active=60),
    samplers.LSH(n_active=60, rebuild=lsh.Rebuild(every=3, redraw=2)),
    samplers.Uniform(n_active=60),
]


def batch(step: int, d: int = D) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(BATCH, d, generator=generator, requires_grad=True)
    return x, torch.randint(N, (BATCH,), generator=generator)


def made(sampler: Any, d: int = D, **options: Any) -> tuple[SlideLinear, Any]:
    torch.manual_seed(0)
    layer = SlideLinear(d, N, sampler=sampler, **options)
    if layer.grad == "rows":
        return layer, SlideAdam(layer.parameters(), lr=0.01)
    return layer, torch.optim.Adam(layer.parameters(), lr=0.01, fused=True)


def loss_of(layer: SlideLinear, x: Tensor, y: Tensor) -> Tensor:
    loss = layer(x, y).loss
    assert loss is not None
    return loss


@pytest.mark.parametrize("grad", ["rows", "dense"])
@pytest.mark.parametrize("sampler", SAMPLERS[1:])
def test_checkpointing_computes_the_same_again_in_every_order(sampler: Any, grad: str) -> None:
    found = []
    for again in (False, True):
        layer, optimizer = made(sampler, grad=grad)
        gradients = []
        for step in range(4):
            (x, y), (x2, y2) = batch(step), batch(step + 100)
            if again:
                one = checkpoint(loss_of, layer, x, y, use_reentrant=False)
                two = checkpoint(loss_of, layer, x2, y2, use_reentrant=False)
            else:
                one, two = loss_of(layer, x, y), loss_of(layer, x2, y2)
            optimizer.zero_grad()
            (one + two).backward()
            optimizer.step()
            gradients += [x.grad, x2.grad]
        found.append([*gradients, layer.weight.detach().clone()])
    for plain, recomputed in zip(*found, strict=True):
        assert torch.equal(plain, recomputed)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_run_that_is_loaded_goes_on_as_the_one_that_saved_it(sampler: Any) -> None:
    layer, optimizer = made(sampler)

    def train(layer: Any, optimizer: Any, steps: range) -> None:
        for step in steps:
            optimizer.zero_grad()
            layer(*batch(step)).loss.backward()
            optimizer.step()

    train(layer, optimizer, range(25))
    file = io.BytesIO()
    torch.save({"layer": layer.state_dict(), "optimizer": optimizer.state_dict()}, file)
    train(layer, optimizer, range(25, 50))
    file.seek(0)
    saved = torch.load(file)
    other, again = made(sampler)
    other.load_state_dict(saved["layer"])
    again.load_state_dict(saved["optimizer"])
    train(other, again, range(25, 50))
    assert torch.equal(layer.weight, other.weight)
    assert torch.equal(layer.bias, other.bias)


@pytest.mark.parametrize("d", [10, 16])
def test_a_look_between_backward_and_a_fused_step_hides_no_step(d: int) -> None:
    torch.manual_seed(0)
    layer = SlideLinear(d, 40, sampler=samplers.Full(), grad="dense")
    dense = nn.Linear(d, 40)
    dense.load_state_dict({k: v for k, v in layer.state_dict().items() if "extra" not in k})
    optimizers = [torch.optim.Adam(m.parameters(), lr=0.1, fused=True) for m in (layer, dense)]
    for step in range(4):
        x, _ = batch(step, d)
        y = torch.arange(BATCH)
        loss, wanted = layer(x, y).loss, functional.cross_entropy(dense(x), y)
        # Sums of 40 terms in float32, after as many steps.
        torch.testing.assert_close(loss, wanted, rtol=1e-4, atol=1e-5)
        for part, optimizer in zip((loss, wanted), optimizers, strict=True):
            optimizer.zero_grad()
            part.backward()
        layer.topk(x, 1)
        for optimizer in optimizers:
            optimizer.step()
    layer.weight.data.zero_()
    layer.bias.data.zero_()
    uniform = layer(x, y).loss.item()
    assert uniform == pytest.approx(torch.log(torch.tensor(40.0)).item(), rel=1e-5)


def test_computed_weights_are_refused_where_rows_are_kept() -> None:
    class Double(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return 2 * weight

    layer, _ = made(SAMPLERS[2])
    parametrize.register_parametrization(layer, "weight", Double())
    with pytest.raises(RuntimeError, match="weight: found a tensor in the place of"):
        layer(*batch(0))
    layer, _ = made(SAMPLERS[2])
    computed = {"weight": layer.weight * 1, "bias": layer.bias * 1}
    with pytest.raises(RuntimeError, match="weight: found a tensor in the place of"):
        torch.func.functional_call(layer, computed, batch(0))


def test_shared_memory_stays_shared() -> None:
    layer, optimizer = made(SAMPLERS[0])
    layer.share_memory()
    before = layer.weight.detach().clone()
    layer(*batch(0)).loss.backward()
    optimizer.step()
    assert layer.weight.is_shared()
    assert layer.bias.is_shared()
    assert not torch.equal(layer.weight, before)


def test_assigned_memory_of_a_saved_layer_is_used_where_it_is() -> None:
    layer, _ = made(SAMPLERS[0])
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other, _ = made(SAMPLERS[0])
    other.load_state_dict(torch.load(file), assign=True)
    x, y = batch(0)
    assert torch.equal(other(x, y).loss, layer(x, y).loss)


def test_losses_of_rows_are_corrected_as_their_mean_is() -> None:
    torch.manual_seed(0)
    softmax = SampledSoftmax(D, N, sampler=samplers.Uniform(n_active=40))
    output, loss = softmax(*batch(0))
    assert loss.item() == pytest.approx(-output.mean().item(), rel=1e-5)
    layer, _ = made(SAMPLERS[2])
    x, y = batch(0)
    y[3] = -100
    out = layer(x, y)
    assert out.losses is not None
    assert out.losses[3] == 0
    assert out.loss.item() == pytest.approx(out.losses.sum().item() / (BATCH - 1), rel=1e-5)
    weights = torch.rand(BATCH)
    (out.losses * weights).sum().backward()
    assert x.grad is not None
    assert not x.grad[3].any()


def test_other_defaults_of_pytorch_change_nothing() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        layer = SlideLinear(D, N, sampler=SAMPLERS[2])
        x, y = batch(0)
        layer(x.float(), y).loss.backward()
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.inference_mode():
        layer = SlideLinear(D, N, sampler=SAMPLERS[2])
        assert layer.topk(batch(0)[0], 2).labels.shape == (BATCH, 2)


def test_an_optimizer_checks_all_groups_before_it_changes_one() -> None:
    trunk, table = nn.Linear(4, 4), nn.Embedding(9, 4, sparse=True)
    optimizer = SlideAdam([{"params": trunk.parameters()}, {"params": table.parameters()}])
    before = trunk.weight.detach().clone()
    trunk(table(torch.tensor([1, 2]))).sum().backward()
    with pytest.raises(RuntimeError, match="found a sparse gradient"):
        optimizer.step()
    assert torch.equal(trunk.weight, before)


def test_the_state_of_another_adam_is_taken() -> None:
    layer, optimizer = made(SAMPLERS[2])
    other = torch.optim.Adam(nn.Linear(D, N).parameters(), lr=0.5)
    optimizer.load_state_dict(other.state_dict())
    layer(*batch(0)).loss.backward()
    optimizer.step()
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_a_small_layer_misses_nothing() -> None:
    layer = SlideLinear(D, 70)
    x, _ = batch(0)
    exact, found = layer.topk(x, 5), layer.topk(x, 5, mode="lsh")
    assert torch.equal(exact.labels, found.labels)
    assert layer.recall(x, 3) == 1


def test_padding_and_the_ignored_class_are_no_labels() -> None:
    layer, _ = made(SAMPLERS[2], ignore_index=0)
    x, _ = batch(0)
    padded = torch.full((BATCH, 2), 0)
    padded[:, 0] = 7
    alone = layer(x, [[7]] * BATCH)
    assert torch.equal(layer(x, padded).loss, alone.loss)


def test_the_gradient_of_kept_rows_cannot_be_asked_for() -> None:
    layer, _ = made(SAMPLERS[2])
    with pytest.raises(RuntimeError, match="found the weight of a SlideLinear with grad"):
        torch.autograd.grad(layer(*batch(0)).loss, [layer.weight])

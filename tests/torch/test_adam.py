"""Steps of the optimiser against PyTorch's own, and the habits that its users have."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from slide_rs import samplers
from slide_rs.torch import SlideAdam, SlideLinear
from torch import Tensor, nn
from torch.nn import functional

D, N, BATCH = 32, 60, 9
#: Adam divides by the root of squares: a gradient of 1e-3 that is off by 1e-7 moves a weight by
#: 1e-4 of the rate of 0.01, and ten steps add up.
CLOSE = 1e-4


def batch(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(BATCH, 7, generator=generator)
    return x, torch.randint(0, N, (BATCH,), generator=generator)


class Net(nn.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Linear(7, D)
        self.head = SlideLinear(D, N, **{"sampler": samplers.Full(), **options})

    def forward(self, x: Tensor, y: Tensor) -> Any:
        return self.head(self.trunk(x).relu(), y).loss


class Dense(nn.Module):
    def __init__(self, net: Net) -> None:
        super().__init__()
        self.trunk, self.head = nn.Linear(7, D), nn.Linear(D, N)
        state = {k: v for k, v in net.state_dict().items() if "extra" not in k}
        self.load_state_dict(state)

    def forward(self, x: Tensor, y: Tensor) -> Any:
        return functional.cross_entropy(self.head(self.trunk(x).relu()), y)


def train(
    net: Any, optimizer: Any, steps: int = 10, first: int = 0, clip: Any = None
) -> list[float]:
    losses = []
    for seed in range(first, first + steps):
        optimizer.zero_grad()
        loss = net(*batch(seed))
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(net.parameters(), clip)
        optimizer.step()
        losses.append(loss.item())
    return losses


def assert_same(net: Any, other: Any) -> None:
    for (name, mine), theirs in zip(net.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=CLOSE, atol=CLOSE, msg=name)


@pytest.mark.parametrize("max_norm", [None, 0.1])
def test_with_every_output_active_ten_steps_are_those_of_torch_adam(max_norm: Any) -> None:
    net = Net()
    dense = Dense(net)
    losses = train(net, SlideAdam(net.parameters(), lr=0.01, max_norm=max_norm))
    wanted = train(dense, torch.optim.Adam(dense.parameters(), lr=0.01), clip=max_norm)
    assert losses == pytest.approx(wanted, rel=1e-4)
    assert_same(net, dense)


def test_rows_are_those_that_sparse_adam_moves() -> None:
    sampler = samplers.Uniform(n_active=9, log_q=False)
    net, other = Net(sampler=sampler), Net(sampler=sampler, grad="sparse")
    dense = [*other.trunk.parameters()]
    sparse = [*other.head.parameters()]
    # SparseAdam adds eps to a root without its correction of the first steps: so next to none.
    options: Any = {"lr": 0.01, "eps": 1e-12}
    mine = SlideAdam(net.parameters(), **options)
    theirs = [torch.optim.Adam(dense, **options), torch.optim.SparseAdam(sparse, **options)]
    for seed in range(5):
        for optimizer in (mine, *theirs):
            optimizer.zero_grad()
        for model in (net, other):
            model(*batch(seed)).backward()
        for optimizer in (mine, *theirs):
            optimizer.step()
        # The other layer counts a step when it next sees that its weights have changed.
        other.head.eval(), other(*batch(seed)), other.head.train()
        assert_same(net, other)


def test_weight_decay_of_the_other_parameters_is_that_of_adamw() -> None:
    net = Net()
    dense = Dense(net)
    groups = [{"params": net.trunk.parameters(), "weight_decay": 0.1}, {"modules": [net.head]}]
    other = [
        {"params": dense.trunk.parameters(), "weight_decay": 0.1},
        {"params": dense.head.parameters(), "weight_decay": 0.0},
    ]
    train(net, SlideAdam(groups, lr=0.01))
    train(dense, torch.optim.AdamW(other, lr=0.01))
    assert_same(net, dense)


@pytest.mark.parametrize("second", ["row", "entry"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_state_dict_goes_on_where_it_was(second: str, dtype: str) -> None:
    options = {"lr": 0.01, "second_moment": second, "moments_dtype": dtype}
    net = Net(sampler=samplers.LSH(n_active=20))
    optimizer = SlideAdam(net.parameters(), **options)
    train(net, optimizer, 3)
    saved = copy.deepcopy([net.state_dict(), optimizer.state_dict()])
    wanted = train(net, optimizer, 3, first=3)
    again = Net(sampler=samplers.LSH(n_active=20))
    other = SlideAdam(again.parameters(), **options)
    # An optimiser of PyTorch goes on with the very tensors that it was given.
    for loaded, state in zip((again, other), copy.deepcopy(saved), strict=True):
        loaded.load_state_dict(state)
    found = train(again, other, 3, first=3)
    # Tables that are built anew may find others than those that were built before.
    net.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    assert found == train(net, optimizer, 3, first=3)
    assert found == pytest.approx(wanted, rel=0.05)
    state = other.state[again.head.weight]
    assert state["exp_avg"].dtype == getattr(torch, dtype)
    assert state["step"] == 6


def test_by_rule_wide_layers_have_one_square_a_row_and_means_in_halves() -> None:
    layer = SlideLinear(64, 1 << 14, sampler=samplers.Uniform(10))
    optimizer = SlideAdam(layer.parameters())
    layer(torch.randn(4, 64), torch.arange(4)).loss.backward()
    optimizer.step()
    state = optimizer.state[layer.weight]
    assert state["exp_avg"].dtype == torch.bfloat16
    assert state["exp_avg_sq"].shape == state["exp_avg"].shape[:1]


def test_a_model_and_its_optimizer_are_copied_together() -> None:
    net = Net()
    optimizer = SlideAdam(net.parameters(), lr=0.01)
    train(net, optimizer, 2)
    other, theirs = copy.deepcopy((net, optimizer))
    assert train(other, theirs, 3, first=2) == train(net, optimizer, 3, first=2)
    assert_same(net, other)
    assert other.head._state.handle != net.head._state.handle


def test_schedulers_set_the_rate_of_rows() -> None:
    net = Net()
    dense = Dense(net)
    for model, made in ((net, SlideAdam), (dense, torch.optim.Adam)):
        optimizer = made(model.parameters(), lr=0.02)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.1)
        for seed in range(6):
            train(model, optimizer, 1, first=seed)
            schedule.step()
    assert_same(net, dense)


def test_a_closure_computes_the_loss() -> None:
    net, other = Net(), Net()
    optimizer = SlideAdam(net.parameters(), lr=0.01)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = net(*batch(0))
        loss.backward()
        return loss

    first = optimizer.step(closure)
    train(other, SlideAdam(other.parameters(), lr=0.01), 1)
    assert first.item() == other_first(0)
    assert_same(net, other)


def other_first(seed: int) -> float:
    return Net()(*batch(seed)).item()


def test_gradients_of_several_passes_add_up() -> None:
    net = Net()
    dense = Dense(net)
    for model, made in ((net, SlideAdam), (dense, torch.optim.Adam)):
        optimizer = made(model.parameters(), lr=0.01)
        for _ in range(3):
            optimizer.zero_grad()
            for seed in range(4):
                (model(*batch(seed)) / 4).backward()
            optimizer.step()
    assert_same(net, dense)


@pytest.mark.parametrize("of", ["optimizer", "module"])
@pytest.mark.parametrize("set_to_none", [True, False])
def test_zero_grad_forgets_rows(of: str, set_to_none: bool) -> None:
    net = Net()
    optimizer = SlideAdam(net.parameters())
    net(*batch(0)).backward()
    (optimizer if of == "optimizer" else net).zero_grad(set_to_none=set_to_none)
    before = net.head.weight.detach().clone()
    optimizer.step()
    assert torch.equal(net.head.weight, before)
    net(*batch(1)).backward()
    assert len(net.head._state.gradients()) == 1


def test_without_a_bias_and_with_a_frozen_trunk_rows_move() -> None:
    net = Net(bias=False)
    net.trunk.requires_grad_(False)
    optimizer = SlideAdam([p for p in net.parameters() if p.requires_grad], lr=0.01)
    before = net.head.weight.detach().clone()
    losses = train(net, optimizer, 3)
    assert len(losses) == 3
    assert not torch.equal(net.head.weight, before)


def test_a_frozen_head_passes_gradients_on_and_stays() -> None:
    net = Net()
    net.head.requires_grad_(False)
    before = net.head.weight.detach().clone()
    trunk = net.trunk.weight.detach().clone()
    train(net, SlideAdam(net.parameters(), lr=0.01), 2)
    assert torch.equal(net.head.weight, before)
    assert not torch.equal(net.trunk.weight, trunk)


def test_fused_into_backward_the_steps_are_the_same() -> None:
    net, other = Net(), Net()
    losses = train(net, SlideAdam(net.parameters(), lr=0.01, fused_backward=True))
    assert losses == train(other, SlideAdam(other.parameters(), lr=0.01))
    assert_same(net, other)


def test_fused_into_backward_refuses_what_needs_kept_gradients() -> None:
    net = Net()
    with pytest.raises(ValueError, match="max_norm: found it with fused_backward=True"):
        SlideAdam(net.parameters(), max_norm=1.0, fused_backward=True)
    optimizer = SlideAdam(net.parameters(), fused_backward=True)
    loss = net(*batch(0))
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    with pytest.raises(RuntimeError, match="fused_backward: found a second backward pass"):
        net(*batch(1)).backward()
    optimizer.step()
    net(*batch(1)).backward()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lr": -1.0}, ValueError, "lr"),
        ({"betas": (1.0, 0.9)}, ValueError, "beta1"),
        ({"eps": 0.0}, ValueError, "eps"),
        ({"max_norm": 0}, ValueError, "max_norm"),
        ({"second_moment": "column"}, ValueError, "second_moment"),
        ({"moments_dtype": "float16"}, ValueError, "moments_dtype"),
        (
            {"weight_decay": 0.1},
            ValueError,
            "weight_decay: found 0.1 in a group",
        ),
    ],
)
def test_bad_options_are_refused_by_name(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    net = Net()
    with pytest.raises(error, match=message):
        SlideAdam(net.parameters(), **options)


def test_weight_and_bias_belong_to_one_group() -> None:
    net = Net()
    with pytest.raises(ValueError, match="without the other"):
        SlideAdam([net.head.weight])
    with pytest.raises(TypeError, match="found a SlideLinear"):
        SlideAdam(net.head)
    with pytest.raises(ValueError, match="beside modules"):
        SlideAdam([{"modules": [net.head], "params": []}])


def test_sparse_gradients_of_others_are_refused() -> None:
    layer = nn.Embedding(5, 3, sparse=True)
    optimizer = SlideAdam(layer.parameters())
    layer(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="found a sparse gradient"):
        optimizer.step()


def test_gradients_that_nobody_takes_are_told_of() -> None:
    net = Net()
    net(*batch(0)).backward()
    net.zero_grad()
    with pytest.warns(UserWarning, match="grad='rows': found gradients that were dropped"):
        net(*batch(0)).backward()


@pytest.mark.parametrize(
    "other",
    [
        torch.optim.SparseAdam,
        torch.optim.Adagrad,
        torch.optim.SGD,
        lambda p: torch.optim.SGD(p, momentum=0.9),
    ],
)
@pytest.mark.parametrize("set_to_none", [True, False])
def test_a_step_of_another_optimizer_is_refused_at_the_next_backward_pass(
    other: Any, set_to_none: bool
) -> None:
    net = Net()
    optimizer = other(list(net.head.parameters()))
    net(*batch(0)).backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none)
    with pytest.raises(RuntimeError, match="grad='rows': found a step of another optimiser"):
        net(*batch(1)).backward()


@pytest.mark.parametrize("options", [{}, {"max_norm": 1.0}])
def test_derivatives_that_are_none_are_refused_before_anything_is_changed(options: Any) -> None:
    first, second = Net(), Net()
    optimizer = SlideAdam([{"params": [*net.parameters()]} for net in (first, second)], **options)
    before = [p.detach().clone() for net in (first, second) for p in net.parameters()]
    (first(*batch(0)) + second(*batch(0)) * float("nan")).backward()
    with pytest.raises(RuntimeError, match="found NaN or infinity among the derivatives"):
        optimizer.step()
    after = [p for net in (first, second) for p in net.parameters()]
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))

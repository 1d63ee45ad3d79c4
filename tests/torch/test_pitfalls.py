"""The ways in which layers with state of their own go wrong in PyTorch, one by one."""

from __future__ import annotations

import copy
import io
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from slide_rs import lsh, samplers
from slide_rs.torch import SlideAdam, SlideLinear, storage
from torch import Tensor, nn
from torch.distributed import checkpoint as distributed
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

D, N, BATCH = 20, 1500, 8


def layer(**options: Any) -> SlideLinear:
    torch.manual_seed(0)
    return SlideLinear(D, N, **{"sampler": samplers.LSH(n_active=40), **options})


def batch(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(BATCH, D, generator=generator)
    return x, torch.randint(0, N, (BATCH,), generator=generator)


def train(head: SlideLinear, steps: int = 3, first: int = 0, **options: Any) -> list[float]:
    optimizer = SlideAdam(head.parameters(), **{"lr": 0.01, **options})
    losses = []
    for seed in range(first, first + steps):
        optimizer.zero_grad()
        loss = head(*batch(seed)).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def rows_norm(head: SlideLinear) -> float:
    return head._state.head.norm(head._state.gradients())


# 1


def test_1_a_step_between_forward_and_backward_is_noticed() -> None:
    head = layer()
    first = head(*batch(0)).loss
    version = head.weight._version
    train(head, 1)
    assert head.weight._version > version
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        first.backward()


def test_1_a_step_is_seen_by_other_users_of_the_weight() -> None:
    head = layer()
    square = head.weight.square().sum()
    train(head, 1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        square.backward()


# 2


def test_2_a_second_backward_pass_adds_once_more_and_never_steps() -> None:
    head = layer()
    before = head.weight.detach().clone()
    loss = head(*batch()).loss
    loss.backward(retain_graph=True)
    norm = rows_norm(head)
    loss.backward()
    assert rows_norm(head) == pytest.approx(2 * norm, rel=1e-6)
    assert torch.equal(head.weight, before)


def test_2_checkpointing_computes_the_same_again() -> None:
    found = []
    for through in (False, True):
        head, x = layer(), batch()[0].requires_grad_()

        def loss_of(x: Tensor, head: SlideLinear = head) -> Any:
            return head(x, batch()[1]).loss

        first = loss_of(batch(1)[0])
        first.backward()
        loss = checkpoint(loss_of, x, use_reentrant=False) if through else loss_of(x)
        loss.backward()
        found.append((loss.item(), x.grad.tolist(), rows_norm(head)))
    assert found[0] == found[1]


def test_2_gradients_with_respect_to_something_else_leave_no_rows() -> None:
    head, x = layer(), batch()[0].requires_grad_()
    torch.autograd.grad(head(x, batch()[1]).loss, [x])
    assert head._state.gradients() == []
    assert head.weight.grad is None


def test_2_clipping_that_cannot_see_rows_is_refused_at_the_step() -> None:
    head = layer()
    optimizer = SlideAdam(head.parameters())
    head(*batch()).loss.backward()
    nn.utils.clip_grad_norm_(head.parameters(), 0.1)
    with pytest.raises(RuntimeError, match=r"SlideAdam\(max_norm=\.\.\.\) clips all"):
        optimizer.step()


# 3


@pytest.mark.parametrize("way", ["data", "assign", "parameter"])
def test_3_replaced_memory_is_found_and_what_it_holds_is_used(way: str) -> None:
    head, other = layer(), layer()
    train(head, 2)
    train(other, 2)
    fresh = torch.randn(N, D) / 5
    with torch.no_grad():
        other.weight.copy_(fresh)
    if way == "data":
        head.weight.data = fresh
    elif way == "assign":
        state = head.state_dict()
        state["weight"] = fresh
        head.load_state_dict(state, assign=True)
    else:
        head.weight = nn.Parameter(fresh)
    same = head.weight
    x, _ = batch()
    assert torch.equal(head.topk(x, 3).labels, other.topk(x, 3).labels)
    assert train(head, 2, first=5) == train(other, 2, first=5)
    assert head.weight is same
    torch.testing.assert_close(head.weight, other.weight, rtol=0, atol=0)
    assert storage.is_laid_out(head.weight, head._state.shape)


def test_3_inputs_of_any_layout_are_the_same_input() -> None:
    head, (x, y) = layer(), batch()
    wide = torch.zeros(BATCH, 2 * D)
    wide[:, ::2] = x
    found = [head(v, y).loss.item() for v in (x, x.T.contiguous().T, wide[:, ::2])]
    assert len(set(found)) == 1


def test_3_an_input_that_is_written_over_before_the_step_does_no_harm() -> None:
    moved = []
    for overwritten in (False, True):
        head, (x, y) = layer(), batch()
        optimizer = SlideAdam(head.parameters(), lr=0.01)
        head(x, y).loss.backward()
        if overwritten:
            x.numpy()[:] = 0
        optimizer.step()
        moved.append(head.weight.detach().clone())
    assert torch.equal(*moved)


def test_3_weights_that_are_written_to_are_hashed_again() -> None:
    head, other = layer(), layer()
    x, _ = batch()
    head.topk(x, 3, "lsh")
    fresh = torch.randn(N, D)
    with torch.no_grad():
        head.weight.copy_(fresh)
        other.weight.copy_(fresh)
    assert torch.equal(head.topk(x, 3, "lsh").labels, other.topk(x, 3, "lsh").labels)
    # Through NumPy PyTorch does not know of it.
    head.weight.detach().numpy()[:] *= -1
    other.weight.detach().mul_(-1)
    head.rebuild_()
    assert torch.equal(head.topk(x, 3, "lsh").labels, other.topk(x, 3, "lsh").labels)


# 4: merged calls, in test_compile too


def test_4_every_step_and_every_batch_draws_anew_and_a_call_is_repeatable() -> None:
    head, (x, y) = layer(sampler=samplers.Uniform(n_active=40)), batch()
    first = head(x, y)
    assert torch.equal(first.indices, head(x, y).indices)
    first.loss.backward()
    assert torch.equal(first.indices, head(x, y).indices)
    assert not torch.equal(first.indices[-9:], head(x, y.flip(0)).indices[-9:])
    train(head, 1)
    assert not torch.equal(first.indices, head(x, y).indices)


# 5


def test_5_threads_are_those_of_torch_and_change_no_bit() -> None:
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            head = layer()
            losses = train(head, 4)
            assert head._state.head.threads == threads
            found.append((losses, head.weight.tolist()))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_5_threads_of_torch_do_not_spin_beside_those_of_the_layer() -> None:
    code = """if True:
        import os
        import torch
        from slide_rs.torch import SlideLinear

        torch.set_num_threads(2)
        head = SlideLinear(8, 2000)
        x, y = torch.randn(4, 8), torch.arange(4)
        head(x, y)
        counts = []
        for _ in range(3):
            torch.ones(1 << 20).relu_()
            counts.append(len(os.listdir("/proc/self/task")))
            head(x, y)
            counts.append(len(os.listdir("/proc/self/task")))
        assert counts == [counts[0], counts[0] - 1] * 3, counts
        """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_5_two_threads_may_use_one_layer() -> None:
    head = layer().eval()
    x, _ = batch()
    wanted = head.topk(x, 3).labels
    found: list[bool] = []

    def ask() -> None:
        for _ in range(20):
            found.append(torch.equal(head.topk(x, 3).labels, wanted))

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert found == [True] * 40


# 6


class Asking(TensorDataset):  # type: ignore[misc]
    """Rows whose labels a layer predicts in the worker process."""

    def __init__(self, head: SlideLinear) -> None:
        super().__init__(batch()[0])
        self.head = head

    def __getitem__(self, i: int) -> Tensor:
        return self.head.topk(self.tensors[0][i : i + 1], 1).labels[0, 0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_6_workers_that_are_forked_after_a_step_go_on() -> None:
    head = layer()
    train(head, 1)
    loader = DataLoader(
        Asking(head), batch_size=4, num_workers=2, multiprocessing_context="fork", timeout=60
    )
    found = torch.cat(list(loader))
    assert torch.equal(found, head.topk(batch()[0], 1).labels[:, 0])


# 7


def pickled(head: SlideLinear) -> Any:
    return pickle.loads(pickle.dumps(head))


def saved(head: SlideLinear) -> Any:
    file = io.BytesIO()
    torch.save(head, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled, saved])
def test_7_a_copy_shares_nothing_and_goes_on_alike(copied: Any) -> None:
    head = layer()
    train(head, 2)
    head(*batch()).loss.backward()
    other = copied(head)
    assert other._state.handle != head._state.handle
    assert other._state.gradients() == []
    assert other._state.steps == head._state.steps == 2
    assert other.weight.data_ptr() != head.weight.data_ptr()
    head.zero_grad()
    head.rebuild_()
    assert train(other, 3, first=2) == train(head, 3, first=2)
    assert torch.equal(other.weight, head.weight)


def test_7_a_state_dict_holds_weights_and_counts_only() -> None:
    head, other = layer(), layer(seed=0)
    train(head, 2)
    state = head.state_dict()
    assert list(state) == ["weight", "bias", "_extra_state"]
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    head.rebuild_()
    assert other._state.steps == 2
    assert train(other, 2, first=2) == train(head, 2, first=2)


def test_7_a_state_dict_goes_through_safetensors(tmp_path: Path) -> None:
    head, other = layer(), layer()
    train(head, 1)
    state = {name: part.contiguous() for name, part in head.state_dict().items()}
    save_file(state, tmp_path / "head.safetensors")
    other.load_state_dict(load_file(tmp_path / "head.safetensors"))
    assert torch.equal(other.weight, head.weight)
    assert other._state.steps == 1


def test_7_a_state_dict_is_read_into_the_place_of_another(tmp_path: Path) -> None:
    head, other = layer(), layer()
    train(head, 12)
    distributed.save(head.state_dict(), checkpoint_id=tmp_path, no_dist=True)
    state = other.state_dict()
    distributed.load(state, checkpoint_id=tmp_path, no_dist=True)
    other.load_state_dict(state)
    assert torch.equal(other.weight, head.weight)
    assert other._state.steps == 12


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 3}, torch.zeros(4, dtype=torch.uint8), torch.tensor(list(b'{"config": 1, "a": 2}'))],
)
def test_7_counts_that_are_none_are_refused_by_name(wrong: Any) -> None:
    state = {**layer().state_dict(), "_extra_state": wrong}
    with pytest.raises(ValueError, match="_extra_state: found"):
        layer().load_state_dict(state)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("grad", ["dense", "sparse"])
def test_7_saving_and_adding_up_gradients_are_no_steps(grad: str, fused: bool) -> None:
    head, other = (
        SlideLinear(32, N, sampler=samplers.Uniform(n_active=30), grad=grad) for _ in range(2)
    )
    other.load_state_dict(head.state_dict())
    x, y = torch.ones(BATCH, 32), batch()[1]
    losses = []
    for module in (head, other):
        optimizer = (
            torch.optim.Adam(module.parameters(), fused=fused)
            if grad == "dense"
            else torch.optim.SparseAdam(module.parameters())
        )
        for _ in range(3):
            optimizer.zero_grad()
            first = module(x, y)
            first.loss.backward()
            second = module(x, y)
            assert torch.equal(first.indices, second.indices)
            second.loss.backward()
            if module is other:
                module.state_dict()
            optimizer.step()
        losses.append(module(x, y).loss.item())
        assert module._state.steps == 3
    assert losses[0] == losses[1]


@pytest.mark.parametrize("grad", ["rows", "dense"])
def test_7_a_copy_that_predicts_first_is_trained_afterwards(grad: str) -> None:
    x, y = torch.ones(2, 16), torch.tensor([1, 2])
    head = copy.deepcopy(SlideLinear(16, N, grad=grad))
    with torch.inference_mode():
        head.topk(x, 3)
    head(x, y).loss.backward()
    assert head.weight.grad is not None


def test_7_a_frozen_copy_that_is_trained_later_keeps_no_rows_of_others() -> None:
    head = layer().requires_grad_(False)
    other = copy.deepcopy(head).requires_grad_()
    x = batch()[0].requires_grad_()
    torch.autograd.grad(other(x, batch()[1]).loss, x)
    assert other._state.gradients() == []
    other(*batch()).loss.backward()
    assert len(other._state.gradients()) == 1


def test_7_the_tables_of_another_optimizer_go_on_alike() -> None:
    sampler = samplers.LSH(n_active=40, rebuild=lsh.Rebuild(every=2, growth=1.5))
    head, other = layer(sampler=sampler, grad="dense"), layer(sampler=sampler, grad="dense")
    optimizers = [torch.optim.SGD(module.parameters(), lr=0.1) for module in (head, other)]

    def course(which: int, first: int, steps: int) -> list[float]:
        losses = []
        for seed in range(first, first + steps):
            optimizers[which].zero_grad()
            loss = (head, other)[which](*batch(seed)).loss
            loss.backward()
            optimizers[which].step()
            losses.append(loss.item())
        return losses

    course(0, 0, 8)
    other.load_state_dict(head.state_dict())
    assert course(1, 8, 8) == course(0, 8, 8)


def test_7_the_state_of_a_linear_layer_is_taken() -> None:
    linear, head = nn.Linear(D, N), layer()
    head.load_state_dict(linear.state_dict())
    x, _ = batch()
    assert torch.equal(head.topk(x, 1).labels[:, 0], linear(x).argmax(1))


# 8


@pytest.mark.parametrize("quiet", [torch.no_grad, torch.inference_mode])
def test_8_without_gradients_nothing_is_kept(quiet: Any) -> None:
    head = layer()
    train(head, 1)
    head.zero_grad()
    before = head._state.ledger.clone()
    with quiet():
        out = head(*batch())
    assert not out.loss.requires_grad
    assert torch.equal(head._state.ledger, before)
    assert head._state.gradients() == []
    train(head, 1)


# 9


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_9_halves_are_computed_in_float32(dtype: torch.dtype) -> None:
    head, (x, y) = layer(), batch()
    half = x.to(dtype).requires_grad_()
    out = head(half, y)
    assert out.loss.dtype == out.logits.dtype == torch.float32
    assert out.loss.item() == head(half.detach().float(), y).loss.item()
    out.loss.backward()
    assert half.grad.dtype == dtype


def test_9_autocast_of_the_trunk_reaches_the_layer() -> None:
    trunk, head, (x, y) = nn.Linear(D, D), layer(), batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = trunk(x)
        assert hidden.dtype == torch.bfloat16
        loss = head(hidden, y).loss
    loss.backward()
    assert loss.dtype == torch.float32
    assert trunk.weight.grad.abs().sum() > 0


# 10


def test_10_weight_decay_of_rows_is_refused_also_later() -> None:
    head = layer()
    with pytest.raises(ValueError, match=r"weight_decay: found 0\.01"):
        SlideAdam(head.parameters(), weight_decay=0.01)
    optimizer = SlideAdam(head.parameters())
    head(*batch()).loss.backward()
    optimizer.param_groups[0]["weight_decay"] = 0.01
    with pytest.raises(ValueError, match=r"weight_decay: found 0\.01"):
        optimizer.step()


def test_10_optimizers_that_would_move_every_row_refuse() -> None:
    head = layer()
    optimizer = torch.optim.AdamW(head.parameters())
    head(*batch()).loss.backward()
    with pytest.raises(RuntimeError, match="sparse gradients"):
        optimizer.step()


# 11

# Ends without the interpreter's own end: threads of gloo may still hold tensors then, which aborts
# the process now and then (PyTorch's pull request 179291).
ALONE = """
import os
import torch
from slide_rs.torch import SlideLinear
store = torch.distributed.HashStore()
torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk, self.head = torch.nn.Linear(4, 4), SlideLinear(4, 50)
    def forward(self, x, y):
        return self.head(self.trunk(x), y).loss

net, batch = Net(), (torch.zeros(2, 4), torch.tensor([1, 2]))
try:
    torch.nn.parallel.DistributedDataParallel(net)(*batch)
except RuntimeError as error:
    print(error)
trunk = torch.nn.parallel.DistributedDataParallel(net.trunk)
net.head(trunk(batch[0]), batch[1]).loss.backward()
print("trunk alone:", trunk.module.weight.grad is not None, flush=True)
os._exit(0)
"""


@pytest.mark.skipif(
    not torch.distributed.is_available(), reason="PyTorch without torch.distributed"
)
def test_11_data_parallel_wrapping_is_refused_and_of_the_trunk_works() -> None:
    ran = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert "SlideLinear: found it inside of DistributedDataParallel" in ran.stdout
    assert "trunk alone: True" in ran.stdout


# 12


def test_12_weights_of_two_layers_are_refused() -> None:
    head, other = layer(), layer()
    other.weight = head.weight
    with pytest.raises(RuntimeError, match="cannot share weights"):
        SlideAdam([*head.parameters(), other.bias])
    head, other = layer(), layer()
    optimizer = SlideAdam([*head.parameters(), *other.parameters()])
    other.weight = head.weight
    (head(*batch()).loss + other(*batch()).loss).backward()
    with pytest.raises(RuntimeError, match="cannot share weights"):
        optimizer.step()


def test_12_weights_that_are_used_outside_of_the_layer_are_refused() -> None:
    head = layer()
    optimizer = SlideAdam(head.parameters())
    (head(*batch()).loss + head.weight.square().sum()).backward()
    with pytest.raises(RuntimeError, match="found a gradient from outside of the layer"):
        optimizer.step()


# 13: gradcheck, in test_linear


def test_13_gradients_of_gradients_are_refused() -> None:
    head, x = layer(), batch()[0].requires_grad_()
    (found,) = torch.autograd.grad(head(x, batch()[1]).loss, [x], create_graph=True)
    with pytest.raises(RuntimeError, match="sampled_backward"):
        found.sum().backward()


def test_weight_and_bias_are_trained_together_or_not_at_all() -> None:
    head = layer()
    head.bias.requires_grad_(False)
    with pytest.raises(ValueError, match="requires_grad: found it for one of weight and bias"):
        head(*batch())


def test_other_optimizers_are_followed_as_often_as_the_sampler_says() -> None:
    sampler = samplers.LSH(n_active=40, rebuild=lsh.Rebuild(every=4, growth=1.0))
    torch.manual_seed(0)
    head = SlideLinear(32, N, grad="sparse", sampler=sampler)
    optimizer = torch.optim.SparseAdam(head.parameters(), lr=0.05)
    losses = []
    for seed in range(40):
        optimizer.zero_grad()
        x, y = batch(seed % 2)
        loss = head(nn.functional.pad(x, (0, 32 - D)), y).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert head._state.steps == 39
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("grad", ["dense", "rows"])
def test_a_width_that_lines_of_the_cache_do_not_divide_is_trained_right(
    grad: str, fused: bool
) -> None:
    head = layer(grad=grad, sampler=samplers.Full())
    linear = nn.Linear(D, N)
    linear.load_state_dict({"weight": head.weight, "bias": head.bias})
    made = torch.optim.Adam if fused and grad == "dense" else SlideAdam
    options = {"fused": True} if made is torch.optim.Adam else {}
    optimizer = made(head.parameters(), lr=0.01, **options)
    other = torch.optim.Adam(linear.parameters(), lr=0.01)
    for seed in range(3):
        for model, steps in ((head, optimizer), (linear, other)):
            steps.zero_grad()
            x, y = batch(seed)
            loss = head(x, y).loss if model is head else nn.functional.cross_entropy(linear(x), y)
            loss.backward()
            steps.step()
    # As in test_adam.
    torch.testing.assert_close(head.weight, linear.weight, rtol=1e-4, atol=1e-4)
    assert torch.equal(head.topk(x, 3).labels, head(x).logits.view(BATCH, N).topk(3).indices)


def test_a_scaler_of_gradients_is_refused_at_the_step() -> None:
    head = layer()
    optimizer, scaler = SlideAdam(head.parameters()), torch.amp.GradScaler("cpu")
    scaler.scale(head(*batch()).loss).backward()
    with pytest.raises(RuntimeError, match="found a GradScaler"):
        scaler.step(optimizer)


@pytest.mark.parametrize(
    "move",
    [
        lambda head: head.to(torch.float64),
        lambda head: head.half(),
        lambda head: head.to("meta"),
        lambda head: nn.Sequential(nn.Linear(3, D), head).double(),
    ],
)
def test_moves_to_other_types_and_devices_are_refused(move: Any) -> None:
    head = layer()
    with pytest.raises(ValueError, match="SlideLinear: found a move to"):
        move(head)
    head.to("cpu").float().train()
    train(head, 1)


def test_a_graph_outlives_its_layer_with_a_clear_error() -> None:
    loss = layer()(*batch()).loss
    with pytest.raises(RuntimeError, match="SlideLinear was deleted"):
        loss.backward()


def test_two_identical_runs_are_identical() -> None:
    first, second = layer(), layer()
    assert train(first, 5) == train(second, 5)
    assert torch.equal(first.weight, second.weight)


def test_an_empty_batch_is_a_batch() -> None:
    head = layer()
    out = head(torch.zeros(0, D), torch.zeros(0, dtype=torch.int64))
    assert out.loss.item() == 0
    out.loss.backward()


def test_padding_of_the_memory_stays_zero() -> None:
    head = layer()
    train(head, 3)
    whole = storage.lent(head.weight, head._state.shape)
    assert not whole[N:].any()
    assert not whole[:, D:].any()
    assert np.array_equal(whole[:N, :D], head.weight.detach().numpy())


def test_large_memory_is_aligned_and_zero() -> None:
    memory = storage.allocate(1 << 16, 64)
    assert memory.data_ptr() % 4096 == 0
    assert not memory.any()


def test_a_step_touches_the_rows_of_its_batch_only() -> None:
    head = SlideLinear(D, 50_000, sampler=samplers.Uniform(n_active=20))
    optimizer = SlideAdam(head.parameters(), lr=0.01, second_moment="row", moments_dtype="float32")
    before = head.weight.detach().clone()
    x, y = batch()
    out = head(x, y)
    out.loss.backward()
    optimizer.step()
    moved = (head.weight != before).any(1).nonzero().flatten()
    assert torch.equal(moved, out.indices.unique())
    state = optimizer.state[head.weight]
    assert torch.equal(state["exp_avg"].any(1).nonzero().flatten(), moved)


def test_nothing_but_active_entries_is_allocated_in_a_step() -> None:
    rows = []
    for n_labels in (20_000, 80_000):
        head = SlideLinear(16, n_labels, sampler=samplers.Uniform(n_active=20))
        optimizer = SlideAdam(head.parameters())
        x, y = torch.randn(BATCH, 16), torch.arange(BATCH)
        for _ in range(2):
            optimizer.zero_grad()
            head(x, y).loss.backward()
            optimizer.step()
        optimizer.zero_grad()
        with torch.profiler.profile(profile_memory=True) as profile:
            head(x, y).loss.backward()
            optimizer.step()
        sizes = [e.cpu_memory_usage for e in profile.key_averages() if e.cpu_memory_usage > 0]
        rows.append(sum(sizes))
    # Ids, scores and derivatives of 160 entries, and inputs of 8 rows.
    assert rows[0] < 64 * 160
    assert rows[1] < 64 * 160

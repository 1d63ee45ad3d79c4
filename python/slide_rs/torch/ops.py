"""The operators of sampled layers, as PyTorch and its compiler know them.

Forward operators are functions of their arguments and of the tables, which change only between
steps. The backward operator may put gradients of rows aside; it says that it changes the ledger, so
that a compiler neither removes nor merges its calls.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.library import custom_op, get_ctx

from slide_rs.torch import head
from slide_rs.torch.head import HeadState, clock
from slide_rs.torch.pending import Features, Targets
from slide_rs.torch.targets import check_classes

__all__ = ["as_arrays", "features", "sampled_logits", "sampled_loss"]

_INPUT = "Tensor x, Tensor? x_indptr, Tensor? x_indices"
_PARAMETERS = "Tensor weight, Tensor? bias"
_TARGETS = "Tensor labels, Tensor? label_indptr, Tensor? grades"


def features(x: Tensor, x_indptr: Tensor | None, x_indices: Tensor | None) -> Features:
    """Return an input as the engine takes it."""
    values = x.detach().contiguous().numpy()
    if x_indptr is None or x_indices is None:
        return values  # type: ignore[no-any-return, unused-ignore]
    return x_indptr.numpy(), x_indices.numpy(), values


def as_arrays(
    labels: Tensor, indptr: Tensor | None, grades: Tensor | None, n_labels: int
) -> Targets:
    """Return labels as the engine takes them."""
    ids = labels.detach().contiguous().numpy()
    if indptr is None:
        check_classes(ids, n_labels)
        # One class a row, or a number below zero for none.
        present = ids >= 0
        if present.all():
            return np.arange(len(ids) + 1, dtype=np.int64), ids
        return np.concatenate(([0], np.cumsum(present, dtype=np.int64))), ids[present]
    if grades is None:
        return indptr.numpy(), ids
    return indptr.numpy(), ids, grades.numpy()


def _taken(
    handle: int, x: Tensor, x_indptr: Tensor | None, x_indices: Tensor | None
) -> tuple[HeadState, Features]:
    state = head.at(handle)
    state.take(sparse=x_indptr is not None)
    return state, features(x, x_indptr, x_indices)


def _tensors(arrays: Any) -> Any:
    return tuple(torch.from_numpy(array) for array in arrays)


def _rows(x: Tensor, x_indptr: Tensor | None) -> Any:
    return x.shape[0] if x_indptr is None else x_indptr.shape[0] - 1


def _logits(
    x: Tensor,
    x_indptr: Tensor | None,
    x_indices: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    ledger: Tensor,
    handle: int,
    grad: str,
    training: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    state, rows = _taken(handle, x, x_indptr, x_indices)
    step = clock(ledger, None) if training else None
    with state.lock:
        found = state.head.activate(*state.lend(weight, bias), rows, step)
    indptr, indices, logits = _tensors(found)
    return logits, indptr, indices


def _logits_fake(x: Tensor, x_indptr: Tensor | None, *others: Any) -> Any:
    entries = get_ctx().new_dynamic_size()
    indptr = x.new_empty(_rows(x, x_indptr) + 1, dtype=torch.int64)
    return x.new_empty(entries), indptr, x.new_empty(entries, dtype=torch.int64)


#: The scores of the neurons that a row computes, in training or as the tables find them, and these.
sampled_logits: Any = custom_op(
    "slide_rs::sampled_logits",
    _logits,
    mutates_args=(),
    schema=f"({_INPUT}, {_PARAMETERS}, Tensor ledger, int handle, str grad, bool training)"
    " -> (Tensor, Tensor, Tensor)",
)
sampled_logits.register_fake(_logits_fake)


def _loss(
    x: Tensor,
    x_indptr: Tensor | None,
    x_indices: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    labels: Tensor,
    label_indptr: Tensor | None,
    grades: Tensor | None,
    ledger: Tensor,
    handle: int,
    grad: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    state, rows = _taken(handle, x, x_indptr, x_indices)
    targets = as_arrays(labels, label_indptr, grades, len(weight))
    with state.lock:
        found = state.head.losses(*state.lend(weight, bias), rows, targets, clock(ledger, labels))
    *others, dx = _tensors(found)
    return (*others, dx.view(x.shape))  # type: ignore[return-value, unused-ignore]


def _loss_fake(x: Tensor, x_indptr: Tensor | None, *others: Any) -> Any:
    rows, entries = _rows(x, x_indptr), get_ctx().new_dynamic_size()
    return (
        x.new_empty(rows),
        x.new_empty(rows + 1, dtype=torch.int64),
        x.new_empty(entries, dtype=torch.int64),
        x.new_empty(entries),
        x.new_empty(entries),
        x.new_empty(x.shape),
    )


#: The loss of each row, its neurons, their scores, and derivatives by scores and input.
sampled_loss: Any = custom_op(
    "slide_rs::sampled_loss",
    _loss,
    mutates_args=(),
    schema=f"({_INPUT}, {_PARAMETERS}, {_TARGETS}, Tensor ledger, int handle, str grad)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
)
sampled_loss.register_fake(_loss_fake)


def _total(
    d_losses: Tensor | None, d_logits: Tensor | None, deltas: Tensor | None, indptr: Tensor
) -> Tensor:
    """Return the derivative by each logit, in memory of its own."""
    if d_losses is None or deltas is None:
        assert d_logits is not None
        return d_logits.clone()
    total = torch.repeat_interleave(d_losses, indptr.diff())
    total *= deltas
    return total if d_logits is None else total.add_(d_logits)


def _backward(
    d_losses: Tensor | None,
    d_logits: Tensor | None,
    x: Tensor,
    x_indptr: Tensor | None,
    x_indices: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    indptr: Tensor,
    indices: Tensor,
    deltas: Tensor | None,
    dx: Tensor | None,
    ledger: Tensor,
    handle: int,
    put: bool,
    input_gradient: bool,
    compiled: bool,
) -> tuple[Tensor, Tensor]:
    state = head.at(handle)
    total = _total(d_losses, d_logits, deltas, indptr)
    d_x = x.new_empty(0)
    if input_gradient and d_logits is None and dx is not None and d_losses is not None:
        if x_indptr is None:
            d_x = dx * d_losses[:, None]
        else:
            d_x = dx * d_losses.repeat_interleave(x_indptr.diff())
    elif input_gradient:
        rows = features(x, x_indptr, x_indices)
        gradient = rows, (indptr.numpy(), indices.numpy()), total.numpy()
        with state.lock:
            found = state.head.back(*state.lend(weight, bias), gradient)
        d_x = torch.from_numpy(found).view(x.shape)
    if put and state.wants_rows():
        _put(state, (x, x_indptr, x_indices), indptr, indices, total, compiled)
        ledger[1] += 1
        total = x.new_empty(0)
    if not state.rows:
        state.watch.begin(weight, indices, total)
    return d_x, total


def _put(
    state: HeadState, x: Any, indptr: Tensor, indices: Tensor, total: Tensor, compiled: bool
) -> None:
    # Inputs belong to the user, who may write into them before the step; in a compiled graph the
    # memory of other tensors is used again as well.
    own: Any = [None if part is None else part.detach().clone() for part in x]
    if compiled:
        indptr, indices = indptr.clone(), indices.clone()
    state.put((features(*own), (indptr.numpy(), indices.numpy()), total.numpy()))


#: The derivative by the input and by each logit; or the latter is put aside.
_backward_op: Any = custom_op(
    "slide_rs::sampled_backward",
    _backward,
    mutates_args=("ledger",),
    schema=f"(Tensor? d_losses, Tensor? d_logits, {_INPUT}, {_PARAMETERS}, Tensor indptr,"
    " Tensor indices, Tensor? deltas, Tensor? dx, Tensor(a!) ledger, int handle, bool put,"
    " bool input_gradient, bool compiled) -> (Tensor, Tensor)",
)


def _backward_fake(d_losses: Any, d_logits: Any, x: Tensor, *others: Any) -> Any:
    indices, (put, input_gradient, _) = others[5], others[-3:]
    total = x.new_empty(0) if put else x.new_empty(indices.shape[0])
    return (x.new_empty(x.shape) if input_gradient else x.new_empty(0)), total


_backward_op.register_fake(_backward_fake)


def _row_gradients(
    x: Tensor,
    x_indptr: Tensor | None,
    x_indices: Tensor | None,
    indptr: Tensor,
    indices: Tensor,
    total: Tensor,
    columns: int,
) -> tuple[Tensor, Tensor, Tensor]:
    rows, places = np.unique(indices.numpy(), return_inverse=True)
    samples = len(indptr) - 1
    found: Any = features(x, x_indptr, x_indices)
    sums = csr_array((total.numpy(), places.reshape(-1), indptr.numpy()), (samples, len(rows)))
    if isinstance(found, tuple):
        found = csr_array((found[2], found[1], found[0]), (samples, columns))
    product = sums.T @ found
    weights = product.toarray() if isinstance(found, csr_array) else product
    biases = np.bincount(places.reshape(-1), total.numpy(), len(rows))
    return _tensors((rows, np.ascontiguousarray(weights, np.float32), biases.astype(np.float32)))  # type: ignore[no-any-return, unused-ignore]


#: The rows that are not zero, with the gradients of their weights and biases.
_row_gradients_op: Any = custom_op(
    "slide_rs::row_gradients",
    _row_gradients,
    mutates_args=(),
    schema=f"({_INPUT}, Tensor indptr, Tensor indices, Tensor total, int columns)"
    " -> (Tensor, Tensor, Tensor)",
)


def _row_gradients_fake(x: Tensor, *others: Any) -> Any:
    count = get_ctx().new_dynamic_size()
    rows = x.new_empty(count, dtype=torch.int64)
    return rows, x.new_empty((count, others[-1])), x.new_empty(count)


_row_gradients_op.register_fake(_row_gradients_fake)


def _parameter_gradients(grad: str, saved: Any, total: Tensor) -> tuple[Any, Any]:
    x, x_indptr, x_indices, weight, bias, indptr, indices = saved
    rows, weights, biases = _row_gradients_op(
        x, x_indptr, x_indices, indptr, indices, total, weight.shape[1]
    )
    if grad == "dense":
        found = torch.zeros(weight.shape, dtype=x.dtype).index_copy(0, rows, weights)
        if bias is None:
            return found, None
        return found, torch.zeros(bias.shape, dtype=x.dtype).index_copy(0, rows, biases)
    known: Any = {"check_invariants": False, "is_coalesced": True}
    sparse = torch.sparse_coo_tensor(rows[None], weights, weight.shape, **known)
    if bias is None:
        return sparse, None
    return sparse, torch.sparse_coo_tensor(rows[None], biases, bias.shape, **known)


def _input_and_parameters(
    ctx: Any, d_losses: Tensor | None, d_logits: Tensor | None
) -> tuple[Any, Any, Any]:
    # Once only: with checkpoints each look computes the forward pass again.
    *saved, deltas, dx = ctx.saved_tensors
    x, x_indptr, x_indices, weight, bias, indptr, indices = saved
    needs_x, needs_weight = ctx.needs_input_grad[0], ctx.needs_input_grad[3]
    put = needs_weight and ctx.grad == "rows"
    # A compiler traces with tensors of its own class.
    compiled = type(ctx.ledger) is not Tensor
    d_x, total = _backward_op(
        d_losses,
        d_logits,
        x,
        x_indptr,
        x_indices,
        weight,
        bias,
        indptr,
        indices,
        deltas,
        dx,
        ctx.ledger,
        ctx.handle,
        put,
        needs_x,
        compiled,
    )
    d_weight = d_bias = None
    if needs_weight and not put:
        d_weight, d_bias = _parameter_gradients(ctx.grad, saved, total)
    return (d_x if needs_x else None), d_weight, d_bias


def _keep(ctx: Any, inputs: Any, *others: Any) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[:5], *others)


def _keep_logits(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.ledger, ctx.handle, ctx.grad, _ = inputs[5:]
    _, indptr, indices = output
    ctx.mark_non_differentiable(indptr, indices)
    _keep(ctx, inputs, indptr, indices, None, None)


def _logits_backward(ctx: Any, d_logits: Tensor | None, _0: Any, _1: Any) -> Any:
    if d_logits is None:
        return (None,) * 9
    d_x, d_weight, d_bias = _input_and_parameters(ctx, None, d_logits)
    return (d_x, None, None, d_weight, d_bias, *(None,) * 4)


sampled_logits.register_autograd(_logits_backward, setup_context=_keep_logits)


def _keep_loss(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.ledger, ctx.handle, ctx.grad = inputs[8:]
    _, indptr, indices, _, deltas, dx = output
    ctx.mark_non_differentiable(indptr, indices, deltas, dx)
    _keep(ctx, inputs, indptr, indices, deltas, dx)


def _loss_backward(
    ctx: Any, d_losses: Tensor | None, _0: Any, _1: Any, d_logits: Tensor | None, _2: Any, _3: Any
) -> Any:
    if d_losses is None and d_logits is None:
        return (None,) * 11
    d_x, d_weight, d_bias = _input_and_parameters(ctx, d_losses, d_logits)
    return (d_x, None, None, d_weight, d_bias, *(None,) * 6)


sampled_loss.register_autograd(_loss_backward, setup_context=_keep_loss)

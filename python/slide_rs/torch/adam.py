"""Adam for ordinary parameters and for the rows that sampled layers touched."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.adamw import adamw

from slide_rs import checks
from slide_rs.document import DTYPES
from slide_rs.optim import MOMENTS_DTYPES, SECOND_MOMENTS
from slide_rs.torch import moments
from slide_rs.torch.head import HeadState, owners
from slide_rs.torch.linear import SlideLinear
from slide_rs.torch.pending import RowGradients

__all__ = ["SlideAdam"]


class SlideAdam(torch.optim.Optimizer):  # type: ignore[misc, unused-ignore]
    """Adam, with lazy steps for the rows of `SlideLinear`.

    The weights of a `SlideLinear` with ``grad="rows"`` change in the compiled engine, and only
    where a row was active, as in ``torch.optim.SparseAdam``. All other parameters go to PyTorch's
    fused Adam; with `weight_decay` to its AdamW.

    Parameters
    ----------
    params : iterable of parameters, or of groups
        As for every optimiser. A group may also be ``{"modules": [layer, ...]}``, which is all
        parameters of these layers.
    lr : float
        Learning rate.
    betas : (float, float)
        Decay of the running means and of the running squares.
    eps : float
        Added to the root of the running square.
    weight_decay : float
        Share of a weight that is lost in a step at a learning rate of 1; 0 in groups with a
        `SlideLinear`, whose idle rows are not looked at.
    second_moment : {"entry", "row"}, optional
        One running square for each weight of a `SlideLinear`, or one for each row. By rule, as for
        `optim.Adam`, when not given: one a row from 2**20 weights on.
    moments_dtype : {"float32", "bfloat16"}, optional
        How the running means of a `SlideLinear` are stored; by rule in halves where there is one
        running square a row.
    max_norm : float, optional
        Euclidean norm that all gradients together, rows too, are scaled down to before a step.
        ``torch.nn.utils.clip_grad_norm_`` does not see rows.
    fused_backward : bool
        Change rows inside the backward pass, so that nothing is kept until the step. A step is then
        one backward pass in which each layer was used once; no accumulation and no `max_norm`.

    Raises
    ------
    ValueError
        If an option is out of range, or excludes another.

    Notes
    -----
    Kingma and Ba, "Adam", ICLR 2015; Loshchilov and Hutter, "Decoupled weight decay
    regularization", ICLR 2019.

    Examples
    --------
    >>> trunk, head = torch.nn.Linear(6, 8), SlideLinear(8, 2000)
    >>> optimizer = SlideAdam([{"params": trunk.parameters()}, {"modules": [head], "lr": 1e-2}])
    >>> loss = head(trunk(torch.randn(4, 6)), torch.tensor([1, 2, 3, 4])).loss
    >>> loss.backward()
    >>> optimizer.step()
    """

    # Has the scaler of gradients say that it was here, so that it can be refused.
    _step_supports_amp_scaling = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        second_moment: str | None = None,
        moments_dtype: str | None = None,
        max_norm: float | None = None,
        fused_backward: bool = False,
    ) -> None:
        if second_moment is not None:
            checks.choice("second_moment", second_moment, SECOND_MOMENTS)
        if moments_dtype is not None:
            checks.choice("moments_dtype", moments_dtype, MOMENTS_DTYPES)
        self._max_norm = None if max_norm is None else checks.number("max_norm", max_norm, above=0)
        self._fused = checks.flag("fused_backward", fused_backward)
        if self._fused and self._max_norm is not None:
            raise ValueError("max_norm: found it with fused_backward=True, wanted one of them")
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "second_moment": second_moment,
            "moments_dtype": moments_dtype,
        }
        super().__init__(_listed(params), defaults)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_max_norm": self._max_norm, "_fused": self._fused}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            # What another Adam saved does not say how rows are kept.
            group.setdefault("second_moment", None)
            group.setdefault("moments_dtype", None)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, of ``"params"`` or of ``"modules"``."""
        group = dict(param_group)
        modules = group.pop("modules", None)
        if modules is not None:
            if "params" in group:
                raise ValueError("params: found them beside modules in a group, wanted one of them")
            modules = [modules] if isinstance(modules, SlideLinear) else list(modules)
            group["params"] = [p for module in modules for p in module.parameters()]
        super().add_param_group(group)
        added = self.param_groups[-1]
        try:
            heads, _ = _parts(added, owners())
            _check_group(added, heads)
        except (RuntimeError, ValueError):
            del self.param_groups[-1]
            raise
        for head in heads:
            head.claim(self._in_backward(head) if self._fused else None)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients, rows too."""
        super().zero_grad(set_to_none)
        owned = owners()
        for group in self.param_groups:
            for parameter in group["params"]:
                for head in owned.get(id(parameter), ()):
                    head.drop()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change the parameters that have gradients.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss anew and returns it.

        Raises
        ------
        RuntimeError
            If the gradient of a layer's weight did not come from its rows alone.
        """
        if getattr(self, "found_inf", None) is not None:
            raise RuntimeError(
                "SlideAdam: found a GradScaler, wanted none: rows are in float32, and "
                "automatic mixed precision on CPUs is in bfloat16, which needs no scaling"
            )
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.no_grad():
            owned = owners()
            parts = [(group, *_parts(group, owned)) for group in self.param_groups]
            rows = [[(head, head.gradients()) for head in heads] for _, heads, _ in parts]
            for found in rows:
                _check_finite(found)
            if self._max_norm is not None:
                dense = [p.grad for _, _, others in parts for p in others]
                _clip(self._max_norm, dense, [one for group in rows for one in group])
            for group, heads, others in parts:
                _check_decay(group, heads)
                _check_dense(others)
            for (group, heads, others), found in zip(parts, rows, strict=True):
                self._step_dense(group, others)
                for head, gradients in found:
                    if gradients:
                        self._step_rows(group, head, gradients)
                for head in heads:
                    head.claim(self._in_backward(head) if self._fused else None)
        return loss

    def _step_dense(self, group: dict[str, Any], parameters: list[Any]) -> None:
        if not parameters:
            return
        states = [self.state[p] for p in parameters]
        for p, state in zip(parameters, states, strict=True):
            if not state:
                state["step"] = torch.zeros((), dtype=torch.float32, device=p.device)
                for name in ("exp_avg", "exp_avg_sq"):
                    state[name] = torch.zeros_like(p, memory_format=torch.preserve_format)
        beta1, beta2 = group["betas"]
        devices = {p.device.type if p.is_floating_point() else "" for p in parameters}
        adamw(
            parameters,
            [p.grad for p in parameters],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True if devices <= {"cpu", "cuda"} else None,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )

    def _step_rows(
        self, group: dict[str, Any], head: HeadState, gradients: list[RowGradients]
    ) -> None:
        assert head.weight is not None
        state = self.state[head.weight]
        of_bias = None if head.bias is None else self.state[head.bias]
        kinds = moments.kinds(group["second_moment"], group["moments_dtype"], head.weight)
        arrays = moments.lent(state, of_bias, head.shape, kinds)
        beta1, beta2 = group["betas"]
        optimizer = {
            "kind": "adam",
            "lr": None,
            "beta1": beta1,
            "beta2": beta2,
            "eps": group["eps"],
            "weight_decay": 0.0,
            "mode": "lazy",
            "second_moment": kinds[0],
            "moments": DTYPES[kinds[1]],
        }
        t, lr = int(state["step"]) + 1, float(group["lr"])
        head.apply(arrays, json.dumps(optimizer), lr, t, gradients)
        state["step"] += 1

    def _in_backward(self, head: HeadState) -> Callable[[RowGradients], None]:
        """Return what takes one gradient of a head, and refuses another before the next step."""
        used: list[bool] = []

        def update(gradients: RowGradients) -> None:
            if used:
                raise RuntimeError(
                    "fused_backward: found a second backward pass before step(), wanted one; "
                    "gradients add up with fused_backward=False"
                )
            _check_finite([(head, [gradients])])
            used.append(True)
            for group in self.param_groups:
                if any(p is head.weight for p in group["params"]):
                    self._step_rows(group, head, [gradients])
                    return

        return update


def _listed(params: Any) -> Any:
    if isinstance(params, SlideLinear):
        raise TypeError("params: found a SlideLinear, wanted its parameters(), or groups")
    return [params] if isinstance(params, dict) else params


def _check_group(group: dict[str, Any], heads: list[HeadState]) -> None:
    checks.number("lr", float(group["lr"]), least=0)
    for name, beta in zip(("beta1", "beta2"), group["betas"], strict=True):
        checks.number(name, beta, least=0.0, below=1.0)
    checks.number("eps", group["eps"], above=0)
    checks.number("weight_decay", group["weight_decay"], least=0)
    _check_decay(group, heads)


def _check_dense(parameters: list[Any]) -> None:
    if any(p.grad.is_sparse for p in parameters):
        raise RuntimeError(
            "SlideAdam: found a sparse gradient, wanted a dense one, or a SlideLinear with "
            "grad='rows'; torch.optim.SparseAdam takes sparse ones"
        )


def _check_finite(heads: list[tuple[HeadState, list[RowGradients]]]) -> None:
    """Refuse derivatives that are none before anything is changed."""
    for _, gradients in heads:
        for _, _, deltas in gradients:
            if not np.isfinite(deltas).all():
                raise RuntimeError(
                    "SlideAdam: found NaN or infinity among the derivatives of the loss by the "
                    "scores of a SlideLinear, wanted finite ones"
                )


def _check_decay(group: dict[str, Any], heads: list[HeadState]) -> None:
    if heads and group["weight_decay"]:
        raise ValueError(
            f"weight_decay: found {group['weight_decay']:g} in a group with a SlideLinear, wanted "
            "0: rows that no sample touched would not decay; give the layer a group of its own"
        )


def _parts(
    group: dict[str, Any], owned: dict[int, list[HeadState]]
) -> tuple[list[HeadState], list[Any]]:
    """Return the heads of a group, and its other parameters that have gradients."""
    heads: list[HeadState] = []
    others: list[Any] = []
    for parameter in group["params"]:
        found = owned.get(id(parameter), [])
        if len(found) > 1:
            raise RuntimeError(
                f"params: found a parameter of {len(found)} SlideLinear, wanted one each: layers "
                "with grad='rows' cannot share weights"
            )
        if not found:
            if parameter.grad is not None:
                others.append(parameter)
        elif found[0] not in heads:
            heads.append(found[0])
    if heads:
        present = {id(parameter) for parameter in group["params"]}
        wanted = [p for head in heads for p in (head.weight, head.bias) if p is not None]
        if any(id(parameter) not in present for parameter in wanted):
            raise ValueError(
                "params: found weight or bias of a SlideLinear without the other, wanted both in "
                "one group"
            )
    return heads, others


def _clip(
    most: float, dense: list[Tensor], heads: list[tuple[HeadState, list[RowGradients]]]
) -> None:
    """Scale all gradients so that their norm together is at most so much."""
    squares = sum(head.head.norm(gradients) ** 2 for head, gradients in heads if gradients)
    if dense:
        squares += sum(float(norm) ** 2 for norm in torch._foreach_norm(dense))
    norm = math.sqrt(squares)
    # As clip_grad_norm_ has it.
    factor = most / (norm + 1e-6)
    if factor >= 1:
        return
    if dense:
        torch._foreach_mul_(dense, factor)
    for _, gradients in heads:
        for _, _, deltas in gradients:
            deltas *= factor

"""Running means and squares of Adam for a head, as tensors in memory that the engine writes to."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from slide_rs.torch import storage

__all__ = ["kinds", "lent"]

#: From so many weights on, the bytes that a step moves are what it waits for.
_WIDE = 1 << 20
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def kinds(second_moment: str | None, dtype: str | None, weight: Tensor | None) -> tuple[str, str]:
    """Fill in by rule what was not given: what has a running square, and the type of means.

    Examples
    --------
    >>> kinds(None, None, torch.empty(1 << 10, 1 << 10))
    ('row', 'bfloat16')
    """
    wide = weight is not None and weight.numel() >= _WIDE
    second = second_moment or ("row" if wide else "entry")
    return second, dtype or ("bfloat16" if wide and second == "row" else "float32")


def lent(
    state: dict[str, Any],
    of_bias: dict[str, Any] | None,
    shape: tuple[int, int],
    chosen: tuple[str, str],
) -> tuple[Any, Any, Any, Any]:
    """Return the arrays that a step writes to; `state` gets what it lacks.

    Parameters
    ----------
    state, of_bias : dict
        What the optimiser keeps for the weight and for the bias, if there is one.
    shape : (int, int)
        Of the memory of the weight.
    chosen : (str, str)
        What `kinds` returned.

    Raises
    ------
    ValueError
        If `state`, loaded say, is that of a layer of another shape.

    Examples
    --------
    >>> state = {}
    >>> [array.shape for array in lent(state, None, (8, 16), ("row", "bfloat16"))[:2]]
    [(8, 16), (8,)]
    >>> state["exp_avg"].dtype
    torch.bfloat16
    """
    second, dtype = chosen
    means = _DTYPES[dtype]
    squares = torch.float32 if second == "row" else means
    m = _array(state, "exp_avg", shape, means)
    v = _array(state, "exp_avg_sq", shape[:1] if second == "row" else shape, squares)
    if "step" not in state:
        state["step"] = torch.zeros((), dtype=torch.float32)
    if of_bias is None:
        return m, v, None, None
    names = "exp_avg", "exp_avg_sq"
    return m, v, *(_array(of_bias, name, shape[:1], torch.float32) for name in names)


def _array(state: dict[str, Any], name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Any:
    found = state.get(name)
    if found is None:
        found = state[name] = storage.allocate(*shape, dtype=dtype)
    elif found.shape != shape:
        raise ValueError(
            f"{name}: found shape {tuple(found.shape)}, wanted {shape}, the memory of the weight "
            "with this second_moment"
        )
    elif found.dtype != dtype or not storage.is_laid_out(found, shape):
        # As load_state_dict leaves it.
        moved = storage.allocate(*shape, dtype=dtype)
        moved.copy_(found)
        found = state[name] = moved
    return storage.lent(found, shape)

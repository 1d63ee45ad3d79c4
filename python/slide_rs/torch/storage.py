"""Memory of parameters and moments that the engine can use in place.

The engine wants rows that begin at multiples of 64 bytes, with room behind the last row. A
parameter is the view ``storage[:rows, :columns]`` of such memory; what lies outside of the view is
zero and stays so. Large memory asks for huge pages, as sampled rows lie far apart.
"""

from __future__ import annotations

import mmap

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["ALIGNMENT", "allocate", "copied", "is_laid_out", "is_room", "lent", "stride"]

#: Bytes, a line of the cache and the widest vector.
ALIGNMENT = 64
_HUGE = 8 << 20


def stride(columns: int) -> int:
    """Return the columns that a row takes: a multiple of 16.

    Examples
    --------
    >>> stride(100)
    112
    """
    return -(-columns // 16) * 16


def allocate(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return zeros at an address that is a multiple of 64.

    From 8 MiB on they are pages of their own, huge ones where the system has them, which become
    real when they are first written.

    Parameters
    ----------
    *shape : int
        The shape.
    dtype : torch.dtype
        The type.

    Examples
    --------
    >>> allocate(2, 16).data_ptr() % ALIGNMENT
    0
    """
    count = 1
    for length in shape:
        count *= length
    size = count * dtype.itemsize
    if size >= _HUGE and hasattr(mmap, "MAP_PRIVATE"):
        pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            pages.madvise(mmap.MADV_HUGEPAGE)
        return torch.frombuffer(pages, dtype=dtype).view(shape)
    room = torch.zeros(size + ALIGNMENT, dtype=torch.uint8, device="cpu")
    start = -room.data_ptr() % ALIGNMENT
    return room[start : start + size].view(dtype).view(shape)


def copied(
    weight: Tensor, bias: Tensor | None, shape: tuple[int, int]
) -> tuple[Tensor, Tensor | None]:
    """Return memory of this shape, and of as many biases, whose corners hold the parameters.

    Examples
    --------
    >>> room, biases = copied(torch.ones(2, 3), None, (4, 16))
    >>> room.sum(), biases
    (tensor(6.), None)
    """
    # A parameter may come to lie in it, which is to be trained after a prediction too.
    with torch.inference_mode(False), torch.no_grad():
        room = allocate(*shape)
        room[: weight.shape[0], : weight.shape[1]] = weight.detach()
        biases = None
        if bias is not None:
            biases = allocate(shape[0])
            biases[: len(bias)] = bias.detach()
    return room, biases


def is_laid_out(tensor: Tensor, shape: tuple[int, ...]) -> bool:
    """Tell whether a tensor is the corner of memory of this shape, at an aligned address.

    What lies outside of the tensor is not looked at.

    Examples
    --------
    >>> memory = allocate(4, 16)
    >>> is_laid_out(memory[:3, :9], (4, 16)), is_laid_out(memory[:3, :9].clone(), (4, 16))
    (True, False)
    """
    steps = (1,) if len(shape) == 1 else (shape[1], 1)
    count = shape[0] * steps[0]
    room = tensor.untyped_storage().nbytes() // tensor.element_size() - tensor.storage_offset()
    return bool(tensor.stride() == steps and room >= count and not tensor.data_ptr() % ALIGNMENT)


def is_room(tensor: Tensor, shape: tuple[int, ...]) -> bool:
    """Tell whether a tensor is the corner of memory of just this shape, with zeros around it.

    Examples
    --------
    >>> memory = allocate(4, 16)
    >>> is_room(memory[:3, :9], (4, 16)), is_room(memory[1:, :9], (4, 16))
    (True, False)
    """
    steps = (1,) if len(shape) == 1 else (shape[1], 1)
    size = shape[0] * steps[0] * tensor.element_size()
    if tensor.storage_offset() or tensor.untyped_storage().nbytes() != size:
        # Small memory of ours begins at a line within a little more.
        own = tensor.untyped_storage().nbytes() == size + ALIGNMENT
        if not own or tensor.storage_offset() * tensor.element_size() >= ALIGNMENT:
            return False
    if not is_laid_out(tensor, shape):
        return False
    whole = tensor.detach().as_strided(shape, steps)
    beyond = whole[len(tensor) :]
    beside = whole[:, tensor.shape[1] :] if len(shape) == 2 else whole[:0]
    return not bool(beyond.any()) and not bool(beside.any())


def lent(tensor: Tensor, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the whole memory around a tensor that is laid out in it, as an array.

    Parameters
    ----------
    tensor : Tensor
        For which `is_laid_out` holds.
    shape : tuple of int
        The shape of the memory.

    Examples
    --------
    >>> lent(allocate(4, 16)[:3, :9], (4, 16)).shape
    (4, 16)
    """
    steps = (1,) if len(shape) == 1 else (shape[1], 1)
    whole = tensor.detach().as_strided(shape, steps)
    if whole.dtype == torch.bfloat16:
        # NumPy has no such type: the bits.
        return whole.view(torch.int16).numpy().view(np.uint16)  # type: ignore[no-any-return, unused-ignore]
    return whole.numpy()  # type: ignore[no-any-return, unused-ignore]

"""What a sampled layer returns, and what the next one takes: a few values of each row."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["SlideOutput", "SparseActivations", "TopK", "ascending"]


class SparseActivations(NamedTuple):
    """Rows of which few values are not zero.

    Examples
    --------
    >>> rows = SparseActivations(torch.tensor([0, 2]), torch.tensor([5, 1]), torch.ones(2), 9)
    >>> rows.dense()
    tensor([[0., 1., 0., 0., 0., 1., 0., 0., 0.]])
    """

    #: Where the entries of each row begin and end: int64, shape (rows + 1,).
    indptr: Tensor
    #: Their columns, in any order, each once a row: int64.
    indices: Tensor
    #: Their values.
    values: Tensor
    #: Columns, if known: the next layer then checks that it has as many inputs.
    size: int | None = None

    def samples(self) -> Tensor:
        """Return the row of each entry."""
        rows = torch.arange(len(self.indptr) - 1)
        return rows.repeat_interleave(self.indptr.diff(), output_size=len(self.indices))

    def dense(self) -> Tensor:
        """Return all values, shape (rows, size).

        Raises
        ------
        ValueError
            If `size` is not known.
        """
        if self.size is None:
            raise ValueError("size: found None, wanted the number of columns")
        zeros = self.values.new_zeros((len(self.indptr) - 1, self.size))
        return zeros.index_put((self.samples(), self.indices), self.values)


class SlideOutput(NamedTuple):
    """The active neurons of each row, and the loss over them.

    Examples
    --------
    >>> ids = torch.tensor([3, 1])
    >>> SlideOutput(None, torch.tensor([0, 2]), ids, torch.tensor([-1.0, 2.0])).relu().values
    tensor([0., 2.])
    """

    #: Mean over the rows that have labels; None without a target.
    loss: Tensor | None
    #: Where the neurons of each row begin and end: int64, shape (rows + 1,).
    indptr: Tensor
    #: Ids of neurons, those of the labels first: int64.
    indices: Tensor
    #: Their scores, through which gradients flow as well.
    logits: Tensor
    #: The loss of each row, 0 where it has no label, shape (rows,); None without a target.
    losses: Tensor | None = None

    def relu(self) -> SparseActivations:
        """Return the scores above zero, others as zeros, for the next layer."""
        return SparseActivations(self.indptr, self.indices, self.logits.relu())


class TopK(NamedTuple):
    """The `k` best labels of each row, best first; -1 with minus infinity where fewer were found.

    Examples
    --------
    >>> TopK(torch.tensor([[4, 1]]), torch.tensor([[2.0, 0.5]])).labels
    tensor([[4, 1]])
    """

    #: Label ids, int64, shape (rows, k).
    labels: Tensor
    #: Scores, shape (rows, k).
    scores: Tensor


def ascending(found: SlideOutput | SparseActivations, size: int) -> SparseActivations:
    """Return activations with the ids of each row in order; gradients flow on.

    Parameters
    ----------
    found : SlideOutput or SparseActivations
        The activations; of an output its scores.
    size : int
        The columns wanted.

    Raises
    ------
    TypeError, ValueError
        If there are other columns, one that stands in a row twice, or arrays that do not go
        together.

    Examples
    --------
    >>> rows = SparseActivations(torch.tensor([0, 2]), torch.tensor([5, 1]), torch.ones(2))
    >>> ascending(rows, 9).indices
    tensor([1, 5])
    """
    if isinstance(found, SlideOutput):
        found = SparseActivations(found.indptr, found.indices, found.logits)
    if found.size is not None and found.size != size:
        raise ValueError(f"input: found {found.size} columns, wanted {size}")
    # A compiled graph has no branches.
    eager = not torch.compiler.is_compiling()
    if eager:
        _check(found, size)
    keys = found.samples() * size + found.indices
    # A sampled layer without a target gives them so.
    if eager and bool((keys.diff() > 0).all()):
        return found._replace(size=size)
    order = keys.argsort()
    if eager and bool((keys[order].diff() == 0).any()):
        raise ValueError("input: found a column twice in a row, wanted each once")
    return SparseActivations(found.indptr, found.indices[order], found.values[order], size)


def _check(found: SparseActivations, size: int) -> None:
    """Refuse arrays that are no sparse rows of `size` columns."""
    indptr, indices, values, _ = found
    for name, ids in (("indptr", indptr), ("indices", indices)):
        if ids.dtype != torch.int64:
            raise TypeError(f"input.{name}: found dtype {ids.dtype}, wanted torch.int64")
    for name, array in (("indptr", indptr), ("indices", indices), ("values", values)):
        if array.ndim != 1:
            raise ValueError(f"input.{name}: found shape {tuple(array.shape)}, wanted one axis")
    if len(values) != len(indices):
        raise ValueError(f"input.values: found {len(values)}, wanted {len(indices)} as of indices")
    if not len(indptr) or indptr[0] or indptr[-1] != len(indices) or (indptr.diff() < 0).any():
        raise ValueError(
            f"input.indptr: found bounds that are not from 0 to {len(indices)} in ascending order"
        )
    least, most = (int(end) for end in indices.aminmax()) if len(indices) else (0, 0)
    if least < 0 or most >= size:
        raise ValueError(
            f"input: found columns from {least} to {most}, wanted them from 0 to {size - 1}"
        )

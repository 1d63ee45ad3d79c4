"""Gradients of rows that wait for the optimiser: ids and derivatives by scores, never the rows.

Where a parameter has its ``.grad``, a weight with such gradients has a mark: a sparse tensor with
one explicit zero. Whatever removes it, scales it or adds to it shows what was meant to happen to
the gradients, and optimisers that know nothing of them mostly refuse it.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slide_rs.notices import warn

__all__ = ["Features", "Floats", "Ids", "Pending", "RowGradients", "Targets"]

Floats: TypeAlias = NDArray[np.float32]
Ids: TypeAlias = NDArray[np.int64]
#: Rows as the engine takes them, dense or as ``(indptr, indices, values)``.
Features: TypeAlias = Floats | tuple[Ids, Ids, Floats]
#: Labels, with grades or without.
Targets: TypeAlias = tuple[Ids, Ids] | tuple[Ids, Ids, Floats]
#: Inputs, active sets, and the derivative of the loss by each logit.
RowGradients: TypeAlias = tuple[Features, tuple[Ids, Ids], Floats]


#: Backward passes that nobody accumulates.
MANY = 256
_WANTED = (
    "slide_rs.torch.SlideAdam applies gradients of rows, and a SlideLinear with grad='sparse' or "
    "'dense' goes with other optimisers"
)


class Pending:
    """The gradients of one weight since the last ``zero_grad``.

    Parameters
    ----------
    ledger : Tensor
        Its second number is how many were put; it is set to zero with them.

    Examples
    --------
    >>> weight = torch.nn.Parameter(torch.zeros(3, 2))
    >>> pending = Pending(torch.zeros(2, dtype=torch.int64))
    >>> ids = np.array([0, 1]), np.array([2])
    >>> pending.put(weight, (np.ones((1, 2), np.float32), ids, np.ones(1, np.float32)))
    >>> len(pending.taken(weight, None))
    1
    >>> pending.drop(weight)
    >>> pending.taken(weight, None)
    []
    """

    def __init__(self, ledger: Tensor) -> None:
        #: Whether an optimiser takes them.
        self.claimed: bool = False
        #: Whether one ever did.
        self.owned: bool = False
        self._ledger = ledger
        self._found: list[RowGradients] = []
        self._mark: Tensor | None = None
        self._marked = 0
        self._version = 0
        self._warned = False

    def put(self, weight: Tensor, gradients: RowGradients) -> None:
        """Add what one backward pass found.

        Raises
        ------
        RuntimeError
            If another optimiser has made a step, in which it saw none of what was found before.
        """
        self._forget_zeroed(weight)
        self._found.append(gradients)
        self.claimed = False
        if len(self._found) == MANY:
            self._warn(f"found {MANY} backward passes without a step or zero_grad")
        if self._mark is None:
            self._mark = torch.sparse_coo_tensor(
                torch.zeros((2, 1), dtype=torch.int64),
                torch.zeros(1, dtype=weight.dtype),
                tuple(weight.shape),
                check_invariants=False,
            )
            self._marked, self._version = self._mark._version, weight._version
            weight.grad = self._mark

    def taken(self, weight: Tensor, bias: Tensor | None) -> list[RowGradients]:
        """Return them; they stay, as a ``.grad`` does.

        Raises
        ------
        RuntimeError
            If something else has touched the gradient of the weight or of the bias.
        """
        self._forget_zeroed(weight)
        self.claimed = True
        of_bias = None if bias is None else bias.grad
        if self._mark is None and weight.grad is None and of_bias is None:
            return []
        if self._mark is None or weight.grad is not self._mark or of_bias is not None:
            raise RuntimeError(
                "weight.grad: found a gradient from outside of the layer, wanted none with "
                "grad='rows'; a weight that is used elsewhere too wants grad='dense'"
            )
        if self._mark._version != self._marked:
            raise RuntimeError(
                "weight.grad: found that something scaled it, as clip_grad_norm_ does; with "
                "grad='rows' it holds no gradient, and SlideAdam(max_norm=...) clips all"
            )
        return self._found

    def drop(self, weight: Tensor | None) -> None:
        """Forget them."""
        self._found = []
        self._ledger[1] = 0
        if self._mark is not None and weight is not None and weight.grad is self._mark:
            weight.grad = None
        self._mark = None

    def _forget_zeroed(self, weight: Tensor) -> None:
        """Drop what ``zero_grad`` of a module or of another optimiser meant to."""
        if self._mark is None:
            return
        if weight.grad is None or (weight.grad is self._mark and not self._mark._nnz()):
            if self._found and not self.claimed:
                if not self.owned and weight._version != self._version:
                    raise RuntimeError(f"grad='rows': found a step of another optimiser, {_WANTED}")
                self._warn("found gradients that were dropped and never used")
            self.drop(weight)

    def _warn(self, found: str) -> None:
        if not self._warned:
            self._warned = True
            warn(f"grad='rows': {found}; {_WANTED}")

"""The user's targets as tensors that the operators take."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from slide_rs import labels

__all__ = ["IGNORED", "Targets", "targets"]

#: The class of rows that have none, as in PyTorch's losses.
IGNORED = -100


class Targets(NamedTuple):
    """Labels of rows.

    Examples
    --------
    >>> targets([[2, 0], []], 3, 2).labels
    tensor([0, 2])
    """

    #: Label ids of all rows, int64; without `indptr` one a row, below zero where there is none.
    labels: Tensor
    #: Where the labels of each row begin and end, int64.
    indptr: Tensor | None
    #: The grade of each label, float32.
    grades: Tensor | None
    #: How many rows have a label, at least 1: a tensor, so that no graph depends on the number.
    labelled: Tensor


def targets(found: Any, n_labels: int, rows: int, *, ignore_index: int = IGNORED) -> Targets:
    """Return targets as tensors.

    Parameters
    ----------
    found : Tensor, array, CSR, or list of lists
        A class a row, int64, shape (rows,); labels padded with -1 or -100, shape (rows, most); CSR
        of shape (rows, `n_labels`) of SciPy or PyTorch, whose float values are grades unless all
        are 1; or a list with the label ids of each row.
    n_labels : int
        Ids are below this.
    rows : int
        The rows of the input.
    ignore_index : int
        The class of rows without any.

    Raises
    ------
    TypeError
        If `found` is of a kind that holds no labels.
    ValueError
        If an id or a length is wrong.

    Examples
    --------
    >>> targets(torch.tensor([2, -100]), 3, 2).labelled
    tensor(1)
    """
    if isinstance(found, Tensor):
        _check_tensor(found)
        if found.ndim == 1:
            return _classes(found, n_labels, rows, ignore_index)
        if found.layout == torch.sparse_csr:
            parts = [found.values(), found.col_indices(), found.crow_indices()]
            values, ids, indptr = (part.detach().numpy() for part in parts)
            found = csr_array((values, ids, indptr), shape=(found.shape[0], found.shape[1]))
        else:
            found = found.numpy()
            if ignore_index != IGNORED:
                found = np.where(found == ignore_index, IGNORED, found)
    elif isinstance(found, list | tuple):
        found = [row.tolist() if isinstance(row, Tensor) else row for row in found]
    ready = labels.targets(found, n_labels, name="target")
    indptr, ids = (np.asarray(part, dtype=np.int64) for part in ready[:2])
    _check_rows(len(indptr) - 1, rows)
    grades = torch.from_numpy(ready[2]) if len(ready) == 3 else None
    labelled = max(int(np.count_nonzero(np.diff(indptr))), 1)
    return Targets(torch.from_numpy(ids), torch.from_numpy(indptr), grades, torch.tensor(labelled))


def _check_tensor(found: Tensor) -> None:
    if found.device.type != "cpu":
        raise ValueError(f"target: found device {found.device}, wanted cpu")
    if found.layout not in (torch.strided, torch.sparse_csr):
        raise TypeError(f"target: found layout {found.layout}, wanted strided or sparse_csr")


def _check_rows(found: int, rows: int) -> None:
    if found != rows:
        raise ValueError(f"target: found {found} rows, wanted the {rows} of input")


def _classes(found: Tensor, n_labels: int, rows: int, ignore_index: int) -> Targets:
    if found.dtype != torch.int64:
        raise TypeError(f"target: found dtype {found.dtype}, wanted torch.int64 class ids")
    _check_rows(len(found), rows)
    present = found != ignore_index
    classes = found if ignore_index == IGNORED else torch.where(present, found, IGNORED)
    return Targets(classes, None, None, present.sum().clamp(min=1))


def check_classes(ids: Any, n_labels: int) -> None:
    """Refuse class ids that there are not.

    Raises
    ------
    ValueError
        If an id is below zero, `IGNORED` apart, or not below `n_labels`.

    Examples
    --------
    >>> check_classes(np.array([1, 3]), 3)
    Traceback (most recent call last):
    ValueError: target: found class 3 in row 1, wanted 0 to 2, or ignore_index
    """
    wrong = (ids >= n_labels) | ((ids < 0) & (ids != IGNORED))
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"target: found class {ids[row]} in row {row}, wanted 0 to {n_labels - 1}, or "
            "ignore_index"
        )

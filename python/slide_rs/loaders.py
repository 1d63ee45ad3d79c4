"""Batches of PyTorch as rows of NumPy and SciPy; PyTorch itself is not imported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from scipy import sparse

from slide_rs.streams import AHEAD, Batch, Stream, as_batch, csr

__all__ = ["TorchDataLoaderAdapter"]


class TorchDataLoaderAdapter(Stream):
    """The batches of a ``torch.utils.data.DataLoader``, to train on.

    Features are dense or sparse (CSR or COO) tensors with a row each. Labels are a tensor of one id
    a row, a tensor with a column for each label, in which what is not 0 is a label, a sparse
    tensor, or a list of lists. Batches are cut and joined to those of ``fit``.

    Parameters
    ----------
    loader : iterable of pairs (X, Y), or of triples (X, Y, weight)
        The loader; its order stays, so let it shuffle.
    n_rows : int, optional
        The rows of an epoch. They are counted in a first pass when not given.
    n_features, n_labels, shuffle_buffer, seed, prefetch
        As in `Stream`. A loader with workers reads ahead by itself.

    Raises
    ------
    TypeError
        If a batch is no such pair, while it is read.

    Examples
    --------
    >>> loader = [(np.eye(3), np.array([2, 0, 1]))]
    >>> next(iter(TorchDataLoaderAdapter(loader))).X.dtype
    dtype('float32')
    """

    def __init__(
        self,
        loader: Iterable[Any],
        *,
        n_rows: int | None = None,
        n_features: int | None = None,
        n_labels: int | None = None,
        shuffle_buffer: int = 0,
        seed: int = 0,
        prefetch: int = AHEAD,
    ) -> None:
        super().__init__(
            loader,
            n_rows=n_rows,
            n_features=n_features,
            n_labels=n_labels,
            shuffle_buffer=shuffle_buffer,
            seed=seed,
            prefetch=prefetch,
        )

    def _read(self, n_features: int | None, n_labels: int | None) -> Iterator[Batch]:
        for number, found in enumerate(self._pairs):
            x, y, weight = as_batch(found, number)
            yield Batch(_features(x), _labels(y), None if weight is None else _floats(weight))


def _features(found: Any) -> Any:
    return _sparse(found) if _layout(found) else _floats(found)


def _floats(found: Any) -> Any:
    array = _array(found)
    return array.astype(np.float32, copy=False) if isinstance(array, np.ndarray) else array


def _labels(found: Any) -> Any:
    if _layout(found):
        return _sparse(found)
    array = _array(found)
    if isinstance(array, np.ndarray) and array.ndim == 2:
        return sparse.csr_array(array)
    return array


def _array(found: Any) -> Any:
    """Return a tensor as an array that shares its memory if it can; anything else as it is."""
    if not hasattr(found, "numpy"):
        return found
    for step in ("detach", "cpu"):
        found = getattr(found, step)() if hasattr(found, step) else found
    return found.numpy()


def _layout(found: Any) -> str:
    """Return the layout of a sparse tensor; nothing of others."""
    name = str(getattr(found, "layout", ""))
    return name if "sparse" in name else ""


def _sparse(found: Any) -> Any:
    layout = _layout(found)
    rows, columns = (int(size) for size in found.shape)
    if layout.endswith("sparse_csr"):
        parts = found.crow_indices(), found.col_indices(), found.values()
        indptr, ids, values = (_array(part) for part in parts)
        return csr(indptr, ids, _floats(values), columns)
    if layout.endswith("sparse_coo"):
        whole = found.coalesce()
        place, values = _array(whole.indices()), _floats(whole.values())
        return sparse.coo_array((values, (place[0], place[1])), shape=(rows, columns)).tocsr()
    raise TypeError(f"X: found a tensor with layout {layout}, wanted sparse_csr or sparse_coo")

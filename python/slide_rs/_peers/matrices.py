"""Rows as SciPy matrices, for contestants that have SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array

from .rows import Rows

__all__ = ["features", "labels"]


def features(rows: Rows, n_features: int) -> csr_array[Any]:
    """Return the features of each row.

    Examples
    --------
    >>> bounds, ids = np.array([0, 1], np.int32), np.array([2], np.int32)
    >>> features(Rows(bounds, ids, np.ones(1, np.float32), bounds, ids), 4).toarray()
    array([[0., 0., 1., 0.]], dtype=float32)
    """
    return csr_array((rows.values, rows.ids, rows.indptr), shape=(rows.size, n_features))


def labels(rows: Rows, n_labels: int) -> csr_array[Any]:
    """Return the labels of each row, as ones.

    Examples
    --------
    >>> bounds, ids = np.array([0, 1], np.int32), np.array([2], np.int32)
    >>> labels(Rows(bounds, ids, np.ones(1, np.float32), bounds, ids), 3).toarray()
    array([[0., 0., 1.]], dtype=float32)
    """
    ones = np.ones(len(rows.labels), np.float32)
    return csr_array((ones, rows.labels, rows.label_indptr), shape=(rows.size, n_labels))

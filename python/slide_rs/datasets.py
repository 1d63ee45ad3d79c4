"""Data sets: files in the text format of extreme classification, and synthetic ones.

The format has one line a row, ``l1,l2 f1:v1 f2:v2``, under an optional header ``points features
labels``. Ids count from 0. The Extreme Classification Repository distributes its data so.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from slide_rs import _core, arrays, caches, checks
from slide_rs.fetching import fetch
from slide_rs.labels import labels as read_labels
from slide_rs.notices import Notices

__all__ = ["Dataset", "fetch", "make_xmc", "read_xmc", "write_xmc"]

_Floats: TypeAlias = NDArray[np.float64]
_MOST_COLUMNS = int(np.iinfo(np.int32).max)


class Dataset(NamedTuple):
    """Rows of features and their labels.

    Examples
    --------
    >>> X, Y = make_xmc(100, n_features=500, n_labels=20)
    >>> X.shape, Y.shape
    ((100, 500), (100, 20))
    """

    #: Features, float32, shape (rows, features).
    X: csr_array[np.float32]
    #: Labels: 1.0 where a row has the label, float32, shape (rows, labels).
    Y: csr_array[np.float32]

    @property
    def n_features(self) -> int:
        """Number of columns of `X`."""
        return int(self.X.shape[1])

    @property
    def n_labels(self) -> int:
        """Number of columns of `Y`."""
        return int(self.Y.shape[1])

    def split(self, first: int) -> tuple[Dataset, Dataset]:
        """Return the `first` rows and the rest, as for training and test.

        Raises
        ------
        ValueError
            If there are fewer rows.

        Examples
        --------
        >>> train, test = make_xmc(100, n_features=500, n_labels=20).split(80)
        >>> train.X.shape, test.Y.shape
        ((80, 500), (20, 20))
        """
        rows = checks.whole("first", first, 0, int(self.X.shape[0]))
        return Dataset(self.X[:rows], self.Y[:rows]), Dataset(self.X[rows:], self.Y[rows:])


def read_xmc(path: str | os.PathLike[str], *, cache: bool = False) -> Dataset:
    r"""Read a data set in the text format of extreme classification.

    Gzip is recognised by the first bytes of the file, whatever its name. Rows may lack labels,
    features or both. Repeated features of a row are summed; without a header the sizes are the
    largest ids plus one.

    Parameters
    ----------
    path : str or path
        The file.
    cache : bool
        Keep the arrays in a file beside the text, ``<path>.slide-cache``, and map them into memory
        the next time, which takes a fraction of the time and no memory of its own; most is
        gained with gzip. A text that has changed since (by its size, time of change, or a sample of
        its bytes) is read anew, and so is one whose cache is damaged, with a `SlideWarning`. Where
        the folder cannot be written the text is read every time. The file needs 8 bytes for each
        feature or label of a row, and 8 for each row; it may be deleted at any time.

    Returns
    -------
    Dataset
        Indices are int32, which the engine borrows without a copy. Only the row bounds are cast (to
        int32 also, as SciPy wants one dtype for both), unless there are 2**31 values or more.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not a data set; the message names the line, what it holds and what was wanted.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "tiny.txt")
    >>> _ = path.write_text("2 5 4\n0,3 1:0.5 4:1.25\n1 2:1\n")
    >>> X, Y = read_xmc(path)
    >>> Y.toarray()
    array([[1., 0., 0., 1.],
           [0., 1., 0., 0.]], dtype=float32)
    """
    name = checks.path("path", path)
    stamp = caches.Stamp.of(name) if checks.flag("cache", cache) else None
    if stamp is None:
        return _read_text(name)
    mapped = caches.load(name, stamp)
    if mapped is not None:
        return Dataset(*mapped)
    data = _read_text(name)
    caches.save(name, stamp, *data)
    return data


def _read_text(path: str) -> Dataset:
    found = _core.read_xmc(path)
    x_indptr, x_indices, x_values, y_indptr, y_indices, n_features, n_labels = found
    ones = np.ones(len(y_indices), dtype=np.float32)
    return Dataset(
        _csr(x_indptr, x_indices, x_values, n_features), _csr(y_indptr, y_indices, ones, n_labels)
    )


def write_xmc(path: str | os.PathLike[str], X: object, Y: object) -> None:
    """Write a data set in the text format of extreme classification.

    Values are written with the fewest digits that read back as the same float32.

    Parameters
    ----------
    path : str or path
        The file; it is gzipped if its name ends in ``.gz``.
    X : CSR matrix or array
        Features.
    Y : CSR matrix or array
        Labels: a value that is not zero makes its column a label.

    Raises
    ------
    ValueError
        If `X` and `Y` do not have the same number of rows, or a value is not finite.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "tiny.txt.gz")
    >>> train = make_xmc(100, n_features=500, n_labels=20)
    >>> write_xmc(path, *train)
    >>> (read_xmc(path).X != train.X).nnz
    0
    """
    n_features, n_labels = (_columns(name, matrix) for name, matrix in (("X", X), ("Y", Y)))
    (indptr, indices, data), rows = arrays.compressed(
        X, n_features, Notices("X", copy=True), "wanted a SciPy CSR matrix or array"
    )
    x = indptr, indices, np.ascontiguousarray(data, dtype=np.float32)
    y = read_labels(Y, n_labels, rows)
    _core.write_xmc(os.fspath(path), x, y, n_features, n_labels)


def make_xmc(
    n_samples: int = 10_000,
    *,
    n_features: int = 20_000,
    n_labels: int = 5_000,
    features_per_row: int = 40,
    labels_per_row: float = 3.0,
    words_per_label: int = 12,
    noise: float = 0.3,
    seed: int = 0,
) -> Dataset:
    """Make a synthetic data set that can be learned, shaped like product or document tags.

    Every label owns a few features, its words. A row has one or more labels, and mostly the words
    of its labels, beside words that are drawn by frequency alone. Words and labels are both
    long-tailed: a few are everywhere and most are rare. Values are term frequency times inverse
    document frequency, and rows have unit length.

    Rows are independent, so `Dataset.split` makes a training and a test set of them.

    Parameters
    ----------
    n_samples : int
        Number of rows.
    n_features, n_labels : int
        Numbers of columns.
    features_per_row : int
        Words drawn for a row; as some are drawn twice, it has somewhat fewer features.
    labels_per_row : float
        Labels drawn for a row on average, at least 1.
    words_per_label : int
        Words that a label owns. Labels share words.
    noise : float
        Share of the words, from 0 to below 1, that have nothing to do with the labels.
    seed : int
        The same seed gives the same data.

    Returns
    -------
    Dataset
        Equal to what `read_xmc` returns for such data.

    Examples
    --------
    >>> train, test = make_xmc(1_200, n_features=2_000, n_labels=300, seed=1).split(1_000)
    >>> train.n_features, test.n_labels
    (2000, 300)
    """
    rows = checks.whole("n_samples", n_samples, 1)
    features = checks.whole("n_features", n_features, 1, _MOST_COLUMNS)
    labels = checks.whole("n_labels", n_labels, 1, _MOST_COLUMNS)
    length = checks.whole("features_per_row", features_per_row, 1)
    owned = checks.whole("words_per_label", words_per_label, 1)
    mean = checks.number("labels_per_row", labels_per_row, least=1.0)
    share = checks.number("noise", noise, least=0.0, below=1.0)
    random = np.random.default_rng(checks.whole("seed", seed, 0))

    word_of = _long_tailed(random, features, labels * owned).reshape(labels, owned)
    counts = 1 + random.poisson(mean - 1.0, rows)
    starts = np.concatenate(([0], np.cumsum(counts)))
    drawn = _long_tailed(random, labels, int(starts[-1]))

    # Each word is one of a random label of its row, or else noise.
    source = starts[:-1, None] + (random.random((rows, length)) * counts[:, None]).astype(np.int64)
    words = word_of[drawn[source], random.integers(owned, size=(rows, length))]
    noisy = random.random((rows, length)) < share
    words[noisy] = _long_tailed(random, features, int(np.count_nonzero(noisy)))

    X = _counted(np.arange(rows + 1) * length, words.ravel(), features)
    Y = _counted(starts, drawn, labels)
    Y.data[:] = 1.0
    _tf_idf(X)
    return Dataset(X, Y)


def _long_tailed(random: np.random.Generator, n: int, size: int) -> NDArray[np.int64]:
    """Draw ids below `n`, where id `i` has a weight of about ``1 / (i + n ** 0.5)``.

    The shift keeps the first few ids from being in every row, which Zipf's law alone would do.
    """
    shift = float(np.sqrt(n))
    # The inverse of the distribution function, so that no table of weights is searched.
    draws = shift * ((n + shift) / shift) ** random.random(size) - shift
    return np.minimum(draws.astype(np.int64), n - 1)


def _counted(indptr: NDArray[np.int64], ids: NDArray[np.int64], columns: int) -> csr_array[Any]:
    """Return how often each id is in a row, as canonical CSR."""
    matrix = _csr(indptr, ids.astype(np.int32), np.ones(len(ids), dtype=np.float32), columns)
    matrix.sum_duplicates()
    return matrix


def _tf_idf(counts: csr_array[Any]) -> None:
    """Turn counts to tf-idf rows of unit length, in place."""
    rows, columns = counts.shape
    documents = np.bincount(counts.indices, minlength=columns)
    idf = np.log((rows + 1.0) / (documents + 1.0)) + 1.0
    weights: _Floats = (1.0 + np.log(counts.data)) * idf[counts.indices]
    lengths = np.sqrt(np.add.reduceat(weights**2, counts.indptr[:-1]))
    counts.data[:] = weights / np.repeat(lengths, np.diff(counts.indptr))


def _csr(
    indptr: NDArray[np.int64], indices: NDArray[np.int32], data: NDArray[Any], columns: int
) -> csr_array[Any]:
    """Wrap arrays in CSR; the large ones are borrowed."""
    # SciPy casts indices and bounds to one dtype; casting the bounds here spares the indices.
    bounds = indptr.astype(np.int32) if len(indices) <= _MOST_COLUMNS else indptr
    return csr_array((data, indices, bounds), shape=(len(indptr) - 1, columns))


def _columns(name: str, matrix: object) -> int:
    shape: tuple[int, ...] = getattr(matrix, "shape", ())
    if len(shape) != 2:
        raise TypeError(
            f"{name}: found {type(matrix).__name__}, wanted a SciPy CSR matrix or array"
        )
    return int(shape[1])

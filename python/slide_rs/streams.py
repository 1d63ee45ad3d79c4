"""Rows that come in pieces, for sets that memory does not hold."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import Any, NamedTuple

from numpy.typing import NDArray
from scipy.sparse import csr_array

from slide_rs import checks, prefetch

__all__ = ["Batch", "Stream", "as_batch", "csr"]

#: Rows among which a row is shuffled.
BUFFER = 100_000
#: Pieces that are read ahead.
AHEAD = 2


class Batch(NamedTuple):
    """Rows of features, their labels, and if they have any, their weights.

    Examples
    --------
    >>> import numpy as np
    >>> Batch(np.eye(2, dtype=np.float32), [[0], [1]]).weight is None
    True
    """

    #: Features, as `Network.fit` takes them.
    X: Any
    #: Labels, as `Network.fit` takes them.
    Y: Any
    #: Factor on the loss of each row, or None.
    weight: Any = None


class Stream:
    """Rows that come in pieces, once an epoch; `Network.fit` trains on it in place of X and Y.

    Pieces are cut and joined as batches need them, so their sizes have no meaning but for memory.
    Rows are shuffled in a buffer; the order is that of the seeds and the pieces, whatever the speed
    of reading.

    Parameters
    ----------
    pairs : iterable of pairs (X, Y), or of triples (X, Y, weight)
        X and Y as in `Network.fit`. It is gone through once for each epoch, and once before if
        `n_rows` is not known. An iterator, such as a generator, ends after one epoch. Arrays are
        held and not copied, so they must not be filled anew for the next piece.
    n_rows : int, optional
        The number of rows of all pieces, which the schedule of the learning rate needs. They are
        counted when not given, but for iterators.
    n_features, n_labels : int, optional
        Numbers of columns. Only `batches` needs them: ``fit`` knows those of its network.
    shuffle_buffer : int
        Rows that are held in memory to be shuffled; half of them stay for the rows that come next.
        0 leaves the rows in their order.
    seed : int
        Which rows stay in the buffer.
    prefetch : int
        Pieces that a thread reads ahead of training; 0 for no thread.

    Raises
    ------
    TypeError
        If `pairs` is nothing to go through.

    Examples
    --------
    >>> import numpy as np
    >>> from slide_rs import Network, layers
    >>> X = np.eye(4, dtype=np.float32)
    >>> net = Network([layers.SparseInput(4), layers.Dense(8), layers.SampledDense(4)])
    >>> pieces = [(X[:3], [0, 1, 2]), (X[3:], [3])]
    >>> net.fit(Stream(pieces), epochs=2, verbose=False).epochs
    [1, 2]
    """

    def __init__(
        self,
        pairs: Iterable[Any],
        *,
        n_rows: int | None = None,
        n_features: int | None = None,
        n_labels: int | None = None,
        shuffle_buffer: int = BUFFER,
        seed: int = 0,
        prefetch: int = AHEAD,
    ) -> None:
        if not isinstance(pairs, Iterable) or isinstance(pairs, str | bytes):
            raise TypeError(f"pairs: found {type(pairs).__name__}, wanted an iterable of (X, Y)")
        self._pairs = pairs
        self._begun = False
        self._n_rows = _count("n_rows", n_rows)
        self._columns = _count("n_features", n_features), _count("n_labels", n_labels)
        self._buffer = checks.whole("shuffle_buffer", shuffle_buffer, 0, checks.MOST)
        self._seed = checks.whole("seed", seed, 0)
        self._depth = checks.whole("prefetch", prefetch, 0, 1024)

    @property
    def n_rows(self) -> int | None:
        """The number of rows; None if it has to be counted."""
        return self._n_rows

    @property
    def n_features(self) -> int | None:
        """The number of features, where it is known without a network."""
        return self._columns[0]

    @property
    def n_labels(self) -> int | None:
        """The number of labels, where it is known without a network."""
        return self._columns[1]

    @property
    def shuffle_buffer(self) -> int:
        """Rows that are held to be shuffled; 0 if their order stays."""
        return self._buffer

    @property
    def seed(self) -> int:
        """The seed of the buffer."""
        return self._seed

    @property
    def once(self) -> bool:
        """Whether it is an iterator, which can be gone through only once."""
        return isinstance(self._pairs, Iterator)

    def pieces(
        self, n_features: int | None = None, n_labels: int | None = None
    ) -> Generator[Batch, None, None]:
        """Yield the pieces in their order, read ahead by a thread that ends with this iterator.

        Parameters
        ----------
        n_features, n_labels : int, optional
            The columns that pieces shall have where their source does not say.

        Raises
        ------
        ValueError
            If this is an iterator that was gone through before.
        """
        if self.once and self._begun:
            raise ValueError(
                "stream: found an iterator that was used before, wanted one that begins anew each "
                "time, such as a list or an object whose __iter__ is a generator function"
            )
        self._begun = True
        columns = (n_features or self.n_features, n_labels or self.n_labels)
        return prefetch.ahead(lambda: self._read(*columns), self._depth)

    def __iter__(self) -> Iterator[Batch]:
        return self.pieces()

    def _read(self, n_features: int | None, n_labels: int | None) -> Iterator[Batch]:
        """Yield the pieces as they come, in the thread that reads ahead."""
        for number, found in enumerate(self._pairs):
            yield as_batch(found, number)


def as_batch(found: object, number: int) -> Batch:
    """Return piece `number` of a stream as a batch.

    Examples
    --------
    >>> as_batch(("X", "Y"), 0)
    Batch(X='X', Y='Y', weight=None)
    """
    if isinstance(found, tuple | list) and len(found) in (2, 3):
        return Batch(*found)
    size = f" of {len(found)}" if isinstance(found, tuple | list) else ""
    raise TypeError(
        f"piece {number} of the stream: found {type(found).__name__}{size}, wanted a pair (X, Y) "
        "or (X, Y, weight)"
    )


def csr(
    indptr: NDArray[Any], ids: NDArray[Any], values: NDArray[Any], columns: int
) -> csr_array[Any]:
    """Return CSR that borrows ids and values; only the bounds are cast, to the type of the ids.

    Examples
    --------
    >>> import numpy as np
    >>> csr(np.array([0, 1]), np.array([2], np.int32), np.ones(1, np.float32), 3).shape
    (1, 3)
    """
    # SciPy copies what is a small part of a larger array, unless it is put in afterwards.
    found = csr_array((len(indptr) - 1, columns), dtype=values.dtype)
    found.indptr, found.indices = indptr.astype(ids.dtype, copy=False), ids
    found.data = values
    return found


def _count(name: str, found: object) -> int | None:
    return None if found is None else checks.whole(name, found, 1)

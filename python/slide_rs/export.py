"""Networks for other programs: weights, ONNX graphs, and indexes of the output rows.

`Network.save` writes what goes on training: configuration, counters, moments, rows in 16 bits. What
is written here is for programs that compute, and slide_rs does not read it back.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slide_rs import checks, extras, onnx_graph, tensors
from slide_rs.arrays import features, n_rows
from slide_rs.onnx_graph import PADDING
from slide_rs.plain import Plain, check_network

__all__ = [
    "PADDING",
    "hidden",
    "padded",
    "queries",
    "to_faiss",
    "to_onnx",
    "to_safetensors",
    "to_usearch",
]

INPUTS = ("padded", "dense")
_OPSET = 17
# Rows that are copied at a time.
_CHUNK = 65_536


def to_safetensors(model: object, path: str | os.PathLike[str]) -> None:
    """Write the weights by the names of `Network.weights`, all as float32.

    `Network.save` writes the same format and more: the configuration, counters and the moments of
    the optimiser, and rows in 16 bits where they are kept so. This is the plain dictionary that
    ``safetensors.numpy.load_file`` returns again.

    Parameters
    ----------
    model : Network
        The network.
    path : str or path
        The file.

    Examples
    --------
    >>> import tempfile
    >>> from slide_rs import Network, layers
    >>> net = Network([layers.SparseInput(9), layers.Dense(4), layers.SampledDense(5)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     to_safetensors(net, f"{folder}/weights.safetensors")
    ...     os.path.getsize(f"{folder}/weights.safetensors") > 4 * (9 * 4 + 4 + 4 * 5 + 5)
    True
    """
    network = check_network(model, "export.to_safetensors")
    tensors.write(checks.path("path", path), network.weights())


def to_onnx(
    network: object,
    path: str | os.PathLike[str],
    k: int | None = None,
    *,
    opset: int = _OPSET,
    inputs: str = "padded",
    every_neuron: bool = False,
    external_data: bool | None = None,
) -> None:
    """Write the network as an ONNX graph that scores every label exactly.

    Scores are those of `Network.predict_topk`: what goes into the loss, before any softmax.

    Parameters
    ----------
    network : Network
        The network.
    path : str or path
        The file.
    k : int, optional
        Return the `k` best of each row: ``labels``, int64, and ``scores``, float32, both (rows, k),
        best first, ties by lower label. When not given, ``scores`` of all labels, (rows, labels).
    opset : int
        Version of the operators, at least 13.
    inputs : {"padded", "dense"}
        ``"padded"``: ``ids``, int64, and ``values``, float32, both (rows, features of the longest
        row), as `padded` makes them; a negative id is padding, whatever its value. ``"dense"``:
        ``x``, float32, (rows, features).
    every_neuron : bool
        Export sampled hidden layers with all of their neurons, which the network itself computes
        only with `samplers.Full`; scores then differ from those of the network.
    external_data : bool, optional
        Whether the weights stand in a file of their own, ``<path>.data``, which belongs beside the
        model; by rule where they are 2 GB or more, which is all that a model can hold.

    Raises
    ------
    ImportError
        Without onnx: ``pip install 'slide_rs[onnx]'``.
    TypeError
        If `network` is an `Ensemble`: its members are exported one by one, the ranker is not.
    ValueError
        If a sampled hidden layer chooses its neurons and `every_neuron` is not given.
    """
    net = check_network(network, "export.to_onnx")
    onnx = extras.imported("onnx", "onnx", "export.to_onnx")
    target = checks.path("path", path)
    units = net.config.output.units
    best = None if k is None else checks.whole("k", k, 1, units)
    newest = int(onnx.defs.onnx_opset_version())
    version = checks.whole("opset", opset, onnx_graph.OLDEST, newest)
    chosen = checks.choice("inputs", inputs, INPUTS)
    plain = Plain.of(net, every_neuron=every_neuron)
    model, arrays = onnx_graph.graph_model(plain, best, version, chosen)
    size = sum(array.nbytes for array in arrays.values())
    beside = size > onnx_graph.MOST_INSIDE
    if external_data is not None:
        if beside and not checks.flag("external_data", external_data):
            raise ValueError(f"external_data: found False, wanted True for {size:,} bytes")
        beside = checks.flag("external_data", external_data)
    onnx_graph.write(model, arrays, target, beside=beside)


def padded(X: object) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return sparse rows as the inputs ``ids`` and ``values`` of an exported graph.

    Parameters
    ----------
    X : CSR matrix or array
        Features.

    Returns
    -------
    ids : array of int64, shape (rows, features of the longest row)
        The features of each row, then `PADDING`, which is -1.
    values : array of float32, of the same shape
        Their values, then 0.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> ids, values = padded(csr_array(np.array([[0, 2, 3], [0, 0, 4]], np.float32)))
    >>> ids.tolist(), values.tolist()
    ([[1, 2], [2, -1]], [[2.0, 3.0], [4.0, 0.0]])
    """
    shape: tuple[int, ...] = getattr(X, "shape", ())
    found = features(X, shape[1] if len(shape) == 2 else 0)
    if not isinstance(found, tuple):
        raise TypeError(f"X: found {type(X).__name__}, wanted a SciPy CSR matrix or array")
    indptr, indices, data = found
    lengths = np.diff(indptr)
    # A row without features still is a row, and graphs take no arrays without columns.
    wide = (len(lengths), max(int(lengths.max(initial=0)), 1))
    kept = np.arange(wide[1]) < lengths[:, None]
    ids = np.full(wide, PADDING, dtype=np.int64)
    values = np.zeros(wide, dtype=np.float32)
    ids[kept], values[kept] = indices, data
    return ids, values


def hidden(network: object, X: object, *, every_neuron: bool = False) -> NDArray[np.float32]:
    """Return the vectors that the output layer is given, shape (rows, units of the last layer).

    Parameters
    ----------
    network : Network
        A network with at least one hidden layer.
    X : as in ``Network.fit``
        The rows; sparse ones stay sparse.
    every_neuron : bool
        As in `to_onnx`.

    Examples
    --------
    >>> from slide_rs import Network, layers
    >>> net = Network([layers.SparseInput(9), layers.Dense(4, norm=2), layers.SampledDense(5)])
    >>> np.linalg.norm(hidden(net, np.eye(9, dtype=np.float32)), axis=1).round(5)[:3]
    array([2., 2., 2.], dtype=float32)
    """
    net = check_network(network, "export.hidden")
    x = features(X, net.config.input.in_features)
    return Plain.of(net, every_neuron=every_neuron).hidden(x)


def queries(network: object, X: object, *, every_neuron: bool = False) -> NDArray[np.float32]:
    """Return the hidden vectors of rows with a 1 behind each, for an index of the output rows.

    The inner product with what `to_usearch` and `to_faiss` write for a label is its score.

    Parameters
    ----------
    network, X, every_neuron : as in ``hidden``
        The network and the rows.

    Examples
    --------
    >>> from slide_rs import Network, layers
    >>> net = Network([layers.SparseInput(9), layers.Dense(4), layers.SampledDense(5)])
    >>> queries(net, np.eye(9, dtype=np.float32)).shape
    (9, 5)
    """
    found = hidden(network, X, every_neuron=every_neuron)
    return np.concatenate([found, np.ones((n_rows(found), 1), np.float32)], axis=1)


def to_usearch(
    network: object, path: str | os.PathLike[str], *, threads: int | None = None, **options: Any
) -> None:
    """Write the output rows as an index of usearch, to search with `queries`.

    A label's vector is its row and its bias (0 where it has none); its key is the label. The metric
    is the inner product, of which usearch tells ``1 - score``.

    Parameters
    ----------
    network : Network
        A network with at least one hidden layer.
    path : str or path
        The file.
    threads : int, optional
        All that there are.
    **options
        Of ``usearch.index.Index``, such as ``connectivity`` and ``expansion_add``.

    Raises
    ------
    ImportError
        Without usearch: ``pip install 'slide_rs[ann]'``.
    """
    plain = _rows_of(network, "export.to_usearch")
    found = extras.imported("usearch.index", "ann", "export.to_usearch")
    n_labels, width = plain.rows.shape
    workers = checks.threads(threads) or 0
    index = found.Index(ndim=width + 1, **{"metric": "ip", "dtype": "f32", **options})
    for start in range(0, n_labels, _CHUNK):
        vectors = _vectors(plain, start)
        keys = np.arange(start, start + len(vectors), dtype=np.uint64)
        index.add(keys, vectors, threads=workers)
    index.save(checks.path("path", path))


def to_faiss(network: object, path: str | os.PathLike[str], *, factory: str = "Flat") -> None:
    """Write the output rows as an index of faiss by inner product, to search with `queries`.

    A label's vector is its row and its bias (0 where it has none); its id is the label.

    Parameters
    ----------
    network : Network
        A network with at least one hidden layer.
    path : str or path
        The file.
    factory : str
        What ``faiss.index_factory`` makes: ``"Flat"`` is exact, ``"HNSW32"`` a graph; an index that
        has to be trained is trained on all rows.

    Raises
    ------
    ImportError
        Without faiss: ``pip install 'slide_rs[faiss]'``.
    """
    plain = _rows_of(network, "export.to_faiss")
    faiss = extras.imported("faiss", "faiss", "export.to_faiss")
    n_labels, width = plain.rows.shape
    index = faiss.index_factory(width + 1, factory, faiss.METRIC_INNER_PRODUCT)
    if not index.is_trained:
        index.train(np.concatenate([_vectors(plain, i) for i in range(0, n_labels, _CHUNK)]))
    for start in range(0, n_labels, _CHUNK):
        index.add(_vectors(plain, start))
    faiss.write_index(index, checks.path("path", path))


def _rows_of(network: object, call: str) -> Plain:
    net = check_network(network, call)
    if not net.config.hidden:
        raise ValueError("network: found no hidden layer, so no hidden vectors; wanted one")
    # Which neurons hidden layers compute is up to the queries.
    return Plain.of(net, every_neuron=True)


def _vectors(plain: Plain, start: int) -> NDArray[np.float32]:
    """Return some rows with their biases as a last coordinate."""
    rows = plain.rows[start : start + _CHUNK]
    bias = (
        np.zeros(len(rows), np.float32) if plain.bias is None else plain.bias[start:][: len(rows)]
    )
    return np.concatenate([rows, bias[:, None]], axis=1)

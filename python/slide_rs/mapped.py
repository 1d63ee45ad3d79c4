"""A network whose file is memory-mapped: it answers without being read first, and learns nothing.

Pages come from the file when they are wanted, and processes that map the same file share them.
NumPy and SciPy compute the answers: exact ones, in time that grows with the labels.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slide_rs import checks, evaluation, prediction
from slide_rs.archives import of_network
from slide_rs.arrays import Features, features, n_rows, slice_rows
from slide_rs.config import NetworkConfig
from slide_rs.labels import Labels, labels
from slide_rs.layers import Dense
from slide_rs.plain import Plain
from slide_rs.shortlists import ordered
from slide_rs.topk import TopK

__all__ = ["MappedNetwork", "tensors"]

#: The format of models; checkpoints, whose weights may be owed steps, have another.
FORMAT = 3
# Rows of X, and labels, whose scores are held at a time: 64 MB.
_ROWS, _LABELS = 1024, 16_384


class MappedNetwork:
    """What ``slide_rs.load(path, mmap=True)`` returns.

    The file must not change while it is used. Sampled hidden layers must compute all their neurons
    (`samplers.Full`), as only hash tables could choose among them.

    Examples
    --------
    >>> import tempfile
    >>> import slide_rs
    >>> from slide_rs import Network, layers
    >>> net = Network([layers.SparseInput(4), layers.Dense(8), layers.SampledDense(5)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     net.save(f"{folder}/net.safetensors")
    ...     mapped = slide_rs.load(f"{folder}/net.safetensors", mmap=True)
    ...     mapped.predict_topk(np.eye(4, dtype=np.float32), k=2).labels.shape
    (4, 2)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = of_network(path)
        config, weights = tensors(self._path)
        # Rows of the output layer stay as in the file, and are widened where they are read.
        hidden = {n: w if n == "output.weight" else _floats(w) for n, w in weights.items()}
        self._core = _Rows(Plain.from_weights(config, hidden))

    @property
    def config(self) -> NetworkConfig:
        """The description of the network."""
        return self._core.plain.config

    def predict_topk(
        self,
        X: object,
        k: int = 5,
        *,
        threshold: float | None = None,
        candidates: object = None,
        copy: bool = True,
    ) -> TopK:
        """Return the `k` best labels of each row, as `Network.predict_topk` with ``mode="exact"``.

        Scores may differ from its by rounding, as sums are added up in another order.
        """
        config = self.config
        x = features(X, config.input.in_features, copy=copy)
        k = checks.whole("k", k, 1)
        if k > config.output.units:
            raise ValueError(f"k: found {k}, wanted at most {config.output.units}, all labels")
        top = prediction.answer(self._core, x, (k, "exact"), candidates, config.output.units)
        return top if threshold is None else prediction.masked(top, threshold)

    def evaluate(
        self,
        X: object,
        Y: object,
        metrics: Sequence[str] = ("p@1", "p@3", "p@5", "ndcg@5"),
        *,
        inv_propensity: NDArray[np.floating[Any]] | None = None,
    ) -> dict[str, float]:
        """Predict the rows of `X` and compare with `Y`, as `Network.evaluate`."""
        config = self.config
        names = evaluation.check(metrics, propensity=inv_propensity is not None)
        x = features(X, config.input.in_features)
        y = labels(Y, config.output.units, n_rows(x))
        units = config.output.units
        return evaluation.measure(self._core, x, y, names, units, inv_propensity, "exact")

    def __reduce__(self) -> tuple[Any, ...]:
        return MappedNetwork, (self._path,)

    def __repr__(self) -> str:
        return f"<slide_rs.MappedNetwork of {self._path}>"


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Scores by rows of the output layer: what prediction asks of the engine."""

    plain: Plain

    def predict_topk(
        self, x: Features, k: int, mode: str
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        tops = [
            self._best(self.plain.hidden(slice_rows(x, start, start + _ROWS)), k)
            for start in range(0, n_rows(x), _ROWS)
        ]
        if not tops:
            return np.empty((0, k), np.int32), np.empty((0, k), np.float32)
        return tuple(np.concatenate(parts) for parts in zip(*tops, strict=True))  # type: ignore[return-value]

    def _best(self, hidden: NDArray[np.float32], k: int) -> TopK:
        units = self.plain.config.output.units
        best = TopK(np.empty((len(hidden), 0), np.int32), np.empty((len(hidden), 0), np.float32))
        for start in range(0, units, _LABELS):
            stop = min(start + _LABELS, units)
            scores = hidden @ _floats(self.plain.rows[start:stop]).T
            if self.plain.bias is not None:
                scores += self.plain.bias[start:stop]
            ids = np.broadcast_to(np.arange(start, stop, dtype=np.int32), scores.shape)
            if stop - start > k:
                # All that are no worse than the k-th, so that of equal ones the first are kept.
                worst = np.partition(scores, -k, axis=1)[:, -k, None]
                most = int((scores >= worst).sum(axis=1).max())
                chosen = np.argpartition(-scores, most - 1, axis=1)[:, :most]
                ids, scores = ids[0][chosen], np.take_along_axis(scores, chosen, axis=1)
            best = ordered(
                TopK(
                    np.concatenate((best.labels, ids), axis=1),
                    np.concatenate((best.scores, scores), axis=1),
                ),
                k,
            )
        return best

    def score(self, x: Features, candidates: Labels) -> NDArray[np.float32]:
        indptr, ids = candidates
        hidden = self.plain.hidden(x)
        scores = np.empty(len(ids), dtype=np.float32)
        for row in range(len(indptr) - 1):
            own = slice(int(indptr[row]), int(indptr[row + 1]))
            scores[own] = _floats(self.plain.rows[ids[own]]) @ hidden[row]
        if self.plain.bias is not None:
            scores += self.plain.bias[ids]
        return scores


def tensors(path: str) -> tuple[NetworkConfig, dict[str, NDArray[Any]]]:
    """Return the description in a model file, and its weights by name, mapped: bfloat16 as uint16.

    Raises
    ------
    OSError
        If the file can not be read.
    ValueError
        If it is no model, or is cut off.
    """
    size = os.path.getsize(path)
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(size - 8, 100_000_000):
                raise ValueError(f"its header would have {length} bytes")
            header = json.loads(file.read(length))
        told = json.loads(header.pop("__metadata__")["slide_rs"])
        if told["format"] != FORMAT:
            raise ValueError(f"its format is {told['format']}, not {FORMAT}, that of saved models")
        config = NetworkConfig.from_json(json.dumps(told["config"]))
        found = {
            name: _mapped(path, 8 + length, size, header[name], shape)
            for name, shape in _shapes(config).items()
            if name in header or not name.endswith("bias")
        }
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a readable slide_rs model: {error}") from None
    return config, found


def _shapes(config: NetworkConfig) -> Mapping[str, tuple[int, ...]]:
    """Return the shapes of weights as `Network.weights` has them."""
    shapes: dict[str, tuple[int, ...]] = {}
    width = config.input.in_features
    for i, layer in enumerate(config.hidden):
        sizes = (width, layer.units)
        shapes[f"hidden.{i}.weight"] = sizes if isinstance(layer, Dense) else sizes[::-1]
        shapes[f"hidden.{i}.bias"] = (layer.units,)
        width = layer.units
    shapes["output.weight"] = (config.output.units, width)
    shapes["output.bias"] = (config.output.units,)
    return shapes


def _mapped(
    path: str, start: int, size: int, told: Mapping[str, Any], shape: tuple[int, ...]
) -> NDArray[Any]:
    kinds: dict[str, np.dtype[Any]] = {
        "F32": np.dtype("<f4"),
        "BF16": np.dtype("<u2"),
        "F16": np.dtype("<f2"),
    }
    dtype = kinds[told["dtype"]]
    first, last = (int(place) for place in told["data_offsets"])
    if tuple(told["shape"]) != shape or last - first != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"a tensor of shape {told['shape']} is no {shape}")
    if not 0 <= first <= last <= size - start:
        raise ValueError(f"{start + last} bytes are wanted, and there are {size}")
    return np.memmap(path, dtype, "r", start + first, shape)


def _floats(rows: NDArray[Any]) -> NDArray[np.float32]:
    """Return rows as float32; bfloat16 is its upper half."""
    if rows.dtype != np.uint16:
        return np.asarray(rows, dtype=np.float32)
    return (rows.astype(np.uint32) << 16).view(np.float32)

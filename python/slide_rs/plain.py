"""A network as plain arrays, for programs that know nothing of samplers and hash tables.

`Plain` has the weights of each layer as (inputs, units), and computes hidden vectors with NumPy and
SciPy alone: rows of few features stay so, and only the hidden vectors are dense. A sampled hidden
layer computes all of its neurons here, which the network itself does only with `samplers.Full`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from slide_rs import checks, engine, samplers
from slide_rs.arrays import Features, n_rows, slice_rows
from slide_rs.config import NetworkConfig
from slide_rs.layers import Dense, Hidden

if TYPE_CHECKING:
    from slide_rs.network import Network

__all__ = ["LEAK", "Plain", "PlainLayer", "check_network"]

#: What leaky ReLU keeps of what is below zero.
LEAK = 0.01
# Rows at a time: what is made on the way stays small.
_CHUNK = 4096
_Floats = NDArray[np.float32]


def _sigmoid(z: _Floats) -> Any:
    # Imported here: `import slide_rs` does without.
    from scipy.special import expit

    return expit(z)


def _gelu(z: _Floats) -> Any:
    from scipy.special import ndtr

    return z * ndtr(z)


_ACTIVATIONS: Mapping[str, Callable[[_Floats], Any]] = {
    "linear": lambda z: z,
    "relu": lambda z: np.maximum(z, np.float32(0)),
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "leaky_relu": lambda z: np.where(z > 0, z, np.float32(LEAK) * z),
    "gelu": _gelu,
}


def check_network(network: object, call: str) -> Network:
    """Return `network` if it is one; of an ensemble the error names the members.

    Examples
    --------
    >>> check_network("net", "export.to_onnx")
    Traceback (most recent call last):
    TypeError: network: found str, wanted a Network
    """
    members = getattr(network, "members", None)
    if isinstance(members, tuple):
        raise TypeError(
            f"network: found an Ensemble of {len(members)}, wanted a Network: its ranker has no "
            f"such form, its networks do, one by one: {call}(model.members[i], ...) with i from 0 "
            f"to {len(members) - 1}"
        )
    engine.core(network)
    return network  # type: ignore[return-value]


@dataclass(frozen=True, slots=True, eq=False)
class PlainLayer:
    """A hidden layer: ``activation(x @ weight + bias)``, scaled to length `norm` unless that is 0.

    Examples
    --------
    >>> layer = PlainLayer("hidden.0", np.eye(2, dtype=np.float32), None, "relu", 2.0)
    >>> layer(np.array([[3.0, -1.0]], np.float32))
    array([[2., 0.]], dtype=float32)
    """

    #: As in `Network.weights`.
    name: str
    #: Shape (inputs, units).
    weight: _Floats
    #: Shape (units,).
    bias: _Floats | None
    activation: str
    norm: float

    def __call__(self, x: Any) -> _Floats:
        """Return the outputs for rows, dense or sparse, as a dense array."""
        sums: _Floats = np.asarray(x @ self.weight, dtype=np.float32)
        if self.bias is not None:
            sums += self.bias
        found: _Floats = np.asarray(_ACTIVATIONS[self.activation](sums), dtype=np.float32)
        if self.norm:
            # In float64, where the squares of float32 never leave the range.
            lengths = np.sqrt(np.square(found, dtype=np.float64).sum(axis=1, keepdims=True))
            found = (found * (self.norm / np.where(lengths > 0, lengths, 1))).astype(np.float32)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Plain:
    """The layers of a network as arrays.

    Examples
    --------
    >>> from slide_rs import Network, layers
    >>> net = Network([layers.SparseInput(9), layers.Dense(4), layers.SampledDense(5)])
    >>> plain = Plain.of(net)
    >>> plain.rows.shape, plain.hidden(np.eye(9, dtype=np.float32)).shape
    ((5, 4), (9, 4))
    """

    config: NetworkConfig
    layers: tuple[PlainLayer, ...]
    #: The rows of the output layer, shape (labels, inputs).
    rows: _Floats
    #: Its biases, shape (labels,), if it has any.
    bias: _Floats | None

    @classmethod
    def of(cls, network: Network, *, every_neuron: bool = False) -> Plain:
        """Take the weights out of a network.

        Raises
        ------
        ValueError
            If a sampled hidden layer computes only some of its neurons, unless `every_neuron`
            says that all of them shall be.
        """
        weights, every = network.weights(), checks.flag("every_neuron", every_neuron)
        return cls.from_weights(network.config, weights, every_neuron=every)

    @classmethod
    def from_weights(
        cls,
        config: NetworkConfig,
        weights: Mapping[str, NDArray[Any]],
        *,
        every_neuron: bool = False,
    ) -> Plain:
        """Put them together from what `Network.weights` returns, or a file holds.

        Raises
        ------
        ValueError
            As `of`.
        """
        for name, layer in [] if every_neuron else list(config.sampled.items())[:-1]:
            if not isinstance(layer.sampler, samplers.Full):
                raise ValueError(
                    f"network: found {name}, which computes the neurons that "
                    f"samplers.{type(layer.sampler).__name__} chooses, wanted samplers.Full; "
                    "every_neuron=True computes all of them, with other scores than predict"
                )
        found = tuple(
            _layer(f"hidden.{i}", layer, weights) for i, layer in enumerate(config.hidden)
        )
        return cls(config, found, weights["output.weight"], weights.get("output.bias"))

    def hidden(self, x: Features) -> _Floats:
        """Return what the output layer is given for each row, shape (rows, inputs)."""
        if not self.layers:
            raise ValueError("network: found no hidden layer, so no hidden vectors; wanted one")
        out = np.empty((n_rows(x), self.rows.shape[1]), dtype=np.float32)
        for start in range(0, n_rows(x), _CHUNK):
            stop = min(start + _CHUNK, n_rows(x))
            part = _matrix(slice_rows(x, start, stop), self.config)
            for layer in self.layers:
                part = layer(part)
            out[start:stop] = part
        return out


def _layer(name: str, layer: Hidden, weights: Mapping[str, _Floats]) -> PlainLayer:
    weight = weights[f"{name}.weight"]
    return PlainLayer(
        name,
        weight if isinstance(layer, Dense) else weight.T,
        weights.get(f"{name}.bias"),
        layer.activation or "linear",
        layer.norm or 0.0,
    )


def _matrix(x: Features, config: NetworkConfig) -> Any:
    """Return rows as the first layer takes them: scaled to length 1 where the input says so."""
    if not isinstance(x, tuple):
        if not config.input.normalize:
            return x
        lengths = np.sqrt(np.square(x, dtype=np.float64).sum(axis=1, keepdims=True))
        return (x / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    indptr, indices, data = x
    shape = (len(indptr) - 1, config.input.in_features)
    if config.input.normalize:
        rows = np.repeat(np.arange(shape[0]), np.diff(indptr))
        squares = np.bincount(rows, np.square(data, dtype=np.float64), shape[0])
        data = (data / np.sqrt(np.where(squares > 0, squares, 1))[rows]).astype(np.float32)
    return csr_array((data, indices, indptr), shape=shape)

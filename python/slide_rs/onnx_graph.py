"""The graph of a network in ONNX: exact scores of all labels, by operators of opset 13 and up."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slide_rs import extras
from slide_rs.plain import LEAK, Plain, PlainLayer

__all__ = ["PADDING", "graph_model", "write"]

#: The id of no feature, which fills rows that have fewer than others.
PADDING = -1
#: The oldest opset in which reductions take their axes as an input.
OLDEST = 13
#: Protocol buffers end at 2^31 bytes; names and operators take the rest.
MOST_INSIDE = 2**31 - 2**20
#: Where an array begins in the file beside the model, so that it can be mapped.
_ALIGNMENT = 4096


def graph_model(plain: Plain, k: int | None, opset: int, inputs: str) -> tuple[Any, dict[str, Any]]:
    """Return a model without its large arrays, and these by name.

    Parameters
    ----------
    plain : Plain
        The network.
    k : int or None
        Labels of a row; None for the scores of all.
    opset : int
        The version of the operators.
    inputs : {"padded", "dense"}
        What the graph takes.
    """
    onnx = _onnx()
    graph = _Graph(onnx.helper)
    n_features = plain.config.input.in_features
    layers = [*plain.layers, PlainLayer("output", plain.rows.T, plain.bias, "linear", 0.0)]
    if inputs == "dense":
        given = [("x", onnx.TensorProto.FLOAT, ["rows", n_features])]
        ids, values = None, "x"
    else:
        given = [
            ("ids", onnx.TensorProto.INT64, ["rows", "features"]),
            ("values", onnx.TensorProto.FLOAT, ["rows", "features"]),
        ]
        ids, values = graph.present()
    if plain.config.input.normalize:
        values = graph.scaled(values, 1.0)
    for layer in layers:
        sums = graph.product(values, layer) if ids is None else graph.gathered(ids, values, layer)
        values, ids = graph.activated(sums, layer), None
    n_labels = len(plain.rows)
    if k is None:
        graph.node("Identity", [values], "scores")
        told = [("scores", onnx.TensorProto.FLOAT, ["rows", n_labels])]
    else:
        graph.node("TopK", [values, graph.constant([k])], "scores", "labels", axis=-1)
        told = [
            ("labels", onnx.TensorProto.INT64, ["rows", k]),
            ("scores", onnx.TensorProto.FLOAT, ["rows", k]),
        ]
    described = [
        [onnx.helper.make_tensor_value_info(*one) for one in ends] for ends in (given, told)
    ]
    opsets = [onnx.helper.make_opsetid("", opset)]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, "slide_rs", *described, initializer=graph.small),
        opset_imports=opsets,
        ir_version=onnx.helper.find_min_ir_version_for(opsets),
        producer_name="slide_rs",
        producer_version=version("slide_rs"),
    )
    about = {"loss": plain.config.loss, "padding": f"{PADDING}"}
    onnx.helper.set_model_props(model, about)
    return model, graph.large


def write(model: Any, arrays: dict[str, NDArray[np.float32]], path: str, *, beside: bool) -> None:
    """Add the arrays to the model and write it; `beside`, to ``<path>.data``, one after another."""
    onnx = _onnx()
    if not beside:
        for name, array in arrays.items():
            model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
        Path(path).write_bytes(model.SerializeToString())
        return
    with open(f"{path}.data", "wb") as file:
        for name, array in arrays.items():
            file.seek(-file.tell() % _ALIGNMENT, os.SEEK_CUR)
            about = {
                "location": os.path.basename(f"{path}.data"),
                "offset": file.tell(),
                "length": array.nbytes,
            }
            tensor = onnx.TensorProto(
                name=name,
                dims=array.shape,
                data_type=onnx.TensorProto.FLOAT,
                data_location=onnx.TensorProto.EXTERNAL,
            )
            for key, value in about.items():
                tensor.external_data.add(key=key, value=f"{value}")
            model.graph.initializer.append(tensor)
            file.write(array.astype("<f4", copy=False).data)
    Path(path).write_bytes(model.SerializeToString())


@dataclass
class _Graph:
    """Nodes in the order of computing, each with outputs that no other has."""

    helper: Any
    nodes: list[Any] = field(default_factory=list)
    #: Constants that say how to compute.
    small: list[Any] = field(default_factory=list)
    #: Weights and biases.
    large: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def node(self, kind: str, inputs: list[str], *outputs: str, **options: Any) -> str:
        """Add a node; its first output is named after its place when no name is given."""
        names = outputs or (f"{kind.lower()}_{len(self.nodes)}",)
        self.nodes.append(self.helper.make_node(kind, inputs, list(names), **options))
        return names[0]

    def constant(self, values: Any, dtype: Any = np.int64) -> str:
        array = np.asarray(values, dtype=dtype)
        name = f"constant_{len(self.small)}"
        self.small.append(_onnx().numpy_helper.from_array(array, name))
        return name

    def array(self, name: str, values: NDArray[np.float32]) -> str:
        self.large[name] = np.ascontiguousarray(values)
        return name

    def cast(self, values: str, double: bool) -> str:
        tensor = _onnx().TensorProto
        return self.node("Cast", [values], to=tensor.DOUBLE if double else tensor.FLOAT)

    def present(self) -> tuple[str, str]:
        """Return ids and values in which padding is feature 0 with value 0."""
        zero = self.constant(0)
        is_feature = self.node("Not", [self.node("Less", ["ids", zero])])
        ids = self.node("Where", [is_feature, "ids", zero])
        nothing = self.constant(0, np.float32)
        return ids, self.node("Where", [is_feature, "values", nothing])

    def scaled(self, values: str, norm: float) -> str:
        """Scale rows to a length; in double precision, where no square leaves the range."""
        wide = self.cast(values, True)
        square = self.node("Mul", [wide, wide])
        square = self.node("ReduceSum", [square, self.constant([-1])], keepdims=1)
        length = self.node("Sqrt", [square])
        zero, one = self.constant(0, np.float64), self.constant(1, np.float64)
        positive = self.node("Greater", [length, zero])
        divisor = self.node("Where", [positive, length, one])
        factor = self.node("Div", [self.constant(norm, np.float64), divisor])
        return self.cast(self.node("Mul", [wide, factor]), False)

    def product(self, values: str, layer: PlainLayer) -> str:
        # The rows of sampled layers are kept as they are, and the product transposes them.
        transposed = int(not layer.weight.flags.c_contiguous)
        weight = layer.weight.T if transposed else layer.weight
        inputs = [values, self.array(f"{layer.name}.weight", weight)]
        if layer.bias is not None:
            inputs.append(self.array(f"{layer.name}.bias", layer.bias))
        return self.node("Gemm", inputs, transB=transposed)

    def gathered(self, ids: str, values: str, layer: PlainLayer) -> str:
        """Sum the rows of the features of each sample, times their values."""
        weight = self.array(f"{layer.name}.weight", layer.weight)
        rows = self.node("Gather", [weight, ids], axis=0)
        flat = self.node("Unsqueeze", [values, self.constant([1])])
        sums = self.node("MatMul", [flat, rows])
        sums = self.node("Squeeze", [sums, self.constant([1])])
        if layer.bias is None:
            return sums
        return self.node("Add", [sums, self.array(f"{layer.name}.bias", layer.bias)])

    def activated(self, z: str, layer: PlainLayer) -> str:
        match layer.activation:
            case "linear":
                pass
            case "leaky_relu":
                z = self.node("LeakyRelu", [z], alpha=LEAK)
            case "gelu":
                # Spelt out: the operator of this name is younger than most runtimes.
                half, one = self.constant(0.5, np.float32), self.constant(1, np.float32)
                within = self.node("Mul", [z, self.constant(0.5**0.5, np.float32)])
                below = self.node("Add", [self.node("Erf", [within]), one])
                z = self.node("Mul", [self.node("Mul", [z, half]), below])
            case name:
                z = self.node(name.capitalize(), [z])
        return self.scaled(z, layer.norm) if layer.norm else z


def _onnx() -> Any:
    return extras.imported("onnx", "onnx", "export.to_onnx")

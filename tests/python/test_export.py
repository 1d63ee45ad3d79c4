"""Exported networks compute in other programs what they compute here."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import slide_rs as sr
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file
from scipy.sparse import csr_array
from slide_rs import datasets, export, layers, onnx_graph, plain, samplers
from usearch.index import Index

Floats = NDArray[np.float32]
FULL = samplers.Full()
DATA = datasets.make_xmc(300, n_features=200, n_labels=70, seed=4)
STACKS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    **{
        activation: ([layers.Dense(24, activation=activation)], {})
        for activation in ("linear", "relu", "tanh", "sigmoid", "leaky_relu", "gelu")
    },
    "no norm": ([layers.Dense(24, activation="gelu", norm=0.0)], {}),
    "no bias": ([layers.Dense(24)], {"bias": False}),
    "bfloat16": ([layers.Dense(24, dtype="bfloat16")], {"dtype": "bfloat16"}),
    "float16": ([layers.Dense(24, dtype="float16")], {"dtype": "float16"}),
    "three layers": (
        [layers.Dense(24, "relu"), layers.Dense(20, "tanh", norm=3.0), layers.Dense(16)],
        {},
    ),
    "sampled hidden": ([layers.Dense(24, "relu"), layers.SampledDense(40, sampler=FULL)], {}),
    "sampled first": (
        [layers.SampledDense(40, activation="sigmoid", sampler=FULL, bias=False), layers.Dense(8)],
        {},
    ),
    "hash tables": ([layers.Dense(24)], {"sampler": samplers.LSH(n_active=20)}),
    "no hidden layer": ([], {}),
}


def fitted(name: str, normalize: bool = True) -> sr.Network:
    hidden, output = STACKS[name]
    first = layers.SparseInput(DATA.n_features, normalize=normalize)
    net = sr.Network([first, *hidden, layers.SampledDense(DATA.n_labels, **output)])
    net.fit(DATA.X, DATA.Y, epochs=2, batch_size=32, verbose=False)
    return net


@pytest.fixture(scope="module", params=STACKS)
def net(request: pytest.FixtureRequest) -> sr.Network:
    return fitted(request.param)


def all_scores(net: sr.Network, X: Any) -> Floats:
    """The scores of all labels, by the engine, in the order of the labels."""
    top = net.predict_topk(X, net.config.output.units)
    scores: Floats = np.empty_like(top.scores)
    np.put_along_axis(scores, top.labels.astype(np.int64), top.scores, axis=1)
    return scores


def tolerance(net: sr.Network, scores: Floats) -> float:
    """How far two orders of summation may be apart.

    A sum of n products is off by at most n roundings of the sum of their absolute values, which for
    inputs of length a and rows of length b is at most a b. A layer hands on what the layers before
    it were off by. The engine's erf is within 2e-7 of the true one, which is under two roundings.
    """
    weights = net.weights()
    hidden = [max(layer.norm or 0.0, 1.0) for layer in net.config.hidden]
    fan_in = [DATA.n_features, *(layer.units for layer in net.config.hidden)]
    rows = float(np.linalg.norm(weights["output.weight"], axis=1).max())
    roundings = (sum(fan_in) + 2 * len(hidden)) * float(np.finfo(np.float32).eps)
    length = max([*hidden, float(np.sqrt(fan_in[-1]))])
    return roundings * (length * rows + float(np.abs(scores).max()))


def run(path: Path, **given: NDArray[Any]) -> list[NDArray[Any]]:
    model = onnx.load(str(path))
    onnx.checker.check_model(str(path), full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    assert {one.name for one in session.get_inputs()} == set(given)
    found: list[NDArray[Any]] = session.run(None, given)
    assert model.producer_name == "slide_rs"
    return found


def with_odd_rows(X: Any) -> csr_array[Any]:
    """Rows of which one is empty and one has values whose squares are no float32."""
    X = X[:40].copy()
    X.data[X.indptr[3] : X.indptr[4]] *= np.float32(1e25)
    indptr = np.concatenate([X.indptr, X.indptr[-1:]])
    return csr_array((X.data, X.indices, indptr), shape=(41, X.shape[1]))


@pytest.mark.parametrize("inputs", ["padded", "dense"])
def test_onnxruntime_computes_the_scores_of_the_network(
    net: sr.Network, inputs: str, tmp_path: Path
) -> None:
    X = with_odd_rows(DATA.X)
    export.to_onnx(net, tmp_path / "net.onnx", inputs=inputs)
    if inputs == "dense":
        (found,) = run(tmp_path / "net.onnx", x=X.toarray())
    else:
        ids, values = export.padded(X)
        (found,) = run(tmp_path / "net.onnx", ids=ids, values=values)
    scores = all_scores(net, X)
    np.testing.assert_allclose(found, scores, rtol=0, atol=tolerance(net, scores))


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("opset", [13, 17, 20])
def test_the_best_labels_are_those_of_the_network(
    opset: int, normalize: bool, tmp_path: Path
) -> None:
    net = fitted("gelu", normalize)
    export.to_onnx(net, tmp_path / "net.onnx", k=5, opset=opset)
    ids, values = export.padded(DATA.X)
    labels, scores = run(tmp_path / "net.onnx", ids=ids, values=values)
    top = net.predict_topk(DATA.X, 5)
    assert (labels.dtype, scores.dtype) == (np.int64, np.float32)
    off = tolerance(net, top.scores)
    np.testing.assert_allclose(scores, top.scores, rtol=0, atol=off)
    # Where two scores are closer than that, either order is right.
    clear = (np.abs(np.diff(net.predict_topk(DATA.X, 6).scores, axis=1)) > 2 * off).all(axis=1)
    assert clear.sum() > 200
    np.testing.assert_array_equal(labels[clear], top.labels[clear])


def test_padding_counts_for_nothing_whatever_its_value(tmp_path: Path) -> None:
    net = fitted("linear")
    export.to_onnx(net, tmp_path / "net.onnx")
    ids, values = export.padded(DATA.X)
    assert (ids == export.PADDING).any()
    (expected,) = run(tmp_path / "net.onnx", ids=ids, values=values)
    loud = np.where(ids == export.PADDING, np.float32(np.inf), values)
    (found,) = run(tmp_path / "net.onnx", ids=ids, values=loud)
    np.testing.assert_array_equal(found, expected)


def test_large_weights_stand_beside_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = fitted("three layers")
    ids, values = export.padded(DATA.X)
    export.to_onnx(net, tmp_path / "one.onnx")
    (expected,) = run(tmp_path / "one.onnx", ids=ids, values=values)
    monkeypatch.setattr(onnx_graph, "MOST_INSIDE", 1000)
    export.to_onnx(net, tmp_path / "two.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "one.onnx",
        "two.onnx",
        "two.onnx.data",
    ]
    assert (tmp_path / "two.onnx").stat().st_size < 10_000
    (found,) = run(tmp_path / "two.onnx", ids=ids, values=values)
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="external_data: found False"):
        export.to_onnx(net, tmp_path / "two.onnx", external_data=False)


def test_hidden_vectors_times_rows_are_the_scores(net: sr.Network) -> None:
    if not net.config.hidden:
        with pytest.raises(ValueError, match="found no hidden layer"):
            export.hidden(net, DATA.X)
        return
    X = with_odd_rows(DATA.X)
    scores, weights = all_scores(net, X), net.weights()
    found = export.hidden(net, X) @ weights["output.weight"].T + weights.get("output.bias", 0)
    np.testing.assert_allclose(found, scores, rtol=0, atol=tolerance(net, scores))
    dense = export.hidden(net, X.toarray())
    np.testing.assert_allclose(dense, export.hidden(net, X), rtol=0, atol=1e-5)


def test_usearch_finds_the_labels_of_the_network(net: sr.Network, tmp_path: Path) -> None:
    if not net.config.hidden:
        with pytest.raises(ValueError, match="found no hidden layer"):
            export.to_usearch(net, tmp_path / "rows.usearch")
        return
    export.to_usearch(net, tmp_path / "rows.usearch", threads=1)
    index = Index.restore(str(tmp_path / "rows.usearch"))
    assert index is not None
    assert len(index) == DATA.n_labels
    found = index.search(export.queries(net, DATA.X), 3, exact=True, threads=1)
    top = net.predict_topk(DATA.X, 3)
    # The index tells 1 - score, which rounds once more.
    off = 2 * tolerance(net, top.scores)
    np.testing.assert_allclose(1 - found.distances, top.scores, rtol=0, atol=off)
    same = (np.asarray(found.keys).astype(np.int64) == top.labels).mean()
    assert same > 0.9


def test_faiss_finds_the_labels_of_the_network(tmp_path: Path) -> None:
    # 70 MB for one test: it runs where faiss happens to be installed.
    faiss = pytest.importorskip("faiss")
    net = fitted("linear")
    export.to_faiss(net, tmp_path / "rows.faiss")
    index = faiss.read_index(str(tmp_path / "rows.faiss"))
    scores, _ = index.search(export.queries(net, DATA.X), 3)
    top = net.predict_topk(DATA.X, 3)
    off = tolerance(net, top.scores)
    np.testing.assert_allclose(scores, top.scores, rtol=0, atol=off)


def test_safetensors_are_the_weights_by_name(net: sr.Network, tmp_path: Path) -> None:
    export.to_safetensors(net, tmp_path / "plain.safetensors")
    found, expected = load_file(tmp_path / "plain.safetensors"), net.weights()
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], array)
    net.save(tmp_path / "model.safetensors")
    with safe_open(tmp_path / "model.safetensors", "np") as model:
        assert set(model.keys()) > set(expected)


def test_hidden_layers_that_choose_are_refused_unless_all_neurons_are_wanted(
    tmp_path: Path,
) -> None:
    few = layers.SampledDense(50, sampler=samplers.LSH(n_active=10))
    chain = [layers.SparseInput(200), layers.Dense(8), few, layers.SampledDense(70)]
    net = sr.Network(chain)
    for call in (export.hidden, export.queries):
        with pytest.raises(ValueError, match=r"found hidden\.1, which computes the neurons"):
            call(net, DATA.X)
    with pytest.raises(ValueError, match=r"every_neuron=True"):
        export.to_onnx(net, tmp_path / "net.onnx")
    export.to_onnx(net, tmp_path / "net.onnx", every_neuron=True)
    ids, values = export.padded(DATA.X)
    (found,) = run(tmp_path / "net.onnx", ids=ids, values=values)
    hidden, weights = export.hidden(net, DATA.X, every_neuron=True), net.weights()
    expected = hidden @ weights["output.weight"].T + weights["output.bias"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance(net, expected))


def test_of_an_ensemble_the_members_are_named(tmp_path: Path) -> None:
    chain = [layers.SparseInput(200), layers.Dense(8), layers.SampledDense(70)]
    model = sr.Ensemble(chain, n_members=2)
    wanted = r"found an Ensemble of 2.*model\.members\[i\].* from 0 to 1"
    calls: list[Any] = [export.to_onnx, export.to_safetensors, export.to_usearch, export.to_faiss]
    for call in calls:
        with pytest.raises(TypeError, match=wanted):
            call(model, tmp_path / "out")
    export.to_onnx(model.members[1], tmp_path / "member.onnx")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"k": 71}, "k: found 71, wanted a whole number from 1 to 70"),
        ({"opset": 12}, "opset: found 12"),
        ({"inputs": "csr"}, "inputs: found 'csr', wanted 'padded' or 'dense'"),
        ({"every_neuron": 1}, "every_neuron: found 1"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], match: str, tmp_path: Path) -> None:
    chain = [layers.SparseInput(200), layers.Dense(8), layers.SampledDense(70)]
    with pytest.raises((TypeError, ValueError), match=match):
        export.to_onnx(sr.Network(chain), tmp_path / "net.onnx", **options)
    assert not list(tmp_path.iterdir())


def test_padded_wants_sparse_rows() -> None:
    with pytest.raises(TypeError, match="X: found ndarray, wanted a SciPy CSR"):
        export.padded(np.zeros((2, 3), np.float32))


def test_without_the_package_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = [layers.SparseInput(9), layers.Dense(8), layers.SampledDense(7)]
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    with pytest.raises(ImportError, match=r"pip install 'slide_rs\[onnx\]'"):
        export.to_onnx(sr.Network(chain), tmp_path / "net.onnx")
    with pytest.raises(ImportError, match=r"pip install 'slide_rs\[ann\]'"):
        export.to_usearch(sr.Network(chain), tmp_path / "net.usearch")


def test_every_activation_of_layers_has_a_plain_form() -> None:
    assert set(plain._ACTIVATIONS) == set(layers.ACTIVATIONS)


def test_the_examples_of_the_documentation_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(__file__).resolve().parents[2] / "docs" / "export.md"
    text = path.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for example in re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S):
        exec(compile(example, path.name, "exec"), names)
    assert capsys.readouterr().out == "True\n"
    # The best of 80 labels among 5 is found in practice by any graph.
    best = names["net"].predict_topk(names["data"].X, 1).labels
    assert (names["found"].keys.astype(np.int64) == best).any(axis=1).mean() > 0.9

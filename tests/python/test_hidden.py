"""Networks with sampled hidden layers, as users make them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import slide_rs as sr
from numpy.testing import assert_array_equal
from slide_rs import inspect, layers, lsh, optim, samplers
from slide_rs.datasets import Dataset

Split = tuple[Dataset, Dataset]


def deep(data: Dataset) -> sr.Network:
    tables = lsh.SimHash(n_tables=20, n_hashes=4)
    return sr.Network(
        [
            layers.SparseInput(data.n_features),
            layers.Dense(32, "relu", norm=1.0),
            layers.SampledDense(1200, sampler=samplers.LSH(tables, n_active=120)),
            layers.SampledDense(1000, sampler=samplers.Uniform(200), activation="tanh"),
            layers.SampledDense(data.n_labels, sampler=samplers.LSH(n_active=200)),
        ],
        optimizer=optim.Adam(0.002),
    )


@pytest.fixture(scope="module")
def fitted(easy: Split) -> tuple[sr.Network, sr.History]:
    """Return a deep network after two epochs, and what they measured."""
    train, _ = easy
    net = deep(train)
    return net, net.fit(train.X, train.Y, epochs=2, batch_size=64, verbose=False)


def test_the_loss_falls(fitted: tuple[sr.Network, sr.History]) -> None:
    _, history = fitted
    assert history["loss"][1] < history["loss"][0]


def test_sampled_layers_have_a_row_a_unit_and_tables_of_their_own(
    fitted: tuple[sr.Network, sr.History],
) -> None:
    net, _ = fitted
    shapes = {name: weight.shape for name, weight in net.weights().items()}
    assert shapes["hidden.1.weight"] == (1200, 32)
    assert shapes["hidden.2.weight"] == (1000, 1200)
    assert shapes["output.weight"] == (1500, 1000)
    first, last = (inspect.table_stats(net, layer) for layer in (0, 1))
    assert (first.layer, first.rows) == ("hidden.1", 1200)
    assert (last.layer, last.rows) == ("output", 1500)
    assert "hidden.2 sampler: Uniform, n_active=200 (20.0% of 1,000)" in net.summary()


def test_a_copy_answers_the_same(fitted: tuple[sr.Network, sr.History], easy: Split) -> None:
    net, _ = fitted
    X = easy[1].X[:50]
    copy = pickle.loads(pickle.dumps(net))
    assert copy.config == net.config
    assert_array_equal(copy.predict_topk(X, 5).scores, net.predict_topk(X, 5).scores)
    assert np.isfinite(net.predict_proba(X)).all()


def test_sixteen_bit_rows_are_half_the_file(easy: Split) -> None:
    train, _ = easy
    sizes = []
    for dtype in ("float32", "bfloat16", "float16"):
        chain = [
            layers.SparseInput(train.n_features),
            layers.Dense(16, dtype=dtype),
            layers.SampledDense(train.n_labels, dtype=dtype, bias=False),
        ]
        net = sr.Network(chain, optimizer=optim.SGD())
        assert dtype in net.summary() or dtype == "float32"
        sizes.append(len(pickle.dumps(net)))
    assert sizes[1:] == pytest.approx([sizes[0] / 2] * 2, rel=0.05)

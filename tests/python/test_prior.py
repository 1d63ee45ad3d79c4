"""Output biases that begin at the frequencies of the labels."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import slide_rs as sr
from numpy.typing import NDArray
from slide_rs import labels, layers, prior, samplers
from slide_rs.datasets import Dataset

Split = tuple[Dataset, Dataset]
N, ROWS = 40, 300
LOSSES = ("softmax", "softmax_per_label")


def some_targets(*, graded: bool) -> labels.Targets:
    """Return random rows, every fifth without labels, and with one label that occurs nowhere."""
    rng = np.random.default_rng(3)
    rows: list[NDArray[np.int64]] = [
        np.sort(rng.choice(N - 1, 0 if i % 5 == 0 else rng.integers(1, 6), replace=False))
        for i in range(ROWS)
    ]
    indptr = np.cumsum([0, *map(len, rows)])
    ids = np.concatenate(rows)
    if not graded:
        return indptr, ids
    grades = rng.uniform(0.1, 1.0, len(ids)).astype(np.float32)
    grades[::7] = 0.0
    return indptr, ids, grades


def by_definition(y: Any, loss: str, weight: NDArray[np.float32] | None) -> NDArray[np.float64]:
    """Return the biases, one label after another."""
    counts, n = np.zeros(N), 0
    for row, (start, stop) in enumerate(zip(y[0][:-1], y[0][1:], strict=True)):
        of_row = np.ones(stop - start) if len(y) == 2 else y[2][start:stop].astype(float)
        if loss == "softmax" and of_row.sum() > 0:
            of_row = of_row / of_row.sum()
        of_row = of_row * (1.0 if weight is None else float(weight[row]))
        for label, share in zip(y[1][start:stop], of_row, strict=True):
            counts[label] += share
            n += share > 0
    bias = np.log(counts + 0.5 * counts.sum() / n)
    return bias - (bias * counts).sum() / counts.sum()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("chunk", [1, 50, 1 << 20])
def test_biases_are_those_of_the_definition(
    monkeypatch: pytest.MonkeyPatch, loss: str, graded: bool, weighted: bool, chunk: int
) -> None:
    monkeypatch.setattr(prior, "CHUNK", chunk)
    y = some_targets(graded=graded)
    weight = None
    if weighted:
        weight = np.random.default_rng(4).uniform(0, 2, ROWS).astype(np.float32)
        weight[::3] = 0.0
    found = prior.output_bias(y, N, loss, weight)
    assert found is not None
    assert found.dtype == np.float32
    # Summed in f64 in another order, and rounded to f32 once.
    np.testing.assert_allclose(found, by_definition(y, loss, weight), rtol=1e-6, atol=1e-6)


def test_a_network_that_knows_no_features_is_right_about_frequencies() -> None:
    # So many rows that the half of a mean occurrence is little.
    indptr, ids = np.arange(10_001), np.repeat([0, 1, 2], [7000, 2000, 1000])
    bias = prior.output_bias((indptr, ids), 3, "softmax")
    assert bias is not None
    np.testing.assert_allclose(np.exp(bias) / np.exp(bias).sum(), [0.7, 0.2, 0.1], atol=1e-4)


@pytest.mark.parametrize("loss", ["sigmoid", "squared", "hinge", "squared_hinge"])
def test_losses_without_probabilities_have_no_such_biases(loss: str) -> None:
    assert prior.output_bias(some_targets(graded=False), N, loss) is None


@pytest.mark.parametrize("loss", LOSSES)
def test_without_labels_or_without_weight_there_is_nothing_to_begin_at(loss: str) -> None:
    nothing = np.zeros(ROWS + 1, np.int64), np.zeros(0, np.int64)
    assert prior.output_bias(nothing, N, loss) is None
    y = some_targets(graded=False)
    assert prior.output_bias(y, N, loss, np.zeros(ROWS, np.float32)) is None


@pytest.fixture(autouse=True)
def _all_labels_are_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prior, "RARE", np.inf)


def network(**options: Any) -> sr.Network:
    output = layers.SampledDense(N, sampler=samplers.Full(), bias=options.pop("bias", True))
    return sr.Network([layers.SparseInput(6), layers.Dense(4), output], **options)


#: A rate at which steps change no float32 of any size that matters.
NO_RATE = sr.optim.SGD(lr=1e-30)
X = np.ones((ROWS, 6), np.float32)


def lists() -> list[NDArray[np.int64]]:
    indptr, ids = some_targets(graded=False)[:2]
    return [ids[a:b].astype(np.int64) for a, b in pairwise(indptr)]


def test_fit_begins_there_but_only_before_the_first_step() -> None:
    net = network(optimizer=NO_RATE)
    net.fit(X, lists(), epochs=1, verbose=False)
    wanted = prior.output_bias(some_targets(graded=False), N, "softmax")
    np.testing.assert_array_equal(net.weights()["output.bias"], wanted)
    net.fit(X, [[0]] * ROWS, epochs=1, verbose=False)
    np.testing.assert_array_equal(net.weights()["output.bias"], wanted)


def test_where_labels_are_frequent_biases_begin_at_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    y = some_targets(graded=False)
    for rare, begins in ((len(y[1]) / N, False), (len(y[1]) / N + 0.1, True)):
        monkeypatch.setattr(prior, "RARE", rare)
        net = network()
        prior.begin_at_frequencies(net, y)
        assert net.weights()["output.bias"].any() == begins


def test_a_batch_sets_no_biases_and_fit_none_after_it() -> None:
    net = network(optimizer=NO_RATE)
    net.train_batch(X, lists())
    net.fit(X, lists(), epochs=1, verbose=False)
    np.testing.assert_allclose(net.weights()["output.bias"], 0, atol=1e-20)


def test_an_output_without_biases_has_none_to_set() -> None:
    net = network(bias=False)
    net.fit(X, lists(), epochs=1, verbose=False)
    assert "output.bias" not in net.weights()


def test_rows_that_are_not_trained_on_do_not_count() -> None:
    y = some_targets(graded=False)
    weight = np.random.default_rng(4).uniform(0, 2, ROWS).astype(np.float32)
    rows = np.arange(0, ROWS, 2)
    for given in (None, weight):
        net = network()
        prior.begin_at_frequencies(net, y, given, rows)
        kept = np.where(np.arange(ROWS) % 2, 0, 1 if given is None else given).astype(np.float32)
        wanted = prior.output_bias(y, N, "softmax", kept)
        np.testing.assert_array_equal(net.weights()["output.bias"], wanted)


@pytest.mark.parametrize("bad", [np.zeros(N - 1), np.zeros(N + 1), np.full(N, np.nan)])
def test_biases_that_do_not_fit_are_refused(bad: NDArray[np.float64]) -> None:
    net = network()
    with pytest.raises(ValueError, match=f"bias has {len(bad)} values, but a finite one"):
        net._core.set_output_bias(bad.astype(np.float32))
    assert not net.weights()["output.bias"].any()
    with pytest.raises(ValueError, match="which have biases"):
        network(bias=False)._core.set_output_bias(np.zeros(N, np.float32))


def test_phases_are_of_the_last_epoch_and_count_the_rows() -> None:
    n_active = 10
    output = layers.SampledDense(N, sampler=samplers.Uniform(n_active=n_active))
    net = sr.Network([layers.SparseInput(6), layers.Dense(4), output])
    core = net._core
    indptr, ids = some_targets(graded=False)[:2]
    x = (np.arange(ROWS + 1) * 6, np.tile(np.arange(6), ROWS), X.ravel())
    labelled = int(np.count_nonzero(np.diff(indptr)))
    for _ in range(2):
        core.train_epoch(x, (indptr, ids), 50)
        told = core.phases()
        assert set(told) == {
            "read", "hidden", "codes", "tables", "logits", "loss", "backward", "hidden_backward",
            "transpose", "update", "hidden_update", "full", "rehash",
            "rows_computed", "rows_read", "rows_updated",
        }  # fmt: skip
        assert all(value >= 0 for value in told.values())
        # Not the sum over both epochs; a row without labels computes nothing.
        assert told["rows_computed"] == labelled * n_active
        # Blocks of 16 share what is random, and each sample has a label of its own.
        assert 0 < told["rows_read"] < told["rows_computed"]
        assert 0 < told["rows_updated"] <= 6 * N
        assert told["full"] == 0
        assert told["tables"] > 0
        assert told["update"] > 0

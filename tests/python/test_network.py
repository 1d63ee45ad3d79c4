"""What a network answers, and that it answers the same again."""

from __future__ import annotations

import json
import pickle
import re
import struct
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slide_rs as sr
from numpy.testing import assert_array_equal
from scipy import sparse
from slide_rs import layers, metrics, optim, prediction, samplers
from slide_rs.datasets import Dataset
from slide_rs.labels import candidates

Split = tuple[Dataset, Dataset]
NARROW = [layers.SparseInput(4), layers.Dense(4), layers.SampledDense(3)]


def small(
    data: Dataset,
    sampler: samplers.Sampler | None = None,
    threads: int | None = None,
    seed: int = 0,
) -> sr.Network:
    output = layers.SampledDense(data.n_labels, sampler=sampler or samplers.LSH(n_active=100))
    chain = [layers.SparseInput(data.n_features), layers.Dense(16), output]
    return sr.Network(chain, threads=threads, seed=seed)


def test_a_bare_network_learns_and_the_tables_find_its_best_label(
    trained: sr.Network, easy: Split
) -> None:
    _, test = easy
    assert trained.evaluate(test.X, test.Y, ["p@1"])["p@1"] > 0.5
    exact = trained.predict_topk(test.X, 1).labels
    found = trained.predict_topk(test.X, 1, mode="lsh").labels
    assert (exact == found).mean() >= 0.6
    assert trained.sampling_recall(test.X) >= 0.6


def test_active_outputs_are_as_many_as_asked_for(easy: Split) -> None:
    train, _ = easy
    for sampler in (samplers.LSH(n_active=60), samplers.Uniform(n_active=60)):
        report = small(train, sampler).train_batch(train.X[:64], train.Y[:64])
        assert report.active_fraction == pytest.approx(60 / train.n_labels)
    report = small(train, samplers.Full()).train_batch(train.X[:64], train.Y[:64])
    assert report.active_fraction == 1.0


def test_same_seed_is_the_same_network_on_any_number_of_threads(easy: Split) -> None:
    train, test = easy

    def scores(threads: int, seed: int) -> Any:
        net = small(train, threads=threads, seed=seed)
        net.fit(train.X, train.Y, epochs=2, verbose=False)
        return net.predict_topk(test.X, 5).scores

    first = scores(1, 0)
    assert_array_equal(first, scores(2, 0))
    assert_array_equal(first, scores(1, 0))
    assert not np.array_equal(first, scores(1, 1))


def test_every_form_of_the_same_rows_trains_the_same_network(easy: Split) -> None:
    train, test = easy
    X, Y = train.X[:300], train.Y[:300]
    wide = X.copy()
    wide.indptr, wide.indices = wide.indptr.astype(np.int64), wide.indices.astype(np.int64)
    lists = [Y.indices[a:b].tolist() for a, b in zip(Y.indptr, Y.indptr[1:], strict=False)]
    forms: list[tuple[Any, Any]] = [
        (X, Y),
        (wide, lists),
        (sparse.csr_matrix(X), sparse.csr_matrix(Y)),
    ]
    answers = []
    for x, y in forms:
        net = small(train)
        net.fit(x, y, epochs=1, verbose=False)
        answers.append(net.predict_topk(test.X, 3).scores)
    assert_array_equal(answers[0], answers[1])
    assert_array_equal(answers[0], answers[2])


def test_dense_rows_are_answered_like_sparse_ones(trained: sr.Network, easy: Split) -> None:
    _, test = easy
    sparse_scores = trained.predict_topk(test.X[:20], 5).scores
    dense_scores = trained.predict_topk(test.X[:20].toarray(), 5).scores
    np.testing.assert_allclose(dense_scores, sparse_scores, rtol=1e-5)


def test_integer_vectors_train_a_multi_class_network() -> None:
    X = np.eye(8, dtype=np.float32)
    net = sr.Network(
        [layers.SparseInput(8, dropout=0.0), layers.Dense(8), layers.SampledDense(8)],
        optimizer=optim.Adam(lr=0.05),
    )
    net.fit(X, np.arange(8), epochs=100, batch_size=8, verbose=False)
    assert_array_equal(net.predict_topk(X, 1).labels[:, 0], np.arange(8))


def test_top_k_is_the_best_of_all_scores_best_first(trained: sr.Network, easy: Split) -> None:
    X = easy[1].X[:50]
    top = trained.predict_topk(X, 7)
    scores = np.log(trained.predict_proba(X).astype(np.float64))
    assert top.labels.dtype == np.int32
    assert top.scores.dtype == np.float32
    assert_array_equal(top.labels, np.argsort(-scores, axis=1, kind="stable")[:, :7])
    assert (np.diff(top.scores, axis=1) <= 0).all()
    gaps = np.diff(np.take_along_axis(scores, top.labels.astype(np.int64), axis=1))
    np.testing.assert_allclose(gaps, np.diff(top.scores, axis=1), atol=1e-4)


def test_probabilities_sum_to_one(trained: sr.Network, easy: Split) -> None:
    np.testing.assert_allclose(trained.predict_proba(easy[1].X[:9]).sum(axis=1), 1, rtol=1e-5)


EYE = np.eye(8, dtype=np.float32)


def of_loss(loss: str) -> sr.Network:
    """Return a small trained network with another loss."""
    net = sr.Network(
        [layers.SparseInput(8, dropout=0.0), layers.Dense(8), layers.SampledDense(8)],
        loss=loss,
        optimizer=optim.Adam(lr=0.05),
    )
    net.fit(EYE, [[row, (row + 1) % 8] for row in range(8)], epochs=3, verbose=False)
    return net


def test_probabilities_of_sigmoid_are_those_of_each_label_alone() -> None:
    net = of_loss("sigmoid")
    top = net.predict_topk(EYE, 8)
    found = np.take_along_axis(net.predict_proba(EYE), top.labels.astype(np.int64), axis=1)
    expected = 1 / (1 + np.exp(-top.scores.astype(np.float64)))
    assert found.dtype == np.float32
    # A few roundings of float32, each of half a unit of the last place.
    np.testing.assert_allclose(found, expected, rtol=5e-7)


@pytest.mark.parametrize("loss", ["softmax", "softmax_per_label"])
def test_probabilities_of_a_softmax_sum_to_one(loss: str) -> None:
    np.testing.assert_allclose(of_loss(loss).predict_proba(EYE).sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("loss", ["squared", "hinge", "squared_hinge"])
def test_losses_without_probabilities_are_refused_by_name(loss: str) -> None:
    with pytest.raises(ValueError, match=f"loss: found '{loss}', whose scores are no prob"):
        of_loss(loss).predict_proba(EYE)


def test_candidates_are_scored_as_in_the_exact_answer(trained: sr.Network, easy: Split) -> None:
    X = easy[1].X[:30]
    top = trained.predict_topk(X, 6)
    again = trained.predict_topk(X, 6, candidates=top.labels.tolist())
    assert_array_equal(again.labels, top.labels)
    np.testing.assert_allclose(again.scores, top.scores, rtol=1e-5)
    shared = trained.predict_topk(X, 3, candidates=np.array([9, 4]))
    assert_array_equal(np.sort(shared.labels, axis=1), np.tile([-1, 4, 9], (30, 1)))
    assert np.isneginf(shared.scores[:, 2]).all()
    assert (shared.scores[:, 0] >= shared.scores[:, 1]).all()
    none = trained.predict_topk(X[:2], 2, candidates=[[], [5]])
    assert_array_equal(none.labels, [[-1, -1], [5, -1]])


def test_candidates_are_answered_alike_in_parts_of_any_size(
    trained: sr.Network, easy: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = easy[1].X[:200]
    own = [list(range(row % 7, 40 * (row % 5), 3)) for row in range(200)]
    shared = np.array([1400, 3, 700, 3, 12])
    forms: list[Any] = [own, shared, sparse.csr_array((200, 1500)), np.array([], np.int64)]
    whole = [trained.predict_topk(X, 4, candidates=form) for form in forms]
    again = trained.predict_topk(X, 4, candidates=[[3, 12, 700, 1400]] * 200)
    assert_array_equal(whole[1].labels, again.labels)
    monkeypatch.setattr(prediction, "PAIRS", 30)
    for form, expected in zip(forms, whole, strict=True):
        found = trained.predict_topk(X, 4, candidates=form)
        assert_array_equal(found.labels, expected.labels)
        assert_array_equal(found.scores, expected.scores)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_candidates_of_all_rows_are_held_once(dtype: Any) -> None:
    # Together they are more than int32 can count.
    tracemalloc.start()
    try:
        shared = candidates(np.arange(22_085, dtype=dtype), 22_085, rows=200_000)
        indptr, ids = shared.rows(199_998, 200_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000
    assert shared.bounds[-1] == 200_000 * 22_085 > 2**31
    assert_array_equal(indptr, [0, 22_085, 44_170])
    assert_array_equal(ids, np.tile(np.arange(22_085), 2))
    assert indptr.dtype == ids.dtype == dtype


def test_labels_below_the_threshold_become_padding(trained: sr.Network, easy: Split) -> None:
    top = trained.predict_topk(easy[1].X, 5)
    cut = float(np.median(top.scores))
    kept = trained.predict_topk(easy[1].X, 5, threshold=cut)
    assert_array_equal(kept.labels, np.where(top.scores >= cut, top.labels, -1))
    assert_array_equal(kept.scores, np.where(top.scores >= cut, top.scores, -np.inf))
    assert kept.to_csr(1500).nnz == (top.scores >= cut).sum()


@pytest.mark.parametrize("mode", ["exact", "lsh"])
def test_no_rows_have_no_answers(trained: sr.Network, mode: str) -> None:
    top = trained.predict_topk(sparse.csr_array((0, 3000), dtype=np.float32), 4, mode=mode)
    assert top.labels.shape == top.scores.shape == (0, 4)
    assert trained.predict_proba(np.zeros((0, 3000), np.float32)).shape == (0, 1500)


def test_to_csr_drops_the_padding() -> None:
    top = sr.TopK(
        np.array([[2, 0], [1, -1], [-1, -1]], np.int32),
        np.array([[3, 1], [2, -np.inf], [-np.inf, -np.inf]], np.float32),
    )
    matrix = top.to_csr(4)
    assert isinstance(matrix, sparse.csr_array)
    assert_array_equal(matrix.toarray(), [[1, 0, 3, 0], [0, 2, 0, 0], [0, 0, 0, 0]])


def test_evaluate_is_the_metrics_of_the_answers(trained: sr.Network, easy: Split) -> None:
    train, test = easy
    weights = metrics.inv_propensity(train.Y)
    names = ["p@1", "r@3", "ndcg@5", "psp@5"]
    found = trained.evaluate(test.X, test.Y, names, inv_propensity=weights)
    top = trained.predict_topk(test.X, 5)
    assert found == metrics.evaluate(test.Y, top, names, inv_propensity=weights)
    assert list(found) == names


def test_metrics_may_look_deeper_than_there_are_labels() -> None:
    net = sr.Network(NARROW)
    found = net.evaluate(np.eye(4, dtype=np.float32), [[0, 1, 2]] * 4, ["p@5", "r@5"])
    assert found == {"p@5": pytest.approx(3 / 5), "r@5": pytest.approx(1.0)}


def test_a_batch_is_one_step_and_the_loss_falls(easy: Split) -> None:
    train, _ = easy
    net = small(train)
    reports = [net.train_batch(train.X[:100], train.Y[:100]) for _ in range(120)]
    assert reports[-1].loss < 0.7 * reports[0].loss
    assert 0 < reports[0].lr <= reports[-1].lr
    assert "120 steps" in repr(net)


def test_after_fit_a_batch_still_learns(easy: Split) -> None:
    train, _ = easy
    net = small(train)
    net.fit(train.X, train.Y, epochs=1, verbose=False)
    assert net.train_batch(train.X[:64], train.Y[:64]).lr > 0


def by_batches(net: sr.Network, data: Dataset) -> None:
    for start in range(0, 3000, 100):
        net.train_batch(data.X[start : start + 100], data.Y[start : start + 100])


def by_fit(net: sr.Network, data: Dataset) -> None:
    net.fit(data.X, data.Y, epochs=1, batch_size=100, verbose=False)


TRAIN = pytest.mark.parametrize("train_on", [by_batches, by_fit])


@TRAIN
def test_a_saved_network_answers_and_trains_on_as_if_never_saved(
    train_on: Callable[[sr.Network, Dataset], None], easy: Split, tmp_path: Path
) -> None:
    train, test = easy
    net = small(train)
    train_on(net, train)
    net.save(tmp_path / "net.safetensors")
    copies = [sr.load(tmp_path / "net.safetensors", threads=1), pickle.loads(pickle.dumps(net))]
    for copy in copies:
        assert copy.config == net.config
        for mode in ("exact", "lsh"):
            expected = net.predict_topk(test.X, 5, mode=mode)
            assert_array_equal(copy.predict_topk(test.X, 5, mode=mode).labels, expected.labels)
    # BatchReport holds loss, share of active outputs and learning rate.
    reports = thirty_steps(net, test)
    for copy in copies:
        assert thirty_steps(copy, test) == reports
        assert_array_equal(copy.predict_topk(test.X, 5).scores, net.predict_topk(test.X, 5).scores)


def test_files_of_format_2_are_read_with_moments_as_they_were_then(
    easy: Split, tmp_path: Path
) -> None:
    train, test = easy
    net = small(train)
    net.fit(train.X, train.Y, epochs=1, batch_size=100, verbose=False)
    path = tmp_path / "net.safetensors"
    net.save(path)
    saved = path.read_bytes()
    (length,) = struct.unpack("<Q", saved[:8])
    header = json.loads(saved[8 : 8 + length])
    ours = json.loads(header["__metadata__"]["slide_rs"])
    assert ours["format"] == 3
    ours["format"] = 2
    for name in ("second_moment", "moments"):
        del ours["config"]["optimizer"][name]
    header["__metadata__"]["slide_rs"] = json.dumps(ours)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + saved[8 + length :])
    old = sr.load(path)
    assert old.config == net.config
    assert thirty_steps(old, test) == thirty_steps(net, test)


def thirty_steps(net: sr.Network, data: Dataset) -> list[sr.BatchReport]:
    return [
        net.train_batch(data.X[start : start + 32], data.Y[start : start + 32])
        for start in range(0, 30 * 32, 32)
    ]


@TRAIN
def test_without_the_state_of_adam_its_first_step_is_no_longer_than_the_rate(
    train_on: Callable[[sr.Network, Dataset], None], easy: Split, tmp_path: Path
) -> None:
    train, test = easy
    net = small(train)
    train_on(net, train)
    net.save(tmp_path / "net.safetensors", include_optimizer=False)
    copy = sr.load(tmp_path / "net.safetensors")
    before = copy.weights()
    lr = copy.train_batch(test.X[:64], test.Y[:64]).lr
    moved = {name: np.abs(after - before[name]) for name, after in copy.weights().items()}
    assert lr > 0
    for name, change in moved.items():
        assert 0.5 * lr < change.max() <= 1.05 * lr, name


def test_weights_are_copies_from_which_the_scores_follow(easy: Split) -> None:
    train, test = easy
    chain = [
        layers.SparseInput(train.n_features),
        layers.Dense(16, "relu", norm=0.0),
        layers.Dense(8, norm=0.0),
        layers.SampledDense(train.n_labels),
    ]
    net = sr.Network(chain)
    by_batches(net, train)
    weights = net.weights()
    assert {name: array.shape for name, array in weights.items()} == {
        "hidden.0.weight": (train.n_features, 16),
        "hidden.0.bias": (16,),
        "hidden.1.weight": (16, 8),
        "hidden.1.bias": (8,),
        "output.weight": (train.n_labels, 8),
        "output.bias": (train.n_labels,),
    }
    first = test.X[:50] @ weights["hidden.0.weight"] + weights["hidden.0.bias"]
    second = np.maximum(first, 0) @ weights["hidden.1.weight"] + weights["hidden.1.bias"]
    scores = second @ weights["output.weight"].T + weights["output.bias"]
    top = net.predict_topk(test.X[:50], 5)
    expected = np.take_along_axis(scores, top.labels.astype(np.int64), axis=1)
    np.testing.assert_allclose(top.scores, expected, atol=1e-4)
    weights["output.weight"][:] = 0
    assert_array_equal(net.predict_topk(test.X[:50], 5).scores, top.scores)


@pytest.mark.parametrize("threads", [None, 1, 3])
def test_a_pickle_keeps_the_number_of_threads(threads: int | None, easy: Split) -> None:
    net = small(easy[0], threads=threads)
    copy = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(net))))
    assert copy.threads == net.threads
    assert threads in (None, copy.threads)


def test_a_file_without_optimiser_is_smaller_and_answers_the_same(
    trained: sr.Network, easy: Split, tmp_path: Path
) -> None:
    sizes = []
    for include in (True, False):
        path = tmp_path / f"{include}.safetensors"
        trained.save(str(path), include_optimizer=include)
        sizes.append(path.stat().st_size)
        top = sr.load(path).predict_topk(easy[1].X, 2)
        assert_array_equal(top.scores, trained.predict_topk(easy[1].X, 2).scores)
    assert sizes[1] < 0.5 * sizes[0]


def test_the_model_file_is_plain_safetensors_without_pickle(
    trained: sr.Network, tmp_path: Path
) -> None:
    path = tmp_path / "net.safetensors"
    trained.save(path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert content[8:9] == b"{"
    assert length < len(content)
    assert b"pickle" not in content[: 8 + length]
    safetensors = pytest.importorskip("safetensors.numpy")
    weights = safetensors.load_file(path)
    assert any(tensor.shape == (1500, 32) for tensor in weights.values())


def test_exact_data_costs_no_warning(easy: Split) -> None:
    train, _ = easy
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = small(train).fit(train.X, train.Y, epochs=1, verbose=False, copy=False)
    assert len(history["loss"]) == 1


def test_the_version_is_that_of_the_package_and_the_build_is_described() -> None:
    from importlib.metadata import version

    manifest = (Path(__file__).parents[2] / "Cargo.toml").read_text(encoding="utf-8")
    declared = re.search(r'^version = "(.+)"$', manifest, re.M)
    assert declared is not None
    info = sr.build_info()
    assert sr.__version__ == version("slide_rs") == info["version"] == declared[1]
    assert info["simd"] in info["simd_available"]
    assert "portable" in info["simd_available"]
    assert info["threads"] == sr.Network(NARROW).threads >= 1
    assert all(hasattr(sr, name) for name in sr.__all__)


def weights_with_dropout(n: int, dropout: float | None, form: str = "sparse") -> bytes:
    """Return the weights of a network after training on rows of ``n`` features."""
    rng = np.random.default_rng(0)
    dense = np.zeros((20, 1000), np.float32)
    for row in dense:
        row[rng.choice(1000, n, replace=False)] = rng.random(n) + 0.5
    net = sr.Network(
        [layers.SparseInput(1000, dropout=dropout), layers.Dense(4), layers.SampledDense(5)]
    )
    X = sparse.csr_array(dense) if form != "dense" else dense
    if form == "stored zeros":
        X = sparse.csr_array(np.where(dense == 0.0, 1.0, dense).astype(np.float32))
        X.data[dense.ravel() == 0.0] = 0.0
    net.fit(X, np.arange(20) % 5, epochs=2, verbose=False)
    return b"".join(array.tobytes() for array in net.weights().values())


@pytest.mark.parametrize("form", ["sparse", "dense"])
@pytest.mark.parametrize("dropout", [None, 0.9])
def test_rows_of_fewer_than_eight_features_lose_none_by_dropout(
    dropout: float | None, form: str
) -> None:
    for n in range(1, 8):
        assert weights_with_dropout(n, dropout, form) == weights_with_dropout(n, 0.0, form)
    for n in (8, 9):
        assert weights_with_dropout(n, dropout, form) != weights_with_dropout(n, 0.0, form)


@pytest.mark.parametrize(("columns", "share"), [(999, 0.0), (1000, None)])
def test_dropout_by_rule_is_for_a_thousand_columns_and_more(
    columns: int, share: float | None
) -> None:
    net = sr.Network([layers.SparseInput(columns), layers.Dense(2), layers.SampledDense(3)])
    assert net.config.input.dropout == share
    assert ("dropout by length" in net.summary()) == (share is None)


@pytest.mark.parametrize("form", ["sparse", "dense"])
@pytest.mark.parametrize(("n", "share"), [(16, 0.1), (32, 0.2), (64, 0.4), (300, 0.4)])
def test_by_rule_a_row_loses_features_by_its_length(n: int, share: float, form: str) -> None:
    by_rule = weights_with_dropout(n, None, form)
    assert by_rule == weights_with_dropout(n, None, "stored zeros")
    assert by_rule == weights_with_dropout(n, share, form)
    assert by_rule != weights_with_dropout(n, share / 2, form)

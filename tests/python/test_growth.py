"""Labels that come and go, and training that goes on."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slide_rs as sr
from numpy.typing import NDArray
from scipy import sparse
from slide_rs import layers, lsh, optim, samplers, schedules

FEATURES, LABELS, OLD = 600, 250, 200
SAMPLERS: dict[str, samplers.Sampler] = {
    "full": samplers.Full(),
    "lsh": samplers.LSH(lsh.SimHash(n_tables=30, n_hashes=5), n_active=60),
    "log-uniform": samplers.LogUniform(n_active=60),
}
Rows = tuple[NDArray[np.float32], NDArray[np.int64]]


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Sixteen rows of each label: most of its own twelve features, and a few others."""
    rng = np.random.default_rng(0)
    own = [rng.choice(FEATURES, 12, replace=False) for _ in range(LABELS)]
    y = np.repeat(np.arange(LABELS), 16)
    x = np.zeros((len(y), FEATURES), np.float32)
    for row, label in enumerate(y):
        x[row, rng.choice(own[label], 8, replace=False)] = 1.0
        x[row, rng.choice(FEATURES, 4)] = 1.0
    return x, y


def network(sampler: samplers.Sampler, units: int = OLD, **settings: Any) -> sr.Network:
    output = layers.SampledDense(units, sampler=sampler)
    return sr.Network([layers.SparseInput(FEATURES), layers.Dense(48), output], **settings)


@pytest.fixture(scope="module", params=SAMPLERS)
def fitted(request: pytest.FixtureRequest, rows: Rows) -> sr.Network:
    """A network that knows the first 200 labels; tests take copies."""
    x, y = rows
    known = (y < OLD) & (np.arange(len(y)) % 4 > 0)
    net = network(SAMPLERS[request.param])
    net.fit(x[known], y[known], epochs=10, batch_size=32, verbose=False)
    return net


def copied(net: sr.Network, threads: int | None = None) -> sr.Network:
    found: sr.Network = pickle.loads(pickle.dumps(net))
    if threads is not None:
        found._threads = threads
        found = pickle.loads(pickle.dumps(found))
    return found


def same(one: sr.Network, other: sr.Network) -> bool:
    pairs = zip(one.weights().items(), other.weights().items(), strict=True)
    return all(a == b and np.array_equal(v, w) for (a, v), (b, w) in pairs)


def test_new_labels_are_found_at_once_and_better_after_a_pass(
    fitted: sr.Network, rows: Rows
) -> None:
    (x, y), net = rows, copied(fitted)
    held = np.arange(len(y)) % 4 == 0
    new, old = y >= OLD, y < OLD
    known = net.evaluate(x[old & held], y[old & held], metrics=["p@1"])["p@1"]
    given = new & ~held
    ids = net.add_labels(LABELS - OLD, init="mean_of_inputs", X=x[given], Y=y[given])
    assert ids.tolist() == list(range(OLD, LABELS))
    assert ids.dtype == np.int32

    def right(chosen: NDArray[np.bool_], mode: str = "exact") -> float:
        return net.evaluate(x[chosen & held], y[chosen & held], metrics=["p@1"], mode=mode)["p@1"]

    # One in 250 by chance; what is measured is 0.9 and more.
    at_once = right(new)
    assert at_once > 0.7
    assert right(old) > known - 0.02
    hashed = isinstance(net.config.output.sampler, samplers.LSH)
    if hashed:
        assert right(new, "lsh") > 0.7
    net.partial_fit(x[~held], y[~held], batch_size=32)
    assert right(new) > at_once
    assert right(old) > known - 0.02
    if hashed:
        assert right(new, "lsh") > 0.9


@pytest.mark.parametrize("init", ["zeros", "random"])
def test_what_old_labels_answer_stays_bit_for_bit(
    fitted: sr.Network, rows: Rows, init: str
) -> None:
    x, _ = rows
    net = copied(fitted)
    before = net.predict_topk(x[:400], k=5)
    net.add_labels(30, init=init)
    after = net.predict_topk(x[:400], k=35)
    for old, scores, ids, all_scores in zip(
        before.labels, before.scores, after.labels, after.scores, strict=True
    ):
        kept = ids < OLD
        assert np.array_equal(ids[kept][:5], old)
        assert np.array_equal(all_scores[kept][:5], scores)
    assert net.config.output.units == OLD + 30
    assert net.estimate_memory().weights > fitted.estimate_memory().weights
    assert fitted.config.output.units == OLD


def test_a_new_label_has_the_mean_bias_and_zeros_or_small_numbers(fitted: sr.Network) -> None:
    for init, low, high in (("zeros", 0.0, 0.0), ("random", 0.04, 0.06)):
        net = copied(fitted)
        net.add_labels(30, init=init)
        found = net.weights()
        assert low <= float(found["output.weight"][OLD:].std()) <= high
        mean = np.float32(found["output.bias"][:OLD].astype(np.float64).mean())
        assert np.array_equal(found["output.bias"][OLD:], np.full(30, mean))


def test_labels_that_go_leave_the_others_as_they_are_under_new_ids(
    fitted: sr.Network, rows: Rows
) -> None:
    x, _ = rows
    net = copied(fitted)
    scores = net._core.scores(x[:50])
    moved = net.remove_labels(np.arange(0, OLD, 3))
    kept = np.arange(OLD) % 3 > 0
    assert moved.dtype == np.int32
    assert np.array_equal(moved >= 0, kept)
    assert np.array_equal(moved[kept], np.arange(kept.sum()))
    assert np.array_equal(net._core.scores(x[:50]), scores[:, kept])
    assert net.config.output.units == kept.sum()
    net.partial_fit(x[:50], np.zeros(50, np.int64))


def test_what_grew_is_saved_and_goes_on_as_what_was_loaded(
    fitted: sr.Network, rows: Rows, tmp_path: Path
) -> None:
    (x, y), net = rows, copied(fitted)
    net.remove_labels([7, 3])
    net.add_labels(LABELS - OLD + 2)
    net.save(tmp_path / "net.safetensors")
    loaded = sr.load(tmp_path / "net.safetensors")
    assert loaded.config == net.config
    for one in (net, loaded):
        one.partial_fit(x, y, batch_size=64)
    assert same(net, loaded)
    modes = ("exact", "lsh")[: 1 + isinstance(net.config.output.sampler, samplers.LSH)]
    for mode in modes:
        one, other = (found.predict_topk(x[:400], mode=mode) for found in (net, loaded))
        assert np.array_equal(one.labels, other.labels)
        assert np.array_equal(one.scores, other.scores)


def test_one_thread_and_two_grow_the_same_bits(fitted: sr.Network, rows: Rows) -> None:
    x, y = rows
    nets = [copied(fitted, threads) for threads in (1, 2)]
    for net in nets:
        new = y >= OLD
        net.add_labels(LABELS - OLD, init="mean_of_inputs", X=x[new], Y=y[new])
        net.remove_labels([0, 9])
        net.add_labels(2)
        net.partial_fit(x, y, batch_size=50)
    assert [net.threads for net in nets] == [1, 2]
    assert same(*nets)


def test_sparse_rows_and_labels_serve_as_lists_do(fitted: sr.Network, rows: Rows) -> None:
    x, y = rows
    new = np.flatnonzero(y >= OLD)
    grown = [copied(fitted) for _ in range(2)]
    listed = [[int(label), 3] for label in y[new]]
    grown[0].add_labels(LABELS - OLD, init="mean_of_inputs", X=x[new], Y=listed)
    dense = np.zeros((len(new), LABELS), np.float32)
    dense[np.arange(len(new)), y[new]] = 0.5
    features, labels = sparse.csr_array(x[new]), sparse.csr_array(dense)
    grown[1].add_labels(LABELS - OLD, init="mean_of_inputs", X=features, Y=labels)
    assert same(*grown)


def test_passes_keep_the_rate_of_the_optimizer_and_fits_do_not(rows: Rows) -> None:
    x, y = rows
    adam = optim.Adam(lr=0.01, schedule=schedules.WarmupCosine(warmup=5))
    net = network(SAMPLERS["full"], LABELS, optimizer=adam)
    rate = np.float32(0.01)
    # Four steps of the warm-up, then the fifth, and no other warm-up.
    assert net.partial_fit(x[:40], y[:40], batch_size=10).lr == pytest.approx(0.008)
    assert [net.partial_fit(x[:40], y[:40], batch_size=20).lr for _ in range(3)] == [rate] * 3
    history = net.fit(x, y, epochs=2, batch_size=100, verbose=False)
    assert history["lr"][-1] < 1e-3
    assert net.partial_fit(x[:40], y[:40]).lr == rate
    assert net.train_batch(x[:40], y[:40]).lr == rate
    assert net.history is history


def test_one_pass_is_what_its_batches_are(rows: Rows) -> None:
    x, y = rows
    nets = [network(SAMPLERS["lsh"], LABELS) for _ in range(2)]
    assert nets[0].partial_fit(x[:30], y[:30], batch_size=30, sample_weight=[1.0] * 30).loss > 0
    # The order of the rows is drawn by the seed and the number of the pass.
    nets[1]._core.begin_fit(None)
    nets[1]._core.train_epoch(x[:30], (np.arange(31), y[:30]), 30)
    assert same(*nets)


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ({"count": 0}, ValueError, "count: found 0, wanted a whole number from 1 to "),
        ({"count": -3}, ValueError, "count: found -3"),
        ({"count": 2.5}, TypeError, "count: found 2.5"),
        ({"count": 2**31 - 1}, ValueError, "count: found 2147483647, wanted a whole number from"),
        ({"count": 2**31 - 1 - OLD}, MemoryError, "bytes of memory, more than can be had"),
        ({"count": 1, "init": "ones"}, ValueError, "init: found 'ones', wanted 'random' or"),
        ({"count": 1, "X": [[0]]}, ValueError, "X: found with init='random', wanted"),
        ({"count": 1, "Y": [[0]]}, ValueError, "Y: found with init='random', wanted"),
        ({"count": 1, "init": "mean_of_inputs"}, ValueError, "X: found None, wanted rows"),
        ({"count": 1, "init": "mean_of_inputs", "X": 1}, ValueError, "Y: found None, wanted rows"),
    ],
)
def test_labels_that_can_not_come_are_refused_by_name(
    arguments: dict[str, Any], kind: type[Exception], text: str
) -> None:
    net = network(samplers.LSH(n_active=60))
    before = net.weights()
    with pytest.raises(kind, match=text):
        net.add_labels(**arguments)
    assert net.config.output.units == OLD
    assert all(np.array_equal(before[name], w) for name, w in net.weights().items())


def test_rows_that_tell_nothing_of_a_new_label_are_refused(rows: Rows) -> None:
    x, _ = rows
    net = network(SAMPLERS["full"])
    for y, text in (
        ([OLD, OLD], "Y has no row with label 201"),
        ([OLD, OLD + 2], "Y: found label 202 in row 1, wanted 0 to 201"),
        ([OLD], "Y: found 1 rows, wanted the 2 of X"),
        (sparse.csr_array((2, OLD)), "Y: found"),
    ):
        with pytest.raises(ValueError, match=text):
            net.add_labels(2, init="mean_of_inputs", X=x[:2], Y=y)
    with pytest.raises(ValueError, match="X: found 0 rows"):
        net.add_labels(2, init="mean_of_inputs", X=x[:0], Y=[])
    assert net.config.output.units == OLD


@pytest.mark.parametrize(
    ("ids", "kind", "text"),
    [
        ([OLD], ValueError, "ids: found 200, wanted a whole number from 0 to 199"),
        ([-1], ValueError, "ids: found -1"),
        ([4, 4], ValueError, "ids: found 4 twice, wanted each label once"),
        (range(OLD), ValueError, "ids: found all 200 labels, wanted at least one to stay"),
        ("12", TypeError, "ids: found str"),
        (3, TypeError, "ids: found int"),
        ([1.5], TypeError, "ids: found float among them"),
        ([True], TypeError, "ids: found bool among them"),
        (np.ones(OLD, np.bool_), TypeError, "ids: found a 1-D array of bool"),
    ],
)
def test_labels_that_can_not_go_are_refused_by_name(
    ids: object, kind: type[Exception], text: str
) -> None:
    net = network(samplers.LSH(n_active=60))
    with pytest.raises(kind, match=text):
        net.remove_labels(ids)
    assert net.config.output.units == OLD


def test_nothing_removed_leaves_everything() -> None:
    net = network(SAMPLERS["lsh"])
    before = copied(net)
    assert np.array_equal(net.remove_labels([]), np.arange(OLD))
    assert same(net, before)


def test_active_sets_of_all_labels_stay_so_and_no_set_is_larger_than_the_layer() -> None:
    net = network(samplers.Uniform(n_active=OLD))
    net.add_labels(5)
    found = net.config.output.sampler
    assert isinstance(found, samplers.Uniform)
    assert found.n_active == OLD + 5
    net = network(samplers.Uniform(n_active=100))
    net.add_labels(5)
    net.remove_labels(range(150))
    found = net.config.output.sampler
    assert isinstance(found, samplers.Uniform)
    assert found.n_active == OLD + 5 - 150


def test_active_sets_by_rule_do_not_come_to_hold_all_labels() -> None:
    output = layers.SampledDense(6000, sampler=samplers.Uniform())
    net = sr.Network([layers.SparseInput(8), layers.Dense(4), output])
    for change, active in (
        (lambda: net.remove_labels(range(5900)), 64),
        (lambda: net.remove_labels(range(50)), 50),
        (lambda: net.add_labels(5950), 176),
    ):
        change()
        found = net.config.output.sampler
        assert isinstance(found, samplers.Uniform)
        assert found.n_active == active


def test_an_ensemble_says_what_to_do_instead() -> None:
    model = sr.Ensemble([layers.SparseInput(4), layers.Dense(4), layers.SampledDense(4)])
    for change in (model.add_labels, model.remove_labels, model.partial_fit):
        with pytest.raises(NotImplementedError, match="fit a new Ensemble on all data"):
            change(1)


def test_racing_networks_grow_too(rows: Rows) -> None:
    x, y = rows
    net = network(SAMPLERS["lsh"], update="hogwild", threads=1)
    net.add_labels(LABELS - OLD)
    losses = [net.partial_fit(x, y, batch_size=64).loss for _ in range(2)]
    assert losses[1] < losses[0]
    net.remove_labels(range(OLD, LABELS))
    known = y < OLD
    assert net.partial_fit(x[known], y[known], batch_size=64).loss < losses[0]

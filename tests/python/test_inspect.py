"""What `inspect` and `HashTableMonitor` tell of the hash tables, against counts made here."""

from __future__ import annotations

import dataclasses
import logging
import sys
from typing import Any

import numpy as np
import pytest
import slide_rs as sr
from slide_rs import inspect, layers, lsh, samplers
from slide_rs.callbacks import Callback, HashTableMonitor
from slide_rs.datasets import Dataset

Split = tuple[Dataset, Dataset]

#: 4 tables of 8 buckets; 6 of the 32 are empty, and one is full.
HEALTHY: dict[str, Any] = {
    "n_tables": 4,
    "n_hashes": 3,
    "bits": 3,
    "bucket_size": 5,
    "rows": 100,
    "bytes": 3_000_000,
    "empty": 6,
    "full": 1,
    "largest": 30,
    "mean": 12.5,
    "histogram": np.array([0, 2, 4, 8, 12]),
}


class Core:
    """An engine that answers what it was told to."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        def answer(*arguments: Any) -> Any:
            self.asked.append((name, *arguments))
            found = self.answers[name]
            return found(*arguments) if callable(found) else found

        return answer


class Net:
    """What `inspect` needs of a network."""

    def __init__(self, *chain: Any, **answers: Any) -> None:
        self._core = Core(**answers)
        self.config = sr.NetworkConfig([layers.SparseInput(6), *chain])


def hashed(units: int = 100, tables: lsh.Tables | None = None) -> layers.SampledDense:
    tables = tables or lsh.SimHash(4, 3, 5)
    return layers.SampledDense(units, sampler=samplers.LSH(tables, n_active=10))


def test_statistics_are_named_by_their_layer_and_read_like_sentences() -> None:
    net: Any = Net(hashed(), layers.Dense(4), hashed(), table_stats=HEALTHY)
    stats = inspect.table_stats(net)
    assert stats.layer == "output"
    assert net._core.asked == [("table_stats", 1)]
    assert inspect.table_stats(net, 0).layer == inspect.table_stats(net, -2).layer == "hidden.0"
    assert stats.empty_share == 6 / 32
    assert stats.full_share == 1 / 26
    assert stats.largest_share == 0.3
    text = str(stats)
    for part in ("100 rows in 4 tables (L) of 8 buckets (K=3), 3.0 MB", "18.8% of the buckets"):
        assert part in text
    assert "the largest holds 30 rows, 30.0% of all; 3.8% hold the 5 that count" in text


def test_statistics_count_every_row_in_every_table(trained: sr.Network) -> None:
    stats = inspect.table_stats(trained)
    assert stats.rows == 1500
    assert sum(stats.histogram) + stats.empty == stats.buckets
    # Each bucket that is not empty holds the mean.
    total = stats.mean * (stats.buckets - stats.empty)
    assert total == pytest.approx(stats.rows * stats.n_tables, rel=1e-5)
    assert 0 < stats.largest <= stats.rows
    # The largest is in the last class that is not empty.
    last = max(place for place, count in enumerate(stats.histogram) if count)
    assert 2**last <= stats.largest < 2 ** (last + 1)


def test_measured_probability_is_the_mean_over_the_pairs_of_a_bin() -> None:
    angles = np.array([0.1, 0.1, 0.1, 2.0, 2.0])
    answer = (np.cos(angles).astype(np.float32), np.array([4, 3, 2, 1, 0], np.uint8))
    net: Any = Net(hashed(), retrieval=answer)
    found = inspect.retrieval_probability(net, np.eye(6, dtype=np.float32), bins=4, pairs=12)
    name, _, rows, each, seed = net._core.asked[0]
    assert (name, len(rows), each, seed) == ("retrieval", 6, 2, 0)
    assert found.pairs.tolist() == [3, 0, 2, 0]
    np.testing.assert_allclose(found.measured, [3 / 4, np.nan, 1 / 8, np.nan])
    theory = (1 - np.array([0.1, np.nan, 2.0, np.nan]) / np.pi) ** 3
    np.testing.assert_allclose(found.theoretical, theory, rtol=1e-5)
    assert "0.7500" in str(found)


def test_families_without_a_closed_form_in_the_angle_have_no_theory() -> None:
    answer = (np.zeros(5, np.float32), np.zeros(5, np.uint8))
    net: Any = Net(hashed(tables=lsh.DWTA(4, 2, 5)), retrieval=answer)
    found = inspect.retrieval_probability(net, np.eye(6, dtype=np.float32))
    assert np.isnan(found.theoretical).all()


def test_simhash_retrieves_as_often_as_its_theory_says(easy: Split) -> None:
    train, _ = easy
    # Every row of a bucket counts, and what is hashed is the angle itself.
    tables = lsh.SimHash(64, 4, 1500)
    net = sr.Network(
        [
            layers.SparseInput(train.n_features),
            layers.Dense(32),
            layers.SampledDense(train.n_labels, sampler=samplers.LSH(tables, n_active=100)),
        ]
    )
    net.fit(train.X, train.Y, epochs=1, verbose=False)
    found = inspect.retrieval_probability(net, train.X, bins=10, pairs=20_000)
    assert found.pairs.sum() >= 20_000
    filled = found.pairs >= 100
    # Pairs of a bin share tables and queries: 64 tables are the independent draws.
    error = np.sqrt(found.theoretical * (1 - found.theoretical) / 64)[filled]
    gap = np.abs(found.measured - found.theoretical)[filled]
    assert (gap <= 4 * error + 1e-3).all()


def test_recall_of_ten_is_the_mean_share_of_the_ten_best(trained: sr.Network, easy: Split) -> None:
    _, test = easy
    one, ten = (trained.sampling_recall(test.X, k) for k in (1, 10))
    assert 0 < ten <= 1
    assert inspect.sampling_recall(trained, test.X, 10) == ten
    assert inspect.sampling_recall(trained, test.X) == one


def ranks(text: str, x: Any, rows: Any) -> Any:
    return np.array([1, 1, 2, 50, 0, 3], np.int32)


def test_plots_draw_into_new_axes_or_those_given() -> None:
    pytest.importorskip("matplotlib")
    answer = (np.ones(5, np.float32), np.zeros(5, np.uint8))
    net: Any = Net(hashed(), table_stats=HEALTHY, retrieval=answer, ranks=ranks)
    X = np.eye(6, dtype=np.float32)
    bars = inspect.plot_buckets(net)
    assert [bar.get_height() for bar in bars.patches] == [6, 0, 2, 4, 8, 12]
    labels = [tick.get_text() for tick in bars.get_xticklabels()]
    assert labels == ["0", "1", "2-3", "4-7", "8-15", "16-31"]
    curve = inspect.plot_recall(net, X)
    share = dict(zip(curve.lines[0].get_xdata(), curve.lines[0].get_ydata(), strict=True))
    assert share[0.01] == 2 / 6
    assert share[1.0] == 5 / 6
    assert inspect.plot_retrieval(net, X, ax=curve) is curve


def test_plots_without_matplotlib_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    net: Any = Net(hashed(), table_stats=HEALTHY)
    with pytest.raises(ImportError, match=r"slide_rs\[plot\]"):
        inspect.plot_buckets(net)


def watched(
    logs: dict[str, float], epochs: int = 1, every: int = 1, **changed: Any
) -> list[dict[str, float]]:
    net: Any = Net(hashed(), hashed(), table_stats={**HEALTHY, **changed})
    monitor = HashTableMonitor(every)
    monitor.on_train_begin(net, epochs)
    return [dict(monitor.measure(epoch, logs)) for epoch in range(1, epochs + 1)]


GOOD = {"recall_at_1": 0.5, "active_fraction": 0.01}


def test_the_monitor_adds_the_same_measures_each_epoch(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "slide_rs"):
        first, second, third = watched(GOOD, epochs=3, every=2)
    assert first == third
    assert first["recall_gain"] == 50
    assert first["hidden.0.empty"] == first["output.empty"] == 6 / 32
    assert first["output.full"] == 1 / 26
    assert first["output.largest"] == 0.3
    assert list(second) == list(first)
    assert all(np.isnan(value) for value in second.values())
    assert not caplog.records


@pytest.mark.parametrize(
    ("logs", "changed", "words"),
    [
        ({"recall_at_1": 0.01, "active_fraction": 0.01}, {}, "hardly better than random"),
        (GOOD, {"largest": 80}, "one bucket of the hash tables holds 80 % of the rows"),
        (GOOD, {"full": 13}, "50 % of the buckets overflow"),
    ],
    ids=["random", "largest", "overflow"],
)
def test_the_monitor_warns_in_plain_words(
    logs: dict[str, float], changed: Any, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "slide_rs"):
        watched(logs, **changed)
    assert any(words in record.getMessage() for record in caplog.records)


def test_the_monitor_says_that_there_are_no_tables(caplog: pytest.LogCaptureFixture) -> None:
    net: Any = Net(layers.SampledDense(9, sampler=samplers.Full()))
    monitor = HashTableMonitor()
    with caplog.at_level(logging.WARNING, "slide_rs"):
        monitor.on_train_begin(net, 1)
    assert "no layer of the network has hash tables" in caplog.text
    assert monitor.measure(1, GOOD) == {}


def test_what_the_monitor_measures_is_in_the_history(easy: Split) -> None:
    train, _ = easy
    net = sr.Network(
        [
            layers.SparseInput(train.n_features),
            layers.Dense(16),
            layers.SampledDense(train.n_labels, sampler=samplers.LSH(n_active=100)),
        ]
    )
    history = net.fit(train.X, train.Y, epochs=2, callbacks=[HashTableMonitor()], verbose=False)
    assert history["output.empty"][-1] == inspect.table_stats(net).empty_share
    sampler = net.config.output.sampler
    assert isinstance(sampler, samplers.LSH)
    assert sampler.random_share
    asked = history["active_fraction"][-1] * (1 - sampler.random_share)
    gain = history["recall_at_1"][-1] / asked
    assert history["recall_gain"][-1] == pytest.approx(gain)


def test_recall_is_compared_with_what_the_tables_are_asked_for() -> None:
    half = samplers.LSH(lsh.SimHash(4, 3, 5), n_active=10, random_share=0.5)
    none = dataclasses.replace(half, fill="none")
    for sampler, gain in ((half, 100), (none, 50)):
        net: Any = Net(layers.SampledDense(100, sampler=sampler), table_stats=HEALTHY)
        monitor = HashTableMonitor()
        monitor.on_train_begin(net, 1)
        assert monitor.measure(1, GOOD)["recall_gain"] == pytest.approx(gain)


def test_rows_without_labels_have_no_gain(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "slide_rs"):
        (found,) = watched({"recall_at_1": 0.4, "active_fraction": 0.0})
    assert np.isnan(found["recall_gain"])
    assert not caplog.records


@pytest.mark.parametrize(("recall", "active"), [(0.95, 0.9), (0.3, 0.6), (0.5, 0.45)])
def test_what_can_not_gain_more_is_no_reason_to_warn(
    recall: float, active: float, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "slide_rs"):
        watched({"recall_at_1": recall, "active_fraction": active})
    assert not caplog.records


def test_the_monitor_bears_training_without_labels_and_another_sampler() -> None:
    class Change(Callback):
        def on_train_begin(self, network: sr.Network, epochs: int) -> None:
            self.network = network

        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            change = samplers.Full() if epoch == 1 else samplers.LSH(n_active=20)
            self.network.set_sampler(change)

    net = sr.Network(
        [
            layers.SparseInput(6),
            layers.Dense(4),
            layers.SampledDense(60, sampler=samplers.LSH(n_active=20)),
        ]
    )
    X, none = np.eye(6, dtype=np.float32), [[] for _ in range(6)]
    with pytest.warns(sr.SlideWarning, match="Y: found no label in any row"):
        net.fit(X, none, epochs=1, callbacks=[HashTableMonitor()], verbose=False)
    callbacks = [HashTableMonitor(), Change()]
    history = net.fit(X, np.arange(6), epochs=3, callbacks=callbacks, verbose=False)
    for name in ("recall_gain", "output.empty", "output.full", "output.largest"):
        assert np.isfinite(history[name]).tolist() == [True, False, True], name


def test_what_is_in_a_batch_has_no_recall() -> None:
    net = sr.Network(
        [
            layers.SparseInput(6),
            layers.Dense(4),
            layers.SampledDense(60, sampler=samplers.InBatch()),
        ]
    )
    X = np.eye(6, dtype=np.float32)
    history = net.fit(X, np.arange(6), epochs=1, verbose=False)
    assert np.isnan(history["recall_at_1"]).all()
    assert np.isnan(net.sampling_recall(X))
    assert np.isnan(inspect.sampling_recall(net, X, 3))

"""The search for tables, against an engine made of NumPy whose recall is known exactly."""

from __future__ import annotations

import dataclasses
import json
import logging
import pickle
from typing import Any

import numpy as np
import pytest
import slide_rs as sr
from numpy.typing import NDArray
from slide_rs import inspect, layers, lsh, samplers, tuning
from slide_rs.datasets import Dataset

Split = tuple[Dataset, Dataset]
UNITS, WIDTH, QUERIES = 1000, 16, 2400


class Tables:
    """Ranks rows by the number of tables in which their SimHash is that of the query."""

    def __init__(self, noise: float, units: int = UNITS) -> None:
        rng = np.random.default_rng(5)
        self.rows = rng.standard_normal((units, WIDTH))
        self.best = rng.integers(0, units, QUERIES)
        self.x = (self.rows[self.best] + noise * rng.standard_normal((QUERIES, WIDTH))).astype(
            np.float32
        )
        self.best = (self.x @ self.rows.T).argmax(axis=1)
        self.asked: list[dict[str, Any]] = []

    def ranks(self, text: str, x: Any, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        tables = json.loads(text)
        self.asked.append(tables)
        length, k = tables["n_tables"], tables["n_hashes"]
        # The first tables are the same whatever their number, as in the engine.
        planes = np.random.default_rng(9).standard_normal((255, 16, WIDTH))[:length, :k]
        votes = np.zeros((len(rows), len(self.rows)), np.int16)
        powers = 1 << np.arange(k)
        for table in planes:
            own = (self.rows @ table.T > 0) @ powers
            asked = (x[rows] @ table.T > 0) @ powers
            votes += asked[:, None] == own[None]
        best = self.best[rows]
        mine = votes[np.arange(len(rows)), best]
        before = (votes > mine[:, None]).sum(axis=1)
        ties = ((votes == mine[:, None]) & (np.arange(len(self.rows)) < best[:, None])).sum(axis=1)
        return np.where(mine > 0, 1 + before + ties, 0).astype(np.int32)


class Net:
    """What `autotune` needs of a network."""

    def __init__(self, noise: float) -> None:
        self._core = Tables(noise)
        self.config = sr.NetworkConfig(
            [layers.SparseInput(WIDTH), layers.Dense(WIDTH), layers.SampledDense(UNITS)]
        )


def tuned(noise: float, rows: int = 1200, **options: Any) -> tuple[Net, lsh.Tuning]:
    net: Any = Net(noise)
    found = lsh.autotune(
        net, net._core.x[:rows], n_queries=800, families=["simhash"], time_limit=20.0, **options
    )
    return net, found


def recall_on_fresh(net: Net, found: lsh.Tuning) -> float:
    fresh = np.arange(1200, QUERIES)
    text = json.dumps(sr.document.tables_fields(found.sampler.tables))
    ranks = net._core.ranks(text, net._core.x, fresh)
    return float(((ranks > 0) & (ranks <= found.n_active)).mean())


@pytest.mark.parametrize(
    ("noise", "target"), [(0.2, 0.5), (0.2, 0.95), (1.0, 0.8), (2.0, 0.5), (2.0, 0.9)]
)
def test_recall_on_fresh_queries_is_that_which_was_wanted(noise: float, target: float) -> None:
    net, found = tuned(noise, target_recall=target)
    # Two samples, of 600 rows and of 1,200, three standard errors apart, and the accepted surplus.
    error = np.sqrt(target * (1 - target) * (1 / 600 + 1 / 1200))
    assert recall_on_fresh(net, found) == pytest.approx(target, abs=3 * error + tuning.BAND)
    assert found.recall == pytest.approx(target, abs=0.03)
    assert found.sampler.n_active == found.sampler.min_active == found.n_active
    assert found.sampler.random_share == 0


def test_the_active_set_is_the_smallest_that_was_tried() -> None:
    _, found = tuned(1.5)
    screened = [trial for trial in found.tried if trial.queries == 200 and trial.reached]
    best = min(trial.n_active for trial in screened)
    chosen = [t.n_active for t in screened if t.tables == found.sampler.tables]
    assert chosen == [best]
    assert len(screened) > 5


def test_where_one_output_would_do_fewer_tables_do_too() -> None:
    _, found = tuned(0.2, target_recall=0.6)
    assert found.n_active == 1
    assert found.sampler.tables.n_tables is not None
    assert found.sampler.tables.n_tables < tuning.TABLES
    assert found.recall == pytest.approx(0.6, abs=0.05)


def test_what_can_not_be_reached_is_said_and_the_best_returned(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "slide_rs"):
        _, found = tuned(3.0, target_recall=0.95, max_active=5)
    assert found.n_active == 5
    assert found.recall < 0.9
    (record,) = caplog.records
    assert "recall 0.95 was not reached" in record.getMessage()


def test_no_trial_begins_after_the_time_limit() -> None:
    net: Any = Net(1.0)
    found = lsh.autotune(net, net._core.x, time_limit=1e-9)
    # One to have any, and one to judge it.
    assert len(found.tried) == 2


def test_all_families_and_options_are_tried_in_json_that_says_everything() -> None:
    net: Any = Net(1.0)
    lsh.autotune(net, net._core.x, n_queries=100, time_limit=20.0)
    asked = net._core.asked
    assert {tables["family"]["kind"] for tables in asked} == set(tuning.FAMILIES)
    assert any(tables["center"] for tables in asked)
    assert all(None not in tables.values() for tables in asked)


def test_the_result_reads_like_a_sentence() -> None:
    _, found = tuned(1.0)
    text = str(found)
    assert text.startswith(f"recall {found.recall:.3f} (wanted 0.8) with {found.n_active} active")
    assert "SimHash" in text
    assert f"{len(found.tried)} tried" in text
    assert "active" in repr(found.tried[0])


def test_a_tuned_sampler_finds_as_much_as_it_was_tuned_for(
    trained: sr.Network, easy: Split
) -> None:
    train, test = easy
    # A copy: other tests ask the network of the fixture.
    net = pickle.loads(pickle.dumps(trained))
    found = lsh.autotune(net, train.X, target_recall=0.8, time_limit=10.0)
    net.set_sampler(found.sampler)
    wanted = found.sampler
    if isinstance(wanted.tables, lsh.SimHash):
        # How it projects is left to rule, by the width of the layer before.
        filled = dataclasses.replace(wanted.tables, projection="hadamard")
        wanted = dataclasses.replace(wanted, tables=filled)
    assert net.config.output.sampler == wanted
    assert net.sampling_recall(train.X) == pytest.approx(0.8, abs=0.05)
    stats = inspect.table_stats(net)
    assert stats.rows == 1500
    assert stats.n_tables == found.sampler.tables.n_tables
    assert stats.bytes == pytest.approx(found.table_bytes, rel=0.5)
    assert net.train_batch(train.X[:64], train.Y[:64]).loss > 0
    net.set_sampler(samplers.Full())
    assert net.config.output.sampler == samplers.Full()
    assert net.sampling_recall(test.X) == 1

"""Callbacks that stop, slow down, keep and report training; loggers against their own readers."""

from __future__ import annotations

import csv
import json
import logging
import math
import re
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
import slide_rs as sr
from numpy.testing import assert_array_equal
from slide_rs import callbacks as cb
from slide_rs import layers, optim, samplers, schedules
from slide_rs.datasets import Dataset
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

Split = tuple[Dataset, Dataset]


def small(data: Dataset, lr: float | None = None) -> sr.Network:
    output = layers.SampledDense(data.n_labels, sampler=samplers.LSH(n_active=100))
    # With a rate that is given it is constant, so that only callbacks change it.
    schedule = schedules.WarmupCosine() if lr is None else schedules.Constant(warmup=0)
    stack = [layers.SparseInput(data.n_features), layers.Dense(16), output]
    return sr.Network(stack, optimizer=optim.Adam(lr=lr, schedule=schedule))


def fit(
    net: sr.Network, data: Split, *callbacks: cb.Callback, epochs: int = 4, rows: int = 600
) -> sr.History:
    train, test = data
    return net.fit(
        train.X[:rows],
        train.Y[:rows],
        epochs=epochs,
        batch_size=100,
        validation_data=(test.X[:200], test.Y[:200]),
        metrics=["p@1", "p@3"],
        callbacks=list(callbacks),
        verbose=False,
    )


class Scores(cb.Callback):
    """Adds a measure whose values are given, and keeps the predictions after each epoch."""

    def __init__(self, values: list[float], x: Any = None) -> None:
        self.values, self.x = values, x
        self.seen: list[Any] = []

    def on_train_begin(self, network: sr.Network, epochs: int) -> None:
        self.network = network

    def measure(self, epoch: int, logs: Mapping[str, float]) -> Mapping[str, float]:
        return {"given": self.values[epoch - 1]}

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        if self.x is not None:
            self.seen.append(self.network.predict_topk(self.x, 3, mode="lsh").scores)


class Fails(cb.Callback):
    """Raises at the given moment of the given epoch."""

    def __init__(self, epoch: int, moment: str = "end", error: type = ZeroDivisionError) -> None:
        self.epoch, self.moment, self.error, self.now = epoch, moment, error, 0

    def on_epoch_begin(self, epoch: int) -> None:
        self.now = epoch

    def on_batch_end(self, done: int, total: int, loss: float) -> None:
        if self.now == self.epoch and self.moment == "batch":
            raise self.error("mine")

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        if epoch == self.epoch and self.moment == "end":
            raise self.error("mine")


# Early stopping.


@pytest.mark.parametrize(
    ("values", "mode", "patience", "last", "best"),
    [
        ([1, 3, 2, 2, 9], "max", 2, 4, 2),
        ([3, 1, 2, 2, 0], "min", 2, 4, 2),
        ([1, 1, 9, 9, 9], "max", 1, 2, 1),
        ([1, 2, 3, 4, 5], "max", 1, 5, 5),
        ([math.nan, 1, math.nan, math.nan, 9], "max", 2, 4, 2),
        ([math.nan] * 5, "max", 3, 3, 0),
    ],
)
def test_training_ends_after_patience_and_the_best_epoch_is_restored(
    values: list[float], mode: str, patience: int, last: int, best: int, easy: Split
) -> None:
    stopping = cb.EarlyStopping("given", mode=mode, patience=patience)
    x, net = easy[1].X[:50], small(easy[0])
    scores = Scores(values, x)
    history = fit(net, easy, scores, stopping, epochs=5)
    assert history.epochs[-1] == last
    assert stopping.best_epoch == best
    # The tables find the same, so they too are those of the best epoch.
    left = net.predict_topk(x, 3, mode="lsh").scores
    assert_array_equal(left, scores.seen[(best or last) - 1])


def test_min_delta_is_what_a_value_must_be_better_by(easy: Split) -> None:
    stopping = cb.EarlyStopping("given", mode="max", patience=1, min_delta=0.5)
    history = fit(small(easy[0]), easy, Scores([1.0, 1.6, 2.0, 9.0]), stopping)
    assert history.epochs[-1] == 3
    assert (stopping.best, stopping.best_epoch) == (1.6, 2)


def test_without_restore_best_the_last_epoch_is_left(easy: Split) -> None:
    x, net = easy[1].X[:50], small(easy[0])
    scores = Scores([5, 1, 1, 1], x)
    fit(net, easy, scores, cb.EarlyStopping("given", mode="max", restore_best=False))
    assert_array_equal(net.predict_topk(x, 3, mode="lsh").scores, scores.seen[-1])


def test_the_restored_network_goes_on_like_the_one_of_the_best_epoch(easy: Split) -> None:
    stopped, plain = small(easy[0], lr=0.01), small(easy[0], lr=0.01)
    fit(stopped, easy, Scores([1, 5, 1, 1]), cb.EarlyStopping("given", mode="max"))
    fit(plain, easy, epochs=2)
    fit(stopped, easy, epochs=1)
    fit(plain, easy, epochs=1)
    for name, weights in plain.weights().items():
        assert_array_equal(stopped.weights()[name], weights)


@pytest.mark.parametrize(("moment", "error"), [("batch", KeyboardInterrupt), ("end", ValueError)])
def test_the_best_epoch_is_restored_when_training_breaks_off(
    moment: str, error: type, easy: Split
) -> None:
    x, net = easy[1].X[:50], small(easy[0])
    scores = Scores([5, 1, 1, 1], x)
    with pytest.raises(error, match="mine"):
        fit(net, easy, scores, cb.EarlyStopping("given", mode="max"), Fails(2, moment, error))
    assert_array_equal(net.predict_topk(x, 3, mode="lsh").scores, scores.seen[0])


def test_early_stopping_begins_anew_with_each_fit(easy: Split) -> None:
    stopping = cb.EarlyStopping("given", mode="max", patience=1)
    for values, epochs in (([9, 1, 1], 2), ([1, 2, 1], 3)):
        net = small(easy[0])
        assert len(fit(net, easy, Scores(values), stopping, epochs=3).epochs) == epochs
    assert stopping.best == 2


def test_each_network_of_an_ensemble_is_stopped_for_itself(easy: Split) -> None:
    train, _ = easy
    stack = [layers.SparseInput(train.n_features), layers.Dense(8), layers.SampledDense(1500)]
    model = sr.Ensemble(stack, n_members=2, ranker=None)
    stopping = cb.EarlyStopping("given", mode="max", patience=1)
    histories = model.fit(
        train.X[:500],
        train.Y[:500],
        epochs=4,
        callbacks=[Scores([5, 1, 1, 1]), stopping],
        verbose=False,
    )
    assert [history.epochs[-1] for history in histories] == [2, 2]
    steps = {repr(member).split(", ")[1] for member in model.members}
    one = sr.Ensemble(stack, n_members=1, ranker=None)
    one.fit(train.X[:500], train.Y[:500], epochs=1, verbose=False)
    assert steps == {repr(one.members[0]).split(", ")[1]}


def test_a_measure_that_is_not_there_is_an_error_that_lists_the_others(easy: Split) -> None:
    net = small(easy[0])
    for callback in (
        cb.EarlyStopping("val_p@5"),
        cb.ReduceLROnPlateau("val_p@5"),
        cb.OptunaPruning(optuna.create_study().ask(), "val_p@5"),
    ):
        with pytest.raises(ValueError, match=r"monitor: found 'val_p@5', wanted .*loss.*val_p@3"):
            fit(net, easy, callback)
        assert net.history.epochs == [1]


# Learning rates.


def test_half_the_rate_by_a_callback_is_half_the_rate_of_the_optimiser(easy: Split) -> None:
    # Halving a float32 is exact, so the weights agree to the bit.
    whole, half = small(easy[0], lr=0.01), small(easy[0], lr=0.005)
    history = fit(whole, easy, cb.LearningRateScheduler(lambda epoch, lr: 0.005), epochs=2)
    fit(half, easy, epochs=2)
    assert history["lr"] == pytest.approx([0.005, 0.005], rel=1e-6)
    for name, weights in half.weights().items():
        assert_array_equal(whole.weights()[name], weights)


def test_the_rate_of_the_epoch_before_is_given_and_logged_and_does_not_outlast_fit(
    easy: Split,
) -> None:
    net, seen = small(easy[0], lr=0.01), []

    def schedule(epoch: int, lr: float) -> float:
        seen.append((epoch, lr))
        return lr * 0.5

    scheduler = cb.LearningRateScheduler(schedule)
    for _ in range(2):
        seen.clear()
        history = fit(net, easy, scheduler, epochs=3)
        assert [epoch for epoch, _ in seen] == [1, 2, 3]
        assert [lr for _, lr in seen] == pytest.approx([0.01, 0.005, 0.0025], rel=1e-6)
        assert history["lr"] == pytest.approx([0.005, 0.0025, 0.00125], rel=1e-6)
    assert fit(net, easy, epochs=1)["lr"] == pytest.approx([0.01], rel=1e-6)


def test_the_schedule_of_the_optimiser_multiplies_the_rate(easy: Split) -> None:
    plain, halved = small(easy[0]), small(easy[0])
    lr = plain.config.optimizer.lr
    expected = fit(plain, easy)["lr"]
    found = fit(halved, easy, cb.LearningRateScheduler(lambda epoch, _: lr / 2))["lr"]
    assert found == pytest.approx([rate / 2 for rate in expected], rel=1e-6)


@pytest.mark.parametrize(
    ("values", "options", "rates"),
    [
        ([1, 1, 1, 1, 1], {"patience": 2}, [8, 8, 8, 4, 4]),
        ([1, 1, 1, 1, 1], {"patience": 1}, [8, 8, 4, 2, 1]),
        ([1, 1, 1, 1, 1], {"patience": 1, "min_lr": 0.003}, [8, 8, 4, 3, 3]),
        ([1, 1, 1, 1, 1], {"patience": 1, "cooldown": 1}, [8, 8, 4, 4, 2]),
        ([1, 2, 3, 4, 5], {"patience": 1}, [8, 8, 8, 8, 8]),
        ([1, 2, 3, 4, 5], {"patience": 1, "mode": "min"}, [8, 8, 4, 2, 1]),
        ([1, 2, 3, 4, 5], {"patience": 1, "min_delta": 1.5}, [8, 8, 4, 4, 2]),
    ],
)
def test_a_plateau_lowers_the_rate(
    values: list[float], options: dict[str, Any], rates: list[float], easy: Split
) -> None:
    net = small(easy[0], lr=0.008)
    plateau = cb.ReduceLROnPlateau("given", factor=0.5, **{"mode": "max", **options})
    for _ in range(2):
        # A second fit begins anew.
        history = fit(net, easy, Scores(values), plateau, epochs=5)
        assert history["lr"] == pytest.approx([rate / 1000 for rate in rates], rel=1e-6)


def test_a_rate_that_is_the_least_is_not_lowered_again(
    easy: Split, caplog: pytest.LogCaptureFixture
) -> None:
    for least in (0.0071, 0.0072, 0.0073, 0.0074):
        caplog.clear()
        plateau = cb.ReduceLROnPlateau("given", mode="max", patience=1, min_lr=least)
        with caplog.at_level(logging.INFO, "slide_rs"):
            fit(small(easy[0], lr=0.008), easy, Scores([1] * 4), plateau, rows=200)
        assert sum("ReduceLROnPlateau" in r.getMessage() for r in caplog.records) == 1


def test_two_callbacks_share_one_rate(easy: Split) -> None:
    net = small(easy[0], lr=0.008)
    plateau = cb.ReduceLROnPlateau("given", mode="max", factor=0.5, patience=1)
    scheduler = cb.LearningRateScheduler(lambda epoch, lr: lr / 2 if epoch == 2 else lr)
    history = fit(net, easy, Scores([1, 1, 1, 2]), scheduler, plateau)
    assert history["lr"] == pytest.approx([0.008, 0.004, 0.002, 0.001], rel=1e-6)


@pytest.mark.parametrize("returned", [-1.0, math.nan, 1e300])
def test_a_schedule_that_returns_no_rate_is_refused(returned: float, easy: Split) -> None:
    net = small(easy[0])
    with pytest.raises(ValueError, match=r"schedule|rate_factor"):
        fit(net, easy, cb.LearningRateScheduler(lambda epoch, lr: returned))
    assert fit(net, easy, epochs=1).epochs == [1]


# Resuming.

STATEFUL: list[Callable[[Path], cb.Callback]] = [
    lambda _: cb.EarlyStopping("given", mode="max", patience=9, restore_best=False),
    lambda _: cb.ReduceLROnPlateau("given", mode="max", factor=0.5, patience=1),
    lambda _: cb.LearningRateScheduler(lambda epoch, lr: lr / 2),
    lambda folder: cb.CSVLogger(folder / "log.csv"),
    lambda folder: cb.TensorBoard(folder / "board"),
]


class Taker(cb.Callback):
    """Takes what a checkpoint would keep of another callback after an epoch, as JSON."""

    def __init__(self, other: cb.Callback, epoch: int) -> None:
        self.other, self.epoch, self.text = other, epoch, ""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        if epoch == self.epoch:
            self.text = json.dumps(self.other.state(), allow_nan=False)


class Giver(cb.Callback):
    """Gives another callback its state back when training has begun."""

    def __init__(self, other: cb.Callback, text: str) -> None:
        self.other, self.text = other, text

    def on_train_begin(self, network: sr.Network, epochs: int) -> None:
        self.other.load_state(json.loads(self.text))


@pytest.mark.parametrize("make", STATEFUL)
@pytest.mark.parametrize("when", ["before", "after begin"])
def test_a_callback_goes_on_from_its_state(
    make: Callable[[Path], cb.Callback], when: str, easy: Split, tmp_path: Path
) -> None:
    first = make(tmp_path)
    taker = Taker(first, epoch=2)
    fit(small(easy[0], lr=0.008), easy, Scores([2, 1, 1, 1]), first, taker)
    text = json.dumps(first.state())
    again = make(tmp_path)
    if when == "before":
        again.load_state(json.loads(taker.text))
    giver = [Giver(again, taker.text)] if when == "after begin" else []

    class Numbered(cb.Callback):
        # `fit` counts from 1: what a resumed one would call epoch 3 is its first here.
        def on_train_begin(self, network: sr.Network, epochs: int) -> None:
            again.on_train_begin(network, epochs)

        def on_train_end(self) -> None:
            again.on_train_end()

        def on_epoch_begin(self, epoch: int) -> None:
            again.on_epoch_begin(epoch + 2)

        def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
            again.on_epoch_end(epoch + 2, logs)

    history = fit(small(easy[0], lr=0.008), easy, Scores([1, 1]), Numbered(), *giver, epochs=2)
    assert json.loads(json.dumps(again.state())) == json.loads(text)
    if isinstance(first, cb.LearningRateScheduler):
        assert history["lr"] == pytest.approx([0.001, 0.0005], rel=1e-6)
    if isinstance(first, cb.ReduceLROnPlateau):
        assert history["lr"] == pytest.approx([0.004, 0.002], rel=1e-6)
    if isinstance(first, cb.CSVLogger):
        frame = pd.read_csv(tmp_path / "log.csv")
        frame = frame[["fit", "epoch"]]
        assert frame.to_numpy().tolist() == [[1, 1], [1, 2], [1, 3], [1, 4]]


def test_early_stopping_counts_on_when_resumed_and_says_what_it_can_not_restore(
    easy: Split, caplog: pytest.LogCaptureFixture
) -> None:
    x, net = easy[1].X[:50], small(easy[0])
    scores = Scores([4, 5], x)
    stopping = cb.EarlyStopping("given", mode="max", patience=3)
    stopping.load_state({"best": 9.0, "best_epoch": 7, "waited": 1})
    with caplog.at_level(logging.WARNING, "slide_rs"):
        history = fit(net, easy, scores, stopping, epochs=2)
    assert history.epochs == [1, 2]
    assert stopping.stop_training
    assert any("epoch 7 was the best" in record.getMessage() for record in caplog.records)
    assert_array_equal(net.predict_topk(x, 3, mode="lsh").scores, scores.seen[1])


def test_callbacks_without_a_state_have_an_empty_one() -> None:
    callback = cb.Callback()
    assert callback.state() == {}
    callback.load_state({})


# Loggers.


def test_pandas_reads_what_the_csv_logger_wrote(easy: Split, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("what was there\n")
    log = cb.CSVLogger(path)
    histories = [fit(small(easy[0]), easy, log, epochs=epochs) for epochs in (3, 2)]
    frame = pd.read_csv(path)
    assert list(frame.columns) == ["fit", "epoch", *histories[0]]
    for number, history in enumerate(histories, start=1):
        part = frame[frame["fit"] == number].set_index("epoch").drop(columns="fit")
        # The quick parser of older pandas errs in the last digits.
        pd.testing.assert_frame_equal(part, history.to_frame(), rtol=1e-12, atol=0)


def test_the_csv_logger_flushes_each_epoch_and_appends_on_demand(
    easy: Split, tmp_path: Path
) -> None:
    path, lines = tmp_path / "log.csv", []

    class Reader(cb.Callback):
        def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
            lines.append(len(path.read_text().splitlines()))

    fit(small(easy[0]), easy, cb.CSVLogger(path), Reader(), epochs=2)
    fit(small(easy[0]), easy, cb.CSVLogger(path, append=True), Reader(), epochs=2)
    assert lines == [2, 3, 4, 5]
    with path.open(newline="") as file:
        assert [row["fit"] for row in csv.DictReader(file)] == ["1", "1", "2", "2"]
    with pytest.raises(ValueError, match=r"columns fit,epoch,loss.*wanted fit,epoch,.*given"):
        fit(small(easy[0]), easy, Scores([1]), cb.CSVLogger(path, append=True), epochs=1)


def test_a_csv_file_that_can_not_be_written_is_an_error_before_training(
    easy: Split, tmp_path: Path
) -> None:
    net = small(easy[0])
    with pytest.raises(OSError, match="nowhere"):
        fit(net, easy, cb.CSVLogger(tmp_path / "nowhere" / "log.csv"))
    assert "0 steps" in repr(net)


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder)).Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def test_tensorboard_reads_the_measures_of_each_epoch(easy: Split, tmp_path: Path) -> None:
    board = cb.TensorBoard(tmp_path)
    scores = Scores([1.0, math.nan, 3.0])
    histories = [fit(small(easy[0]), easy, scores, board, epochs=epochs) for epochs in (3, 2)]
    for folder, history in zip((tmp_path, tmp_path / "fit_2"), histories, strict=True):
        found = scalars(folder)
        assert set(found) == {name.replace("@", "_at_") for name in history}
        for name, values in history.items():
            steps = [(i, v) for i, v in zip(history.epochs, values, strict=True) if v == v]
            # An event holds a float32.
            assert found[name.replace("@", "_at_")] == [
                (step, pytest.approx(value, rel=1e-6)) for step, value in steps
            ]


def test_tensorboard_reads_the_loss_of_batches_by_rows(easy: Split, tmp_path: Path) -> None:
    fit(small(easy[0]), easy, cb.TensorBoard(tmp_path, batches=True), epochs=2)
    steps = [step for step, _ in scalars(tmp_path)["batch_loss"]]
    assert steps == sorted(steps)
    # The engine reports at the end of an epoch in any case.
    assert {600, 1200} <= set(steps)


def test_a_logger_is_closed_when_another_callback_fails(easy: Split, tmp_path: Path) -> None:
    class Worse(Fails):
        def on_train_end(self) -> None:
            raise OSError("at the end too")

    board, net = cb.TensorBoard(tmp_path), small(easy[0])
    with pytest.raises(OSError, match="at the end too"):
        fit(net, easy, Worse(2), board)
    assert board._writer is None
    assert [step for step, _ in scalars(tmp_path)["loss"]] == [1]
    assert fit(net, easy, epochs=1).epochs == [1]


class FakeWandb(types.ModuleType):
    """Stands in for wandb, which is large: it records calls, and is no proof of more than them."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.runs: list[FakeWandb.Run] = []

    def init(self, **options: Any) -> FakeWandb.Run:
        self.runs.append(self.Run(options))
        return self.runs[-1]

    class Run:
        """A run that keeps what it is given."""

        def __init__(self, options: dict[str, Any]) -> None:
            self.options, self.logged, self.code = options, [], None
            self.settings: dict[str, Any] = {}
            self.config = self

        def update(self, settings: dict[str, Any], *, allow_val_change: bool) -> None:
            assert allow_val_change
            self.settings.update(settings)

        def log(self, values: dict[str, float]) -> None:
            self.logged.append(values)

        def finish(self, *, exit_code: int) -> None:
            self.code = exit_code


def test_wandb_is_given_each_epoch_in_a_run_a_fit(
    easy: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    logger, net = cb.WandbLogger("labels", mode="offline"), small(easy[0])
    history = fit(net, easy, logger, epochs=2)
    with pytest.raises(ZeroDivisionError):
        fit(net, easy, logger, Fails(2, "batch"))
    whole, broken = fake.runs
    assert whole.options == {"project": "labels", "name": None, "mode": "offline"}
    assert whole.settings == {"network": json.loads(net.config.to_json())}
    assert [row["epoch"] for row in whole.logged] == [1, 2]
    assert [row["val_p@1"] for row in whole.logged] == history["val_p@1"]
    assert (whole.code, broken.code) == (0, 1)
    assert len(broken.logged) == 1


def test_a_wandb_run_of_the_user_stays_open(easy: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    run = fake.init()
    fit(small(easy[0]), easy, cb.WandbLogger(run=run), epochs=2)
    assert fake.runs == [run]
    assert (len(run.logged), run.code) == (2, None)


class FakeMlflow(types.ModuleType):
    """Stands in for mlflow where that is not installed: it records calls, as its client."""

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.calls: list[tuple[Any, ...]] = []
        self.MlflowClient = lambda tracking_uri: self

    def get_experiment_by_name(self, name: str) -> None:
        return None

    def create_experiment(self, name: str) -> str:
        self.calls.append(("experiment", name))
        return "7"

    def create_run(self, experiment: str, run_name: str | None) -> Any:
        self.calls.append(("run", experiment, run_name))
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id="r"))

    def log_text(self, run: str, text: str, name: str) -> None:
        self.calls.append(("text", run, json.loads(text)["loss"], name))

    def log_metric(self, run: str, name: str, value: float, step: int) -> None:
        self.calls.append(("metric", run, name, value, step))

    def set_terminated(self, run: str, status: str) -> None:
        self.calls.append(("end", run, status))


def test_mlflow_is_given_each_epoch_as_a_step(easy: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeMlflow()
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    logger, net = cb.MLflowLogger("labels", "first"), small(easy[0])
    history = fit(net, easy, logger, epochs=2)
    assert fake.calls[:3] == [
        ("experiment", "labels"),
        ("run", "7", "first"),
        ("text", "r", "softmax", "network.json"),
    ]
    p_at_1 = [(step, value) for _, _, name, value, step in fake.calls[3:-1] if name == "val_p_at_1"]
    assert p_at_1 == list(enumerate(history["val_p@1"], start=1))
    assert fake.calls[-1] == ("end", "r", "FINISHED")
    with pytest.raises(ZeroDivisionError):
        fit(net, easy, logger, Fails(1, "batch"))
    assert fake.calls[-1] == ("end", "r", "FAILED")


def test_the_real_mlflow_reads_the_measures(
    easy: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is large, so tests do not ask for it")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = tmp_path.as_uri()
    history = fit(small(easy[0]), easy, cb.MLflowLogger("labels", tracking_uri=uri), epochs=2)
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("labels").experiment_id
    (run,) = client.search_runs([experiment])
    assert run.info.status == "FINISHED"
    metrics = client.get_metric_history(run.info.run_id, "val_p_at_1")
    assert [(m.step, m.value) for m in metrics] == list(enumerate(history["val_p@1"], start=1))


@pytest.mark.parametrize(
    ("module", "make"),
    [
        ("tensorboardX", lambda: cb.TensorBoard("runs")),
        ("wandb", lambda: cb.WandbLogger()),
        ("mlflow", lambda: cb.MLflowLogger()),
        ("optuna", lambda: cb.OptunaPruning(None)),
        ("pandas", lambda: sr.History().to_frame()),
    ],
)
def test_a_missing_package_is_an_error_that_names_the_extra(
    module: str, make: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    extra = "tensorboard" if module == "tensorboardX" else module
    with pytest.raises(ImportError, match=rf"needs {module}: .*slide_rs\[{extra}\]"):
        make()


# Optuna.


def test_optuna_prunes_the_worse_trial_and_its_network_stays_usable(easy: Split) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=1)
    )
    nets: list[sr.Network] = []

    def objective(trial: optuna.Trial) -> float:
        nets.append(small(easy[0]))
        level = 2.0 - trial.number
        fit(nets[-1], easy, Scores([level] * 4), cb.OptunaPruning(trial, "given"))
        return level

    study.optimize(objective, n_trials=2)
    good, bad = study.trials
    assert good.state == optuna.trial.TrialState.COMPLETE
    assert good.intermediate_values == {1: 2.0, 2: 2.0, 3: 2.0, 4: 2.0}
    assert bad.state == optuna.trial.TrialState.PRUNED
    assert bad.intermediate_values == {1: 1.0}
    assert nets[1].history.epochs == [1]
    assert np.isfinite(nets[1].predict_topk(easy[1].X[:9], 3, mode="lsh").scores).any()
    assert fit(nets[1], easy, epochs=1).epochs == [1]


# All of them.


def test_callbacks_run_in_the_order_of_the_list(easy: Split) -> None:
    calls: list[str] = []

    class Noted(cb.Callback):
        def __init__(self, name: str) -> None:
            self.name = name

        def on_train_begin(self, network: sr.Network, epochs: int) -> None:
            calls.append(f"{self.name} begin")

        def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
            calls.append(f"{self.name} epoch")

        def on_train_end(self) -> None:
            calls.append(f"{self.name} end")

    fit(small(easy[0]), easy, Noted("a"), Noted("b"), epochs=1)
    assert calls == [f"{name} {what}" for what in ("begin", "epoch", "end") for name in "ab"]


@pytest.mark.parametrize("moment", ["batch", "end"])
def test_an_error_in_a_callback_leaves_the_tables_whole(moment: str, easy: Split) -> None:
    net = small(easy[0])
    with pytest.raises(ZeroDivisionError):
        fit(net, easy, Fails(2, moment))
    x = easy[1].X[:100]
    left = net.predict_topk(x, 3, mode="lsh").scores
    # Saving hashes again what had moved; nothing had.
    net._core.finish()
    assert_array_equal(net.predict_topk(x, 3, mode="lsh").scores, left)


def test_early_stopping_says_why_training_ended(
    easy: Split, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "slide_rs"):
        fit(small(easy[0]), easy, Scores([5, 1, 1, 1]), cb.EarlyStopping("given", mode="max"))
    (message,) = [r.getMessage() for r in caplog.records if "EarlyStopping" in r.getMessage()]
    assert "best in epoch 1" in message
    assert "after epoch 3" in message


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: cb.EarlyStopping(3), TypeError, "monitor: found int"),
        (lambda: cb.EarlyStopping("lr"), ValueError, "mode: found 'auto', but 'lr'"),
        (lambda: cb.EarlyStopping("loss", mode="best"), ValueError, "mode: found 'best'"),
        (lambda: cb.EarlyStopping(patience=0), ValueError, "patience: found 0"),
        (lambda: cb.EarlyStopping(min_delta=-1), ValueError, "min_delta: found -1"),
        (lambda: cb.EarlyStopping(restore_best=1), TypeError, "restore_best: found 1"),
        (lambda: cb.ReduceLROnPlateau(factor=1), ValueError, "factor: found 1"),
        (lambda: cb.ReduceLROnPlateau(factor=0), ValueError, "factor: found 0"),
        (lambda: cb.ReduceLROnPlateau(patience=True), TypeError, "patience: found True"),
        (lambda: cb.ReduceLROnPlateau(cooldown=-1), ValueError, "cooldown: found -1"),
        (lambda: cb.ReduceLROnPlateau(min_lr=math.nan), ValueError, "min_lr: found nan"),
        (lambda: cb.LearningRateScheduler(0.1), TypeError, "schedule: found float"),
        (lambda: cb.CSVLogger(3), TypeError, "path: found 3"),
        (lambda: cb.CSVLogger("log.csv", append="yes"), TypeError, "append: found 'yes'"),
        (lambda: cb.TensorBoard(None), TypeError, "log_dir: found None"),
        (lambda: cb.TensorBoard("runs", batches=1), TypeError, "batches: found 1"),
        (lambda: cb.OptunaPruning(3), TypeError, "trial: found int"),
    ],
)
def test_a_wrong_argument_is_named(make: Callable[[], object], error: type, match: str) -> None:
    with pytest.raises(error, match=match):
        make()


# The history.


def test_the_history_as_a_frame_has_a_row_an_epoch(easy: Split) -> None:
    history = fit(small(easy[0]), easy, epochs=2)
    frame = history.to_frame()
    assert list(frame.columns) == list(history)
    assert (frame.index.name, frame.index.tolist()) == ("epoch", [1, 2])
    assert (frame.dtypes == np.float64).all()
    assert frame["loss"].tolist() == history["loss"]
    assert sr.History().to_frame().empty


def test_the_history_is_drawn_into_a_file(easy: Split, tmp_path: Path) -> None:
    history = fit(small(easy[0]), easy, epochs=2)
    figure = history.plot()
    figure.savefig(tmp_path / "history.png")
    assert (tmp_path / "history.png").read_bytes().startswith(b"\x89PNG")
    assert [axes.get_title() for axes in figure.axes] == list(history)
    for axes, values in zip(figure.axes, history.values(), strict=True):
        (line,) = axes.lines
        assert line.get_xydata().tolist() == [[1, values[0]], [2, values[1]]]
    sr.History().plot().savefig(tmp_path / "empty.png")


# The document.

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "callbacks.md"


def test_the_document_names_every_callback_and_its_examples_run() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    named = {row.split("`")[1].split("(")[0] for row in text.splitlines() if row.startswith("| `")}
    assert named == {name for name in cb.__all__ if name != "chosen"}
    names: dict[str, Any] = {}
    for example in re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S):
        exec(compile(example, DOCUMENT.name, "exec"), names)
    assert names["history"].epochs == [1, 2]

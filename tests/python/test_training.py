"""The course of `fit`: what it records, how it ends, and who may do what meanwhile."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import slide_rs as sr
from numpy.testing import assert_array_equal
from scipy import sparse
from slide_rs import layers, lsh, samplers
from slide_rs.callbacks import Callback, ProgressBar
from slide_rs.datasets import Dataset

Split = tuple[Dataset, Dataset]
MEASURES = ["loss", "active_fraction", "recall_at_1", "seconds", "samples_per_second", "lr"]


def small(data: Dataset, sampler: samplers.Sampler | None = None) -> sr.Network:
    output = layers.SampledDense(data.n_labels, sampler=sampler or samplers.LSH(n_active=100))
    return sr.Network([layers.SparseInput(data.n_features), layers.Dense(16), output])


class Recorder(Callback):
    """Notes every call."""

    def __init__(self, stop_after: int = 99) -> None:
        self.calls: list[str] = []
        self.batches: list[tuple[int, int, float]] = []
        self.stop_after = stop_after

    def on_train_begin(self, network: sr.Network, epochs: int) -> None:
        self.calls.append(f"train of {epochs}")

    def on_train_end(self) -> None:
        self.calls.append("end")

    def on_epoch_begin(self, epoch: int) -> None:
        self.calls.append(f"epoch {epoch}")

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        self.calls.append(f"end {epoch}")
        self.stop_training = epoch >= self.stop_after

    def on_batch_end(self, done: int, total: int, loss: float) -> None:
        self.batches.append((done, total, loss))


def test_history_has_a_value_of_each_measure_for_each_epoch(easy: Split) -> None:
    train, test = easy
    net = small(train)
    history = net.fit(
        train.X, train.Y, epochs=3, validation_data=test, metrics=["p@1", "psp@3"], verbose=False
    )
    assert list(history) == [*MEASURES, "val_p@1", "val_psp@3"]
    assert history.epochs == [1, 2, 3]
    assert all(len(values) == 3 for values in history.values())
    assert history["loss"][2] < history["loss"][0]
    assert history.last["val_p@1"] == net.evaluate(test.X, test.Y, ["p@1"])["p@1"]
    assert history["active_fraction"][0] == pytest.approx(100 / train.n_labels)
    assert all(0 <= value <= 1 for value in history["recall_at_1"])
    assert net.history is history


def test_validation_changes_nothing(easy: Split) -> None:
    train, test = easy
    plain, validated = small(train), small(train)
    plain.fit(train.X, train.Y, epochs=2, verbose=False)
    validated.fit(train.X, train.Y, epochs=2, validation_data=test, verbose=False)
    expected = plain.predict_topk(test.X, 3).scores
    assert_array_equal(validated.predict_topk(test.X, 3).scores, expected)


def test_callbacks_run_in_order_and_may_stop_training(easy: Split) -> None:
    train, _ = easy
    recorder = Recorder(stop_after=2)
    history = small(train).fit(
        train.X, train.Y, epochs=5, batch_size=50, callbacks=[recorder], verbose=False
    )
    epochs = ["epoch 1", "end 1", "epoch 2", "end 2"]
    assert recorder.calls == ["train of 5", *epochs, "end"]
    assert history.epochs == [1, 2]
    assert recorder.batches
    assert all(0 < done <= total == 3000 for done, total, _ in recorder.batches)
    assert np.isfinite([loss for *_, loss in recorder.batches]).all()


class StopEarly(Callback):
    """Ends training in the second epoch, at the given moment of it, and keeps a copy."""

    def __init__(self, moment: str) -> None:
        self.moment, self.saved = moment, b""

    def on_train_begin(self, network: sr.Network, epochs: int) -> None:
        self.network = network

    def on_epoch_begin(self, epoch: int) -> None:
        self.stop_training = epoch == 2 and self.moment == "begin"

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        self.saved = pickle.dumps(self.network)
        self.stop_training |= epoch == 2 and self.moment == "end"


@pytest.mark.parametrize("moment", ["begin", "end", "never"])
def test_the_last_epoch_describes_the_network_that_is_left(moment: str, easy: Split) -> None:
    train, test = easy
    stopper, net = StopEarly(moment), small(train)
    fewer = {"begin": 5, "end": 5, "never": 2}[moment]
    history = net.fit(
        train.X,
        train.Y,
        epochs=fewer,
        validation_data=test,
        metrics=["p@1"],
        callbacks=[stopper],
        verbose=False,
    )
    assert history.epochs == [1, 2]
    assert history.last["recall_at_1"] == net.sampling_recall(test.X)
    assert history.last["val_p@1"] == net.evaluate(test.X, test.Y, ["p@1"])["p@1"]
    # Saving in the course of training, as the callback did, changed nothing.
    plain = small(train)
    plain.fit(train.X, train.Y, epochs=fewer, callbacks=[Recorder(2)], verbose=False)
    for other in (plain, pickle.loads(stopper.saved)):
        for mode in ("exact", "lsh"):
            expected = net.predict_topk(test.X, 3, mode=mode).scores
            assert_array_equal(other.predict_topk(test.X, 3, mode=mode).scores, expected)


def test_off_a_terminal_fit_prints_nothing_unless_asked(
    easy: Split, capfd: pytest.CaptureFixture[str]
) -> None:
    train, _ = easy
    small(train).fit(train.X[:99], train.Y[:99], epochs=2)
    assert capfd.readouterr() == ("", "")
    small(train).fit(train.X[:99], train.Y[:99], epochs=2, verbose=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert [line.split("  ")[0] for line in err.splitlines()] == ["epoch 1/2", "epoch 2/2"]


def test_on_a_terminal_the_bar_moves_on_one_line(
    easy: Split, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    bar = ProgressBar()
    bar.on_train_begin(small(easy[0]), 1)
    bar.on_epoch_begin(1)
    bar.on_batch_end(50, 100, 2.0)
    bar.on_batch_end(100, 100, 1.0)
    bar.on_epoch_end(1, {"loss": 1.0})
    bar.on_train_end()
    text = capsys.readouterr().err
    assert "[############............]" in text
    assert text.count("\n") == 1
    assert text.count("\r") == 3


def test_tables_that_find_nothing_are_reported_in_plain_words(
    easy: Split, caplog: pytest.LogCaptureFixture
) -> None:
    train, _ = easy
    blind = samplers.LSH(lsh.SimHash(n_tables=1, n_hashes=16, bucket_size=1), n_active=10)
    with caplog.at_level(logging.WARNING, "slide_rs"):
        small(train, blind).fit(train.X, train.Y, epochs=1, verbose=False)
        small(train, samplers.Uniform()).fit(train.X, train.Y, epochs=1, verbose=False)
    (record,) = caplog.records
    assert record.name == "slide_rs"
    assert "n_tables" in record.getMessage()


class Interrupter(Callback):
    """Presses Ctrl-C in the given epoch."""

    def __init__(self, epoch: int) -> None:
        self.when, self.now = epoch, 0

    def on_epoch_begin(self, epoch: int) -> None:
        self.now = epoch

    def on_batch_end(self, done: int, total: int, loss: float) -> None:
        if self.now == self.when:
            signal.raise_signal(signal.SIGINT)


def test_a_callback_alone_is_a_list_of_one(easy: Split) -> None:
    class Count(Callback):
        epochs = 0

        def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
            self.epochs += 1

    alone, net = Count(), small(easy[0])
    net.fit(easy[0].X, easy[0].Y, epochs=2, callbacks=alone, verbose=False)
    assert alone.epochs == 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"callbacks": 3}, "callbacks: found int, wanted a Callback or a list of them"),
        ({"callbacks": ProgressBar}, "callbacks: found the class ProgressBar"),
        ({"callbacks": [ProgressBar]}, r"callbacks\[0\]: found the class ProgressBar"),
        ({"verbose": 2}, "verbose: found 2, wanted 'auto', True or False: there are no levels"),
    ],
    ids=str,
)
def test_habits_of_other_libraries_are_answered(
    wrong: dict[str, Any], said: str, easy: Split
) -> None:
    with pytest.raises(TypeError, match=said):
        small(easy[0]).fit(easy[0].X, easy[0].Y, **wrong)


def test_ctrl_c_ends_fit_and_keeps_network_and_history(easy: Split) -> None:
    train, test = easy
    net, recorder = small(train), Recorder()
    with pytest.raises(KeyboardInterrupt):
        net.fit(train.X, train.Y, epochs=9, callbacks=[recorder, Interrupter(2)], verbose=False)
    assert net.history.epochs == [1]
    assert recorder.calls[-1] == "end"
    assert np.isfinite(net.predict_topk(test.X, 3).scores).all()
    assert net.predict_topk(test.X, 3, mode="lsh").labels.shape == (1000, 3)
    assert net.fit(train.X, train.Y, epochs=1, verbose=False).epochs == [1]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers on Windows")
def test_a_signal_is_heard_between_batches_without_any_callback(easy: Split) -> None:
    # One epoch that takes many seconds, so that only a check inside of it can hear the signal.
    train, _ = easy
    X, Y = (sparse.vstack([matrix] * 200, format="csr") for matrix in train)
    net = small(train)

    def ring(*_: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        start = time.perf_counter()
        with pytest.raises(TimeoutError):
            net.fit(X, Y, epochs=1, batch_size=32, verbose=False)
        assert time.perf_counter() - start < 2
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert np.isfinite(net.predict_topk(train.X, 1).scores).all()


def test_an_error_in_a_callback_ends_fit_and_is_the_one_raised(easy: Split) -> None:
    class Broken(Callback):
        def on_batch_end(self, done: int, total: int, loss: float) -> None:
            raise ZeroDivisionError("mine")

    train, _ = easy
    net = small(train)
    with pytest.raises(ZeroDivisionError, match="mine"):
        net.fit(train.X, train.Y, epochs=1, callbacks=[Broken()], verbose=False)
    assert net.fit(train.X, train.Y, epochs=1, verbose=False).epochs == [1]


class Asker(Callback):
    """Reads and uses the network in the middle of an epoch."""

    def __init__(self, use: bool) -> None:
        self.use, self.seen = use, ""

    def on_train_begin(self, network: sr.Network, epochs: int) -> None:
        self.network = network

    def on_batch_end(self, done: int, total: int, loss: float) -> None:
        self.seen = repr(self.network)
        if self.use:
            self.network.predict_topk(np.zeros((1, 3000), np.float32), 1)


def test_in_the_middle_of_an_epoch_the_network_can_be_read_but_is_busy(easy: Split) -> None:
    train, test = easy
    net, reader, user = small(train), Asker(use=False), Asker(use=True)
    net.fit(train.X, train.Y, epochs=1, batch_size=16, callbacks=[reader], verbose=False)
    assert "3000 -> 16 -> 1500" in reader.seen
    with pytest.raises(RuntimeError, match="busy"):
        net.fit(train.X, train.Y, epochs=1, batch_size=16, callbacks=[user], verbose=False)
    assert "3000 -> 16 -> 1500" in user.seen
    assert net.predict_topk(test.X, 1).labels.shape == (1000, 1)


def test_another_python_thread_runs_while_the_engine_trains(easy: Split) -> None:
    train, _ = easy
    net, done, ticks = small(train), threading.Event(), [0]

    def tick() -> None:
        while not done.wait(0.001):
            ticks[0] += 1

    thread = threading.Thread(target=tick)
    thread.start()
    start = time.perf_counter()
    net.fit(train.X, train.Y, epochs=8, verbose=False)
    seconds = time.perf_counter() - start
    done.set()
    thread.join()
    # The engine enters Python at most 20 times a second, which alone would give so many ticks.
    assert ticks[0] > 2 * 20 * seconds


def test_threads_share_one_network(trained: sr.Network, easy: Split) -> None:
    train, test = easy
    expected = trained.predict_topk(test.X, 3).scores
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(trained.predict_topk(test.X, 3).scores))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 4
    for scores in answers:
        assert_array_equal(scores, expected)

    net = small(train)

    def steps() -> None:
        for _ in range(20):
            net.train_batch(train.X[:64], train.Y[:64])

    threads = [threading.Thread(target=steps) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert "60 steps" in repr(net)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on Windows")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_predicts_and_trains(trained: sr.Network, easy: Split) -> None:
    train, test = easy
    expected = trained.predict_topk(test.X, 3)
    net = small(train)
    net.train_batch(train.X[:64], train.Y[:64])
    child = os.fork()
    if child == 0:
        code = 1
        try:
            same = np.array_equal(trained.predict_topk(test.X, 3).scores, expected.scores)
            net.train_batch(train.X[:64], train.Y[:64])
            fresh = small(train)
            fresh.fit(train.X[:200], train.Y[:200], epochs=1, verbose=False)
            code = 0 if same else 2
        finally:
            os._exit(code)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            assert os.waitstatus_to_exitcode(status) == 0
            break
        time.sleep(0.05)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        pytest.fail("the child hung")
    assert_array_equal(trained.predict_topk(test.X, 3).scores, expected.scores)


def test_plot_without_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"slide_rs\[plot\]"):
        sr.History().plot()

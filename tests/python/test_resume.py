"""What may happen between a checkpoint and the end of its run, beside going on."""

from __future__ import annotations

import copy
import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import slide_rs as sr
from slide_rs import callbacks, data, datasets, layers, samplers
from slide_rs.callbacks import Callback, ModelCheckpoint

ROWS, LATER = datasets.make_xmc(400, n_features=200, n_labels=30, seed=0).split(300)


def network() -> sr.Network:
    stack = [layers.SparseInput(200), layers.Dense(8), layers.SampledDense(30)]
    return sr.Network(stack, seed=0)


def same(one: sr.Network, other: sr.Network) -> bool:
    ours, theirs = one.weights(), other.weights()
    return all(ours[name].tobytes() == theirs[name].tobytes() for name in ours | theirs)


class Stop(Callback):
    """Ends training by an error when an epoch begins."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_epoch_begin(self, epoch: int) -> None:
        if epoch == self.epoch:
            raise OSError("gone")


class Peak(Callback):
    """Measures what is best in the second epoch."""

    def measure(self, epoch: int, logs: Mapping[str, float]) -> Mapping[str, float]:
        return {"peak@1": 1.0 if epoch == 2 else 1 / (2 + epoch)}


def half(folder: Path, *more: Callback, **named: Any) -> Path:
    """Train two epochs of four."""
    with pytest.raises(OSError, match="gone"):
        network().fit(
            *(() if "stream" in named else (ROWS.X, ROWS.Y)),
            **({"X": named.pop("stream")} if "stream" in named else {}),
            epochs=4,
            batch_size=32,
            callbacks=[*more, ModelCheckpoint(folder), Stop(3)],
            verbose=False,
            **named,
        )
    return folder


@pytest.mark.parametrize("killed_in", [3, 5, None])
def test_early_stopping_restores_the_best_network_of_a_resumed_run_too(
    tmp_path: Path, killed_in: int | None
) -> None:
    def run(net: sr.Network, folder: Path, *more: Callback) -> sr.Network:
        found = [Peak(), callbacks.EarlyStopping("peak@1", patience=4), *more]
        found.append(ModelCheckpoint(folder, keep=1))
        net.fit(ROWS.X, ROWS.Y, epochs=12, batch_size=32, callbacks=found, verbose=False)
        return net

    alone = run(network(), tmp_path / "alone")
    assert alone.history.epochs == [1, 2, 3, 4, 5, 6]
    folder = tmp_path / "killed"
    if killed_in is None:
        run(network(), folder)
    else:
        with pytest.raises(OSError, match="gone"):
            run(network(), folder, Stop(killed_in))
    resumed = run(sr.Network.resume(folder), folder)
    assert resumed.history["peak@1"] == alone.history["peak@1"]
    assert same(resumed, alone)


CHANGES = {
    "add_labels": lambda net: net.add_labels(2),
    "remove_labels": lambda net: net.remove_labels([0]),
    "set_sampler": lambda net: net.set_sampler(samplers.Uniform(n_active=3)),
    "partial_fit": lambda net: net.partial_fit(ROWS.X, ROWS.Y),
    "train_batch": lambda net: net.train_batch(ROWS.X, ROWS.Y),
    "save": lambda net: net.save("nowhere"),
    "pickle": copy.deepcopy,
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_resumed_network_is_not_changed_before_its_run_has_ended(
    tmp_path: Path, name: str
) -> None:
    net = sr.Network.resume(half(tmp_path))
    with pytest.raises(RuntimeError, match=f"{name}: found a run that was resumed"):
        CHANGES[name](net)
    net.fit(ROWS.X, ROWS.Y, verbose=False)
    assert net.history.epochs == [1, 2, 3, 4]
    net.add_labels(1)


@pytest.mark.parametrize("name", ["add_labels", "remove_labels", "partial_fit"])
def test_a_callback_does_not_change_the_network_that_is_trained(name: str) -> None:
    class Changes(Callback):
        def on_train_begin(self, network: sr.Network, epochs: int) -> None:
            self.network = network

        def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
            CHANGES[name](self.network)

    net = network()
    with pytest.raises(RuntimeError, match=f"{name}: found a fit that is running"):
        net.fit(ROWS.X, ROWS.Y, epochs=2, callbacks=[Changes()], verbose=False)
    CHANGES[name](net)


def test_a_resumed_run_that_breaks_off_is_resumed_from_its_checkpoint_alone(tmp_path: Path) -> None:
    whole = network()
    whole.fit(ROWS.X, ROWS.Y, epochs=4, batch_size=32, verbose=False)
    half(tmp_path)
    net = sr.Network.resume(tmp_path)
    with pytest.raises(OSError, match="gone"):
        net.fit(ROWS.X, ROWS.Y, callbacks=[Stop(4)], verbose=False)
    with pytest.raises(RuntimeError, match="fit: found a resumed run that was broken off"):
        net.fit(ROWS.X, ROWS.Y, verbose=False)
    assert net.predict_topk(LATER.X, 1).labels.shape == (100, 1)
    again = sr.Network.resume(tmp_path)
    again.fit(ROWS.X, ROWS.Y, callbacks=[ModelCheckpoint(tmp_path)], verbose=False)
    assert same(again, whole)


def test_a_finished_run_that_is_resumed_has_its_best_network(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Rising(Callback):
        def measure(self, epoch: int, logs: Mapping[str, float]) -> Mapping[str, float]:
            return {"rise@1": float(epoch)}

    stopping = callbacks.EarlyStopping("rise@1")
    found, net = [Rising(), stopping], network()
    sizes = {"epochs": 2, "batch_size": 32, "verbose": False}
    net.fit(ROWS.X, ROWS.Y, **sizes, callbacks=[*found, ModelCheckpoint(tmp_path)])
    (tmp_path / "best-rise-1.safetensors").unlink()
    again = sr.Network.resume(tmp_path)
    again.fit(ROWS.X, ROWS.Y, **sizes, callbacks=found)
    assert same(again, net)
    assert (stopping.best, stopping.best_epoch) == (2.0, 2)
    assert not caplog.records


def test_a_callback_that_the_run_did_not_have_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    again = sr.Network.resume(half(tmp_path / "run", Peak()))
    more = [callbacks.EarlyStopping("peak@1"), Peak(), ModelCheckpoint(tmp_path / "run")]
    again.fit(ROWS.X, ROWS.Y, callbacks=more, verbose=False)
    (said,) = (record.getMessage() for record in caplog.records)
    assert said.startswith("callbacks: found EarlyStopping, which the run of the checkpoint did")
    assert "begins in epoch 3" in said


def test_what_is_measured_must_be_what_the_run_measures(tmp_path: Path) -> None:
    net = sr.Network.resume(half(tmp_path))
    with pytest.raises(ValueError, match="validation_data: found rows, wanted None as in the run"):
        net.fit(ROWS.X, ROWS.Y, validation_data=LATER, verbose=False)
    net.fit(ROWS.X, ROWS.Y, verbose=False)
    assert net.history.epochs == [1, 2, 3, 4]


def test_lines_of_epochs_that_are_trained_again_are_written_once(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    folder = tmp_path / "ckpt"
    keeper = ModelCheckpoint(folder, every_epochs=2)
    with pytest.raises(OSError, match="gone"):
        network().fit(
            ROWS.X,
            ROWS.Y,
            epochs=5,
            callbacks=[callbacks.CSVLogger(log), keeper, Stop(4)],
            verbose=False,
        )
    net = sr.Network.resume(folder)
    net.fit(ROWS.X, ROWS.Y, callbacks=[callbacks.CSVLogger(log), keeper], verbose=False)
    with log.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["fit"], line["epoch"]) for line in lines] == [("1", f"{n}") for n in range(1, 6)]
    assert [float(line["loss"]) for line in lines] == net.history["loss"]


@pytest.mark.parametrize("change", ["seed", "buffer", "rows"])
def test_another_stream_is_not_taken_for_that_of_the_run(tmp_path: Path, change: str) -> None:
    def stream(seed: int = 0, buffer: int = 64, factor: float = 1.0) -> data.Stream:
        pairs = [(ROWS.X[:150] * factor, ROWS.Y[:150]), (ROWS.X[150:], ROWS.Y[150:])]
        return data.Stream(pairs, seed=seed, shuffle_buffer=buffer)

    other = {"seed": {"seed": 5}, "buffer": {"buffer": 0}, "rows": {"factor": 3.0}}[change]
    net = sr.Network.resume(half(tmp_path, stream=stream()))
    with pytest.raises(ValueError, match="as in the checkpoint"):
        net.fit(stream(**other), verbose=False)  # type: ignore[arg-type]
    net.fit(stream(), verbose=False)
    assert net.history.epochs == [1, 2, 3, 4]


def test_an_ensemble_whose_members_have_other_labels_is_not_saved(tmp_path: Path) -> None:
    stack = [layers.SparseInput(200), layers.Dense(8), layers.SampledDense(30)]
    model = sr.Ensemble(stack, n_members=2)
    model.fit(ROWS.X, ROWS.Y, epochs=1, verbose=False)
    model.members[1].add_labels(3)
    with pytest.raises(ValueError, match=r"members\[1\]: found 33 labels"):
        model.save(tmp_path / "model")

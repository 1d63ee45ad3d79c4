"""Checkpoints: a run that is killed and resumed ends where one that is left alone ends."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slide_rs as sr
from numpy.testing import assert_array_equal
from slide_rs import checkpoints, cli, datasets, layers, lsh, optim, restarts, samplers
from slide_rs.callbacks import Callback, ModelCheckpoint

DATA = datasets.make_xmc(300, n_features=200, n_labels=120, seed=2)
SIZES: dict[str, Any] = {"epochs": 3, "batch_size": 16}
STEPS = 3 * 19


class KilledError(Exception):
    """Stands for whatever ends a process."""


class Killer(ModelCheckpoint):
    """Ends training after so many checkpoints."""

    left = 3

    def write(self, *args: Any) -> None:
        super().write(*args)
        self.left -= 1
        if not self.left:
            raise KilledError


Killer.__qualname__ = ModelCheckpoint.__qualname__


class Memory(Callback):
    """A callback that remembers."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.seen: list[float] = []

    def on_train_begin(self, network: sr.Network, epochs: int) -> None:
        self.losses = []

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        self.losses.append(logs["loss"])

    def state(self) -> dict[str, Any]:
        return {"losses": self.losses}

    def load_state(self, state: dict[str, Any]) -> None:
        self.losses = list(state["losses"])


def network(
    optimizer: Any = None, sampler: samplers.Sampler | None = None, dtype: str | None = None
) -> sr.Network:
    tables = lsh.SimHash(n_tables=8, n_hashes=4)
    by_rule = samplers.LSH(tables, n_active=40, rebuild=lsh.Rebuild(every=5, redraw=4))
    stack = [
        layers.SparseInput(200, dropout=0.1),
        layers.Dense(12, dropout=0.1),
        layers.SampledDense(120, sampler=sampler or by_rule, dtype=dtype),
    ]
    return sr.Network(stack, optimizer=optimizer, seed=4)


def fit(net: sr.Network, *callbacks: Callback, **kwargs: Any) -> sr.History:
    return net.fit(DATA.X, DATA.Y, callbacks=callbacks, verbose=False, **kwargs)


def measured(history: sr.History) -> dict[str, list[float]]:
    times = ("seconds", "samples_per_second")
    return {name: list(values) for name, values in history.items() if name not in times}


def same(one: sr.Network, other: sr.Network) -> bool:
    ours, theirs = one.weights(), other.weights()
    return all(ours[name].tobytes() == theirs[name].tobytes() for name in ours | theirs)


def interrupted(folder: Path, net: sr.Network, every: int, **kwargs: Any) -> sr.Network:
    """Train, and let every third checkpoint be the last thing that happens, until the end."""
    while True:
        try:
            fit(net, Killer(folder, every_steps=every), **kwargs)
            return net
        except KilledError:
            net = sr.Network.resume(folder)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes that are killed are forked")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_run_that_is_killed_twenty_times_ends_where_one_that_is_left_alone_ends(
    tmp_path: Path, threads: int
) -> None:
    script = Path(__file__).with_name("killed_training.py")
    command = [sys.executable, script, tmp_path, f"{threads}", "20"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["kills"] == 20
    # At least one checkpoint was cut short; whoever went on read all that had their names.
    assert found["halves"] >= 1
    assert found["killed"]["sha256"] == found["alone"]["sha256"]
    assert found["killed"]["history"] == found["alone"]["history"]


@pytest.mark.parametrize(
    ("optimizer", "sampler"),
    [
        (optim.Adam(lr=0.01), None),
        (optim.Adam(lr=0.01, mode="catch_up"), None),
        (optim.Adam(lr=0.01, moments_dtype="bfloat16", second_moment="row"), None),
        (optim.AdamW(lr=0.01), None),
        (optim.SGD(lr=0.1, momentum=0.9), None),
        (optim.Adagrad(lr=0.1), None),
        (None, samplers.LSH(lsh.DWTA(center=True), n_active=40, rebuild=lsh.Rebuild(drift=0.01))),
        (None, samplers.InBatch()),
        (None, samplers.Full()),
    ],
    ids=["adam", "catch up", "light", "adamw", "momentum", "adagrad", "drift", "batch", "full"],
)
def test_a_resumed_run_has_the_weights_and_the_history_of_an_uninterrupted_one(
    tmp_path: Path, optimizer: Any, sampler: samplers.Sampler | None
) -> None:
    weight = np.linspace(0.5, 2.0, 300, dtype=np.float32)
    held = {"validation_data": (DATA.X, DATA.Y), "sample_weight": weight}
    alone, resumed = network(optimizer, sampler), network(optimizer, sampler)
    fit(alone, **SIZES, **held)
    resumed = interrupted(tmp_path, resumed, 4, **SIZES, **held)
    assert same(alone, resumed)
    assert_equal_measures(alone.history, resumed.history)


def assert_equal_measures(one: sr.History, other: sr.History) -> None:
    # NaN equals itself here: recall is NaN with samplers.InBatch.
    assert list(measured(one)) == list(measured(other))
    for name, values in measured(one).items():
        assert_array_equal(values, other[name])


def test_checkpoints_change_nothing(tmp_path: Path) -> None:
    alone, watched = network(), network()
    fit(alone, **SIZES)
    fit(watched, ModelCheckpoint(tmp_path, every_steps=1), **SIZES)
    assert same(alone, watched)
    assert_equal_measures(alone.history, watched.history)


def test_the_newest_are_kept_and_one_of_the_end_is_there(tmp_path: Path) -> None:
    fit(network(), ModelCheckpoint(tmp_path, every_steps=10, every_epochs=None, keep=2), **SIZES)
    assert checkpoints.steps_in(tmp_path) == [50, STEPS]
    fit(network(), ModelCheckpoint(tmp_path / "all", every_steps=10, keep=None), **SIZES)
    assert checkpoints.steps_in(tmp_path / "all") == [10, 19, 20, 30, 38, 40, 50, STEPS]


def test_the_best_epoch_is_kept_as_well_and_known_after_a_resume(tmp_path: Path) -> None:
    # The loss falls, so the best by its maximum is the first epoch.
    monitored = {"monitor": "loss", "mode": "max", "keep": 1}
    keeper = ModelCheckpoint(tmp_path, **monitored)
    fit(network(), keeper, **SIZES)
    assert checkpoints.steps_in(tmp_path) == [19, STEPS]
    assert keeper.best == tmp_path / "step-000000000019.safetensors"
    assert len(fit(sr.Network.resume(keeper.best), **SIZES)["loss"]) == 3
    again = ModelCheckpoint(tmp_path, **monitored)
    fit(sr.Network.resume(tmp_path), again)
    assert again.best == keeper.best
    lowest = ModelCheckpoint(tmp_path / "low", monitor="loss", keep=1)
    fit(network(), lowest, **SIZES)
    assert checkpoints.steps_in(tmp_path / "low") == [STEPS]
    with pytest.raises(ValueError, match="monitor: found 'val_p@1', wanted one of"):
        fit(network(), ModelCheckpoint(tmp_path / "none", monitor="val_p@1"), **SIZES)


def test_callbacks_get_their_states_back(tmp_path: Path) -> None:
    whole, first, second = Memory(), Memory(), Memory()
    fit(network(), whole, **SIZES)
    with pytest.raises(KilledError):
        fit(network(), first, Killer(tmp_path, every_steps=15), **SIZES)
    assert len(first.losses) == 1
    with pytest.raises(ValueError, match="callbacks: found no Memory, wanted one as in the run"):
        fit(sr.Network.resume(tmp_path))
    fit(sr.Network.resume(tmp_path), second)
    assert second.losses == whole.losses


def test_a_run_that_a_callback_ended_stays_ended(tmp_path: Path) -> None:
    class Enough(Callback):
        def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
            self.stop_training = epoch == 2

    fit(network(), Enough(), ModelCheckpoint(tmp_path, every_epochs=None), **SIZES)
    resumed = sr.Network.resume(tmp_path)
    assert fit(resumed).epochs == [1, 2]
    assert repr(resumed).endswith("38 steps trained>")


def test_a_resumed_run_refuses_other_data_and_other_sizes(tmp_path: Path) -> None:
    fit(network(), ModelCheckpoint(tmp_path), **SIZES)
    net = sr.Network.resume(tmp_path)
    other = DATA.X.copy()
    other.data[7] += 1.0
    for X, Y, kwargs, message in [
        (DATA.X[:-1], DATA.Y[:-1], {}, "X: found 299 rows, wanted 300 as in the checkpoint"),
        (other, DATA.Y, {}, "X, Y, sample_weight: found values with checksum"),
        (DATA.X, DATA.Y[::-1], {}, "found values with checksum"),
        (DATA.X, DATA.Y, {"sample_weight": np.ones(300, np.float32)}, "found values with checksum"),
        (DATA.X, DATA.Y, {"batch_size": 8}, "batch_size: found 8, wanted 16 as in the checkpoint"),
        (DATA.X, DATA.Y, {"epochs": 4}, "epochs: found 4, wanted 3 as in the checkpoint"),
    ]:
        with pytest.raises(ValueError, match=message):
            net.fit(X, Y, verbose=False, **kwargs)
    # None of this has spoilt it, and indices of another width are the same data.
    narrow = DATA.X.copy()
    narrow.indices = narrow.indices.astype(np.int64)
    narrow.indptr = narrow.indptr.astype(np.int64)
    assert net.fit(narrow, DATA.Y, verbose=False, **SIZES).epochs == [1, 2, 3]


def test_a_network_that_was_trained_in_between_does_not_go_on(tmp_path: Path) -> None:
    fit(network(), ModelCheckpoint(tmp_path), **SIZES)
    net = sr.Network.resume(tmp_path)
    # Behind the back of the network, which would refuse it.
    net._core.train_batch(*net._pair(DATA.X[:5], DATA.Y[:5], ("X", "Y"), copy=True))
    with pytest.raises(ValueError, match=f"made {STEPS + 1} steps, wanted {STEPS}"):
        fit(net)


def test_a_new_run_does_not_begin_among_the_checkpoints_of_another(tmp_path: Path) -> None:
    fit(network(), ModelCheckpoint(tmp_path), **SIZES)
    net = network()
    with pytest.raises(ValueError, match="found checkpoints of another run"):
        fit(net, ModelCheckpoint(tmp_path), **SIZES)
    assert repr(net).endswith(" 0 steps trained>")


def test_what_was_cut_short_is_no_checkpoint_and_is_cleared_away(tmp_path: Path) -> None:
    fit(network(), ModelCheckpoint(tmp_path), **SIZES)
    newest = tmp_path / f"step-{STEPS:012d}.safetensors"
    half = tmp_path / "step-000000000099.safetensors.partial"
    half.write_bytes(newest.read_bytes()[:1000])
    fit(sr.Network.resume(tmp_path), ModelCheckpoint(tmp_path))
    assert not half.exists()
    assert newest.exists()


def test_a_damaged_checkpoint_is_passed_over_and_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alone = network()
    fit(alone, ModelCheckpoint(tmp_path), **SIZES)
    newest = tmp_path / f"step-{STEPS:012d}.safetensors"
    newest.write_bytes(newest.read_bytes()[:1000])
    resumed = sr.Network.resume(tmp_path)
    assert "the checkpoint before it is read in its place" in caplog.text
    fit(resumed, ModelCheckpoint(tmp_path))
    assert same(alone, resumed)
    assert Path(f"{newest}.aside").exists()
    assert same(alone, sr.load(newest))


def test_a_folder_without_checkpoints_and_a_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="path: found no checkpoint in"):
        sr.Network.resume(tmp_path)
    network().save(tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match="a network alone, wanted a checkpoint"):
        sr.Network.resume(tmp_path / "net.safetensors")
    damaged = tmp_path / "step-000000000001.safetensors"
    damaged.write_bytes(b"damaged")
    with pytest.raises(ValueError, match="is not a readable slide_rs model"):
        sr.Network.resume(tmp_path)


def test_wrong_settings_are_named() -> None:
    for kwargs, message in [
        ({"every_steps": 0}, "every_steps: found 0"),
        ({"keep": 0}, "keep: found 0"),
        ({"mode": "best"}, "mode: found 'best'"),
    ]:
        with pytest.raises(ValueError, match=message):
            ModelCheckpoint("folder", **kwargs)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="monitor: found int"):
        ModelCheckpoint("folder", monitor=3)  # type: ignore[arg-type]
    stack = [layers.SparseInput(200), layers.Dense(8), layers.SampledDense(120)]
    model = sr.Ensemble(stack)
    with pytest.raises(ValueError, match="ModelCheckpoint, which is of one network"):
        model.fit(DATA.X, DATA.Y, callbacks=[ModelCheckpoint("folder")])


def test_the_example_of_the_document_prints_what_its_comment_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = Path(__file__).resolve().parents[2] / "docs" / "checkpoints.md"
    found = re.search(r"^```python\n(.*?)^```$", document.read_text(encoding="utf-8"), re.M | re.S)
    assert found
    exec(compile(found[1], document.name, "exec"), {"__name__": "document"})
    assert capsys.readouterr().out == "True\n"


@pytest.mark.parametrize("members", ["1", "2"])
def test_the_command_goes_on_and_writes_the_same_model(
    tiny_file: Path, tmp_path: Path, members: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--epochs", "3", "--hidden", "8", "--members", members, "--threads", "1"]
    if members == "1":
        options.append("--no-ranker")
    folder, models = tmp_path / "checkpoints", [tmp_path / "one", tmp_path / "other"]
    train = ["train", f"{tiny_file}", *options]
    kept = ["--checkpoint", f"{folder}", "--checkpoint-steps", "5", "--resume"]
    assert cli.main([*train, "--out", f"{models[0]}"]) == 0
    assert cli.main([*train, *kept]) == 0
    assert "begins at the start" in capsys.readouterr().err
    # As if it had been killed at an earlier step, before the last network was begun.
    last = folder if members == "1" else folder / "member-1"
    for steps in checkpoints.steps_in(last)[1:]:
        (last / f"step-{steps:012d}.safetensors").unlink()
    if members == "2":
        for file in (folder / "member-2").iterdir():
            file.unlink()
    assert cli.main([*train, *kept, "--out", f"{models[1]}"]) == 0
    assert "goes on from step" in capsys.readouterr().err
    assert models[0].read_bytes() == models[1].read_bytes()


def test_the_command_refuses_a_folder_of_another_run(
    tiny_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = ["train", f"{tiny_file}", "--epochs", "1", "--members", "1", "--no-ranker"]
    kept = [*train, "--checkpoint", f"{tmp_path}"]
    assert cli.main([*kept, "--hidden", "8"]) == 0
    for more, message in [
        ([*kept, "--hidden", "8"], "--checkpoint: found checkpoints in"),
        ([*kept, "--hidden", "9", "--resume"], "--resume: found checkpoints of another network"),
        ([*kept, "--hidden", "8", "--epochs", "2", "--resume"], "epochs: found 2, wanted 1"),
        ([*train, "--resume"], "--resume: found without --checkpoint"),
        ([*train, "--checkpoint-steps", "5"], "--checkpoint-steps: found without --checkpoint"),
        ([*train, "--checkpoint", f"{tiny_file}"], "--checkpoint: found the file"),
    ]:
        assert cli.main(more) == 2
        assert message in capsys.readouterr().err


def test_the_command_goes_on_with_weights_stored_as_they_began(tmp_path: Path) -> None:
    """As a run does that is older than the rule for them; no option of the command says it."""
    began = network(optim.Adam(), samplers.LSH(n_active=40), dtype="float16")
    fit(began, ModelCheckpoint(tmp_path), **SIZES)
    new = network(optim.Adam(), samplers.LSH(n_active=40))
    assert restarts._taken_up(tmp_path, new, 1).config == began.config
    with pytest.raises(ValueError, match="checkpoints of another network"):
        restarts._taken_up(tmp_path, network(optim.SGD(), samplers.LSH(n_active=40)), 1)


def test_whatever_is_cut_off_or_changed_in_a_checkpoint_is_refused_or_harmless(
    tmp_path: Path,
) -> None:
    tables = lsh.SimHash(n_tables=4, n_hashes=3)
    net = network(optim.AdamW(lr=0.01), samplers.LSH(tables, n_active=40))
    with pytest.raises(KilledError):
        fit(net, Killer(tmp_path, every_steps=4), **SIZES)
    good = (tmp_path / "step-000000000012.safetensors").read_bytes()
    assert b"state.output.codes" in good
    assert b"state.output.weight.seen" in good
    bad, chance, refused = tmp_path / "bad", np.random.default_rng(0), 0
    length = 8 + int.from_bytes(good[:8], "little")
    for trial in range(300):
        if trial % 3 == 0:
            content = good[: chance.integers(len(good))]
        else:
            changed = bytearray(good)
            # In the header, or in the numbers behind it.
            place = (
                chance.integers(length) if trial % 3 == 1 else chance.integers(length, len(good))
            )
            changed[place] ^= 1 << int(chance.integers(8))
            content = bytes(changed)
        bad.write_bytes(content)
        try:
            sr.Network.resume(bad, threads=1).predict_topk(DATA.X[:3])
        except (ValueError, MemoryError):
            refused += 1
    assert refused > 100

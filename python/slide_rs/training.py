"""The course of a training run: epochs, what is measured in them, and how they end."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from slide_rs import checks, defaults, engine, evaluation, samplers
from slide_rs.arrays import Features, n_rows
from slide_rs.callbacks import Callback
from slide_rs.history import History
from slide_rs.labels import Labels, Targets, check_grades, pattern, weights
from slide_rs.layers import SampledDense
from slide_rs.prior import begin_at_frequencies
from slide_rs.streams import Stream

if TYPE_CHECKING:
    from slide_rs.network import Network

__all__ = ["Plan", "Probe", "Wishes", "course", "fit", "train"]

#: Called after batches: rows done, rows of the epoch, mean loss so far.
OnBatch: TypeAlias = Callable[[int, int, float], None]
#: Trains for the epoch of this number, from 1, and returns what the engine measured in it.
Epoch: TypeAlias = Callable[[int, OnBatch], Mapping[str, Any]]

PROBE_ROWS = 1000
LOW_RECALL = 0.2
_log = logging.getLogger("slide_rs")


@dataclass(frozen=True, slots=True)
class Probe:
    """The rows on which the recall of the sampler is measured.

    Examples
    --------
    >>> len(Probe.choose(np.zeros((5000, 2), np.float32), seed=0).rows)
    1000
    """

    x: Features
    rows: NDArray[np.int64]

    @classmethod
    def choose(cls, x: Features, seed: int) -> Probe:
        """Choose up to 1,000 rows of `x` by the seed."""
        count = n_rows(x)
        chosen = np.random.default_rng(seed).permutation(count)[:PROBE_ROWS]
        return cls(x, np.sort(chosen).astype(np.int64))


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train: sizes, rows, and what to measure after each epoch.

    Examples
    --------
    >>> probe = Probe.choose(np.zeros((10, 2), np.float32), seed=0)
    >>> Plan(epochs=4, batch_size=4, probe=probe).steps(10)
    12
    """

    epochs: int
    batch_size: int
    probe: Probe
    rows: NDArray[np.int64] | None = None
    validate: Callable[[], Mapping[str, float]] | None = None
    weight: NDArray[np.float32] | None = None
    #: Whether to say that the sampler finds little, if so.
    warn: bool = True

    def steps(self, rows: int) -> int:
        """Return the number of optimiser steps on this many rows."""
        return self.epochs * math.ceil(rows / self.batch_size)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user of `Network.fit` says, or leaves to rule, beside the rows."""

    epochs: int | None
    batch_size: int | None
    sample_weight: object
    validation_data: object
    metrics: tuple[str, ...]
    copy: bool

    def plan(self, rows: int) -> tuple[int, int]:
        """Return the epochs and the rows of a batch for so many rows."""
        batch = checks.whole_or("batch_size", self.batch_size, defaults.batch_size(rows))
        return checks.whole_or("epochs", self.epochs, defaults.epochs(rows, batch)), batch

    def held_out(self, network: Network, trained: Labels) -> evaluation.Validation | None:
        """Return what to measure after each epoch, where rows are given for it."""
        if self.validation_data is None:
            return None
        return evaluation.held_out(
            network, self.validation_data, self.metrics, trained, copy=self.copy
        )


def fit(
    network: Network, X: object, Y: object, how: Wishes, callbacks: Sequence[Callback]
) -> History:
    """Train as `Network.fit` does, on rows in memory."""
    if isinstance(X, Stream):
        raise TypeError(f"Y: found {type(Y).__name__} with a stream as X, which has labels itself")
    x, y = network._pair(X, Y, ("X", "Y"), how.copy)
    check_grades(y, network.config.loss)
    weight = weights(how.sample_weight, n_rows(x), copy=how.copy)
    epochs, batch = how.plan(n_rows(x))
    validate = how.held_out(network, pattern(y))
    probe = Probe.choose(validate.x if validate else x, network.config.seed)
    plan = Plan(epochs, batch, probe, validate=validate, weight=weight)
    network._history = History()
    train(network, x, y, plan, callbacks, network._history)
    return network._history


def train(
    network: Network,
    x: Features,
    y: Targets,
    plan: Plan,
    callbacks: Sequence[Callback],
    history: History,
) -> None:
    """Run the plan and append each finished epoch to `history`.

    However it ends, by Ctrl-C too, the hash tables hold every neuron where it belongs.
    """
    begin_at_frequencies(network, y, plan.weight, plan.rows)

    def epoch(number: int, on_batch: OnBatch) -> Mapping[str, Any]:
        return network._core.train_epoch(
            x,
            y,
            plan.batch_size,
            shuffle=True,
            rows=plan.rows,
            on_batch=on_batch,
            weight=plan.weight,
        )

    count = n_rows(x) if plan.rows is None else len(plan.rows)
    course(network, plan, count, epoch, callbacks, history)


def course(
    network: Network,
    plan: Plan,
    count: int,
    train_epoch: Epoch,
    callbacks: Sequence[Callback],
    history: History,
) -> None:
    """Run the plan on `count` rows, which `train_epoch` goes through; see `train`."""
    core = network._core

    def on_batch(done: int, total: int, loss: float) -> None:
        for callback in callbacks:
            callback.on_batch_end(done, total, loss)

    try:
        for callback in callbacks:
            callback.on_train_begin(network, plan.epochs)
        core.begin_fit(plan.steps(count))
        for epoch in range(1, plan.epochs + 1):
            for callback in callbacks:
                callback.on_epoch_begin(epoch)
            start = time.perf_counter()
            measured = train_epoch(epoch, on_batch)
            # Before the probe and the validation, so that what is recorded describes the network
            # that is left if a callback ends training here; `save`, which also does so, then
            # changes nothing when a callback keeps a copy of each epoch.
            core.finish()
            # The probe scores every output: it is measurement, not training.
            seconds = time.perf_counter() - start
            recall = engine.recall(network, plan.probe.x, plan.probe.rows, 1)
            logs = {
                "loss": measured["loss"],
                "active_fraction": measured["active_fraction"],
                "recall_at_1": recall,
                "seconds": seconds,
                "samples_per_second": count / seconds,
                "lr": measured["lr"],
                **_hidden_shares(network, measured["hidden_active_fractions"]),
            }
            if plan.validate is not None:
                logs.update({f"val_{name}": value for name, value in plan.validate().items()})
            for callback in callbacks:
                logs.update(callback.measure(epoch, logs))
            history.append(logs)
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs)
            if any(callback.stop_training for callback in callbacks):
                break
    finally:
        # In their order, and each of them even if another raises: they close files and end runs.
        with ExitStack() as ends:
            for callback in reversed(callbacks):
                ends.callback(callback.on_train_end)
            core.finish()
    if plan.warn:
        _warn_of_low_recall(network, history)


def _hidden_shares(network: Network, shares: Sequence[float]) -> dict[str, float]:
    """Name the active share of each sampled hidden layer by the number of the layer, from 0."""
    hidden = enumerate(network.config.hidden)
    numbers = [number for number, layer in hidden if isinstance(layer, SampledDense)]
    named = zip(numbers, shares, strict=True)
    return {f"hidden_{number}_active_fraction": share for number, share in named}


def _warn_of_low_recall(network: Network, history: History) -> None:
    recall = history.last["recall_at_1"]
    if isinstance(network.config.output.sampler, samplers.LSH) and recall < LOW_RECALL:
        _log.warning(
            "recall_at_1 is %.2f: the hash tables find the best output for only %.0f %% of the "
            "rows, so training hardly corrects the outputs that compete. More tables "
            "(lsh.SimHash(n_tables=...)), fewer hashes (n_hashes=...), more outputs "
            "(samplers.LSH(n_active=...)) or a linear last hidden layer with a norm raise it.",
            recall,
            100 * recall,
        )

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

from slide_rs import checks, class_weights, defaults, engine, evaluation, samplers
from slide_rs.arrays import Features, n_rows
from slide_rs.callbacks import Callback
from slide_rs.checkpoints import savers
from slide_rs.course import BROKEN, RUNNING, Course, Stamp
from slide_rs.history import History
from slide_rs.labels import Labels, Targets, check_grades, pattern, weights
from slide_rs.layers import SampledDense
from slide_rs.notices import warn
from slide_rs.prior import begin_at_frequencies
from slide_rs.streams import Stream

if TYPE_CHECKING:
    from slide_rs.network import Network

__all__ = ["Plan", "Probe", "Source", "Wishes", "fit", "run", "train"]

#: Called after batches: rows done, rows of the epoch, mean loss so far.
OnBatch: TypeAlias = Callable[[int, int, float], None]
#: Goes on with the epoch where it stands, for at most so many steps, and returns what the engine
#: measured in it so far.
Train: TypeAlias = Callable[[Course, int | None, OnBatch], Mapping[str, Any]]

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
    class_weight: object
    validation_data: object
    metrics: tuple[str, ...]
    copy: bool

    def weight(self, y: Targets, n_labels: int) -> NDArray[np.float32] | None:
        """Return the weights of rows: their own times those of their labels."""
        rows = len(y[0]) - 1
        own = weights(self.sample_weight, rows, copy=self.copy)
        if self.class_weight is None:
            return own
        found = class_weights.of_rows(y, self.class_weight, n_labels)
        return found if own is None else found * own

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


@dataclass(frozen=True, slots=True)
class Source:
    """Where the rows of an epoch come from, and how they are trained on."""

    #: Rows of an epoch.
    count: int
    #: Tells the data from other data.
    stamp: Callable[[], Stamp]
    #: Readies a network that is not resumed.
    begin: Callable[[], None]
    train: Train


def fit(
    network: Network, X: object, Y: object, how: Wishes, callbacks: Sequence[Callback]
) -> History:
    """Train as `Network.fit` does, on rows in memory."""
    if isinstance(X, Stream):
        raise TypeError(f"Y: found {type(Y).__name__} with a stream as X, which has labels itself")
    x, y = network._pair(X, Y, ("X", "Y"), how.copy)
    check_grades(y, network.config.loss)
    weight = how.weight(y, network._units)
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

    A network that was resumed goes on with its run. However it ends, by Ctrl-C too, the hash tables
    hold every neuron where it belongs.
    """
    count = n_rows(x) if plan.rows is None else len(plan.rows)
    if count and not len(y[1]):
        warn("Y: found no label in any row: nothing is learned")

    def train_rows(course: Course, most: int | None, on_batch: OnBatch) -> Mapping[str, Any]:
        return network._core.train_epoch(
            x,
            y,
            plan.batch_size,
            shuffle=True,
            rows=plan.rows,
            on_batch=on_batch,
            weight=plan.weight,
            cursor=course.cursor,
            most=most,
        )

    source = Source(
        count,
        stamp=lambda: Stamp.of(x, y, plan.weight, plan.rows),
        begin=lambda: begin_at_frequencies(network, y, plan.weight, plan.rows),
        train=train_rows,
    )
    run(network, plan, source, callbacks, history)


def run(
    network: Network,
    plan: Plan,
    source: Source,
    callbacks: Sequence[Callback],
    history: History,
) -> None:
    """Run the plan on rows from anywhere; see `train`."""
    core, resumed = network._core, network._course
    keepers = savers(callbacks)
    course = resumed
    if course is None:
        # All data is read for a stamp, which without checkpoints nobody would ask for.
        stamp = source.stamp() if keepers else Stamp(0, 0, 0, 0, 0)
        course = Course(plan.epochs, plan.batch_size, stamp)
    else:
        course.check(plan, source.stamp(), core.steps, callbacks)
    for keeper in keepers:
        keeper.open(None if resumed is None else core.steps)
    for callback in callbacks if keepers else ():
        callback.keep_in(keepers[0].path)
    if resumed is None:
        source.begin()
    network._course, network._held = None, RUNNING
    # What a run that is broken off leaves: of a resumed one its end can no more be had from here.
    left = None if resumed is None else BROKEN

    def on_batch(done: int, total: int, loss: float) -> None:
        for callback in callbacks:
            callback.on_batch_end(done, total, loss)

    def train_piece() -> Mapping[str, Any]:
        left = [keeper.steps_left(core.steps) for keeper in keepers]
        most = min((steps for steps in left if steps is not None), default=None)
        return source.train(course, most, on_batch)

    try:
        for callback in callbacks:
            callback.on_train_begin(network, plan.epochs)
        if resumed is None:
            core.begin_fit(plan.steps(source.count))
        else:
            course.give_back(history, callbacks)
        while course.epoch <= plan.epochs and not course.stopped:
            epoch = course.epoch
            for callback in callbacks:
                callback.on_epoch_begin(epoch)
            start = time.perf_counter()
            while (measured := train_piece())["samples"] < source.count:
                course.cursor = measured["cursor"]
                course.seconds += time.perf_counter() - start
                for keeper in keepers:
                    if keeper.is_due(core.steps):
                        keeper.write(core, course, history, callbacks)
                start = time.perf_counter()
            # Before the probe and the validation, so that what is recorded describes the network
            # that is left if a callback ends training here; `save`, which also does so, then
            # changes nothing when a callback keeps a copy of each epoch.
            core.finish()
            # The probe scores every output: it is measurement, not training.
            seconds = course.seconds + time.perf_counter() - start
            recall = engine.recall(network, plan.probe.x, plan.probe.rows, 1)
            logs = {
                "loss": measured["loss"],
                "active_fraction": measured["active_fraction"],
                "recall_at_1": recall,
                "seconds": seconds,
                "samples_per_second": source.count / seconds,
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
            course.epoch, course.cursor, course.seconds = epoch + 1, None, 0.0
            course.stopped = any(callback.stop_training for callback in callbacks)
            # What all of them know of the best is known before the first of them writes.
            for keeper in [keeper for keeper in keepers if keeper.look(course, core.steps, logs)]:
                keeper.write(core, course, history, callbacks)
        left = None
    finally:
        # In their order, and each of them even if another raises: they close files and end runs.
        with ExitStack() as ends:
            ends.callback(setattr, network, "_held", left)
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

"""What ``slide-rs bench`` does without a file: a training step at chosen sizes, phase by phase."""

from __future__ import annotations

import json
import math
import time
from argparse import Namespace
from statistics import median
from typing import Any

from slide_rs import checks, datasets, engine, machine, memory
from slide_rs._peers.slide_net import sampler
from slide_rs.arrays import features
from slide_rs.contestants import SLIDE, chosen
from slide_rs.labels import labels
from slide_rs.layers import Dense, Layer, SampledDense, SparseInput
from slide_rs.network import Network
from slide_rs.optim import Adam, Optimizer
from slide_rs.phases import Phases
from slide_rs.prior import begin_at_frequencies

__all__ = ["micro"]

#: The sizes of Amazon-670K, as in Chen et al., "SLIDE", MLSys 2020, section 5.
LABELS, FEATURES, HIDDEN, BATCH = 670_091, 135_909, 128, 256
FEATURES_OF_A_ROW, LABELS_OF_A_ROW, WORDS_OF_A_LABEL = 75, 5.45, 12
STEPS = 20


def micro(arguments: Namespace) -> int:
    """Time steps of synthetic rows with each sampler asked for, and print a table of phases."""
    names = ["lsh"] if arguments.only is None else chosen(arguments.only)
    for name in names:
        checks.choice("--only", name, SLIDE)
    n_labels = arguments.labels or LABELS
    if arguments.n_active is not None:
        checks.whole("--n-active", arguments.n_active, 1, n_labels)
    found = []
    for name in names:
        takes = _bytes(name, n_labels, arguments)
        try:
            if takes > (machine.memory() or math.inf):
                raise MemoryError("the machine has less")
            found.append(_measure(name, n_labels, arguments))
        except MemoryError as error:
            raise MemoryError(
                f"--labels: found {n_labels:,} and {arguments.hidden or HIDDEN} hidden units, "
                f"which take {memory.readable(takes)} or more ({error}); wanted fewer --labels, "
                "fewer --hidden or a machine with more memory"
            ) from None
    if arguments.json:
        document = {"machine": machine.about(), "samplers": [row for row, _ in found]}
        print(json.dumps(document, allow_nan=False))
    else:
        print("\n\n".join(_text(row, phases) for row, phases in found))
    return 0


def _layers(name: str, n_labels: int, arguments: Namespace) -> list[Layer]:
    return [
        SparseInput(arguments.features or FEATURES),
        Dense(arguments.hidden or HIDDEN),
        SampledDense(n_labels, sampler=sampler(name, arguments.n_active)),
    ]


def _bytes(name: str, n_labels: int, arguments: Namespace) -> int:
    """Return what the network takes, and the features that make up the labels."""
    batch, layers = arguments.batch_size or BATCH, _layers(name, n_labels, arguments)
    network = memory.estimate_memory(layers, batch_size=batch, threads=arguments.threads)
    return network.total + 8 * WORDS_OF_A_LABEL * n_labels


def _measure(name: str, n_labels: int, arguments: Namespace) -> tuple[dict[str, Any], Phases]:
    """Train one epoch to warm up, then `repeats` that count."""
    steps, batch = arguments.steps or STEPS, arguments.batch_size or BATCH
    data = datasets.make_xmc(
        steps * batch,
        n_features=arguments.features or FEATURES,
        n_labels=n_labels,
        features_per_row=FEATURES_OF_A_ROW,
        labels_per_row=LABELS_OF_A_ROW,
        words_per_label=WORDS_OF_A_LABEL,
        seed=arguments.seed,
    )
    x, y = features(data.X, data.n_features), labels(data.Y, n_labels)
    start = time.perf_counter()
    hidden = arguments.hidden or HIDDEN
    layers = _layers(name, n_labels, arguments)
    network = Network(layers, seed=arguments.seed, threads=arguments.threads)
    begin_at_frequencies(network, y)
    build = time.perf_counter() - start
    core = engine.core(network)
    core.begin_fit(steps * (arguments.repeats + 1))
    core.train_epoch(x, y, batch)
    seconds, told, active = [], [], 0.0
    for _ in range(arguments.repeats):
        start = time.perf_counter()
        active = core.train_epoch(x, y, batch)["active_fraction"]
        seconds.append(time.perf_counter() - start)
        told.append(core.phases())
    row = {
        "sampler": name,
        "labels": n_labels,
        "features": data.n_features,
        "hidden": hidden,
        "batch_size": batch,
        "threads": network.threads,
        "steps": steps,
        "repeats": arguments.repeats,
        "build_seconds": build,
        "active_rows": active * n_labels,
        "seconds_per_step": median(seconds) / steps,
        "samples_per_second": steps * batch / median(seconds),
    }
    phases = Phases(
        told,
        steps=steps,
        width=hidden,
        kept=_kept(network.config.output.optimizer or network.config.optimizer),
        weight_bytes=4 if network.config.output.dtype == "float32" else 2,
        threads=network.threads,
        step_seconds=median(seconds) / steps,
    )
    return row | phases.as_dict(), phases


def _kept(optimizer: Optimizer) -> float:
    """Return the floats that an optimiser keeps for each weight."""
    if not isinstance(optimizer, Adam):
        return 0.0
    of_moment = 0.5 if optimizer.moments_dtype == "bfloat16" else 1.0
    return of_moment if optimizer.second_moment == "row" else 2 * of_moment


def _text(row: dict[str, Any], phases: Phases) -> str:
    head = (
        f"{row['sampler']}: {row['labels']:,} labels, {row['features']:,} features, "
        f"{row['hidden']} hidden units, batches of {row['batch_size']}, {row['threads']} threads\n"
        f"built in {row['build_seconds']:.2f} s; a step: {row['seconds_per_step'] * 1e3:.2f} ms "
        f"(median of {row['repeats']} times {row['steps']} steps), "
        f"{row['samples_per_second']:,.0f} samples/s, "
        f"{row['active_rows']:,.0f} outputs computed of each"
    )
    return f"{head}\n\n{phases.table()}"

"""What ``slide-rs bench`` does without a file: a training step at chosen sizes, phase by phase."""

from __future__ import annotations

import json
import time
from argparse import Namespace
from statistics import median
from typing import Any

from slide_rs import checks, datasets, engine, machine
from slide_rs._peers.slide_net import sampler
from slide_rs.arrays import features
from slide_rs.contestants import SLIDE, chosen
from slide_rs.labels import labels
from slide_rs.layers import Dense, SampledDense, SparseInput
from slide_rs.network import Network
from slide_rs.optim import Adam, Optimizer
from slide_rs.phases import Phases
from slide_rs.prior import begin_at_frequencies

__all__ = ["micro"]

#: The sizes of Amazon-670K, as in Chen et al., "SLIDE", MLSys 2020, section 5.
LABELS, FEATURES, HIDDEN, BATCH = 670_091, 135_909, 128, 256
FEATURES_OF_A_ROW, LABELS_OF_A_ROW = 75, 5.45
STEPS = 20


def micro(arguments: Namespace) -> int:
    """Time steps of synthetic rows with each sampler asked for, and print a table of phases."""
    names = ["lsh"] if arguments.only is None else chosen(arguments.only)
    for name in names:
        checks.choice("--only", name, SLIDE)
    n_labels = arguments.labels or LABELS
    if arguments.n_active is not None:
        checks.whole("--n-active", arguments.n_active, 1, n_labels)
    found = [_measure(name, n_labels, arguments) for name in names]
    if arguments.json:
        document = {"machine": machine.about(), "samplers": [row for row, _ in found]}
        print(json.dumps(document, allow_nan=False))
    else:
        print("\n\n".join(_text(row, phases) for row, phases in found))
    return 0


def _measure(name: str, n_labels: int, arguments: Namespace) -> tuple[dict[str, Any], Phases]:
    """Train one epoch to warm up, then `repeats` that count."""
    steps, batch = arguments.steps or STEPS, arguments.batch_size or BATCH
    data = datasets.make_xmc(
        steps * batch,
        n_features=arguments.features or FEATURES,
        n_labels=n_labels,
        features_per_row=FEATURES_OF_A_ROW,
        labels_per_row=LABELS_OF_A_ROW,
        seed=arguments.seed,
    )
    x, y = features(data.X, data.n_features), labels(data.Y, n_labels)
    hidden = arguments.hidden or HIDDEN
    start = time.perf_counter()
    network = Network(
        [
            SparseInput(data.n_features),
            Dense(hidden),
            SampledDense(n_labels, sampler=sampler(name, arguments.n_active)),
        ],
        seed=arguments.seed,
        threads=arguments.threads,
    )
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
        threads=network.threads,
        step_seconds=median(seconds) / steps,
    )
    return row | phases.as_dict(), phases


def _kept(optimizer: Optimizer) -> float:
    """Return the bytes that an optimiser keeps for each byte of float32 weights."""
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

"""Speed and memory of one epoch at the size of Amazon-670K: 128 hidden units, batches of 256.

    python examples/amazon670k.py TRAIN TEST [--n-active 1000] [--sampler lsh] [--repeats 5]

The files have 135,909 features and 670,091 labels, or whatever yours have. Each repeat is a process
of its own, with a seed of its own. ``build``: making the network and its first tables, which is not
in ``epoch``. ``rehash``: share of the epoch in which rows that moved were inserted again, and
``times``: how often they were, once after the last batch included. ``uniform``: how often as many
random outputs have the best among them. ``peak``: memory after training; predictions come later.
"""

from __future__ import annotations

import argparse
import statistics
import time
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import slide_rs
from slide_rs import layers, optim, samplers
from slide_rs.engine import core
from slide_rs.peers import peak_mb
from slide_rs.prior import begin_at_frequencies

HIDDEN, BATCH = 128, 256
PROBE_ROWS = 1000
COLUMNS = {
    "build s": "{:.2f}",
    "epoch s": "{:.2f}",
    "samples/s": "{:,.0f}",
    "rehash": "{:.1%}",
    "times": "{:g}",
    "active": "{:.5f}",
    "recall@1": "{:.3f}",
    "uniform": "{:.4f}",
    "peak MB": "{:,.0f}",
    "P@1": "{:.4f}",
}
WIDTH = 11


class Task(NamedTuple):
    """What one repeat is to do."""

    train: Path
    test: Path
    n_active: int
    threads: int | None
    sampler: str
    light: bool
    seed: int


def measure(task: Task) -> list[float]:
    """Train one epoch and return the figures in the order of the columns."""
    train, test = (slide_rs.datasets.read_xmc(path) for path in (task.train, task.test))
    made = samplers.LSH if task.sampler == "lsh" else samplers.Uniform
    dtype = "bfloat16" if task.light else "float32"
    light = {"second_moment": "row", "moments_dtype": dtype} if task.light else {}
    start = time.perf_counter()
    net = slide_rs.Network(
        [
            layers.SparseInput(train.n_features),
            layers.Dense(HIDDEN, dtype=dtype),
            layers.SampledDense(train.n_labels, sampler=made(n_active=task.n_active), dtype=dtype),
        ],
        optimizer=optim.Adam(**light),
        seed=task.seed,
        threads=task.threads,
    )
    x = slide_rs.arrays.features(train.X, train.n_features)
    y = slide_rs.labels.labels(train.Y, train.n_labels)
    # What `fit` does before the first step; here in parts, to time the epoch alone.
    begin_at_frequencies(net, y)
    build = time.perf_counter() - start

    rows = train.X.shape[0]
    steps = -(-rows // BATCH)
    engine = core(net)
    engine.begin_fit(steps)
    start = time.perf_counter()
    report = engine.train_epoch(x, y, BATCH)
    engine.finish()
    seconds = time.perf_counter() - start
    peak = peak_mb() or float("nan")
    rehash = engine.phases()["rehash"] / net.threads / seconds

    probe = test.X[:PROBE_ROWS]
    recall = net.sampling_recall(probe)
    precision = net.evaluate(test.X, test.Y, ["p@1"])["p@1"]
    times = rebuilds(net.config.output.sampler, steps)
    net.set_sampler(samplers.Uniform(n_active=task.n_active))
    uniform = net.sampling_recall(probe)
    active = report["active_fraction"]
    speed = rows / seconds
    return [build, seconds, speed, rehash, times, active, recall, uniform, peak, precision]


def rebuilds(sampler: samplers.Sampler, steps: int) -> int:
    """Return how often rows are inserted again, by the schedule and once more at the end."""
    if not isinstance(sampler, samplers.LSH):
        return 0
    pause, growth = sampler.rebuild.every or steps, sampler.rebuild.growth or 1.0
    done, due = 0, float(pause)
    while due <= steps:
        done += 1
        pause *= growth
        due += pause
    return done + 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--n-active", type=int, default=1000)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--sampler", choices=("lsh", "uniform"), default="lsh")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--light", action="store_true", help="16 bits a weight and a moment")
    given = parser.parse_args()

    print("".join(f"{name:>{WIDTH}}" for name in COLUMNS), flush=True)
    found = []
    for seed in range(given.repeats):
        task = Task(
            given.train,
            given.test,
            given.n_active,
            given.threads,
            given.sampler,
            given.light,
            seed,
        )
        # A new process, so that its peak of memory is its own.
        with get_context("spawn").Pool(1) as pool:
            found.append(pool.apply(measure, (task,)))
        print(line(found[-1]), flush=True)
    print(f"\nmedians of {given.repeats}")
    print(line([statistics.median(column) for column in zip(*found, strict=True)]))


def line(figures: list[float]) -> str:
    cells = zip(COLUMNS.values(), figures, strict=True)
    return "".join(f"{style.format(figure):>{WIDTH}}" for style, figure in cells)


if __name__ == "__main__":
    main()

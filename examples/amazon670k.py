"""Speed and memory of one epoch at the size of Amazon-670K: 128 hidden units, batches of 256.

    python examples/amazon670k.py TRAIN TEST [--n-active 1000] [--sampler lsh] [--repeats 5]
    python examples/amazon670k.py TRAIN TEST --stored floats light rule halves [--own]

The files have 135,909 features and 670,091 labels, or whatever yours have. Each repeat is a process
of its own, with a seed of its own. ``build``: making the network and its first tables, which is not
in ``epoch``. ``rehash``: share of the epoch in which rows that moved were inserted again, and
``times``: how often they were, once after the last batch included. ``uniform``: how often as many
random outputs have the best among them. ``peak``: memory after training; predictions come later.
Ways to store rows take turns, each with the same seeds, and are compared with the first of them.
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
from slide_rs._peers import peak_mb
from slide_rs.engine import core
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
#: How rows are stored: the type of the weights, and the settings of Adam.
STORED: dict[str, tuple[str | None, dict[str, str]]] = {
    "rule": (None, {}),
    "floats": ("float32", {"second_moment": "entry"}),
    "light": ("float32", {"second_moment": "row", "moments_dtype": "bfloat16"}),
    "halves": ("bfloat16", {"second_moment": "row", "moments_dtype": "bfloat16"}),
}


class Task(NamedTuple):
    """What one repeat is to do."""

    train: Path
    test: Path
    n_active: int
    threads: int | None
    sampler: str
    own: bool
    stored: str
    seed: int


def measure(task: Task) -> list[float]:
    """Train one epoch and return the figures in the order of the columns."""
    train, test = (slide_rs.datasets.read_xmc(path) for path in (task.train, task.test))
    made = samplers.LSH if task.sampler == "lsh" else samplers.Uniform
    dtype, adam = STORED[task.stored]
    sampler = made(n_active=task.n_active, shared_negatives=not task.own)
    start = time.perf_counter()
    net = slide_rs.Network(
        [
            layers.SparseInput(train.n_features),
            layers.Dense(HIDDEN, dtype=dtype or "float32"),
            layers.SampledDense(train.n_labels, sampler=sampler, dtype=dtype),
        ],
        optimizer=optim.Adam(**adam),
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
    parser.add_argument(
        "--own", action="store_true", help="random outputs of each sample's own, shared by none"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--stored",
        choices=STORED,
        nargs="+",
        default=["rule"],
        help="w, m, v as floats; m in halves and one v a row; w of the output in f16 too, by rule; "
        "or all in halves",
    )
    given = parser.parse_args()

    print(f"{'stored':<{WIDTH}}" + "".join(f"{name:>{WIDTH}}" for name in COLUMNS), flush=True)
    found: dict[str, list[list[float]]] = {stored: [] for stored in given.stored}
    for seed in range(given.repeats):
        for stored, figures in found.items():
            task = Task(
                given.train,
                given.test,
                given.n_active,
                given.threads,
                given.sampler,
                given.own,
                stored,
                seed,
            )
            # A new process, so that its peak of memory is its own.
            with get_context("spawn").Pool(1) as pool:
                figures.append(pool.apply(measure, (task,)))
            print(line(stored, figures[-1]), flush=True)
    print(f"\nmedians of {given.repeats}")
    for stored, figures in found.items():
        print(line(stored, [statistics.median(column) for column in zip(*figures, strict=True)]))
    first, *others = found
    for stored in others:
        print(compared(stored, first, found))


def compared(stored: str, first: str, found: dict[str, list[list[float]]]) -> str:
    """Return how much faster one way is than the first, and how much better, pair by pair."""
    names = list(COLUMNS)
    pairs = list(zip(found[stored], found[first], strict=True))
    speed, precision = names.index("samples/s"), names.index("P@1")
    times = statistics.median(mine[speed] / other[speed] for mine, other in pairs)
    gains = [mine[precision] - other[precision] for mine, other in pairs]
    error = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
    return (
        f"{stored} against {first}: {times:.2f} times as fast, "
        f"P@1 {statistics.mean(gains):+.4f} +- {error:.4f}"
    )


def line(stored: str, figures: list[float]) -> str:
    cells = zip(COLUMNS.values(), figures, strict=True)
    return f"{stored:<{WIDTH}}" + "".join(
        f"{style.format(figure):>{WIDTH}}" for style, figure in cells
    )


if __name__ == "__main__":
    main()

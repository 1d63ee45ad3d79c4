"""Sampled training against full: paired networks, seed by seed and epoch by epoch.

    python examples/paired.py TRAIN TEST [--seeds 5] [--picture FILE]
    python examples/paired.py --made
    python examples/paired.py TRAIN TEST --lsh-only --seeds 1 --rows 5000

The network is that of ``slide-rs train``. For each seed it learns twice from the same weights and
the same batches, with the outputs that LSH chooses and with all of them; after every epoch all
outputs of the test rows are scored. The trained LSH network then predicts through its tables as
well. Differences are means over the seeds, standard errors in brackets. ``--made`` makes data with
30,000 labels. Ctrl-C ends the run with what has been measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import curves
import numpy as np
import slide_rs
from numpy.typing import NDArray
from slide_rs import callbacks, datasets, defaults, layers, metrics, samplers

METRICS = ["p@1", "p@3", "p@5"]
SAMPLERS: dict[str, samplers.Sampler] = {"lsh": samplers.LSH(), "full": samplers.Full()}
COLORS = {"lsh": "tab:blue", "full": "tab:orange"}
#: With ``mode="lsh"`` at least so many are scored for each label asked for, and at least a 200th of
#: the outputs up to 150: constants in network/predict.rs.
SCORED, SHARE, MANY = 10, 200, 150
#: Labels that are asked of the tables; then as many as make these shares of all outputs scored.
DEPTH = 5
SHARES = (0.005, 0.01, 0.02, 0.05)
MADE = {"n_samples": 50_000, "n_features": 30_000, "n_labels": 30_000, "seed": 0}
MADE_TRAIN = 40_000


class Difference(NamedTuple):
    """Mean of paired differences, and its standard error."""

    mean: float
    error: float

    def __str__(self) -> str:
        return f"{self.mean:+.4f} ({self.error:.4f})"


class Runs:
    """What was measured: for each seed and sampler the metrics after each epoch."""

    def __init__(self) -> None:
        self.epochs: dict[str, list[NDArray[np.float64]]] = {name: [] for name in SAMPLERS}
        self.seconds: dict[str, list[float]] = {name: [] for name in SAMPLERS}
        #: By k of ``mode="lsh"``: P@1 through the tables less P@1 of all outputs, for each seed.
        self.tables: dict[int, list[float]] = {}
        #: By k: what they score at most, of all outputs.
        self.scored: dict[int, float] = {}

    @property
    def pairs(self) -> int:
        """For how many seeds both samplers have run."""
        return min(len(runs) for runs in self.epochs.values())

    def paired(self, sampler: str) -> NDArray[np.float64]:
        """Return the metrics of these seeds: (seeds, epochs, metrics)."""
        return np.array(self.epochs[sampler][: self.pairs])


def difference(values: Sequence[float] | NDArray[np.float64]) -> Difference:
    """Return the mean of differences, one a seed; of a single one the error is not known."""
    n = len(values)
    error = float(np.std(values, ddof=1)) / n**0.5 if n > 1 else float("nan")
    return Difference(float(np.mean(values)), error)


def farthest(lsh: NDArray[np.float64], full: NDArray[np.float64]) -> tuple[int, float]:
    """Return the epoch, from 1, after which two curves are farthest apart, and lsh - full there."""
    gaps = lsh - full
    place = int(np.argmax(np.abs(gaps)))
    return place + 1, float(gaps[place])


def scored(net: slide_rs.Network, k: int) -> int:
    """Return how many outputs ``predict_topk(k=k, mode="lsh")`` scores for a row at most.

    Nothing reports how many it did score; those that the tables return are fewer where little
    collides. They are as many as in training without the random ones, or `SCORED` for each of `k`.
    """
    sampler = net.config.output.sampler
    if not isinstance(sampler, samplers.LSH) or sampler.n_active is None:
        raise SystemExit(
            f"found {net.config.output.units} labels: by rule all outputs are computed below 1,000"
        )
    random = int((sampler.random_share or 0.0) * sampler.n_active)
    floor = min(net.config.output.units // SHARE, MANY)
    return max(SCORED * k, sampler.n_active - random, floor)


def depths(units: int) -> list[int]:
    """Return the numbers of labels to ask the tables for."""
    wanted = (int(share * units / SCORED) for share in SHARES)
    return [DEPTH, *(k for k in wanted if k > DEPTH)]


def network(train: datasets.Dataset, sampler: str, hidden: int, seed: int) -> slide_rs.Network:
    """Describe the network of ``slide-rs train``."""
    chain: list[layers.Layer] = [
        layers.SparseInput(train.n_features),
        layers.Dense(hidden),
        layers.SampledDense(train.n_labels, sampler=SAMPLERS[sampler]),
    ]
    return slide_rs.Network(chain, seed=seed)


class Line(callbacks.Callback):
    """Prints P@1 as epochs end, in the line of the run."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Go on with the line."""
        print(f"{logs['val_p@1']:>8.4f}", end="", flush=True)


def learn(
    runs: Runs,
    train: datasets.Dataset,
    test: datasets.Dataset,
    sampler: str,
    seed: int,
    given: argparse.Namespace,
) -> None:
    """Train one network, print its line and keep what was measured."""
    net = network(train, sampler, given.hidden, seed)
    if sampler == "lsh":
        runs.scored = {k: scored(net, k) / train.n_labels for k in depths(train.n_labels)}
    print(f"{seed:>4} {sampler:<6}", end="", flush=True)
    history = net.fit(
        train.X,
        train.Y,
        given.epochs,
        given.batch_size,
        validation_data=(test.X, test.Y),
        metrics=METRICS,
        callbacks=[Line()],
        verbose=False,
    )
    measured = np.array([history[f"val_{name}"] for name in METRICS]).T
    last, seconds = history.last, sum(history["seconds"])
    print(
        f"   P@3 {last['val_p@3']:.4f}  P@5 {last['val_p@5']:.4f}  {seconds:5.1f} s  "
        f"computed {last['active_fraction']:.2%}  recall@1 {last['recall_at_1']:.3f}",
        flush=True,
    )
    runs.epochs[sampler].append(measured)
    runs.seconds[sampler].append(seconds)
    if sampler == "lsh":
        print(f"{seed:>4} mode='lsh'", end="")
        for k in runs.scored:
            found = metrics.evaluate(test.Y, net.predict_topk(test.X, k, mode="lsh"), METRICS)
            runs.tables.setdefault(k, []).append(found["p@1"] - last["val_p@1"])
            print(f"   k={k} {found['p@1']:.4f}", end="", flush=True)
        print()


def summary(runs: Runs) -> str:
    """Return means, differences, and where the curves are farthest apart."""
    lines = []
    if runs.pairs:
        n = runs.pairs
        lsh, full = (runs.paired(name) for name in SAMPLERS)
        lines = [f"\nP@1, means of {n} seeds", "epoch     lsh    full  lsh - full"]
        for epoch, (a, b) in enumerate(zip(lsh.mean(0), full.mean(0), strict=True), start=1):
            gap = difference((lsh - full)[:, epoch - 1, 0])
            lines.append(f"{epoch:>5}{a[0]:>8.4f}{b[0]:>8.4f}  {gap}")
        told = [difference(gaps) for gaps in (lsh - full)[:, -1].T]
        parts = [f"{name.upper()} {gap}" for name, gap in zip(METRICS, told, strict=True)]
        epoch, gap_there = farthest(lsh.mean(0)[:, 0], full.mean(0)[:, 0])
        times = np.divide(runs.seconds["full"][:n], runs.seconds["lsh"][:n])
        lines += [
            f"lsh - full at the end: {', '.join(parts)}",
            f"bound for P@1, -(.005 + 2 standard errors): {-0.005 - 2 * told[0].error:+.4f}",
            f"the curves are farthest apart after epoch {epoch}: {gap_there:+.4f}",
            f"full takes {np.median(times):.1f} times as long (median)",
        ]
    if runs.tables:
        lines.append("\npredict_topk(k, mode='lsh') - exact in P@1, and outputs scored at most")
        for k, gaps in runs.tables.items():
            lines.append(f"{k:>5}  {difference(gaps)}  {runs.scored[k]:.2%}")
    return "\n".join(lines)


def picture(runs: Runs, title: str, path: Path) -> None:
    """Draw P@1 against the epoch: means of the seeds, and each seed thin."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    drawn = []
    for name, color in COLORS.items():
        each = runs.paired(name)[:, :, 0]
        mean, epochs = each.mean(axis=0), range(1, each.shape[1] + 1)
        for run in each:
            axes.plot(epochs, run, color=color, linewidth=0.6, alpha=0.5)
        axes.plot(epochs, mean, "o-", color=color, linewidth=2, label=name)
        drawn.append(curves.Curve(name, "", color, epochs, mean.tolist()))
    axes.set_xticks(list(epochs))
    axes.set_ylim(*curves.limits(drawn))
    axes.set_xlabel("epoch")
    axes.set_ylabel("P@1 on the test rows")
    axes.set_title(title, loc="left")
    axes.grid(axis="y", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def read(given: argparse.Namespace) -> tuple[str, datasets.Dataset, datasets.Dataset]:
    """Return a name, the rows to train on and those to measure on."""
    if given.made:
        train, test = datasets.make_xmc(**MADE).split(MADE_TRAIN)
        name = f"make_xmc, seed {MADE['seed']}"
    else:
        train, test = (datasets.read_xmc(path) for path in given.files)
        name = Path(given.files[0]).parent.name
    if given.rows is not None and given.rows < test.X.shape[0]:
        chosen = np.sort(np.random.default_rng(0).permutation(test.X.shape[0])[: given.rows])
        test = datasets.Dataset(test.X[chosen], test.Y[chosen])
    return name, train, test


def arguments() -> argparse.Namespace:
    """Return what is given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", metavar="TRAIN TEST", help="XMC files, plain or .gz")
    parser.add_argument("--made", action="store_true", help="make data with 30,000 labels")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--hidden", type=int, default=defaults.HIDDEN)
    parser.add_argument("--epochs", type=int, help="by rule when not given")
    parser.add_argument("--batch-size", type=int, help="by rule when not given")
    parser.add_argument("--rows", type=int, help="random ones of the test set; all if not given")
    parser.add_argument("--lsh-only", action="store_true", help="no full training")
    parser.add_argument("--picture", type=Path, help="image file for the curves by epoch")
    given = parser.parse_args()
    if len(given.files) != (0 if given.made else 2):
        parser.error("wanted TRAIN and TEST, or --made")
    if given.picture and given.lsh_only:
        parser.error("--picture: found with --lsh-only, wanted both curves")
    return given


def main() -> None:
    """Train, print a line for each network, and the differences."""
    given = arguments()
    name, train, test = read(given)
    batch = given.batch_size or defaults.batch_size(train.X.shape[0])
    epochs = given.epochs or defaults.epochs(train.X.shape[0], batch)
    title = f"{name}: {train.X.shape[0]:,} rows, {train.n_labels:,} labels"
    print(
        f"{title}, {train.n_features:,} features; {test.X.shape[0]:,} test rows; "
        f"{given.hidden} hidden, {epochs} epochs, batches of {batch}\n"
        "seed sampler, P@1 after each epoch",
        flush=True,
    )
    runs = Runs()
    try:
        for seed in range(given.seeds):
            for sampler in ["lsh"] if given.lsh_only else SAMPLERS:
                learn(runs, train, test, sampler, seed, given)
            if runs.pairs:
                last = [runs.epochs[sampler][-1][-1] for sampler in SAMPLERS]
                gaps = zip(METRICS, last[0] - last[1], strict=True)
                parts = "  ".join(f"{metric.upper()} {gap:+.4f}" for metric, gap in gaps)
                print(f"{seed:>4} lsh - full: {parts}", flush=True)
    except KeyboardInterrupt:
        print("\ninterrupted")
    print(summary(runs))
    if given.picture and runs.pairs:
        picture(runs, f"{title}, {runs.pairs} seeds", given.picture)


if __name__ == "__main__":
    main()

"""Train on real data twice, with hash tables and with all outputs computed, and compare.

The data are Debian's packages: from the words of a description, predict which packages it depends
on. There are 22,085 of these. Prints a table and writes the learning curves to out/demo.png.
"""

from __future__ import annotations

import argparse
import time
from itertools import accumulate
from pathlib import Path

import curves
import slide_rs
from slide_rs import layers, samplers
from slide_rs.datasets import Dataset
from slide_rs.history import History
from slide_rs.samplers import Sampler

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "examples" / "data"
PICTURE = ROOT / "out" / "demo.png"
HIDDEN = 128


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--epochs", type=int, default=3)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()

    start = time.perf_counter()
    train, test = (
        slide_rs.datasets.read_xmc(DATA / f"{part}.txt.gz") for part in ("train", "test")
    )
    print(
        f"{train.X.shape[0]:,} rows to train on and {test.X.shape[0]:,} to test, "
        f"{train.n_features:,} features, {train.n_labels:,} labels "
        f"(read in {time.perf_counter() - start:.1f} s)"
    )
    kinds: dict[str, Sampler] = {"LSH": samplers.LSH(), "full": samplers.Full()}
    runs = {}
    for name, sampler in kinds.items():
        runs[name] = learn(name, sampler, train, test, given.epochs, given.seed)

    drawn = [
        curve("o", "tab:blue", "LSH: {share:.1%} of the outputs computed", runs["LSH"]),
        curve("x", "tab:orange", "full: all outputs computed", runs["full"]),
    ]
    title = f"{train.n_labels:,} labels, {given.epochs} epochs, the same seed"
    curves.picture(drawn, title, PICTURE)
    print(f"\n{curves.text(drawn)}\n\n{table(runs)}\n\nlearning curves: {PICTURE}")


def learn(
    name: str, sampler: Sampler, train: Dataset, test: Dataset, epochs: int, seed: int
) -> History:
    network = slide_rs.Network(
        [
            layers.SparseInput(train.n_features),
            layers.Dense(HIDDEN),
            layers.SampledDense(train.n_labels, sampler=sampler),
        ],
        seed=seed,
    )
    print(f"\n{name}: {network.threads} threads\n{network.summary()}", flush=True)
    return network.fit(
        train.X,
        train.Y,
        epochs=epochs,
        validation_data=(test.X, test.Y),
        metrics=["p@1", "p@5"],
        verbose=True,
    )


def curve(mark: str, color: str, name: str, run: History) -> curves.Curve:
    seconds = list(accumulate(run["seconds"]))
    share = run.last["active_fraction"]
    return curves.Curve(name.format(share=share), mark, color, seconds, run["val_p@1"])


def table(runs: dict[str, History]) -> str:
    heads = ("sampler", "training", "P@1", "P@5", "computed", "recall@1")
    lines = ["{:<8}{:>11}{:>8}{:>8}{:>11}{:>11}".format(*heads)]
    for name, run in runs.items():
        last, seconds = run.last, sum(run["seconds"])
        lines.append(
            f"{name:<8}{seconds:>9.1f} s{last['val_p@1']:>8.3f}{last['val_p@5']:>8.3f}"
            f"{last['active_fraction']:>11.2%}{last['recall_at_1']:>11.3f}"
        )
    faster = sum(runs["full"]["seconds"]) / sum(runs["LSH"]["seconds"])
    behind = runs["full"].last["val_p@1"] - runs["LSH"].last["val_p@1"]
    lines += [
        "",
        f"LSH trained in 1/{faster:.1f} of the time; its P@1 is {abs(behind):.3f} "
        f"{'below' if behind > 0 else 'above'} the full network's.",
        "training: with table building and rehash, without reading and evaluation. computed: mean",
        "share of the outputs. recall@1: how often the tables alone find the best output.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

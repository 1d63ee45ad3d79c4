"""Weights and moments in halves against floats, on data of your own: paired seeds.

    python examples/precision.py TRAIN TEST [--seeds 5] [--light]

The networks of a seed differ in how weights are stored alone; with ``--light`` also in what Adam
remembers: moments in halves, and then one second moment a row. The last lines are the mean
differences of P@1 from floats with their standard errors.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import slide_rs
from slide_rs import layers, optim


@dataclass(frozen=True)
class Stored:
    """How a network is stored, and the bytes of a weight with its moments."""

    name: str
    bytes: int
    dtype: str = "bfloat16"
    moments_dtype: str = "float32"
    second_moment: str = "entry"

    def network(self, train: slide_rs.datasets.Dataset, hidden: int, seed: int) -> slide_rs.Network:
        """Describe a network for the data."""
        chain = [
            layers.SparseInput(train.n_features),
            layers.Dense(hidden, dtype=self.dtype),
            layers.SampledDense(train.n_labels, dtype=self.dtype),
        ]
        adam = optim.Adam(second_moment=self.second_moment, moments_dtype=self.moments_dtype)
        return slide_rs.Network(chain, optimizer=adam, seed=seed)


FLOATS = Stored("float32", 12, "float32")
WEIGHTS = [FLOATS, Stored("bfloat16", 10)]
LIGHT = [
    FLOATS,
    Stored("bf16 w, m, v", 6, moments_dtype="bfloat16"),
    Stored("bf16 w, m; row v", 4, moments_dtype="bfloat16", second_moment="row"),
]


def main() -> None:
    """Train, print a line for each network, and the differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--hidden", type=int, default=192)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--light", action="store_true", help="what Adam remembers differs too")
    given = parser.parse_args()
    train, test = (slide_rs.datasets.read_xmc(path) for path in (given.train, given.test))

    print(f"{'seed':>4}{'stored':>18}{'P@1':>8}{'P@5':>8}{'rows/s':>9}{'MB':>9}")
    p1: dict[str, list[float]] = {}
    kinds = LIGHT if given.light else WEIGHTS
    for seed in range(given.seeds):
        for stored in kinds:
            net = stored.network(train, given.hidden, seed)
            history = net.fit(train.X, train.Y, epochs=given.epochs, verbose=False)
            found = net.evaluate(test.X, test.Y, metrics=["p@1", "p@5"])
            p1.setdefault(stored.name, []).append(found["p@1"])
            size = given.hidden * (train.n_features + train.n_labels) * stored.bytes / 1e6
            print(
                f"{seed:>4}{stored.name:>18}{found['p@1']:>8.4f}{found['p@5']:>8.4f}"
                f"{history.last['samples_per_second']:>9,.0f}{size:>9.1f}",
                flush=True,
            )
    for stored in kinds[1:]:
        gains = np.subtract(p1[stored.name], p1[FLOATS.name])
        error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.nan
        print(f"{stored.name} - {FLOATS.name}: {gains.mean():+.4f}, standard error {error:.4f}")


if __name__ == "__main__":
    main()

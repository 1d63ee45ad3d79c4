"""Weights and moments in halves against floats, on data of your own: paired seeds.

    python examples/precision.py TRAIN TEST [--seeds 5] [--light | --moments | --output]

The networks of a seed differ in how weights are stored alone; with ``--light`` also in what Adam
remembers: moments in halves, and then one second moment a row; with ``--moments`` in that alone, in
the output layer or in both, of which the last is what wide layers have by rule; with ``--output``
in the weights of the output layer alone, all else being so. The last lines are the mean differences
from the first kind, with their standard errors in brackets; in ``PSP@5`` rare labels count
more.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import numpy as np
import slide_rs
from slide_rs import layers, metrics, optim, samplers

METRICS = ["p@1", "p@5", "psp@5"]
EXACT = optim.Adam(second_moment="entry", moments_dtype="float32")


@dataclass(frozen=True)
class Stored:
    """How a network is stored, and the bytes of a weight of the output with its moments."""

    name: str
    bytes: int
    dtype: str = "bfloat16"
    moments_dtype: str = "float32"
    second_moment: str = "entry"
    output_alone: bool = False
    #: How the first layer is stored, if not as the output.
    first_dtype: str | None = None

    def network(
        self, train: slide_rs.datasets.Dataset, hidden: int, n_active: int | None, seed: int
    ) -> slide_rs.Network:
        """Describe a network for the data."""
        adam = optim.Adam(second_moment=self.second_moment, moments_dtype=self.moments_dtype)
        chain = [
            layers.SparseInput(train.n_features),
            layers.Dense(
                hidden,
                dtype=self.first_dtype or self.dtype,
                optimizer=EXACT if self.output_alone else None,
            ),
            layers.SampledDense(
                train.n_labels, dtype=self.dtype, sampler=samplers.LSH(n_active=n_active)
            ),
        ]
        return slide_rs.Network(chain, optimizer=adam, seed=seed)

    def size(self, train: slide_rs.datasets.Dataset, hidden: int) -> float:
        """Return the megabytes of weights and their moments."""
        of_input = FLOATS.bytes if self.output_alone else self.bytes
        if self.first_dtype == "float32":
            of_input = BY_RULE.bytes
        return hidden * (train.n_features * of_input + train.n_labels * self.bytes) / 1e6


FLOATS = Stored("float32", 12, "float32")
WEIGHTS = [FLOATS, Stored("bfloat16", 10), Stored("float16", 10, "float16")]
LIGHT = [
    FLOATS,
    Stored("bf16 w, m, v", 6, moments_dtype="bfloat16"),
    Stored("bf16 w, m; row v", 4, moments_dtype="bfloat16", second_moment="row"),
]


ROW = Stored("row v", 8, "float32", second_moment="row")
BY_RULE = replace(ROW, name="bf16 m; row v", bytes=6, moments_dtype="bfloat16")
OUTPUT = [
    replace(BY_RULE, name=f"output: {dtype}", bytes=size, dtype=dtype, first_dtype="float32")
    for dtype, size in (("float32", 6), ("float16", 4), ("bfloat16", 4))
]
MOMENTS = [
    FLOATS,
    Stored("bf16 m, v", 8, "float32", "bfloat16"),
    replace(ROW, name="output: row v", output_alone=True),
    ROW,
    replace(BY_RULE, name="output: bf16 m; row v", output_alone=True),
    BY_RULE,
]


def main() -> None:
    """Train, print a line for each network, and the differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--hidden", type=int, default=192)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--n-active", type=int)
    parser.add_argument("--rows", type=int, help="of the test set; all when not given")
    parser.add_argument("--light", action="store_true", help="what Adam remembers differs too")
    parser.add_argument("--moments", action="store_true", help="that alone differs")
    parser.add_argument("--output", action="store_true", help="weights of the output alone differ")
    given = parser.parse_args()
    train, test = (slide_rs.datasets.read_xmc(path) for path in (given.train, given.test))

    X, Y = test.X[: given.rows], test.Y[: given.rows]
    weights = metrics.inv_propensity(train.Y)

    print(f"{'seed':>4}{'stored':>23}{'P@1':>8}{'P@5':>8}{'PSP@5':>8}{'rows/s':>9}{'MB':>9}")
    reached: dict[str, list[list[float]]] = {}
    kinds = LIGHT if given.light else WEIGHTS
    kinds = MOMENTS if given.moments else OUTPUT if given.output else kinds
    for seed in range(given.seeds):
        for stored in kinds:
            net = stored.network(train, given.hidden, given.n_active, seed)
            history = net.fit(train.X, train.Y, given.epochs, given.batch_size, verbose=False)
            found = net.evaluate(X, Y, METRICS, inv_propensity=weights)
            reached.setdefault(stored.name, []).append([found[name] for name in METRICS])
            print(
                f"{seed:>4}{stored.name:>23}"
                + "".join(f"{found[name]:>8.4f}" for name in METRICS)
                + f"{history.last['samples_per_second']:>9,.0f}"
                f"{stored.size(train, given.hidden):>9.1f}",
                flush=True,
            )
    for stored in kinds[1:]:
        gains = np.subtract(reached[stored.name], reached[kinds[0].name])
        n = len(gains)
        errors = gains.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.full(len(METRICS), np.nan)
        told = zip(METRICS, gains.mean(axis=0), errors, strict=True)
        parts = [f"{name.upper()} {gain:+.4f} ({error:.4f})" for name, gain, error in told]
        print(f"{stored.name} - {kinds[0].name}: {', '.join(parts)}")


if __name__ == "__main__":
    main()

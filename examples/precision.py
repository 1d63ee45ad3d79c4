"""Weights in halves against weights in floats, on data of your own: paired seeds.

    python examples/precision.py TRAIN TEST [--seeds 5]

Both networks of a seed differ in the dtype of their layers alone. The last line is the mean
difference of P@1 with its standard error; moments are floats in both.
"""

from __future__ import annotations

import argparse

import numpy as np
import slide_rs
from slide_rs import layers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--hidden", type=int, default=192)
    parser.add_argument("--epochs", type=int)
    given = parser.parse_args()
    train, test = (slide_rs.datasets.read_xmc(path) for path in (given.train, given.test))

    print(f"{'seed':>4}{'dtype':>10}{'P@1':>8}{'P@5':>8}{'rows/s':>9}{'weights MB':>12}")
    p1: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    for seed in range(given.seeds):
        for dtype, so_far in p1.items():
            net = slide_rs.Network(
                [
                    layers.SparseInput(train.n_features),
                    layers.Dense(given.hidden, dtype=dtype),
                    layers.SampledDense(train.n_labels, dtype=dtype),
                ],
                seed=seed,
            )
            history = net.fit(train.X, train.Y, epochs=given.epochs, verbose=False)
            found = net.evaluate(test.X, test.Y, metrics=["p@1", "p@5"])
            so_far.append(found["p@1"])
            weights = given.hidden * (train.n_features + train.n_labels)
            size = weights * (2 if dtype == "bfloat16" else 4) / 1e6
            print(
                f"{seed:>4}{dtype:>10}{found['p@1']:>8.4f}{found['p@5']:>8.4f}"
                f"{history.last['samples_per_second']:>9,.0f}{size:>12.1f}",
                flush=True,
            )
    gains = np.subtract(p1["bfloat16"], p1["float32"])
    error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.nan
    print(f"bfloat16 - float32: {gains.mean():+.4f}, standard error {error:.4f}")


if __name__ == "__main__":
    main()

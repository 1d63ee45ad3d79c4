"""How long predictions take, of a single row and of many, exact and through the hash tables.

    python examples/latency.py TRAIN
    python examples/latency.py --labels 670091

The second form makes rows at random. The network is trained on a few batches only: what a
prediction takes does not depend on how good it is. Each call of a single row gets another one.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import slide_rs
from scipy import sparse
from slide_rs import layers

BATCH = 256
MODES = ("lsh", "exact")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", metavar="TRAIN", help="XMC file, plain or .gz")
    parser.add_argument("--labels", type=int, default=670_091, metavar="N")
    parser.add_argument("--features", type=int, default=135_909, metavar="N")
    parser.add_argument("--hidden", type=int, default=128, metavar="N")
    parser.add_argument("--batches", type=int, default=20, metavar="N", help="of training")
    parser.add_argument("--calls", type=int, default=300, metavar="N", help="of a single row")
    parser.add_argument("--rows", type=int, default=1000, metavar="N", help="of a batch")
    parser.add_argument("--k", type=int, default=5, metavar="N")
    parser.add_argument("--threads", type=int, metavar="N")
    given = parser.parse_args()
    if given.file:
        data = slide_rs.datasets.read_xmc(given.file)
        x, y = data.X, data.Y
    else:
        x, y = at_random(max(given.batches * BATCH, given.rows), given.features, given.labels)

    chain = [
        layers.SparseInput(x.shape[1]),
        layers.Dense(given.hidden),
        layers.SampledDense(y.shape[1]),
    ]
    estimate = slide_rs.estimate_memory(chain, threads=given.threads)
    net = slide_rs.Network(chain, threads=given.threads)
    for first in range(0, min(given.batches * BATCH, x.shape[0]), BATCH):
        rows = slice(first, first + BATCH)
        net.train_batch(x[rows], y[rows])
    print(f"{y.shape[1]:,} labels, {given.hidden} hidden, {net.threads} threads; {estimate}")

    chosen = np.random.default_rng(0).integers(0, x.shape[0], given.calls)
    single = [x[i : i + 1] for i in chosen]
    batch = x[: given.rows]
    for mode in MODES:
        # The first calls build the tables and make room.
        net.predict_topk(single[0], given.k, mode=mode)
        taken = 1e6 * np.array([seconds(net, row, given.k, mode) for row in single])
        low, middle, high = np.percentile(taken, (5, 50, 95))
        print(
            f"{mode:<6} one row: median {middle:,.0f} us (5 % {low:,.0f}, 95 % {high:,.0f}; "
            f"{len(taken)} calls)"
        )
        passes = [seconds(net, batch, given.k, mode) for _ in range(3)]
        rate = batch.shape[0] / np.median(passes)
        line = f"{mode:<6} {batch.shape[0]:,} rows: {rate:,.0f} a second"
        if mode == "exact":
            line += f", {rate * 2e-9 * given.hidden * y.shape[1]:.0f} GFLOP/s"
        print(line)


def seconds(net: slide_rs.Network, x: object, k: int, mode: str) -> float:
    start = time.perf_counter()
    net.predict_topk(x, k, mode=mode)
    return time.perf_counter() - start


def at_random(
    rows: int, n_features: int, n_labels: int
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Rows of 75 features and of 5 labels, about as in Amazon-670K."""
    rng = np.random.default_rng(0)
    return tuple(
        sparse.csr_array(
            (
                np.ones(rows * n, np.float32),
                np.concatenate(
                    [np.sort(rng.choice(columns, n, replace=False)) for _ in range(rows)]
                ),
                np.arange(0, rows * n + 1, n),
            ),
            shape=(rows, columns),
        )
        for n, columns in ((min(75, n_features), n_features), (min(5, n_labels), n_labels))
    )


if __name__ == "__main__":
    main()

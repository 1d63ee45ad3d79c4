"""An output layer alone: forward, backward and update of random rows, against a bound of bandwidth.

    python examples/output_layer.py [--n-active 1000] [--stored floats] [--bandwidth GB/s]

Each sample computes random rows of its own, as many as `--n-active`, in batches of 256, one update
of each touched row a batch, Adam. ``layer``: time of an epoch less that of its other parts
(reading, choosing the rows, the first layer). ``all``: the whole epoch. ``MB``: rows read once,
and weights and moments of touched rows read and written. The bound is that by the bandwidth.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import slide_rs
from scipy import sparse
from slide_rs import layers, optim, samplers
from slide_rs.engine import core

BATCH, FEATURES = 256, 1000
#: Phases that are the output layer's.
LAYER = ("logits", "loss", "backward", "transpose", "update")
COUNTS = ("rows_computed", "rows_read", "rows_updated")
LIGHT = {"second_moment": "row", "moments_dtype": "bfloat16"}
#: How rows are stored: the type of the weights, the settings of Adam, and the bytes of a weight and
#: of what Adam keeps of it.
STORED: dict[str, tuple[str | None, dict[str, str], int, int]] = {
    "floats": ("float32", {"second_moment": "entry"}, 4, 8),
    "light": ("float32", LIGHT, 4, 2),
    "rule": (None, {}, 2, 2),
    "bfloat16": ("bfloat16", LIGHT, 2, 2),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, default=670_091, metavar="N")
    parser.add_argument("--hidden", type=int, default=128, metavar="N")
    parser.add_argument("--n-active", type=int, default=1000, metavar="N")
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="batches of an epoch")
    parser.add_argument("--repeats", type=int, default=7, metavar="N")
    parser.add_argument(
        "--bandwidth", type=float, metavar="GB/s", help="of row Adam, read and written"
    )
    parser.add_argument(
        "--stored",
        choices=STORED,
        default="floats",
        help="w, m, v as floats; m in halves and one v a row; w in f16 too, the rule; or in bf16",
    )
    parser.add_argument("--threads", type=int, metavar="N")
    given = parser.parse_args()

    rows = given.steps * BATCH
    rng = np.random.default_rng(0)
    x = slide_rs.arrays.features(one_each(rng, rows, FEATURES), FEATURES)
    y = slide_rs.labels.labels(one_each(rng, rows, given.labels), given.labels)
    sampler = samplers.Uniform(n_active=given.n_active, shared_negatives=False)
    dtype, adam, of_weight, of_moments = STORED[given.stored]
    net = slide_rs.Network(
        [
            layers.SparseInput(FEATURES, dropout=0.0),
            layers.Dense(given.hidden),
            layers.SampledDense(given.labels, sampler=sampler, dtype=dtype),
        ],
        optimizer=optim.Adam(**adam),
        threads=given.threads,
    )
    engine = core(net)
    engine.begin_fit(given.steps * (given.repeats + 1))
    engine.train_epoch(x, y, BATCH)
    whole, layer, touched, read = [], [], [], []
    for _ in range(given.repeats):
        start = time.perf_counter()
        engine.train_epoch(x, y, BATCH)
        whole.append((time.perf_counter() - start) / rows)
        told = engine.phases()
        parts = {name: told[name] for name in told if name not in (*COUNTS, *LAYER)}
        layer.append(whole[-1] - sum(parts.values()) / net.threads / rows)
        read.append(told["rows_read"] / rows)
        touched.append(told["rows_updated"] / rows)

    moved = of_weight * statistics.median(read)
    moved += 2 * (of_weight + of_moments) * statistics.median(touched)
    moved *= given.hidden
    print(
        f"{given.labels:,} rows of {given.hidden}, {statistics.median(read):,.0f} active, "
        f"{statistics.median(touched):,.0f} changed a sample, {net.threads} threads, "
        f"median of {given.repeats}"
    )
    for name, seconds in (("layer", statistics.median(layer)), ("all", statistics.median(whole))):
        print(
            f"{name:<6} {1e6 * seconds:8.1f} us a sample {1 / seconds:10,.0f} samples/s "
            f"{1e-6 * moved:6.2f} MB {1e-9 * moved / seconds:6.1f} GB/s"
        )
    if given.bandwidth:
        bound = 1e-9 * moved / given.bandwidth
        share = bound / statistics.median(layer)
        print(f"bound  {1e6 * bound:8.1f} us a sample; the layer runs at {share:.2f} of it")


def one_each(rng: np.random.Generator, rows: int, columns: int) -> sparse.csr_array:
    """Return rows with a 1 in one random column."""
    ids = rng.integers(0, columns, rows).astype(np.int32)
    ends = np.arange(rows + 1, dtype=np.int32)
    return sparse.csr_array((np.ones(rows, np.float32), ids, ends), shape=(rows, columns))


if __name__ == "__main__":
    main()

"""The output layer alone, with every sample's own random neurons, against the bound of the memory.

    python examples/output_layer.py [--bandwidth 24] [--light]

Forward, backward and update of `--n-active` uniform random rows for each of a batch of samples, as
`roofline.py` counts them: each row is read once for each sample, and read and written once with its
two moments for the batch. `--bandwidth` is what the machine moves when a plain loop does Adam on
random rows, in GB/s; the median of limits.c on two threads, say. What shares rows among samples is
switched off here, so this is slower than training is.
"""

from __future__ import annotations

import argparse
from statistics import median

import numpy as np
import slide_rs
from scipy import sparse
from slide_rs import engine, layers, optim, samplers

#: Of a step, what the output layer does beside choosing its neurons.
PHASES = ("logits", "loss", "backward", "transpose", "update")
ROW_OF_INPUTS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, default=670_091, metavar="N")
    parser.add_argument("--n-active", type=int, default=1000, metavar="N")
    parser.add_argument("--hidden", type=int, default=128, metavar="N")
    parser.add_argument("--batch-size", type=int, default=256, metavar="N")
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="of a repeat")
    parser.add_argument("--repeats", type=int, default=5, metavar="N")
    parser.add_argument("--threads", type=int, metavar="N")
    parser.add_argument("--bandwidth", type=float, metavar="GB/S")
    parser.add_argument("--light", action="store_true", help="bf16, one second moment a row")
    given = parser.parse_args()

    rows, features = given.steps * given.batch_size, 1000
    rng = np.random.default_rng(0)
    ends = np.arange(0, (rows + 1) * ROW_OF_INPUTS, ROW_OF_INPUTS)
    ids = rng.integers(0, features, rows * ROW_OF_INPUTS)
    x = sparse.csr_array((np.ones(len(ids), np.float32), ids, ends), shape=(rows, features))
    x.sum_duplicates()
    y = rng.integers(0, given.labels, rows)
    sampler = samplers.Uniform(given.n_active, shared_negatives=False)
    light = optim.Adam(second_moment="row", moments_dtype="bfloat16") if given.light else None
    dtype = "bfloat16" if given.light else "float32"
    net = slide_rs.Network(
        [
            layers.SparseInput(features),
            layers.Dense(given.hidden, dtype=dtype),
            layers.SampledDense(given.labels, bias=False, sampler=sampler, dtype=dtype),
        ],
        optimizer=light,
        threads=given.threads,
    )
    core = engine.core(net)
    seconds, changed = [], 0.0
    for _ in range(given.repeats + 1):
        net.fit(x, y, epochs=1, batch_size=given.batch_size, verbose=False)
        told = core.phases()
        seconds.append(sum(told[name] for name in PHASES) / net.threads / given.steps)
        changed = told["rows_updated"] / given.steps
    step = median(seconds[1:])
    number = 2 if given.light else 4
    row = given.hidden * number
    # Weights and moments are read and written; a second moment of the row is next to nothing.
    moved = given.n_active * given.batch_size * row + changed * row * (4 if given.light else 6)
    print(
        f"{given.labels:,} x {given.hidden}, {given.n_active:,} active, batches of "
        f"{given.batch_size}, {net.threads} threads: {step * 1e3:.1f} ms a step "
        f"(median of {given.repeats}), {given.batch_size / step:,.0f} samples/s; "
        f"{changed:,.0f} rows changed, {moved / 1e6:.0f} MB, {moved / step / 1e9:.1f} GB/s"
    )
    if given.bandwidth:
        bound = moved / given.bandwidth / 1e9
        print(f"bound at {given.bandwidth:g} GB/s: {bound * 1e3:.1f} ms; reached {bound / step:.2f}")


if __name__ == "__main__":
    main()

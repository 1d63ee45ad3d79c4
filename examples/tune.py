"""Hash tables for a recall of 0.8 after one epoch, and the recall that they have on fresh rows.

    python examples/tune.py TRAIN TEST
    python examples/tune.py --labels 200000

The second form makes data. The network is trained for one epoch on TRAIN, `slide_rs.lsh.autotune`
chooses the tables from 2,000 rows of TEST, and the recall is measured on the other rows of TEST.
Rows that were trained on would not do: the network knows their best outputs too well.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import slide_rs
from slide_rs import layers

QUERIES = 2_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", metavar="TRAIN TEST")
    parser.add_argument("--labels", type=int, default=200_000)
    parser.add_argument("--recall", type=float, default=0.8)
    parser.add_argument("--hidden", type=int, default=192)
    given = parser.parse_args()
    if given.files:
        train, test = (slide_rs.datasets.read_xmc(path) for path in given.files)
    else:
        train, test = slide_rs.datasets.make_xmc(54_000, n_labels=given.labels).split(50_000)

    net = slide_rs.Network(
        [
            layers.SparseInput(train.n_features),
            layers.Dense(given.hidden),
            layers.SampledDense(train.n_labels),
        ]
    )
    net.fit(train.X, train.Y, epochs=1, verbose=False)
    # In random order: files are often sorted.
    order = np.random.default_rng(0).permutation(test.X.shape[0])
    known, fresh = test.X[order[:QUERIES]], test.X[order[QUERIES:]]
    before = net.sampling_recall(fresh)
    start = time.perf_counter()
    found = slide_rs.lsh.autotune(net, known, target_recall=given.recall)
    seconds = time.perf_counter() - start
    print(f"{train.n_labels:,} labels; the sampler by rule finds {before:.3f} of the best outputs")
    print(f"autotune, {seconds:.1f} s: {found}")
    net.set_sampler(found.sampler)
    recall = net.sampling_recall(fresh)
    print(f"recall of these tables on {fresh.shape[0]:,} fresh rows: {recall:.3f}")


if __name__ == "__main__":
    main()

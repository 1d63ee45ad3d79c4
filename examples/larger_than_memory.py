"""Training on a set that memory does not hold: make its files, then stream them.

    python examples/larger_than_memory.py make FOLDER --gigabytes 5
    python examples/larger_than_memory.py train FOLDER

`make` writes files of 100,000 rows in the text format of extreme classification until there is as
much text as asked for: rows of up to 150 features, mostly words of their labels, of which each has
12. `train` goes through all of them and prints one line: rows, seconds, P@1 on the rows of a
file that is not trained on, and the most memory that the process held.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np
import slide_rs as sr
from scipy import sparse

FEATURES, LABELS, WORDS, LENGTH, ROWS = 200_000, 200_000, 12, 150, 100_000
HELD_OUT = 2_000


def rows_of(seed: int, rows: int) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Return rows that depend on the seed; what the labels' words are does not."""
    random = np.random.default_rng([1, seed])
    # Ids with a long tail: the inverse of the distribution function of 1 / (id + 1,000).
    drawn = 1000 * (LABELS / 1000 + 1) ** random.random((rows, 3)) - 1000
    labels = np.minimum(drawn.astype(np.int64), LABELS - 1)
    source = np.take_along_axis(labels, random.integers(3, size=(rows, LENGTH)), axis=1)
    word = random.integers(WORDS, size=(rows, LENGTH))
    # Multiplication by large primes scatters the words of a label over the features.
    ids = (source * 7_368_787 + word * 15_485_863) % FEATURES
    noisy = random.random((rows, LENGTH)) < 0.3
    ids[noisy] = random.integers(FEATURES, size=int(noisy.sum()))
    values = (random.integers(1, 1000, size=ids.size) / 1000).astype(np.float32)
    X, Y = (
        sparse.csr_array(
            (data, found.ravel().astype(np.int32), np.arange(rows + 1) * found.shape[1]),
            shape=(rows, columns),
        )
        for data, found, columns in (
            (values, ids, FEATURES),
            (np.ones(labels.size, np.float32), labels, LABELS),
        )
    )
    X.sum_duplicates()
    Y.sum_duplicates()
    return X, Y


def make(folder: Path, gigabytes: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sr.datasets.write_xmc(folder / "test.txt", *rows_of(0, HELD_OUT))
    size, number = 0, 0
    while size < gigabytes * 1e9:
        number += 1
        path = folder / f"train-{number:04}.txt"
        sr.datasets.write_xmc(path, *rows_of(number, ROWS))
        size += path.stat().st_size
    print(f"{number} files, {number * ROWS:,} rows, {size / 1e9:.2f} GB")


def train(folder: Path, hidden: int, epochs: int, buffer: int, threads: int | None) -> None:
    test = sr.datasets.read_xmc(folder / "test.txt")
    stream = sr.data.stream_xmc(f"{folder}/train-*.txt", shuffle_buffer=buffer)
    net = sr.Network(
        [
            sr.layers.SparseInput(test.n_features),
            sr.layers.Dense(hidden),
            sr.layers.SampledDense(test.n_labels),
        ],
        threads=threads,
    )
    start = time.perf_counter()
    history = net.fit(stream, epochs=epochs, validation_data=test, metrics=["p@1"])
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak /= 2**30 if sys.platform == "darwin" else 2**20
    print(
        f"{stream.n_rows:,} rows, {epochs} epochs, {seconds:.0f} s, "
        f"P@1 {history.last['val_p@1']:.3f}, network {net.estimate_memory().total / 2**30:.2f} GB, "
        f"peak {peak:.2f} GB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(required=True, dest="verb", metavar="make | train")
    making, training = verbs.add_parser("make"), verbs.add_parser("train")
    for verb in (making, training):
        verb.add_argument("folder", type=Path)
    making.add_argument("--gigabytes", type=float, default=5.0)
    training.add_argument("--hidden", type=int, default=64)
    training.add_argument("--epochs", type=int, default=1)
    training.add_argument("--buffer", type=int, default=100_000)
    training.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    if arguments.verb == "make":
        make(arguments.folder, arguments.gigabytes)
    else:
        sizes = (arguments.hidden, arguments.epochs, arguments.buffer, arguments.threads)
        train(arguments.folder, *sizes)


if __name__ == "__main__":
    main()

"""Two sampled hidden layers of 10,000 units on MNIST, 2 % of each computed for an image.

    python examples/mnist.py FOLDER [--epochs 3] [--rows 60000]

FOLDER holds the four files of MNIST in the idx format, gzipped: train-images-idx3-ubyte.gz,
train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz. Nothing is
downloaded. An epoch is a line: accuracy on the test images, the share of each sampled hidden layer
that training computed, and seconds of training.
"""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from slide_rs import Network, callbacks, layers, lsh, optim, samplers

#: Units of a sampled hidden layer, and how many of them are computed for an image.
WIDE, ACTIVE = 10_000, 200
UNSIGNED_BYTES = 8


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Return the array in a gzipped idx file of unsigned bytes."""
    content = gzip.decompress(path.read_bytes())
    # Two zeros, the type of the numbers, how many dimensions; then the size of each.
    *zeros, kind, dimensions = content[:4]
    if any(zeros) or kind != UNSIGNED_BYTES:
        raise ValueError(f"{path}: found type {kind}, wanted an idx file of unsigned bytes")
    shape = np.frombuffer(content, ">u4", dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def read(folder: Path, part: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the images of a part as rows of numbers from 0 to 1, and their digits."""
    images = read_idx(folder / f"{part}-images-idx3-ubyte.gz")
    digits = read_idx(folder / f"{part}-labels-idx1-ubyte.gz")
    x = images.reshape(len(images), -1).astype(np.float32) / np.float32(255)
    return x, digits.astype(np.int64)


class Report(callbacks.Callback):
    """Print a line an epoch."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Print what was measured."""
        shares = [f"{logs[f'hidden_{layer}_active_fraction']:.2%}" for layer in (1, 2)]
        accuracy, active, seconds = logs["val_p@1"], " and ".join(shares), logs["seconds"]
        print(
            f"epoch {epoch}  accuracy {accuracy:.4f}  active {active}  {seconds:.1f} s", flush=True
        )


def sampled(center: bool) -> layers.SampledDense:
    """Return a hidden layer of which few units are computed, and those by the tables alone."""
    sampler = samplers.LSH(
        lsh.SimHash(center=center),
        n_active=ACTIVE,
        random_share=0.0,
        rebuild=lsh.Rebuild(every=100),
    )
    return layers.SampledDense(WIDE, activation="relu", norm=1.0, sampler=sampler)


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rows", type=int, help="train on so many images only")
    given = parser.parse_args()
    x, y = read(given.folder, "train")
    test = read(given.folder, "t10k")
    net = Network(
        [
            layers.SparseInput(x.shape[1]),
            layers.Dense(256, activation="relu", norm=6.0),
            sampled(center=False),
            # Its inputs are never negative, so rows differ most in what is left without their mean.
            sampled(center=True),
            # Ten outputs: all are computed, by rule.
            layers.SampledDense(10),
        ],
        optimizer=optim.Adam(lr=0.02),
    )
    net.fit(
        x[: given.rows],
        y[: given.rows],
        epochs=given.epochs,
        batch_size=64,
        validation_data=test,
        metrics=["p@1"],
        callbacks=[Report()],
        verbose=False,
    )


if __name__ == "__main__":
    main()

"""Samples a second of a small dense network, of slide_rs and of PyTorch in turn.

    python examples/small_dense.py [--mnist FOLDER] [--torch-python PYTHON] [--threads 1 2]

The network has 784 inputs, 128 hidden units (ReLU) and 10 outputs, and is trained by Adam on
batches of 128, of 60,000 rows of uniform numbers or of MNIST (FOLDER holds its files, see
mnist.py). An epoch of the one follows an epoch of the other; the medians are printed. PyTorch runs
in a process of its own, by PYTHON where it is installed elsewhere; environment variables reach it.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROWS, INPUTS, HIDDEN, CLASSES, BATCH, LR = 60_000, 784, 128, 10, 128, 1e-3

Arrays = tuple[NDArray[np.float32], NDArray[np.int64]]


def read_data(mnist: str, rows: int) -> Arrays:
    """Return images and digits; uniform numbers where there is no folder."""
    if mnist:
        from mnist import read  # only here: it needs slide_rs, which PyTorch's process may lack

        images, digits = read(Path(mnist), "train")
        return images[:rows], digits[:rows]
    rng = np.random.default_rng(0)
    x = rng.random((rows, INPUTS), dtype=np.float32)
    return x, rng.integers(0, CLASSES, rows)


def torch_epoch(x: NDArray[np.float32], y: NDArray[np.int64], threads: int) -> Callable[[], float]:
    """Return a function that trains for an epoch with PyTorch and returns the seconds it took."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y)
    net = nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
    loss = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=LR, fused=True)

    def epoch() -> float:
        start = time.perf_counter()
        for rows in torch.randperm(len(inputs)).split(BATCH):
            optimizer.zero_grad()
            loss(net(inputs[rows]), targets[rows]).backward()
            optimizer.step()
        return time.perf_counter() - start

    return epoch


def slide_epoch(x: NDArray[np.float32], y: NDArray[np.int64], threads: int) -> Callable[[], float]:
    """Return the same for slide_rs."""
    from slide_rs import Network, layers, optim, samplers

    net = Network(
        [
            layers.SparseInput(INPUTS, normalize=False, dropout=0.0),
            layers.Dense(HIDDEN, activation="relu", norm=0.0),
            layers.SampledDense(CLASSES, sampler=samplers.Full()),
        ],
        optimizer=optim.Adam(lr=LR),
        threads=threads,
    )

    def epoch() -> float:
        start = time.perf_counter()
        net.fit(x, y, epochs=1, batch_size=BATCH, verbose=False)
        return time.perf_counter() - start

    return epoch


@contextmanager
def torch_elsewhere(python: str, same: list[str], threads: int) -> Iterator[Callable[[], float]]:
    """Give `torch_epoch` of another process on the same data; it waits between epochs."""
    command = [python, __file__, "--worker", *same, "--threads", str(threads)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        ask, answers = worker.stdin, worker.stdout

        def epoch() -> float:
            print(file=ask, flush=True)
            return float(answers.readline())

        yield epoch
        ask.close()


def work(x: NDArray[np.float32], y: NDArray[np.int64], threads: int) -> None:
    """Train with PyTorch for an epoch at every line of the input."""
    epoch = torch_epoch(x, y, threads)
    for _ in sys.stdin:
        print(epoch(), flush=True)


def compare(data: Arrays, torch: Callable[[], float], threads: int, repeats: int) -> None:
    """Print the medians at one number of threads."""
    sides = {"slide_rs": slide_epoch(*data, threads), "PyTorch": torch}
    for epoch in sides.values():
        epoch()
    times = [{name: epoch() for name, epoch in sides.items()} for _ in range(repeats)]
    n = len(data[0])
    medians = {name: n / statistics.median(run[name] for run in times) for name in sides}
    ratio = statistics.median(run["PyTorch"] / run["slide_rs"] for run in times)
    rates = ", ".join(f"{name} {rate:,.0f} samples/s" for name, rate in medians.items())
    print(f"{threads} threads: {rates}, ratio {ratio:.2f} (medians of {repeats})", flush=True)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", default="", metavar="FOLDER")
    parser.add_argument("--torch-python", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rows", type=int, default=ROWS, help="of an epoch")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    data = read_data(given.mnist, given.rows)
    for threads in given.threads:
        if given.worker:
            work(*data, threads)
        else:
            same = ["--mnist", given.mnist, "--rows", str(given.rows)]
            with torch_elsewhere(given.torch_python, same, threads) as torch:
                compare(data, torch, threads, given.repeats)


if __name__ == "__main__":
    main()

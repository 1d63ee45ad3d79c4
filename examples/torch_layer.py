"""A ``SlideLinear`` alone: what a step takes, and what it takes as the layer grows.

    python examples/torch_layer.py [--n-active 1000] [--sampler lsh] [--batch 256]
    python examples/torch_layer.py --grow

A step is forward, backward and `SlideAdam`, on random inputs with one random class a row, medians
over `--steps`. ``MB a step`` is by how much the process grows above what it holds between steps.
``--grow``: the gradient and the update of 64 given rows of 512 weights, in layers of 256 to
1,048,576 rows, one row of inputs, on one thread: always the same rows, or others each time.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import threading
import time

import torch
from slide_rs import samplers
from slide_rs.torch import SlideAdam, SlideLinear

SAMPLERS: dict[str, type[samplers.LSH | samplers.Uniform]] = {
    "lsh": samplers.LSH,
    "uniform": samplers.Uniform,
}
#: Rows that are touched in layers that grow, and their length.
ROWS, WIDTH = 64, 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, default=670_091, metavar="N")
    parser.add_argument("--width", type=int, default=128, metavar="N")
    parser.add_argument("--n-active", type=int, default=1000, metavar="N")
    parser.add_argument("--batch", type=int, default=256, metavar="N")
    parser.add_argument("--sampler", choices=SAMPLERS, default="lsh")
    parser.add_argument("--own", action="store_true", help="no random outputs are shared")
    parser.add_argument("--steps", type=int, default=40, metavar="N")
    parser.add_argument("--threads", type=int, metavar="N")
    parser.add_argument("--grow", action="store_true")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    if given.grow:
        grow()
    else:
        step(given)


def step(given: argparse.Namespace) -> None:
    """Time whole steps."""
    torch.manual_seed(0)
    shared = not given.own
    sampler = SAMPLERS[given.sampler](n_active=given.n_active, shared_negatives=shared)
    layer = SlideLinear(given.width, given.labels, sampler=sampler)
    optimizer = SlideAdam(layer.parameters(), lr=1e-3)
    times, risen, active = [], [], []
    for _ in range(given.steps):
        x = torch.randn(given.batch, given.width, requires_grad=True)
        y = torch.randint(given.labels, (given.batch,))
        with Peak() as peak:
            clock = [time.perf_counter()]
            out = layer(x, y)
            clock.append(time.perf_counter())
            out.loss.backward()
            clock.append(time.perf_counter())
            optimizer.step()
            optimizer.zero_grad()
            clock.append(time.perf_counter())
        active.append(len(out.indices) / given.batch)
        times.append([1e3 * (b - a) for a, b in itertools.pairwise(clock)])
        risen.append(peak.risen)
        del out, x
    # The first steps build tables and meet every page for the first time.
    warm = times[given.steps // 4 :]
    parts = [statistics.median(part) for part in zip(*warm, strict=True)]
    whole = statistics.median(sum(part) for part in warm)
    print(
        f"{given.labels:,} x {given.width}, batches of {given.batch}, "
        f"{statistics.median(active):,.0f} active, {torch.get_num_threads()} threads: "
        f"{whole:.1f} ms a step, {1e3 * given.batch / whole:,.0f} samples/s"
    )
    names = ("forward", "backward", "optimiser")
    print(", ".join(f"{name} {ms:.1f} ms" for name, ms in zip(names, parts, strict=True)))
    print(f"MB a step: {max(risen[given.steps // 4 :]):.1f}")


class Peak:
    """How much the process grows while a block runs, in MB, looked at all the time."""

    def __enter__(self) -> Peak:
        self.before, self.most, self.over = resident(), 0, False
        self.watcher = threading.Thread(target=self.watch)
        self.watcher.start()
        return self

    def watch(self) -> None:
        """Look until the block is over."""
        while not self.over:
            self.most = max(self.most, resident())
            time.sleep(0.001)

    def __exit__(self, *_: object) -> None:
        self.most = max(self.most, resident())
        self.over = True
        self.watcher.join()

    @property
    def risen(self) -> float:
        """Return the growth."""
        return max(self.most - self.before, 0) / 1e6


def resident() -> int:
    """Return the bytes that the process has in memory."""
    with open("/proc/self/statm") as told:
        return int(told.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def grow() -> None:
    """Time the same piece of work in layers of many sizes."""
    torch.set_num_threads(1)
    print(f"{'rows':>9} {'same rows':>12} {'new rows':>12}   us, gradient and update; medians")
    first: list[float] = []
    for size in (2**e for e in range(8, 21, 2)):
        torch.manual_seed(0)
        layer = SlideLinear(WIDTH, size, bias=False, sampler=samplers.Uniform(n_active=ROWS))
        optimizer = SlideAdam(layer.parameters(), lr=1e-6)
        x = torch.randn(1, WIDTH)
        spent = []
        for new in (False, True):
            calls = [torch.randperm(size)[:ROWS].tolist() for _ in range(400 if new else 1)]
            times = []
            for call in range(400):
                start = time.perf_counter()
                layer(x, [calls[call % len(calls)]]).logits.sum().backward()
                optimizer.step()
                optimizer.zero_grad()
                times.append(1e6 * (time.perf_counter() - start))
            spent.append(statistics.median(times[100:]))
        first = first or spent
        print(f"{size:>9,} {spent[0]:>12,.0f} {spent[1]:>12,.0f}", flush=True)
    print(f"largest over smallest: {spent[0] / first[0]:.2f}, {spent[1] / first[1]:.2f}")


if __name__ == "__main__":
    main()

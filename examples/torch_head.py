"""A text encoder in PyTorch with a wide output layer: ``nn.Linear`` against ``SlideLinear``.

    python examples/torch_head.py [TRAIN TEST] [--seeds 5] [--epochs 3]

The encoder is an ``EmbeddingBag`` over weighted words, scaled to a fixed length. For each seed both
models begin with the same weights and see the same batches; only the head, its loss and the
optimiser of its weights differ. ``samples/s`` is that of whole training steps, the encoder with
them, median over the epochs of all seeds. After the last epoch every label of the test rows is
scored. Differences are means over the seeds, standard errors in brackets. Without files the data
are those of this repository, examples/data.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array
from slide_rs import datasets, metrics
from slide_rs.torch import SlideAdam, SlideLinear
from torch import Tensor, nn
from torch.nn import functional as F

BATCH = 256
DATA = Path(__file__).parent / "data"
#: Length of the vectors that a head reads: logits are cosines times this times the length of a row.
LENGTH = 6.0
#: Share of the words of a row that training leaves out.
DROPOUT = 0.4


class Batch(NamedTuple):
    """Some rows: words with their weights, and labels."""

    words: Tensor
    offsets: Tensor
    weights: Tensor
    labels: csr_array


class Encoder(nn.Module):  # type: ignore[misc, unused-ignore]
    """Words to a vector of fixed length."""

    def __init__(self, n_words: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.EmbeddingBag(n_words, width, mode="sum", sparse=True)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)

    def forward(self, batch: Batch) -> Tensor:
        """Return vectors of shape (rows, width)."""
        words, offsets, weights, _ = batch
        if self.training:
            # Words that are left out take no gradient, where a weight of zero would.
            kept = torch.rand(len(words)) >= DROPOUT
            offsets = F.pad(kept.cumsum(0), (1, 0))[offsets]
            words, weights = words[kept], weights[kept]
        vectors = self.embedding(words, offsets, per_sample_weights=weights)
        return LENGTH * F.normalize(vectors)


class DenseHead(nn.Linear):  # type: ignore[misc, unused-ignore]
    """All labels, with the mean cross entropy over the labels of a row."""

    def mean_loss(self, vectors: Tensor, labels: csr_array) -> Tensor:
        """Return the mean loss of the rows."""
        log_p = F.log_softmax(self(vectors), dim=1)
        counts = np.diff(labels.indptr)
        rows = torch.from_numpy(np.repeat(np.arange(len(counts)), counts))
        share = torch.from_numpy(np.repeat(1 / np.maximum(counts, 1), counts).astype(np.float32))
        columns = torch.from_numpy(labels.indices.astype(np.int64))
        return -(log_p[rows, columns] * share).sum() / max(int((counts > 0).sum()), 1)


class SlideHead(SlideLinear):
    """The same of the labels of a row and of those that it makes active."""

    def mean_loss(self, vectors: Tensor, labels: csr_array) -> Tensor:
        """Return the mean loss of the rows."""
        return self(vectors, labels).loss


HEADS = {"dense": DenseHead, "slide": SlideHead}


class Outcome(NamedTuple):
    """What one training came to."""

    p_at_1: float
    speeds: list[float]


def batches(
    x: csr_array, y: csr_array, order: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> Iterator[Batch]:
    """Yield rows in this order."""
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        part = x[rows]
        yield Batch(
            torch.from_numpy(part.indices.astype(np.int64)),
            torch.from_numpy(part.indptr[:-1].astype(np.int64)),
            torch.from_numpy(part.data),
            y[rows],
        )


def train(
    kind: str, seed: int, data: datasets.Dataset, test: datasets.Dataset, given: argparse.Namespace
) -> Outcome:
    """Train one model, and test it."""
    torch.manual_seed(seed)
    encoder = Encoder(data.X.shape[1], given.width)
    torch.manual_seed(seed)
    head = HEADS[kind](given.width, data.Y.shape[1])
    words = torch.optim.SGD(encoder.parameters(), lr=given.word_lr)
    labels = (
        SlideAdam(head.parameters(), lr=given.lr)
        if kind == "slide"
        else torch.optim.Adam(head.parameters(), lr=given.lr, fused=True)
    )
    n = data.X.shape[0]
    steps = given.epochs * -(-n // BATCH)
    optimizers = words, labels
    falling = [torch.optim.lr_scheduler.CosineAnnealingLR(o, steps) for o in optimizers]
    speeds = []
    rng = np.random.default_rng(seed)
    for _ in range(given.epochs):
        spent = 0.0
        for batch in batches(data.X, data.Y, rng.permutation(n)):
            start = time.perf_counter()
            loss = head.mean_loss(encoder(batch), batch.labels)
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            spent += time.perf_counter() - start
            for schedule in falling:
                schedule.step()
        speeds.append(n / spent)
    return Outcome(accuracy(encoder.eval(), head.eval(), test), speeds)


@torch.no_grad()
def accuracy(encoder: Encoder, head: DenseHead | SlideHead, test: datasets.Dataset) -> float:
    """Return P@1 over all labels."""
    found = []
    for batch in batches(test.X, test.Y, np.arange(test.X.shape[0])):
        vectors = encoder(batch)
        if isinstance(head, SlideHead):
            found.append(head.topk(vectors, 1).labels.numpy())
        else:
            found.append(head(vectors).argmax(1, keepdim=True).numpy())
    return float(metrics.precision_at_k(test.Y, np.concatenate(found), 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", nargs="?", default=DATA / "train.txt.gz")
    parser.add_argument("test", nargs="?", default=DATA / "test.txt.gz")
    parser.add_argument("--seeds", type=int, default=5, metavar="N")
    parser.add_argument("--epochs", type=int, default=3, metavar="N")
    parser.add_argument("--width", type=int, default=512, metavar="N")
    parser.add_argument("--lr", type=float, default=3e-3, help="of the head")
    parser.add_argument("--word-lr", type=float, default=30.0, help="of the encoder")
    given = parser.parse_args()

    data, test = datasets.read_xmc(given.train), datasets.read_xmc(given.test)
    print(f"{data.X.shape[0]:,} rows, {data.X.shape[1]:,} words, {data.Y.shape[1]:,} labels")
    outcomes: dict[str, list[Outcome]] = {kind: [] for kind in HEADS}
    for seed in range(given.seeds):
        for kind, told in outcomes.items():
            told.append(train(kind, seed, data, test, given))
            last = told[-1]
            print(
                f"seed {seed} {kind:<6} P@1 {last.p_at_1:.4f} "
                f"{statistics.median(last.speeds):8,.0f} samples/s",
                flush=True,
            )
    pairs = zip(outcomes["slide"], outcomes["dense"], strict=True)
    gains = [slide.p_at_1 - dense.p_at_1 for slide, dense in pairs]
    error = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
    speed = {k: statistics.median(s for o in v for s in o.speeds) for k, v in outcomes.items()}
    print(f"P@1, SlideLinear less nn.Linear: {statistics.mean(gains):+.4f} ({error:.4f})")
    print(
        f"samples/s: {speed['slide']:,.0f} against {speed['dense']:,.0f}, "
        f"{speed['slide'] / speed['dense']:.1f} times"
    )


if __name__ == "__main__":
    main()

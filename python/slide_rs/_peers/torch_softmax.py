"""The same network in PyTorch: a softmax over all labels, or over a sample that a batch shares.

The sample is the labels of the batch and random others. As those stand for all that were not drawn,
the log of how many each stands for is added to its score: Bengio and Senecal, "Adaptive importance
sampling to accelerate training of a neural probabilistic language model", 2008. Rows of features,
and of labels where they are sampled, are updated where a batch touches them.
"""

from __future__ import annotations

import math
import os
from typing import Any, NamedTuple

import numpy as np
import torch  # type: ignore[import-not-found, unused-ignore]
import torch.nn.functional as F  # type: ignore[import-not-found, unused-ignore]
from numpy.typing import NDArray

from .course import Course, Settings, Watch
from .rows import Rows, flat

__all__ = ["SoftmaxNet", "make"]

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
#: Steps in which the rate rises: a tenth of all, up to so many.
#: Steps in which the rate rises: a tenth of all, up to so many.
WARM_UP = 100
#: Scores that are held at once in prediction.
MOST_SCORES = 1 << 26


def make(course: Course) -> SoftmaxNet:
    """Return the contestant."""
    settings = course.settings
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    train, test = Rows.read(course.folder, "train"), Rows.read(course.folder, "test")
    output = SampledOutput if settings.contestant == "torch_sampled" else DenseOutput
    return SoftmaxNet(settings, train, test, output(settings))


class Batch(NamedTuple):
    """Rows as tensors: features with the row each starts at, labels with the row each is of."""

    ids: Any
    offsets: Any
    values: Any
    labels: Any
    label_rows: Any
    #: One by the number of labels of the row.
    shares: Any

    @classmethod
    def gather(cls, rows: Rows, chosen: NDArray[np.int64]) -> Batch:
        """Copy some rows, in this order."""
        where, counts = flat(rows.indptr, chosen)
        label_where, label_counts = flat(rows.label_indptr, chosen)
        shares = np.repeat(1 / np.maximum(label_counts, 1), label_counts)
        arrays = (
            rows.ids[where].astype(np.int64),
            np.cumsum(counts) - counts,
            rows.values[where],
            rows.labels[label_where].astype(np.int64),
            np.repeat(np.arange(len(chosen)), label_counts),
            shares.astype(np.float32),
        )
        return cls(*(torch.from_numpy(array) for array in arrays))


def dropped(batch: Batch, share: float | None) -> Any:
    """Return for each feature the chance of being left out, by the rule of slide_rs if not given.

    Rows of fewer than eight features keep them all; by rule others lose more the longer they are.
    """
    ends = torch.cat([batch.offsets[1:], torch.tensor([len(batch.ids)])])
    lengths = ends - batch.offsets
    shares = (
        0.4 * lengths.clamp(max=64) / 64
        if share is None
        else torch.full_like(lengths, share, dtype=torch.float32)
    )
    return shares.where(lengths >= 8, 0.0).repeat_interleave(lengths)


class Table:
    """Rows of weights with Adam's moments, of which a step reads and changes few."""

    def __init__(self, rows: int, columns: int, scale: float) -> None:
        self.weights = torch.randn(rows, columns).mul_(scale)
        self.mean, self.square = (torch.zeros(rows, columns) for _ in range(2))

    def take(self, ids: Any) -> Any:
        """Return copies of rows that collect a gradient."""
        return self.weights.index_select(0, ids).requires_grad_()

    def update(self, ids: Any, taken: Any, step: int, lr: float) -> None:
        """Move the rows that were taken along their gradient; each id is there once."""
        gradient = taken.grad
        with torch.no_grad():
            mean = self.mean.index_select(0, ids).lerp_(gradient, 1 - BETA1)
            square = self.square.index_select(0, ids).mul_(BETA2)
            square.addcmul_(gradient, gradient, value=1 - BETA2)
            self.mean.index_copy_(0, ids, mean)
            self.square.index_copy_(0, ids, square)
            # Both bias corrections as one factor of the rate.
            later = math.sqrt(1 - BETA2**step)
            change = mean.div_(square.sqrt_().add_(EPSILON * later))
            change.mul_(-lr * later / (1 - BETA1**step))
            self.weights.index_copy_(0, ids, change.add_(taken))


class DenseOutput:
    """All labels, all of them updated in each step by the fused Adam of PyTorch."""

    def __init__(self, settings: Settings) -> None:
        weights = torch.randn(settings.n_labels, settings.hidden).mul_(0.05)
        self.rows = torch.nn.Parameter(weights)
        self.biases = torch.nn.Parameter(torch.zeros(settings.n_labels))
        self.adam = torch.optim.Adam(
            [self.rows, self.biases], betas=(BETA1, BETA2), eps=EPSILON, fused=True
        )

    def loss(self, hidden: Any, batch: Batch) -> tuple[Any, float]:
        """Return the mean loss, and the share of labels computed."""
        scores = self.scores(hidden)
        found = (scores[batch.label_rows, batch.labels] * batch.shares).sum()
        labelled = torch.unique_consecutive(batch.label_rows)
        return (scores.logsumexp(1)[labelled].sum() - found) / len(hidden), 1.0

    def update(self, step: int, lr: float) -> None:
        """Take a step of Adam."""
        self.adam.param_groups[0]["lr"] = lr
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)

    def scores(self, hidden: Any) -> Any:
        """Return those of all labels."""
        return F.linear(hidden, self.rows, self.biases)


class SampledOutput:
    """The labels of the batch and random others, the same for all rows of the batch."""

    def __init__(self, settings: Settings) -> None:
        self.labels, self.negatives = settings.n_labels, settings.negatives
        self.rows = Table(settings.n_labels, settings.hidden, 0.05)
        self.biases = Table(settings.n_labels, 1, 0.0)
        self.taken: tuple[Any, Any, Any] = (None, None, None)

    def loss(self, hidden: Any, batch: Batch) -> tuple[Any, float]:
        """Return the mean loss, and the share of labels computed."""
        true, places = batch.labels.unique(return_inverse=True)
        drawn: Any = torch.randint(self.labels, (self.negatives,))
        drawn = drawn.unique()
        drawn = drawn[~torch.isin(drawn, true)]
        ids = torch.cat([true, drawn])
        rows, biases = self.rows.take(ids), self.biases.take(ids)
        self.taken = ids, rows, biases
        stands_for = max(self.labels - len(true), 1) / max(len(drawn), 1)
        known = torch.zeros(len(ids))
        known[len(true) :] = math.log(stands_for)
        scores = F.linear(hidden, rows, biases.squeeze(1) + known)
        found = (scores[batch.label_rows, places] * batch.shares).sum()
        labelled = torch.unique_consecutive(batch.label_rows)
        loss = (scores.logsumexp(1)[labelled].sum() - found) / len(hidden)
        return loss, len(ids) / self.labels

    def update(self, step: int, lr: float) -> None:
        """Take a step of Adam, of the rows that were computed."""
        ids, rows, biases = self.taken
        self.rows.update(ids, rows, step, lr)
        self.biases.update(ids, biases, step, lr)

    def scores(self, hidden: Any) -> Any:
        """Return those of all labels."""
        return F.linear(hidden, self.rows.weights, self.biases.weights.squeeze(1))


class SoftmaxNet:
    """Sparse features to a hidden vector to scores."""

    def __init__(
        self, settings: Settings, train: Rows, test: Rows, output: DenseOutput | SampledOutput
    ) -> None:
        self.settings, self.train, self.test, self.output = settings, train, test, output
        self.relu = settings.contestant == "torch_relu"
        # Sums of a row of length 1 have about that length, as in slide_rs.
        self.features = Table(settings.n_features, settings.hidden, settings.hidden**-0.5)
        self.bias = Table(1, settings.hidden, 0.0)
        self.random = np.random.default_rng(settings.seed)
        self.step = 0
        self.active: list[float] = []

    def epoch(self, watch: Watch) -> None:
        """Train on every row once, in random order."""
        order, size = self.random.permutation(self.train.size), self.settings.batch_size
        for start in range(0, len(order), size):
            self._train(Batch.gather(self.train, order[start : start + size]))
            watch(min(start + size, len(order)))

    def best(self) -> bytes:
        """Compute all scores of a few rows at a time."""
        settings, found = self.settings, []
        k, size = min(settings.k, settings.n_labels), max(MOST_SCORES // settings.n_labels, 1)
        with torch.no_grad():
            for start in range(0, self.test.size, size):
                rows = np.arange(start, min(start + size, self.test.size))
                batch = Batch.gather(self.test, rows)
                hidden = self._hidden(batch, self.features.weights, self.bias.weights, batch.ids)
                found.append(self.output.scores(hidden).topk(k).indices.int().numpy())
        missing = ((0, 0), (0, settings.k - k))
        return np.pad(np.concatenate(found), missing, constant_values=-1).tobytes()

    def facts(self) -> dict[str, Any]:
        """Return the share of outputs computed, and on what PyTorch computes."""
        return {
            "active_fraction": float(np.mean(self.active)),
            "torch": torch.__version__,
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "LD_PRELOAD": os.environ.get("LD_PRELOAD"),
            "config": torch.__config__.show(),
        }

    def _train(self, batch: Batch) -> None:
        self.step += 1
        lr = self._lr()
        ids, places = batch.ids.unique(return_inverse=True)
        only = torch.zeros(1, dtype=torch.int64)
        features, bias = self.features.take(ids), self.bias.take(only)
        if self.settings.dropout != 0.0 and not self.relu:
            shares = dropped(batch, self.settings.dropout)
            kept = torch.rand(len(shares)) >= shares
            batch = batch._replace(values=batch.values * kept / (1 - shares))
        loss, active = self.output.loss(self._hidden(batch, features, bias, places), batch)
        loss.backward()
        self.output.update(self.step, lr)
        self.features.update(ids, features, self.step, lr)
        self.bias.update(only, bias, self.step, lr)
        self.active.append(active)

    def _hidden(self, batch: Batch, features: Any, bias: Any, places: Any) -> Any:
        sums = bias + F.embedding_bag(
            places, features, batch.offsets, mode="sum", per_sample_weights=batch.values
        )
        if self.relu:
            return F.relu(sums)
        norm = self.settings.norm
        return norm * F.normalize(sums) if norm else sums

    def _lr(self) -> float:
        """Return a rate that rises over the first steps and falls to nothing on half a cosine."""
        settings = self.settings
        steps = settings.epochs * -(-settings.rows // settings.batch_size)
        fall = (1 + math.cos(math.pi * (self.step - 1) / steps)) / 2
        return settings.lr * min(1.0, self.step / min(WARM_UP, steps / 10 + 1)) * fall

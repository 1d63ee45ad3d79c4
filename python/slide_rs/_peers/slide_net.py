"""A network of slide_rs with the sampler that the contestant is named after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from slide_rs import engine, samplers
from slide_rs.commands import stack
from slide_rs.ensemble import Ensemble
from slide_rs.network import Network
from slide_rs.prior import begin_at_frequencies

from . import matrices
from .course import Course, Settings, Watch
from .rows import Rows

__all__ = ["SlideNet", "best", "make", "recall", "sampler"]

PROBE_ROWS = 1000


def make(course: Course) -> SlideNet:
    """Return the contestant."""
    return SlideNet(course)


def sampler(name: str, n_active: int | None) -> samplers.Sampler:
    """Return a sampler by the name that it has in tables.

    Examples
    --------
    >>> sampler("in_batch", 500)
    InBatch(n_active=500, log_q=True)
    """
    if name == "full":
        return samplers.Full()
    if name == "lsh":
        return samplers.LSH(n_active=n_active)
    made = samplers.Uniform if name == "uniform" else samplers.InBatch
    return made(n_active=n_active)


class SlideNet:
    """The network that the command line builds, trained without the probe that ``fit`` makes."""

    def __init__(self, course: Course) -> None:
        settings = course.settings
        train, test = Rows.read(course.folder, "train"), Rows.read(course.folder, "test")
        self.settings = settings
        self.network = Network(
            stack(
                settings.n_features,
                settings.n_labels,
                settings.hidden,
                sampler(settings.contestant, settings.n_active),
            ),
            seed=settings.seed,
            threads=settings.threads,
        )
        self.x = (train.indptr, train.ids, train.values)
        self.y = (train.label_indptr, train.labels)
        self.test = matrices.features(test, settings.n_features)
        self.active: list[float] = []
        steps = settings.epochs * -(-settings.rows // settings.batch_size)
        engine.core(self.network).begin_fit(steps)

    def epoch(self, watch: Watch) -> None:
        """Train on every row, tables included."""
        core = engine.core(self.network)
        begin_at_frequencies(self.network, self.y)
        measured = core.train_epoch(
            self.x,
            self.y,
            self.settings.batch_size,
            on_batch=lambda done, total, loss: watch(done),
        )
        core.finish()
        self.active.append(measured["active_fraction"])

    def best(self) -> bytes:
        """Predict exactly, by all labels."""
        return best(self.network, self.test, self.settings)

    def facts(self) -> dict[str, Any]:
        """Return the share of outputs computed, and how often the sampler finds the best."""
        return {
            "active_fraction": float(np.mean(self.active)),
            "recall_at_1": recall([self.network], self.test),
        }


def best(model: Network | Ensemble, test: csr_array[Any], settings: Settings) -> bytes:
    """Predict the `k` labels of each row, with -1 where there are not as many labels."""
    k = min(settings.k, settings.n_labels)
    missing = ((0, 0), (0, settings.k - k))
    return np.pad(model.predict_topk(test, k).labels, missing, constant_values=-1).tobytes()


def recall(networks: Sequence[Network], test: csr_array[Any]) -> float | None:
    """Return how often the samplers alone find the best output, if they look for it at all."""
    mean = np.mean([network.sampling_recall(test[:PROBE_ROWS], k=1) for network in networks])
    return float(mean) if np.isfinite(mean) else None

"""A network of slide_rs with the sampler that the contestant is named after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from slide_rs import engine, layers, samplers
from slide_rs.network import Network
from slide_rs.prior import begin_at_frequencies

from .course import Course, Settings
from .rows import Rows

__all__ = ["SlideNet", "make", "sampler"]

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
            [
                layers.SparseInput(settings.n_features),
                layers.Dense(settings.hidden),
                layers.SampledDense(
                    settings.n_labels, sampler=sampler(settings.contestant, settings.n_active)
                ),
            ],
            seed=settings.seed,
            threads=settings.threads,
        )
        self.x = (train.indptr, train.ids, train.values)
        self.y = (train.label_indptr, train.labels)
        self.test = _matrix(test, settings)
        self.active: list[float] = []
        steps = settings.epochs * -(-settings.rows // settings.batch_size)
        engine.core(self.network).begin_fit(steps)

    def epoch(self, watch: Callable[[int], None]) -> None:
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
        k = min(self.settings.k, self.settings.n_labels)
        found = self.network.predict_topk(self.test, k).labels
        missing = ((0, 0), (0, self.settings.k - k))
        return np.pad(found, missing, constant_values=-1).tobytes()

    def facts(self) -> dict[str, Any]:
        """Return the share of outputs computed, and how often the sampler finds the best."""
        recall = self.network.sampling_recall(self.test[:PROBE_ROWS], k=1)
        return {
            "active_fraction": float(np.mean(self.active)),
            "recall_at_1": recall if np.isfinite(recall) else None,
        }


def _matrix(rows: Rows, settings: Settings) -> csr_array[Any]:
    shape = (len(rows.indptr) - 1, settings.n_features)
    return csr_array((rows.values, rows.ids, rows.indptr), shape=shape)

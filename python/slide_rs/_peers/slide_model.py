"""What ``slide-rs train`` makes when nothing is said: networks and a ranker."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from slide_rs.callbacks import Callback
from slide_rs.commands import stack
from slide_rs.ensemble import Ensemble
from slide_rs.history import History
from slide_rs.network import Network

from . import matrices
from .course import Course, Watch
from .rows import Rows
from .slide_net import best, recall

__all__ = ["FirstPass", "SlideModel", "make"]


def make(course: Course) -> SlideModel:
    """Return the contestant."""
    return SlideModel(course)


class FirstPass(Callback):
    """Tells the clock how fast the first network reads the rows for the first time.

    All networks do so in every epoch. What the ranker takes can not be known by then.
    """

    def __init__(self, watch: Watch, rows: int, members: int) -> None:
        self.watch, self.rows, self.members = watch, rows, members
        self.passes = 0
        self.over = False

    def on_train_begin(self, network: Network, epochs: int) -> None:
        """Note how often the rows will be read."""
        self.passes = self.members * epochs

    def on_batch_end(self, done: int, total: int, loss: float) -> None:
        """Report the rows that are done."""
        if not self.over:
            self.watch(done, self.passes)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Report all rows, and no more."""
        if not self.over:
            self.over = True
            self.watch(self.rows, self.passes)


class SlideModel:
    """The ensemble of the command line, fitted in one go, which is its only epoch.

    Its sizes are those that it chooses: of the settings it takes the seed, the threads and the
    limit.
    """

    def __init__(self, course: Course) -> None:
        settings = course.settings
        train, test = Rows.read(course.folder, "train"), Rows.read(course.folder, "test")
        self.settings = settings
        self.model = Ensemble(
            stack(settings.n_features, settings.n_labels),
            seed=settings.seed,
            threads=settings.threads,
        )
        self.x = matrices.features(train, settings.n_features)
        self.y = matrices.labels(train, settings.n_labels)
        self.test = matrices.features(test, settings.n_features)
        self.histories: tuple[History, ...] = ()
        self.predict_seconds = 0.0

    def epoch(self, watch: Watch) -> None:
        """Train the networks and the ranker."""
        first = FirstPass(watch, self.settings.rows, len(self.model.members))
        self.histories = self.model.fit(self.x, self.y, callbacks=[first], verbose=False)

    def best(self) -> bytes:
        """Predict exactly, by all labels."""
        start = time.perf_counter()
        found = best(self.model, self.test, self.settings)
        self.predict_seconds = time.perf_counter() - start
        return found

    def facts(self) -> dict[str, Any]:
        """Return the share of outputs computed, and what the model consists of."""
        ranker = self.model.ranker
        return {
            "active_fraction": float(np.mean([h["active_fraction"] for h in self.histories])),
            "recall_at_1": recall(self.model.members, self.test),
            "members": len(self.model.members),
            "ranker_weight": ranker.weight if ranker else None,
            "predict_seconds": self.predict_seconds,
        }

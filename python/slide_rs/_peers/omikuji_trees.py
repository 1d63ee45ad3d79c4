"""Label trees by omikuji: Prabhu et al., "Parabel", WWW 2018, the default of that package."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import omikuji  # type: ignore[import-not-found, unused-ignore]

from .course import Course, Watch

__all__ = ["Trees", "make"]


def make(course: Course) -> Trees:
    """Return the contestant."""
    return Trees(course)


class Trees:
    """A forest of label trees, grown in one go, which is its only epoch.

    Its library reads the file itself, so that the time is with reading.
    """

    def __init__(self, course: Course) -> None:
        self.settings = course.settings
        self.train, self.test = (course.folder / f"{part}.txt" for part in ("train", "test"))
        self.forest: Any = None

    def epoch(self, watch: Watch) -> None:
        """Grow the trees."""
        wanted = omikuji.Model.default_hyper_param()
        self.forest = omikuji.Model.train_on_data(
            str(self.train), wanted, n_threads=self.settings.threads
        )

    def best(self) -> bytes:
        """Walk down the trees with each test row."""
        k = self.settings.k
        found = array("i")
        for pairs in _pairs(self.test):
            ids = [label for label, _ in self.forest.predict(pairs, top_k=k)]
            found.extend((ids + [-1] * k)[:k])
        return found.tobytes()

    def facts(self) -> dict[str, Any]:
        """Return the number of trees."""
        return {"trees": self.forest.n_trees}


def _pairs(path: Path) -> Iterator[list[tuple[int, float]]]:
    """Yield the features of each row of an XMC file."""
    with path.open(encoding="ascii") as lines:
        next(lines)
        for line in lines:
            features = line.rstrip("\n").partition(" ")[2].split()
            yield [(int(i), float(v)) for i, _, v in (pair.partition(":") for pair in features)]

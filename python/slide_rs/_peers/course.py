"""What a contestant is given, the clock that it runs against, and what it hands back."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Contestant", "Course", "Settings", "TooSlow", "Watch", "peak_mb", "run"]

#: The pace is believed after so many seconds and batches.
SETTLED, FEW = 2.0, 4


@dataclass(frozen=True)
class Settings:
    """What is asked of a contestant; the parent writes it, as JSON."""

    contestant: str
    #: The module of this package that makes it, and what that imports.
    module: str
    needs: str
    rows: int
    n_features: int
    n_labels: int
    epochs: int
    batch_size: int
    hidden: int
    n_active: int | None
    negatives: int
    threads: int
    seed: int
    #: Seconds of training above which a contestant is given up.
    limit: float
    #: What slide_rs chooses by rule for its own network, so that PyTorch trains the same one.
    norm: float
    dropout: float | None
    lr: float
    #: Labels predicted for each test row.
    k: int = 5


class TooSlow(Exception):
    """Raised in the middle of the work when the whole of it would take longer than the limit."""

    def __init__(self, verb: str, seconds: float, rows: int, limit: float) -> None:
        super().__init__(
            f"would {verb} for about {seconds:,.0f} s by the pace of its first {rows:,} rows, "
            f"above the limit of {limit:g} s"
        )


class Watch(Protocol):
    """What hears now and then how many rows of an epoch are done."""

    def __call__(self, done: int, passes: int = 1) -> None:
        """Raise `TooSlow` by the pace so far, for an epoch that reads each row `passes` times."""


class Contestant(Protocol):
    """What a module of this package makes."""

    def epoch(self, watch: Watch) -> None:
        """Train on every row, and tell `watch` how far it is."""

    def best(self) -> bytes:
        """Return the best `k` labels of each test row, as int32, with -1 where there is none."""

    def facts(self) -> dict[str, Any]:
        """Return what else there is to say."""


class Course:
    """A folder with the data and the settings, in which the results are left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        text = (folder / "settings.json").read_text(encoding="utf-8")
        self.settings = Settings(**json.loads(text))

    def finish(self, status: str, note: str = "", **result: Any) -> None:
        """Write down how it went."""
        text = json.dumps({"status": status, "note": note, **result})
        (self.folder / "result.json").write_text(text, encoding="utf-8")

    def keep(self, epoch: int, best: bytes) -> None:
        """Write down what was predicted after an epoch; whoever started this process judges it."""
        (self.folder / f"best{epoch}.i32").write_bytes(best)


def run(course: Course, make: Callable[[Course], Contestant], versions: Mapping[str, str]) -> None:
    """Make a contestant and train it, with everything timed apart; prediction is not timed.

    A contestant whose first rows tell that the whole training would take longer than the limit is
    given up.
    """
    settings = course.settings
    start = time.perf_counter()
    contestant = make(course)
    build = time.perf_counter() - start
    seconds: list[float] = []
    peak = None
    try:
        for epoch in range(settings.epochs):
            start = time.perf_counter()
            watch: Watch = _unwatched if epoch else _watch(settings, start)
            contestant.epoch(watch)
            seconds.append(time.perf_counter() - start)
            if settings.epochs > 1:
                # In so short an epoch it may not have been asked at all.
                watch(settings.rows)
            # Predicting takes memory of its own, and what is compared is training.
            peak = peak_mb() if peak is None else peak
            course.keep(epoch, contestant.best())
    except TooSlow as slow:
        course.finish("skipped", str(slow))
        return
    course.finish(
        "done",
        build_seconds=build,
        epoch_seconds=seconds,
        peak_rss_mb=peak,
        versions=dict(versions),
        facts=contestant.facts(),
    )


def peak_mb() -> float | None:
    """Return the most memory that this process has held, in units of 2**20 bytes.

    Examples
    --------
    >>> (peak_mb() or 10) > 1
    True
    """
    try:
        # A child's ru_maxrss begins at what its parent held when it was started; this does not.
        status = Path("/proc/self/status").read_text(encoding="ascii")
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    except (OSError, ValueError):
        return _peak_by_resource()


def _peak_by_resource() -> float | None:
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _watch(settings: Settings, start: float) -> Watch:
    """Return what raises `TooSlow` once the pace of the first epoch says so.

    The time until it is first called tells nothing: first batches ask for memory.
    """
    first: list[tuple[float, int]] = []

    def watch(done: int, passes: int = 1) -> None:
        now = time.perf_counter()
        if done == settings.rows:
            first[:] = [(start, 0)]
        elif not first:
            first.append((now, done))
        began, before = first[0]
        seconds, rows = now - began, done - before
        few = min(FEW * settings.batch_size, settings.rows)
        if rows < few or seconds < min(SETTLED, settings.limit):
            return
        estimate = seconds / rows * settings.rows * passes * settings.epochs
        if estimate > settings.limit:
            raise TooSlow("train", estimate, done, settings.limit)

    return watch


def _unwatched(done: int, passes: int = 1) -> None:
    """Let an epoch after the first go on, however long it takes."""

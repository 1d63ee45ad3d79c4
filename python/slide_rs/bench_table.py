"""What ``slide-rs bench`` measured: a summary for each contestant, as a row and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from statistics import median
from typing import Any

from slide_rs.contestants import METRICS, Outcome

__all__ = ["Summary", "table"]

_COLUMNS = (
    ("contestant", 14),
    ("build s", 8),
    ("total s", 9),
    ("spread", 7),
    ("ratio", 7),
    ("samples/s", 11),
    ("peak MB", 8),
    ("active", 8),
    *((metric.upper(), 7) for metric in METRICS),
)
#: How a status that is not "done" reads.
_SAID = {"skipped": "skipped", "missing": "not installed", "failed": "failed"}


@dataclass(slots=True)
class Summary:
    """The runs of one contestant, the next of them in the next round.

    Examples
    --------
    >>> summary = Summary("lsh", rows=100)
    >>> for seconds in (1.0, 4.0, 2.0):
    ...     summary.outcomes.append(Outcome("done", epoch_seconds=[seconds]))
    >>> summary.seconds, summary.samples_per_second
    (2.0, 50.0)
    """

    name: str
    #: Rows of an epoch.
    rows: int
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def done(self) -> list[Outcome]:
        """The runs that came to their end, which are the first ones."""
        return [outcome for outcome in self.outcomes if outcome.status == "done"]

    @property
    def status(self) -> str:
        """That of the last run; a contestant is not run again after one that was not done."""
        return self.outcomes[-1].status if self.outcomes else "skipped"

    @property
    def note(self) -> str:
        """Why there is no more."""
        return self.outcomes[-1].note if self.outcomes else "interrupted"

    @property
    def seconds(self) -> float:
        """Median time of training with the building of the model."""
        return median(outcome.seconds for outcome in self.done)

    @property
    def samples_per_second(self) -> float:
        """Median of the rows trained on in a second, without the building of the model."""
        return median(
            self.rows * len(outcome.epoch_seconds) / sum(outcome.epoch_seconds)
            for outcome in self.done
        )

    def ratio(self, first: Summary) -> float:
        """Return the median over the rounds of the time by that of another contestant.

        What slows down a round slows down both.
        """
        pairs = zip(self.done, first.done, strict=False)
        return median(own.seconds / other.seconds for own, other in pairs)

    def precision(self, metric: str) -> float:
        """Return the median after the last epoch."""
        return median(outcome.precision[-1][metric] for outcome in self.done)

    def curve(self) -> Iterator[tuple[float, float]]:
        """Yield for each epoch the seconds until then and P@1, both medians."""
        done = self.done
        runs = [list(accumulate(o.epoch_seconds, initial=o.build_seconds))[1:] for o in done]
        for epoch, seconds in enumerate(zip(*runs, strict=True)):
            yield median(seconds), median(o.precision[epoch]["p@1"] for o in done)

    def as_dict(self, first: Summary | None) -> dict[str, Any]:
        """Return everything, the runs one by one too; `first` is what ratios are of."""
        found: dict[str, Any] = {
            "contestant": self.name,
            "status": self.status,
            "note": self.note,
            "runs": len(self.done),
        }
        if not self.done:
            return found
        last = self.done[-1]
        return found | {
            "build_seconds": median(outcome.build_seconds for outcome in self.done),
            "total_seconds": self.seconds,
            "total_seconds_of_runs": [outcome.seconds for outcome in self.done],
            "ratio": None if first is None else self.ratio(first),
            "samples_per_second": self.samples_per_second,
            "peak_rss_mb": self._peak(),
            **{metric: self.precision(metric) for metric in METRICS},
            "curve": [{"seconds": at, "p@1": value} for at, value in self.curve()],
            "versions": last.versions,
            "facts": last.facts,
        }

    def cells(self, first: Summary) -> dict[str, str]:
        """Return the row of the table, if there is a run that came to its end."""
        times, peak = [outcome.seconds for outcome in self.done], self._peak()
        share = self.done[-1].facts.get("active_fraction")
        spread = (max(times) - min(times)) / self.seconds
        return {
            "contestant": self.name,
            "build s": f"{median(outcome.build_seconds for outcome in self.done):.2f}",
            "total s": f"{self.seconds:.2f}",
            "spread": f"{spread:.0%}" if len(times) > 1 else "-",
            "ratio": f"{self.ratio(first):.2f}",
            "samples/s": f"{self.samples_per_second:,.0f}",
            "peak MB": f"{peak:,.0f}" if peak else "-",
            "active": f"{share:.2%}" if share is not None else "-",
            **{metric.upper(): f"{self.precision(metric):.4f}" for metric in METRICS},
        }

    def _peak(self) -> float | None:
        known = [outcome.peak_rss_mb for outcome in self.done if outcome.peak_rss_mb]
        return max(known) if known else None


def table(summaries: Sequence[Summary]) -> str:
    """Return a line for each contestant; times are also told as ratios to the first with any.

    Examples
    --------
    >>> lost = Summary("omikuji", rows=100, outcomes=[Outcome("missing", "no such package")])
    >>> print(table([lost]).splitlines()[1])
    omikuji       not installed: no such package
    """
    lines = [_line({name: name for name, _ in _COLUMNS})]
    first = next((summary for summary in summaries if summary.done), None)
    for summary in summaries:
        if first is not None and summary.done:
            lines.append(_line(summary.cells(first)))
        if summary.status != "done":
            said = f"{_SAID[summary.status]}: {summary.note}"
            lines.append(f"{summary.name:<{_COLUMNS[0][1]}}{said}")
    return "\n".join(lines)


def _line(cells: dict[str, str]) -> str:
    head, *rest = _COLUMNS
    return f"{cells[head[0]]:<{head[1]}}" + "".join(f"{cells[name]:>{w}}" for name, w in rest)

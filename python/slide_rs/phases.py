"""Where the time of training steps goes: a table of the phases that the engine timed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

__all__ = ["PhaseRow", "Phases"]

#: Passes over a row of weights, and which count tells of how many rows: a dot product reads a row,
#: its backward half reads it again, and an update reads it and writes it.
_TRAFFIC = {
    "logits": ("rows_read", 1),
    "backward": ("rows_read", 1),
    "update": ("rows_updated", 2),
}
_FLOAT = 4
_ROWS = "rows_"
_COLUMNS = (
    ("phase", 16),
    ("ms/step", 10),
    ("share", 8),
    ("ns/row", 9),
    ("bytes/row", 11),
    ("GB/s", 8),
)


@dataclass(frozen=True, slots=True)
class PhaseRow:
    """A phase: its seconds in a step, its share of them all, what it took for an active row."""

    name: str
    seconds: float
    share: float
    ns_per_row: float | None
    bytes_per_row: float | None

    @property
    def gigabytes_per_second(self) -> float | None:
        """How fast the rows of weights went by."""
        if not self.ns_per_row or self.bytes_per_row is None:
            return None
        return self.bytes_per_row / self.ns_per_row

    def as_dict(self) -> dict[str, float | str | None]:
        """Return all of it by name."""
        return {
            "phase": self.name,
            "seconds_per_step": self.seconds,
            "share": self.share,
            "ns_per_row": self.ns_per_row,
            "bytes_per_row": self.bytes_per_row,
            "gigabytes_per_second": self.gigabytes_per_second,
        }


class Phases:
    """Seconds and counts of some epochs, by whatever names the engine gives them.

    A name that begins with ``rows_`` is a count; all others are seconds, summed over the threads.
    An active row is one that was computed for one sample; it was read for that sample alone, or
    once for a block of samples. Bytes are those of rows of weights as they are stored: of those
    read, once for ``logits`` and ``backward`` each, and of those changed, with what the optimiser
    keeps of them, read and written, for ``update``. That is what a phase asks for, not what it gets
    from memory.

    Parameters
    ----------
    epochs : sequence of mappings
        What the engine told of each epoch; medians count.
    steps : int
        Batches of an epoch.
    width : int
        Weights of a row.
    kept : float
        Floats that the optimiser keeps for each weight: 2 are both moments of Adam, 0.5 is one in
        16 bits.
    weight_bytes : int
        Bytes of a weight.
    threads : int
        Threads that worked. Times are divided by their number: it is as if all were busy.
    step_seconds : float, optional
        What a step took on the clock. What the phases leave of it is ``idle``: threads that wait,
        and what is in no phase.

    Examples
    --------
    >>> told = {"logits": 0.06, "update": 0.02, "rows_computed": 1e6}
    >>> told |= {"rows_read": 1e6, "rows_updated": 2e5}
    >>> found = Phases([told], steps=10, width=128, threads=2, step_seconds=0.005)
    >>> [(row.name, round(row.share, 2), row.bytes_per_row) for row in found.rows]
    [('logits', 0.6, 512.0), ('update', 0.2, 614.4), ('idle', 0.2, None)]
    """

    def __init__(
        self,
        epochs: Sequence[Mapping[str, float]],
        *,
        steps: int,
        width: int,
        kept: float = 2.0,
        weight_bytes: int = _FLOAT,
        threads: int = 1,
        step_seconds: float | None = None,
    ) -> None:
        names = list(dict.fromkeys(name for told in epochs for name in told))
        per_step = {n: median(told.get(n, 0.0) for told in epochs) / steps for n in names}
        self.counts: dict[str, float] = {n: v for n, v in per_step.items() if n.startswith(_ROWS)}
        self._read, self._kept = width * weight_bytes, width * kept * _FLOAT
        timed = {n: v / threads for n, v in per_step.items() if n not in self.counts}
        worked = sum(timed.values())
        if step_seconds is not None and step_seconds > worked:
            timed["idle"] = step_seconds - worked
        self.seconds = sum(timed.values())
        self.rows: list[PhaseRow] = [
            self._row(name, seconds) for name, seconds in timed.items() if seconds
        ]

    def _row(self, name: str, seconds: float) -> PhaseRow:
        active, moved = self.counts.get("rows_computed"), self._moved(name)
        share = seconds / self.seconds
        if not active:
            return PhaseRow(name, seconds, share, None, None)
        of_row = None if moved is None else moved / active
        return PhaseRow(name, seconds, share, seconds * 1e9 / active, of_row)

    def _moved(self, name: str) -> float | None:
        """Return the bytes that a phase moves in a step, if they are known."""
        count, passes = _TRAFFIC.get(name, ("", 0))
        rows = self.counts.get(count)
        if rows is None:
            return None
        held = self._read + self._kept if name == "update" else self._read
        return rows * passes * held

    def table(self) -> str:
        """Return a line for each phase, one for all of them, and the counts.

        Examples
        --------
        >>> print(Phases([{"loss": 0.5, "update": 1.5}], steps=1000, width=8).table())
        phase              ms/step   share   ns/row  bytes/row    GB/s
        loss                 0.500   25.0%        -          -       -
        update               1.500   75.0%        -          -       -
        all                  2.000  100.0%        -          -       -
        """
        lines = [_aligned([name for name, _ in _COLUMNS])]
        lines += [_line(row) for row in (*self.rows, self._all())]
        lines += [f"{name} in a step: {count:,.0f}" for name, count in self.counts.items()]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Return the rows and the counts of a step."""
        return {"phases": [row.as_dict() for row in self.rows], "counts_per_step": self.counts}

    def _all(self) -> PhaseRow:
        active = self.counts.get("rows_computed")
        known = [row.bytes_per_row for row in self.rows if row.bytes_per_row is not None]
        each = self.seconds * 1e9 / active if active else None
        return PhaseRow("all", self.seconds, 1.0, each, sum(known) if known else None)


def _line(row: PhaseRow) -> str:
    texts = (
        row.name,
        f"{row.seconds * 1e3:.3f}",
        f"{row.share:.1%}",
        _number(row.ns_per_row, 2),
        _number(row.bytes_per_row, 1),
        _number(row.gigabytes_per_second, 1),
    )
    return _aligned(texts)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _aligned(texts: Sequence[str]) -> str:
    """Return a line of the table, numbers to the right."""
    head, *rest = (width for _, width in _COLUMNS)
    cells = zip(texts[1:], rest, strict=True)
    return f"{texts[0]:<{head}}" + "".join(f"{text:>{width}}" for text, width in cells)

"""Where a training run stands, and on what data: what a checkpoint holds beside the network."""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from slide_rs.arrays import Features, n_rows
from slide_rs.history import History
from slide_rs.labels import Targets

if TYPE_CHECKING:
    from slide_rs.callbacks import Callback
    from slide_rs.training import Plan

__all__ = ["BROKEN", "RESUMED", "RUNNING", "Course", "Stamp"]

_FORMAT = 1
_log = logging.getLogger("slide_rs")
#: Why a network may not be changed: another step would make its run another one.
RESUMED = (
    "found a run that was resumed and has not ended, wanted `fit` with its data first, or the "
    "network as it is in the checkpoint, by slide_rs.load"
)
RUNNING = "found a fit that is running, wanted it to end first"
BROKEN = (
    "found a resumed run that was broken off, wanted Network.resume of its checkpoints once more, "
    "or the network as it is in one, by slide_rs.load"
)
#: What writes checkpoints has a state, but no say in the course of training.
_KEEPER = "ModelCheckpoint"
#: Numbers that are summed up at a time, so that what is made on the way stays small.
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells data from other data: sizes, and a checksum of everything that is trained on.

    Examples
    --------
    >>> y = np.array([0, 1, 2]), np.array([0, 1])
    >>> stamp = Stamp.of(np.eye(2, dtype=np.float32), y)
    >>> stamp.rows, stamp.labels
    (2, 2)
    >>> stamp == Stamp.of(np.ones((2, 2), np.float32), y)
    False
    """

    #: Rows of the data, and how many of them are trained on.
    rows: int
    trained: int
    #: Entries of X, and labels of all rows.
    entries: int
    labels: int
    checksum: int

    @classmethod
    def of(
        cls,
        x: Features,
        y: Targets,
        weight: NDArray[np.float32] | None = None,
        rows: NDArray[np.int64] | None = None,
    ) -> Stamp:
        """Look at the data of a run: all of it is read once."""
        parts = list(x) if isinstance(x, tuple) else [x.ravel()]
        checksum = 0
        for part in (*parts, *y, weight, rows):
            # A part that is not there is told from one that is, and where one ends is seen.
            checksum = zlib.crc32(b"none" if part is None else b"%d" % len(part), checksum)
            for piece in () if part is None else _pieces(part):
                checksum = zlib.crc32(piece, checksum)
        trained = n_rows(x) if rows is None else len(rows)
        entries = len(x[2]) if isinstance(x, tuple) else x.size
        return cls(n_rows(x), trained, entries, len(y[1]), checksum)

    def check(self, wanted: Stamp) -> None:
        """Refuse data that is not that of a checkpoint."""
        for name, text in (
            ("rows", "X: found {} rows"),
            ("trained", "X: found {} rows to train on"),
            ("entries", "X: found {} entries"),
            ("labels", "Y: found {} labels"),
            ("checksum", "X, Y, sample_weight: found values with checksum {}"),
        ):
            ours, theirs = getattr(self, name), getattr(wanted, name)
            if ours != theirs:
                raise ValueError(f"{text.format(ours)}, wanted {theirs} as in the checkpoint")


def _pieces(part: NDArray[Any]) -> Iterator[bytes]:
    """Yield the bytes of numbers, of whole ones whatever the width they are stored in."""
    dtype = "<f4" if part.dtype.kind == "f" else "<i8"
    for start in range(0, len(part), _CHUNK):
        yield part[start : start + _CHUNK].astype(dtype, copy=False).tobytes()


@dataclass(slots=True)
class Course:
    """Where a run stands.

    Examples
    --------
    >>> y = np.array([0, 1, 2]), np.array([0, 1])
    >>> course = Course(4, 32, Stamp.of(np.eye(2, dtype=np.float32), y))
    >>> Course.from_json(course.to_json(128, History(), [])).steps
    128
    """

    #: Epochs and batch size of the run.
    epochs: int
    batch_size: int
    data: Stamp
    #: Number of the running epoch, or of the next; where it stands, and the seconds that it took.
    epoch: int = 1
    cursor: tuple[Any, ...] | None = None
    seconds: float = 0.0
    #: Whether a callback ended the run.
    stopped: bool = False
    #: Steps of the network, the measures of finished epochs, and names and states of callbacks.
    steps: int = 0
    history: dict[str, list[float]] = field(default_factory=dict)
    callbacks: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def to_json(self, steps: int, history: History, callbacks: Sequence[Callback]) -> str:
        """Return the course as JSON, with what has become of the network, history and callbacks."""
        self.steps = steps
        self.history = {name: [float(x) for x in values] for name, values in history.items()}
        self.callbacks = [(_name(callback), callback.state()) for callback in callbacks]
        return json.dumps({"format": _FORMAT, **asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> Course:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            If it is not that.
        """
        try:
            found = json.loads(text)
            if found.pop("format") != _FORMAT:
                raise ValueError(f"its format is not {_FORMAT}")
            course = cls(**{**found, "data": Stamp(**found["data"])})
            if course.cursor is not None:
                course.cursor = tuple(course.cursor)
            epochs, batch_size, epoch, steps = (
                int(x) for x in (course.epochs, course.batch_size, course.epoch, course.steps)
            )
            if min(epochs, batch_size) < 1 or not 1 <= epoch <= epochs + 1 or steps < 0:
                raise ValueError(
                    f"epoch {epoch} of {epochs}, {steps} steps, batches of {batch_size}"
                )
            course.seconds = float(course.seconds)
            course.history = {
                name: [float(x) for x in values] for name, values in course.history.items()
            }
            return course
        except (AttributeError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"the course of its training is damaged: {error}") from None

    def sizes(self, epochs: int | None, batch_size: int | None) -> tuple[int, int]:
        """Return both, those of the run where they are not given."""
        return (
            self.epochs if epochs is None else epochs,
            self.batch_size if batch_size is None else batch_size,
        )

    def check(self, plan: Plan, data: Stamp, steps: int, callbacks: Sequence[Callback]) -> None:
        """Refuse to go on with anything but the run of the checkpoint."""
        for name, found, wanted in (
            ("epochs", plan.epochs, self.epochs),
            ("batch_size", plan.batch_size, self.batch_size),
        ):
            if found != wanted:
                raise ValueError(f"{name}: found {found}, wanted {wanted} as in the checkpoint")
        measured = any(name.startswith("val_") for name in self.history)
        if self.history and measured != (plan.validate is not None):
            texts = ("None", "rows") if measured else ("rows", "None")
            raise ValueError(
                f"validation_data: found {texts[0]}, wanted {texts[1]} as in the run of the "
                "checkpoint"
            )
        data.check(self.data)
        if steps != self.steps:
            raise ValueError(
                f"found a network that has made {steps} steps, wanted {self.steps} as in the "
                "checkpoint: it was trained in between"
            )
        there = [_name(callback) for callback in callbacks]
        for name, state in self.callbacks:
            if name in there:
                there.remove(name)
            elif state and name != _KEEPER:
                raise ValueError(
                    f"callbacks: found no {name}, wanted one as in the run of the checkpoint, "
                    "which keeps its state; on the command line give its option again"
                )
        for callback in callbacks:
            if (name := _name(callback)) in there and name != _KEEPER and callback.state():
                there.remove(name)
                _log.warning(
                    "callbacks: found %s, which the run of the checkpoint did not have: its state "
                    "begins in epoch %d, and the run may go on otherwise than it would have",
                    name,
                    self.epoch,
                )

    def give_back(self, history: History, callbacks: Sequence[Callback]) -> None:
        """Fill the history, and give callbacks their states: of one class in their order."""
        for values in zip(*self.history.values(), strict=True):
            history.append(dict(zip(self.history, values, strict=True)))
        kept = list(self.callbacks)
        for callback in callbacks:
            mine = next((entry for entry in kept if entry[0] == _name(callback)), None)
            if mine is not None:
                kept.remove(mine)
                callback.load_state(mine[1])


def _name(callback: Callback) -> str:
    return type(callback).__qualname__

"""Checkpoints: files from which a training run that was killed goes on bit for bit.

A checkpoint is one safetensors file, ``step-000000002000.safetensors``: weights, moments, counters,
what rows are owed and what hash tables know of rows that moved, and in its metadata as JSON where
the run stands (`course.Course`). Random numbers and schedules are functions of seed and step, so
there is no more to keep. Writing one changes nothing about the course of training. A file is
complete and on the disk when it gets its name, and the newest readable one counts, so that there is
no mark that could say otherwise.
"""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slide_rs import _core, checks
from slide_rs.callbacks.base import Callback
from slide_rs.course import Course

if TYPE_CHECKING:
    from slide_rs.history import History

__all__ = ["ModelCheckpoint", "read", "savers", "steps_in"]

_NAME = re.compile(r"step-(\d{12,})\.safetensors")
_PARTIAL = re.compile(_NAME.pattern + r"\.partial")
MODES = ("auto", "max", "min")
_log = logging.getLogger("slide_rs")


class ModelCheckpoint(Callback):
    """Writes checkpoints, from which `Network.resume` goes on where a run was killed.

    A run that is killed, resumed and finished ends with the same weights, bit for bit, and the same
    history (but for times) as one that is left alone, with checkpoints or without. There is one at
    the end of training in any case.

    Parameters
    ----------
    path : str or path
        A folder, which is made; a run begins in one without checkpoints.
    every_steps : int, optional
        Steps from one checkpoint to the next, in the middle of epochs too.
    every_epochs : int, optional
        Epochs from one checkpoint to the next; None for none at the ends of epochs.
    keep : int, optional
        How many are kept, the newest; an older one is deleted when a newer one is on the disk. None
        for all.
    monitor : str, optional
        A measure of the history, such as ``"val_p@1"``: the checkpoint of the epoch that is best by
        it is kept as well, and `best` is its path. Epochs without a checkpoint do not count.
    mode : {"auto", "max", "min"}
        Whether high or low is good; by rule low if the name of the measure ends in "loss".

    Examples
    --------
    >>> import tempfile
    >>> import slide_rs as sr
    >>> data = sr.datasets.make_xmc(200, n_features=300, n_labels=40, seed=0)
    >>> stack = [sr.layers.SparseInput(300), sr.layers.Dense(8), sr.layers.SampledDense(40)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keeper = ModelCheckpoint(folder, every_steps=20, keep=2)
    ...     net = sr.Network(stack)
    ...     _ = net.fit(data.X, data.Y, epochs=3, batch_size=10, callbacks=[keeper], verbose=False)
    ...     sorted(os.listdir(folder))
    ...     sr.Network.resume(folder).fit(data.X, data.Y, verbose=False).epochs
    ['step-000000000040.safetensors', 'step-000000000060.safetensors']
    [1, 2, 3]
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        every_steps: int | None = None,
        every_epochs: int | None = 1,
        keep: int | None = 3,
        monitor: str | None = None,
        mode: str = "auto",
    ) -> None:
        def whole(name: str, found: int | None) -> int | None:
            return None if found is None else checks.whole(name, found, 1, checks.MOST)

        self.path: Path = Path(checks.path("path", path))
        self.every_steps: int | None = whole("every_steps", every_steps)
        self.every_epochs: int | None = whole("every_epochs", every_epochs)
        self.keep: int | None = whole("keep", keep)
        if monitor is not None and not isinstance(monitor, str):
            raise TypeError(f"monitor: found {type(monitor).__name__}, wanted a name or None")
        self.monitor = monitor
        self.mode: str = checks.choice("mode", mode, MODES)
        self._best, self._best_step = math.nan, -1

    @property
    def best(self) -> Path | None:
        """The checkpoint that is best by `monitor`; None where there is none."""
        return None if self._best_step < 0 else self._file(self._best_step)

    def state(self) -> dict[str, Any]:
        """Return which checkpoint is the best."""
        return {} if self._best_step < 0 else {"best": self._best, "step": self._best_step}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back which checkpoint is the best."""
        self._best, self._best_step = state.get("best", math.nan), state.get("step", -1)

    def open(self, steps: int | None) -> None:
        """Make the folder ready for a run, new or going on from a checkpoint of so many steps."""
        self._best, self._best_step = math.nan, -1
        self.path.mkdir(parents=True, exist_ok=True)
        for name in os.listdir(self.path):
            if _PARTIAL.fullmatch(name):
                (self.path / name).unlink(missing_ok=True)
        there = steps_in(self.path)
        if there and steps is None:
            raise ValueError(
                f"path: found checkpoints of another run in {self.path}, wanted a folder without; "
                "Network.resume goes on with that run"
            )
        for later in there:
            if steps is not None and later > steps:
                aside = Path(f"{self._file(later)}.aside")
                os.replace(self._file(later), aside)
                _log.warning("training goes on from step %d: %s is set aside", steps, aside)

    def steps_left(self, steps: int) -> int | None:
        """Return after how many more steps a checkpoint is due; None for never."""
        return None if self.every_steps is None else self.every_steps - steps % self.every_steps

    def is_due(self, steps: int) -> bool:
        """Tell whether a checkpoint is due after so many steps."""
        return self.every_steps is not None and steps % self.every_steps == 0

    def look(self, course: Course, steps: int, logs: Mapping[str, float]) -> bool:
        """Tell whether a checkpoint is due after an epoch, and note if it is the best."""
        last = course.stopped or course.epoch > course.epochs
        done = course.epoch - 1
        ended = self.every_epochs is not None and done % self.every_epochs == 0
        if not (last or ended or self.is_due(steps)):
            return False
        if self.monitor is not None:
            if self.monitor not in logs:
                known = ", ".join(sorted(logs))
                raise ValueError(f"monitor: found {self.monitor!r}, wanted one of {known}")
            if self._is_better(logs[self.monitor]):
                self._best, self._best_step = float(logs[self.monitor]), steps
        return True

    def write(
        self, core: _core.Network, course: Course, history: History, callbacks: Sequence[Callback]
    ) -> None:
        """Write a checkpoint, then delete what need not be kept any more."""
        text = course.to_json(core.steps, history, callbacks)
        core.checkpoint(os.fspath(self._file(core.steps)), text)
        there = steps_in(self.path)
        for steps in there[: -self.keep] if self.keep else ():
            if steps != self._best_step:
                self._file(steps).unlink(missing_ok=True)

    def _is_better(self, value: float) -> bool:
        low = self.mode == "min" or (self.mode == "auto" and f"{self.monitor}".endswith("loss"))
        if math.isnan(self._best):
            return not math.isnan(value)
        return value < self._best if low else value > self._best

    def _file(self, steps: int) -> Path:
        return self.path / f"step-{steps:012d}.safetensors"


def savers(callbacks: Sequence[Callback]) -> list[ModelCheckpoint]:
    """Return those that write checkpoints.

    Examples
    --------
    >>> savers([Callback()])
    []
    """
    return [callback for callback in callbacks if isinstance(callback, ModelCheckpoint)]


def steps_in(folder: str | os.PathLike[str]) -> list[int]:
    """Return the steps of the checkpoints in a folder, ascending; none if it is not there.

    Examples
    --------
    >>> steps_in("no-such-folder")
    []
    """
    if not os.path.isdir(folder):
        return []
    found = (_NAME.fullmatch(name) for name in os.listdir(folder))
    return sorted(int(match[1]) for match in found if match)


def read(path: str | os.PathLike[str], threads: int | None) -> tuple[_core.Network, Course]:
    """Read a checkpoint, or the newest readable one of a folder.

    Raises
    ------
    FileNotFoundError
        If there is none.
    OSError
        If it can not be read.
    ValueError
        If it is no checkpoint.

    Examples
    --------
    >>> read("no-such-folder", None)
    Traceback (most recent call last):
    FileNotFoundError: path: found no checkpoint in no-such-folder
    """
    found = Path(checks.path("path", path))
    if found.is_file():
        return _read(found, threads)
    there = steps_in(found)
    for steps in reversed(there):
        file = found / f"step-{steps:012d}.safetensors"
        try:
            return _read(file, threads)
        except (OSError, ValueError) as error:
            if steps == there[0]:
                raise
            _log.warning("%s; the checkpoint before it is read in its place", error)
    raise FileNotFoundError(f"path: found no checkpoint in {found}")


def _read(file: Path, threads: int | None) -> tuple[_core.Network, Course]:
    core = _core.Network.load(os.fspath(file), threads)
    if core.training is None:
        raise ValueError(f"path: found {file}, a network alone, wanted a checkpoint or a folder")
    try:
        return core, Course.from_json(core.training)
    except ValueError as error:
        raise ValueError(f"{file} is not a readable checkpoint: {error}") from None

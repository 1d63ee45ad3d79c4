"""The measures of each epoch as lines of a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slide_rs import checks
from slide_rs.callbacks.base import Callback

if TYPE_CHECKING:
    from slide_rs.network import Network

__all__ = ["CSVLogger"]


class CSVLogger(Callback):
    """Writes a line an epoch: ``fit``, ``epoch`` and what `History` records.

    ``fit`` counts the fits in the file from 1: an `Ensemble` fits its networks one after another,
    and all lines of a callback go to one file. Training that is resumed goes on with its number.

    Parameters
    ----------
    path : str or path
        The file. What is there is replaced by the first line.
    append : bool
        Go on in a file that is there; its columns must be the same.

    Raises
    ------
    OSError
        By ``fit`` at its beginning, if the file can not be written.
    ValueError
        By ``fit`` after an epoch, if there are other columns in the file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = CSVLogger(f"{folder}/log.csv")
    ...     log.on_epoch_end(1, {"loss": 2.5})
    ...     print(Path(folder, "log.csv").read_text())
    fit,epoch,loss
    1,1,2.5
    <BLANKLINE>
    """

    def __init__(self, path: str | Path, *, append: bool = False) -> None:
        self._path = Path(checks.path("path", path))
        self._goes_on = checks.flag("append", append)
        self._fit = self._epoch = 0
        self._is_new = True
        self._resumed = False

    def on_train_begin(self, network: Network, epochs: int) -> None:
        """Find out before hours of work that the file can not be written."""
        self._path.open("a").close()
        self._is_new = not (self._resumed and self._fit)

    def on_train_end(self) -> None:
        """Count what follows as another fit."""
        self._resumed = False

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Write the line."""
        columns = ["fit", "epoch", *logs]
        last = self._last_fit(columns) if self._goes_on else None
        if self._is_new:
            self._fit = 1 + (last or 0)
        # Opened anew for each line, so that the file is whole whenever somebody reads it.
        with self._path.open("w" if last is None else "a", encoding="utf-8", newline="") as file:
            lines = csv.writer(file, lineterminator="\n")
            if last is None:
                lines.writerow(columns)
            lines.writerow([self._fit, epoch, *logs.values()])
        self._goes_on, self._is_new, self._epoch = True, False, epoch

    def _last_fit(self, columns: list[str]) -> int | None:
        """Return the number in the last line, 0 without one; None where there is no header."""
        if not self._path.exists():
            return None
        with self._path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.reader(file))
        if not lines:
            return None
        if lines[0] != columns:
            raise ValueError(
                f"path: found {self._path} with the columns {','.join(lines[0])}, wanted "
                f"{','.join(columns)}"
            )
        return int(lines[-1][0]) if len(lines) > 1 else 0

    def state(self) -> dict[str, object]:
        """Return the number of the fit, and of the last epoch that was written."""
        return {"fit": self._fit, "epoch": self._epoch}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on in the file that is there, without what was written after `state` was taken."""
        self._fit, self._epoch = int(state["fit"]), int(state["epoch"])
        self._goes_on, self._is_new, self._resumed = True, not self._fit, True
        if not self._path.exists():
            return
        with self._path.open(encoding="utf-8", newline="") as file:
            head, *lines = list(csv.reader(file)) or [[]]
        kept = [line for line in lines if line[:1] != [str(self._fit)] or self._was(line)]
        if len(kept) < len(lines):
            partial = self._path.with_name(self._path.name + ".partial")
            with partial.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows([head, *kept])
            partial.replace(self._path)

    def _was(self, line: list[str]) -> bool:
        return len(line) > 1 and line[1].isdecimal() and int(line[1]) <= self._epoch

"""How far training has come, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from slide_rs import checks
from slide_rs.callbacks.base import Callback

if TYPE_CHECKING:
    from slide_rs.network import Network

__all__ = ["ProgressBar", "chosen"]


class ProgressBar(Callback):
    """Progress on standard error: a moving line on a terminal, else one line an epoch.

    ``fit`` adds one by itself when standard error is a terminal.

    Examples
    --------
    >>> ProgressBar().width
    24
    """

    width: int = 24

    def __init__(self) -> None:
        self._epochs = 0
        self._epoch = 0
        self._start = 0.0
        self._drawn = 0

    def on_train_begin(self, network: Network, epochs: int) -> None:
        """Note how many epochs there will be."""
        self._epochs = epochs

    def on_epoch_begin(self, epoch: int) -> None:
        """Start the clock of the epoch."""
        self._epoch = epoch
        self._start = time.perf_counter()

    def on_batch_end(self, done: int, total: int, loss: float) -> None:
        """Redraw the line, on a terminal."""
        if not sys.stderr.isatty():
            return
        filled = self.width * done // max(total, 1)
        bar = "#" * filled + "." * (self.width - filled)
        speed = done / max(time.perf_counter() - self._start, 1e-9)
        self._draw(
            f"epoch {self._epoch}/{self._epochs} [{bar}] {done:,}/{total:,}  "
            f"loss {loss:.4f}  {speed:,.0f} rows/s"
        )

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Leave one line that sums the epoch up."""
        measures = "  ".join(f"{name} {value:.4g}" for name, value in logs.items())
        self._draw(f"epoch {epoch}/{self._epochs}  {measures}")
        self._end_line()

    def on_train_end(self) -> None:
        """Leave the line of an epoch that was cut short."""
        if self._drawn:
            self._end_line()

    def _draw(self, text: str) -> None:
        if sys.stderr.isatty():
            # Blanks wipe what a longer line left behind.
            sys.stderr.write("\r" + text.ljust(self._drawn))
        else:
            sys.stderr.write(text)
        sys.stderr.flush()
        self._drawn = len(text)

    def _end_line(self) -> None:
        sys.stderr.write("\n")
        sys.stderr.flush()
        self._drawn = 0


def chosen(callbacks: Callback | Sequence[Callback] | None, verbose: bool | str) -> list[Callback]:
    """Return what runs in the course of ``fit``: the user's callbacks, then the progress bar.

    Examples
    --------
    >>> chosen(None, verbose=False)
    []
    """
    wanted = "wanted a Callback or a list of them"
    if isinstance(callbacks, Callback):
        found = [callbacks]
    elif callbacks is None or isinstance(callbacks, Iterable):
        found = list(callbacks or ())
    else:
        raise TypeError(f"callbacks: found {_named(callbacks)}, {wanted}")
    for place, callback in enumerate(found):
        if not isinstance(callback, Callback):
            raise TypeError(f"callbacks[{place}]: found {_named(callback)}, wanted a Callback")
    if _wants_progress(verbose):
        found.append(ProgressBar())
    return found


def _wants_progress(verbose: bool | str) -> bool:
    if isinstance(verbose, bool):
        return verbose
    if not isinstance(verbose, str):
        raise TypeError(
            f"verbose: found {verbose!r}, wanted 'auto', True or False: there are no levels"
        )
    checks.choice("verbose", verbose, ("auto",))
    return sys.stderr.isatty()


def _named(found: object) -> str:
    """Return the type of what was found; a class is what is left when brackets were forgotten."""
    return f"the class {found.__name__}" if isinstance(found, type) else type(found).__name__

"""The measures of each epoch as event files, which TensorBoard shows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slide_rs import checks
from slide_rs.callbacks.base import Callback

__all__ = ["TensorBoard", "plain"]


class TensorBoard(Callback):
    """Writes what `History` records for TensorBoard, a step an epoch.

    TensorBoard knows no ``@`` in names: ``val_p@1`` is ``val_p_at_1`` there. What is not a number
    in an epoch is left out.

    Parameters
    ----------
    log_dir : str or path
        The folder of the first ``fit``; the next ones (an `Ensemble` fits its networks one after
        another) write to ``fit_2`` and so on inside of it, which TensorBoard shows as other runs.
    batches : bool
        Also write ``batch_loss``, the mean loss over the epoch so far, some 20 times a second at
        most; its steps are rows trained on.

    Raises
    ------
    ImportError
        If tensorboardX is not there: ``pip install 'slide_rs[tensorboard]'``.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     board = TensorBoard(folder)
    ...     board.on_epoch_end(1, {"loss": 2.5})
    ...     board.on_train_end()
    ...     len(list(Path(folder).glob("events.out.tfevents.*")))
    1
    """

    def __init__(self, log_dir: str | Path, *, batches: bool = False) -> None:
        try:
            from tensorboardX import SummaryWriter  # type: ignore[import-untyped, unused-ignore]
        except ImportError:
            raise ImportError(
                "TensorBoard needs tensorboardX: pip install 'slide_rs[tensorboard]'"
            ) from None
        self._folder = Path(checks.path("log_dir", log_dir))
        self._batches = checks.flag("batches", batches)
        self._make = SummaryWriter
        self._writer: Any = None
        self._fit = 1
        self._epoch = 1

    def on_epoch_begin(self, epoch: int) -> None:
        """Note the number of the epoch."""
        self._epoch = epoch

    def on_batch_end(self, done: int, total: int, loss: float) -> None:
        """Write the loss of the epoch so far, if that is wanted."""
        if self._batches and math.isfinite(loss):
            self._open().add_scalar("batch_loss", loss, (self._epoch - 1) * total + done)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Write the measures, to be seen at once."""
        writer = self._open()
        for name, value in plain(logs).items():
            writer.add_scalar(name, value, epoch)
        writer.flush()

    def on_train_end(self) -> None:
        """Close the file; another ``fit`` is another run."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self._fit += 1

    def _open(self) -> Any:
        if self._writer is None:
            folder = self._folder if self._fit == 1 else self._folder / f"fit_{self._fit}"
            self._writer = self._make(str(folder))
        return self._writer

    def state(self) -> dict[str, object]:
        """Return the number of the fit, which names the folder."""
        return {"fit": self._fit}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on in the folder that was written to."""
        self._fit = state["fit"]


def plain(logs: Mapping[str, float]) -> dict[str, float]:
    """Return the finite measures by names without ``@``, which trackers refuse or replace.

    Examples
    --------
    >>> plain({"val_p@1": 0.5, "recall_at_1": math.nan})
    {'val_p_at_1': 0.5}
    """
    return {k.replace("@", "_at_"): float(v) for k, v in logs.items() if math.isfinite(v)}

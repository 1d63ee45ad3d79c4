"""What was measured in a training step, and in each epoch of a training run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slide_rs import figures

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped, unused-ignore]
    from matplotlib.figure import Figure  # type: ignore[import-not-found, unused-ignore]

__all__ = ["BatchReport", "History"]

PLOTS_IN_ROW = 4


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What one training step did, or one pass of ``partial_fit``.

    Examples
    --------
    >>> BatchReport(loss=2.3, active_fraction=0.02, lr=0.003).loss
    2.3
    """

    #: Mean over the rows.
    loss: float
    #: Mean share of the outputs that were computed.
    active_fraction: float
    #: Learning rate of the (last) step.
    lr: float


class History(Mapping[str, Sequence[float]]):
    """One list a measure, one entry an epoch.

    ``fit`` records ``loss`` (mean over the epoch), ``active_fraction`` (mean share of the outputs
    computed), ``recall_at_1`` (share of probe rows for which the sampler alone finds the exact best
    output; NaN with `samplers.InBatch`, which finds none for a single row), ``seconds`` (training,
    table upkeep and the probe; not validation), ``samples_per_second``, ``lr`` (of the last step),
    and ``val_p@1`` and so on when there is validation data, in which a label counts the same
    whatever its grade, and what callbacks measure, such as `callbacks.HashTableMonitor`.

    Examples
    --------
    >>> history = History()
    >>> history.append({"loss": 2.5})
    >>> history.append({"loss": 1.5})
    >>> history["loss"], history.epochs, history.last
    ([2.5, 1.5], [1, 2], {'loss': 1.5})
    """

    def __init__(self) -> None:
        self._columns: dict[str, list[float]] = {}
        self._length = 0

    def append(self, logs: Mapping[str, float]) -> None:
        """Add the measures of one more epoch.

        Raises
        ------
        ValueError
            If the names differ from those of the epochs before.
        """
        if self._length and set(logs) != set(self._columns):
            raise ValueError(f"logs: found {sorted(logs)}, wanted {sorted(self._columns)}")
        for name, value in logs.items():
            self._columns.setdefault(name, []).append(value)
        self._length += 1

    @property
    def epochs(self) -> list[int]:
        """The numbers of the finished epochs, from 1."""
        return list(range(1, self._length + 1))

    @property
    def last(self) -> dict[str, float]:
        """The measures of the last epoch; empty when none was finished."""
        return {name: values[-1] for name, values in self._columns.items()}

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas frame with a column a measure, indexed by ``epoch``.

        Raises
        ------
        ImportError
            If pandas is not there: ``pip install 'slide_rs[pandas]'``.

        Examples
        --------
        >>> history = History()
        >>> history.append({"loss": 2.5, "val_p@1": 0.25})
        >>> history.to_frame()
               loss  val_p@1
        epoch
        1       2.5     0.25
        """
        try:
            import pandas as pd
        except ImportError:
            raise ImportError(
                "History.to_frame needs pandas: pip install 'slide_rs[pandas]'"
            ) from None
        return pd.DataFrame(self._columns, index=pd.Index(self.epochs, name="epoch"), dtype=float)

    def plot(self) -> Figure:
        """Draw each measure against the epoch and return the matplotlib figure.

        Examples
        --------
        >>> history = History()
        >>> history.append({"loss": 2.5, "val_p@1": 0.25})
        >>> [axes.get_title() for axes in history.plot().axes]
        ['loss', 'val_p@1']

        Raises
        ------
        ImportError
            If matplotlib is not there: ``pip install 'slide_rs[plot]'``.
        """
        wide = max(min(len(self), PLOTS_IN_ROW), 1)
        high = max(math.ceil(len(self) / wide), 1)
        figure = figures.figure("History.plot needs", figsize=(4 * wide, 3 * high))
        from matplotlib.ticker import MaxNLocator

        for place, (name, values) in enumerate(self.items()):
            axes = figure.add_subplot(high, wide, place + 1)
            axes.plot(self.epochs, values, marker="o")
            axes.set(title=name, xlabel="epoch")
            # Half an epoch was never measured.
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        return figure

    def __getitem__(self, name: str) -> Sequence[float]:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        return f"History({self._columns})"

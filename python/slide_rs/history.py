"""What was measured in a training step, and in each epoch of a training run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["BatchReport", "History"]


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

    def plot(self) -> object:
        """Draw each measure against the epoch and return the matplotlib figure.

        Raises
        ------
        ImportError
            If matplotlib is not there: ``pip install 'slide_rs[plot]'``.
        """
        try:
            from matplotlib.figure import Figure  # type: ignore[import-not-found, unused-ignore]
        except ImportError:
            raise ImportError(
                "History.plot needs matplotlib: pip install 'slide_rs[plot]'"
            ) from None
        figure = Figure(figsize=(4 * max(len(self), 1), 3), layout="constrained")
        for place, (name, values) in enumerate(self.items()):
            axes = figure.add_subplot(1, len(self), place + 1)
            axes.plot(self.epochs, values, marker="o")
            axes.set(title=name, xlabel="epoch")
        return figure

    def __getitem__(self, name: str) -> Sequence[float]:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        return f"History({self._columns})"

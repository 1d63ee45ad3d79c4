"""What training says on the command line: a line or an object for each epoch, and for the whole."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slide_rs.arrays import Features
from slide_rs.callbacks import Callback
from slide_rs.ensemble import Ensemble
from slide_rs.labels import Labels
from slide_rs.network import METRICS

__all__ = ["Lines", "as_json"]


@dataclass
class Lines(Callback):
    """Prints each epoch, and what all networks do together: an aligned line, or a JSON object."""

    as_json: bool
    read_seconds: float
    train_seconds: float
    member: int = 0
    members: int = 1
    rows: int = 0
    trained: int = 0
    since: float = 0.0
    headed: bool = False
    #: All that was told, an object an epoch.
    told: list[dict[str, Any]] = field(default_factory=list)

    def of_member(
        self, member: int, members: int, rows: int, shown: Sequence[Callback]
    ) -> Sequence[Callback]:
        """Note which network is trained next, and on how many rows."""
        self.member, self.members, self.rows = member, members, rows
        self.since = time.perf_counter()
        return shown

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Print what was measured, times summed over the run."""
        self.train_seconds += logs["seconds"]
        self.trained += self.rows
        self.since = time.perf_counter()
        measured = {name[4:]: value for name, value in logs.items() if name.startswith("val_")}
        number = {"member": self.member + 1} if self.members > 1 else {}
        values = {
            **number,
            "epoch": epoch,
            "read_seconds": self.read_seconds,
            "train_seconds": self.train_seconds,
            "samples_per_second": self.trained / self.train_seconds,
            "loss": logs["loss"],
            "active_fraction": logs["active_fraction"],
            "recall_at_1": logs["recall_at_1"],
            **measured,
            "peak_rss_mb": _peak_rss_mb(),
        }
        self.told.append(values)
        if self.as_json:
            print(as_json(values), flush=True)
            return
        columns = {
            "epoch": f"{self.member + 1}.{epoch}" if number else f"{epoch}",
            "loss": f"{logs['loss']:.4f}",
            "active": f"{logs['active_fraction']:.2%}",
            "recall@1": f"{logs['recall_at_1']:.3f}",
            **{name: f"{value:.4f}" for name, value in measured.items()},
            "seconds": f"{self.train_seconds:.1f}",
            "rows/s": f"{values['samples_per_second']:,.0f}",
        }
        if not self.headed:
            self.headed = True
            print("".join(f"{name:>10}" for name in columns))
        print("".join(f"{text:>10}" for text in columns.values()), flush=True)

    def whole(self, model: Ensemble, held: tuple[Features, Labels] | None) -> None:
        """Print what the networks and the ranker do together."""
        self.train_seconds += time.perf_counter() - self.since
        measured = {} if held is None else model._compared(*held, METRICS)
        weight = model.ranker.weight if model.ranker and model.classifiers else None
        votes = 0.0 if model._neighbours is None else model._neighbours.weight
        last = model.members[-1].history
        values = {
            "members": len(model.members),
            "ranker_weight": weight or 0.0,
            "neighbours_weight": votes,
            "epoch": last.epochs[-1],
            "read_seconds": self.read_seconds,
            "train_seconds": self.train_seconds,
            "samples_per_second": self.trained / self.train_seconds,
            **{name: last.last[name] for name in ("loss", "active_fraction", "recall_at_1")},
            **measured,
            "peak_rss_mb": _peak_rss_mb(),
        }
        if self.as_json:
            print(as_json(values), flush=True)
            return
        # Under the columns of the epochs.
        texts = ["all", "", "", "", *(f"{value:.4f}" for value in measured.values())]
        line = "".join(f"{text:>10}" for text in [*texts, f"{self.train_seconds:.1f}"])
        how = f"{len(model.members)} networks, ranker with weight {weight or 0:g}"
        print(f"{line}{'':>10}  {how}" + (f", neighbours with weight {votes:g}" if votes else ""))


def as_json(values: Mapping[str, float | str]) -> str:
    """Return an object in which what is not a number is null, as JSON has no NaN."""
    return json.dumps(
        {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
    )


def _peak_rss_mb() -> float:
    """Return the most memory that the process has held; NaN where the system does not tell."""
    try:
        import resource
    except ImportError:
        return math.nan
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10

"""The contestants of ``slide-rs bench``, and how each is run in a process of its own.

A process of its own has a peak of memory of its own, and starts as cold as the next. It may belong
to another interpreter, one that has PyTorch or omikuji; see `slide_rs._peers`.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from slide_rs import _peers, checks, metrics
from slide_rs._peers.course import Settings
from slide_rs.bench_data import BenchData

__all__ = ["CONTESTANTS", "DEFAULT", "SLIDE", "Contestant", "Outcome", "chosen", "run"]

METRICS = ("p@1", "p@3", "p@5", "psp@1", "psp@3", "psp@5")
#: Reading, predicting and the start of an interpreter have as long as training has, twice.
PATIENCE, STARTING = 3.0, 60.0
#: Loads the package of peers by its path: on ``sys.path`` its neighbours would hide modules of the
#: standard library, such as ``inspect``.
_BOOT = """
import importlib.util, pathlib, sys
place, folder = sys.argv[1:]
spec = importlib.util.spec_from_file_location(
    "slide_rs_peers", pathlib.Path(place, "__init__.py"), submodule_search_locations=[place]
)
package = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
package.main(folder)
"""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A way to train: the module of `slide_rs._peers` that does it, and what it needs.

    Examples
    --------
    >>> CONTESTANTS["torch_dense"].needs
    'torch'
    """

    name: str
    module: str
    needs: str
    #: Whether it trains in as many epochs as asked for, and so has a learning curve.
    epochs: bool = True


#: The networks of slide_rs that are trained alone, by sampler.
SLIDE = ("lsh", "uniform", "in_batch", "full")
#: All that there are. ``model`` is what ``slide-rs train`` makes; ``torch_relu`` is what is usual
#: in PyTorch; ``torch_dense`` is our network.
CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        Contestant("model", "slide_model", "slide_rs", epochs=False),
        *(Contestant(name, "slide_net", "slide_rs") for name in SLIDE),
        Contestant("torch_dense", "torch_softmax", "torch"),
        Contestant("torch_sampled", "torch_softmax", "torch"),
        Contestant("torch_relu", "torch_softmax", "torch"),
        Contestant("omikuji", "omikuji_trees", "omikuji", epochs=False),
        Contestant("neighbours", "nearest", "scipy", epochs=False),
    )
}
#: Not ``neighbours``: its time grows with the product of the rows of both files.
DEFAULT = tuple(name for name in CONTESTANTS if name not in ("torch_relu", "neighbours"))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one run of a contestant went.

    Examples
    --------
    >>> Outcome("done", build_seconds=0.5, epoch_seconds=[1.0, 2.0]).seconds
    3.5
    """

    #: ``"done"``, ``"skipped"``, ``"missing"`` or ``"failed"``.
    status: str
    note: str = ""
    build_seconds: float = 0.0
    epoch_seconds: list[float] = field(default_factory=list)
    peak_rss_mb: float | None = None
    versions: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    #: By epoch, what was predicted for the test rows.
    precision: list[dict[str, float]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """All of training, with the building of the model."""
        return self.build_seconds + sum(self.epoch_seconds)


def chosen(only: str | None) -> list[str]:
    """Return the names of the contestants, in the order asked for.

    Examples
    --------
    >>> chosen("full, lsh")
    ['full', 'lsh']
    """
    if only is None:
        return list(DEFAULT)
    names = [name.strip() for name in only.split(",")]
    for name in names:
        checks.choice("--only", name, tuple(CONTESTANTS))
    return list(dict.fromkeys(names))


def run(settings: Settings, data: BenchData, python: str) -> Outcome:
    """Run a contestant once, by this interpreter, and judge what it predicts.

    It never raises for what the contestant does: that it failed, is missing or takes too long is
    an outcome.
    """
    for left in (*data.folder.glob("best*.i32"), data.folder / "result.json"):
        left.unlink(missing_ok=True)
    text = json.dumps(asdict(settings))
    (data.folder / "settings.json").write_text(text, encoding="utf-8")
    (package,) = _peers.__path__
    command = [python, "-c", _BOOT, package, str(data.folder)]
    patience = PATIENCE * settings.limit + STARTING
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=patience, check=False, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return Outcome("failed", f"stopped after {patience:,.0f} s")
    result = data.folder / "result.json"
    if ended.returncode or not result.exists():
        return Outcome("failed", _last_words(ended))
    found = json.loads(result.read_text(encoding="utf-8"))
    epochs = range(len(found.get("epoch_seconds", [])))
    return Outcome(**found, precision=[_judge(data, epoch, settings.k) for epoch in epochs])


def _last_words(ended: subprocess.CompletedProcess[str]) -> str:
    """Return the last line that a process wrote, where Python says what went wrong."""
    if ended.returncode < 0:
        return f"ended by signal {-ended.returncode}, as when memory runs out"
    lines = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"ended with code {ended.returncode}, without a result"


def _judge(data: BenchData, epoch: int, k: int) -> dict[str, float]:
    """Measure all contestants alike, by the labels that they put first."""
    labels = np.fromfile(data.folder / f"best{epoch}.i32", dtype=np.int32).reshape(-1, k)
    return metrics.evaluate(data.truth, labels, METRICS, inv_propensity=data.inv_propensity)

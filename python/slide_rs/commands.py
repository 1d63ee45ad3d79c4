"""What the verbs of the command line do."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from slide_rs import (
    checks,
    datasets,
    defaults,
    evaluation,
    html_report,
    memory,
    metrics,
    model_file,
    optim,
    samplers,
    subsets,
    training,
)
from slide_rs.arrays import Features, features, n_rows
from slide_rs.callbacks import Callback, ProgressBar
from slide_rs.ensemble import Ensemble
from slide_rs.labels import Labels, labels
from slide_rs.layers import Dense, Layer, SampledDense, SparseInput
from slide_rs.network import METRICS, Network
from slide_rs.ranker import Ranker

__all__ = ["as_json", "check_out", "evaluate", "predict", "read_pair", "stack", "train", "widened"]

INTERRUPTED = 130


def train(arguments: Namespace) -> int:
    """Train, print a line or an object an epoch, save."""
    _check_train(arguments)
    start = time.perf_counter()
    data = datasets.read_xmc(arguments.data, cache=arguments.cache)
    valid = datasets.read_xmc(arguments.valid, cache=arguments.cache) if arguments.valid else None
    read_seconds = time.perf_counter() - start

    width, n_labels = data.X.shape[1], data.Y.shape[1]
    if not data.X.shape[0]:
        raise ValueError(f"{arguments.data}: found no rows, wanted at least one")
    x, y = features(data.X, width), labels(data.Y, n_labels)
    held = None if valid is None else read_pair(valid, width, n_labels, arguments.valid)

    start = time.perf_counter()
    model = Ensemble(
        stack(width, n_labels, arguments.hidden, _sampler(arguments)),
        optimizer=optim.Adam(lr=arguments.lr),
        seed=arguments.seed,
        threads=arguments.threads,
        n_members=arguments.members,
        ranker=None if arguments.no_ranker else Ranker(),
        max_memory=arguments.max_memory,
    )
    alone = arguments.no_ranker and len(model.members) == 1
    lines = _Lines(arguments.json, read_seconds, time.perf_counter() - start)
    shown: list[Callback] = [lines]
    if not arguments.json and sys.stderr.isatty() and not sys.stdout.isatty():
        shown.append(ProgressBar())
    apart = _apart(n_rows(x), arguments.seed, alone=alone, valid=held is not None)
    code = 0
    try:
        model.train(
            x,
            y,
            apart[1],
            lambda member: _plan(arguments, member, x, y, held, apart),
            lambda i: lines.of_member(i, len(model.members), len(apart[0]), shown),
        )
        if not alone:
            lines.whole(model, held)
    except KeyboardInterrupt:
        code = INTERRUPTED
    if arguments.out:
        if alone:
            model.members[0].save(arguments.out)
        else:
            model.save(arguments.out)
    if arguments.report:
        rows = None
        if valid is not None:
            path = arguments.valid
            rows = (
                widened(valid.X, width, path, "features"),
                widened(valid.Y, n_labels, path, "labels"),
            )
        html_report.write(arguments.report, model.members[0] if alone else model, rows, lines.told)
    return code


def evaluate(arguments: Namespace) -> int:
    """Print the metrics of a model on a file."""
    names = evaluation.check([name.strip() for name in arguments.metrics.split(",")])
    network = model_file.read(arguments.model, arguments.threads)
    data = datasets.read_xmc(arguments.data, cache=arguments.cache)
    width, n_labels = network.config.input.in_features, network.config.output.units
    weights = None
    if evaluation.needs_propensity(names):
        source = (
            datasets.read_xmc(arguments.train, cache=arguments.cache) if arguments.train else data
        )
        path = arguments.train or arguments.data
        weights = metrics.inv_propensity(widened(source.Y, n_labels, path, "labels"))
    values = network.evaluate(
        widened(data.X, width, arguments.data, "features"),
        widened(data.Y, n_labels, arguments.data, "labels"),
        names,
        mode=arguments.mode,
        inv_propensity=weights,
    )
    if arguments.json:
        print(as_json(values))
    else:
        for name, value in values.items():
            print(f"{name:<8} {value:.4f}")
    return 0


def predict(arguments: Namespace) -> int:
    """Write ``label:score`` of the best labels, a line per row."""
    checks.whole("--k", arguments.k, 1, checks.MOST)
    if arguments.out:
        check_out(arguments.out)
    network = model_file.read(arguments.model, arguments.threads)
    data = datasets.read_xmc(arguments.data, cache=arguments.cache)
    x = widened(data.X, network.config.input.in_features, arguments.data, "features")
    if arguments.calibrated and isinstance(network, Network):
        raise ValueError(
            f"--calibrated: found with {arguments.model}, a network alone; train without "
            "--no-ranker or with more --members"
        )
    if isinstance(network, Network):
        top = network.predict_topk(x, arguments.k, mode=arguments.mode)
    else:
        top = network.predict_topk(
            x, arguments.k, mode=arguments.mode, calibrated=arguments.calibrated
        )
    with _opened(arguments.out) as out:
        for ids, scores in zip(top.labels.tolist(), top.scores.tolist(), strict=True):
            pairs = [pair for pair in zip(ids, scores, strict=True) if pair[0] >= 0]
            if arguments.json:
                found = {"labels": [i for i, _ in pairs], "scores": [score for _, score in pairs]}
                out.write(json.dumps(found))
            else:
                out.write(" ".join(f"{label}:{score:.6g}" for label, score in pairs))
            out.write("\n")
    return 0


@dataclass
class _Lines(Callback):
    """Prints each epoch, and what all networks do together: an aligned line, or a JSON object."""

    as_json: bool
    read_seconds: float
    train_seconds: float
    member: int = 0
    members: int = 1
    rows: int = 0
    trained: int = 0
    since: float = 0.0
    told: list[dict[str, Any]] = field(default_factory=list)

    def of_member(
        self, member: int, members: int, rows: int, shown: Sequence[Callback]
    ) -> Sequence[Callback]:
        """Note which network is trained next, and on how many rows."""
        self.member, self.members, self.rows = member, members, rows
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
        if epoch == 1 and not self.member:
            print("".join(f"{name:>10}" for name in columns))
        print("".join(f"{text:>10}" for text in columns.values()), flush=True)

    def whole(self, model: Ensemble, held: tuple[Features, Labels] | None) -> None:
        """Print what the networks and the ranker do together."""
        self.train_seconds += time.perf_counter() - self.since
        measured = {} if held is None else model._compared(*held, METRICS)
        weight = model.ranker.weight if model.ranker and model.classifiers else None
        last = model.members[-1].history
        values = {
            "members": len(model.members),
            "ranker_weight": weight or 0.0,
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
        print(f"{line}{'':>10}  {len(model.members)} networks, ranker with weight {weight or 0:g}")


def _check_train(arguments: Namespace) -> None:
    """Name the option, not the parameter that it ends in, and do so before reading any data."""
    for name in ("epochs", "batch_size", "hidden", "active", "members"):
        value = getattr(arguments, name)
        if value is not None:
            checks.whole(f"--{name.replace('_', '-')}", value, 1, checks.MOST)
    checks.threads(arguments.threads, "--threads")
    memory.size("--max-memory", arguments.max_memory)
    checks.whole("--seed", arguments.seed, 0, 2**64 - 1)
    if arguments.lr is not None:
        checks.number("--lr", arguments.lr, above=0.0)
    if arguments.active is not None and arguments.sampler == "full":
        raise ValueError("--active: found with --sampler full, which computes all outputs")
    if arguments.out:
        check_out(arguments.out)
    if arguments.report:
        html_report.needed()
        check_out(arguments.report, "--report")


def check_out(path: str, option: str = "--out") -> None:
    """Find out before hours of work, not after, that the result can not be written."""
    if Path(path).is_dir():
        raise ValueError(f"{option}: found the folder {path}, wanted a file")
    folder = Path(path).absolute().parent
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise ValueError(f"{option}: found {path}, wanted a file in a folder that can be written")


def stack(
    n_features: int,
    n_labels: int,
    hidden: int = defaults.HIDDEN,
    sampler: samplers.Sampler | None = None,
) -> list[Layer]:
    """Return the layers that the command line builds; the sampler is LSH when not given.

    Examples
    --------
    >>> stack(1000, 50)[1].units
    192
    """
    output = SampledDense(n_labels, sampler=sampler or samplers.LSH())
    return [SparseInput(n_features), Dense(hidden), output]


def _sampler(arguments: Namespace) -> samplers.Sampler:
    if arguments.sampler == "full":
        return samplers.Full()
    made = samplers.LSH if arguments.sampler == "lsh" else samplers.Uniform
    return made(n_active=arguments.active)


def _plan(
    arguments: Namespace,
    network: Network,
    x: Features,
    y: Labels,
    held: tuple[Features, Labels] | None,
    apart: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> training.Plan:
    """Choose sizes by rule where they are not given, and the rows to measure recall on.

    Those rows are never trained on: they come from ``--valid``, or from what is held out. A set
    that has none to spare is measured on itself.
    """
    rows, spare = apart
    validate = None
    if held is not None:
        probe = training.Probe.choose(held[0], arguments.seed)
        units = network.config.output.units
        validate = evaluation.Validation(network._core, *held, METRICS, units, y)
    elif len(spare):
        probe = training.Probe(x, spare)
    else:
        probe = training.Probe.choose(x, arguments.seed)
    batch = arguments.batch_size or defaults.batch_size(len(rows))
    epochs = arguments.epochs or defaults.epochs(len(rows), batch)
    return training.Plan(epochs, batch, probe, rows if len(spare) else None, validate)


def _apart(
    rows: int, seed: int, *, alone: bool, valid: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows to train on and those that are held out.

    A network alone needs those only for recall, which ``--valid`` is as good for.
    """
    if alone and valid:
        return np.arange(rows, dtype=np.int64), np.empty(0, dtype=np.int64)
    return subsets.split(rows, seed)


def _opened(path: str | None) -> AbstractContextManager[TextIO]:
    return Path(path).open("w", encoding="utf-8") if path else nullcontext(sys.stdout)


def read_pair(data: Any, width: int, n_labels: int, path: str) -> tuple[Features, Labels]:
    """Return the rows of a file, which may know of fewer columns, as the engine takes them."""
    x = features(widened(data.X, width, path, "features"), width)
    return x, labels(widened(data.Y, n_labels, path, "labels"), n_labels)


def widened(matrix: csr_array[Any], columns: int, path: str, what: str) -> csr_array[Any]:
    """Give a matrix the columns of the network: a file may know of fewer, but not of more."""
    if matrix.shape[1] > columns:
        raise ValueError(f"{path}: found {matrix.shape[1]} {what}, wanted at most {columns}")
    parts = (matrix.data, matrix.indices, matrix.indptr)
    return csr_array(parts, shape=(matrix.shape[0], columns))


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

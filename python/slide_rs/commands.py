"""What the verbs of the command line do."""

from __future__ import annotations

import json
import os
import sys
import time
from argparse import Namespace
from contextlib import AbstractContextManager, nullcontext
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
    restarts,
    samplers,
    subsets,
    training,
)
from slide_rs.arrays import Features, features, n_rows
from slide_rs.callbacks import Callback, CSVLogger, EarlyStopping, ProgressBar, TensorBoard
from slide_rs.ending import Ending
from slide_rs.ensemble import Ensemble
from slide_rs.labels import Labels, labels
from slide_rs.layers import Dense, Layer, SampledDense, SparseInput
from slide_rs.lines import Lines, as_json
from slide_rs.network import METRICS, Network
from slide_rs.ranker import Ranker

__all__ = [
    "asked_callbacks",
    "check_out",
    "check_train",
    "chosen_sampler",
    "evaluate",
    "keep_model",
    "predict",
    "read_pair",
    "stack",
    "train",
    "widened",
]

INTERRUPTED, PATIENCE = 130, 2


def train(arguments: Namespace) -> int:
    """Train, print a line or an object an epoch, save."""
    check_train(arguments)
    course = asked_callbacks(arguments)
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
        stack(width, n_labels, arguments.hidden, chosen_sampler(arguments)),
        optimizer=optim.Adam(lr=arguments.lr),
        seed=arguments.seed,
        threads=arguments.threads,
        n_members=arguments.members,
        ranker=None if arguments.no_ranker else Ranker(),
        max_memory=arguments.max_memory,
    )
    alone = arguments.no_ranker and len(model.members) == 1
    lines = Lines(arguments.json, read_seconds, time.perf_counter() - start)
    shown: list[Callback] = [lines, *course]
    if not arguments.json and sys.stderr.isatty() and not sys.stdout.isatty():
        shown.append(ProgressBar())
    apart = _apart(n_rows(x), arguments.seed, alone=alone, valid=held is not None)
    keepers = restarts.take_up(arguments, model)
    code = 0
    try:
        model.train(
            x,
            y,
            apart[1],
            lambda member: _plan(arguments, member, x, y, held, apart),
            lambda i: [
                *lines.of_member(i, len(model.members), len(apart[0]), shown),
                *keepers(i),
            ],
        )
        if not alone:
            lines.whole(model, held)
    except KeyboardInterrupt:
        code = INTERRUPTED
    if arguments.out:
        saved: Network | Ensemble = model.members[0] if alone else model
        keep_model(saved, arguments.out, broken_off=code == INTERRUPTED)
    elif sys.stderr.isatty():
        print("slide-rs: the model is not kept, as there is no --out", file=sys.stderr)
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


def keep_model(model: Network | Ensemble, path: str, *, broken_off: bool) -> None:
    """Save a model; one whose training was broken off takes the place of none that is there."""
    if not broken_off:
        model.save(path)
        return
    if os.path.exists(path):
        path += ".interrupted"
    model.save(path)
    print(f"slide-rs: interrupted; what was trained is in {path}: {model!r}", file=sys.stderr)


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


def check_train(arguments: Namespace) -> None:
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
    restarts.check(arguments)


def asked_callbacks(arguments: Namespace) -> list[Callback]:
    """Return the callbacks that the options ask for: those that record, then what may stop."""
    found: list[Callback] = []
    if arguments.log_csv:
        check_out(arguments.log_csv, "--log-csv")
        found.append(CSVLogger(arguments.log_csv))
    if arguments.tensorboard:
        try:
            found.append(TensorBoard(arguments.tensorboard))
        except ImportError as error:
            raise ValueError(f"--tensorboard: {error}") from None
    if not arguments.early_stopping:
        if arguments.patience is not None:
            raise ValueError("--patience: found without --early-stopping, which waits so long")
        return found
    if not arguments.valid:
        raise ValueError("--early-stopping: found without --valid, which it looks at")
    patience = PATIENCE if arguments.patience is None else arguments.patience
    patience = checks.whole("--patience", patience, 1, checks.MOST)
    stopping = EarlyStopping("val_p@1", patience=patience)
    return [*found, stopping, Ending(stopping)]


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


def chosen_sampler(arguments: Namespace) -> samplers.Sampler:
    """Return the sampler that the options of ``train`` name."""
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

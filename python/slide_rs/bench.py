"""What ``slide-rs bench`` does: the same data, trained on by slide_rs and by its peers, in turn."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from slide_rs import bench_plot, checks, contestants, defaults, machine, micro
from slide_rs._peers.course import Settings
from slide_rs.bench_data import BenchData, prepare
from slide_rs.bench_table import Summary, table
from slide_rs.commands import INTERRUPTED, check_out
from slide_rs.contestants import CONTESTANTS, Contestant, Outcome, chosen
from slide_rs.layers import Dense, SampledDense, SparseInput
from slide_rs.network import Network
from slide_rs.samplers import Full

__all__ = ["FAILED", "LIMIT", "NEGATIVES", "bench"]

FAILED = 1
#: Random labels that the sampled softmax of PyTorch shares in a batch.
NEGATIVES = 5000
#: Seconds of training above which a contestant is skipped.
LIMIT = 600.0
_OF_DATA = ("epochs", "rows", "negatives", "limit", "plot", "torch_python", "omikuji_python")
_OF_MICRO = ("labels", "features", "steps")


def bench(arguments: Namespace) -> int:
    """Run each contestant in turn, as often as asked, and print one table.

    The code is 0 if all that ran came to their end: that one is not installed, or would take too
    long, is no failure. It is 1 if one failed, or none came to its end.
    """
    _check(arguments)
    if arguments.data is None:
        return micro.micro(arguments)
    names = chosen(arguments.only)
    with tempfile.TemporaryDirectory(prefix="slide-rs-bench-") as folder:
        data = prepare(
            Path(folder),
            arguments.data,
            arguments.test,
            most=arguments.rows,
            seed=arguments.seed,
            text="omikuji" in names,
        )
        plan = _plan(arguments, data)
        summaries = [Summary(name, data.rows) for name in names]
        code = 0
        try:
            _rounds(summaries, plan, data, arguments)
        except KeyboardInterrupt:
            code = INTERRUPTED
    _print(summaries, plan, data, arguments)
    if arguments.plot and any(summary.done for summary in summaries):
        bench_plot.picture(
            summaries, f"{data.rows:,} rows, {data.n_labels:,} labels", arguments.plot
        )
    if any(summary.status == "failed" for summary in summaries):
        code = code or FAILED
    return code or (0 if any(summary.done for summary in summaries) else FAILED)


def _check(arguments: Namespace) -> None:
    """Name the option, and do so before reading any data."""
    with_data = arguments.data is not None
    if with_data and arguments.micro:
        raise ValueError("--micro: found with a file, wanted one of the two")
    for name in _OF_MICRO if with_data else _OF_DATA:
        if getattr(arguments, name) is not None:
            what = "with a file" if with_data else "without a file"
            raise ValueError(f"{_option(name)}: found {what}, which it is not for")
    counts = ("epochs", "rows", "negatives", "hidden", "batch_size", "n_active", "repeats")
    for name in (*counts, *_OF_MICRO):
        value = getattr(arguments, name)
        if value is not None:
            checks.whole(_option(name), value, 1, checks.MOST)
    checks.threads(arguments.threads, "--threads")
    checks.whole("--seed", arguments.seed, 0, 2**63)
    if arguments.limit is not None:
        checks.number("--limit", arguments.limit, above=0.0)
    for name in ("torch_python", "omikuji_python"):
        python = getattr(arguments, name)
        if python is not None and shutil.which(python) is None:
            raise ValueError(f"{_option(name)}: found {python}, wanted a Python interpreter")
    if arguments.plot is not None:
        check_out(arguments.plot, "--plot")
        bench_plot.check()
    chosen(arguments.only)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _plan(arguments: Namespace, data: BenchData) -> Settings:
    """Return what all contestants have in common, decided by rule where it is not given."""
    if arguments.n_active is not None:
        checks.whole("--n-active", arguments.n_active, 1, data.n_labels)
    batch = arguments.batch_size or defaults.batch_size(data.rows)
    # The rules look at the features alone, so the smallest network tells what they say.
    chain = (SparseInput(data.n_features), Dense(1), SampledDense(2, sampler=Full()))
    ruled = Network(chain, threads=1).config
    return Settings(
        contestant="",
        module="",
        needs="",
        rows=data.rows,
        n_features=data.n_features,
        n_labels=data.n_labels,
        epochs=arguments.epochs or defaults.epochs(data.rows, batch),
        batch_size=batch,
        hidden=arguments.hidden or defaults.HIDDEN,
        n_active=arguments.n_active,
        negatives=min(arguments.negatives or NEGATIVES, data.n_labels),
        threads=arguments.threads or machine.cores(),
        seed=arguments.seed,
        limit=arguments.limit or LIMIT,
        norm=ruled.hidden[0].norm or 0.0,
        dropout=ruled.input.dropout,
        lr=ruled.optimizer.lr or 0.0,
    )


def _rounds(
    summaries: Sequence[Summary], plan: Settings, data: BenchData, arguments: Namespace
) -> None:
    """Run all once, then all again: what else the machine does at a time meets all of them."""
    pythons = {"torch": arguments.torch_python, "omikuji": arguments.omikuji_python}
    for number in range(arguments.repeats):
        for summary in summaries:
            if summary.outcomes and summary.status != "done":
                continue
            contestant = CONTESTANTS[summary.name]
            settings = _settings(contestant, plan, number)
            python = pythons.get(contestant.needs) or sys.executable
            summary.outcomes.append(contestants.run(settings, data, python))
            if sys.stderr.isatty():
                _tell(number, arguments.repeats, summary.name, summary.outcomes[-1])


def _settings(contestant: Contestant, plan: Settings, number: int) -> Settings:
    return replace(
        plan,
        contestant=contestant.name,
        module=contestant.module,
        needs=contestant.needs,
        epochs=plan.epochs if contestant.epochs else 1,
        # Accuracy is a median over seeds.
        seed=plan.seed + number,
    )


def _tell(number: int, repeats: int, name: str, outcome: Outcome) -> None:
    done = outcome.status == "done"
    how = f"{outcome.seconds:.1f} s" if done else f"{outcome.status}, {outcome.note}"
    print(f"round {number + 1} of {repeats}: {name}: {how}", file=sys.stderr, flush=True)


def _print(
    summaries: Sequence[Summary], plan: Settings, data: BenchData, arguments: Namespace
) -> None:
    first = next((summary for summary in summaries if summary.done), None)
    if arguments.json:
        own = ("contestant", "module", "needs", "k")
        document = {
            "data": {"train": arguments.data, "test": arguments.test, "test_rows": data.test_rows},
            "settings": {k: v for k, v in asdict(plan).items() if k not in own},
            "repeats": arguments.repeats,
            "machine": machine.about(),
            "contestants": [summary.as_dict(first) for summary in summaries],
        }
        print(json.dumps(document, allow_nan=False))
        return
    print(
        f"{data.rows:,} rows to train on, {data.test_rows:,} to test, "
        f"{data.n_features:,} features, {data.n_labels:,} labels\n"
        f"{plan.epochs} epochs, batches of {plan.batch_size}, {plan.hidden} hidden units, "
        f"{plan.threads} threads, median of {arguments.repeats}\n"
    )
    print(table(summaries))

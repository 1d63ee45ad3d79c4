"""``slide-rs inspect``: what a model is, how its tables do, which features speak for a label."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from slide_rs import checks, commands, datasets, engine, html_report, inspect, model_file
from slide_rs.datasets import Dataset
from slide_rs.ensemble import Ensemble
from slide_rs.lines import as_json
from slide_rs.network import METRICS, Network

__all__ = ["run"]


def run(arguments: Namespace) -> int:
    """Look at all that was asked for, then print it as text or as one object."""
    _check(arguments)
    model = model_file.read(arguments.model, arguments.threads)
    members = model.members if isinstance(model, Ensemble) else (model,)
    if arguments.explain:
        told = _explained(arguments, model)
    else:
        told = _described(arguments, model, members)
    if arguments.json:
        if "measured" in told:
            told["measured"] = json.loads(as_json(told["measured"]))
        print(json.dumps(told))
        return 0
    if arguments.explain:
        print(f"row {told['row']}, label {told['label']}")
        print(*(one["text"] for one in told["contributions"]), sep="\n")
        return 0
    if isinstance(model, Ensemble):
        print(model)
    print(members[0].summary())
    for i, member in enumerate(members):
        for layer in range(len(engine.hashed_layers(member))):
            print(f"network {i + 1}, {inspect.table_stats(member, layer)}")
    for name, value in told["measured"].items():
        print(f"{name:<12} {value:.4f}")
    return 0


def _check(arguments: Namespace) -> None:
    if not arguments.explain:
        for name in ("row", "label", "k", "feature_names"):
            if getattr(arguments, name) is not None:
                raise ValueError(f"--{name.replace('_', '-')}: found without --explain DATA")
    elif arguments.data or arguments.html or arguments.plot:
        raise ValueError("--explain: found with DATA, --html or --plot, wanted it alone")
    if arguments.history and not arguments.html:
        raise ValueError("--history: found without --html FILE")
    for name in ("html", "plot"):
        if getattr(arguments, name):
            html_report.needed()
            commands.check_out(getattr(arguments, name), f"--{name}")


def _described(
    arguments: Namespace, model: Network | Ensemble, members: tuple[Network, ...]
) -> dict[str, Any]:
    data, measured = None, {}
    if arguments.data:
        data = _read(arguments.data, model)
        measured = model.evaluate(*data, METRICS)
        for i, member in enumerate(members):
            name = "recall_at_1" if len(members) == 1 else f"recall_at_1 of network {i + 1}"
            measured[name] = member.sampling_recall(data.X)
    if arguments.html:
        told = html_report.read_history(arguments.history) if arguments.history else []
        html_report.write(arguments.html, model, data, told)
    if arguments.plot:
        inspect.plot_buckets(members[0]).figure.savefig(arguments.plot)
    return {
        "members": len(members),
        "threads": model.threads,
        "estimated_bytes": members[0].estimate_memory().total,
        "config": json.loads(model.config.to_json()),
        "tables": [
            {"member": i + 1, **asdict(inspect.table_stats(member, layer))}
            for i, member in enumerate(members)
            for layer in range(len(engine.hashed_layers(member)))
        ],
        "measured": measured,
    }


def _explained(arguments: Namespace, model: Network | Ensemble) -> dict[str, Any]:
    data = _read(arguments.explain, model)
    place = 0 if arguments.row is None else arguments.row
    row = checks.whole("--row", place, 0, int(data.X.shape[0]) - 1)
    x = data.X[row : row + 1]
    label = arguments.label
    if label is None:
        label = int(model.predict_topk(x, 1).labels[0, 0])
    checks.whole("--label", label, 0, model.config.output.units - 1)
    names = None
    if arguments.feature_names:
        names = Path(arguments.feature_names).read_text(encoding="utf-8").splitlines()
    k = 20 if arguments.k is None else checks.whole("--k", arguments.k, 1, checks.MOST)
    found = inspect.explain(model, x, label, feature_names=names, k=k)
    contributions = [{**asdict(one), "text": str(one)} for one in found]
    return {"row": row, "label": label, "contributions": contributions}


def _read(path: str, model: Network | Ensemble) -> Dataset:
    data, config = datasets.read_xmc(path), model.config
    return Dataset(
        commands.widened(data.X, config.input.in_features, path, "features"),
        commands.widened(data.Y, config.output.units, path, "labels"),
    )

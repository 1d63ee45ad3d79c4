"""``slide-rs export``: a network for other programs."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from typing import Any

from slide_rs import archives, checks, commands, export
from slide_rs.ensemble import Ensemble
from slide_rs.loading import load
from slide_rs.network import Network

__all__ = ["FORMATS", "run"]

FORMATS = ("safetensors", "onnx", "usearch", "faiss")
_OF_ONNX = ("k", "opset", "inputs")


def run(arguments: Namespace) -> int:
    """Write the file and tell how large it is."""
    commands.check_out(arguments.out)
    options: dict[str, Any] = {name: getattr(arguments, name) for name in _OF_ONNX}
    options = {name: value for name, value in options.items() if value is not None}
    if arguments.every_neuron:
        options["every_neuron"] = True
    if options and arguments.to != "onnx":
        name = next(iter(options)).replace("_", "-")
        raise ValueError(f"--{name}: found with --to {arguments.to}, wanted --to onnx")
    getattr(export, f"to_{arguments.to}")(_network(arguments), arguments.out, **options)
    told = {"out": arguments.out, "format": arguments.to, "bytes": os.path.getsize(arguments.out)}
    beside = f"{arguments.out}.data"
    print(json.dumps(told) if arguments.json else f"{arguments.out}: {told['bytes']:,} bytes")
    if not arguments.json and arguments.to == "onnx" and os.path.exists(beside):
        print(f"{beside}: belongs beside it")
    return 0


def _network(arguments: Namespace) -> Network:
    if not archives.is_archive(arguments.model):
        if arguments.member is not None:
            raise ValueError(f"--member: found with {arguments.model}, a network alone")
        return load(arguments.model)
    members = Ensemble.load(arguments.model).members
    if arguments.member is None:
        raise ValueError(
            f"{arguments.model}: found an ensemble of {len(members)}, whose ranker has no such "
            f"form; wanted --member 1 to {len(members)}"
        )
    return members[checks.whole("--member", arguments.member, 1, len(members)) - 1]

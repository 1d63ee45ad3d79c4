"""What the verbs take."""

from __future__ import annotations

import argparse
from typing import Any, TypeAlias

from slide_rs import tuning
from slide_rs.verbs import completion, convert, export, inspect, tune

__all__ = ["add_files", "add_models"]

_Verbs: TypeAlias = "argparse._SubParsersAction[Any]"


def add_models(verbs: _Verbs) -> None:
    """Add ``inspect``, ``tune`` and ``export``."""
    _add_inspect(verbs.add_parser("inspect", help="show a model, its tables, a reason, a report"))
    _add_tune(verbs.add_parser("tune", help="find better hash tables for a trained model"))
    _add_export(verbs.add_parser("export", help="write a network for other programs"))


def add_files(verbs: _Verbs, whole: argparse.ArgumentParser) -> None:
    """Add ``convert`` and ``completion``; `whole` is the parser of all verbs."""
    verb = verbs.add_parser("convert", help="write a data set in another form")
    verb.set_defaults(command=convert.run)
    verb.add_argument("data", metavar="DATA", help="XMC file, plain or .gz, or .npz")
    verb.add_argument(
        "out",
        metavar="FILE",
        help=".npz for arrays, DATA.slide-cache for its cache, text for any other name, .gz too",
    )
    _add_json(verb)
    verb = verbs.add_parser("completion", help="write the completion of a shell")
    verb.set_defaults(command=completion.run, whole=whole)
    verb.add_argument("shell", metavar="SHELL", choices=completion.SHELLS, help="bash, zsh or fish")
    _add_json(verb)


def _add_inspect(verb: argparse.ArgumentParser) -> None:
    verb.set_defaults(command=inspect.run)
    _add_model(verb)
    verb.add_argument("data", metavar="DATA", nargs="?", help="XMC file: measure recall and P@k")
    verb.add_argument("--html", metavar="FILE", help="write all of it as an HTML page")
    verb.add_argument(
        "--history", metavar="FILE", help="what train --json printed, for curves in the page"
    )
    verb.add_argument("--plot", metavar="FILE", help="picture of how full the buckets are")
    reason = verb.add_argument_group("which features speak for a label")
    reason.add_argument("--explain", metavar="DATA", help="XMC file with the row")
    reason.add_argument("--row", type=int, metavar="N", help="its number, from 0 (0)")
    reason.add_argument("--label", type=int, metavar="N", help="the best one when not given")
    reason.add_argument("--k", type=int, metavar="N", help="features to show (20)")
    reason.add_argument("--feature-names", metavar="FILE", help="a name a line")
    _add_threads(verb)
    _add_json(verb)


def _add_tune(verb: argparse.ArgumentParser) -> None:
    verb.set_defaults(command=tune.run)
    _add_model(verb)
    verb.add_argument("data", metavar="DATA", help="XMC file: rows such as the model will see")
    verb.add_argument(
        "--recall",
        type=float,
        default=0.8,
        metavar="SHARE",
        help="rows whose best output must be found (%(default)s)",
    )
    verb.add_argument("--max-active", type=int, metavar="N", help="outputs of a row, at most")
    verb.add_argument(
        "--families", metavar="LIST", help=f"of {','.join(tuning.FAMILIES)}; all when not given"
    )
    verb.add_argument(
        "--time-limit", type=float, default=45.0, metavar="SECONDS", help="(%(default)s)"
    )
    verb.add_argument("--seed", type=int, default=0, metavar="N", help="(%(default)s)")
    verb.add_argument("--out", metavar="FILE", help="where to save the model with the tables found")
    _add_threads(verb)
    _add_json(verb)


def _add_export(verb: argparse.ArgumentParser) -> None:
    verb.set_defaults(command=export.run)
    _add_model(verb)
    verb.add_argument("--to", choices=export.FORMATS, required=True, help="what to write")
    verb.add_argument("--out", metavar="FILE", required=True, help="where")
    verb.add_argument(
        "--member", type=int, metavar="N", help="network of an ensemble, from 1; it has no ranker"
    )
    graph = verb.add_argument_group("onnx")
    graph.add_argument("--k", type=int, metavar="N", help="labels of a row; all when not given")
    graph.add_argument("--opset", type=int, metavar="N", help="(17)")
    graph.add_argument("--inputs", choices=("padded", "dense"), help="(padded)")
    graph.add_argument(
        "--every-neuron",
        action="store_true",
        help="compute sampled hidden layers in full, with other scores than predict",
    )
    _add_json(verb)


def _add_model(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("model", metavar="MODEL", help="file of train --out")


def _add_threads(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--threads", type=int, metavar="N", help="all that there are")


def _add_json(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="one JSON object")

"""The command line ``slide-rs``: its parser, its exit codes and how it says errors."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from slide_rs import (
    bench,
    commands,
    compare,
    contestants,
    defaults,
    micro,
    options_file,
    stream_command,
    verbs,
)
from slide_rs._core import build_info

__all__ = ["main"]

FAILED, MISUSE, INTERRUPTED = 1, 2, 130
#: What was asked for is wrong: an option, or a file.
_REFUSALS = (LookupError, OSError, TypeError, ValueError)
#: It was right, and could not be done: no memory, a package that is not there.
_FAILURES = (ArithmeticError, ImportError, MemoryError, RuntimeError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    It is 0, 1 for what could not be done, 2 for a wrong option or file, 130 after Ctrl-C.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process when not given.

    Examples
    --------
    >>> main(["evaluate", "no-such-model", "no-such-file"])
    2
    """
    try:
        arguments = _parsed(sys.argv[1:] if argv is None else list(argv))
        code: int = arguments.command(arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader, such as `head`, has enough; Python's own flush at exit must not fail on it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (*_REFUSALS, *_FAILURES) as error:
        print(f"slide-rs: {_sentence(error)}", file=sys.stderr)
        return MISUSE if isinstance(error, _REFUSALS) else FAILED


def _parsed(argv: list[str]) -> argparse.Namespace:
    """Parse, with the options of a file before those of the command line, which win."""
    parser = _parser()
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        raise ValueError(_unknown(unknown, arguments, argv[0]))
    path = getattr(arguments, "config", None)
    if path is None:
        return arguments
    verb, *given = argv
    options = options_file.as_arguments(options_file.read(path), arguments.own, path)
    return parser.parse_args([verb, *options, *given])


def _unknown(unknown: list[str], arguments: argparse.Namespace, verb: str) -> str:
    """Say what was not understood, and what may have been meant."""
    options = [f"--{name.replace('_', '-')}" for name in vars(arguments)]
    near = difflib.get_close_matches(unknown[0], options, n=1)
    if near:
        hint = f"did you mean {near[0]}?"
    elif getattr(arguments, "stream", False) and not unknown[0].startswith("-"):
        hint = "a pattern of files stands in quotes: 'train-*.txt'"
    else:
        hint = f"slide-rs {verb} --help lists the options"
    return f"unrecognized arguments: {' '.join(unknown)} ({hint})"


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are exceptions, so that `main` says them like any other.

    Options are written in full: what abbreviates one today may stand for several tomorrow.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        """Raise in place of ending the process."""
        raise ValueError(f"{message} ({self.prog} --help lists the options)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="slide-rs", description="Networks with very many outputs, trained on CPUs."
    )
    version = build_info()["version"]
    parser.add_argument("--version", action="version", version=f"slide-rs {version}")
    known = parser.add_subparsers(required=True)
    _add_train(known.add_parser("train", help="train a network on an XMC file"))
    _add_evaluate(known.add_parser("evaluate", help="compare a model's answers with a file"))
    _add_predict(known.add_parser("predict", help="write the best labels of each row"))
    verbs.add_models(known)
    _add_compare(known.add_parser("compare", help="train with each sampler, print one table"))
    verbs.add_files(known, parser)
    _add_bench(known.add_parser("bench", help="time training, peers too, or the parts of a step"))
    known.metavar = " | ".join(known.choices)
    return parser


def _add_train(verb: argparse.ArgumentParser) -> None:
    verb.set_defaults(command=_train, own=verb)
    verb.add_argument("data", metavar="TRAIN", help="XMC file, plain or .gz")
    verb.add_argument(
        "--valid",
        metavar="TEST",
        help="measured after each epoch, decides nothing but --early-stopping; what needs rows "
        "apart comes from TRAIN: "
        "a twentieth of the training rows, at most 1,000, is held out for the ranker's weight and "
        "for calibration",
    )
    verb.add_argument("--epochs", type=int, metavar="N", help="by rule when not given")
    verb.add_argument("--batch-size", type=int, metavar="N", help="by rule when not given")
    verb.add_argument(
        "--hidden", type=int, default=defaults.HIDDEN, metavar="N", help="units (%(default)s)"
    )
    verb.add_argument("--lr", type=float, metavar="RATE", help="by rule when not given")
    verb.add_argument(
        "--sampler", choices=("lsh", "uniform", "full"), default="lsh", help="(%(default)s)"
    )
    verb.add_argument("--active", type=int, metavar="N", help="outputs computed per row, exactly")
    verb.add_argument(
        "--members",
        type=int,
        metavar="N",
        help="networks of different seeds that decide together; 2, or 1 where they are large",
    )
    verb.add_argument(
        "--no-ranker",
        action="store_true",
        help="leave labels in the order of the networks, without linear classifiers; one network "
        "without them is saved as a network",
    )
    verb.add_argument(
        "--stream",
        action="store_true",
        help="read TRAIN, which may be larger than memory or a pattern such as 'train-*.txt', once "
        "in each epoch; one network, without the ranker",
    )
    verb.add_argument("--seed", type=int, default=0, metavar="N", help="(%(default)s)")
    verb.add_argument("--threads", type=int, metavar="N", help="all that there are")
    _add_cache(verb)
    _add_limit(verb)
    verb.add_argument("--out", metavar="FILE", help="where to save the model")
    verb.add_argument(
        "--checkpoint", metavar="DIR", help="folder of checkpoints, written after each epoch"
    )
    verb.add_argument(
        "--checkpoint-steps", type=int, metavar="N", help="and after so many steps of a network"
    )
    verb.add_argument(
        "--resume",
        action="store_true",
        help="go on from the newest checkpoint, from the start if there is none",
    )
    verb.add_argument("--report", metavar="FILE", help="write the run as an HTML page")
    verb.add_argument(
        "--config", metavar="FILE", help="options as JSON or TOML; those given here win"
    )
    verb.add_argument("--json", action="store_true", help="one JSON object an epoch")
    _add_course(verb)


def _add_course(verb: argparse.ArgumentParser) -> None:
    course = verb.add_argument_group("in the course of training, of each network")
    course.add_argument(
        "--early-stopping",
        action="store_true",
        help="end when P@1 on --valid has not become better, and keep the best epoch",
    )
    course.add_argument(
        "--patience",
        type=int,
        metavar="N",
        help=f"epochs that --early-stopping waits ({commands.PATIENCE})",
    )
    course.add_argument("--log-csv", metavar="FILE", help="a line an epoch")
    course.add_argument(
        "--tensorboard", metavar="DIR", help="event files; needs slide_rs[tensorboard]"
    )


def _train(arguments: argparse.Namespace) -> int:
    return stream_command.train(arguments) if arguments.stream else commands.train(arguments)


def _add_limit(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--max-memory",
        metavar="SIZE",
        help="such as 2GB: refuse networks that are estimated to take more; not counted are the "
        "rows and what a ranker takes beside them",
    )


def _add_evaluate(verb: argparse.ArgumentParser) -> None:
    verb.set_defaults(command=commands.evaluate)
    _add_inputs(verb)
    verb.add_argument(
        "--metrics",
        default="p@1,p@3,p@5,ndcg@5",
        metavar="LIST",
        help="of p@k, r@k, ndcg@k and psp@k (%(default)s)",
    )
    verb.add_argument(
        "--train", metavar="TRAIN", help="file whose labels weigh psp@k; DATA when not given"
    )
    verb.add_argument("--json", action="store_true", help="one JSON object")


def _add_predict(verb: argparse.ArgumentParser) -> None:
    verb.set_defaults(command=commands.predict)
    _add_inputs(verb)
    verb.add_argument("--k", type=int, default=5, metavar="N", help="labels of a row (%(default)s)")
    verb.add_argument(
        "--calibrated",
        action="store_true",
        help="write the probability of each label in place of its score",
    )
    verb.add_argument("--out", metavar="FILE", help="standard output when not given")
    verb.add_argument("--json", action="store_true", help="one JSON object a row")


def _add_compare(verb: argparse.ArgumentParser) -> None:
    verb.set_defaults(command=compare.compare)
    verb.add_argument("data", metavar="TRAIN", help="XMC file, plain or .gz")
    verb.add_argument("--valid", metavar="TEST", required=True, help="measured, never trained on")
    verb.add_argument(
        "--active",
        type=int,
        metavar="N",
        help="outputs computed per row by all samplers but full; 1 %% of them, at least 64, when "
        "not given",
    )
    verb.add_argument("--epochs", type=int, default=1, metavar="N", help="(%(default)s)")
    verb.add_argument("--batch-size", type=int, metavar="N", help="by rule when not given")
    verb.add_argument(
        "--hidden", type=int, default=defaults.HIDDEN, metavar="N", help="units (%(default)s)"
    )
    for option, known in (("families", compare.FAMILIES), ("samplers", compare.SAMPLERS)):
        verb.add_argument(
            f"--{option}", metavar="LIST", help=f"all of {','.join(known)} when not given"
        )
    verb.add_argument(
        "--update",
        choices=compare.UPDATES,
        default="both",
        help="without the row of Hogwild, which is of simhash and topk; that row alone; or both, "
        "where these two are among the others (%(default)s)",
    )
    verb.add_argument("--seed", type=int, default=0, metavar="N", help="(%(default)s)")
    verb.add_argument("--threads", type=int, metavar="N", help="all that there are")
    _add_cache(verb)
    _add_limit(verb)
    verb.add_argument("--json", action="store_true", help="one JSON object a row")


def _add_cache(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--cache",
        action="store_true",
        help="keep what is read beside each file, in FILE.slide-cache, and map it the next time",
    )


def _add_bench(verb: argparse.ArgumentParser) -> None:
    verb.set_defaults(command=bench.bench)
    verb.add_argument("data", metavar="TRAIN", nargs="?", help="XMC file; none: as with --micro")
    verb.add_argument(
        "test", metavar="TEST", nargs="?", help="a tenth of TRAIN, by the seed, when not given"
    )
    verb.add_argument(
        "--only",
        metavar="LIST",
        help=f"of {','.join(contestants.CONTESTANTS)}; all but torch_relu and neighbours when not "
        "given",
    )
    counts = verb.add_argument_group("sizes")
    for option, text in (
        ("epochs", "by rule when not given"),
        ("batch-size", f"by rule when not given; {micro.BATCH} without a file"),
        ("hidden", f"units ({defaults.HIDDEN}; {micro.HIDDEN} without a file)"),
        ("n-active", "outputs that slide_rs computes per row; by rule when not given"),
        ("negatives", f"labels that a batch of torch_sampled shares ({bench.NEGATIVES})"),
        ("rows", "take no more of each file"),
        ("threads", "all that there are"),
    ):
        counts.add_argument(f"--{option}", type=int, metavar="N", help=text)
    verb.add_argument(
        "--repeats", type=int, default=1, metavar="N", help="rounds, for medians (%(default)s)"
    )
    verb.add_argument("--seed", type=int, default=0, metavar="N", help="(%(default)s)")
    verb.add_argument(
        "--limit",
        type=float,
        metavar="SECONDS",
        help=f"skip what would train longer, by its first batches ({bench.LIMIT:g})",
    )
    for package in ("torch", "omikuji"):
        verb.add_argument(
            f"--{package}-python", metavar="PATH", help=f"an interpreter that has {package}"
        )
    verb.add_argument("--plot", metavar="FILE", help="picture of P@1 against seconds")
    verb.add_argument("--json", action="store_true", help="one JSON object")
    steps = verb.add_argument_group("without a file: a step on synthetic rows, phase by phase")
    steps.add_argument("--micro", action="store_true", help="say that it is meant")
    for option, value in (
        ("labels", micro.LABELS),
        ("features", micro.FEATURES),
        ("steps", micro.STEPS),
    ):
        steps.add_argument(f"--{option}", type=int, metavar="N", help=f"({value})")


def _add_inputs(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("model", metavar="MODEL", help="file of train --out")
    verb.add_argument("data", metavar="DATA", help="XMC file, plain or .gz")
    verb.add_argument("--mode", choices=("exact", "lsh"), default="exact", help="(%(default)s)")
    verb.add_argument("--threads", type=int, metavar="N", help="all that there are")
    _add_cache(verb)


def _sentence(error: Exception) -> str:
    """Return the error as one line."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__

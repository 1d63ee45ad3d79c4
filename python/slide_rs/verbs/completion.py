"""``slide-rs completion``: what a shell needs to complete verbs and options."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from typing import Any

from slide_rs import extras

__all__ = ["SHELLS", "run"]

SHELLS = ("bash", "zsh", "fish")
_FILES = ("DATA", "FILE", "MODEL", "PATH", "TEST", "TRAIN")


def run(arguments: Namespace) -> int:
    """Print the script, or an object that holds it."""
    shtab = extras.imported("shtab", "cli", "slide-rs completion")
    _mark_files(arguments.whole, shtab.FILE)
    script = shtab.complete(arguments.whole, arguments.shell)
    print(json.dumps({"shell": arguments.shell, "script": script}) if arguments.json else script)
    return 0


def _mark_files(parser: ArgumentParser, complete: Any) -> None:
    """Let arguments that are files be completed as such."""
    for action in parser._actions:
        if isinstance(action.choices, dict):
            for verb in action.choices.values():
                _mark_files(verb, complete)
        elif action.metavar in _FILES:
            action.complete = complete  # type: ignore[attr-defined]

"""Options of a command in a JSON or TOML file: the names of the command line, without dashes."""

from __future__ import annotations

import importlib
import json
from argparse import Action, ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["as_arguments", "read"]

#: What the file may not say: it would be asked for in vain, or go round in circles.
_NOT_HERE = ("help", "config")


def read(path: str) -> dict[str, Any]:
    """Read an object of options; TOML if the name ends in ``.toml``, JSON otherwise.

    Raises
    ------
    ImportError
        For TOML on Python 3.10 without tomli: ``pip install 'slide_rs[cli]'``.
    ValueError
        If the file is not an object in that format.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "net.json")
    >>> _ = path.write_text('{"hidden": 64}')
    >>> read(str(path))
    {'hidden': 64}
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        found = _toml().loads(text) if path.endswith(".toml") else json.loads(text)
    except (RecursionError, ValueError) as error:
        kind = "TOML" if path.endswith(".toml") else "JSON"
        raise ValueError(f"{path}: found text that is not {kind} ({error})") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: found {type(found).__name__}, wanted an object of options")
    return found


def as_arguments(options: Mapping[str, Any], verb: ArgumentParser, path: str) -> list[str]:
    """Return the options as arguments, to stand before those of the command line.

    Parameters
    ----------
    options : mapping
        Of `read`. Flags are true or false, others text or numbers; lists are joined by commas.
    verb : ArgumentParser
        The command that takes them.
    path : str
        The file, for errors.

    Raises
    ------
    ValueError
        If the command has no such option, or the value is of a wrong kind; both name the key.

    Examples
    --------
    >>> parser = ArgumentParser()
    >>> _ = parser.add_argument("--batch-size"), parser.add_argument("--json", action="store_true")
    >>> as_arguments({"batch_size": 64, "json": True}, parser, "net.json")
    ['--batch-size=64', '--json']
    """
    known = {name: action for action in verb._actions for name in _names(action)}
    found: list[str] = []
    for key, value in options.items():
        action = known.get(key.replace("_", "-"))
        if action is None:
            raise ValueError(f"{path}: found unknown key {key!r}, wanted one of {', '.join(known)}")
        option = f"--{key.replace('_', '-')}"
        if action.nargs == 0:
            if not isinstance(value, bool):
                raise ValueError(f"{path}: found {key} = {value!r}, wanted true or false")
            found += [option] if value else []
        else:
            found.append(f"{option}={_text(key, value, path)}")
    return found


def _names(action: Action) -> Sequence[str]:
    names = [name[2:] for name in action.option_strings if name.startswith("--")]
    return [name for name in names if name not in _NOT_HERE]


def _text(key: str, value: object, path: str) -> str:
    if isinstance(value, list) and value and all(type(one) in (str, int, float) for one in value):
        return ",".join(f"{one}" for one in value)
    if type(value) not in (str, int, float):
        raise ValueError(f"{path}: found {key} = {value!r}, wanted a number or a text")
    return f"{value}"


def _toml() -> Any:
    for name in ("tomllib", "tomli"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise ImportError("TOML needs Python 3.11, or tomli: pip install 'slide_rs[cli]'")

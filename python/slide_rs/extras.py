"""Packages that the library can do without: imported when they are needed, by what they are for."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["imported"]


def imported(module: str, extra: str, what: str) -> Any:
    """Return a module of an optional package.

    Parameters
    ----------
    module : str
        Its name.
    extra : str
        The extra of slide_rs that installs it.
    what : str
        What needs it, for the error.

    Raises
    ------
    ImportError
        If it is not there; the message names the extra.

    Examples
    --------
    >>> imported("no_such_module", "plot", "a picture")
    Traceback (most recent call last):
    ImportError: a picture needs no_such_module: pip install 'slide_rs[plot]'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        # A package that is there but broken has something else to say.
        if error.name is not None and error.name.split(".")[0] != module.split(".")[0]:
            raise
        package = module.split(".")[0]
        raise ImportError(f"{what} needs {package}: pip install 'slide_rs[{extra}]'") from None

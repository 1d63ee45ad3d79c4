"""The contestants of ``slide-rs bench``, each run in a process of its own.

That process may belong to an interpreter that has PyTorch or omikuji and no slide_rs, and loads
this package by its path. So nothing here imports slide_rs, but for the two modules that train what
it makes; the one on omikuji needs no NumPy, and the one on PyTorch no SciPy; and what a contestant
needs is imported with its module, in the child alone.
"""

from __future__ import annotations

import importlib
from importlib import metadata
from pathlib import Path

from .course import Course, peak_mb, run

__all__ = ["Course", "main", "peak_mb", "run"]


def main(folder: str) -> None:
    """Run the contestant that the settings in this folder name, and leave its result there.

    Examples
    --------
    >>> main("no-such-folder")
    Traceback (most recent call last):
    FileNotFoundError: ...
    """
    course = Course(Path(folder))
    needs = course.settings.needs
    try:
        module = importlib.import_module(f"{__name__}.{course.settings.module}")
    except ModuleNotFoundError as error:
        if error.name != needs:
            raise
        course.finish("missing", f"{needs} is not installed")
        return
    run(course, module.make, {needs: metadata.version(needs)})

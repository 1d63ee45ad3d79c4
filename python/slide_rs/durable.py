"""Files that are complete under their name, or not there."""

from __future__ import annotations

import os

__all__ = ["replace"]


def replace(partial: str, target: str) -> None:
    """Wait until a file is on the disk, then give it the name that it shall have.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     partial = pathlib.Path(folder, "file.partial")
    ...     _ = partial.write_text("all of it")
    ...     replace(f"{partial}", f"{folder}/file")
    ...     os.listdir(folder)
    ['file']
    """
    # Otherwise the name might outlive a power failure, and the bytes not.
    descriptor = os.open(partial, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(partial, target)
    if os.name == "posix":
        descriptor = os.open(os.path.dirname(target) or ".", os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

"""A file in the safetensors format: a header in JSON, then arrays one after another."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["write"]

_ALIGNMENT = 8


def write(path: str, arrays: Mapping[str, NDArray[np.float32]]) -> None:
    """Write float32 arrays by name, beside `path`, and move the file there when it is complete.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "one.safetensors")
    >>> write(str(path), {"a": np.zeros(2, np.float32)})
    >>> path.read_bytes()[8:].strip(bytes(1)).decode().strip()
    '{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}'
    """
    entries, end = {}, 0
    for name, array in arrays.items():
        place = [end, end + array.nbytes]
        entries[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": place}
        end += array.nbytes
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % _ALIGNMENT)
    partial = f"{path}.partial"
    try:
        with open(partial, "wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            for array in arrays.values():
                file.write(np.ascontiguousarray(array, dtype="<f4").data)
        os.replace(partial, path)
    finally:
        Path(partial).unlink(missing_ok=True)

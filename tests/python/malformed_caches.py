"""Ways to damage the cache of a data set of 3 rows, 5 features and 4 labels."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable

import numpy as np


def header(file: bytes) -> tuple[dict, bytes]:
    length = int.from_bytes(file[:8], "little")
    return json.loads(file[8 : 8 + length]), file[8 + length :]


def joined(entries: object, rest: bytes) -> bytes:
    text = json.dumps(entries).encode()
    text += b" " * (-(8 + len(text)) % 64)
    return len(text).to_bytes(8, "little") + text + rest


def signed(entries: dict, rest: bytes) -> bytes:
    """Return a file whose checksum is right, as who means harm would make it."""
    about = entries["__metadata__"]["slide_rs"].encode()
    entries["__metadata__"]["crc32"] = f"{zlib.crc32(about + rest):08x}"
    return joined(entries, rest)


def with_entry(name: str, key: str, value: object) -> Callable[[bytes], bytes]:
    def change(file: bytes) -> bytes:
        entries, rest = header(file)
        entries[name][key] = value
        return signed(entries, rest)

    return change


def with_about(key: str, value: object) -> Callable[[bytes], bytes]:
    def change(file: bytes) -> bytes:
        entries, rest = header(file)
        about = json.loads(entries["__metadata__"]["slide_rs"])
        about[key] = value
        entries["__metadata__"]["slide_rs"] = json.dumps(about)
        return signed(entries, rest)

    return change


def with_array(name: str, at: int, value: float) -> Callable[[bytes], bytes]:
    def change(file: bytes) -> bytes:
        entries, rest = header(file)
        data = bytearray(rest)
        start, end = entries[name]["data_offsets"]
        dtype = np.float32 if entries[name]["dtype"] == "F32" else np.int32
        np.frombuffer(data, np.uint8)[start:end].view(dtype)[at] = value
        return signed(entries, bytes(data))

    return change


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda file: b"",
    "no header": lambda file: file[:8],
    "header cut": lambda file: file[:100],
    "arrays cut": lambda file: file[:-1],
    "more behind": lambda file: file + b"\0",
    "all zeros": lambda file: bytes(len(file)),
    "header of 2**63 bytes": lambda file: (1 << 63).to_bytes(8, "little") + file[8:],
    "header of nested lists": lambda file: (9000).to_bytes(8, "little") + b"[" * 9000,
    "header that is a list": lambda file: joined([], b""),
    "no metadata": lambda file: joined({k: v for k, v in header(file)[0].items() if "X" in k}, b""),
    "no array": lambda file: joined({"__metadata__": header(file)[0]["__metadata__"]}, b""),
    "other dtype": with_entry("X.data", "dtype", "F64"),
    "integers as values": with_entry("X.data", "dtype", "I32"),
    "floats as bounds": with_entry("X.indptr", "dtype", "F32"),
    "two dimensions": with_entry("X.data", "shape", [1, 3]),
    "no number as length": with_entry("X.data", "shape", ["3"]),
    "negative length": with_entry("X.data", "shape", [-3]),
    "huge length": with_entry("X.data", "shape", [1 << 70]),
    "a wrong bit in the values": lambda file: file[:-1] + bytes([file[-1] ^ 1]),
    "overlap": with_entry("X.data", "data_offsets", [0, 12]),
    "no columns": with_about("columns", None),
    "negative columns": with_about("columns", [-1, 4]),
    "too many columns": with_about("columns", [1 << 31, 4]),
    "too few columns": with_about("columns", [4, 4]),
    "bounds that fall": with_array("X.indptr", 1, 3),
    "bounds that are negative": with_array("X.indptr", 1, -1),
    "bounds beyond the ids": with_array("Y.indptr", -1, 2**31 - 1),
    "bounds that start late": with_array("Y.indptr", 0, 1),
    "id out of range": with_array("X.indices", 1, 5),
    "negative id": with_array("Y.indices", 0, -1),
    "ids out of order": with_array("X.indices", 0, 4),
    "a value that is no number": with_array("X.data", 2, np.nan),
    "a label that is not 1": with_array("Y.data", 1, 2.0),
}

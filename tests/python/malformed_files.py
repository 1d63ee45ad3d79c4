"""Files and command lines that are wrong, with what the error must say."""

from __future__ import annotations

import gzip
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import slide_rs as sr
from slide_rs import layers

HEADER = b"2 5 4\n"

#: Contents of an XMC file, and the error.
XMC: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "found no bytes"),
    "binary": (b"\x00\x01\x02\xff\n", "line 1: found"),
    "text": (b"hello world\n", 'line 1: found "hello"'),
    "no-colon": (HEADER + b"0 1=1\n1 2:1\n", 'line 2: found "1=1", wanted a feature:value pair'),
    "no-value": (HEADER + b"0 1:\n1 2:1\n", 'line 2: found "1:", wanted a number'),
    "no-feature": (HEADER + b"0 :1\n1 2:1\n", 'line 2: found ":1", wanted a feature'),
    "value-text": (HEADER + b"0 1:1\n0 1:x\n", 'line 3: found "1:x", wanted a number'),
    "value-nan": (HEADER + b"0 1:nan\n1 2:1\n", 'line 2: found "1:nan"'),
    "value-inf": (HEADER + b"0 1:inf\n1 2:1\n", 'line 2: found "1:inf"'),
    "value-too-large": (HEADER + b"0 1:1e39\n1 2:1\n", 'line 2: found "1:1e39", wanted a finite'),
    "value-two-colons": (HEADER + b"0 1:2:3\n1 2:1\n", 'line 2: found "1:2:3"'),
    "values-sum-too-large": (HEADER + b"0 1:3e38 1:3e38\n1 2:1\n", "wanted a finite value"),
    "feature-negative": (HEADER + b"0 -1:1\n1 2:1\n", 'line 2: found "-1:1"'),
    "feature-fraction": (HEADER + b"0 1.5:1\n1 2:1\n", 'line 2: found "1.5:1"'),
    "feature-too-large": (HEADER + b"0 5:1\n1 2:1\n", "wanted a feature id below 5"),
    "feature-beyond-32-bits": (b"0 4294967296:1\n", "wanted a feature id below 2147483647"),
    "feature-beyond-64-bits": (b"0 99999999999999999999:1\n", "wanted a feature id below"),
    "label-negative": (HEADER + b"-1 1:1\n1 2:1\n", 'line 2: found "-1"'),
    "label-fraction": (HEADER + b"0.5 1:1\n1 2:1\n", 'line 2: found "0.5"'),
    "label-text": (HEADER + b"cat 1:1\n1 2:1\n", 'line 2: found "cat"'),
    "label-too-large": (HEADER + b"0,4 1:1\n1 2:1\n", "wanted a label id below 4"),
    "label-comma-first": (HEADER + b",0 1:1\n1 2:1\n", 'line 2: found ",0"'),
    "label-comma-last": (HEADER + b"0, 1:1\n1 2:1\n", 'line 2: found "0,"'),
    "label-semicolon": (HEADER + b"0;1 1:1\n1 2:1\n", 'line 2: found "0;1"'),
    "too-few-rows": (HEADER + b"0 1:1\n", "found 1 points, wanted 2"),
    "too-many-rows": (HEADER + b"0 1:1\n1 2:1\n2 3:1\n", "found 3 points, wanted 2"),
    "header-alone": (HEADER, "found 0 points, wanted 2"),
    "header-features-huge": (b"2 9999999999 4\n0 1:1\n1 2:1\n", "found 9999999999 features"),
    "header-labels-huge": (b"2 5 9999999999\n0 1:1\n1 2:1\n", "found 9999999999 labels"),
    "gzip-truncated": (gzip.compress(HEADER + b"0 1:1\n1 2:1\n")[:-9], "gzip stream"),
    "gzip-header-only": (b"\x1f\x8b", "gzip stream"),
    "gzip-damaged": (b"\x1f\x8b\x08\x00" + b"\xff" * 40, "gzip stream"),
}


def saved(folder: Path) -> bytes:
    """Return the bytes of a good model file."""
    path = folder / "good.safetensors"
    sr.Network([layers.SparseInput(6), layers.Dense(4), layers.SampledDense(5)]).save(path)
    return path.read_bytes()


def with_header(change: Callable[[dict[str, object]], object]) -> Callable[[bytes], bytes]:
    """Return a function that changes the JSON header of a safetensors file."""

    def apply(good: bytes) -> bytes:
        (length,) = struct.unpack("<Q", good[:8])
        header = json.loads(good[8 : 8 + length])
        change(header)
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + good[8 + length :]

    return apply


def _drop_tensor(header: dict[str, object]) -> None:
    header.pop(next(name for name in header if name != "__metadata__"))


def _rename_tensor(header: dict[str, object]) -> None:
    name = next(name for name in header if name != "__metadata__")
    header["unknown"] = header.pop(name)


def _metadata(value: str) -> Callable[[dict[str, object]], None]:
    def change(header: dict[str, object]) -> None:
        metadata = header["__metadata__"]
        assert isinstance(metadata, dict)
        header["__metadata__"] = dict.fromkeys(metadata, value)

    return change


#: What becomes of the bytes of a good model file.
MODELS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda good: b"",
    "one-byte": lambda good: good[:1],
    "length-only": lambda good: good[:8],
    "half-a-header": lambda good: good[:60],
    "without-the-last-byte": lambda good: good[:-1],
    "half": lambda good: good[: len(good) // 2],
    "trailing-bytes": lambda good: good + b"\0\0\0\0",
    "text": lambda good: b"this is not a model, it is a letter\n" * 9,
    "json": lambda good: b'{"seed": 0}',
    "pickle": lambda good: pickle.dumps({"weights": [1.0]}),
    "zip-as-torch-saves": lambda good: b"PK\x03\x04" + bytes(200),
    "gzip": lambda good: gzip.compress(good),
    "zeros": lambda good: bytes(len(good)),
    "huge-header-length": lambda good: struct.pack("<Q", 2**63) + good[8:],
    "header-not-json": lambda good: good[:8] + b"[" + good[9:],
    "no-metadata": with_header(lambda header: header.pop("__metadata__")),
    "metadata-empty": with_header(lambda header: header.update(__metadata__={})),
    "metadata-not-json": with_header(_metadata("{")),
    "metadata-other-json": with_header(_metadata('{"layers": 3}')),
    "metadata-null": with_header(_metadata("null")),
    "metadata-format-1": with_header(_metadata('{"format": 1, "config": {"other": "fields"}}')),
    "tensor-missing": with_header(_drop_tensor),
    "tensor-renamed": with_header(_rename_tensor),
}

HUGE = str(2**70)

#: Arguments after the verb's files, and the error. DATA is a good XMC file, MODEL a good model.
COMMANDS: dict[str, tuple[list[str], str]] = {
    "no-verb": ([], "train | evaluate | predict"),
    "unknown-verb": (["fly"], "invalid choice: 'fly'"),
    "train-no-file": (["train"], "required: TRAIN"),
    "train-missing-file": (["train", "missing.txt"], r"missing\.txt"),
    "train-folder": (["train", "."], r"\."),
    "train-unknown-option": (["train", "DATA", "--fast"], "--fast"),
    "train-epochs-zero": (["train", "DATA", "--epochs", "0"], "--epochs: found 0"),
    "train-epochs-huge": (["train", "DATA", "--epochs", HUGE], "--epochs: found 1180591620"),
    "train-epochs-text": (["train", "DATA", "--epochs", "two"], "--epochs: invalid int"),
    "train-epochs-missing": (["train", "DATA", "--epochs"], "--epochs: expected one argument"),
    "train-batch-zero": (["train", "DATA", "--batch-size", "0"], "--batch-size: found 0"),
    "train-batch-huge": (["train", "DATA", "--batch-size", HUGE], "--batch-size: found 11805"),
    "train-batch-fraction": (["train", "DATA", "--batch-size", "1.5"], "--batch-size: invalid"),
    "train-hidden-zero": (["train", "DATA", "--hidden", "0"], "--hidden: found 0"),
    "train-hidden-huge": (["train", "DATA", "--hidden", HUGE], "--hidden: found 1180591620"),
    "train-hidden-negative": (["train", "DATA", "--hidden", "-8"], "--hidden: found -8"),
    "train-lr-zero": (["train", "DATA", "--lr", "0"], "--lr: found 0"),
    "train-lr-nan": (["train", "DATA", "--lr", "nan"], "--lr: found nan"),
    "train-lr-inf": (["train", "DATA", "--lr", "inf"], "--lr: found inf"),
    "train-lr-text": (["train", "DATA", "--lr", "high"], "--lr: invalid float"),
    "train-sampler-unknown": (["train", "DATA", "--sampler", "tree"], "--sampler: invalid choice"),
    "train-active-zero": (["train", "DATA", "--active", "0"], "--active: found 0"),
    "train-active-huge": (["train", "DATA", "--active", HUGE], "--active: found 1180591620"),
    "train-active-too-many": (["train", "DATA", "--active", "999"], "n_active: found 999"),
    "train-active-full": (["train", "DATA", "--sampler", "full", "--active", "9"], "--active"),
    "train-seed-negative": (["train", "DATA", "--seed", "-1"], "--seed: found -1"),
    "train-threads-zero": (["train", "DATA", "--threads", "0"], "--threads: found 0"),
    "train-threads-huge": (["train", "DATA", "--threads", "1025"], "--threads: found 1025"),
    "train-out-folder": (["train", "DATA", "--out", "."], "--out: found the folder"),
    "train-out-nowhere": (["train", "DATA", "--out", "no/such/m"], "--out: found no/such/m"),
    "train-valid-missing": (["train", "DATA", "--valid", "missing.txt"], r"missing\.txt"),
    "train-valid-wider": (["train", "DATA", "--valid", "WIDE"], "found 999 features, wanted at"),
    "train-no-rows": (["train", "NOROWS"], "found no rows"),
    "train-on-a-model": (["train", "MODEL"], "model"),
    "evaluate-no-data": (["evaluate", "MODEL"], "required: DATA"),
    "evaluate-swapped": (["evaluate", "DATA", "MODEL"], "DATA|tiny"),
    "evaluate-metric": (["evaluate", "MODEL", "DATA", "--metrics", "auc"], "metrics: found 'auc'"),
    "evaluate-metric-empty": (["evaluate", "MODEL", "DATA", "--metrics", ""], "metrics: found ''"),
    "evaluate-mode": (["evaluate", "MODEL", "DATA", "--mode", "fast"], "--mode: invalid choice"),
    "evaluate-wider": (["evaluate", "MODEL", "WIDE"], "found 999 features, wanted at most 300"),
    "predict-no-model": (["predict", "missing.safetensors", "DATA"], r"missing\.safetensors"),
    "predict-k-zero": (["predict", "MODEL", "DATA", "--k", "0"], "--k: found 0"),
    "predict-k-huge": (["predict", "MODEL", "DATA", "--k", HUGE], "--k: found 1180591620"),
    "predict-k-too-large": (["predict", "MODEL", "DATA", "--k", "61"], "k: found 61"),
    "predict-k-text": (["predict", "MODEL", "DATA", "--k", "five"], "--k: invalid int"),
    "predict-out-folder": (["predict", "MODEL", "DATA", "--out", "."], "--out: found the folder"),
    "predict-threads-huge": (
        ["predict", "MODEL", "DATA", "--threads", HUGE],
        "--threads: found 1180591620",
    ),
    "compare-no-valid": (["compare", "DATA"], "required: --valid"),
    "compare-families": (
        ["compare", "DATA", "--valid", "DATA", "--families", "lattice"],
        "--families: found 'lattice'",
    ),
    "compare-samplers": (
        ["compare", "DATA", "--valid", "DATA", "--samplers", "topk,best"],
        "--samplers: found 'best'",
    ),
    "compare-active": (
        ["compare", "DATA", "--valid", "DATA", "--active", "0"],
        "--active: found 0",
    ),
    "compare-active-many": (
        ["compare", "DATA", "--valid", "DATA", "--active", "999"],
        "--active: found 999, wanted a whole number from 1 to 60",
    ),
    "compare-epochs": (
        ["compare", "DATA", "--valid", "DATA", "--epochs", "0"],
        "--epochs: found 0",
    ),
    "compare-wider": (["compare", "DATA", "--valid", "WIDE"], "found 999 features, wanted at"),
    "compare-no-rows": (["compare", "NOROWS", "--valid", "DATA"], "found no rows"),
    "predict-threads": (["predict", "MODEL", "DATA", "--threads", "0"], "--threads: found 0"),
}

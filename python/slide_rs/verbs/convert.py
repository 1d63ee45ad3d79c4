"""``slide-rs convert``: a data set in another form."""

from __future__ import annotations

import json
import os
from argparse import Namespace

from slide_rs import commands, conversion

__all__ = ["run"]


def run(arguments: Namespace) -> int:
    """Write the file and tell what is in it."""
    commands.check_out(arguments.out, "FILE")
    data = conversion.convert(arguments.data, arguments.out)
    told = {
        "out": arguments.out,
        "rows": int(data.X.shape[0]),
        "features": data.n_features,
        "labels": data.n_labels,
        "bytes": os.path.getsize(arguments.out),
    }
    if arguments.json:
        print(json.dumps(told))
    else:
        counts = "{rows:,} rows, {features:,} features, {labels:,} labels, {bytes:,} bytes"
        print(f"{arguments.out}: {counts.format(**told)}")
    return 0

"""Rows to train on: batches for loops of one's own, and streams of sets larger than memory.

`Network.fit` takes a stream in place of X and Y. ``docs/streaming.md`` has what to expect.
"""

from slide_rs.arrow import from_arrow, from_frame, stream_parquet
from slide_rs.batches import batches
from slide_rs.loaders import TorchDataLoaderAdapter
from slide_rs.streams import Batch, Stream
from slide_rs.xmc_stream import stream_xmc

__all__ = [
    "Batch",
    "Stream",
    "TorchDataLoaderAdapter",
    "batches",
    "from_arrow",
    "from_frame",
    "stream_parquet",
    "stream_xmc",
]

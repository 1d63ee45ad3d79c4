"""Sub-linear deep learning: networks with very wide sparse layers, trained on CPUs.

Examples
--------
>>> import slide_rs
>>> data = slide_rs.datasets.make_xmc(200, n_features=300, n_labels=40, seed=0)
>>> net = slide_rs.Network([
...     slide_rs.layers.SparseInput(300),
...     slide_rs.layers.Dense(16),
...     slide_rs.layers.SampledDense(40),
... ])
>>> history = net.fit(data.X, data.Y, epochs=2, verbose=False)
>>> net.predict_topk(data.X, k=3).labels.shape
(200, 3)
"""

from slide_rs import (
    callbacks,
    data,
    datasets,
    export,
    inspect,
    layers,
    lsh,
    metrics,
    optim,
    samplers,
    schedules,
)
from slide_rs._core import build_info
from slide_rs.config import NetworkConfig
from slide_rs.ensemble import Ensemble
from slide_rs.history import BatchReport, History
from slide_rs.loading import load
from slide_rs.memory import MemoryEstimate, estimate_memory
from slide_rs.network import Network
from slide_rs.notices import SlideWarning
from slide_rs.ranker import Ranker
from slide_rs.topk import TopK

__version__: str = build_info()["version"]

__all__ = [
    "BatchReport",
    "Ensemble",
    "History",
    "MemoryEstimate",
    "Network",
    "NetworkConfig",
    "Ranker",
    "SlideWarning",
    "TopK",
    "__version__",
    "build_info",
    "callbacks",
    "data",
    "datasets",
    "estimate_memory",
    "export",
    "inspect",
    "layers",
    "load",
    "lsh",
    "metrics",
    "optim",
    "samplers",
    "schedules",
]

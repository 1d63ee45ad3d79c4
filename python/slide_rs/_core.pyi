"""The compiled engine. Private: use :mod:`slide_rs`; shapes and rules are documented there."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Head",
    "Network",
    "Ranker",
    "XmcReader",
    "borrowed_addresses",
    "build_info",
    "crc32",
    "estimate_memory",
    "is_canonical",
    "is_well_formed",
    "optimizer_steps",
    "read_xmc",
    "write_xmc",
]

_Index: TypeAlias = NDArray[np.int32] | NDArray[np.int64]
_Sparse: TypeAlias = tuple[_Index, _Index, NDArray[np.float32]]
_Features: TypeAlias = _Sparse | NDArray[np.float32]
_Labels: TypeAlias = tuple[_Index, _Index]
_Targets: TypeAlias = _Labels | tuple[_Index, _Index, NDArray[np.float32]]
_Rows: TypeAlias = NDArray[np.int64] | None

_Weight: TypeAlias = NDArray[np.float32]
_Bias: TypeAlias = NDArray[np.float32] | None
_Moment: TypeAlias = NDArray[np.float32] | NDArray[np.uint16]
_Moments: TypeAlias = tuple[_Moment, _Moment, _Bias, _Bias]
_Gradient: TypeAlias = tuple[_Features, _Labels, NDArray[np.float32]]

@final
class Head:
    def __new__(cls, config: str, threads: int | None = None) -> Head: ...
    @property
    def config(self) -> str: ...
    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def threads(self) -> int: ...
    def set_threads(self, threads: int) -> None: ...
    @property
    def input_norm(self) -> float: ...
    def set_input_norm(self, length: float) -> None: ...
    def losses(
        self, weight: _Weight, bias: _Bias, x: _Features, targets: _Targets, step: int
    ) -> tuple[
        NDArray[np.float32],
        NDArray[np.int64],
        NDArray[np.int64],
        NDArray[np.float32],
        NDArray[np.float32],
        NDArray[np.float32],
    ]: ...
    def activate(
        self, weight: _Weight, bias: _Bias, x: _Features, step: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]: ...
    def logits(
        self, weight: _Weight, bias: _Bias, x: _Features, ids: _Labels
    ) -> NDArray[np.float32]: ...
    def back(self, weight: _Weight, bias: _Bias, gradient: _Gradient) -> NDArray[np.float32]: ...
    def apply(
        self,
        weight: _Weight,
        bias: _Bias,
        moments: _Moments,
        optimizer: str,
        lr: float,
        t: int,
        gradients: Sequence[_Gradient],
    ) -> None: ...
    def norm(self, gradients: Sequence[_Gradient]) -> float: ...
    def stale(self) -> None: ...
    def resume(self, steps: int) -> None: ...
    def rehash(self, weight: _Weight, bias: _Bias, steps: int) -> bool: ...
    def topk(
        self, weight: _Weight, bias: _Bias, x: _Features, k: int, mode: str
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]: ...

@final
class Network:
    def __new__(cls, config: str, threads: int | None = None) -> Network: ...
    @staticmethod
    def load(path: str, threads: int | None = None) -> Network: ...
    @property
    def config(self) -> str: ...
    @property
    def threads(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def rate_factor(self) -> float: ...
    def set_rate_factor(self, factor: float) -> None: ...
    def save(self, path: str, include_optimizer: bool) -> None: ...
    def checkpoint(self, path: str, training: str) -> None: ...
    @property
    def training(self) -> str | None: ...
    def begin_fit(self, total_steps: int | None) -> None: ...
    def add_labels(
        self, count: int, init: str, x: _Features | None = None, y: _Labels | None = None
    ) -> None: ...
    def remove_labels(self, kept: NDArray[np.bool_]) -> None: ...
    def train_batch(
        self, x: _Features, y: _Targets, weight: NDArray[np.float32] | None = None
    ) -> dict[str, float]: ...
    def train_epoch(
        self,
        x: _Features,
        y: _Targets,
        batch_size: int,
        shuffle: bool = True,
        rows: _Rows = None,
        on_batch: Callable[[int, int, float], object] | None = None,
        weight: NDArray[np.float32] | None = None,
        cursor: tuple[Any, ...] | None = None,
        most: int | None = None,
    ) -> dict[str, Any]: ...
    def set_output_bias(self, values: NDArray[np.float32]) -> None: ...
    def phases(self) -> dict[str, float]: ...
    def finish(self) -> None: ...
    def predict_topk(
        self, x: _Features, k: int, mode: str
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]: ...
    def score(self, x: _Features, candidates: _Labels) -> NDArray[np.float32]: ...
    def scores(self, x: _Features) -> NDArray[np.float32]: ...
    def recall_at_k(self, x: _Features, rows: _Rows = None, k: int = 1) -> float: ...
    def table_stats(self, layer: int) -> dict[str, Any]: ...
    def ranks(self, tables: str, x: _Features, rows: _Rows) -> NDArray[np.int32]: ...
    def retrieval(
        self, x: _Features, rows: _Rows, pairs_per_row: int, seed: int
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]: ...
    def set_sampler(self, sampler: str) -> None: ...
    def weights(self) -> dict[str, NDArray[np.float32]]: ...

@final
class Ranker:
    @staticmethod
    def fit(
        x: _Features,
        y: _Labels,
        shortlist: _Labels,
        sizes: tuple[int, int],
        cost: float,
        tolerance: float,
        passes: int,
        threshold: float,
        seed: int,
        threads: int | None = None,
    ) -> Ranker: ...
    def refit(
        self,
        x: _Features,
        y: _Labels,
        shortlist: _Labels,
        again: NDArray[np.bool_],
        cost: float,
        tolerance: float,
        passes: int,
        threshold: float,
        seed: int,
    ) -> Ranker: ...
    @staticmethod
    def from_parts(
        n_features: int,
        bounds: NDArray[np.int64],
        features: NDArray[np.int32],
        weights: NDArray[np.float32],
        biases: NDArray[np.float32],
        threads: int | None = None,
    ) -> Ranker: ...
    @property
    def n_features(self) -> int: ...
    @property
    def n_labels(self) -> int: ...
    def score(self, x: _Features, candidates: _Labels) -> NDArray[np.float32]: ...
    def propose(self, x: _Features, k: int, most: int) -> NDArray[np.int32]: ...
    def parts(
        self,
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]: ...

@final
class XmcReader:
    def __new__(cls, path: str, piece_bytes: int) -> XmcReader: ...
    @property
    def header(self) -> tuple[int, int, int] | None: ...
    def read(
        self,
    ) -> (
        tuple[
            NDArray[np.int64],
            NDArray[np.int32],
            NDArray[np.float32],
            NDArray[np.int64],
            NDArray[np.int32],
        ]
        | None
    ): ...

def read_xmc(
    path: str,
) -> tuple[
    NDArray[np.int64],
    NDArray[np.int32],
    NDArray[np.float32],
    NDArray[np.int64],
    NDArray[np.int32],
    int,
    int,
]: ...
def crc32(parts: Sequence[NDArray[np.uint8]]) -> int: ...
def is_canonical(x: _Features, columns: int) -> bool: ...
def write_xmc(path: str, x: _Sparse, y: _Labels, n_features: int, n_labels: int) -> None: ...
def optimizer_steps(
    config: str,
    clip: str,
    weights: NDArray[np.float32],
    gradients: NDArray[np.float32],
    touched: NDArray[np.bool_],
    lr: NDArray[np.float32],
    dtype: str = "f32",
) -> NDArray[np.float32]: ...
def borrowed_addresses(x: _Features) -> list[int]: ...
def is_well_formed(x: object, columns: int) -> bool: ...
def estimate_memory(config: str, batch_size: int, threads: int | None = None) -> dict[str, int]: ...
def build_info() -> dict[str, Any]: ...

"""Rows of tables, frames, loaders and loops: each becomes what CSR and NumPy would have been."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import narwhals
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as arrow_dataset
import pyarrow.parquet as pq
import pytest
import slide_rs as sr
from numpy.testing import assert_array_equal
from scipy import sparse
from slide_rs import data, datasets, layers
from slide_rs.datasets import Dataset

FEATURES, LABELS = 300, 700


@pytest.fixture(scope="module")
def rows() -> Dataset:
    made = datasets.make_xmc(400, n_features=FEATURES, n_labels=LABELS, noise=0.1, seed=2)
    # A row without labels, and one without features.
    keep = np.ones(400, np.float32)
    keep[7] = 0
    X = sparse.csr_array(sparse.diags(keep, dtype=np.float32) @ made.X)
    keep[7], keep[9] = 1, 0
    Y = sparse.csr_array(sparse.diags(keep, dtype=np.float32) @ made.Y)
    for matrix in (X, Y):
        matrix.eliminate_zeros()
        matrix.sort_indices()
    return Dataset(X, Y)


def network(features: int = FEATURES) -> sr.Network:
    output = layers.SampledDense(LABELS)
    return sr.Network([layers.SparseInput(features), layers.Dense(8), output])


@pytest.fixture(scope="module")
def in_memory(rows: Dataset) -> sr.Network:
    net = network()
    net.fit(rows.X, rows.Y, epochs=2, batch_size=64, verbose=False)
    return net


def assert_trains_as(stream: data.Stream, expected: sr.Network, features: int = FEATURES) -> None:
    net = network(features)
    net.fit(stream, epochs=2, batch_size=64, verbose=False)
    weights = expected.weights()
    for name, found in net.weights().items():
        assert_array_equal(found, weights[name], err_msg=name)


def lists(matrix: Any, part: str) -> list[list[Any]]:
    found = getattr(matrix, part)
    return [found[a:b].tolist() for a, b in itertools.pairwise(matrix.indptr)]


@pytest.fixture(scope="module")
def table(rows: Dataset) -> pa.Table:
    labels: list[Any] = lists(rows.Y, "indices")
    labels[9] = None
    return pa.table(
        {
            "extra": pa.array(["text"] * 400),
            "ids": pa.array(lists(rows.X, "indices"), pa.list_(pa.int32())),
            "tfidf": pa.array(lists(rows.X, "data"), pa.list_(pa.float32())),
            "labels": pa.array(labels, pa.large_list(pa.int64())),
        }
    )


SOURCES: dict[str, Callable[[pa.Table], Any]] = {
    "table": lambda table: table,
    "chunks": lambda table: pa.concat_tables([table[:150], table[150:]]),
    "batches": lambda table: table.to_batches(max_chunksize=90),
    "dataset": arrow_dataset.dataset,
    "slices": lambda table: [table[:130], table[130:]],
}


@pytest.mark.parametrize("source", SOURCES)
def test_arrow_lists_train_as_csr(source: str, table: pa.Table, in_memory: sr.Network) -> None:
    stream = data.from_arrow(SOURCES[source](table), "ids", "labels", values="tfidf")
    assert_trains_as(stream, in_memory)


def test_a_reader_of_batches_trains_one_epoch(table: pa.Table) -> None:
    reader = table.to_reader(max_chunksize=100)
    stream = data.from_arrow(reader, "ids", "labels", values="tfidf", n_rows=400)
    assert network().fit(stream, verbose=False).epochs == [1]
    with pytest.raises(ValueError, match="an iterator that was used before"):
        network().fit(stream, verbose=False)


def test_what_exports_an_arrow_stream_is_read(table: pa.Table, in_memory: sr.Network) -> None:
    class Exports:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return table.__arrow_c_stream__(requested_schema)

    assert_trains_as(data.from_arrow(Exports(), "ids", "labels", values="tfidf"), in_memory)


def test_parquet_files_train_as_csr(table: pa.Table, in_memory: sr.Network, tmp_path: Path) -> None:
    for number, part in enumerate((table[:170], table[170:])):
        pq.write_table(part, tmp_path / f"{number}.parquet", row_group_size=60)
    stream = data.stream_parquet(
        str(tmp_path / "*.parquet"), x="ids", y="labels", values="tfidf", piece_rows=50
    )
    assert stream.n_rows == 400
    assert_trains_as(stream, in_memory)


def test_pandas_frames_train_as_csr(table: pa.Table, in_memory: sr.Network) -> None:
    frame = table.drop_columns(["labels"]).to_pandas()
    # Lists that are empty, and none that is null: pandas has objects.
    frame["labels"] = [found or [] for found in table.column("labels").to_pylist()]
    stream = data.from_frame(frame, "ids", "labels", values="tfidf")
    assert stream.n_rows == 400
    assert_trains_as(stream, in_memory)


def test_polars_frames_train_as_csr(table: pa.Table, in_memory: sr.Network) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.from_arrow(table)
    assert_trains_as(data.from_frame(frame, "ids", "labels", values="tfidf"), in_memory)
    with pytest.raises(TypeError, match="frame: found LazyFrame, wanted a data frame in memory"):
        data.from_frame(frame.lazy(), "ids", "labels")


def test_arrow_tables_are_frames_too(table: pa.Table, in_memory: sr.Network) -> None:
    assert_trains_as(data.from_frame(table, "ids", "labels", values="tfidf"), in_memory)
    assert narwhals.from_native(table).columns == table.column_names


def test_columns_of_numbers_are_dense_rows_and_an_integer_is_a_label() -> None:
    frame = pd.DataFrame({"a": [1, 2, 3], "b": [0.5, 0.0, 1.0], "y": [4, 0, 2], "w": [1, 2, 0.5]})
    stream = data.from_frame(frame, ["a", "b"], "y", weight="w")
    (batch,) = stream.pieces(2, 5)
    assert batch.X.dtype == np.float32
    assert_array_equal(batch.X, [[1, 0.5], [2, 0], [3, 1]])
    assert (batch.Y.tolist(), batch.weight.tolist()) == ([4, 0, 2], [1, 2, 0.5])


@pytest.mark.parametrize("kind", [pa.list_(pa.float64()), pa.list_(pa.float32(), 2)])
def test_lists_of_floats_are_dense_rows(kind: pa.DataType) -> None:
    table = pa.table({"x": pa.array([[1, 0.5], [2, 3]], kind), "y": [[0], [1, 2]]})
    (batch,) = data.from_arrow(table, "x", "y").pieces(2, 3)
    assert_array_equal(batch.X, np.array([[1, 0.5], [2, 3]], np.float32))
    assert_array_equal(batch.Y.toarray(), [[1, 0, 0], [0, 1, 1]])


def test_repeated_ids_are_counted_as_features_and_once_as_labels() -> None:
    table = pa.table({"x": [[3, 1, 3], []], "y": [[2, 0, 2], [1]]})
    (batch,) = data.from_arrow(table, "x", "y").pieces(4, 3)
    assert_array_equal(batch.X.toarray(), [[0, 1, 0, 2], [0, 0, 0, 0]])
    assert_array_equal(batch.Y.toarray(), [[1, 0, 1], [0, 1, 0]])


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"x": [[1]]}, {}, "table: found no column 'y' among"),
        ({"x": [[4]], "y": [[0]]}, {}, "column 'x': found the id 4, wanted 0 to 3"),
        ({"x": [[-1]], "y": [[0]]}, {}, "column 'x': found the id -1, wanted 0 to 3"),
        ({"x": [[0]], "y": [[3]]}, {}, "column 'y': found the id 3, wanted 0 to 2"),
        ({"x": [[0]], "y": [3]}, {}, "piece 0 of the stream: Y: found label 3"),
        ({"x": [[0, None]], "y": [[0]]}, {}, "column 'x': found a null, wanted whole numbers"),
        ({"x": [["a"]], "y": [[0]]}, {}, "column 'x': found string, wanted whole numbers"),
        ({"x": [1], "y": [[0]]}, {}, "column 'x': found int64, wanted lists of ids"),
        ({"x": [[1]], "y": [0.5]}, {}, "column 'y': found double, wanted whole numbers"),
        ({"x": [[1]], "y": [None]}, {}, "column 'y': found a null"),
        ({"x": [[0.5], [1, 2]], "y": [0, 1]}, {}, "found lists of 1 to 2 floats, wanted one"),
        ({"x": [[0.5]], "y": [0]}, {}, "piece 0 of the stream: X: found 1 columns, wanted 4"),
        (
            {"x": [[1]], "y": [[0]], "v": [[1.0, 2]]},
            {"values": "v"},
            "column 'v': wanted lists as long as those of",
        ),
    ],
)
def test_a_wrong_table_is_named_with_its_column(
    columns: dict[str, Any], options: dict[str, str], message: str
) -> None:
    net = sr.Network([layers.SparseInput(4), layers.Dense(4), layers.SampledDense(3)])
    with pytest.raises(ValueError, match=message):
        net.fit(data.from_arrow(pa.table(columns), "x", "y", **options), verbose=False)


def test_a_wrong_file_of_parquet_is_named(tmp_path: Path) -> None:
    path = tmp_path / "no.parquet"
    path.write_text("text, and no Parquet at all")
    with pytest.raises(ValueError, match=r"no\.parquet: "):
        data.stream_parquet(path, "x", "y")
    pq.write_table(pa.table({"x": [[1]]}), path)
    with pytest.raises(ValueError, match=r"no\.parquet: found no column 'y'"):
        data.stream_parquet(path, "x", "y")


def test_what_is_no_table_is_refused() -> None:
    for found in (3, "rows.parquet"):
        with pytest.raises(TypeError, match=f"table: found {type(found).__name__}"):
            data.from_arrow(found, "x", "y")
    with pytest.raises(TypeError, match=r"table\[0\]: found int, wanted a pyarrow RecordBatch"):
        next(data.from_arrow([1], "x", "y").pieces(3, 3))
    with pytest.raises(TypeError, match="frame: found list"):
        data.from_frame([1], "x", "y")
    with pytest.raises(ValueError, match="n_features: found None, wanted the number of columns"):
        next(iter(data.from_arrow(pa.table({"x": [[1]], "y": [[1]]}), "x", "y", n_labels=2)))


@pytest.mark.parametrize(
    ("package", "call"),
    [
        ("pyarrow", lambda: data.from_arrow(None, "x", "y")),
        ("pyarrow", lambda: data.stream_parquet("no", "x", "y")),
        ("narwhals", lambda: data.from_frame(None, "x", "y")),
        ("pooch", lambda: datasets.fetch("bibtex")),
    ],
)
def test_a_package_that_is_missing_is_named_with_its_extra(
    package: str, call: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    extra = "datasets" if package == "pooch" else "data"
    with pytest.raises(ImportError, match=rf"needs {package}: pip install 'slide_rs\[{extra}\]'"):
        call()


class FakeTensor:
    """As much of a tensor as is looked at."""

    def __init__(self, array: Any, layout: str = "torch.strided") -> None:
        self.array, self.layout = array, layout
        self.shape = array.shape

    def detach(self) -> FakeTensor:
        return self

    cpu = coalesce = detach

    def numpy(self) -> Any:
        assert self.layout == "torch.strided"
        return self.array

    def crow_indices(self) -> FakeTensor:
        return FakeTensor(self.array.indptr.astype(np.int64))

    def col_indices(self) -> FakeTensor:
        return FakeTensor(self.array.indices.astype(np.int64))

    def values(self) -> FakeTensor:
        return FakeTensor(self.array.data.astype(np.float64))

    def indices(self) -> FakeTensor:
        found = self.array.tocoo()
        return FakeTensor(np.stack((found.row, found.col)))


@pytest.mark.parametrize("layout", ["torch.sparse_csr", "torch.sparse_coo"])
def test_sparse_tensors_of_a_loader_train_as_csr(
    layout: str, rows: Dataset, in_memory: sr.Network
) -> None:
    bounds = [0, 150, 151, 400]
    loader = [
        [FakeTensor(rows.X[a:b], layout), FakeTensor(rows.Y[a:b], layout)]
        for a, b in itertools.pairwise(bounds)
    ]
    assert_trains_as(data.TorchDataLoaderAdapter(loader, shuffle_buffer=1000), in_memory)


def test_dense_tensors_of_a_loader_keep_their_order() -> None:
    x, y = np.arange(12.0).reshape(6, 2), np.eye(6, dtype=np.int64)[::-1]
    parts = (slice(0, 4), slice(4, 6))
    hot = [(FakeTensor(x[part]), FakeTensor(y[part])) for part in parts]
    vector = [
        (FakeTensor(x[part]), FakeTensor(y[part].argmax(1)), np.ones(6)[part]) for part in parts
    ]
    found = []
    for loader in (hot, vector):
        stream = data.TorchDataLoaderAdapter(loader, n_features=2, n_labels=6)
        batches = list(data.batches(stream, batch_size=5, shuffle=False))
        assert [batch.X.shape[0] for batch in batches] == [5, 1]
        assert batches[0].X.dtype == np.float32
        assert_array_equal(np.concatenate([batch.X for batch in batches]), x)
        found.append(np.concatenate([batch.Y.toarray() for batch in batches]))
    assert_array_equal(found[0], y)
    assert_array_equal(found[1], y)


def test_a_loader_that_gives_something_else_is_named() -> None:
    stream = data.TorchDataLoaderAdapter([{"x": 1}], n_features=2, n_labels=2)
    with pytest.raises(TypeError, match="piece 0 of the stream: found dict, wanted a pair"):
        next(iter(stream))
    tensor = FakeTensor(np.eye(2), "torch.sparse_bsr")
    with pytest.raises(TypeError, match=r"layout torch\.sparse_bsr, wanted sparse_csr"):
        next(iter(data.TorchDataLoaderAdapter([(tensor, [0, 1])])))


def test_batches_of_a_loop_hold_every_row_once(rows: Dataset) -> None:
    weight = np.arange(400, dtype=np.float32)
    found = list(data.batches(rows.X, rows.Y, 150, seed=4, sample_weight=weight))
    assert [batch.X.shape[0] for batch in found] == [150, 150, 100]
    order = np.concatenate([batch.weight for batch in found]).astype(int)
    assert_array_equal(np.sort(order), np.arange(400))
    assert (sparse.vstack([batch.X for batch in found]) != rows.X[order]).nnz == 0
    assert (sparse.vstack([batch.Y for batch in found]) != rows.Y[order]).nnz == 0
    again = data.batches(rows.X, rows.Y, 150, seed=4, sample_weight=weight)
    assert_array_equal(next(again).weight, found[0].weight)
    other = data.batches(rows.X, rows.Y, 150, seed=5, sample_weight=weight)
    assert not np.array_equal(next(other).weight, found[0].weight)


def test_batches_in_order_borrow_the_rows(rows: Dataset) -> None:
    X = rows.X.toarray()
    for batch in data.batches(rows.X, rows.Y, 64, shuffle=False):
        assert np.shares_memory(batch.X.data, rows.X.data)
        assert np.shares_memory(batch.X.indices, rows.X.indices)
        assert np.shares_memory(batch.Y.indices, rows.Y.indices)
    for batch in data.batches(X, rows.Y, 64, shuffle=False):
        assert np.shares_memory(batch.X, X)


def test_batches_of_a_stream_hold_every_row_once(rows: Dataset) -> None:
    pieces = [(rows.X[:90], rows.Y[:90]), (rows.X[90:], rows.Y[90:])]
    stream = data.Stream(pieces, n_features=FEATURES, n_labels=LABELS, shuffle_buffer=100)
    found = list(data.batches(stream, batch_size=32))
    assert [batch.X.shape[0] for batch in found] == [32] * 12 + [16]
    sums = np.sort(np.concatenate([batch.X.sum(axis=1) for batch in found]))
    np.testing.assert_allclose(sums, np.sort(rows.X.sum(axis=1)), rtol=1e-6)
    in_order = data.batches(stream, batch_size=32, shuffle=False)
    assert (sparse.vstack([batch.Y for batch in in_order]) != rows.Y).nnz == 0


def test_wrong_batches_are_named(rows: Dataset) -> None:
    for call, message in (
        (lambda: data.batches(rows.X, rows.Y[:9]), "Y: found 9 rows, wanted the 400 of X"),
        (lambda: data.batches(rows.X), "Y: found NoneType, wanted CSR"),
        (lambda: data.batches([[1]], [0]), "X: found list, wanted a SciPy CSR"),
        (lambda: data.batches(np.ones(3), [0] * 3), "X: found 1 dimensions"),
        (lambda: data.batches(data.Stream([])), "n_features: found None for a stream"),
        (lambda: data.batches(data.Stream([]), [1]), "X: found a stream with Y"),
        (lambda: data.batches(rows.X, rows.Y, 0), "batch_size: found 0"),
        (lambda: next(data.batches(rows.X.tocoo(), rows.Y)), "wanted CSR, whose rows"),
        (lambda: data.Stream(3), "pairs: found int"),  # type: ignore[arg-type]
        (lambda: data.Stream([], n_rows=0), "n_rows: found 0"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            call()

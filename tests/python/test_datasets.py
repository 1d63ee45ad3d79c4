"""Reading, writing and making data sets."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from scipy import sparse
from slide_rs import datasets

TEXT = "3 5 4\n0,3 1:0.5 4:1.25\n 2:1\n1\n"


def equal(one, other):
    return one.shape == other.shape and (one != other).nnz == 0


@pytest.mark.parametrize("name", ["plain.txt", "packed.txt.gz"])
def test_a_file_is_read_to_canonical_arrays_of_the_right_types(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(TEXT.encode()) if name.endswith("gz") else TEXT.encode())
    data = datasets.read_xmc(path)
    assert (data.n_features, data.n_labels) == (5, 4)
    wanted_x = [[0, 0.5, 0, 0, 1.25], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(data.X.toarray(), wanted_x)
    np.testing.assert_array_equal(data.Y.toarray(), [[1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]])
    for matrix in data:
        assert isinstance(matrix, sparse.csr_array)
        assert matrix.has_canonical_format
        assert matrix.dtype == np.float32
        assert matrix.indices.dtype == matrix.indptr.dtype == np.int32


def test_the_large_arrays_are_wrapped_and_not_copied(monkeypatch):
    arrays = (
        np.array([0, 2]),
        np.array([1, 4], dtype=np.int32),
        np.array([0.5, 1.25], dtype=np.float32),
        np.array([0, 1]),
        np.array([3], dtype=np.int32),
    )
    monkeypatch.setattr(datasets._core, "read_xmc", lambda _: (*arrays, 5, 4))
    data = datasets.read_xmc("any")
    assert np.shares_memory(data.X.indices, arrays[1])
    assert np.shares_memory(data.X.data, arrays[2])
    assert np.shares_memory(data.Y.indices, arrays[4])


@pytest.mark.parametrize("name", ["plain.txt", "packed.txt.gz"])
def test_what_is_written_reads_back_bitwise(tmp_path, name):
    made = datasets.make_xmc(300, n_features=400, n_labels=50, seed=3)
    datasets.write_xmc(tmp_path / name, *made)
    read = datasets.read_xmc(tmp_path / name)
    for one, other in zip(made, read, strict=True):
        assert one.shape == other.shape
        for part in ("indptr", "indices", "data"):
            np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


def test_errors_of_files_name_the_file_and_the_line(tmp_path):
    path = tmp_path / "bad.txt"
    path.write_text("2 5 4\n0 1:1\n0 1:x\n")
    with pytest.raises(ValueError, match=r'bad\.txt: line 3: found "1:x", wanted a number'):
        datasets.read_xmc(path)
    with pytest.raises(OSError, match=r"missing\.txt"):
        datasets.read_xmc(tmp_path / "missing.txt")


def test_features_and_labels_of_different_length_are_not_written(tmp_path):
    X, Y = datasets.make_xmc(20, n_features=30, n_labels=5)
    with pytest.raises(ValueError, match="Y: found 19 rows, wanted the 20 of X"):
        datasets.write_xmc(tmp_path / "bad.txt", X, Y[:19])
    assert not (tmp_path / "bad.txt").exists()


def test_the_same_seed_makes_the_same_data_and_another_does_not():
    one, same, other = (
        datasets.make_xmc(200, n_features=300, n_labels=40, seed=seed) for seed in (5, 5, 6)
    )
    assert equal(one.X, same.X)
    assert equal(one.Y, same.Y)
    assert not equal(one.Y, other.Y)


def test_made_rows_have_unit_length_labels_and_a_long_tail():
    X, Y = datasets.make_xmc(5_000, n_features=3_000, n_labels=1_000)
    lengths = np.sqrt(X.multiply(X).sum(axis=1))
    # A sum of 40 float32 squares.
    np.testing.assert_allclose(lengths, 1.0, rtol=40 * np.finfo(np.float32).eps)
    assert X.has_canonical_format
    assert Y.has_canonical_format
    assert Y.sum(axis=1).min() >= 1
    assert set(Y.data) == {1.0}
    frequency = np.sort(Y.sum(axis=0))[::-1]
    assert frequency[:100].sum() > 2 * frequency[-500:].sum()


def test_made_labels_can_be_learned_from_the_features():
    train, test = datasets.make_xmc(3_000, n_features=2_000, n_labels=100, seed=2).split(2_500)
    centres = train.Y.T @ train.X
    centres = centres.toarray() / np.linalg.norm(centres.toarray(), axis=1, keepdims=True)
    best = (test.X @ centres.T).argmax(axis=1)
    hit = test.Y[np.arange(500), best]
    popular = test.Y[:, [int(train.Y.sum(axis=0).argmax())]].mean()
    assert np.mean(hit) > max(0.6, 2 * popular)


def test_a_split_keeps_all_rows_in_order():
    data = datasets.make_xmc(50, n_features=60, n_labels=9)
    first, rest = data.split(30)
    assert equal(sparse.vstack([first.X, rest.X]), data.X)
    assert equal(sparse.vstack([first.Y, rest.Y]), data.Y)
    with pytest.raises(ValueError, match="first: found 51, wanted a whole number from 0 to 50"):
        data.split(51)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("n_samples", 0), ("n_labels", 0), ("labels_per_row", 0.5), ("noise", 1.5), ("seed", -1)],
)
def test_impossible_sizes_are_errors_that_name_the_argument(argument, value):
    with pytest.raises(ValueError, match=f"{argument}: found {value}"):
        datasets.make_xmc(**{argument: value})

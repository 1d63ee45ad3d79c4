"""What users hold, as the engine takes it."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from slide_rs import SlideWarning, _core
from slide_rs.arrays import features, n_rows, slice_rows
from slide_rs.labels import candidates, labels, slice_labels

DENSE = np.array([[0, 2, 0, 1], [0, 0, 0, 0], [3, 0, 0, 4]], np.float32)
PLACES = ("indptr", "indices", "data")


def dense_of(x: Any) -> np.ndarray[Any, Any]:
    """Return what the engine would see."""
    if not isinstance(x, tuple):
        return np.asarray(x)
    indptr, indices, data = x
    return sparse.csr_array((data, indices, indptr), shape=(len(indptr) - 1, 4)).toarray()


def with_index(dtype: Any, matrix: Any = DENSE) -> Any:
    csr = sparse.csr_array(matrix)
    csr.indptr, csr.indices = csr.indptr.astype(dtype), csr.indices.astype(dtype)
    return csr


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csr_matrix])
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_exact_csr_is_borrowed_and_not_copied(kind: Any, index: Any) -> None:
    x = kind(DENSE)
    x.indptr, x.indices = x.indptr.astype(index), x.indices.astype(index)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        given = features(x, 4, copy=False)
    for array, place in zip(given, PLACES, strict=True):
        assert np.shares_memory(array, getattr(x, place))
    addresses = [getattr(x, place).__array_interface__["data"][0] for place in PLACES]
    assert _core.borrowed_addresses(given) == addresses


def test_only_rows_that_need_no_change_and_no_error_are_well_formed() -> None:
    def well_formed(**changed: Any) -> bool:
        csr = with_index(np.int32)
        parts = {place: getattr(csr, place) for place in PLACES} | changed
        return _core.is_well_formed(tuple(parts[place] for place in PLACES), 4)

    assert well_formed()
    # Two rows of two ids each, and one without any.
    assert well_formed(indices=np.array([0, 3, 1, 2], np.int32))
    wrong: list[dict[str, Any]] = [
        {"indices": np.array([1, 3, 3, 0], np.int32)},
        {"indices": np.array([1, 3, 3, 3], np.int32)},
        {"indices": np.array([1, 4, 0, 3], np.int32)},
        {"indices": np.array([1, -3, 0, 3], np.int32)},
        {"indices": np.array([1, 3, 0, 3], np.int64)},
        {"indices": np.array([1, 3, 0, 3, 0], np.int32)},
        {"indptr": np.array([0, 3, 2, 4], np.int32)},
        {"indptr": np.array([1, 2, 2, 4], np.int32)},
        {"data": np.ones(4)},
        {"data": np.ones(3, np.float32)},
        {"data": np.ones(8, np.float32)[::2]},
        {"data": np.array([1, np.nan, 1, 1], np.float32)},
        {"data": [1.0, 1.0, 1.0, 1.0]},
    ]
    for changed in wrong:
        assert not well_formed(**changed), changed
    assert not _core.is_well_formed(DENSE, 4)
    assert not _core.is_well_formed(None, 4)


def test_exact_dense_is_borrowed_and_not_copied() -> None:
    given = features(DENSE, 4, copy=False)
    assert given is DENSE
    assert _core.borrowed_addresses(given) == [DENSE.__array_interface__["data"][0]]


def test_read_only_arrays_are_borrowed() -> None:
    x = sparse.csr_array(DENSE)
    for place in PLACES:
        getattr(x, place).flags.writeable = False
    given = features(x, 4, copy=False)
    assert _core.borrowed_addresses(given)[2] == x.data.__array_interface__["data"][0]


@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_exact_labels_are_borrowed_and_not_copied(index: Any) -> None:
    y = with_index(index)
    indptr, ids = labels(y, 4, 3, copy=False)
    assert np.shares_memory(indptr, y.indptr)
    assert np.shares_memory(ids, y.indices)
    vector = np.array([2, 0, 1], index)
    assert np.shares_memory(labels(vector, 4, 3, copy=False)[1], vector)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (DENSE.astype(np.float64), "float64 to float32"),
        (DENSE.astype(np.int64), "int64 to float32"),
        (DENSE.astype(bool), "bool to float32"),
        (DENSE.astype(np.float16), "float16 to float32"),
        (DENSE.astype(">f4"), ">f4 to float32|float32"),
        (np.asfortranarray(DENSE), "C-contiguous"),
        (np.repeat(DENSE, 2, axis=1)[:, ::2], "C-contiguous"),
        (sparse.csr_array(DENSE.astype(np.float64)), "float64 to float32"),
        (sparse.csc_array(DENSE), "CSC was converted"),
        (sparse.coo_array(DENSE), "COO was converted"),
        (sparse.lil_matrix(DENSE), "LIL was converted"),
        (sparse.dok_array(DENSE), "DOK was converted"),
        (sparse.bsr_array(DENSE), "BSR was converted"),
        (with_index(np.int16), "int16 to int64"),
        (with_index(np.uint32), "uint32 to int64"),
    ],
    ids=lambda value: str(value).replace(" ", "-") if isinstance(value, str) else "",
)
def test_what_needs_a_copy_is_converted_with_one_warning_at_the_caller(x: Any, said: str) -> None:
    with pytest.warns(SlideWarning, match=f"X: .*({said}).* avoids that") as caught:
        given = features(x, 4)
    assert caught[0].filename == __file__
    expected = x.toarray() if sparse.issparse(x) else x
    assert_array_equal(dense_of(given), expected.astype(np.float32))
    assert len(_core.borrowed_addresses(given)) == (1 if isinstance(x, np.ndarray) else 3)


@pytest.mark.parametrize(
    ("indptr", "indices", "kept"),
    [(np.int64, np.int32, "indices"), (np.int32, np.int64, "indices")],
)
def test_of_two_index_types_only_the_short_array_is_cast(
    indptr: Any, indices: Any, kept: str
) -> None:
    x = sparse.csr_array(np.ones((3, 4), np.float32))
    x.indptr, x.indices = x.indptr.astype(indptr), x.indices.astype(indices)
    with pytest.warns(SlideWarning, match="indptr was cast"):
        given = features(x, 4)
    assert isinstance(given, tuple)
    assert given[0].dtype == given[1].dtype
    assert np.shares_memory(given[1], getattr(x, kept))


def test_unsorted_and_repeated_indices_are_sorted_and_summed_in_a_copy() -> None:
    indices = np.array([3, 1, 3, 2, 2], np.int32)
    data = np.array([1, 2, 4, 5, -5], np.float32)
    x = sparse.csr_array((data, indices, np.array([0, 3, 3, 5], np.int32)), shape=(3, 4))
    with pytest.warns(SlideWarning, match="sorted and summed") as caught:
        given = features(x, 4)
    assert len(caught) == 1
    assert_array_equal(dense_of(given), [[0, 2, 0, 5], [0, 0, 0, 0], [0, 0, 0, 0]])
    assert_array_equal(x.indices, [3, 1, 3, 2, 2])
    assert_array_equal(x.data, [1, 2, 4, 5, -5])


def test_order_across_rows_is_no_reason_to_copy() -> None:
    x = sparse.csr_array(np.array([[0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 1, 0]], np.float32))
    assert np.shares_memory(features(x, 4, copy=False)[1], x.indices)


def test_any_object_with_csr_attributes_is_accepted() -> None:
    csr = sparse.csr_array(DENSE)
    x = SimpleNamespace(indptr=csr.indptr, indices=csr.indices, data=csr.data, shape=csr.shape)
    assert np.shares_memory(features(x, 4)[2], csr.data)


def test_spare_room_behind_the_last_row_is_left_out() -> None:
    csr = sparse.csr_array(DENSE)
    x = SimpleNamespace(
        indptr=csr.indptr,
        indices=np.append(csr.indices, 99).astype(np.int32),
        data=np.append(csr.data, np.nan).astype(np.float32),
        shape=csr.shape,
    )
    given = features(x, 4, copy=False)
    assert_array_equal(dense_of(given), DENSE)
    assert np.shares_memory(given[1], x.indices)


@pytest.mark.parametrize("x", [np.zeros((0, 4), np.float32), sparse.csr_array((0, 4))])
@pytest.mark.filterwarnings("ignore::slide_rs.SlideWarning")
def test_no_rows_are_rows_too(x: Any) -> None:
    assert n_rows(features(x, 4)) == 0


def test_the_same_labels_in_every_form_are_the_same_arrays() -> None:
    lists: list[Any] = [
        [[1, 3], [], [0]],
        [(3, 1), (), (0,)],
        [{1, 3}, set(), {0}],
        [np.array([3, 1]), np.array([], int), [0]],
        ([1, 1, 3], [], [0, 0]),
        [[1, 3], range(0), range(1)],
        sparse.csr_array(np.array([[0, 2.5, 0, 1], [0, 0, 0, 0], [9, 0, 0, 0]])),
        sparse.csr_matrix(np.array([[0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]], bool)),
        np.array([[3, 1], [-1, -1], [0, -1]]),
        np.array([[1, 3, -1], [-100, -1, -100], [0, -100, -1]], np.int16),
        np.array([[1, 3], [], [0]], dtype=object),
    ]
    for y in lists:
        indptr, ids = labels(y, 4, 3)
        assert indptr.dtype == ids.dtype
        assert_array_equal(indptr, [0, 2, 2, 3])
        assert_array_equal(ids, [1, 3, 0])


def test_a_full_array_of_ids_is_read_whatever_its_width() -> None:
    indptr, ids = labels(np.array([[3, 1, 2, 0], [0, 2, 1, 3]]), 4, 2)
    assert_array_equal(indptr, [0, 4, 8])
    assert_array_equal(ids, [0, 1, 2, 3] * 2)
    with pytest.raises(ValueError, match="Y: found label -2 in row 1, wanted 0 to 3"):
        labels(np.array([[3, 1], [-2, -1]]), 4, 2)


@pytest.mark.parametrize(
    ("matrix", "n_labels"),
    [
        ([[0, 1, 0], [1, 0, 1]], 4),
        ([[-1, 1, -1], [1, -1, -1]], 4),
        ([[1, 3, 3], [2, -1, -1]], 4),
        ([[0, 0, 0, 1]], 4),
        ([[0, 1], [1, 0]], 2),
    ],
)
def test_a_matrix_of_zeros_or_signs_is_not_taken_for_ids(
    matrix: list[list[int]], n_labels: int
) -> None:
    with pytest.raises(TypeError, match="Y: found a dense 2-D array"):
        labels(np.array(matrix), n_labels, len(matrix))


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.int64, np.uint64])
@pytest.mark.filterwarnings("ignore::slide_rs.SlideWarning")
def test_a_vector_gives_one_label_a_row(dtype: Any) -> None:
    indptr, ids = labels(np.array([2, 0, 3], dtype), 4, 3)
    assert_array_equal(indptr, [0, 1, 2, 3])
    assert_array_equal(ids, [2, 0, 3])
    assert_array_equal(labels([2, 0, 3], 4, 3)[1], [2, 0, 3])


def test_explicit_zeros_are_no_labels_and_their_removal_is_said() -> None:
    y = sparse.csr_array(np.ones((3, 4), np.float32))
    y.data[[0, 5, 11]] = 0
    with pytest.warns(SlideWarning, match="Y: explicit zeros were removed"):
        indptr, ids = labels(y, 4, 3)
    assert_array_equal(indptr, [0, 3, 6, 9])
    assert_array_equal(ids, [1, 2, 3, 0, 2, 3, 0, 1, 2])
    assert y.nnz == 12


def test_unsorted_and_repeated_labels_are_sorted_once() -> None:
    ids = np.array([3, 1, 3, 2], np.int64)
    y = sparse.csr_array((np.ones(4), ids, np.array([0, 3, 3, 4])), shape=(3, 4))
    with pytest.warns(SlideWarning, match="sorted"):
        indptr, found = labels(y, 4, 3)
    assert_array_equal(indptr, [0, 2, 2, 3])
    assert_array_equal(found, [1, 3, 2])


def test_candidates_are_per_row_or_shared() -> None:
    for given in (np.array([3, 0, 3]), [3, 0], (0, 3), np.array([0, 3], np.int16)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SlideWarning)
            indptr, ids = candidates(given, 4, 2).rows(0, 2)
        assert_array_equal(indptr, [0, 2, 4])
        assert_array_equal(ids, [0, 3, 0, 3])
    indptr, ids = candidates([[3, 0], []], 4, 2).rows(0, 2)
    assert_array_equal(indptr, [0, 2, 2])
    assert_array_equal(ids, [0, 3])
    assert_array_equal(candidates([], 4, 2).bounds, [0, 0, 0])


@pytest.mark.parametrize(("start", "stop"), [(0, 3), (0, 1), (1, 2), (2, 3), (1, 1)])
def test_a_slice_of_rows_is_the_slice_of_the_dense_form(start: int, stop: int) -> None:
    x = features(sparse.csr_array(DENSE), 4)
    assert_array_equal(dense_of(slice_rows(x, start, stop)), DENSE[start:stop])
    assert_array_equal(slice_rows(DENSE, start, stop), DENSE[start:stop])
    indptr, ids = slice_labels((x[0], x[1]), start, stop)
    assert_array_equal(dense_of((indptr, ids, np.ones(len(ids)))), DENSE[start:stop] != 0)


def test_the_checks_agree_with_scipy_on_random_matrices() -> None:
    random = np.random.default_rng(3)
    for _ in range(50):
        rows, size = int(random.integers(1, 8)), int(random.integers(0, 30))
        lengths = random.multinomial(size, np.full(rows, 1 / rows))
        indptr = np.concatenate(([0], np.cumsum(lengths)))
        parts = (random.normal(size=size).astype(np.float32), random.integers(0, 4, size), indptr)
        x = sparse.csr_array(parts, shape=(rows, 4))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SlideWarning)
            found = dense_of(features(x, 4))
        np.testing.assert_allclose(found, x.toarray(), rtol=1e-6, atol=1e-6)

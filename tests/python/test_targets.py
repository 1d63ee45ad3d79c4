"""Grades of labels and weights of rows: how they are read, and what they do to training."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import slide_rs as sr
from numpy.testing import assert_array_equal
from scipy import sparse
from slide_rs import layers, optim, samplers, schedules
from slide_rs.labels import pattern, targets, weights

F4 = np.float32
X = np.eye(6, dtype=F4)
Y = [[0], [1, 4], [], [2], [3], [4]]


def made(loss: str = "softmax", lr: float = 0.5) -> sr.Network:
    """Return a network whose steps are a function of the loss alone."""
    return sr.Network(
        [
            layers.SparseInput(6, dropout=0.0),
            layers.Dense(8, "tanh"),
            layers.SampledDense(5, sampler=samplers.Full()),
        ],
        loss=loss,
        optimizer=optim.SGD(lr, schedules.Constant(0)),
    )


def graded(values: dict[tuple[int, int], float], dtype: Any = F4) -> Any:
    matrix = np.zeros((6, 5), dtype)
    for (row, label), value in values.items():
        matrix[row, label] = value
    return sparse.csr_array(matrix)


ONES = {(row, label): 1.0 for row, ids in enumerate(Y) for label in ids}


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.int64, F4, np.float64])
def test_ones_of_any_dtype_are_no_grades_and_cost_no_copy(dtype: Any) -> None:
    matrix = graded(ONES, dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = targets(matrix, 5)
    assert len(found) == 2
    assert found[1] is matrix.indices or np.shares_memory(found[1], matrix.indices)


def test_whole_numbers_count_as_labels_and_not_as_grades() -> None:
    assert len(targets(graded({(0, 1): 3, (1, 2): 2}, np.int32), 5)) == 2


def test_grades_of_float32_are_read_in_place() -> None:
    matrix = graded({(0, 1): 0.5, (1, 2): 2.0})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = targets(matrix, 5, copy=False)
    assert len(found) == 3
    assert np.shares_memory(found[2], matrix.data)
    assert pattern(found)[1] is found[1]


def test_grades_of_float64_are_cast_and_it_is_said() -> None:
    with pytest.warns(sr.SlideWarning, match="grades were cast from float64"):
        found = targets(graded({(0, 1): 0.5}, np.float64), 5)
    assert len(found) == 3
    assert found[2].dtype == F4


@pytest.mark.filterwarnings("ignore::slide_rs.SlideWarning")
def test_unsorted_repeated_and_zero_grades_become_one_a_label() -> None:
    matrix = sparse.csr_array(
        (np.array([2, 0.5, 0.25, 0], F4), np.array([3, 1, 3, 0]), np.array([0, 4])), shape=(1, 5)
    )
    indptr, ids, *grades = targets(matrix, 5)
    assert_array_equal(indptr, [0, 2])
    assert_array_equal(ids, [1, 3])
    assert_array_equal(grades[0], [0.5, 2.25])


@pytest.mark.filterwarnings("ignore::slide_rs.SlideWarning")
def test_repeated_ones_are_one_label_without_a_grade() -> None:
    matrix = sparse.csr_array((np.ones(2, F4), np.array([3, 3]), np.array([0, 2])), shape=(1, 5))
    assert [part.tolist() for part in targets(matrix, 5)] == [[0, 1], [3]]


@pytest.mark.parametrize("found", [[1, 0, 2.5], (1, 0, 2.5), np.array([1, 0, 2.5])], ids=str)
@pytest.mark.filterwarnings("ignore::slide_rs.SlideWarning")
def test_weights_are_float32(found: object) -> None:
    read = weights(found, 3)
    assert read is not None
    assert read.dtype == F4
    assert_array_equal(read, [1, 0, 2.5])
    assert weights(None, 3) is None


def test_weights_of_float32_are_read_in_place() -> None:
    found = np.ones(3, F4)
    assert weights(found, 3, copy=False) is found


def after(net: sr.Network, y: object, **options: Any) -> dict[str, Any]:
    for _ in range(3):
        net.train_batch(X, y, **options)
    return net.weights()


def assert_equal(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for name, value in expected.items():
        assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.parametrize("loss", ["softmax", "softmax_per_label", "sigmoid", "squared", "hinge"])
def test_weights_of_one_and_grades_of_one_change_nothing(loss: str) -> None:
    expected = after(made(loss), Y)
    assert_equal(after(made(loss), graded(ONES)), expected)
    assert_equal(after(made(loss), Y, sample_weight=np.ones(6, F4)), expected)


def test_a_weight_scales_the_loss_of_its_row() -> None:
    row, label = X[:1], [[0]]
    plain = made().train_batch(row, label).loss
    double = made().train_batch(row, label, sample_weight=[2.0]).loss
    assert double == pytest.approx(2 * plain, rel=1e-5)


def test_a_row_of_weight_zero_teaches_nothing() -> None:
    weight = np.array([1, 1, 0, 0, 1, 1], F4)
    others = [[0], [1, 4], [3], [0, 1], [3], [4]]
    assert_equal(
        after(made(), others, sample_weight=weight), after(made(), Y, sample_weight=weight)
    )


def test_softmax_shares_its_target_by_the_ratio_of_the_grades() -> None:
    values = {**ONES, (1, 1): 3.0}
    expected = after(made(), graded(values))
    scaled = {place: value * (4 if place[0] == 1 else 1) for place, value in values.items()}
    assert_equal(after(made(), graded(scaled)), expected)
    plain = after(made(), Y)
    assert np.abs(expected["output.bias"] - plain["output.bias"]).max() > 1e-3


def test_squared_loss_learns_the_grades_themselves() -> None:
    values = {(row, row % 5): 0.25 * (row + 1) for row in range(6)}
    # The last hidden layer has norm 6: with its square times the rate below 2 the steps converge.
    net = made("squared", lr=0.05)
    net.fit(X, graded(values), epochs=400, batch_size=6, verbose=False)
    top = net.predict_topk(X, 1)
    assert_array_equal(top.labels[:, 0], np.arange(6) % 5)
    np.testing.assert_allclose(top.scores[:, 0], 0.25 * np.arange(1, 7), atol=0.05)


def test_sigmoid_refuses_grades_that_it_can_not_reach() -> None:
    match = "Y: found the grade 3 with loss='sigmoid', wanted at most 1"
    high = graded({**ONES, (1, 1): 3.0})
    with pytest.raises(ValueError, match=match):
        made("sigmoid").fit(X, high, epochs=1, verbose=False)
    with pytest.raises(ValueError, match=match):
        made("sigmoid").train_batch(X, high)
    made("sigmoid").train_batch(X, graded({**ONES, (1, 1): 0.5}))
    for loss in ("softmax", "softmax_per_label", "squared", "hinge", "squared_hinge"):
        made(loss).train_batch(X, high)


def test_fit_passes_the_weights_of_its_rows(easy: Any) -> None:
    train, _ = easy
    weight = np.zeros(3000, F4)
    weight[:1500] = 1
    other = sparse.vstack([train.Y[:1500], train.Y[1499::-1]], format="csr")
    found = []
    for y in (train.Y, other):
        # A step computes its labels: of all outputs, so that labels without weight leave no trace.
        net = sr.Network(
            [
                layers.SparseInput(train.n_features),
                layers.Dense(8),
                layers.SampledDense(train.n_labels, sampler=samplers.Full()),
            ]
        )
        net.fit(train.X, y, epochs=1, sample_weight=weight, verbose=False)
        found.append(net.weights())
    assert_equal(*found)

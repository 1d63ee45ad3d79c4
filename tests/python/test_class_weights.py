"""Weights of labels become weights of rows as documented, and as in scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import slide_rs as sr
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.utils.class_weight import compute_sample_weight
from slide_rs import layers
from slide_rs.class_weights import row_weights


def test_with_one_label_a_row_the_weights_are_those_of_scikit_learn() -> None:
    y = np.random.default_rng(0).choice(9, size=200, p=np.arange(1, 10) / 45)
    for weight in ("balanced", {label: label / 2 + 0.5 for label in range(9)}):
        assert_allclose(row_weights(y, weight, 12), compute_sample_weight(weight, y), rtol=1e-6)


def test_a_row_weighs_the_mean_of_its_labels_by_their_grades() -> None:
    grades = np.array([[3, 1, 0], [0, 1, 1], [0, 0, 0], [0, 0, 2]], dtype=np.float32)
    found = row_weights(sparse.csr_array(grades), [2.0, 6.0, 0.0], 3)
    assert_array_equal(found, [(3 * 2 + 6) / 4, 3, 1, 0])
    found = row_weights(sparse.csr_array((grades > 0).astype(np.float32)), {0: 2, 1: 6, 2: 0}, 3)
    assert_array_equal(found, [4, 3, 1, 0])


def test_balanced_labels_weigh_the_same_in_sum() -> None:
    y = [[0, 1], [0], [0], [0, 2], [2]]
    pairs = sparse.csr_array(np.array([[row.count(i) for i in range(4)] for row in y]))
    counts = np.asarray(pairs.sum(axis=0))
    weight = np.where(counts > 0, 7 / (3 * np.maximum(counts, 1)), 1)
    expected = [np.mean([weight[label] for label in row]) for row in y]
    assert_allclose(row_weights(y, "balanced", 4), expected, rtol=1e-6)
    assert np.ptp((weight * counts)[:3]) == pytest.approx(0)


def test_a_weight_of_two_is_the_row_twice_in_the_gradient() -> None:
    # One step of SGD: the mean over rows (a, a, b) against a with weight 2 and b, up to 3 / 2.
    def step(y: list[int], rows: list[int], weight: Any, lr: float) -> dict[str, Any]:
        net = sr.Network(
            [layers.SparseInput(4), layers.Dense(8), layers.SampledDense(3)],
            optimizer=sr.optim.SGD(lr=lr, schedule=sr.schedules.Constant(warmup=0)),
        )
        x = np.eye(4, dtype=np.float32)[rows]
        net.train_batch(x, y, sample_weight=weight)
        return net.weights()

    weighed = step([2, 1], [0, 1], row_weights([2, 1], {2: 2.0}, 3), 0.2)
    repeated = step([2, 2, 1], [0, 0, 1], None, 0.3)
    for name, expected in repeated.items():
        assert_allclose(weighed[name], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("weight", "error", "match"),
    [
        ("even", ValueError, "class_weight: found 'even'"),
        (3, TypeError, "class_weight: found int"),
        ({5: 1.0}, ValueError, "class_weight: found 5"),
        ({1: -1.0}, ValueError, r"class_weight\[1\]: found -1"),
        ([1.0, 2.0], ValueError, r"class_weight: found shape \(2,\)"),
        ([1.0, 2.0, np.nan], ValueError, "class_weight: found nan for label 2"),
        (["a", "b", "c"], TypeError, "class_weight: found dtype"),
    ],
)
def test_wrong_weights_are_named(weight: Any, error: type, match: str) -> None:
    with pytest.raises(error, match=match):
        row_weights([0, 1, 2], weight, 3)


def test_fit_takes_weights_of_labels_times_those_of_rows() -> None:
    rows = sr.datasets.make_xmc(200, n_features=100, n_labels=20, seed=0)
    own = np.linspace(0, 2, 200, dtype=np.float32)

    def fitted(**named: object) -> list[float]:
        net = sr.Network([layers.SparseInput(100), layers.Dense(8), layers.SampledDense(20)])
        return list(net.fit(rows.X, rows.Y, epochs=2, verbose=False, **named)["loss"])  # type: ignore[arg-type]

    weighed = row_weights(rows.Y, "balanced", 20)
    assert fitted(class_weight="balanced") == fitted(sample_weight=weighed)
    assert fitted(class_weight="balanced", sample_weight=own) == fitted(sample_weight=own * weighed)
    assert fitted(class_weight={3: 0.0}) != fitted()
    with pytest.raises(ValueError, match="class_weight: found 'even', wanted 'balanced'"):
        fitted(class_weight="even")

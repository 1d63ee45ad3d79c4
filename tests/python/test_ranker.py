"""Classifiers of labels against liblinear, and the calibration of scores."""

from __future__ import annotations

import numpy as np
import pytest
import slide_rs as sr
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.isotonic import IsotonicRegression
from sklearn.svm import LinearSVC
from slide_rs import calibration
from slide_rs.arrays import features
from slide_rs.labels import labels
from slide_rs.ranker import Classifiers, Ranker


def rows(n: int, width: int, seed: int) -> sparse.csr_array[np.float32]:
    made = sparse.random(n, width, density=0.2, format="csr", random_state=seed, dtype=np.float32)
    return sparse.csr_array(made)


def test_classifiers_are_those_of_liblinear() -> None:
    rng = np.random.default_rng(0)
    n, width, n_labels = 300, 40, 5
    x = rows(n, width, 1)
    y = rng.integers(0, n_labels, n)
    # All labels are proposed for all rows, so that each classifier sees them all.
    listed = labels([list(range(n_labels))] * n, n_labels)
    settings = sr.Ranker(cost=0.5, threshold=0.0, tolerance=1e-6, max_iter=5000)
    trained = Classifiers.fit(
        features(x, width), labels(y, n_labels), listed, (width, n_labels), settings, seed=0
    )
    weights, biases = trained.weights()
    lengths = np.maximum(np.sqrt(np.asarray(x.multiply(x).sum(axis=1)).ravel()), 1e-30)
    unit = sparse.csr_matrix(x.multiply(1 / lengths[:, None]))
    for label in range(n_labels):
        other = LinearSVC(C=0.5, loss="squared_hinge", dual=True, tol=1e-8, max_iter=100_000)
        other.fit(unit, np.where(y == label, 1, -1))
        # Both end where no gradient exceeds a tolerance; strong convexity (by 1) makes the error
        # of the weights at most the root of n of them, and ours are summed in floats.
        own = np.asarray(weights[[label]].todense()).ravel()
        np.testing.assert_allclose(own, other.coef_[0], atol=2e-4)
        assert biases[label] == pytest.approx(other.intercept_[0], abs=2e-4)


def test_equal_scores_are_one_whatever_their_order() -> None:
    for right in ([False, False, True, True], [True, True, False, False]):
        fitted = calibration.Isotonic.fit([0.0] * 4, right)
        assert fitted(np.zeros(1)).tolist() == [0.5]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("weight", -1.0),
        ("weight", "much"),
        ("shortlist", 0),
        ("cost", 0.0),
        ("cost", 1e-46),
        ("weight", 1e39),
        ("cost", float("nan")),
        ("threshold", -0.1),
        ("tolerance", 0),
        ("max_iter", 2.5),
    ],
)
def test_settings_that_mean_nothing_are_refused(name: str, wrong: object) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{name}: found "):
        sr.Ranker(**{name: wrong})  # type: ignore[arg-type]


def test_isotonic_regression_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(4)
    scores = rng.normal(size=500)
    right = rng.random(500) < 1 / (1 + np.exp(-2 * scores))
    own = calibration.Isotonic.fit(scores, right)
    other = IsotonicRegression(out_of_bounds="clip").fit(scores, right.astype(float))
    everywhere = np.linspace(-4, 4, 1001)
    # What it returns are floats.
    np.testing.assert_allclose(own(everywhere), other.predict(everywhere), atol=1e-6)


def test_probabilities_of_a_row_never_rise_and_padding_has_none() -> None:
    rng = np.random.default_rng(5)
    scores = -np.sort(-rng.normal(size=(400, 3)), axis=1)
    right = rng.random((400, 3)) < np.array([0.7, 0.4, 0.2])
    fitted = calibration.Calibration.fit(scores, right)
    assert len(fitted.ranks) == 3
    wide = np.concatenate([scores, np.full((400, 2), -np.inf)], axis=1)
    found = fitted(wide)
    assert (np.diff(found, axis=1) <= 0).all()
    assert (found[:, 3:] == 0).all()
    # Isotonic regression keeps the mean of what it is fitted to.
    first = calibration.Isotonic.fit(scores[:, 0], right[:, 0])(scores[:, 0])
    assert first.mean() == pytest.approx(right[:, 0].mean(), abs=1e-6)
    assert calibration.expected_calibration_error(first, right[:, 0]) < 1e-6


def test_few_rows_say_nothing_of_late_ranks() -> None:
    scores = np.full((200, 2), -np.inf)
    scores[:, 0] = np.arange(200)
    scores[:50, 1] = -1.0
    fitted = calibration.Calibration.fit(scores, np.ones((200, 2), dtype=bool))
    assert len(fitted.ranks) == 1


def test_what_can_not_be_scored_is_named_and_rows_of_users_are_read() -> None:
    x = np.arange(3), np.array([0, 1]), np.ones(2, np.float32)
    each, both = (np.arange(3), np.array([0, 1])), (np.array([0, 2, 4]), np.array([0, 1, 0, 1]))
    trained = Classifiers.fit(x, each, both, (2, 2), Ranker(), seed=0)
    rows = sparse.csr_array(np.eye(2, dtype=np.float32))
    assert_array_equal(trained.score(rows, both), trained.score(x, both))
    assert_array_equal(trained.propose(rows, 1, 9), trained.propose(x, 1, 9))
    wanted = "wanted two vectors of int32 or of int64, where each row begins and its labels"
    for wrong, found in (
        ([[0, 1], [0, 1]], "list"),
        (rows, "csr_array"),
        ((*both, both), "tuple of 3"),
        ((both[0], both[1].astype(np.float32)), "1-D int64 and 1-D float32"),
        ((both[0].astype(np.int32), both[1]), "1-D int32 and 1-D int64"),
        ((both[0], [0, 1, 0, 1]), "1-D int64 and list"),
    ):
        with pytest.raises(TypeError, match=f"^candidates: found {found}, {wanted}$"):
            trained.score(x, wrong)  # type: ignore[arg-type]
    for wrong in ("text", 3, x[:2]):
        with pytest.raises(TypeError, match=r"^x: found "):
            trained.score(wrong, both)

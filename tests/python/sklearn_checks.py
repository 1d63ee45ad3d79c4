"""What scikit-learn asks of every estimator.

test_sklearn.py runs this file in a process of its own.
SciPy reads SCIPY_ARRAY_API when it is imported, and one of the checks is skipped without it.
"""

from __future__ import annotations

from typing import Any

from sklearn.utils.estimator_checks import parametrize_with_checks
from slide_rs.sklearn import SlideClassifier

REASON = (
    "batches are drawn at random: a row that is there twice is in two places of them, and a row of "
    "weight 2 in one, so the two networks are as good but not equal"
)


def expected_failures(estimator: SlideClassifier) -> dict[str, str]:
    return {
        "check_sample_weight_equivalence_on_dense_data": REASON,
        "check_sample_weight_equivalence_on_sparse_data": REASON,
    }


@parametrize_with_checks([SlideClassifier()], expected_failed_checks=expected_failures)
def test_classifier_is_an_estimator(estimator: SlideClassifier, check: Any) -> None:
    check(estimator)

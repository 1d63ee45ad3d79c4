"""The metrics against an oracle that reads like their definitions, one row at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import sparse
from slide_rs import metrics
from slide_rs.topk import TopK

KINDS = ("p", "r", "ndcg", "psp", "psndcg")


def discounted(gains):
    return sum(gain / math.log2(rank + 2) for rank, gain in enumerate(gains))


def oracle(kind, truth, top, k, weights):
    """One value, from lists of lists."""
    reached = possible = 0.0
    for true, predicted in zip(truth, top, strict=True):
        true = set(true)
        hits = [float(label in true) for label in predicted[:k]]
        gains = [weights[label] if label in true else 0.0 for label in predicted[:k]]
        best = sorted((weights[label] for label in true), reverse=True)[:k]
        if not true:
            continue
        ideal = discounted([1.0] * min(k, len(true)))
        reached += {
            "p": sum(hits) / k,
            "r": sum(hits) / len(true),
            "ndcg": discounted(hits) / ideal,
            "psp": sum(gains),
            "psndcg": discounted(gains) / ideal,
        }[kind]
        possible += {"psp": sum(best), "psndcg": discounted(best) / ideal}.get(kind, 0.0)
    if kind in ("psp", "psndcg"):
        return reached / possible if possible else 0.0
    return reached / len(truth)


def random_case(seed):
    """Truth with empty rows, predictions with padding, more labels than `k` and fewer."""
    random = np.random.default_rng(seed)
    n_labels = int(random.integers(6, 40))
    rows = int(random.integers(1, 30))
    truth = [
        random.choice(n_labels, size=random.integers(0, 6), replace=False).tolist()
        for _ in range(rows)
    ]
    top = np.stack([random.permutation(n_labels)[:6] for _ in range(rows)])
    top[random.random(top.shape) < 0.2] = -1
    return truth, top, random.uniform(1.0, 9.0, n_labels), n_labels


def as_csr(truth, n_labels):
    indptr = np.cumsum([0, *map(len, truth)])
    ids = np.array([label for row in truth for label in sorted(row)], dtype=np.int64)
    return sparse.csr_matrix((np.ones(len(ids)), ids, indptr), shape=(len(truth), n_labels))


@pytest.mark.parametrize("seed", range(25))
def test_every_metric_equals_the_oracle(seed):
    truth, top, weights, n_labels = random_case(seed)
    names = [f"{kind}@{k}" for kind in KINDS for k in (1, 2, 3, 5, 6)]
    found = metrics.evaluate(as_csr(truth, n_labels), top, names, inv_propensity=weights)
    assert list(found) == names
    for name, value in found.items():
        kind, k = metrics.parse_name(name)
        assert value == pytest.approx(oracle(kind, truth, top.tolist(), k, weights), abs=1e-12)


def test_values_worked_out_by_hand():
    truth = [[0, 2], [1], []]
    top = np.array([[2, 1, 0], [0, 1, 2], [0, 1, 2]])
    assert metrics.precision_at_k(truth, top, 3) == pytest.approx((2 / 3 + 1 / 3) / 3)
    assert metrics.recall_at_k(truth, top, 1) == pytest.approx(0.5 / 3)
    # Row 0 hits at ranks 1 and 3 where 1 and 2 are best; row 1 hits at rank 2 where 1 is best.
    row_0 = (1 + 1 / 2) / (1 + 1 / math.log2(3))
    assert metrics.ndcg_at_k(truth, top, 3) == pytest.approx((row_0 + 1 / math.log2(3)) / 3)
    weights = [1.0, 4.0, 2.0]
    # Of the best first labels, 2 (weight 2) and 1 (weight 4), only the former is found.
    assert metrics.psprecision_at_k(truth, top, weights, 1) == pytest.approx(2 / 6)
    assert metrics.psndcg_at_k(truth, top, weights, 1) == pytest.approx(2 / 6)


def test_inverse_propensity_is_the_formula_of_the_paper():
    Y = as_csr([[0], [0, 1], [0], [0, 2], [0]], 4)
    scale = (math.log(5) - 1) * 3.6**0.6
    wanted = [1 + scale * (count + 2.6) ** -0.6 for count in (5, 1, 1, 0)]
    assert metrics.inv_propensity(Y, A=0.6, B=2.6) == pytest.approx(wanted)


def test_a_perfect_ranking_scores_one_where_there_are_enough_labels():
    truth, _, weights, n_labels = random_case(3)
    truth = [row or [0] for row in truth]
    top = np.full((len(truth), 6), -1)
    for row, labels in enumerate(truth):
        best = sorted(labels, key=lambda label: -weights[label])
        top[row, : len(best)] = best
    names = ["r@6", "ndcg@3", "psp@3", "psndcg@5"]
    found = metrics.evaluate(as_csr(truth, n_labels), top, names, inv_propensity=weights)
    assert list(found.values()) == pytest.approx([1.0] * 4)


@pytest.mark.parametrize("seed", range(5))
def test_every_form_of_input_gives_the_same_values(seed):
    truth, top, weights, n_labels = random_case(seed)
    # Score 1 / rank: a CSR matrix has the padding squeezed out, so squeeze it here as well.
    top = np.stack([np.concatenate([row[row >= 0], row[row < 0]]) for row in top])
    scores = np.where(top >= 0, 1.0 / np.arange(1, 7), -np.inf).astype(np.float32)
    pairs = TopK(top.astype(np.int32), scores)
    wanted = metrics.evaluate(truth, top, inv_propensity=weights)
    assert set(wanted) == {f"{kind}@{k}" for kind in KINDS for k in (1, 3, 5)}
    Y = as_csr(truth, n_labels)
    for y in (Y, sparse.csr_array(Y), truth):
        for predicted in (top, pairs, pairs.to_csr(n_labels)):
            assert metrics.evaluate(y, predicted, inv_propensity=weights) == wanted


def test_equal_scores_rank_by_lower_id():
    scores = sparse.csr_array(np.array([[0.0, 2.0, 2.0, 1.0]]))
    assert metrics.precision_at_k([[1]], scores, 1) == 1.0
    assert metrics.precision_at_k([[2]], scores, 1) == 0.0


def test_labels_that_are_stored_zeros_are_not_true():
    Y = sparse.csr_array((np.array([0.0, 1.0]), np.array([0, 1]), np.array([0, 2])), shape=(1, 3))
    with pytest.warns(UserWarning, match="zeros"):
        assert metrics.precision_at_k(Y, np.array([[0, 1]]), 2) == 0.5


def test_rows_without_any_label_give_zero_and_no_warning():
    assert metrics.evaluate([[], []], np.array([[-1], [0]]), ks=(1,), inv_propensity=[1.0]) == {
        f"{kind}@1": 0.0 for kind in KINDS
    }


@pytest.mark.parametrize(
    ("y", "top", "names", "weights", "message"),
    [
        ([[0]], [[0], [1]], ["p@1"], None, "top: found 2 rows, wanted the 1 of Y"),
        ([[0]], [[0, 1]], ["p@3"], None, "top: found 2 labels a row, wanted at least 3"),
        ([[0]], [[0.5, 1.0]], ["p@1"], None, "top: found 2-D float64, wanted a TopK"),
        ([[0]], [0, 1], ["p@1"], None, "top: found 1-D int64, wanted a TopK"),
        ([[0]], [[-2]], ["p@1"], None, "top: found label -2, wanted -1"),
        ([[0]], [[3, 1, 3]], ["p@3"], None, "top: found label 3 twice in row 0"),
        ([[0]], [[0]], ["f@1"], None, "metrics: found 'f@1', wanted p@k"),
        ([[0]], [[0]], ["p@0"], None, "metrics: found 'p@0', wanted p@k"),
        ([[0]], [[0]], ["psp@1"], None, "inv_propensity: found None with psp@1"),
        ([[2]], [[0]], ["psp@1"], [1.0], "inv_propensity: found shape .1,., wanted one weight"),
        ([[0]], [[0]], ["psp@1"], [0.0], "inv_propensity: found a weight that is not positive"),
        ([], np.zeros((0, 1), dtype=int), ["p@1"], None, "Y: found no rows"),
    ],
)
def test_bad_input_is_named_with_what_was_wanted(y, top, names, weights, message):
    with pytest.raises(ValueError, match=message):
        metrics.evaluate(y, np.array(top), names, inv_propensity=weights)


def test_a_label_beyond_the_columns_of_the_truth_is_an_error():
    with pytest.raises(ValueError, match="top: found label 3, wanted -1"):
        metrics.precision_at_k(as_csr([[0]], 3), np.array([[3]]), 1)


def test_a_single_name_in_place_of_a_list_is_an_error():
    with pytest.raises(TypeError, match="metrics: found 'p@1', wanted a list"):
        metrics.evaluate([[0]], np.array([[0]]), "p@1")

"""Contributions of features are differences of scores, and those of a ranker add up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy
import slide_rs as sr
from scipy.sparse import csr_array
from slide_rs import datasets, explain, layers, samplers
from slide_rs.inspect import Contribution
from slide_rs.inspect import explain as explained

DATA = datasets.make_xmc(600, n_features=200, n_labels=60, seed=3)


@pytest.fixture(scope="module")
def model() -> sr.Ensemble:
    chain = [layers.SparseInput(200), layers.Dense(16), layers.SampledDense(60)]
    made = sr.Ensemble(chain, n_members=2)
    made.fit(DATA.X, DATA.Y, epochs=4, verbose=False)
    return made


def row(i: int) -> csr_array[Any]:
    return DATA.X[i : i + 1]


def without(x: csr_array[Any], feature: int) -> csr_array[Any]:
    kept = x.indices != feature
    bounds = np.array([0, kept.sum()], x.indptr.dtype)
    return csr_array((x.data[kept], x.indices[kept], bounds), shape=x.shape)


def score(net: sr.Network, x: csr_array[Any], label: int) -> float:
    return float(net.predict_topk(x, 1, candidates=[[label]]).scores[0, 0])


def test_a_contribution_is_what_the_score_loses_without_the_feature(model: sr.Ensemble) -> None:
    net, x = model.members[0], row(5)
    found = explained(net, x, 7, k=None)
    assert {one.feature for one in found} == set(x.indices.tolist())
    for one in found:
        assert one.value == x.data[x.indices == one.feature][0]
        # The same dot products of the same rows: the engine gives the same bits.
        lost = np.float32(score(net, x, 7)) - np.float32(score(net, without(x, one.feature), 7))
        assert one.contribution == one.networks == lost
        assert (one.name, one.ranker) == (None, 0.0)
    sizes = [abs(one.contribution) for one in found]
    assert sizes == sorted(sizes, reverse=True)
    assert explained(net, x, 7, k=3) == found[:3]


def test_sampled_hidden_layers_are_asked_as_they_predict() -> None:
    few = layers.SampledDense(50, sampler=samplers.LSH(n_active=10))
    net = sr.Network([layers.SparseInput(200), layers.Dense(8), few, layers.SampledDense(60)])
    net.fit(DATA.X, DATA.Y, epochs=2, verbose=False)
    x = row(0)
    for one in explained(net, x, 3):
        lost = np.float32(score(net, x, 3)) - np.float32(score(net, without(x, one.feature), 3))
        assert one.contribution == lost


def test_what_the_ranker_gives_adds_up_to_its_score(model: sr.Ensemble) -> None:
    assert model.classifiers is not None
    assert model.ranker is not None
    weights, biases = model.classifiers.weights()
    for i in range(20):
        label = int(model.predict_topk(row(i), 1).labels[0, 0])
        found = explained(model, row(i), label, k=None)
        arrays = row(i).indptr, row(i).indices, row(i).data
        said = model.classifiers.score(arrays, (np.array([0, 1]), np.array([label])))[0]
        total = sum(one.ranker for one in found)
        weight = model.ranker.weight or 0.0
        # As many roundings as there are features, of numbers below ten.
        assert total == pytest.approx(weight * (said - biases[label]), abs=40 * 10 * 2**-23)
        for one in found:
            assert one.contribution == np.float32(one.networks) + np.float32(one.ranker)
    assert weights.shape == (60, 200)


def test_networks_of_an_ensemble_are_asked_among_what_is_proposed(model: sr.Ensemble) -> None:
    x = row(2)
    top = model.predict_topk(x, 60)
    label = int(top.labels[0, 0])
    score_of, ranked = explain._scorer(model, explain._one_row(x, 200), label)
    assert model.classifiers is not None
    arrays = x.indptr, x.indices, x.data
    bias = model.classifiers.weights()[1][label] * model._weight
    whole = float(score_of(arrays)[0]) + float(ranked.sum()) + float(bias)
    # The score that is explained is the one that is predicted; 100 roundings of numbers below ten.
    assert whole == pytest.approx(float(top.scores[0, 0]), abs=100 * 10 * 2**-23)


def test_a_label_that_nobody_proposed_can_be_asked_for(model: sr.Ensemble) -> None:
    found = [explained(model, row(0), label, k=1)[0].contribution for label in range(60)]
    assert np.isfinite(found).all()


def test_a_row_may_be_dense_or_of_one_dimension(model: sr.Ensemble) -> None:
    net = model.members[0]
    found = explained(net, row(1), 4)
    rows = [row(1).toarray(), row(1).toarray()[0]]
    # Older ones have no sparse rows of one dimension.
    if np.lib.NumpyVersion(scipy.__version__) >= "1.15.0":
        rows.append(DATA.X[1])
    for x in rows:
        assert explained(net, x, 4) == found


def test_names_belong_to_columns(model: sr.Ensemble) -> None:
    names = [f"word {i}" for i in range(200)]
    found = explained(model.members[0], row(1), 4, feature_names=names)
    assert [one.name for one in found] == [f"word {one.feature}" for one in found]
    assert str(found[0]).endswith(f"word {found[0].feature} = {found[0].value:g}")


def test_rows_that_are_made_stay_small(model: sr.Ensemble, monkeypatch: pytest.MonkeyPatch) -> None:
    found = explained(model, row(1), 4)
    monkeypatch.setattr(explain, "MOST_VALUES", 50)
    assert explained(model, row(1), 4) == found


def test_of_a_row_without_features_there_is_nothing_to_say(model: sr.Ensemble) -> None:
    none: list[Contribution] = []
    assert explained(model, csr_array((1, 200), dtype=np.float32), 4) == none


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"x": DATA.X[:2]}, "x: found 2 rows, wanted one"),
        ({"label": 60}, "label: found 60, wanted a whole number from 0 to 59"),
        ({"k": 0}, "k: found 0"),
        ({"feature_names": ["a"]}, "feature_names: found 1, wanted 200"),
    ],
)
def test_wrong_arguments_are_named(change: dict[str, Any], match: str, model: sr.Ensemble) -> None:
    given: dict[str, Any] = {"x": DATA.X[:1], "label": 4, **change}
    with pytest.raises(ValueError, match=match):
        explained(model, given.pop("x"), given.pop("label"), **given)

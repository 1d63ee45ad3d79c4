"""The classifier and the scorer, with scikit-learn, pandas and joblib themselves."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import slide_rs as sr
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine, make_multilabel_classification
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from slide_rs import datasets, metrics, samplers
from slide_rs.sklearn import SlideClassifier, make_topk_scorer

TAGS_AS_OBJECTS = tuple(int(part) for part in sklearn.__version__.split(".")[:2]) >= (1, 6)
WORDS = {
    "sound": ["play", "songs", "radio", "record"],
    "image": ["photo", "draw", "picture", "scan"],
    "game": ["chess", "cards", "score", "level"],
}


@pytest.fixture(scope="module")
def texts() -> tuple[list[str], list[str]]:
    """90 texts of four words, and the topic of each."""
    rng = np.random.default_rng(0)
    topics = [list(WORDS)[row % 3] for row in range(90)]
    return [" ".join(rng.choice(WORDS[topic], 4)) for topic in topics], topics


@pytest.fixture(scope="module")
def tagged() -> datasets.Dataset:
    return datasets.make_xmc(400, n_features=300, n_labels=30, noise=0.1, seed=0)


@pytest.fixture(scope="module")
def fitted(tagged: datasets.Dataset) -> SlideClassifier:
    return SlideClassifier(max_iter=10, random_state=0).fit(tagged.X, tagged.Y)


@pytest.mark.skipif(not TAGS_AS_OBJECTS, reason="expected failures are named since 1.6")
def test_every_check_of_scikit_learn_passes_and_none_is_skipped() -> None:
    options = ["-rA", "-p", "no:cacheprovider", "-o", "addopts="]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, Path(__file__).with_name("sklearn_checks.py")],
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout
    kinds = re.findall(r"^(PASSED|FAILED|SKIPPED|XFAIL|XPASS|ERROR) ", run.stdout, re.M)
    failed = re.findall(r"^XFAIL .*-(check_\w+)", run.stdout, re.M)
    assert sorted(failed) == [
        "check_sample_weight_equivalence_on_dense_data",
        "check_sample_weight_equivalence_on_sparse_data",
    ]
    assert kinds.count("PASSED") > 50
    assert set(kinds) == {"PASSED", "XFAIL"}


@pytest.mark.skipif(not TAGS_AS_OBJECTS, reason="tags are objects since 1.6")
def test_tags_say_sparse_rows_and_many_labels() -> None:
    tags = sklearn.utils.get_tags(SlideClassifier())
    assert tags.estimator_type == "classifier"
    assert tags.input_tags.sparse
    assert tags.classifier_tags.multi_label


@pytest.mark.parametrize(("load", "least"), [(load_iris, 0.93), (load_wine, 0.95)])
def test_measurements_in_units_of_their_own_are_learnt_without_a_scaler(
    load: Any, least: float
) -> None:
    X, y = load(return_X_y=True)
    assert cross_val_score(SlideClassifier(random_state=0), X, y, cv=3).mean() > least


def test_a_scaler_before_changes_little() -> None:
    X, y = load_wine(return_X_y=True)
    alone = SlideClassifier(random_state=0, max_iter=20).fit(X, y)
    after = make_pipeline(StandardScaler(), clone(alone)).fit(X, y)
    assert_allclose(alone.predict_proba(X), after.predict_proba(X), atol=1e-3)


def test_dense_and_sparse_rows_give_the_same_network(tagged: datasets.Dataset) -> None:
    y = np.asarray(tagged.Y.argmax(axis=1)).ravel()
    for rows in (tagged.X.toarray(), np.random.default_rng(0).normal(size=(400, 5))):
        dense = SlideClassifier(random_state=0, max_iter=2).fit(rows, y)
        csr = SlideClassifier(random_state=0, max_iter=2).fit(sparse.csr_matrix(rows), y)
        csc = SlideClassifier(random_state=0, max_iter=2).fit(sparse.csc_array(rows), y)
        assert_allclose(dense.decision_function(rows), csr.decision_function(rows), atol=1e-4)
        assert_array_equal(csr.predict(rows), csc.predict(sparse.csc_array(rows)))


def test_sparse_rows_are_never_filled(tagged: datasets.Dataset) -> None:
    with pytest.raises(ValueError, match="scaling: found 'columns' with a sparse X"):
        SlideClassifier(scaling="columns").fit(tagged.X, tagged.Y)


def test_two_classes_have_one_score_and_two_probabilities() -> None:
    X, y = load_iris(return_X_y=True)
    names = np.array(["no", "yes"])[(y == 2).astype(int)]
    classifier = SlideClassifier(random_state=0, max_iter=20).fit(X, names)
    scores, shares = classifier.decision_function(X), classifier.predict_proba(X)
    assert scores.shape == (150,)
    assert shares.shape == (150, 2)
    assert_allclose(shares[:, 1], 1 / (1 + np.exp(-scores)), rtol=1e-4)
    assert_array_equal(classifier.predict(X), np.where(scores > 0, "yes", "no"))


def test_one_class_alone_is_predicted() -> None:
    X, _ = load_iris(return_X_y=True)
    classifier = SlideClassifier(max_iter=1).fit(X, ["only"] * 150)
    assert set(classifier.predict(X)) == {"only"}
    assert_array_equal(classifier.predict_proba(X), np.ones((150, 1)))


def test_classes_and_labels_are_not_mixed() -> None:
    X, y = load_iris(return_X_y=True)
    classifier = SlideClassifier(max_iter=1).fit(X, y)
    with pytest.raises(ValueError, match="y: found labels, wanted classes"):
        classifier.partial_fit(X, np.eye(3)[y])
    with pytest.raises(ValueError, match="y: found the class 'a'"):
        classifier.partial_fit(X, np.array(["a", "b", "c"])[y])


@pytest.mark.parametrize("form", [sparse.csr_array, sparse.csr_matrix, np.asarray])
def test_labels_come_back_in_the_form_they_were_given(form: Any, tagged: datasets.Dataset) -> None:
    y = form(tagged.Y.toarray().astype(int))
    found = SlideClassifier(max_iter=10, random_state=0).fit(tagged.X, y).predict(tagged.X)
    assert type(found) is type(y)
    assert (found.shape, found.dtype.kind) == (y.shape, "i")


def test_labels_dense_and_sparse_are_predicted_alike(tagged: datasets.Dataset) -> None:
    X, Y = tagged.X, tagged.Y
    dense = SlideClassifier(random_state=0, max_iter=5).fit(X, Y.toarray())
    csr = SlideClassifier(random_state=0, max_iter=5).fit(X, Y)
    assert_array_equal(dense.predict(X), csr.predict(X).toarray())
    assert dense.score(X, Y.toarray()) == csr.score(X, Y)


def test_labels_of_sigmoids_are_those_with_more_than_even_odds() -> None:
    X, Y = make_multilabel_classification(600, random_state=0)
    classifier = SlideClassifier(random_state=0).fit(X, Y)
    assert classifier.network_.config.loss == "sigmoid"
    assert_array_equal(classifier.predict(X), classifier.predict_proba(X) > 0.5)
    assert_array_equal(classifier.predict(X), classifier.decision_function(X) > 0)
    assert classifier.score(X, Y) > 0.5


def test_labels_of_a_softmax_are_those_half_as_probable_as_the_best(
    tagged: datasets.Dataset,
) -> None:
    classifier = SlideClassifier(loss="softmax", random_state=0).fit(tagged.X, tagged.Y)
    shares = classifier.predict_proba(tagged.X)
    found = classifier.predict(tagged.X).toarray()
    near = shares >= shares.max(axis=1, keepdims=True) / 2
    most = int(np.diff(tagged.Y.indptr).max())
    few = near.sum(axis=1) <= most
    assert_array_equal(found[few], near[few])
    assert found.sum(axis=1).max() <= most


def test_many_labels_are_predicted_as_csr_and_never_as_a_matrix_of_scores() -> None:
    data = datasets.make_xmc(5001, n_features=200, n_labels=2000, seed=0)
    classifier = SlideClassifier((16,), max_iter=1, random_state=0).fit(data.X, data.Y)
    assert classifier.network_.config.loss == "softmax"
    assert classifier.predict(data.X).shape == (5001, 2000)
    assert classifier.predict_topk(data.X, 3, mode="lsh").labels.shape == (5001, 3)
    for dense in (classifier.predict_proba, classifier.decision_function):
        with pytest.raises(ValueError, match="predict_topk"):
            dense(data.X)


def test_best_classes_are_positions_in_classes(texts: tuple[list[str], list[str]]) -> None:
    X = TfidfVectorizer().fit_transform(texts[0])
    classifier = SlideClassifier(random_state=0).fit(X, texts[1])
    top = classifier.predict_topk(X, k=2)
    assert_array_equal(classifier.classes_[top.labels[:, 0]], classifier.predict(X))
    assert classifier.classes_.tolist() == ["game", "image", "sound"]


def test_pipeline_from_texts_learns_in_a_grid_search(texts: tuple[list[str], list[str]]) -> None:
    pipeline = make_pipeline(TfidfVectorizer(), SlideClassifier(random_state=0))
    grid = {
        "slideclassifier__hidden_layer_sizes": [(8,), (16, 8)],
        "slideclassifier__sampler": ["full", samplers.Uniform(n_active=2)],
    }
    search = GridSearchCV(pipeline, grid, cv=3).fit(*texts)
    assert search.best_score_ == 1.0
    assert search.predict(["play the radio"]).tolist() == ["sound"]


def test_grid_search_in_processes_finds_what_one_process_finds(tagged: datasets.Dataset) -> None:
    classifier = SlideClassifier(random_state=0, max_iter=5)
    grid = {"hidden_layer_sizes": [(4,), (32,)]}
    scorer = make_topk_scorer("p@1")
    alone, several = (
        GridSearchCV(classifier, grid, scoring=scorer, cv=2, n_jobs=n_jobs).fit(tagged.X, tagged.Y)
        for n_jobs in (1, 2)
    )
    scores = "mean_test_score"
    assert_array_equal(alone.cv_results_[scores], several.cv_results_[scores])


def test_cross_validation_scores_texts_with_csr_labels(texts: tuple[list[str], list[str]]) -> None:
    names = sorted(WORDS)
    Y = sparse.csr_array(np.array([[topic == name for name in names] for topic in texts[1]]) * 1)
    pipeline = make_pipeline(TfidfVectorizer(), SlideClassifier(random_state=0))
    # Newer versions of cross_val_score would refuse sparse targets that all it calls can use.
    with sklearn.config_context(skip_parameter_validation=True):
        scores = cross_val_score(pipeline, texts[0], Y, scoring=make_topk_scorer("p@1"), cv=3)
    assert scores.min() > 0.9


@pytest.mark.parametrize("metric", ["p@1", "r@3", "ndcg@50", "psp@3", "psndcg@3"])
def test_scorer_gives_what_the_network_measures(
    metric: str, fitted: SlideClassifier, tagged: datasets.Dataset
) -> None:
    X, Y = tagged.X, tagged.Y
    weights = metrics.inv_propensity(Y) if metric.startswith("ps") else None
    wanted = fitted.network_.evaluate(X, Y, [metric], inv_propensity=weights)[metric]
    scorer = make_topk_scorer(metric, inv_propensity=weights)
    assert scorer(fitted, X, Y) == wanted
    assert scorer(fitted, X, Y.toarray()) == wanted
    assert scorer(Pipeline([("last", fitted)]), X, Y) == wanted


def test_scorer_of_classes_counts_unknown_ones_as_wrong() -> None:
    X, y = load_iris(return_X_y=True)
    classifier = SlideClassifier(random_state=0).fit(X, np.array(["a", "b", "c"])[y])
    names = np.array(["a", "b", "z"])[y]
    value = make_topk_scorer("p@1")(classifier, X, names)
    assert value == pytest.approx(classifier.score(X, names))
    assert value < 0.7


def test_scorer_refuses_what_it_can_not_ask() -> None:
    with pytest.raises(ValueError, match="inv_propensity: found None with psp@k"):
        make_topk_scorer("psp@1")
    with pytest.raises(ValueError, match="found 'accuracy'"):
        make_topk_scorer("accuracy")
    X, y = load_iris(return_X_y=True)
    scaler = StandardScaler().fit(X)
    scaler.classes_ = np.unique(y)
    with pytest.raises(TypeError, match="estimator: found StandardScaler"):
        make_topk_scorer("p@1")(scaler, X, y)


def test_copies_predict_bit_by_bit_the_same(
    fitted: SlideClassifier, tagged: datasets.Dataset, tmp_path: Path
) -> None:
    wanted = fitted.predict_topk(tagged.X).scores
    joblib.dump(fitted, tmp_path / "classifier.joblib")
    for other in (
        pickle.loads(pickle.dumps(fitted)),
        copy.deepcopy(fitted),
        joblib.load(tmp_path / "classifier.joblib"),
    ):
        assert_array_equal(other.predict_topk(tagged.X).scores, wanted)
        assert other.get_params() == fitted.get_params()
        other.partial_fit(tagged.X, tagged.Y)
    assert_array_equal(fitted.predict_topk(tagged.X).scores, wanted)


def test_clone_has_the_parameters_and_no_network(fitted: SlideClassifier) -> None:
    other = clone(fitted).set_params(hidden_layer_sizes=(4, 4))
    assert (other.max_iter, other.random_state) == (10, 0)
    assert not hasattr(other, "network_")
    with pytest.raises(NotFittedError):
        other.predict(np.eye(3))


def test_processes_of_joblib_share_the_cores_and_train_the_same_network(
    fitted: SlideClassifier, tagged: datasets.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    fit = joblib.delayed(clone(fitted).fit)
    others = joblib.Parallel(n_jobs=2)(fit(tagged.X, tagged.Y) for _ in range(2))
    shared = max(joblib.cpu_count() // 2, 1)
    assert [other.network_.threads for other in others] == [shared, shared]
    wanted = fitted.predict_topk(tagged.X).scores
    for other in others:
        assert_array_equal(other.predict_topk(tagged.X).scores, wanted)


def _predict_and_train(classifier: SlideClassifier, data: datasets.Dataset, answers: Any) -> None:
    before = classifier.predict_topk(data.X).scores
    after = clone(classifier).fit(data.X, data.Y).predict_topk(data.X).scores
    answers.send((before, after))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system can not fork")
def test_a_forked_process_predicts_and_trains(
    fitted: SlideClassifier, tagged: datasets.Dataset
) -> None:
    wanted = fitted.predict_topk(tagged.X).scores
    context = multiprocessing.get_context("fork")
    answers, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_predict_and_train, args=(fitted, tagged, theirs))
    process.start()
    try:
        assert answers.poll(timeout=60)
        for scores in answers.recv():
            assert_array_equal(scores, wanted)
    finally:
        process.kill()
        process.join()


def test_columns_of_a_data_frame_have_names() -> None:
    X, y = load_iris(return_X_y=True, as_frame=True)
    classifier = SlideClassifier(random_state=0, max_iter=10).fit(
        X, y.map({0: "a", 1: "b", 2: "c"})
    )
    assert classifier.feature_names_in_.tolist() == list(X.columns)
    assert classifier.classes_.tolist() == ["a", "b", "c"]
    with pytest.raises(ValueError, match="feature names"):
        classifier.predict(X[X.columns[::-1]])
    Y = pd.get_dummies(y)
    assert classifier.fit(X, Y).predict(X).shape == (150, 3)


def test_partial_fit_in_pieces_learns() -> None:
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(150)
    classifier = SlideClassifier(random_state=0)
    for _ in range(20):
        for rows in np.array_split(order, 3):
            classifier.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
    assert classifier.score(X, y) > 0.9
    assert classifier.n_iter_ == len(classifier.loss_curve_) == 60
    with pytest.raises(ValueError, match="classes: found \\[0, 1\\]"):
        classifier.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="found the class 7"):
        classifier.partial_fit(X, np.full(150, 7))


def test_partial_fit_takes_csr_labels_whose_columns_are_the_classes(
    tagged: datasets.Dataset,
) -> None:
    classifier = SlideClassifier(random_state=0)
    for _ in range(20):
        classifier.partial_fit(tagged.X, tagged.Y)
    assert make_topk_scorer("p@1")(classifier, tagged.X, tagged.Y) > 0.9
    with pytest.raises(ValueError, match="y: found 29 columns, wanted 30"):
        classifier.partial_fit(tagged.X, tagged.Y[:, :29])


def test_warm_start_goes_on_and_refuses_new_classes() -> None:
    X, y = load_iris(return_X_y=True)
    classifier = SlideClassifier(warm_start=True, max_iter=3, random_state=0).fit(X, y)
    network = classifier.network_
    first = classifier.loss_curve_[0]
    classifier.fit(X, y)
    assert classifier.network_ is network
    assert classifier.n_iter_ == 6
    assert classifier.history_["loss"][0] < first
    with pytest.raises(ValueError, match="found the class 3"):
        classifier.fit(X, y + 1)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_what_is_refused_leaves_the_model_of_the_fit_before(method: str) -> None:
    X, y = load_wine(return_X_y=True)
    classifier = SlideClassifier(max_iter=2, random_state=0).fit(X, y)
    before, kept = classifier.predict_proba(X), dict(vars(classifier))
    wider = np.hstack([X, X])
    for rows, classes, weight, parameters in (
        (wider, y[:-1], None, {}),
        (wider, y, np.zeros(len(y)), {}),
        (wider, y, None, {"hidden_layer_sizes": 0}),
        (wider, y, None, {"batch_size": 0}),
    ):
        classifier.set_params(**parameters)
        with pytest.raises(ValueError):  # noqa: PT011 - what is said is tested elsewhere
            getattr(classifier, method)(rows, classes, sample_weight=weight)
        classifier.set_params(**{name: kept[name] for name in parameters})
        assert vars(classifier) == kept
    assert_array_equal(classifier.predict_proba(X), before)


def test_a_first_fit_that_is_refused_leaves_no_model() -> None:
    classifier = SlideClassifier()
    with pytest.raises(ValueError, match="sample_weight: found only zeros"):
        classifier.fit(np.eye(3), [0, 1, 2], sample_weight=[0, 0, 0])
    assert not hasattr(classifier, "n_features_in_")
    with pytest.raises(NotFittedError):
        classifier.predict(np.eye(3))


def test_weights_of_classes_are_weights_of_their_rows() -> None:
    X, y = load_iris(return_X_y=True)
    X, y = X[30:], y[30:]
    by_class = SlideClassifier(class_weight={0: 3.0}, random_state=0, max_iter=5).fit(X, y)
    by_row = SlideClassifier(random_state=0, max_iter=5)
    by_row.fit(X, y, sample_weight=np.where(y == 0, 3.0, 1.0))
    assert_array_equal(by_class.predict_proba(X), by_row.predict_proba(X))
    balanced = SlideClassifier(class_weight="balanced", random_state=0).fit(X, y)
    assert balanced.score(X, y) > 0.9


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"sampler": "lhs"}, "sampler: found 'lhs'"),
        ({"sampler": "full", "n_active": 2}, "n_active: found 2 with sampler='full'"),
        ({"sampler": "uniform", "n_tables": 2}, "n_tables: found 2 with sampler='uniform'"),
        ({"sampler": samplers.Full(), "n_hashes": 2}, "n_hashes: found 2 with sampler=Full"),
        ({"n_jobs": 0}, "n_jobs: found 0"),
        ({"max_iter": "many"}, "max_iter: found 'many', wanted 'auto'"),
        ({"batch_size": 0}, "batch_size: found 0"),
        ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes: found 0"),
        ({"scaling": "best"}, "scaling: found 'best'"),
        ({"loss": "log"}, "loss: found 'log'"),
        ({"learning_rate_init": -1.0}, "learning_rate_init: found -1"),
    ],
)
def test_a_wrong_parameter_is_named_when_training_begins(
    parameters: dict[str, Any], message: str
) -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match=re.escape(message)):
        SlideClassifier(**parameters).fit(X, y)


def test_targets_and_weights_that_do_not_fit_are_named(tagged: datasets.Dataset) -> None:
    X, Y = tagged.X, tagged.Y
    for parameters, y, message in (
        ({"class_weight": "balanced"}, Y, "class_weight: found 'balanced' with several labels"),
        ({}, np.arange(800).reshape(400, 2) % 7, "y: found multiclass-multioutput"),
        ({}, -Y, "found the value -1"),
    ):
        classifier = SlideClassifier(**parameters)
        with pytest.raises(ValueError, match=message):
            classifier.fit(X, y)
        with pytest.raises(NotFittedError):
            classifier.predict(X)
    with pytest.raises(ValueError, match="sample_weight: found only zeros"):
        SlideClassifier().fit(X, Y, sample_weight=np.zeros(400))


@pytest.mark.parametrize("sampler", ["lsh", "uniform", "log_uniform", "in_batch", "full"])
def test_every_sampler_by_name_learns(
    sampler: str, easy: tuple[datasets.Dataset, datasets.Dataset]
) -> None:
    train, test = easy
    classifier = SlideClassifier((32,), sampler=sampler, max_iter=3, random_state=0)
    classifier.fit(train.X, train.Y)
    assert make_topk_scorer("p@1")(classifier, test.X, test.Y) > 0.1


def test_sizes_of_tables_reach_the_network(tagged: datasets.Dataset) -> None:
    classifier = SlideClassifier(n_tables=7, n_hashes=3, n_active=20, max_iter=1, n_jobs=2)
    network = classifier.fit(tagged.X, tagged.Y).network_
    tables = network.config.output.sampler.tables
    assert (tables.L, tables.K, network.config.output.sampler.n_active) == (7, 3, 20)
    assert network.threads == 2


def test_losses_without_probabilities_have_no_predict_proba(tagged: datasets.Dataset) -> None:
    classifier = SlideClassifier(loss="hinge", max_iter=10, random_state=0).fit(tagged.X, tagged.Y)
    assert not hasattr(classifier, "predict_proba")
    wanted = classifier.decision_function(tagged.X) > 0
    found = classifier.predict(tagged.X).toarray()
    few = wanted.sum(axis=1) <= found.sum(axis=1).max()
    assert_array_equal(found[few], wanted[few])


@pytest.mark.parametrize("name", ["README.md", "docs/sklearn.md"])
def test_examples_of_the_documents_print_what_their_comments_say(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (Path(__file__).resolve().parents[2] / name).read_text(encoding="utf-8")
    found = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    examples = [example for example in found if "slide_rs.sklearn" in example]
    assert examples
    for example in examples:
        exec(compile(example, name, "exec"), {"__name__": "document"})
        assert capsys.readouterr().out == example.rpartition("  # ")[2]


def test_without_scikit_learn_the_error_names_the_extra() -> None:
    code = "import sys; sys.modules['sklearn'] = None; import slide_rs.sklearn"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "slide_rs.sklearn needs scikit-learn: pip install 'slide_rs[sklearn]'" in run.stderr


def test_importing_the_package_does_not_import_scikit_learn() -> None:
    code = "import sys, slide_rs; print('sklearn' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
    assert sr.__version__

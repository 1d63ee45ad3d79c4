"""Networks that propose and a ranker that orders."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import slide_rs as sr
from scipy import sparse
from slide_rs import datasets, defaults, layers, ranker, shortlists, subsets
from slide_rs.arrays import features

Split = tuple[datasets.Dataset, datasets.Dataset]


def stack(data: datasets.Dataset, units: int = 32) -> list[layers.Layer]:
    return [
        layers.SparseInput(data.n_features),
        layers.Dense(units),
        layers.SampledDense(data.n_labels),
    ]


@pytest.fixture(scope="module")
def fitted(easy: Split) -> sr.Ensemble:
    """Two networks and a ranker on the easy rows; tests only ask them."""
    model = sr.Ensemble(stack(easy[0]), n_members=2, threads=2)
    model.fit(easy[0].X, easy[0].Y, epochs=4, batch_size=64, verbose=False)
    return model


def test_together_they_are_better_than_one_alone(easy: Split, fitted: sr.Ensemble) -> None:
    test = easy[1]
    together = fitted.evaluate(test.X, test.Y)
    for member in fitted.members:
        assert together["ndcg@5"] > member.evaluate(test.X, test.Y)["ndcg@5"]
    assert fitted.ranker is not None
    assert fitted.ranker.weight in (1.0, 3.0, 6.0)
    quick = fitted.evaluate(test.X, test.Y, mode="lsh")
    assert quick["p@1"] > together["p@1"] - 0.02


def test_scores_are_mean_log_probabilities_and_what_classifiers_say(
    easy: Split, fitted: sr.Ensemble
) -> None:
    top = fitted.predict_topk(easy[1].X[:40], k=3)
    assert fitted.ranker is not None
    assert fitted.classifiers is not None
    k = fitted.ranker.shortlist
    proposed = [member.predict_topk(easy[1].X[:40], k=k).labels for member in fitted.members]
    x = features(easy[1].X[:40], easy[1].n_features)
    proposed.append(fitted.classifiers.propose(x, k, defaults.postings(easy[1].n_labels)))
    for row in range(40):
        union = np.unique(np.concatenate([own[row] for own in proposed]))
        union = union[union >= 0]
        one = sparse.csr_array(easy[1].X[[row]])
        mean = np.zeros(len(union))
        for member in fitted.members:
            found = member.predict_topk(one, k=len(union), candidates=union)
            scores = found.scores[0][np.argsort(found.labels[0])].astype(np.float64)
            mean += (scores - np.logaddexp.reduce(scores)) / 2
        alone = (np.array([0, len(union)]), union.astype(np.int64))
        said = fitted.classifiers.score(features(one, easy[1].n_features), alone)
        expected = mean + fitted.ranker.weight * said
        order = np.argsort(-expected, kind="stable")[:3]
        # Some hundred roundings of logarithms below 32.
        np.testing.assert_allclose(top.scores[row], expected[order], atol=1e-4)
        assert set(top.labels[row]) == set(union[order])


def test_no_thread_count_shows(easy: Split) -> None:
    found = []
    for threads in (1, 2, 3):
        model = sr.Ensemble(stack(easy[0], 8), n_members=2, threads=threads)
        model.fit(easy[0].X[:800], easy[0].Y[:800], epochs=1, verbose=False)
        found.append(model.predict_topk(easy[1].X, k=4))
    for other in found[1:]:
        np.testing.assert_array_equal(other.labels, found[0].labels)
        np.testing.assert_array_equal(other.scores, found[0].scores)


def test_a_file_is_the_same_model(easy: Split, fitted: sr.Ensemble, tmp_path: Path) -> None:
    path = tmp_path / "model.slide"
    fitted.save(path)
    again = sr.Ensemble.load(path)
    for options in ({}, {"mode": "lsh"}, {"calibrated": True}):
        first = fitted.predict_topk(easy[1].X, **options)  # type: ignore[arg-type]
        second = again.predict_topk(easy[1].X, **options)  # type: ignore[arg-type]
        np.testing.assert_array_equal(first.labels, second.labels)
        np.testing.assert_array_equal(first.scores, second.scores)
    # No time and no place is in it.
    fitted.save(tmp_path / "again.slide")
    assert (tmp_path / "again.slide").read_bytes() == path.read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["again.slide", "model.slide"]
    with pytest.raises(ValueError, match=r"model\.slide is an ensemble.*Ensemble\.load"):
        sr.load(path)


def rewritten(source: Path, name: str, content: bytes | None, **how: int) -> bytes:
    """Return the archive with another entry of this name, or without it."""
    out = io.BytesIO()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(out, "w", **how) as new:  # type: ignore[call-overload]
        for entry in old.namelist():
            if entry != name:
                new.writestr(entry, old.read(entry))
            elif content is not None:
                new.writestr(entry, content)
    return out.getvalue()


def array(values: object, dtype: str) -> bytes:
    out = io.BytesIO()
    np.save(out, np.array(values, dtype=dtype), allow_pickle=False)
    return out.getvalue()


def test_damaged_files_are_refused(fitted: sr.Ensemble, tmp_path: Path) -> None:
    good = tmp_path / "good.slide"
    fitted.save(good)
    whole = good.read_bytes()
    with zipfile.ZipFile(good) as archive:
        settings = json.loads(archive.read("ensemble.json"))
    packed = io.BytesIO()
    np.savez(packed, a=np.ones(3))
    pickled = io.BytesIO()
    np.save(pickled, np.array([{}], dtype=object), allow_pickle=True)

    def other(**changed: object) -> bytes:
        text = json.dumps({**settings, **changed}).encode()
        return rewritten(good, "ensemble.json", text)

    cases = {
        "empty": b"",
        "truncated": whole[: len(whole) // 2],
        "brackets": rewritten(good, "ensemble.json", b"[" * 200_000),
        "archive for array": rewritten(good, "weights.npy", packed.getvalue()),
        "no settings": rewritten(good, "ensemble.json", None),
        "no member": rewritten(good, "member-1.safetensors", None),
        "damaged member": rewritten(good, "member-1.safetensors", b"x" * 50),
        "compressed": rewritten(good, "", None, compression=zipfile.ZIP_DEFLATED),
        "format": other(format=9),
        "members": other(members=0),
        "members text": other(members="two"),
        "ranker": other(ranker={"cost": -1.0}),
        "ranker unknown": other(ranker={"price": 1.0}),
        "pickle": rewritten(good, "weights.npy", pickled.getvalue()),
        "bounds fall": rewritten(good, "bounds.npy", array([0, 5, 2], "<i8")),
        "feature": rewritten(good, "features.npy", array([-1], "<i4")),
        "type": rewritten(good, "weights.npy", array([1.0], "<f8")),
        "biases": rewritten(good, "biases.npy", array([1.0], "<f4")),
        "calibration": rewritten(good, "probabilities-0.npy", array([2.0], "<f8")),
    }
    for content in cases.values():
        path = tmp_path / "bad.slide"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.slide is not a readable slide_rs ensemble: ."):
            sr.Ensemble.load(path)
    with pytest.raises(FileNotFoundError):
        sr.Ensemble.load(tmp_path / "missing.slide")


def test_without_a_ranker_the_order_is_that_of_the_networks(easy: Split) -> None:
    model = sr.Ensemble(stack(easy[0]), n_members=1, ranker=None)
    (history,) = model.fit(easy[0].X, easy[0].Y, epochs=1, verbose=False)
    assert (model.classifiers, model.ranker, history.epochs) == (None, None, [1])
    alone = model.members[0].predict_topk(easy[1].X, k=3)
    np.testing.assert_array_equal(model.predict_topk(easy[1].X, k=3).labels, alone.labels)


def test_dense_features_have_no_ranker_and_few_rows_nothing_held_out() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((60, 5), dtype=np.float32)
    y = [[int(row.argmax())] for row in x]
    model = sr.Ensemble([layers.SparseInput(5), layers.Dense(8), layers.SampledDense(5)])
    histories = model.fit(x, y, epochs=2, verbose=False)
    assert (len(histories), model.classifiers) == (2, None)
    assert model.predict_topk(x, k=5).labels.shape == (60, 5)
    assert model.predict_topk(x[:0]).labels.shape == (0, 5)
    with pytest.raises(ValueError, match=r"^calibrated: found True, but nothing was held out"):
        model.predict_topk(x, calibrated=True)
    sparse_rows = sparse.csr_array(x)
    model.fit(sparse_rows, y, epochs=2, verbose=False)
    assert model.classifiers is not None
    assert model.ranker is not None
    assert model.ranker.weight == 6.0


def test_rows_without_labels_or_features_are_taken(easy: Split) -> None:
    train = easy[0]
    x = sparse.csr_array(train.X[:600])
    empty = sparse.csr_array((600, train.n_features), dtype=np.float32)
    some = sparse.csr_array(sparse.vstack([x[:550], empty[:50]]))
    ends = train.Y.indptr
    y = [list(train.Y.indices[ends[i] : ends[i + 1]]) for i in range(600)]
    y[:20] = [[] for _ in range(20)]
    model = sr.Ensemble(stack(train, 8), n_members=1)
    model.fit(some, y, epochs=1, verbose=False)
    top = model.predict_topk(empty[:3], k=2, calibrated=True)
    assert ((top.scores >= 0) & (top.scores <= 1)).all()


def test_wrong_arguments_are_named(easy: Split, fitted: sr.Ensemble) -> None:
    train = easy[0]
    for call, named in (
        (lambda: sr.Ensemble(stack(train), n_members=0), "n_members: found 0"),
        (lambda: sr.Ensemble(stack(train), ranker="yes"), "ranker: found str"),  # type: ignore[arg-type]
        (lambda: sr.Ensemble(stack(train), max_memory="9 kB"), "max_memory: found 2 networks"),
        (lambda: fitted.predict_topk(train.X, k=0), "k: found 0"),
        (lambda: fitted.predict_topk(train.X, mode="fast"), "mode: found 'fast'"),
        (lambda: fitted.predict_topk(train.X[:, :9]), "X: found 9 columns"),
        (lambda: fitted.predict_topk(train.X, calibrated=1), "calibrated: found 1"),  # type: ignore[arg-type]
        (lambda: fitted.fit(train.X, train.Y[:5]), "Y: found 5 rows"),
        (lambda: fitted.fit(train.X[:0], train.Y[:0]), "X: found 0 rows"),
        (lambda: fitted.fit(train.X, train.Y, epochs=0), "epochs: found 0"),
        (lambda: fitted.evaluate(train.X[:0], train.Y[:0]), "X: found 0 rows"),
    ):
        with pytest.raises((TypeError, ValueError, MemoryError), match=f"^{named}"):
            call()


def test_members_that_propose_nothing_are_no_obstacle() -> None:
    found = shortlists.log_softmax(np.full((1, 2), -np.inf, np.float32))
    assert np.isneginf(found).all()


def test_the_best_labels_do_not_depend_on_how_many_are_asked_for(
    easy: Split, fitted: sr.Ensemble
) -> None:
    alone = sr.Ensemble(stack(easy[0], 8), n_members=2, ranker=None)
    alone.fit(easy[0].X[:900], easy[0].Y[:900], epochs=1, verbose=False)
    for model in (fitted, alone):
        for calibrated in (False, True):
            many = model.predict_topk(easy[1].X[:50], k=120, calibrated=calibrated)
            assert (many.labels >= 0).all()
            assert all(len(set(row)) == 120 for row in many.labels.tolist())
            assert (np.diff(many.scores, axis=1) <= 0).all()
            for k in (1, 5, 50, 70):
                few = model.predict_topk(easy[1].X[:50], k=k, calibrated=calibrated)
                np.testing.assert_array_equal(few.labels[:, :50], many.labels[:, :k][:, :50])
                np.testing.assert_array_equal(few.scores[:, :50], many.scores[:, :k][:, :50])


def test_held_out_rows_are_seen_by_their_labels_alone_and_last(
    easy: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, marked = [], []
    fit, refit = ranker.Classifiers.fit, ranker.Classifiers.refit

    def counted(x: object, *others: object, **named: object) -> ranker.Classifiers:
        seen.append(len(x[0]) - 1)  # type: ignore[index]
        return fit(x, *others, **named)  # type: ignore[arg-type]

    def noted(self: ranker.Classifiers, *given: object, **named: object) -> ranker.Classifiers:
        seen.append(len(given[0][0]) - 1)  # type: ignore[index]
        marked.append(given[3])
        return refit(self, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(ranker.Classifiers, "fit", counted)
    monkeypatch.setattr(ranker.Classifiers, "refit", noted)
    model = sr.Ensemble(stack(easy[0], 8), n_members=1)
    y = easy[0].Y[:1000]
    model.fit(easy[0].X[:1000], y, epochs=1, verbose=False)
    assert seen == [950, 950, 1000]
    _, held = subsets.split(1000, model.config.seed)
    wanted = np.unique(y[held].indices)
    np.testing.assert_array_equal(np.flatnonzero(marked[0]), wanted)
    assert len(wanted) < y.shape[1]


def test_a_second_fit_chooses_anew_and_callbacks_begin_anew(easy: Split) -> None:
    class StopAtTwo(sr.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: object) -> None:
            self.stop_training = epoch == 2

    train = easy[0]
    rng = np.random.default_rng(0)
    noise = [[label] for label in rng.integers(0, train.n_labels, train.X.shape[0]).tolist()]
    model = sr.Ensemble(stack(train), n_members=2)
    histories = model.fit(train.X, noise, 3, verbose=False, callbacks=[StopAtTwo()])
    assert [history.epochs for history in histories] == [[1, 2], [1, 2]]
    again = sr.Ensemble(stack(train), n_members=2, ranker=sr.Ranker(weight=1.5))
    again.fit(train.X, train.Y, epochs=1, verbose=False)
    assert again.ranker == sr.Ranker(weight=1.5)
    model.fit(train.X, train.Y, epochs=4, batch_size=64, verbose=False)
    assert model.ranker is not None
    assert model.ranker.weight == 6.0


def test_ctrl_c_keeps_what_was_trained(easy: Split) -> None:
    class Interrupt(sr.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: object) -> None:
            raise KeyboardInterrupt

    train = easy[0]
    model = sr.Ensemble(stack(train, 8), n_members=3)
    with pytest.raises(KeyboardInterrupt):
        model.fit(train.X, train.Y, epochs=2, verbose=False, callbacks=[Interrupt()])
    alone = model.members[0].predict_topk(easy[1].X, k=3)
    np.testing.assert_array_equal(model.predict_topk(easy[1].X, k=3).labels, alone.labels)
    model.fit(train.X[:500], train.Y[:500], epochs=1, verbose=False)
    assert len(model.members) == 3
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(
        again.predict_topk(easy[1].X).scores, model.predict_topk(easy[1].X).scores
    )


def test_the_tables_miss_little_that_classifiers_find(easy: Split, fitted: sr.Ensemble) -> None:
    exact, tables = (fitted.evaluate(*easy[1][:2], mode=mode) for mode in ("exact", "lsh"))
    assert tables["p@1"] > exact["p@1"] - 0.01

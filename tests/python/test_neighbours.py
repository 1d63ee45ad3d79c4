"""Training rows that vote for their labels: what they say, when they count, how they are kept."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import slide_rs as sr
from numpy.typing import NDArray
from scipy.sparse import csr_array
from slide_rs import neighbours
from slide_rs.layers import Dense, SampledDense, SparseInput
from slide_rs.neighbours import Neighbours, added, chosen, proposed
from slide_rs.topk import TopK

WORDS, COMMON, LABELS = 2000, 40, 150


def lexicon(seed: int = 0) -> tuple[csr_array[np.float32], list[list[int]]]:
    """Return rows whose labels have rare words of small values, among frequent ones of large."""
    rng = np.random.default_rng(seed)
    own = rng.permutation(WORDS)[: 4 * LABELS].reshape(LABELS, 4)
    x = np.zeros((900, WORDS + COMMON), dtype=np.float32)
    labels = [[int(label)] for label in rng.integers(LABELS, size=len(x))]
    for row, (label,) in zip(x, labels, strict=True):
        row[rng.choice(own[label], 3, replace=False)] = 0.01
        row[WORDS + rng.choice(COMMON, 12, replace=False)] = rng.random(12) + 0.5
    return csr_array(x), labels


@pytest.fixture(scope="module")
def fitted() -> sr.Ensemble:
    x, labels = lexicon()
    model = sr.Ensemble(
        [SparseInput(x.shape[1]), Dense(16), SampledDense(LABELS)], n_members=1, threads=2
    )
    model.fit(x, labels, epochs=2, verbose=False)
    return model


def lists(x: csr_array[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray]:
    return x.indptr, x.indices, x.data


def test_votes_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(1)
    x = csr_array((rng.random((60, 25)) < 0.2).astype(np.float32))
    y = csr_array((rng.random((60, 12)) < 0.2).astype(np.float32))
    asked = csr_array((rng.random((9, 25)) < 0.3).astype(np.float32))
    near = Neighbours(lists(x), (y.indptr, y.indices), (25, 12), weight=1.0)
    rare = np.log(61 / (1 + x.toarray().sum(axis=0)))
    similar = (asked.toarray() * rare) @ x.toarray().T
    wanted = np.zeros((9, 12))
    for votes, row in zip(wanted, similar, strict=True):
        nearest = np.argsort(-row, kind="stable")[: neighbours.NEAREST]
        votes += ((row[nearest] / row.max()) ** neighbours.POWER) @ y.toarray()[nearest]
    # Sums of eight terms and a sixth power, in floats: some 8 + 6 * 9 roundings.
    np.testing.assert_allclose(near.votes(lists(asked)).toarray(), wanted, rtol=62 * 2**-24)


def test_proposals_are_the_labels_with_most_votes_and_others_score_as_before() -> None:
    votes = csr_array(np.array([[0, 3, 1, 3], [0, 0, 0, 0]], dtype=np.float32))
    assert proposed(votes)[:, :4].tolist() == [[1, 3, 2, -1], [-1, -1, -1, -1]]
    x = csr_array(np.eye(2, dtype=np.float32))
    near = Neighbours(lists(x), (x.indptr, x.indices), (2, 4), weight=2.0)
    top = TopK(np.array([[3, 0], [1, -1]], np.int32), np.array([[-1, -2], [-3, -np.inf]], "f4"))
    assert added(top, votes, near).scores.tolist() == [[5.0, -2.0], [-3.0, -np.inf]]
    assert added(top, None, None) is top


@pytest.mark.parametrize(("gain", "weight"), [(1.0, None), (1.05, None), (1.2, 4.0)])
def test_neighbours_count_where_held_out_rows_are_better_by_a_tenth(
    gain: float, weight: float | None
) -> None:
    """Half of a hundred rows have their label first, and more with the weight 4."""
    x = csr_array(np.eye(2, dtype=np.float32))
    found = Neighbours(lists(x), (x.indptr, x.indices), (2, 2), weight=0.0)
    labels = np.arange(101), np.zeros(100, dtype=np.int64)

    def ranked(near: Neighbours | None) -> TopK:
        right = round(50 * (gain if near is not None and near.weight == 4.0 else 1.0))
        top = np.where(np.arange(100)[:, None] < right, [[0, -1]], [[1, -1]])
        return TopK(top.astype(np.int32), np.array([[0.0, -np.inf]] * 100, dtype=np.float32))

    kept = chosen(found, ranked, labels, 2)
    assert (None if kept is None else kept.weight) == weight


def test_rare_words_of_small_values_are_heard(fitted: sr.Ensemble) -> None:
    x, labels = lexicon()
    asked, truth = x[:200], np.concatenate(labels[:200])
    alone = sr.Ensemble._of(fitted._parts())
    assert fitted._neighbours is not None
    alone._neighbours = None
    right = [
        np.mean(model.predict_topk(asked, 1).labels[:, 0] == truth) for model in (alone, fitted)
    ]
    assert right[1] > 1.1 * right[0]


def test_dense_rows_and_stored_zeros_have_the_neighbours_of_the_same_rows(
    fitted: sr.Ensemble,
) -> None:
    x, _ = lexicon(1)
    wanted = fitted.predict_topk(x[:20], 5)
    dense = x[:20].toarray()
    kept = (dense != 0) | np.eye(*dense.shape, dtype=np.bool_)
    stored = csr_array((dense[kept], np.nonzero(kept)), shape=dense.shape)
    assert stored.nnz > x[:20].nnz
    for rows in (dense, stored):
        got = fitted.predict_topk(rows, 5)
        np.testing.assert_array_equal(got.labels, wanted.labels)
    # Rows that share nothing with any, and none at all.
    assert fitted.predict_topk(csr_array((2, x.shape[1]), dtype=np.float32), 3).labels.min() >= 0
    assert fitted.predict_topk(x[:0], 3).labels.shape == (0, 3)


def test_a_model_with_neighbours_is_kept_as_it_is(fitted: sr.Ensemble, tmp_path: Path) -> None:
    x, _ = lexicon(1)
    wanted = fitted.predict_topk(x, 5)
    fitted.save(tmp_path / "model")
    copies = [sr.Ensemble.load(tmp_path / "model", threads) for threads in (1, 2)]
    copies.append(pickle.loads(pickle.dumps(fitted)))
    for copy in copies:
        got = copy.predict_topk(x, 5)
        np.testing.assert_array_equal(got.labels, wanted.labels)
        np.testing.assert_array_equal(got.scores, wanted.scores)
    again = copies[0]._neighbours
    assert again is not None
    assert fitted._neighbours is not None
    for kept, own in zip(again.arrays(), fitted._neighbours.arrays(), strict=True):
        np.testing.assert_array_equal(kept, own)


def rewrite(model: sr.Ensemble, path: Path, change: Callable[[str, bytes], bytes | None]) -> None:
    """Save the model with entries changed, or left out where `change` returns None."""
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: change(name, archive.read(name)) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            if content is not None:
                archive.writestr(name, content)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("near-features", lambda a: a + 10_000),
        ("near-labels", lambda a: a - 1000),
        ("near-bounds", lambda a: a[::-1]),
        ("near-bounds", lambda a: a[:-1]),
        ("near-label-bounds", lambda a: a[:-1]),
        ("near-labels", lambda a: a[:-3]),
        ("near-labels", lambda a: a.astype(np.float32)),
    ],
)
def test_files_with_malformed_neighbours_are_refused(
    fitted: sr.Ensemble, tmp_path: Path, name: str, change: Callable[[NDArray], NDArray]
) -> None:
    def changed(entry: str, content: bytes) -> bytes:
        if entry != f"{name}.npy":
            return content
        out = io.BytesIO()
        np.save(out, change(np.load(io.BytesIO(content))))
        return out.getvalue()

    rewrite(fitted, tmp_path / "bad", changed)
    with pytest.raises(ValueError, match="not a readable slide_rs ensemble"):
        sr.Ensemble.load(tmp_path / "bad")


def test_files_of_before_there_were_neighbours_are_read(
    fitted: sr.Ensemble, tmp_path: Path
) -> None:
    def older(entry: str, content: bytes) -> bytes | None:
        if entry != "ensemble.json":
            return None if entry.startswith("near-") else content
        settings = json.loads(content)
        del settings["neighbours"], settings["ranker"]["neighbours"]
        return json.dumps(settings).encode()

    rewrite(fitted, tmp_path / "old", older)
    assert sr.Ensemble.load(tmp_path / "old")._neighbours is None


@pytest.mark.parametrize("most", [100, neighbours.MOST])
def test_there_are_none_of_too_many_values_and_where_they_are_not_wanted(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("slide_rs.ranking.MOST", most)
    x, labels = lexicon()
    chain = [SparseInput(x.shape[1]), Dense(8), SampledDense(LABELS)]
    ranker = sr.Ranker(neighbours=most == 100)
    model = sr.Ensemble(chain, n_members=1, ranker=ranker)
    model.fit(x, labels, epochs=1, verbose=False)
    assert model._neighbours is None


def test_what_the_caller_does_to_the_labels_later_changes_nothing() -> None:
    x, labels = lexicon()
    y = csr_array((np.ones(900, "f4"), np.ravel(labels), np.arange(901)), shape=(900, LABELS))
    chain = [SparseInput(x.shape[1]), Dense(8), SampledDense(LABELS)]
    model = sr.Ensemble(chain, n_members=1)
    model.fit(x, y, epochs=1, verbose=False)
    assert model._neighbours is not None
    wanted = model.predict_topk(x[:50], 5)
    y.indices[:], y.data[:] = 0, 7
    got = model.predict_topk(x[:50], 5)
    np.testing.assert_array_equal(got.labels, wanted.labels)
    np.testing.assert_array_equal(got.scores, wanted.scores)

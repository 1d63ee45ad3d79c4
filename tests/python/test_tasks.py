"""The parts of the two examples that have a task of their own, on data made by hand."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

# Entities 0 to 4. Relation 0 is symmetric, 1 is not.
TRAIN = """7 9 5
1 0:1 5:1
0 1:1 5:1
1 0:1 7:1
0 1:1 7:1
2,3 0:1 6:1
0 2:1 8:1
0 3:1 8:1
"""
HELD = """2 9 5
4 0:1 6:1
0 4:1 8:1
"""


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.fixture(scope="module")
def kg() -> ModuleType:
    return load("knowledge_graph")


@pytest.fixture(scope="module")
def wv() -> ModuleType:
    return load("word_vectors")


@pytest.fixture
def graph(tmp_path: Path) -> tuple[Path, Path]:
    train, held = tmp_path / "train.txt", tmp_path / "held.txt"
    train.write_text(TRAIN, encoding="utf-8")
    held.write_text(HELD, encoding="utf-8")
    return train, held


def test_a_row_is_a_triple_for_each_of_its_answers(
    kg: ModuleType, graph: tuple[Path, Path]
) -> None:
    found = kg.Graph.read(graph[0])
    assert (found.entities, found.relations) == (5, 2)
    assert [0, 1, 2] in found.triples.tolist()
    assert [0, 1, 3] in found.triples.tolist()
    assert [2, 3, 0] in found.triples.tolist()
    right = kg.known([found, kg.Graph.read(graph[1])])
    assert right[0, 1].tolist() == [2, 3, 4]
    assert right[4, 3].tolist() == [0]


def test_only_a_relation_that_goes_both_ways_is_its_own_inverse(
    kg: ModuleType, graph: tuple[Path, Path]
) -> None:
    assert kg.inverses(kg.Graph.read(graph[0])).tolist() == [0, 1, 0, 3]


def test_features_of_a_question_do_not_hold_its_answers(
    kg: ModuleType, graph: tuple[Path, Path]
) -> None:
    train = kg.Graph.read(graph[0])
    features = kg.Features(train)
    pairs = 2 * 5 + 4
    # Entity 0, relation 1, that entity 1 is joined to it by relation 0, and that it was asked.
    asked = features.rows(np.array([[0, 1]])).indices.tolist()
    assert sorted(asked)[:3] == [0, 5 + 1, 5 + 4 + 1]
    assert len(asked) == 4
    assert max(asked) >= pairs
    # The symmetric relation is the same question from both ends.
    both = features.rows(np.array([[0, 0], [0, 2]])).toarray()
    np.testing.assert_array_equal(both[0], both[1])
    # A question that training has not: entity 4 is joined to nothing.
    assert sorted(features.rows(np.array([[4, 3]])).indices.tolist()) == [4, 5 + 3]
    x, y = features.training()
    assert x.shape == (5, features.columns)
    assert y.shape == (5, 5)
    assert y.nnz == len(features.triples) == 6


def test_a_filtered_rank_passes_over_other_right_answers_and_halves_ties(kg: ModuleType) -> None:
    scores = np.array([5, 4, 3, 3, 1], np.float32)
    assert kg.rank(scores, 2, np.array([2])) == 3.5
    assert kg.rank(scores, 2, np.array([0, 2])) == 2.5
    assert kg.rank(scores, 4, np.array([0, 1, 4])) == 3
    assert kg.rank(np.zeros(5, np.float32), 0, np.array([0])) == 3


def test_a_graph_is_trained_and_ranked(graph: tuple[Path, Path]) -> None:
    train, held = map(str, graph)
    out = run("knowledge_graph", train, held, held, "--hidden", "8", "--epochs", "2", "--relations")
    told = out.splitlines()
    assert told[0] == "5 entities, 2 relations, 1 of them symmetric, 4 triples to train on"
    assert told[4].split()[:2] == ["test", "2"]
    assert told[-1].split()[:4] == ["test,", "relation", "1", "2"]


def test_words_are_numbered_by_falling_frequency(wv: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("a b a c\nb a d\n", encoding="utf-8")
    text = wv.read(path, 3)
    assert text.words == ["a", "b", "c"]
    assert text.counts.tolist() == [3, 2, 1]
    assert text.tokens.tolist() == [0, 1, 0, 2, 1, 0]
    assert text.line.tolist() == [0, 0, 0, 0, 1, 1]


def test_labels_are_all_words_within_reach_on_the_same_line(wv: ModuleType) -> None:
    tokens = np.array([0, 1, 2, 0, 1, 3], np.int32)
    line = np.array([0, 0, 0, 0, 1, 1], np.int32)
    text = wv.Text(list("abcd"), np.array([2, 2, 1, 1]), tokens, line)
    reach = np.full(6, wv.WINDOW)
    keys = wv.pairs(text, 0, 6, reach)
    wanted = [
        (tokens[i], tokens[k])
        for i in range(6)
        for k in range(6)
        if i != k and line[i] == line[k] and abs(i - k) <= wv.WINDOW
    ]
    assert sorted(divmod(int(key), 4) for key in keys) == sorted(wanted)
    words, labels = wv.rows(text, 2, np.random.default_rng(0))
    # Words with more labels than a row may have stand in several rows.
    assert labels.shape == (len(words), 4)
    assert np.diff(labels.indptr).max() <= 2
    assert np.diff(labels.indptr).min() >= 1
    counted = np.zeros((4, 4))
    np.add.at(counted, words, labels.toarray())
    near = wv.pairs(text, 0, 6, np.ones(6, np.int64))
    assert counted.sum() >= len(near)
    assert set(zip(*np.nonzero(counted), strict=True)) <= set(wanted)


def test_frequent_words_are_left_out_more_often(wv: ModuleType) -> None:
    tokens = np.repeat(np.arange(2, dtype=np.int32), [9000, 1000])
    text = wv.Text(["a", "b"], np.array([9000, 1000]), tokens, np.zeros(10_000, np.int32))
    kept = np.bincount(wv.subsampled(text, 0.01, np.random.default_rng(0)).tokens, minlength=2)
    # sqrt(t / f) + t / f of a word of share f, within four standard errors.
    for count, found in zip((9000, 1000), kept, strict=True):
        share = 0.01 / (count / 10_000)
        chance = np.sqrt(share) + share
        assert abs(found - count * chance) < 4 * np.sqrt(count * chance * (1 - chance))


def test_wordnet_relates_synonyms_and_words_of_definitions_alone(
    wv: ModuleType, tmp_path: Path
) -> None:
    def write(part: str, *lines: str) -> None:
        text = "".join(f"{line}\n" for line in ("  1 a licence", *lines))
        (tmp_path / f"data.{part}").write_text(text, encoding="utf-8")

    write(
        "noun",
        '1 05 n 02 dog 0 domestic_dog 0 000 | a tame animal that barks; "the dog ate the bone"  ',
        "2 05 n 01 bone 0 000 | rigid tissue of an animal  ",
        "3 05 n 01 animal 0 000 | a living thing  ",
    )
    write("verb", "4 05 v 02 bark 0 yap 1 000 | speak like a dog  ")
    write("adj", "5 05 a 01 tame(p) 0 000 | not wild  ")
    write("adv")
    wordnet = wv.WordNet.read(tmp_path, {"a", "that"})
    assert wordnet.related("bark", "yap")
    assert wordnet.related("dog", "tame")
    assert wordnet.related("animal", "dog")
    assert wordnet.related("dog", "yap")
    # An example is no definition, and "wild" is no word of this WordNet.
    assert not wordnet.related("dog", "bone")
    assert not wordnet.related("tame", "wild")
    found = np.array([[1, 2], [0, 2]])
    words = ["dog", "animal", "bone"]
    assert wv.shares(wordnet, words, np.array([0, 1]), found).tolist() == [0.5, 1.0]


def test_nearest_is_by_cosine_and_never_the_word_itself(wv: ModuleType) -> None:
    vectors = np.array([[1, 0], [9, 1], [0, 1], [-1, 0]], np.float32)
    assert wv.nearest(vectors, np.array([0, 2]), 2).tolist() == [[1, 2], [1, 0]]

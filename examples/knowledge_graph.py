"""A knowledge graph completed: which entities stand in a relation to an entity, of all there are.

    python examples/knowledge_graph.py TRAIN VALID TEST [--seeds 1]

The files have a row for each entity and relation, and the entities that answer it as its labels;
its features are the id of the entity and, after all entities, that of the relation: first those
that lead from head to tail, then as many that lead back. So all triples are asked from both ends
(Lacroix et al., "Canonical tensor decomposition for knowledge base completion", ICML 2018).

What is printed are mean reciprocal rank and hits at 1, 3 and 10 of each triple held out, asked from
both ends, among all entities but the other right answers of the three files: "filtered", as in
Bordes et al., "Translating embeddings for modeling multi-relational data", NIPS 2013. Of entities
with the same score half count as ranked before.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import slide_rs
from numpy.typing import NDArray
from slide_rs import Network, layers, optim

Ids = NDArray[np.int64]

#: Entity, relation, entity that answers: a row each.
ENTITY, RELATION, ANSWER = 0, 1, 2
#: A relation is its own inverse if so many of its triples are in the training set both ways round.
SYMMETRIC = 0.5
#: Rows scored at a time: what bounds the memory of ranks.
CHUNK = 512


@dataclass(frozen=True)
class Graph:
    """The triples of a file, from both ends, and how many entities and relations there are."""

    triples: Ids
    entities: int
    relations: int

    @classmethod
    def read(cls, path: Path) -> Graph:
        """Read a file of rows with an entity, a relation and their answers."""
        rows = slide_rs.datasets.read_xmc(path)
        if (np.diff(rows.X.indptr) != 2).any():
            raise ValueError(f"{path}: found a row without two features, wanted entity, relation")
        features = np.sort(rows.X.indices.reshape(-1, 2), axis=1)
        answers = np.diff(rows.Y.indptr)
        entity, relation = np.repeat(features, answers, axis=0).T
        triples = np.stack([entity, relation - rows.n_labels, rows.Y.indices], axis=1)
        return cls(triples.astype(np.int64), rows.n_labels, (rows.n_features - rows.n_labels) // 2)


def known(graphs: Sequence[Graph]) -> dict[tuple[int, int], Ids]:
    """Return the right answers to each entity and relation."""
    triples = np.unique(np.concatenate([graph.triples for graph in graphs]), axis=0)
    pairs = triples[:, :ANSWER]
    new = np.flatnonzero((np.diff(pairs, axis=0, prepend=-1) != 0).any(axis=1))
    answers = np.split(triples[:, ANSWER], new[1:])
    return {(int(e), int(r)): found for (e, r), found in zip(pairs[new], answers, strict=True)}


def inverses(train: Graph) -> Ids:
    """Return for each relation and direction which one to ask: symmetric ones are one and the same.

    This is learned from the training triples, and from them alone.
    """
    asked = np.arange(2 * train.relations)
    there = {tuple(triple) for triple in train.triples.tolist()}
    for relation in range(train.relations):
        of_it = train.triples[train.triples[:, RELATION] == relation]
        back = [(t, relation, h) in there for h, _, t in of_it.tolist()]
        if back and np.mean(back) > SYMMETRIC:
            asked[relation + train.relations] = relation
    return asked


class Features:
    """What the network is told of a question (entity, relation), from the training triples alone.

    The entity, the relation, both as one feature where training has such a question, and the
    entities that other relations join to it. What the relation in question joins to it is left
    out: in training that would be the answer.
    """

    def __init__(self, train: Graph) -> None:
        self.asked = inverses(train)
        self.entities, self.relations = train.entities, len(self.asked)
        triples = train.triples.copy()
        triples[:, RELATION] = self.asked[triples[:, RELATION]]
        self.triples = np.unique(triples, axis=0)
        joined = self.triples[:, RELATION] * self.entities + self.triples[:, ANSWER]
        ones = np.ones(len(joined), np.float32)
        shape = (self.entities, self.relations * self.entities)
        self.joined = sp.csr_array((ones, (self.triples[:, ENTITY], joined)), shape=shape)
        self.pairs = np.unique(self._pair(self.triples))

    @property
    def columns(self) -> int:
        """How many features there are."""
        return 2 * self.entities + self.relations + len(self.pairs)

    def _pair(self, asked: Ids) -> Ids:
        return asked[:, ENTITY] * self.relations + asked[:, RELATION]

    def rows(self, questions: Ids) -> sp.csr_array:
        """Return the features of questions, of which the first two columns are read."""
        asked = questions[:, :ANSWER].copy()
        asked[:, RELATION] = self.asked[asked[:, RELATION]]
        entity, relation = asked.T
        joined = sp.csr_array(self.joined[entity])
        row = np.repeat(np.arange(len(asked)), np.diff(joined.indptr))
        by, neighbour = np.divmod(joined.indices.astype(np.int64), self.entities)
        other = by != relation[row]
        pair = np.searchsorted(self.pairs, self._pair(asked)).clip(max=len(self.pairs) - 1)
        seen = np.flatnonzero(self.pairs[pair] == self._pair(asked))
        every = np.arange(len(asked))
        columns = [
            entity,
            self.entities + relation,
            self.entities + self.relations + neighbour[other],
            2 * self.entities + self.relations + pair[seen],
        ]
        places = np.concatenate([every, every, row[other], seen])
        ones = np.ones(len(places), np.float32)
        shape = (len(asked), self.columns)
        found = sp.csr_array((ones, (places, np.concatenate(columns))), shape=shape)
        # What several relations join counts as often.
        found.sum_duplicates()
        return found

    def training(self) -> tuple[sp.csr_array, sp.csr_array]:
        """Return a row for each question that training answers, and its answers."""
        row = np.searchsorted(self.pairs, self._pair(self.triples))
        questions = np.stack(np.divmod(self.pairs, self.relations), axis=1)
        ones = np.ones(len(row), np.float32)
        shape = (len(self.pairs), self.entities)
        return self.rows(questions), sp.csr_array(
            (ones, (row, self.triples[:, ANSWER])), shape=shape
        )


def rank(scores: NDArray[np.float32], answer: int, right: Ids) -> float:
    """Return the rank of an answer among all entities but the other right ones."""
    wrong = np.delete(scores, right)
    return 1 + float((wrong > scores[answer]).sum() + (wrong == scores[answer]).sum() / 2)


def ranks(
    net: Network, features: Features, triples: Ids, right: Mapping[tuple[int, int], Ids]
) -> NDArray[np.float64]:
    """Return the filtered rank of the answer of each triple."""
    found = []
    for start in range(0, len(triples), CHUNK):
        part = triples[start : start + CHUNK]
        top = net.predict_topk(features.rows(part), k=features.entities)
        scores = np.empty_like(top.scores)
        np.put_along_axis(scores, top.labels, top.scores, axis=1)
        for of_row, (entity, relation, answer) in zip(scores, part.tolist(), strict=True):
            found.append(rank(of_row, answer, right[entity, relation]))
    return np.array(found)


def report(name: str, found: NDArray[np.float64]) -> None:
    """Print mean reciprocal rank and hits."""
    hits = "".join(f"{(found <= k).mean():>8.4f}" for k in (1, 3, 10))
    print(f"{name:<36}{len(found):>7,}{(1 / found).mean():>8.4f}{hits}", flush=True)


def network(features: Features, given: argparse.Namespace, seed: int) -> Network:
    """Describe the network."""
    return Network(
        [
            layers.SparseInput(features.columns, dropout=given.dropout),
            layers.Dense(given.hidden),
            layers.SampledDense(features.entities),
        ],
        optimizer=optim.Adam(lr=given.lr),
        seed=seed,
    )


def main() -> None:
    """Train, rank and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("train", "valid", "test"):
        parser.add_argument(name, type=Path, metavar=name.upper())
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--dropout", type=float, default=0.4, help="share of features left out")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--relations", action="store_true", help="a line for each relation, too")
    given = parser.parse_args()

    train, valid, test = (Graph.read(path) for path in (given.train, given.valid, given.test))
    right = known([train, valid, test])
    features = Features(train)
    alike = int((features.asked != np.arange(features.relations)).sum())
    print(
        f"{train.entities:,} entities, {train.relations} relations, {alike} of them symmetric, "
        f"{len(train.triples) // 2:,} triples to train on"
    )
    x, y = features.training()
    for seed in range(given.seeds):
        net = network(features, given, seed)
        history = net.fit(x, y, given.epochs, given.batch_size, verbose=False)
        took = sum(history["seconds"])
        print(f"seed {seed}: {history.epochs[-1]} epochs in {took:.0f} s")
        print(f"{'':<36}{'asked':>7}{'MRR':>8}{'hits@1':>8}{'@3':>8}{'@10':>8}")
        for name, graph in (("valid", valid), ("test", test)):
            found = ranks(net, features, graph.triples, right)
            report(name, found)
        for relation in range(train.relations if given.relations else 0):
            of_it = test.triples[:, RELATION] % train.relations == relation
            report(f"test, relation {relation}", found[of_it])


if __name__ == "__main__":
    main()

"""Word vectors from a text: the softmax over the vocabulary that skip-gram does without, sampled.

    python examples/word_vectors.py TEXT --wordnet FOLDER [--gensim]

TEXT has a text on each line, words parted by blanks; it may be packed by xz or gzip. A word is the
only feature of a row, and the words within a window around it, wherever it stands, are its labels
(Mikolov et al., "Efficient estimation of word representations in vector space", 2013, section 3.2):
a network of as many inputs as outputs, trained in one pass. Vectors of words are its weights.

They are scored by WordNet (Miller, "WordNet: a lexical database for English", 1995), whose files
``data.noun``, ``data.verb``, ``data.adj`` and ``data.adv`` are in FOLDER: of the 10 words nearest
to a word by cosine, the share that WordNet relates to it. With ``--gensim`` the word2vec of that
package follows, with as many epochs as fit into the time that the network took.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import lzma
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from slide_rs import Network, layers, optim, samplers

Vectors = NDArray[np.float32]

WINDOW = 5
#: Tokens whose pairs are counted at a time: what bounds the memory that this takes.
CHUNK = 1 << 20
NEAREST = 10
#: Feature of a row. The bias of the hidden layer is moved by every row, a word's weights by its
#: own rows alone: with a 1 the bias outgrows them, and all words come to point the same way.
SCALE = 20.0
#: Words that occur so often, and are not among the so many most frequent; so many are scored.
OFTEN, COMMON, SCORED = 20, 200, 2000
SAMPLERS: dict[str, Callable[[int], samplers.Sampler]] = {
    "lsh": lambda n: samplers.LSH(n_active=n),
    "loguniform": lambda n: samplers.LogUniform(n),
    "uniform": lambda n: samplers.Uniform(n),
}
SHOWN = ("violin", "kernel", "cathedral", "sparrow", "uranium", "melancholy", "swim")


@dataclass
class Text:
    """Words by falling frequency, how often each occurs, and the text as numbers of words.

    Words that are not among the most frequent are left out; ``line`` tells lines apart.
    """

    words: list[str]
    counts: NDArray[np.int64]
    tokens: NDArray[np.int32]
    line: NDArray[np.int32]


def unpacked(path: Path) -> TextIO:
    """Open a text that may be packed."""
    if path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="utf-8")
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


def read(path: Path, most: int) -> Text:
    """Read a text and keep its `most` frequent words."""
    counts: Counter[str] = Counter()
    with unpacked(path) as lines:
        for line in lines:
            counts.update(line.split())
    kept = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
    number = {word: i for i, (word, _) in enumerate(kept)}
    parts = []
    with unpacked(path) as lines:
        for line in lines:
            found = (number.get(word, -1) for word in line.split())
            parts.append(np.fromiter((i for i in found if i >= 0), np.int32))
    sizes = [len(part) for part in parts]
    return Text(
        [word for word, _ in kept],
        np.array([count for _, count in kept]),
        np.concatenate(parts),
        np.repeat(np.arange(len(parts), dtype=np.int32), sizes),
    )


def subsampled(text: Text, threshold: float, rng: np.random.Generator) -> Text:
    """Leave out occurrences of frequent words at random, as the program word2vec does."""
    share = threshold * text.counts.sum() / text.counts
    kept = rng.random(len(text.tokens)) < (np.sqrt(share) + share)[text.tokens]
    return Text(text.words, text.counts, text.tokens[kept], text.line[kept])


def pairs(text: Text, start: int, stop: int, reach: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return word * words + neighbour of all pairs whose first token is in a part of the text.

    A token sees as far as its `reach` to both sides, within its line.
    """
    found, n = [], len(text.words)
    for distance in range(1, WINDOW + 1):
        left = np.arange(start, min(stop, len(text.tokens) - distance))
        left = left[text.line[left] == text.line[left + distance]]
        for here, there in ((left, left + distance), (left + distance, left)):
            seen = reach[here] >= distance
            # With NumPy 1 an int32 times a number stays one.
            found.append(text.tokens[here[seen]].astype(np.int64) * n + text.tokens[there[seen]])
    return np.concatenate(found)


def rows(text: Text, most: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], sp.csr_array]:
    """Return words, and for each how often it has which neighbours: at most `most` different ones.

    Pairs of a chunk of the text are counted together. A word with many neighbours has many rows.
    """
    reach = rng.integers(1, WINDOW, len(text.tokens), endpoint=True)
    words, sizes, labels, grades = [], [], [], []
    for start in range(0, len(text.tokens), CHUNK):
        keys, counts = np.unique(pairs(text, start, start + CHUNK, reach), return_counts=True)
        word, label = np.divmod(keys, len(text.words))
        # In any order: as they come, the first row would have the most frequent neighbours.
        order = np.lexsort((rng.random(len(word)), word))
        new = np.flatnonzero(np.diff(word, prepend=-1))
        place = np.arange(len(word)) - np.repeat(new, np.diff(np.append(new, len(word))))
        first = np.flatnonzero(place % most == 0)
        words.append(word[first])
        sizes.append(np.diff(np.append(first, len(word))))
        labels.append(label[order].astype(np.int32))
        grades.append(counts[order].astype(np.float32))
    bounds = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
    shape = (len(bounds) - 1, len(text.words))
    found = sp.csr_array((np.concatenate(grades), np.concatenate(labels), bounds), shape=shape)
    found.sort_indices()
    return np.concatenate(words), found


def one_hot(columns: NDArray[np.int64], n: int) -> sp.csr_array:
    """Return rows with a single number each, `SCALE`."""
    values = np.full(len(columns), SCALE, np.float32)
    return sp.csr_array((values, columns, np.arange(len(columns) + 1)), shape=(len(columns), n))


def train(text: Text, given: argparse.Namespace) -> dict[str, Vectors]:
    """Train in one pass and return the vectors that words have as inputs and as outputs."""
    rng = np.random.default_rng(given.seed)
    n = len(text.words)
    words, labels = rows(subsampled(text, given.subsample, rng), given.labels, rng)
    print(f"{len(words):,} rows with {labels.nnz:,} labels", flush=True)
    net = Network(
        [
            # Neither scaled to length 1 nor dropped: the only feature of its row.
            layers.SparseInput(n, normalize=False, dropout=0),
            layers.Dense(given.hidden),
            layers.SampledDense(n, sampler=SAMPLERS[given.sampler](given.n_active)),
        ],
        loss="softmax_per_label",
        optimizer=optim.Adam(lr=given.lr),
        seed=given.seed,
    )
    net.fit(one_hot(words, n), labels, epochs=1, batch_size=given.batch_size, verbose=False)
    learned = net.weights()
    return {"input": learned["hidden.0.weight"], "output": learned["output.weight"]}


def word2vec(text: Text, given: argparse.Namespace, epochs: int) -> dict[str, Vectors]:
    """Train gensim's skip-gram on the same words and return the vectors it has for them."""
    models = importlib.import_module("gensim.models")
    ends = np.flatnonzero(np.diff(text.line)) + 1
    lines = [[text.words[i] for i in part] for part in np.split(text.tokens, ends)]
    # Of a longer one it leaves out the rest.
    parts = [line[i : i + 10_000] for line in lines for i in range(0, len(line), 10_000)]
    model = models.Word2Vec(
        parts,
        vector_size=given.hidden,
        window=WINDOW,
        sg=1,
        negative=5,
        sample=given.subsample,
        workers=2,
        min_count=1,
        epochs=epochs,
        seed=given.seed + 1,
    )
    places = [model.wv.key_to_index[word] for word in text.words]
    return {"input": model.wv.vectors[places], "output": model.syn1neg[places]}


@dataclass
class WordNet:
    """Which synsets a word is in, the words of each, and the content words of each gloss."""

    synsets: dict[str, list[int]] = field(default_factory=dict)
    members: list[set[str]] = field(default_factory=list)
    glosses: list[set[str]] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path, too_common: set[str]) -> WordNet:
        """Read the four files; words of glosses count if WordNet has them and they are not common.

        Of a gloss the definition is read, without the examples.
        """
        wordnet = cls()
        for part in ("noun", "verb", "adj", "adv"):
            for line in (folder / f"data.{part}").read_text(encoding="utf-8").splitlines():
                if not line.startswith("  "):
                    wordnet.add(line)
        content = wordnet.synsets.keys() - too_common
        wordnet.glosses = [gloss & content for gloss in wordnet.glosses]
        return wordnet

    def add(self, line: str) -> None:
        """Add a synset as a line of its file has it (wndb(5WN))."""
        data, _, gloss = line.partition("|")
        fields = data.split()
        # A word and a number, as often as the fourth field says in hexadecimal.
        names = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
        # Adjectives may say where they stand, in brackets.
        words = {re.sub(r"\(.*\)", "", name).lower() for name in names}
        for word in words:
            self.synsets.setdefault(word, []).append(len(self.members))
        self.members.append(words)
        definition = re.sub(r'"[^"]*"?', " ", gloss.lower())
        self.glosses.append(set(re.findall(r"[a-z]+", definition)))

    def explained(self, word: str) -> set[str]:
        """Return the content words of the glosses of a word."""
        return set().union(*(self.glosses[i] for i in self.synsets.get(word, ())))

    def related(self, word: str, other: str) -> bool:
        """Return whether two words share a synset, or one is in a gloss of the other."""
        together = any(other in self.members[i] for i in self.synsets.get(word, ()))
        return together or other in self.explained(word) or word in self.explained(other)


def nearest(vectors: Vectors, chosen: NDArray[np.int64], k: int = NEAREST) -> NDArray[np.int64]:
    """Return the `k` rows nearest to each of the chosen ones by cosine, best first, not itself."""
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    unit = vectors / lengths
    found = []
    for part in np.array_split(chosen, max(len(chosen) // 256, 1)):
        cosines = unit[part] @ unit.T
        cosines[np.arange(len(part)), part] = -np.inf
        best = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(cosines, best, 1), axis=1)
        found.append(np.take_along_axis(best, order, 1))
    return np.concatenate(found)


def shares(
    wordnet: WordNet, words: Sequence[str], chosen: NDArray[np.int64], found: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return for each chosen word the share of those found for it that are related to it."""
    return np.array(
        [
            np.mean([wordnet.related(words[i], words[other]) for other in others])
            for i, others in zip(chosen, found, strict=True)
        ]
    )


def scored(text: Text, wordnet: WordNet) -> NDArray[np.int64]:
    """Choose words of the text that WordNet has, always the same."""
    usable = [
        i
        for i, word in enumerate(text.words)
        if i >= COMMON and text.counts[i] >= OFTEN and word in wordnet.synsets
    ]
    rng = np.random.default_rng(0)
    return np.sort(rng.choice(usable, min(SCORED, len(usable)), replace=False))


def report(
    name: str, found: NDArray[np.int64], text: Text, wordnet: WordNet, chosen: NDArray[np.int64]
) -> None:
    """Print the score of what was found for the chosen words, and its standard error."""
    each = shares(wordnet, text.words, chosen, found)
    error = each.std(ddof=1) / np.sqrt(len(each))
    print(f"{name:<28}{each.mean():.4f} ({error:.4f})", flush=True)


def show(text: Text, vectors: Vectors) -> None:
    """Print the words nearest to some."""
    number = {word: i for i, word in enumerate(text.words)}
    chosen = np.array([number[word] for word in SHOWN if word in number], np.int64)
    for i, others in zip(chosen, nearest(vectors, chosen, 7), strict=True):
        print(f"  {text.words[i]}: {', '.join(text.words[other] for other in others)}")


def main() -> None:
    """Train, score, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path, metavar="TEXT")
    parser.add_argument("--wordnet", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--gensim", action="store_true", help="train the package's word2vec too")
    parser.add_argument("--words", type=int, default=150_000, help="of the text, by frequency")
    parser.add_argument("--hidden", type=int, default=128, help="numbers of a vector")
    parser.add_argument("--subsample", type=float, default=1e-5, help="as word2vec's sample")
    parser.add_argument("--labels", type=int, default=32, help="of a row, at most")
    parser.add_argument("--sampler", choices=SAMPLERS, default="loguniform")
    parser.add_argument("--n-active", type=int, default=256, help="outputs computed for a row")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.005)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()

    text = read(given.text, given.words)
    wordnet = WordNet.read(given.wordnet, set(text.words[:COMMON]))
    chosen = scored(text, wordnet)
    print(f"{len(text.tokens):,} tokens of {len(text.words):,} words, {len(chosen):,} scored")
    drawn = np.random.default_rng(1).integers(len(text.words), size=(len(chosen), NEAREST))
    report("words drawn at random", drawn, text, wordnet, chosen)

    start = time.perf_counter()
    vectors = train(text, given)
    took = time.perf_counter() - start
    print(f"slide_rs: one pass in {took:.0f} s, rows made of the text in it")
    for side, of_side in vectors.items():
        report(f"slide_rs, {side} vectors", nearest(of_side, chosen), text, wordnet, chosen)
    show(text, vectors["output"])
    if not given.gensim:
        return
    start = time.perf_counter()
    peer = word2vec(text, given, 1)
    once = time.perf_counter() - start
    epochs = max(round(took / once), 1)
    if epochs > 1:
        start = time.perf_counter()
        peer = word2vec(text, given, epochs)
        once = time.perf_counter() - start
    print(f"gensim: {epochs} epochs in {once:.0f} s")
    for side, of_side in peer.items():
        report(f"gensim, {side} vectors", nearest(of_side, chosen), text, wordnet, chosen)
    show(text, peer["input"])


if __name__ == "__main__":
    main()

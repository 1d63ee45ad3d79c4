"""What ``slide-rs compare`` does: one network a sampler, all with as many active outputs."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slide_rs import (
    checks,
    datasets,
    defaults,
    engine,
    evaluation,
    inspect,
    memory,
    samplers,
    tables,
    training,
)
from slide_rs.arrays import Features, features, n_rows
from slide_rs.commands import INTERRUPTED, read_pair, stack
from slide_rs.history import History
from slide_rs.labels import Labels, labels
from slide_rs.lines import as_json
from slide_rs.network import Network
from slide_rs.samplers import LSH, Sampler
from slide_rs.tables import Tables

__all__ = ["FAMILIES", "SAMPLERS", "Variant", "compare", "variants"]

#: What ``--families`` may name.
FAMILIES: dict[str, Tables] = {
    "simhash": tables.SimHash(),
    "simhash-gaussian": tables.SimHash(projection="gaussian"),
    "simhash-rademacher": tables.SimHash(projection="rademacher"),
    "simhash-sparse": tables.SimHash(projection="sparse"),
    "wta": tables.WTA(),
    "dwta": tables.DWTA(),
    "doph": tables.DOPH(),
}
_DRAWN: dict[str, Callable[..., Sampler]] = {
    "uniform": samplers.Uniform,
    "log_uniform": samplers.LogUniform,
    "in_batch": samplers.InBatch,
    "oracle": samplers.Oracle,
}
#: What ``--samplers`` may name: strategies of hash tables, and what they are compared with.
SAMPLERS = (*samplers.STRATEGIES, *_DRAWN, "full")
UPDATES = ("sharded", "hogwild", "both")
METRICS = ("p@1", "p@5")
#: Of all outputs, if `--active` does not say how many; and the least of it.
ACTIVE_SHARE, LEAST_ACTIVE = 100, 64

_COLUMNS = (
    ("family", 20),
    ("sampler", 13),
    ("active", 9),
    ("recall@1", 10),
    ("recall@10", 11),
    ("P@1", 9),
    ("P@5", 9),
    ("samples/s", 12),
    ("tables MB", 11),
)


@dataclass(frozen=True, slots=True)
class Variant:
    """A row of the table: which sampler trains the network, and how.

    Examples
    --------
    >>> Variant("", "full", samplers.Full()).update
    'sharded'
    """

    family: str
    name: str
    sampler: Sampler
    update: str = "sharded"


@dataclass(frozen=True, slots=True)
class _Data:
    x: Features
    y: Labels
    held_x: Features
    held_y: Labels
    width: int
    n_labels: int
    probe: NDArray[np.int64]

    def by_frequency(self) -> _Data:
        """Give the labels new ids, the most frequent the lowest, as `LogUniform` wants them.

        All measures are the same under any ids, so that of the held-out rows are changed alike
        and none is mapped back.
        """
        counts = np.bincount(self.y[1], minlength=self.n_labels)
        new = np.empty(self.n_labels, dtype=np.int64)
        new[np.argsort(-counts, kind="stable")] = np.arange(self.n_labels)
        pairs = [_renamed(y, new, self.n_labels) for y in (self.y, self.held_y)]
        return _Data(self.x, pairs[0], self.held_x, pairs[1], self.width, self.n_labels, self.probe)


def compare(arguments: Namespace) -> int:
    """Train a network for each variant, and print a line or an object of each."""
    _check(arguments)
    data = _read(arguments)
    active = arguments.active
    if active is None:
        active = min(max(data.n_labels // ACTIVE_SHARE, LEAST_ACTIVE), data.n_labels)
    checks.whole("--active", active, 1, data.n_labels)
    families = _chosen(arguments.families, FAMILIES)
    names = _chosen(arguments.samplers, SAMPLERS)
    if not arguments.json:
        print(_line({name: name for name, _ in _COLUMNS}), flush=True)
    try:
        for variant in variants(families, names, arguments.update, active):
            row = _measure(variant, data, arguments)
            print(as_json(row) if arguments.json else _line(_shown(row)), flush=True)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def variants(
    families: Sequence[str], names: Sequence[str], update: str, active: int
) -> Iterator[Variant]:
    """Yield the rows to measure: families times strategies, then the others, then Hogwild.

    Hogwild is compared with SimHash and top-k, so that it is there only if both are.

    Examples
    --------
    >>> [row.name for row in variants(["simhash"], ["topk", "union", "full"], "both", 64)]
    ['topk', 'union', 'full', 'topk, hogwild']
    """
    if update != "hogwild":
        for family in families:
            for strategy in samplers.STRATEGIES:
                if strategy in names:
                    yield Variant(family, strategy, _lsh(family, strategy, active))
        for name, made in _DRAWN.items():
            if name in names:
                yield Variant("", name, made(n_active=active))
        if "full" in names:
            yield Variant("", "full", samplers.Full())
    if update != "sharded" and "simhash" in families and "topk" in names:
        yield Variant("simhash", "topk, hogwild", _lsh("simhash", "topk", active), "hogwild")


def _lsh(family: str, strategy: str, active: int) -> LSH:
    return LSH(FAMILIES[family], strategy, n_active=active, min_active=active)


def _check(arguments: Namespace) -> None:
    """Name the option, and do so before reading any data."""
    for name in ("active", "epochs", "hidden", "batch_size"):
        value = getattr(arguments, name)
        if value is not None:
            checks.whole(f"--{name.replace('_', '-')}", value, 1, checks.MOST)
    checks.threads(arguments.threads, "--threads")
    memory.size("--max-memory", arguments.max_memory)
    checks.whole("--seed", arguments.seed, 0, 2**64 - 1)
    for option, known in (("families", tuple(FAMILIES)), ("samplers", SAMPLERS)):
        for name in _chosen(getattr(arguments, option), known):
            checks.choice(f"--{option}", name, known)
    if arguments.update == "hogwild":
        for option, wanted in (("families", "simhash"), ("samplers", "topk")):
            found = getattr(arguments, option)
            if found is not None and _chosen(found, ()) != [wanted]:
                raise ValueError(
                    f"--{option}: found {found!r} with --update hogwild, wanted {wanted!r}, the "
                    "one that Hogwild is measured with"
                )


def _chosen(text: str | None, known: Iterable[str]) -> list[str]:
    return list(known) if text is None else [name.strip() for name in text.split(",")]


def _read(arguments: Namespace) -> _Data:
    train = datasets.read_xmc(arguments.data, cache=arguments.cache)
    valid = datasets.read_xmc(arguments.valid, cache=arguments.cache)
    width, n_labels = train.n_features, train.n_labels
    for path, found in ((arguments.data, train), (arguments.valid, valid)):
        if not found.X.shape[0]:
            raise ValueError(f"{path}: found no rows, wanted at least one")
    held_x, held_y = read_pair(valid, width, n_labels, arguments.valid)
    return _Data(
        features(train.X, width),
        labels(train.Y, n_labels),
        held_x,
        held_y,
        width,
        n_labels,
        training.Probe.choose(held_x, arguments.seed).rows,
    )


def _measure(variant: Variant, data: _Data, arguments: Namespace) -> dict[str, Any]:
    if isinstance(variant.sampler, samplers.LogUniform):
        data = data.by_frequency()
    network = Network(
        stack(data.width, data.n_labels, arguments.hidden, variant.sampler),
        seed=arguments.seed,
        threads=arguments.threads,
        update=variant.update,
        max_memory=arguments.max_memory,
    )
    batch = arguments.batch_size or defaults.batch_size(n_rows(data.x))
    probe = training.Probe(data.held_x, data.probe)
    history = History()
    plan = training.Plan(arguments.epochs, batch, probe, warn=False)
    training.train(network, data.x, data.y, plan, [], history)
    core = network._core
    hashed = engine.hashed_layers(network)
    precision = evaluation.measure(core, data.held_x, data.held_y, METRICS, data.n_labels)
    return {
        "family": variant.family or "-",
        "sampler": variant.name,
        "active": history.last["active_fraction"],
        "recall@1": history.last["recall_at_1"],
        "recall@10": engine.recall(network, data.held_x, data.probe, min(10, data.n_labels)),
        "P@1": precision["p@1"],
        "P@5": precision["p@5"],
        "samples_per_second": arguments.epochs * n_rows(data.x) / sum(history["seconds"]),
        "table_bytes": inspect.table_stats(network).bytes if hashed else 0,
    }


def _shown(row: dict[str, Any]) -> dict[str, str]:
    def number(name: str, digits: int) -> str:
        return f"{row[name]:.{digits}f}" if math.isfinite(row[name]) else "-"

    return {
        "family": row["family"],
        "sampler": row["sampler"],
        "active": f"{row['active']:.2%}",
        "recall@1": number("recall@1", 3),
        "recall@10": number("recall@10", 3),
        "P@1": number("P@1", 4),
        "P@5": number("P@5", 4),
        "samples/s": f"{row['samples_per_second']:,.0f}",
        "tables MB": f"{row['table_bytes'] / 1e6:.1f}" if row["table_bytes"] else "-",
    }


def _line(cells: dict[str, str]) -> str:
    texts = [
        f"{cells[name]:<{width}}" if name in ("family", "sampler") else f"{cells[name]:>{width}}"
        for name, width in _COLUMNS
    ]
    return "".join(texts).rstrip()


def _renamed(y: Labels, new: NDArray[np.int64], n_labels: int) -> Labels:
    """Return labels with other ids, sorted within each row again."""
    indptr, ids = y
    matrix = evaluation.as_csr((indptr.astype(np.int64), new[ids]), n_labels)
    matrix.sort_indices()
    return labels(matrix, n_labels)

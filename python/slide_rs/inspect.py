"""What goes on in a model: how full its tables are, what they find, what speaks for a label.

The plots need matplotlib (``pip install 'slide_rs[plot]'``) and return its axes; ``axes.figure``
saves them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from slide_rs import checks, document, engine, figures, tables
from slide_rs.explain import Contribution, explain

if TYPE_CHECKING:
    from slide_rs.network import Network

__all__ = [
    "Contribution",
    "Retrieval",
    "TableStats",
    "explain",
    "plot_buckets",
    "plot_recall",
    "plot_retrieval",
    "retrieval_probability",
    "sampling_recall",
    "table_stats",
]

#: Rows of `X` that a measure looks at, at most.
QUERIES = 1000


@dataclass(frozen=True, slots=True)
class TableStats:
    """How the rows of one layer are spread over its hash tables.

    Examples
    --------
    >>> stats = TableStats("output", 2, 1, 1, 8, 10, 240, 1, 1, 9, 5.0, (1, 0, 0, 2))
    >>> stats.buckets, stats.empty_share, stats.largest_share
    (4, 0.25, 0.9)
    """

    #: Name of the layer, as in `Network.weights`.
    layer: str
    #: L, the number of tables.
    n_tables: int
    #: K, the hash functions of a table.
    n_hashes: int
    #: Bits of a bucket's address: a table has ``2 ** bits`` buckets.
    bits: int
    #: Rows of one bucket that count for a query, at most.
    bucket_size: int
    #: Rows that are hashed.
    rows: int
    #: Memory of all tables.
    bytes: int
    #: Buckets without any row, over all tables.
    empty: int
    #: Buckets with as many rows as count, or more.
    full: int
    #: Rows in the largest bucket.
    largest: int
    #: Mean rows of the buckets that are not empty.
    mean: float
    #: Number of buckets with 1 row, with 2 or 3, with 4 to 7, and so on.
    histogram: tuple[int, ...]

    @property
    def buckets(self) -> int:
        """Buckets of all tables together."""
        return self.n_tables << self.bits

    @property
    def empty_share(self) -> float:
        """Share of the buckets that are empty."""
        return self.empty / self.buckets

    @property
    def full_share(self) -> float:
        """Share of the buckets with any row that have as many as count, or more."""
        return self.full / max(self.buckets - self.empty, 1)

    @property
    def largest_share(self) -> float:
        """Share of the rows that are in the largest bucket."""
        return self.largest / max(self.rows, 1)

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{self.layer}: {self.rows:,} rows in {self.n_tables} tables (L) of "
                f"{1 << self.bits:,} buckets (K={self.n_hashes}), {self.bytes / 1e6:.1f} MB",
                f"  {self.empty_share:.1%} of the buckets are empty; the others hold "
                f"{self.mean:.1f} rows on average",
                f"  the largest holds {self.largest:,} rows, {self.largest_share:.1%} of all; "
                f"{self.full_share:.1%} hold the {self.bucket_size:,} that count, or more",
            ]
        )


def table_stats(net: Network, layer: int = -1) -> TableStats:
    """Return how the rows of a layer are spread over its hash tables.

    Parameters
    ----------
    net : Network
        The network.
    layer : int
        Among the layers that have tables, first to last; the output is the last.

    Raises
    ------
    ValueError
        If no layer has tables.
    IndexError
        If there are not as many.
    """
    core = engine.core(net)
    names = list(engine.hashed_layers(net))
    if not names:
        raise ValueError("net: found no hash tables, wanted a layer with samplers.LSH")
    place = checks.whole("layer", layer, -(2**31), 2**31)
    if not -len(names) <= place < len(names):
        raise IndexError(
            f"layer: found {place}, wanted at most {len(names) - 1}: the layers with hash tables "
            f"are {', '.join(names)}"
        )
    place %= len(names)
    found = dict(core.table_stats(place))
    found["histogram"] = tuple(found["histogram"].tolist())
    return TableStats(layer=names[place], **found)


def sampling_recall(net: Network, X: object, k: int = 1) -> float:
    """Return which share of the exact best `k` labels of the rows the sampler alone finds.

    The same as `Network.sampling_recall`.

    Parameters
    ----------
    net : Network
        The network.
    X : as in ``Network.fit``
        The rows.
    k : int
        Labels of each row.
    """
    engine.core(net)
    return net.sampling_recall(X, k)


@dataclass(frozen=True, slots=True, eq=False)
class Retrieval:
    """How often one table brings a query and a row together, by the angle between them.

    Examples
    --------
    >>> half = np.array([0.5])
    >>> print(Retrieval(half, np.array([100]), half, np.array([np.nan])))
     angle     pairs  measured    theory
      0.50       100    0.5000         -
    """

    #: Middle of each bin, in radians.
    angle: NDArray[np.float64]
    #: Pairs in each bin.
    pairs: NDArray[np.int64]
    #: Share of (pair, table) in which both are in one bucket; NaN where there are no pairs.
    measured: NDArray[np.float64]
    #: The same by the closed form of the family; NaN where it has none in the angle.
    theoretical: NDArray[np.float64]

    def __str__(self) -> str:
        lines = [f"{'angle':>6}{'pairs':>10}{'measured':>10}{'theory':>10}"]
        lines += [
            f"{angle:>6.2f}{pairs:>10,}{_number(measured):>10}{_number(theory):>10}"
            for angle, pairs, measured, theory in self._rows()
        ]
        return "\n".join(lines)

    def _rows(self) -> Iterator[tuple[float, int, float, float]]:
        columns = (self.angle, self.pairs, self.measured, self.theoretical)
        return zip(*(column.tolist() for column in columns), strict=True)


def retrieval_probability(
    net: Network, X: object, bins: int = 20, pairs: int = 20_000, *, seed: int = 0
) -> Retrieval:
    """Measure how likely one table of the output layer is to return a row, by its angle.

    Pairs of rows of `X`, as the layer sees them, with random outputs, and with the best output of
    each. For SimHash the theory is (1 - angle / pi) ** K (Charikar, STOC 2002).

    Parameters
    ----------
    net : Network
        A network whose output has hash tables.
    X : as in ``Network.fit``
        Rows, of which up to 1,000 are used.
    bins : int
        Ranges of angle from 0 to pi.
    pairs : int
        Pairs to draw, about.
    seed : int
        Seed of rows and pairs.
    """
    core, hashed = engine.core(net), engine.output_tables(net)
    count = checks.whole("bins", bins, 1, checks.MOST)
    total = checks.whole("pairs", pairs, 1, checks.MOST)
    x = engine.queries(net, X)
    rows = engine.choose_rows(x, QUERIES, checks.whole("seed", seed, 0, 2**64 - 1))
    each = math.ceil(total / len(rows))
    cosines, hits = core.retrieval(x, rows, each, seed)
    angles: NDArray[np.float64] = np.arccos(np.clip(cosines.astype(np.float64), -1, 1))
    place = np.minimum((angles * (count / np.pi)).astype(np.int64), count - 1)
    found = np.bincount(place, minlength=count)
    theory = np.full(len(angles), np.nan)
    if isinstance(hashed, tables.SimHash) and hashed.n_hashes:
        theory = (1 - angles / np.pi) ** hashed.n_hashes

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        sums: NDArray[Any] = np.bincount(place, weights=values, minlength=count)
        means: NDArray[np.float64] = np.full(count, np.nan)
        means[found > 0] = sums[found > 0] / found[found > 0]
        return means

    edges = np.linspace(0, np.pi, count + 1)
    return Retrieval(
        angle=(edges[1:] + edges[:-1]) / 2,
        pairs=found.astype(np.int64),
        measured=mean(hits.astype(np.float64) / (hashed.n_tables or 1)),
        theoretical=mean(theory),
    )


def plot_buckets(net: Network, layer: int = -1, *, ax: Any = None) -> Any:
    """Draw how many buckets hold how many rows.

    Parameters
    ----------
    net, layer : as in ``table_stats``
        The tables.
    ax : matplotlib axes, optional
        Where to draw; new ones when not given.
    """
    stats = table_stats(net, layer)
    ax = figures.axes(ax)
    labels = ["0", *(_power(place) for place in range(len(stats.histogram)))]
    ax.bar(labels, (stats.empty, *stats.histogram))
    ax.tick_params(axis="x", rotation=45)
    ax.set(
        title=f"{stats.layer}: {stats.n_tables} tables of {1 << stats.bits:,} buckets",
        xlabel="rows in a bucket",
        ylabel="buckets",
        yscale="symlog",
    )
    return ax


def plot_retrieval(
    net: Network,
    X: object,
    bins: int = 20,
    pairs: int = 20_000,
    *,
    seed: int = 0,
    ax: Any = None,
) -> Any:
    """Draw what `retrieval_probability` measures, with the theory where there is one.

    Parameters
    ----------
    net, X, bins, pairs, seed : as in ``retrieval_probability``
        What to measure.
    ax : matplotlib axes, optional
        Where to draw; new ones when not given.
    """
    found = retrieval_probability(net, X, bins, pairs, seed=seed)
    ax = figures.axes(ax)
    degrees = np.degrees(found.angle)
    ax.plot(degrees, found.measured, "o", label="measured")
    if not np.isnan(found.theoretical).all():
        ax.plot(degrees, found.theoretical, "-", label="theory")
    ax.set(xlabel="angle in degrees", ylabel="probability that one table finds it")
    ax.legend()
    return ax


def plot_recall(net: Network, X: object, *, seed: int = 0, ax: Any = None) -> Any:
    """Draw the recall of the best label against the number of outputs computed.

    Beside it the recall of as many random outputs; a vertical line marks what the sampler of the
    network computes.

    Parameters
    ----------
    net : Network
        A network whose output has hash tables.
    X : as in ``Network.fit``
        Rows, of which up to 1,000 are used.
    seed : int
        Seed of the choice.
    ax : matplotlib axes, optional
        Where to draw; new ones when not given.
    """
    core, hashed = engine.core(net), engine.output_tables(net)
    x = engine.queries(net, X)
    rows = engine.choose_rows(x, QUERIES, checks.whole("seed", seed, 0, 2**64 - 1))
    ranks = core.ranks(json.dumps(document.tables_fields(hashed)), x, rows)
    units = net.config.output.units
    computed = np.unique(np.geomspace(1, units, 60).astype(np.int64))
    share = np.searchsorted(np.sort(ranks[ranks > 0]), computed, side="right") / len(ranks)
    ax = figures.axes(ax)
    ax.plot(computed / units, share, label="hash tables")
    ax.plot(computed / units, computed / units, ":", label="random")
    active = getattr(net.config.output.sampler, "n_active", None)
    if active is not None:
        ax.axvline(active / units, color="0.7")
    ax.set(xscale="log", xlabel="share of the outputs computed", ylabel="recall of the best label")
    ax.legend()
    return ax


def _power(place: int) -> str:
    low, high = 1 << place, (2 << place) - 1
    return f"{low}" if low == high else f"{low}-{high}"


def _number(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "-"

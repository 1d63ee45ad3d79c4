"""The search for hash tables that find enough with as few active outputs as possible."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from slide_rs import _core, checks, document, engine, samplers, tables
from slide_rs.arrays import Features
from slide_rs.tables import DOPH, DWTA, WTA, SimHash, Tables

if TYPE_CHECKING:
    from slide_rs.network import Network

__all__ = ["Trial", "Tuning", "autotune"]

FAMILIES = tuple(document.FAMILIES)
#: What rows may gain from.
OPTIONS = ("center", "normalize", "mips")
#: Tables of the first trial of each family.
TABLES = 96
#: Recall may be above the target by so much, which is within the error of 1,500 queries.
BAND = 0.015
#: Share of the queries on which candidates are compared; the rest judges the one chosen.
SCREENED = 4
#: Ids that a query reads in no time.
CHEAP = 10_000
#: Too few queries to be parted.
FEW = 400
_log = logging.getLogger("slide_rs")


@dataclass(frozen=True, slots=True)
class Trial:
    """What one candidate needs to reach the target.

    Examples
    --------
    >>> Trial(SimHash(9, 8, 64), n_active=40, recall=0.8, reached=True, queries=500, table_bytes=9)
    <SimHash K=8 L=9 bucket_size=64: recall 0.800 with 40 active, 0.0 MB>
    """

    #: The candidate.
    tables: Tables
    #: The smallest active set that reaches the target, or the largest that was allowed.
    n_active: int
    #: Share of the queries whose best output is in an active set of that size.
    recall: float
    #: Whether that is the target.
    reached: bool
    #: How many queries were asked.
    queries: int
    #: Memory of the tables, about.
    table_bytes: int

    def __repr__(self) -> str:
        found = self.tables
        options = "".join(f" {name}" for name in OPTIONS if getattr(found, name))
        return (
            f"<{type(found).__name__} K={found.n_hashes} L={found.n_tables} "
            f"bucket_size={found.bucket_size}{options}: recall {self.recall:.3f} with "
            f"{self.n_active:,} active, {self.table_bytes / 1e6:.1f} MB>"
        )

    @property
    def cost(self) -> tuple[bool, int, float, int]:
        """What to compare by: smaller is better.

        Of equal active sets the higher recall, which leaves room for fewer tables.
        """
        return not self.reached, self.n_active, -self.recall, self.table_bytes


@dataclass(frozen=True, slots=True)
class Tuning:
    """What `autotune` found.

    Examples
    --------
    >>> found = Tuning(samplers.LSH(SimHash(9, 8), n_active=40), 0.81, 40, 20_000, 0.8, ())
    >>> print(found)
    recall 0.810 (wanted 0.8) with 40 active outputs: SimHash, K=8, L=9, 0.0 MB of tables; 0 tried
    """

    #: For `Network.set_sampler`, or for a network of the same sizes.
    sampler: samplers.LSH
    #: Share of the queries whose best output it finds.
    recall: float
    #: Outputs that it computes for a row.
    n_active: int
    #: Memory of its tables, about.
    table_bytes: int
    #: The recall that was wanted.
    target_recall: float
    #: All that was tried, in order.
    tried: tuple[Trial, ...]

    def __str__(self) -> str:
        found = self.sampler.tables
        return (
            f"recall {self.recall:.3f} (wanted {self.target_recall:g}) with {self.n_active:,} "
            f"active outputs: {type(found).__name__}, K={found.n_hashes}, L={found.n_tables}, "
            f"{self.table_bytes / 1e6:.1f} MB of tables; {len(self.tried)} tried"
        )


def autotune(
    net: Network,
    X: object,
    target_recall: float = 0.8,
    max_active: int | None = None,
    *,
    n_queries: int = 2000,
    time_limit: float = 45.0,
    families: Sequence[str] | None = None,
    seed: int = 0,
) -> Tuning:
    """Find the hash tables of the output layer that reach a recall with the fewest active outputs.

    For a candidate the position of the exact best output in its ranking is looked up for each of a
    sample of rows; the smallest active set is the quantile of these positions. The search climbs
    from every family of hash functions, one change after another in K, L, bucket size and options,
    as long as a query does not read more ids than half of the outputs, or 10,000 if that is more.

    From 400 rows on a quarter of them choose, and the others judge what was chosen; if it finds
    more than is wanted there, these also choose the number of tables, so that the reported recall
    is a little optimistic. Below 400 the same rows choose and judge.

    Parameters
    ----------
    net : Network
        A trained network; it is not changed.
    X : as in ``Network.fit``
        Rows such as the network will see.
    target_recall : float
        Share of the rows whose best output must be found, above 0 and below 1.
    max_active : int, optional
        Outputs computed for a row, at most; as many as there are when not given. If the target
        can not be reached with these, the best that was found is returned and a warning logged.
    n_queries : int
        Rows to draw from `X`.
    time_limit : float
        Seconds after which no further candidate is tried.
    families : sequence of {"simhash", "wta", "dwta", "doph"}, optional
        What to try; all when not given.
    seed : int
        Seed of the choice of rows.

    Returns
    -------
    Tuning
        With the sampler for `Network.set_sampler`, whose random share is 0.

    Examples
    --------
    >>> import slide_rs as sr
    >>> data = sr.datasets.make_xmc(300, n_features=200, n_labels=60, seed=0)
    >>> net = sr.Network([
    ...     sr.layers.SparseInput(200), sr.layers.Dense(16), sr.layers.SampledDense(60)
    ... ])
    >>> history = net.fit(data.X, data.Y, epochs=3, verbose=False)
    >>> found = sr.lsh.autotune(net, data.X, target_recall=0.7, time_limit=5.0)
    >>> net.set_sampler(found.sampler)
    """
    core = engine.core(net)
    target = checks.number("target_recall", target_recall, above=0.0, below=1.0)
    units = net.config.output.units
    most = units if max_active is None else checks.whole("max_active", max_active, 1, units)
    limit = checks.number("time_limit", time_limit, above=0.0)
    kinds = _check_families(families)
    x = engine.queries(net, X)
    wanted = checks.whole("n_queries", n_queries, 1, checks.MOST)
    rows = engine.choose_rows(x, wanted, checks.whole("seed", seed, 0, 2**64 - 1))
    screened = len(rows) // SCREENED if len(rows) >= FEW else 0
    search = _Search(core, x, units, target, most, time.monotonic() + limit, [])
    best = search.climb(_starts(kinds, net), rows[:screened] if screened else rows)
    best = search.settle(best, rows[screened:])
    if best.recall < target - 2 * BAND:
        _log.warning(
            "autotune: recall %.2f was not reached: the best tables found have the best output "
            "among %d outputs for %.1f %% of the rows. A larger max_active or a longer time_limit "
            "may help; so does training, which brings rows and queries together.",
            target,
            best.n_active,
            100 * best.recall,
        )
    before = net.config.output.sampler
    return Tuning(
        sampler=samplers.LSH(
            tables=best.tables,
            n_active=best.n_active,
            min_active=best.n_active,
            random_share=0.0,
            rebuild=before.rebuild if isinstance(before, samplers.LSH) else tables.Rebuild(),
        ),
        recall=best.recall,
        n_active=best.n_active,
        table_bytes=best.table_bytes,
        target_recall=target,
        tried=tuple(search.tried),
    )


@dataclass(slots=True)
class _Search:
    """Asks the engine about candidates, and keeps the time."""

    core: _core.Network
    x: Features
    units: int
    target: float
    most: int
    deadline: float
    tried: list[Trial]
    #: Seconds of the slowest trial.
    slowest: float = 0.0

    def climb(self, starts: Sequence[Tables], rows: NDArray[np.int64]) -> Trial:
        """Take the best of what each family leads to, the most promising family first."""
        heads: list[Trial] = []
        for start in starts:
            if heads and not self.time_for(SCREENED):
                break
            heads.append(self.coarsen(self.ask(start, rows), rows))
        heads.sort(key=lambda head: head.cost)
        return min((self.improve(head, rows) for head in heads), key=lambda found: found.cost)

    def coarsen(self, best: Trial, rows: NDArray[np.int64]) -> Trial:
        """Lower K until enough is found at all: families differ in how much they read."""
        trial = best
        while not trial.reached:
            coarser = _coarser(trial.tables, self.units)
            if coarser is None or not self.may_try(coarser):
                break
            trial = self.ask(coarser, rows)
            best = min(best, trial, key=lambda found: found.cost)
        return best

    def improve(self, best: Trial, rows: NDArray[np.int64]) -> Trial:
        """Take better neighbours until there are none."""
        improved = True
        while improved:
            improved = False
            for neighbour in _neighbours(best.tables, self.units):
                if not self.may_try(neighbour):
                    continue
                trial = self.ask(neighbour, rows)
                if trial.cost < best.cost:
                    best, improved = trial, True
                    break
        return best

    def may_try(self, candidate: Tables) -> bool:
        """Tell whether there is time for one that is new and reads little enough.

        Judging the one that is chosen takes more rows, and is paid for first.
        """
        known = any(trial.tables == candidate for trial in self.tried)
        # Counting many more ids takes the time that hashing saves.
        most = max(self.units // 2, CHEAP)
        read = _ids_read(candidate, self.units)
        return not known and read <= most and self.time_for(SCREENED)

    def settle(self, best: Trial, rows: NDArray[np.int64]) -> Trial:
        """Judge the candidate anew; with fewer tables if it finds more than is wanted.

        Of small active sets the recall jumps from one size to the next, while it changes little
        from one number of tables to the next.
        """
        best = self.ask(best.tables, rows)
        low, high = 0, best.tables.n_tables or 1
        n, closest = best.n_active, best
        while best.recall > self.target + BAND and high - low > 1:
            if abs(closest.recall - self.target) <= BAND or not self.time_for(1):
                break
            middle = (low + high) // 2
            trial = self.ask(replace(best.tables, n_tables=middle), rows, n)
            low, high = (low, middle) if trial.reached else (middle, high)
            # A little below the target is nearer to it than far above.
            closest = min((closest, trial), key=lambda found: abs(found.recall - self.target))
        return closest

    def ask(self, candidate: Tables, rows: NDArray[np.int64], n: int | None = None) -> Trial:
        """Try one candidate, with `n` active outputs or as many as it needs."""
        start = time.monotonic()
        text = json.dumps(document.tables_fields(candidate))
        ranks = self.core.ranks(text, self.x, np.sort(rows))
        found = np.sort(ranks[ranks > 0])
        needed = math.ceil(self.target * len(ranks))
        if n is None:
            n = int(found[needed - 1]) if len(found) >= needed else self.most
            n = min(n, self.most)
        within = int(np.searchsorted(found, n, side="right"))
        trial = Trial(
            tables=candidate,
            n_active=n,
            recall=within / len(ranks),
            reached=within >= needed,
            queries=len(ranks),
            table_bytes=tables.memory(candidate, self.units),
        )
        self.tried.append(trial)
        self.slowest = max(self.slowest, time.monotonic() - start)
        return trial

    def time_for(self, trials: int) -> bool:
        """Tell whether so many more trials fit in the time that is left."""
        return time.monotonic() + trials * self.slowest < self.deadline


def _starts(kinds: Sequence[str], net: Network) -> list[Tables]:
    """Return a candidate of each family, with buckets of about a hundred rows."""
    units, seed = net.config.output.units, net.config.seed
    bits = tables.bits_by_rule(units)
    width = net.config.hidden[-1].units if net.config.hidden else net.config.input.in_features
    # The set of a quarter of the coordinates still tells vectors apart.
    top = min(DOPH().top, max(width // 4, 1))
    families = {
        "simhash": SimHash(TABLES, seed=seed),
        "wta": WTA(TABLES, seed=seed),
        "dwta": DWTA(TABLES, seed=seed),
        "doph": DOPH(TABLES, seed=seed, top=top),
    }
    starts = []
    for kind in kinds:
        found = families[kind]
        hashes = max(round(bits / found.bits_per_hash), 1)
        starts.append(_with_cap(replace(found, n_hashes=hashes), units))
    return starts


def _neighbours(found: Tables, units: int) -> Iterator[Tables]:
    """Yield candidates that differ in one thing, those first that change the most."""
    k, n = found.n_hashes or 1, found.n_tables or 1
    for hashes in (k - 1, k + 1):
        if hashes >= 1 and hashes * found.bits_per_hash <= tables.MOST_BITS:
            yield _with_cap(replace(found, n_hashes=hashes), units)
    for name in OPTIONS:
        changed: dict[str, Any] = {name: not getattr(found, name)}
        yield replace(found, **changed)
    if n < 2 * TABLES:
        wider = replace(found, n_tables=2 * TABLES)
        yield wider
        if round((k + 1) * found.bits_per_hash) <= tables.MOST_BITS:
            yield _with_cap(replace(wider, n_hashes=k + 1), units)
    size = found.bucket_size or 1
    for cap in (size // 4, size * 4):
        if 1 <= cap <= units:
            yield replace(found, bucket_size=cap)


def _coarser(found: Tables, units: int) -> Tables | None:
    """Return the candidate with one hash function less, if that leaves any."""
    k = (found.n_hashes or 1) - 1
    return _with_cap(replace(found, n_hashes=k), units) if k else None


def _ids_read(found: Tables, units: int) -> int:
    """Return about how many ids the buckets of one query hold, and count."""
    return (found.n_tables or 1) * min(_in_bucket(found, units), found.bucket_size or units)


def _in_bucket(found: Tables, units: int) -> int:
    """Return about how many ids a bucket holds."""
    bits = min((found.n_hashes or 1) * found.bits_per_hash, tables.MOST_BITS)
    return int(units * 2.0**-bits)


def _with_cap(found: Tables, units: int) -> Tables:
    """Let four times the mean bucket count, as the engine does by rule."""
    return replace(found, bucket_size=4 * max(_in_bucket(found, units), 32))


def _check_families(families: object) -> tuple[str, ...]:
    if families is None:
        return FAMILIES
    if isinstance(families, str) or not isinstance(families, Sequence) or not families:
        raise TypeError(f"families: found {families!r}, wanted a list of some of {FAMILIES}")
    return tuple(checks.choice("families", family, FAMILIES) for family in families)

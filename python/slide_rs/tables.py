"""Descriptions of hash tables: the family of functions, their number, and when to rebuild."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, InitVar, dataclass

from slide_rs import checks

__all__ = ["DOPH", "DWTA", "WTA", "Rebuild", "SimHash", "Tables"]

PROJECTIONS = ("gaussian", "rademacher", "sparse", "hadamard")
POLICIES = ("window", "reservoir", "fifo")
_SEEDS = 2**64 - 1
#: Votes of tables are counted in bytes.
MOST_TABLES = 255
#: Buckets of a table are numbered in 16 bits.
MOST_BITS = 16


class _Aliases:
    """The names of two sizes in the papers on SLIDE."""

    __slots__ = ()

    n_tables: int | None
    n_hashes: int | None

    @property
    def K(self) -> int | None:
        """Another name of `n_hashes`."""
        return self.n_hashes

    @property
    def L(self) -> int | None:
        """Another name of `n_tables`."""
        return self.n_tables


@dataclass(frozen=True, slots=True)
class Tables(_Aliases):
    """What the families share. Every size that is not given follows from the layer's width.

    Parameters
    ----------
    n_tables : int, optional
        Number of tables; the papers on SLIDE call it ``L``.
    n_hashes : int, optional
        Hash functions that make up a bucket's address; the papers call it ``K``.
    bucket_size : int, optional
        Neurons of one bucket that count for a query, at most.
    seed : int, optional
        Seed of the hash functions; the network's when not given.
    bucket_policy : {"window", "reservoir", "fifo"}
        Which neurons count in a bucket that holds more than `bucket_size`: a run of neighbours
        that starts at another place for each query (each is equally likely), a uniform sample that
        stays until the bucket has other members (Vitter, "Random sampling with a reservoir",
        1985), or those inserted last, as in the published code of SLIDE.
    center : bool
        Subtract the mean weight row from all rows before hashing. Adding one vector to all rows
        moves every score of a query by the same amount, so the ranking stays, while the rows
        spread over more buckets.
    normalize : bool
        Scale rows and queries to length 1. The codes of SimHash stay, but lengths no longer count
        in the ranking of ``strategy="topk"``, which is then by angle alone.
    append_bias : bool
        Hash rows with their bias as one more coordinate. It is scaled down, and that of the queries
        up from 1, where biases are large against the weights; the score stays the same.
    mips : bool
        Bring all rows to one length by one more coordinate, in which queries have a 0, so that
        the nearest row by angle is the one of the highest score (Neyshabur and Srebro, "On
        symmetric and asymmetric LSHs for inner product search", ICML 2015, section 4).
    K, L : int, optional
        Aliases of `n_hashes` and `n_tables`, as arguments and as attributes.

    Examples
    --------
    >>> SimHash(K=6, L=100) == SimHash(n_tables=100, n_hashes=6)
    True
    >>> SimHash(n_tables=100).L
    100
    """

    n_tables: int | None = None
    n_hashes: int | None = None
    bucket_size: int | None = None
    seed: int | None = None
    _: KW_ONLY
    bucket_policy: str = "window"
    center: bool = False
    normalize: bool = False
    append_bias: bool = True
    mips: bool = False
    K: InitVar[int | None] = None
    L: InitVar[int | None] = None

    def __post_init__(self, K: int | None, L: int | None) -> None:
        n_tables = _one_of("n_tables", self.n_tables, "L", L)
        n_hashes = _one_of("n_hashes", self.n_hashes, "K", K)
        for name, value, low, high in (
            ("n_tables", n_tables, 1, MOST_TABLES),
            ("n_hashes", n_hashes, 1, MOST_BITS),
            ("bucket_size", self.bucket_size, 1, checks.MOST),
            ("seed", self.seed, 0, _SEEDS),
        ):
            checked = None if value is None else checks.whole(name, value, low, high)
            object.__setattr__(self, name, checked)
        checks.choice("bucket_policy", self.bucket_policy, POLICIES)
        for name in ("center", "normalize", "append_bias", "mips"):
            checks.flag(name, getattr(self, name))
        self._check_family()

    def _check_family(self) -> None:
        """Check what only this family has."""

    @property
    def bits_per_hash(self) -> float:
        """The log, to base 2, of the number of parts that one hash function makes of the rows."""
        return 1

    def bits(self, units: int) -> int:
        """Bits of a bucket's address in tables of so many rows."""
        return min(round((self.n_hashes or 1) * self.bits_per_hash), MOST_BITS)


@dataclass(frozen=True, slots=True)
class SimHash(Tables):
    """Signed random projections: vectors at a small angle share a bucket.

    One function is the side of a random hyperplane on which a vector lies; two vectors lie on the
    same side with probability 1 - angle / pi (Charikar, "Similarity estimation techniques from
    rounding algorithms", STOC 2002, section 3).

    Parameters
    ----------
    n_tables, n_hashes, bucket_size, seed, bucket_policy, center, normalize, append_bias, mips
        As in `Tables`; ``L`` and ``K`` are aliases of the first two.
    projection : {"gaussian", "rademacher", "sparse", "hadamard"}, optional
        How the normals of the hyperplanes are drawn: each coordinate from a standard normal
        distribution, +1 or -1, or +1 or -1 on a random third of the coordinates and 0 elsewhere
        (Achlioptas, "Database-friendly random projections", PODS 2001), as in the published code
        of SLIDE; or as rows of three Hadamard transforms with random signs between them (Andoni et
        al., "Practical and optimal LSH for angular distance", NIPS 2015, section 6). With the last
        three the formula above holds approximately. The last is much the fastest, and takes the
        place of the first, by rule, where vectors are dense and have up to 4,096 coordinates.

    Examples
    --------
    >>> SimHash(n_hashes=8, projection="sparse").projection
    'sparse'
    """

    _: KW_ONLY
    projection: str | None = None

    def _check_family(self) -> None:
        if self.projection is not None:
            checks.choice("projection", self.projection, PROJECTIONS)


@dataclass(frozen=True, slots=True)
class _Binned(Tables):
    _: KW_ONLY
    bin_size: int = 8

    def _check_family(self) -> None:
        size = checks.whole("bin_size", self.bin_size, 2, 256)
        if size & (size - 1):
            raise ValueError(f"bin_size: found {size}, wanted a power of two from 2 to 256")
        object.__setattr__(self, "bin_size", size)

    @property
    def bits_per_hash(self) -> float:
        """The log, to base 2, of the number of parts that one hash function makes of the rows."""
        return self.bin_size.bit_length() - 1


@dataclass(frozen=True, slots=True)
class WTA(_Binned):
    """Winner take all: vectors with the same order of coordinates share a bucket.

    One function looks at a few coordinates chosen at random and tells which is the largest (Yagnik
    et al., "The power of comparative reasoning", ICCV 2011, section 2).

    Parameters
    ----------
    n_tables, n_hashes, bucket_size, seed, bucket_policy, center, normalize, append_bias, mips
        As in `Tables`; ``L`` and ``K`` are aliases of the first two.
    bin_size : int
        Coordinates that are compared, a power of two from 2 to 256.

    Examples
    --------
    >>> WTA(n_hashes=3, bin_size=4).bits_per_hash
    2
    """


@dataclass(frozen=True, slots=True)
class DWTA(_Binned):
    """Winner take all for sparse vectors.

    The places of a few permutations are cut into bins, each a function that tells the largest
    coordinate present in it; a bin with none present copies another (Chen and Shrivastava,
    "Densified winner take all hashing for sparse datasets", UAI 2018, section 3).

    Parameters
    ----------
    n_tables, n_hashes, bucket_size, seed, bucket_policy, center, normalize, append_bias, mips
        As in `Tables`; ``L`` and ``K`` are aliases of the first two.
    bin_size : int
        Places of a bin, a power of two from 2 to 256.

    Examples
    --------
    >>> DWTA(n_tables=50, n_hashes=4).bits_per_hash
    3
    """


@dataclass(frozen=True, slots=True)
class DOPH(Tables):
    """MinHash of the set of the largest coordinates: vectors that share them share a bucket.

    A few permutations of the coordinates are cut into bins, the first member of the set in a bin
    is its code, and an empty bin copies another (after Shrivastava and Li, "Densifying one
    permutation hashing via rotation for fast near neighbor search", ICML 2014, who have one
    permutation; Shrivastava, "Optimal densification for fast and accurate minwise hashing", ICML
    2017). Codes agree with the probability of the sets' Jaccard similarity.

    Parameters
    ----------
    n_tables, n_hashes, bucket_size, seed, bucket_policy, center, normalize, append_bias, mips
        As in `Tables`; ``L`` and ``K`` are aliases of the first two.
    top : int
        Size of the set.

    Examples
    --------
    >>> DOPH(n_tables=50, n_hashes=2).top
    30
    """

    _: KW_ONLY
    top: int = 30

    def _check_family(self) -> None:
        object.__setattr__(self, "top", checks.whole("top", self.top, 1, checks.MOST))

    @property
    def bits_per_hash(self) -> float:
        """The log, to base 2, of the number of parts that one hash function makes of the rows."""
        # Two sets of 30 out of 200 coordinates share one value in twelve by chance.
        return 3.6

    def bits(self, units: int) -> int:
        """Bits of a bucket's address, into which the codes are mixed."""
        return min(bits_by_rule(units) + 3, MOST_BITS)


def _read_aliases() -> None:
    """Let K and L be read.

    As fields with a default they would hide the properties, and `dataclasses.replace` would hand
    on what it reads there beside a new `n_hashes`.
    """
    for alias in ("K", "L"):
        for family in (Tables, SimHash, _Binned, WTA, DWTA, DOPH):
            del family.__dataclass_fields__[alias]
        delattr(Tables, alias)


_read_aliases()


@dataclass(frozen=True, slots=True)
class Rebuild:
    """When neurons that moved are hashed again, and when with new functions.

    Parameters
    ----------
    every : int, optional
        Steps from one rebuild to the next; by rule when not given.
    growth : float, optional
        Factor of at least 1 by which the interval grows after each rebuild (Chen et al.,
        "SLIDE", MLSys 2020, section 4.2, where it is exp(lambda)); by rule when not given.
    drift : float, optional
        At a rebuild that is due, hash again only if more than this share of the code bits of a
        sample of rows has changed (after Chen et al., "MONGOOSE", ICLR 2021, section 3.1); when
        not given, none need have.
    redraw : int, optional
        Draw new hash functions at every so many rebuilds, and insert all neurons by them; never
        when not given.

    Examples
    --------
    >>> Rebuild(every=50)
    Rebuild(every=50, growth=None, drift=None, redraw=None)
    """

    every: int | None = None
    growth: float | None = None
    _: KW_ONLY
    drift: float | None = None
    redraw: int | None = None

    def __post_init__(self) -> None:
        for name in ("every", "redraw"):
            steps = getattr(self, name)
            if steps is not None:
                object.__setattr__(self, name, checks.whole(name, steps, 1, checks.MOST))
        if self.growth is not None:
            object.__setattr__(self, "growth", checks.number("growth", self.growth, least=1.0))
        if self.drift is not None:
            drift = checks.number("drift", self.drift, least=0.0, below=1.0)
            object.__setattr__(self, "drift", drift)


def memory(found: Tables, units: int) -> int:
    """Return about how many bytes tables of so many rows take.

    An id and a code for each row, and where each bucket starts.

    Examples
    --------
    >>> memory(SimHash(n_tables=10, n_hashes=8), 1000)
    70240
    """
    return (found.n_tables or 1) * (6 * units + 4 * (1 << found.bits(units)))


def bits_by_rule(units: int) -> int:
    """Return as many bits as leave about a hundred of so many rows in a bucket.

    Examples
    --------
    >>> bits_by_rule(200_000)
    11
    """
    return min(max(round(math.log2(max(units, 1) / 100)), 3), MOST_BITS)


def names(kinds: Sequence[type]) -> str:
    """Return the names of classes as a list in words.

    Examples
    --------
    >>> names([SimHash, WTA, DWTA])
    'SimHash, WTA or DWTA'
    """
    *first, last = (kind.__name__ for kind in kinds)
    return f"{', '.join(first)} or {last}" if first else last


def _one_of(name: str, value: int | None, alias: str, aliased: int | None) -> int | None:
    if value is not None and aliased is not None:
        raise ValueError(f"{name}: found {value} and its alias {alias}={aliased}, wanted only one")
    return aliased if value is None else value

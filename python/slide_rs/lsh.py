"""Hash tables that find the neurons likely to matter, and when to rebuild them."""

from __future__ import annotations

from dataclasses import dataclass

from slide_rs import checks

__all__ = ["Rebuild", "SimHash"]


@dataclass(frozen=True, slots=True, init=False)
class SimHash:
    """Signed random projections: vectors at a small angle share a bucket.

    Every parameter that is not given follows from the width of the layer.

    Parameters
    ----------
    n_tables : int, optional
        Number of tables; the papers on SLIDE call it ``L``.
    n_hashes : int, optional
        Bits of a bucket's address; the papers call it ``K``.
    bucket_size : int, optional
        Neurons read from one bucket for a query, at most. The bucket itself holds all that
        belong there.
    seed : int, optional
        Seed of the projections; the network's when not given.
    K, L : int, optional
        Aliases of `n_hashes` and `n_tables`.

    Examples
    --------
    >>> SimHash(K=6, L=100) == SimHash(n_tables=100, n_hashes=6)
    True
    """

    n_tables: int | None
    n_hashes: int | None
    bucket_size: int | None
    seed: int | None

    def __init__(
        self,
        n_tables: int | None = None,
        n_hashes: int | None = None,
        bucket_size: int | None = None,
        seed: int | None = None,
        *,
        K: int | None = None,
        L: int | None = None,
    ) -> None:
        for name, value, low, high in (
            ("n_tables", _one_of("n_tables", n_tables, "L", L), 1, 255),
            ("n_hashes", _one_of("n_hashes", n_hashes, "K", K), 1, 16),
            ("bucket_size", bucket_size, 1, checks.MOST),
            ("seed", seed, 0, 2**64 - 1),
        ):
            checked = None if value is None else checks.whole(name, value, low, high)
            object.__setattr__(self, name, checked)


@dataclass(frozen=True, slots=True)
class Rebuild:
    """When neurons that moved are hashed again.

    Parameters
    ----------
    every : int, optional
        Steps from one rebuild to the next; by rule when not given.
    growth : float, optional
        Factor of at least 1 by which the interval grows after each rebuild.

    Examples
    --------
    >>> Rebuild(every=50)
    Rebuild(every=50, growth=None)
    """

    every: int | None = None
    growth: float | None = None

    def __post_init__(self) -> None:
        if self.every is not None:
            object.__setattr__(self, "every", checks.whole("every", self.every, 1, checks.MOST))
        if self.growth is not None:
            object.__setattr__(self, "growth", checks.number("growth", self.growth, least=1.0))


def _one_of(name: str, value: int | None, alias: str, aliased: int | None) -> int | None:
    if value is not None and aliased is not None:
        raise ValueError(f"{name}: found {value} and its alias {alias}={aliased}, wanted only one")
    return aliased if value is None else value

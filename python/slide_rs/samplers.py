"""Which outputs a training step computes besides the true labels, which are always included."""

from __future__ import annotations

from dataclasses import dataclass, field

from slide_rs import checks
from slide_rs.lsh import Rebuild, SimHash

__all__ = ["LSH", "Full", "Sampler", "Uniform"]


@dataclass(frozen=True, slots=True)
class LSH:
    """Outputs found in hash tables: those likely to score high.

    Below 1,000 outputs a dense product is cheaper: with `n_active`, `random_share`, `tables` and
    `rebuild` all left to rule, and the strategy ``"topk"``, this becomes `Full` there.

    Parameters
    ----------
    tables : lsh.SimHash, optional
        The tables; sized by rule when not given.
    strategy : {"topk", "vanilla"}
        ``"topk"`` ranks outputs by an estimate of their scores: the number of tables they were
        found in, which tells of the angle, times the length of their weights. ``"vanilla"``
        takes whole buckets, table after table, until there are enough.
    n_active : int, optional
        Outputs computed per row, labels included; by rule when not given.
    rebuild : lsh.Rebuild, optional
        When to hash again what has moved; by rule when not given.
    fill : {"random", "none"}
        What makes up `n_active` when the tables give fewer.
    random_share : float, optional
        Share of `n_active` that is always drawn at random, in [0, 1). These outputs stand for all
        that were not found: the log of their chance of being drawn is subtracted from their
        scores, which makes the sum over the active outputs an unbiased estimate of the sum over
        all. With 0 only missing outputs are drawn, and none is corrected. By rule when not given.
        Ignored with ``fill="none"``, which draws nothing.

    Examples
    --------
    >>> LSH(n_active=500).strategy
    'topk'
    """

    tables: SimHash = field(default_factory=SimHash)
    strategy: str = "topk"
    n_active: int | None = None
    rebuild: Rebuild = field(default_factory=Rebuild)
    fill: str = "random"
    random_share: float | None = None

    def __post_init__(self) -> None:
        _take("tables", self, SimHash)
        checks.choice("strategy", self.strategy, ("topk", "vanilla"))
        _check_n_active(self)
        _take("rebuild", self, Rebuild)
        checks.choice("fill", self.fill, ("random", "none"))
        if self.random_share is not None:
            checks.number("random_share", self.random_share, least=0.0, below=1.0)


@dataclass(frozen=True, slots=True)
class Uniform:
    """Outputs drawn at random, each with the same chance: the usual sampled softmax.

    Parameters
    ----------
    n_active : int, optional
        Outputs computed per row, labels included; by rule when not given.
    log_q : bool
        Correct the scores for the chance of being drawn, which removes the bias of sampling.

    Examples
    --------
    >>> Uniform(n_active=500)
    Uniform(n_active=500, log_q=True)
    """

    n_active: int | None = None
    log_q: bool = True

    def __post_init__(self) -> None:
        _check_n_active(self)
        checks.flag("log_q", self.log_q)


@dataclass(frozen=True, slots=True)
class Full:
    """All outputs, as in a dense network.

    Examples
    --------
    >>> Full()
    Full()
    """


Sampler = LSH | Uniform | Full


def _check_n_active(sampler: LSH | Uniform) -> None:
    if sampler.n_active is not None:
        object.__setattr__(sampler, "n_active", checks.whole("n_active", sampler.n_active, 1))


def _take(name: str, sampler: LSH, kind: type[SimHash] | type[Rebuild]) -> None:
    """Let `None` stand for the default, and refuse what is of another kind."""
    found = getattr(sampler, name)
    if found is None:
        object.__setattr__(sampler, name, kind())
    elif not isinstance(found, kind):
        raise TypeError(f"{name}: found {type(found).__name__}, wanted lsh.{kind.__name__}")

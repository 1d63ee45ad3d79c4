"""Which neurons a training step computes besides the true labels, which are always included."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from slide_rs import checks, tables
from slide_rs.tables import Rebuild, SimHash, Tables

__all__ = ["LSH", "Full", "InBatch", "LogUniform", "Oracle", "Sampler", "Uniform"]

STRATEGIES = ("topk", "vanilla", "union", "threshold")


@dataclass(frozen=True, slots=True)
class LSH:
    """Neurons found in hash tables: those likely to score high.

    Below 1,000 neurons a dense product is cheaper: with everything left to rule this becomes
    `Full` there, whatever `fill` and the seed of the tables are. From Chen et al., "SLIDE",
    MLSys 2020, section 3.

    Parameters
    ----------
    tables : lsh.SimHash, lsh.WTA, lsh.DWTA or lsh.DOPH, optional
        The tables; `lsh.SimHash()`, sized by rule, when not given.
    strategy : {"topk", "vanilla", "union", "threshold"}
        ``"topk"`` ranks neurons by an estimate of their scores: the number of tables they were
        found in, which tells of the angle, times the length of their weights. ``"vanilla"``
        takes whole buckets, table after table in random order, until there are enough.
        ``"union"`` takes all that are in any bucket, as the published code of SLIDE does, and
        ``"threshold"`` those found in at least `min_count` tables.
    n_active : int, optional
        Neurons computed per row at most, labels included. When not given: by rule for the first
        two strategies, no limit for the others.
    rebuild : lsh.Rebuild, optional
        When to hash again what has moved; by rule when not given.
    fill : {"random", "none"}
        What makes up `min_active` when the tables give fewer.
    random_share : float, optional
        Share of `n_active` that is always drawn at random, in [0, 1). These neurons stand for all
        that were not found: the log of their chance of being drawn is subtracted from their
        scores, which makes the sum over the active neurons an unbiased estimate of the sum over
        all. With 0 only missing neurons are drawn, and none is corrected. By rule when not given.
        Ignored with ``fill="none"``, which draws nothing.
    min_count : int
        Tables in which ``strategy="threshold"`` wants a neuron to be found.
    min_active : int, optional
        Neurons computed per row at least; `n_active`, where there is one, when not given.
    log_q : {"random", "all", "none"}
        From which scores the log of the chance of being active is subtracted: those of neurons
        drawn at random as `random_share` says; also those of neurons found in the tables, by
        1 - (1 - p^K)^L with p from the angle (Spring and Shrivastava, "A new unbiased and
        efficient class of LSH-based samplers and estimators", 2017), which wants plain
        `lsh.SimHash`; or none. Only at the output layer with a softmax loss: hidden layers and
        other losses, whose outputs each count for themselves, ignore it.
    shared_negatives : bool
        As in `Uniform`, of the neurons that are drawn at random.

    Examples
    --------
    >>> LSH(n_active=500).strategy
    'topk'
    """

    tables: Tables = field(default_factory=SimHash)
    strategy: str = "topk"
    n_active: int | None = None
    rebuild: Rebuild = field(default_factory=Rebuild)
    fill: str = "random"
    random_share: float | None = None
    _: KW_ONLY
    min_count: int = 2
    min_active: int | None = None
    log_q: str = "random"
    shared_negatives: bool = True

    def __post_init__(self) -> None:
        _take("tables", self, SimHash, FAMILIES)
        checks.choice("strategy", self.strategy, STRATEGIES)
        _check_active(self, "n_active")
        _take("rebuild", self, Rebuild, (Rebuild,))
        checks.choice("fill", self.fill, ("random", "none"))
        _check_random_share(self)
        most = tables.MOST_TABLES
        object.__setattr__(self, "min_count", checks.whole("min_count", self.min_count, 1, most))
        if self.strategy != "threshold" and self.min_count != 2:
            raise ValueError(
                f"min_count: found {self.min_count} with strategy={self.strategy!r}, "
                "wanted strategy='threshold'"
            )
        _check_active(self, "min_active")
        if None not in (limits := (self.min_active, self.n_active)) and limits[0] > limits[1]:  # type: ignore[operator]
            raise ValueError(
                f"min_active: found {self.min_active}, wanted at most n_active={self.n_active}"
            )
        checks.choice("log_q", self.log_q, ("random", "all", "none"))
        checks.flag("shared_negatives", self.shared_negatives)
        found = self.tables
        plain = isinstance(found, SimHash) and found.append_bias
        if self.log_q == "all" and (not plain or found.center or found.normalize or found.mips):
            raise ValueError(
                "log_q: found 'all', wanted lsh.SimHash with append_bias and without center, "
                "normalize and mips for it: of these alone the angle tells the chance"
            )


@dataclass(frozen=True, slots=True)
class _Drawn:
    n_active: int | None = None
    log_q: bool = True

    def __post_init__(self) -> None:
        _check_active(self, "n_active")
        checks.flag("log_q", self.log_q)


@dataclass(frozen=True, slots=True)
class Uniform(_Drawn):
    """Neurons drawn at random, each with the same chance: the usual sampled softmax.

    From Bengio and Senecal, "Adaptive importance sampling to accelerate training of a neural
    probabilistic language model", 2008; corrected as in Jean et al., "On using very large target
    vocabulary", ACL 2015, section 3.

    Parameters
    ----------
    n_active : int, optional
        Neurons computed per row, labels included; by rule when not given.
    log_q : bool
        Correct the scores for the chance of being drawn, which removes the bias of sampling. Only
        at the output layer with a softmax loss: hidden layers and other losses ignore it.
    shared_negatives : bool
        Whether the random neurons are drawn once for 16 rows: each row still computes as many, but
        their weights are read and changed once, so that a step moves far less memory. When False,
        each row draws its own.

    Examples
    --------
    >>> Uniform(n_active=500)
    Uniform(n_active=500, log_q=True, shared_negatives=True)
    """

    shared_negatives: bool = True

    def __post_init__(self) -> None:
        _Drawn.__post_init__(self)
        checks.flag("shared_negatives", self.shared_negatives)


@dataclass(frozen=True, slots=True)
class LogUniform(_Drawn):
    """Neurons drawn at random, low ids more often: for labels sorted by falling frequency.

    Id ``i`` of ``n`` is drawn with probability log(1 + 1 / (i + 1)) / log(n + 1), close to Zipf's
    law; TensorFlow's ``log_uniform_candidate_sampler`` does the same.

    Parameters
    ----------
    n_active : int, optional
        Neurons computed per row, labels included; by rule when not given.
    log_q : bool
        Correct the scores for the chance of being drawn: at the output layer with a softmax loss;
        hidden layers and other losses ignore it.

    Examples
    --------
    >>> LogUniform(n_active=500)
    LogUniform(n_active=500, log_q=True)
    """


@dataclass(frozen=True, slots=True)
class InBatch(_Drawn):
    """The labels of the other rows of the batch; for the output layer only.

    Corrected by the frequency of the labels as in Yi et al., "Sampling-bias-corrected neural
    modeling for large corpus item recommendations", RecSys 2019, section 4.

    Parameters
    ----------
    n_active : int, optional
        Neurons computed per row at most, labels included; all of the batch when not given.
    log_q : bool
        Correct the scores for the chance of being in the batch: with a softmax loss; other losses
        ignore it.

    Examples
    --------
    >>> InBatch()
    InBatch(n_active=None, log_q=True)
    """


@dataclass(frozen=True, slots=True)
class Oracle:
    """The neurons with the highest scores, found by computing all: what `LSH` approximates.

    As slow as `Full`; it tells how much is lost by what hashing does not find.

    Parameters
    ----------
    n_active : int, optional
        Neurons computed per row, labels included; by rule when not given.
    random_share : float, optional
        As in `LSH`.
    shared_negatives : bool
        As in `Uniform`.

    Examples
    --------
    >>> Oracle(n_active=500)
    Oracle(n_active=500, random_share=None, shared_negatives=True)
    """

    n_active: int | None = None
    random_share: float | None = None
    shared_negatives: bool = True

    def __post_init__(self) -> None:
        _check_active(self, "n_active")
        _check_random_share(self)
        checks.flag("shared_negatives", self.shared_negatives)


@dataclass(frozen=True, slots=True)
class Full:
    """All neurons, as in a dense network.

    Examples
    --------
    >>> Full()
    Full()
    """


Sampler = LSH | Uniform | LogUniform | InBatch | Oracle | Full

FAMILIES = (SimHash, tables.WTA, tables.DWTA, tables.DOPH)
KINDS = (LSH, Uniform, LogUniform, InBatch, Oracle, Full)


def _check_active(sampler: Any, name: str) -> None:
    count = getattr(sampler, name)
    if count is not None:
        object.__setattr__(sampler, name, checks.whole(name, count, 1, checks.MOST))


def _check_random_share(sampler: LSH | Oracle) -> None:
    if sampler.random_share is not None:
        share = checks.number("random_share", sampler.random_share, least=0.0, below=1.0)
        object.__setattr__(sampler, "random_share", share)


def _take(name: str, sampler: LSH, default: type, kinds: tuple[type, ...]) -> None:
    """Let `None` stand for the default, and refuse what is of another kind."""
    found = getattr(sampler, name)
    if found is None:
        object.__setattr__(sampler, name, default())
    elif not isinstance(found, kinds):
        wanted = tables.names(kinds)
        raise TypeError(f"{name}: found {type(found).__name__}, wanted lsh.{wanted}")

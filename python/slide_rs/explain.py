"""Which features of a row speak for a label.

The networks are asked again without each feature: what the score loses is what the feature gave it.
That needs as many predictions as the row has features, and is exact for whatever is in the network:
scaling to a norm, activations, sampled hidden layers. Gradients along a path from nothing would add
up to the score, but rows and hidden vectors are scaled to one length, so that the whole change lies
at the start of the path. What features give only together is in the contribution of each, so these
need not add up. The ranker of an ensemble is linear: weight times value, which with the biases adds
up to its score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from slide_rs import checks, shortlists
from slide_rs.arrays import SparseRows, features, n_rows
from slide_rs.labels import Labels

if TYPE_CHECKING:
    from slide_rs.ensemble import Ensemble
    from slide_rs.network import Network

__all__ = ["Contribution", "explain"]

#: Values of the rows that are made at a time, unless a single row has more.
MOST_VALUES = 1 << 20
_Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Contribution:
    """What a feature of a row gives to the score of a label.

    Examples
    --------
    >>> print(Contribution(7, "radio", 0.5, 1.25, 0.25, 1.0))
    +1.2500  radio = 0.5
    """

    #: Column of `X`.
    feature: int
    #: Its name, where names were given.
    name: str | None
    #: Its value in the row.
    value: float
    #: What it gives to the score: `networks` and `ranker` together.
    contribution: float
    #: What the score of the network, or of the networks of an ensemble, loses without it.
    networks: float
    #: Its value, as the ranker scales the row, times the weight in the label's classifier and the
    #: weight of the ranker; 0 where there is none.
    ranker: float

    def __str__(self) -> str:
        name = f"feature {self.feature}" if self.name is None else self.name
        return f"{self.contribution:+.4f}  {name} = {self.value:g}"


def explain(
    model: Network | Ensemble,
    x: object,
    label: int,
    *,
    feature_names: Sequence[str] | None = None,
    k: int | None = 20,
) -> list[Contribution]:
    """Return what the features of a row give to the score of a label, the greatest first.

    Parameters
    ----------
    model : Network or Ensemble
        The score of a network is that of `Network.predict_topk`. That of an ensemble is the log
        probability among what is proposed for the whole row, and the ranker's score by its weight,
        as of `Ensemble.predict_topk`; a label that is not proposed is looked at as if it were.
    x : CSR matrix or array, or array
        One row, as 2-D or 1-D.
    label : int
        The label.
    feature_names : sequence of str, optional
        A name for each column.
    k : int, optional
        Features to return; None for all.

    Returns
    -------
    list of Contribution
        By their absolute value, ties by lower feature.

    Raises
    ------
    ValueError
        If `x` has not one row, or `label` or the number of names do not fit the model.

    Examples
    --------
    >>> from slide_rs import Network, layers
    >>> X = np.eye(4, dtype=np.float32)
    >>> net = Network([layers.SparseInput(4), layers.Dense(8), layers.SampledDense(4)])
    >>> history = net.fit(X, [[0], [1], [2], [3]], epochs=20, verbose=False)
    >>> [found.name for found in explain(net, X[2], 2, feature_names=["a", "b", "c", "d"])]
    ['c']
    """
    config = model.config
    row = _one_row(x, config.input.in_features)
    target = checks.whole("label", label, 0, config.output.units - 1)
    if feature_names is not None and len(feature_names) != config.input.in_features:
        raise ValueError(
            f"feature_names: found {len(feature_names)}, wanted {config.input.in_features}, one "
            "for each column"
        )
    most = len(row[1]) if k is None else checks.whole("k", k, 1, checks.MOST)
    score, ranked = _scorer(model, row, target)
    whole = score(row)[0]
    lost = [whole - score(part) for part in _without_each(row)]
    networks = np.concatenate(lost) if lost else np.empty(0, np.float32)
    total = networks + ranked
    ids, values = row[1], row[2]
    order = np.lexsort((ids, -np.abs(total)))[:most]
    return [
        Contribution(
            feature=int(ids[i]),
            name=None if feature_names is None else str(feature_names[int(ids[i])]),
            value=float(values[i]),
            contribution=float(total[i]),
            networks=float(networks[i]),
            ranker=float(ranked[i]),
        )
        for i in order
    ]


def _one_row(x: Any, columns: int) -> SparseRows:
    """Return the features of one row that are not zero."""
    if getattr(x, "ndim", 2) == 1:
        wide: Any = x.reshape(1, -1)
        x = wide.tocsr() if sparse.issparse(x) else wide
    found = features(x, columns, name="x")
    if n_rows(found) != 1:
        raise ValueError(f"x: found {n_rows(found)} rows, wanted one")
    if isinstance(found, tuple):
        ids, values = found[1][found[2] != 0], found[2][found[2] != 0]
    else:
        ids, values = np.flatnonzero(found[0]), found[0][found[0] != 0]
    return np.array([0, len(ids)]), ids.astype(np.int64), values


def _without_each(row: SparseRows) -> Iterator[SparseRows]:
    """Return rows in which one feature after another is left out, some rows at a time."""
    _, ids, values = row
    count = len(ids)
    step = max(MOST_VALUES // max(count, 1), 1)
    for start in range(0, count, step):
        kept = np.arange(count) != np.arange(start, min(start + step, count))[:, None]
        bounds = np.arange(len(kept) + 1, dtype=np.int64) * (count - 1)
        shape = kept.shape
        yield bounds, np.broadcast_to(ids, shape)[kept], np.broadcast_to(values, shape)[kept]


def _scorer(
    model: Network | Ensemble, row: SparseRows, label: int
) -> tuple[Callable[[SparseRows], _Scores], _Scores]:
    """Return how networks score the label in rows, and what a ranker says of each feature."""
    nothing = np.zeros(len(row[1]), dtype=np.float32)
    members = getattr(model, "members", None)
    if members is None:
        core = model._core  # type: ignore[union-attr]
        return lambda part: core.score(part, _for_all([label], n_rows(part))), nothing
    ensemble: Ensemble = model  # type: ignore[assignment]
    listed = ensemble._scored(row, "exact", ensemble.classifiers)[0].labels[0]
    candidates = sorted({label, *listed[listed >= 0].tolist()})
    place = candidates.index(label)

    def score(part: SparseRows) -> _Scores:
        mean = np.zeros(n_rows(part), dtype=np.float32)
        cores = ensemble._cores()
        for core in cores:
            scores = core.score(part, _for_all(candidates, n_rows(part)))
            said = shortlists.log_softmax(scores.reshape(n_rows(part), -1))
            mean += said[:, place] / np.float32(len(cores))
        return mean

    if ensemble.classifiers is None:
        return score, nothing
    bounds, ids, weights, _ = ensemble.classifiers.arrays()
    own = slice(int(bounds[label]), int(bounds[label + 1]))
    _, mine, its = np.intersect1d(row[1], ids[own], assume_unique=True, return_indices=True)
    length = float(np.sqrt(np.square(row[2], dtype=np.float64).sum())) or 1.0
    spoken = weights[own][its] * row[2][mine] * (ensemble._weight / length)
    nothing[mine] = spoken.astype(np.float32)
    return score, nothing


def _for_all(labels: Sequence[int], rows: int) -> Labels:
    """Return the same candidates for each row."""
    bounds = np.arange(rows + 1, dtype=np.int64) * len(labels)
    return bounds, np.tile(np.asarray(labels, dtype=np.int64), rows)

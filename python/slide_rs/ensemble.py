"""Several networks that propose labels, and classifiers that put the proposals in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slide_rs import (
    bundle,
    checks,
    defaults,
    evaluation,
    prediction,
    shortlists,
    subsets,
    training,
)
from slide_rs.arrays import Features, features, n_rows
from slide_rs.bundle import MOST_MEMBERS, Parts
from slide_rs.calibration import Calibration
from slide_rs.callbacks import Callback
from slide_rs.callbacks import chosen as chosen_callbacks
from slide_rs.checkpoints import savers
from slide_rs.config import NetworkConfig
from slide_rs.growth import FixedLabels, check_units
from slide_rs.history import History
from slide_rs.labels import Labels, Targets, check_grades, pattern, targets, weights
from slide_rs.layers import Layer
from slide_rs.memory import limit
from slide_rs.neighbours import Neighbours, added, chosen, heard
from slide_rs.network import METRICS, Network
from slide_rs.optim import Optimizer
from slide_rs.ranker import LOOKED_AT, SHORTLIST, WEIGHT, Classifiers, Ranker
from slide_rs.ranking import Task, best_weight
from slide_rs.samplers import LSH
from slide_rs.topk import TopK

__all__ = ["Ensemble"]


class Ensemble(FixedLabels):
    """Networks of different seeds that propose labels together, and a ranker that orders these.

    The networks are averaged (Lakshminarayanan et al., "Simple and scalable predictive uncertainty
    estimation using deep ensembles", NeurIPS 2017). The ranker sees the sparse features themselves,
    and so what is lost between them and a hidden layer; it is for sparse `X` only.

    Parameters
    ----------
    layers, loss, optimizer, seed, threads : as in `Network`
        Those of each network; their seeds are `seed`, ``seed + 1`` and so on.
    n_members : int, optional
        Number of networks; by rule 2, or 1 where one has more than 2^26 weights.
    ranker : Ranker, optional
        How proposals are ordered; None to leave them in the order of the networks.
    max_memory : int or str, optional
        As in `Network`, for all networks together. The ranker is not counted, as it depends on the
        rows: its training takes a copy of them, 8 bytes a value, and some 2 kB a row for proposals.

    Examples
    --------
    >>> from slide_rs import datasets, layers
    >>> data = datasets.make_xmc(500, n_features=300, n_labels=40, seed=0)
    >>> stack = [layers.SparseInput(300), layers.Dense(16), layers.SampledDense(40)]
    >>> model = Ensemble(stack, n_members=2)
    >>> histories = model.fit(data.X, data.Y, epochs=3, verbose=False)
    >>> model.predict_topk(data.X, k=3).labels.shape
    (500, 3)
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        loss: str = "softmax",
        optimizer: Optimizer | None = None,
        seed: int = 0,
        threads: int | None = None,
        *,
        n_members: int | None = None,
        ranker: Ranker | None = Ranker(),  # noqa: B008 - it is frozen
        max_memory: int | str | None = None,
    ) -> None:
        if ranker is not None and not isinstance(ranker, Ranker):
            raise TypeError(f"ranker: found {type(ranker).__name__}, wanted a Ranker or None")
        config = NetworkConfig(layers, loss, optimizer, seed)
        rule = defaults.members(config)
        count = rule if n_members is None else checks.whole("n_members", n_members, 1, MOST_MEMBERS)
        limit(config, threads, max_memory, count)
        made = [
            Network(layers, loss, optimizer, (config.seed + i) % 2**64, threads)
            for i in range(count)
        ]
        self._adopt(Parts(made, ranker, 0.0, None, None, None))

    def _adopt(self, parts: Parts) -> None:
        self._members, self._ranker = tuple(parts.members), parts.ranker
        self._weight, self._classifiers = parts.weight, parts.classifiers
        self._calibration, self._neighbours = parts.calibration, parts.neighbours

    @property
    def members(self) -> tuple[Network, ...]:
        """The networks."""
        return self._members

    @property
    def config(self) -> NetworkConfig:
        """The description of the first network; the others differ in their seeds."""
        return self._members[0].config

    @property
    def ranker(self) -> Ranker | None:
        """How proposals are ordered; after ``fit`` with the weight that was found."""
        if self._ranker is None or self._classifiers is None:
            return self._ranker
        return replace(self._ranker, weight=self._weight)

    @property
    def classifiers(self) -> Classifiers | None:
        """What the ranker learned; None before ``fit``, and where there is no ranker."""
        return self._classifiers

    @property
    def threads(self) -> int:
        """The number of threads that work for each network in its turn."""
        return self._members[0].threads

    def fit(
        self,
        X: object,
        Y: object,
        epochs: int | None = None,
        batch_size: int | None = None,
        *,
        sample_weight: object = None,
        callbacks: Callback | Sequence[Callback] | None = None,
        verbose: bool | str = "auto",
        copy: bool = True,
    ) -> tuple[History, ...]:
        """Train the networks one after another, then the ranker.

        A twentieth of the rows, at most 1,000, is held out, chosen by the seed: on them recall, the
        weight of the ranker and calibration are measured. Then the ranker is trained once more, on
        all rows, for the labels that are among theirs. Sets of under 400 rows have none to spare.

        Parameters
        ----------
        X, Y, epochs, batch_size, callbacks, verbose, copy : as in ``Network.fit``
            Callbacks run for each network; `callbacks.ModelCheckpoint` is refused.
        sample_weight : as in ``Network.fit``
            For the networks; the ranker takes all rows alike, and all grades.

        Returns
        -------
        tuple of History
            Those of the networks.

        Raises
        ------
        KeyboardInterrupt
            On Ctrl-C. What was trained stays usable; without the ranker, if it was not done.
        """
        config = self.config
        x = features(X, config.input.in_features, copy=copy)
        if not n_rows(x):
            raise ValueError("X: found 0 rows, wanted at least 1")
        y = targets(Y, config.output.units, n_rows(x), copy=copy)
        check_grades(y, config.loss)
        weight = weights(sample_weight, n_rows(x), copy=copy)
        rows, held = subsets.split(n_rows(x), config.seed)
        batch = checks.whole_or("batch_size", batch_size, defaults.batch_size(len(rows)))
        probe = training.Probe(x, held) if len(held) else training.Probe.choose(x, config.seed)
        plan = training.Plan(
            epochs=checks.whole_or("epochs", epochs, defaults.epochs(len(rows), batch)),
            batch_size=batch,
            probe=probe,
            rows=rows,
            weight=weight,
        )
        shown = chosen_callbacks(callbacks, verbose)
        if savers(shown):
            raise ValueError(
                "callbacks: found ModelCheckpoint, which is of one network, wanted Network.fit for "
                "it; slide-rs train --checkpoint keeps checkpoints of each network"
            )
        return self.train(x, y, held, lambda _: plan, lambda _: shown)

    def train(
        self,
        x: Features,
        y: Targets,
        held: NDArray[np.int64],
        plan_of: Callable[[Network], training.Plan],
        callbacks: Callable[[int], Sequence[Callback]],
    ) -> tuple[History, ...]:
        """Train each network by its plan and with its callbacks; `held` are not trained on."""
        self._classifiers = self._calibration = self._neighbours = None
        for i, member in enumerate(self._members):
            member._history = History()
            shown = callbacks(i)
            for callback in shown:
                # One network may have had enough; the next has not.
                callback.stop_training = False
            training.train(member, x, y, plan_of(member), shown, member._history)
        self._rank(x, pattern(y), held)
        return tuple(member.history for member in self._members)

    def _rank(self, x: Features, y: Labels, held: NDArray[np.int64]) -> None:
        """Train the ranker, then choose its weight and calibrate on held-out rows."""
        settings, units = self._ranker, self.config.output.units
        apart = subsets.take(x, held), subsets.labels_of(y, held)
        if settings is None or not isinstance(x, tuple):
            self._calibrate(*apart)
            return
        sizes = self.config.input.in_features, units
        task = Task(x, y, sizes, settings, self.config.seed, self._members[0]._threads)
        kept = np.setdiff1d(np.arange(n_rows(x), dtype=np.int64), held)
        listed = task.proposals(self._cores(), self._quick(), kept)
        weight = WEIGHT if settings.weight is None else settings.weight
        trained = task.train(listed, kept)
        if len(held):
            if settings.weight is None:
                chunks = shortlists.chunks(apart[0])
                parts = [self._scored(part, self._quick(), trained) for _, _, part in chunks]
                weight = best_weight(parts, evaluation.as_csr(apart[1], units))
            self._classifiers, self._weight = trained, weight

            def ranked(neighbours: Neighbours | None) -> TopK:
                self._neighbours = neighbours
                return self._top(apart[0], min(LOOKED_AT, units), self._quick())

            self._neighbours = chosen(task.neighbours(kept), ranked, apart[1], units)
            self._calibrate(*apart)
            if self._neighbours is not None:
                self._neighbours = task.neighbours(None, self._neighbours.weight)
            trained = task.train_rest(trained, listed, held)
        self._classifiers, self._weight = trained, weight

    def _calibrate(self, x: Features, y: Labels) -> None:
        """Learn how often the best labels of rows are right that were not trained on."""
        if n_rows(x):
            units = self.config.output.units
            top = self._top(x, min(LOOKED_AT, units), "exact")
            found = Calibration.fit(top.scores, evaluation.right(evaluation.as_csr(y, units), top))
            self._calibration = found if found.ranks else None

    def predict_topk(
        self,
        X: object,
        k: int = 5,
        *,
        mode: str = "exact",
        calibrated: bool = False,
        copy: bool = True,
    ) -> TopK:
        """Return the `k` best labels of each row with their scores, best first.

        Parameters
        ----------
        X, k, copy : as in ``Network.predict_topk``
            The rows, and how many labels of each.
        mode : {"exact", "lsh"}
            Whether the networks score every label to make a shortlist, or those that their tables
            find. The ranker finds labels by its index in both.
        calibrated : bool
            Return as scores the probability that each label is right, as it was on held-out rows.

        Raises
        ------
        ValueError
            If probabilities are wanted of a model that was not fitted on at least 400 rows.
        """
        checks.choice("mode", mode, prediction.MODES)
        x = features(X, self.config.input.in_features, copy=copy)
        top = self._top(x, self._members[0]._k(k), mode)
        if not checks.flag("calibrated", calibrated):
            return top
        if self._calibration is None:
            raise ValueError(
                "calibrated: found True, but nothing was held out to calibrate on; fit on at "
                "least 400 rows"
            )
        return TopK(top.labels, self._calibration(top.scores))

    def evaluate(
        self,
        X: object,
        Y: object,
        metrics: Sequence[str] = METRICS,
        mode: str = "exact",
        *,
        inv_propensity: NDArray[np.floating[Any]] | None = None,
    ) -> dict[str, float]:
        """Predict the rows of `X` and compare with `Y`; all is as in ``Network.evaluate``."""
        names = evaluation.check(metrics, propensity=inv_propensity is not None)
        checks.choice("mode", mode, prediction.MODES)
        x = features(X, self.config.input.in_features)
        if not n_rows(x):
            raise ValueError("X: found 0 rows, wanted at least 1")
        y = pattern(targets(Y, self.config.output.units, n_rows(x), graded=False))
        return self._compared(x, y, names, mode, inv_propensity) if names else {}

    def _compared(
        self,
        x: Features,
        y: Labels,
        names: tuple[str, ...],
        mode: str = "exact",
        inv_propensity: NDArray[np.floating[Any]] | None = None,
    ) -> dict[str, float]:
        units = self.config.output.units
        top = self._top(x, min(evaluation.deepest(names), units), mode)
        return evaluation.compared(evaluation.as_csr(y, units), top, names, inv_propensity)

    def _top(self, x: Features, k: int, mode: str) -> TopK:
        parts = []
        for _, _, part in shortlists.chunks(x):
            top, said = self._scored(part, mode, self._classifiers)
            ranked = shortlists.weighed(top, said, self._weight, min(k, self._listed()))
            if k > self._listed():
                # Beyond the shortlist the order is that of the networks.
                labels, scores = shortlists.propose(self._cores(), part, k, mode)
                ranked = shortlists.followed(ranked, TopK(labels[:, :k], scores[:, :k]))
            parts.append(ranked)
        return shortlists.stacked(parts, k)

    def _scored(
        self, x: Features, mode: str, trained: Classifiers | None
    ) -> tuple[TopK, NDArray[np.float32]]:
        """Return shortlists, whose length never depends on what is asked for, and their scores."""
        wanted, units = self._listed(), self.config.output.units
        others = None if trained is None else trained.propose(x, wanted, defaults.postings(units))
        others, votes = heard(self._neighbours, x, others)
        top = shortlists.propose(self._cores(), x, wanted, mode, others)
        top = added(top, votes, self._neighbours)
        said = np.zeros(top.scores.shape, dtype=np.float32)
        if trained is not None:
            found = top.labels >= 0
            said[found] = trained.score(x, shortlists.flat(top.labels, found))
        return top, said

    def _listed(self) -> int:
        """Return how many labels are proposed for a row by each network."""
        wanted = SHORTLIST if self._ranker is None else self._ranker.shortlist
        return min(wanted, self.config.output.units)

    def _cores(self) -> list[Any]:
        """Return the networks that were trained: after Ctrl-C the others would only add noise."""
        return [member._core for member in self._begun()]

    def _begun(self) -> Sequence[Network]:
        return [m for m in self._members if m._core.steps] or self._members[:1]

    def _quick(self) -> str:
        """Return how a network finds shortlists of many rows soonest."""
        return "lsh" if isinstance(self.config.output.sampler, LSH) else "exact"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one file: networks without the optimiser's state, ranker, calibration, voters."""
        ranked, units = self._classifiers, self.config.output.units
        check_units(self._members, units if ranked is None else ranked.n_labels)
        bundle.save(self._parts(), path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], threads: int | None = None) -> Ensemble:
        """Read what ``save`` wrote.

        Raises
        ------
        OSError
            If the file can not be read.
        ValueError
            If it is not such a file.
        """
        return cls._of(bundle.read(path, threads))

    @classmethod
    def _of(cls, parts: Parts) -> Ensemble:
        ensemble = cls.__new__(cls)
        ensemble._adopt(parts)
        return ensemble

    def _parts(self) -> Parts:
        learned = self._weight, self._classifiers, self._calibration, self._neighbours
        return Parts(self._begun(), self._ranker, *learned)

    def __reduce__(self) -> tuple[Any, ...]:
        return _from_bytes, (bundle.packed(self._parts()), self._members[0]._threads)

    def __repr__(self) -> str:
        ranked = "no ranker" if self._classifiers is None else f"{self.ranker}"
        return f"<slide_rs.Ensemble of {len(self._members)} x {self._members[0]!r}, {ranked}>"


def _from_bytes(content: bytes, threads: int | None) -> Ensemble:
    return Ensemble._of(bundle.unpacked(content, threads))

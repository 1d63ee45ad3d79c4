"""A network that lives: labels come and go, and training goes on as data arrive."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import SupportsIndex

import numpy as np
from numpy.typing import NDArray

from slide_rs import _core, checks, defaults
from slide_rs.arrays import Features, features, n_rows
from slide_rs.config import NetworkConfig
from slide_rs.history import BatchReport
from slide_rs.labels import Targets, check_grades, pattern, targets, weights

__all__ = ["FixedLabels", "GrowingNetwork"]

INITS = ("random", "zeros", "mean_of_inputs")


class GrowingNetwork:
    """What a network does after its first training: the part of `Network` about labels and data.

    Examples
    --------
    >>> from slide_rs import Network, layers
    >>> net = Network([layers.SparseInput(4), layers.Dense(8), layers.SampledDense(3)])
    >>> isinstance(net, GrowingNetwork)
    True
    """

    _core: _core.Network
    _config: NetworkConfig
    #: Why it may not be changed now; None where it may.
    _held: str | None

    def _may(self, method: str) -> None:
        """Refuse to change a network in the middle of a run, which would become another one."""
        if self._held is not None:
            raise RuntimeError(f"{method}: {self._held}")

    @property
    def _units(self) -> int:
        return self._config.output.units

    def add_labels(
        self, count: int, *, init: str = "random", X: object = None, Y: object = None
    ) -> NDArray[np.int32]:
        """Add labels behind those there are, without training again.

        Labels that were there keep their ids, their weights and what the optimiser remembers, bit
        for bit; a new one starts with the mean of their biases. Hash tables are brought up to date
        at once: only new rows are hashed.

        Parameters
        ----------
        count : int
            How many.
        init : {"random", "zeros", "mean_of_inputs"}
            What their weights start with: small random numbers, those of a fresh network of the
            new size; zeros; or the mean output of the last hidden layer for the rows of `X` that
            have the label, made as long as the weights of the other labels are on average. Such
            labels are found at once, and are better after ``partial_fit``.
        X : as in ``fit``
            Rows with the new labels, for ``"mean_of_inputs"`` only.
        Y : as in ``fit``
            Their labels, by the ids that they have afterwards: with 1,000 labels the first new one
            is 1000, and CSR has ``1000 + count`` columns. Every new label needs a row. Labels that
            were there before may occur; grades do not count.

        Returns
        -------
        int32 array of shape (count,)
            The ids of the new labels.

        Raises
        ------
        ValueError
            If there would be more labels than can be counted, or a new label has no row.
        MemoryError
            If there is no room. Weights, moments and tables of the output layer are there twice for
            a moment. The ``max_memory`` of the constructor is not looked at again.

        Examples
        --------
        >>> from slide_rs import Network, layers
        >>> X = np.eye(4, dtype=np.float32)
        >>> net = Network([layers.SparseInput(4), layers.Dense(8), layers.SampledDense(3)])
        >>> history = net.fit(X[:3], [0, 1, 2], epochs=20, verbose=False)
        >>> net.add_labels(1, init="mean_of_inputs", X=X[3:], Y=[3])
        array([3], dtype=int32)
        >>> report = net.partial_fit(X, [0, 1, 2, 3])
        >>> net.config.output.units
        4
        """
        self._may("add_labels")
        old = self._units
        most = checks.MOST - old
        number = checks.whole("count", count, 1, most)
        checks.choice("init", init, INITS)
        if init != "mean_of_inputs":
            for name, given in (("X", X), ("Y", Y)):
                if given is not None:
                    raise ValueError(
                        f"{name}: found with init={init!r}, wanted init='mean_of_inputs'"
                    )
            self._core.add_labels(number, init)
        else:
            for name, given in (("X", X), ("Y", Y)):
                if given is None:
                    raise ValueError(
                        f"{name}: found None, wanted rows with the new labels, which "
                        "init='mean_of_inputs' starts from"
                    )
            x = self._rows(X, "X", copy=True)
            y = targets(Y, old + number, n_rows(x), graded=False)
            self._core.add_labels(number, init, x, pattern(y))
        self._config = NetworkConfig.from_json(self._core.config)
        return np.arange(old, old + number, dtype=np.int32)

    def remove_labels(self, ids: object) -> NDArray[np.int32]:
        """Remove labels; those that stay are numbered anew, in their order, without gaps.

        What stays keeps its weights and what the optimiser remembers, bit for bit, and nothing of a
        removed label is kept: no prediction, sampler or table can meet it.

        Parameters
        ----------
        ids : integers
            The labels to remove, each once; not all there are.

        Returns
        -------
        int32 array of shape (labels before,)
            The new id of each old one, or -1 where it was removed. With names of labels in an
            array, ``names[moved >= 0]`` are those of the labels that stay; with labels in CSR,
            ``Y[:, moved >= 0]``.

        Examples
        --------
        >>> from slide_rs import Network, layers
        >>> net = Network([layers.SparseInput(4), layers.Dense(8), layers.SampledDense(4)])
        >>> net.remove_labels([1])
        array([ 0, -1,  1,  2], dtype=int32)
        """
        self._may("remove_labels")
        units = self._units
        kept = np.ones(units, dtype=np.bool_)
        for label in _ids(ids):
            checks.whole("ids", label, 0, units - 1)
            if not kept[label]:
                raise ValueError(f"ids: found {label} twice, wanted each label once")
            kept[label] = False
        if not kept.any():
            raise ValueError(f"ids: found all {units} labels, wanted at least one to stay")
        if not kept.all():
            self._core.remove_labels(kept)
            self._config = NetworkConfig.from_json(self._core.config)
        moved = np.full(units, -1, dtype=np.int32)
        moved[kept] = np.arange(np.count_nonzero(kept), dtype=np.int32)
        return moved

    def partial_fit(
        self,
        X: object,
        Y: object,
        *,
        sample_weight: object = None,
        batch_size: int | None = None,
        copy: bool = True,
    ) -> BatchReport:
        """Go once through new rows, and go on from where training stands.

        In ``fit`` the learning rate rises and falls anew in each call. Here it stays that of the
        optimiser, however often this is called; only the first steps of a fresh network warm up,
        and `schedules.Step` goes on to lower it, by the steps since the network was made. What the
        optimiser remembers stays in use, as in ``fit``. `history` stays that of the latest ``fit``,
        and output biases do not begin at the frequencies of labels, of which a part of the data
        tells little. At the end the hash tables are up to date.

        Parameters
        ----------
        X, Y, sample_weight, copy : as in ``fit``
            The rows.
        batch_size : int, optional
            As in ``fit``.

        Returns
        -------
        BatchReport
            Means over the rows, and the learning rate of the last step.

        Raises
        ------
        KeyboardInterrupt
            On Ctrl-C, between two batches; the network stays usable.

        Examples
        --------
        >>> from slide_rs import Network, layers
        >>> X = np.eye(4, dtype=np.float32)
        >>> net = Network([layers.SparseInput(4), layers.Dense(8), layers.SampledDense(4)])
        >>> losses = [net.partial_fit(X, [0, 1, 2, 3]).loss for _ in range(40)]
        >>> losses[-1] < losses[0]
        True
        """
        self._may("partial_fit")
        x, y = self._pair(X, Y, ("X", "Y"), copy)
        check_grades(y, self._config.loss)
        weight = weights(sample_weight, n_rows(x), copy=copy)
        batch = checks.whole_or("batch_size", batch_size, defaults.batch_size(n_rows(x)))
        self._core.begin_fit(None)
        try:
            measured = self._core.train_epoch(x, y, batch, weight=weight)
        finally:
            self._core.finish()
        return BatchReport(measured["loss"], measured["active_fraction"], measured["lr"])

    def _pair(
        self, X: object, Y: object, names: tuple[str, str], copy: bool
    ) -> tuple[Features, Targets]:
        x = self._rows(X, names[0], copy=copy)
        return x, targets(Y, self._units, n_rows(x), name=names[1], copy=copy)

    def _rows(self, X: object, name: str, *, copy: bool) -> Features:
        x = features(X, self._config.input.in_features, name=name, copy=copy)
        if not n_rows(x):
            raise ValueError(f"{name}: found 0 rows, wanted at least 1")
        return x


class FixedLabels:
    """A model that can not do what `GrowingNetwork` does, and says what can be done instead.

    Examples
    --------
    >>> FixedLabels().add_labels(3)
    Traceback (most recent call last):
    NotImplementedError: add_labels: ...
    """

    def add_labels(self, *args: object, **options: object) -> None:
        """Raise a NotImplementedError: the ranker would have to be trained with the new labels."""
        raise NotImplementedError(_unable("add_labels"))

    def remove_labels(self, *args: object, **options: object) -> None:
        """Raise a NotImplementedError: the ranker and the calibration know all labels."""
        raise NotImplementedError(_unable("remove_labels"))

    def partial_fit(self, *args: object, **options: object) -> None:
        """Raise a NotImplementedError: the ranker is trained on all rows at once."""
        raise NotImplementedError(_unable("partial_fit"))


def check_units(members: Sequence[GrowingNetwork], units: int) -> None:
    """Raise a ValueError if a member of an ensemble has another number of labels.

    Examples
    --------
    >>> check_units([], 5)
    """
    for i, member in enumerate(members):
        if member._units != units:
            raise ValueError(
                f"members[{i}]: found {member._units} labels, wanted as many as when the "
                "ensemble was fitted: labels of its members must not come or go"
            )


def _unable(method: str) -> str:
    return (
        f"{method}: found an Ensemble, whose ranker and calibration are trained on all rows and "
        f"labels at once; use {method} of a Network, or fit a new Ensemble on all data"
    )


def _ids(found: object) -> list[int]:
    wanted = "wanted label ids, such as [3, 7] or a vector of integers"
    if isinstance(found, str | bytes) or not isinstance(found, Iterable):
        raise TypeError(f"ids: found {type(found).__name__}, {wanted}")
    if isinstance(found, np.ndarray) and (found.ndim != 1 or found.dtype.kind not in "iu"):
        raise TypeError(f"ids: found a {found.ndim}-D array of {found.dtype}, {wanted}")
    ids = list(found)
    for label in ids:
        if isinstance(label, bool) or not isinstance(label, SupportsIndex):
            raise TypeError(f"ids: found {type(label).__name__} among them, {wanted}")
    return [operator.index(label) for label in ids]

"""The network: what a user makes, trains, asks and saves."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slide_rs import _core, checks, document, evaluation, prediction, report, streaming, training
from slide_rs.arrays import features, n_rows
from slide_rs.callbacks import Callback
from slide_rs.callbacks import chosen as chosen_callbacks
from slide_rs.checkpoints import read as read_checkpoint
from slide_rs.class_weights import ClassWeight
from slide_rs.config import NetworkConfig
from slide_rs.course import RESUMED, Course
from slide_rs.engine import queries, recall
from slide_rs.growth import GrowingNetwork
from slide_rs.history import BatchReport, History
from slide_rs.labels import check_grades, pattern, weights
from slide_rs.layers import Layer, check_sampler
from slide_rs.memory import BATCH, MemoryEstimate, limit, of_config
from slide_rs.optim import Optimizer
from slide_rs.samplers import Sampler
from slide_rs.topk import TopK

__all__ = ["Network"]

METRICS = ("p@1", "p@3", "p@5", "ndcg@5")


class Network(GrowingNetwork):
    """A network with a sparse input and a very wide, sampled output.

    Parameters
    ----------
    layers : sequence of layers
        A `SparseInput`, any number of `Dense` and `SampledDense`, and a `SampledDense`.
    loss : {"softmax", "softmax_per_label", "sigmoid", "squared", "hinge", "squared_hinge"}
        Softmax over the computed outputs; the labels of a row share its target by their grades, or
        each has a softmax of its own. The others look at each output for itself: cross entropy of
        its sigmoid (``"bce"`` is an alias), squared error, and hinge.
    optimizer : optim.Adam, optim.AdamW, optim.SGD or optim.Adagrad, optional
        `optim.Adam()` when not given. In wide layers the configuration of the network keeps what
        this became there by rule: set their ``optimizer`` to None to build from it with another.
    seed : int
        Same seed, same data: same network, bit by bit, whatever the number of threads.
    threads : int, optional
        As many as the process may use when not given.
    update : {"sharded", "hogwild"}
        ``"hogwild"`` lets all threads write to all rows without locks, and lose an addition now
        and then (Recht et al., "Hogwild!", NeurIPS 2011): for comparison; the one setting that
        does not give the same network twice.
    max_memory : int or str, optional
        Bytes, or a text such as ``"2GB"``: a MemoryError, before anything is allocated, if
        `estimate_memory` says that the network takes more.

    Examples
    --------
    >>> from slide_rs import Network, layers
    >>> X = np.eye(4, dtype=np.float32)
    >>> net = Network([layers.SparseInput(4), layers.Dense(8), layers.SampledDense(4)])
    >>> history = net.fit(X, [[0], [1], [2], [3]], epochs=2, verbose=False)
    >>> net.predict_topk(X, k=2).labels.shape
    (4, 2)
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        loss: str = "softmax",
        optimizer: Optimizer | None = None,
        seed: int = 0,
        threads: int | None = None,
        *,
        update: str = "sharded",
        max_memory: int | str | None = None,
    ) -> None:
        config = NetworkConfig(layers, loss, optimizer, seed, update)
        limit(config, threads, max_memory)
        self._adopt(_core.Network(config.to_json(), checks.threads(threads)), threads)

    def _adopt(self, core: _core.Network, threads: int | None) -> None:
        self._core = core
        # What was asked for: where that is nothing, a pickle uses all threads of its new home.
        self._threads = threads
        self._history = History()
        # Where the run stands that the next `fit` goes on with.
        self._course: Course | None = None
        self._held: str | None = None
        # The engine filled in what the user left to rule, so this is kept and not the user's.
        self._config = NetworkConfig.from_json(core.config)

    @property
    def config(self) -> NetworkConfig:
        """The description of the network, with what was left to rule filled in.

        What depends on the rows or the length of a run stays ``None``: ``input.dropout`` from 1,000
        columns on, and the warm-up.
        """
        return self._config

    @property
    def history(self) -> History:
        """The epochs of the latest ``fit``, those of an interrupted one included."""
        return self._history

    @property
    def threads(self) -> int:
        """The number of threads that work for this network."""
        return self._core.threads

    def fit(
        self,
        X: object,
        Y: object = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        *,
        sample_weight: object = None,
        class_weight: ClassWeight | None = None,
        validation_data: tuple[object, object] | None = None,
        metrics: Sequence[str] = METRICS,
        callbacks: Callback | Sequence[Callback] | None = None,
        verbose: bool | str = "auto",
        copy: bool = True,
    ) -> History:
        """Train on all rows, epoch after epoch.

        Parameters
        ----------
        X : CSR matrix or array, or 2-D array; or `data.Stream`, or an iterable of pairs (X, Y)
            Features; float32 values and int32 or int64 indices are read in place. A stream has
            labels too, and may be larger than memory.
        Y : CSR matrix or array, list of lists, integer vector or padded 2-D array
            Labels of each row; not given with a stream. Padding is -1 or -100. CSR with floats that
            are not all 1 holds grades: relative relevance with softmax, whose target a row's labels
            share in this ratio; targets with sigmoid (at most 1) and squared; weights of the
            label's term with the other losses.
        epochs : int, optional
            Passes over the data; 4 for large sets when not given, more for small ones.
        batch_size : int, optional
            Rows of a step; 256 for large sets when not given, fewer for small ones.
        sample_weight : vector of numbers, optional
            Factor of at least 0 on the loss of each row.
        class_weight : {"balanced"}, mapping or vector, optional
            Weights of labels, as weights of rows: a row weighs the mean of its labels
            (`class_weights.row_weights`), times its own weight.
        validation_data : pair (X, Y), optional
            Measured after each epoch, never used to decide anything.
        metrics : sequence of str
            What to measure there, such as ``"p@1"``, ``"r@5"``, ``"ndcg@5"`` or ``"psp@5"``.
        callbacks : Callback or sequence of Callback, optional
            Run in their order.
        verbose : {"auto", True, False}
            Show progress on standard error: on a terminal only, always, or never.
        copy : bool
            If False, data that can not be read in place is an error, not a copy with a warning.

        Returns
        -------
        History
            Measures of each epoch. ``recall_at_1`` is measured on up to 1,000 rows of
            `validation_data`, or of the training rows when there is none.

        Raises
        ------
        KeyboardInterrupt
            On Ctrl-C, between two batches; the network stays usable, `history` has the epochs
            that were finished.
        """
        chosen = chosen_callbacks(callbacks, verbose)
        if self._course is not None:
            epochs, batch_size = self._course.sizes(epochs, batch_size)
        else:
            self._may("fit")
        how = training.Wishes(
            epochs=epochs,
            batch_size=batch_size,
            sample_weight=sample_weight,
            class_weight=class_weight,
            validation_data=validation_data,
            metrics=evaluation.check(metrics),
            copy=copy,
        )
        if Y is None:
            return streaming.fit(self, X, how, chosen)
        return training.fit(self, X, Y, how, chosen)

    def train_batch(
        self, X: object, Y: object, *, sample_weight: object = None, copy: bool = True
    ) -> BatchReport:
        """Take one optimiser step on these rows, for a training loop of your own.

        Parameters
        ----------
        X, Y, sample_weight : as in ``fit``
            The rows of the batch.
        copy : bool
            As in ``fit``.
        """
        self._may("train_batch")
        x, y = self._pair(X, Y, ("X", "Y"), copy)
        check_grades(y, self._config.loss)
        weight = weights(sample_weight, n_rows(x), copy=copy)
        measured = self._core.train_batch(x, y, weight=weight)
        return BatchReport(measured["loss"], measured["active_fraction"], measured["lr"])

    def predict_topk(
        self,
        X: object,
        k: int = 5,
        *,
        mode: str = "exact",
        threshold: float | None = None,
        candidates: object = None,
        copy: bool = True,
    ) -> TopK:
        """Return the `k` best labels of each row with their scores, best first.

        Parameters
        ----------
        X : as in ``fit``
            The rows.
        k : int
            At most the number of labels.
        mode : {"exact", "lsh"}
            Score every label, or only those that the hash tables find.
        threshold : float, optional
            Labels with a lower score become padding: label -1, score minus infinity.
        candidates : CSR matrix or array, list of lists, or vector of ids, optional
            Score only these: each row its own, or a vector that all rows share.
        copy : bool
            As in ``fit``.
        """
        x = features(X, self._config.input.in_features, copy=copy)
        top = prediction.answer(self._core, x, (self._k(k), mode), candidates, self._units)
        return top if threshold is None else prediction.masked(top, threshold)

    def predict_proba(self, X: object) -> NDArray[np.float32]:
        """Return the probability of every label, at most 10,000,000 numbers in all.

        With loss "softmax" and "softmax_per_label" those of a row sum to 1; with "sigmoid" each is
        that of its label alone. The other losses give no probabilities and raise a ValueError.
        """
        x = features(X, self._config.input.in_features)
        return prediction.probabilities(self._core, x, self._units, self._config.loss)

    def evaluate(
        self,
        X: object,
        Y: object,
        metrics: Sequence[str] = METRICS,
        mode: str = "exact",
        *,
        inv_propensity: NDArray[np.floating[Any]] | None = None,
    ) -> dict[str, float]:
        """Predict the rows of `X` and compare with `Y`.

        Parameters
        ----------
        X, Y : as in ``fit``
            The rows.
        metrics : sequence of str
            As in ``fit``.
        mode : {"exact", "lsh"}
            As in ``predict_topk``.
        inv_propensity : array, optional
            From `metrics.inv_propensity` of the *training* labels; ``"psp@k"`` needs it.

        Returns
        -------
        dict
            Value by name of the metric.
        """
        names = evaluation.check(metrics, propensity=inv_propensity is not None)
        checks.choice("mode", mode, prediction.MODES)
        x, y = self._pair(X, Y, ("X", "Y"), copy=True)
        return evaluation.measure(
            self._core, x, pattern(y), names, self._units, inv_propensity, mode
        )

    def sampling_recall(self, X: object, k: int = 1) -> float:
        """Return which share of the exact best `k` labels of the rows the sampler alone finds.

        NaN with `samplers.InBatch`, which finds nothing for a single row.
        """
        return recall(self, queries(self, X), None, self._k(k))

    def set_sampler(self, sampler: Sampler) -> None:
        """Give the output layer another sampler; its hash tables are built anew.

        Parameters
        ----------
        sampler : samplers.LSH or another of `samplers`
            Such as the one that `lsh.autotune` finds.
        """
        if self._course is not None:
            self._may("set_sampler")
        chosen = check_sampler(sampler, self._units)
        self._core.set_sampler(json.dumps(document.sampler_fields(chosen)))
        self._config = NetworkConfig.from_json(self._core.config)

    def save(self, path: str | os.PathLike[str], include_optimizer: bool = True) -> None:
        """Write a safetensors file; without the optimiser's state a smaller one.

        The file holds no hash tables: they are built from the weights. So that this network goes
        on exactly like one loaded from the file, neurons that moved are hashed again first.
        """
        checks.flag("include_optimizer", include_optimizer)
        target = checks.path("path", path)
        if self._course is not None:
            self._may("save")
        self._core.finish()
        self._core.save(target, include_optimizer)

    @classmethod
    def resume(cls, path: str | os.PathLike[str], threads: int | None = None) -> Network:
        """Read a checkpoint: the next ``fit`` goes on with the run, and ends as if never killed.

        That ``fit`` takes the same data and the same callbacks (each gets its state back), and
        epochs and batch size are those of the run; anything else is a ValueError that says so. It
        adds to the checkpoints if `callbacks.ModelCheckpoint` is among its callbacks again.

        Parameters
        ----------
        path : str or path
            A folder of `callbacks.ModelCheckpoint`, whose newest checkpoint is read, or one file.
        threads : int, optional
            As in `Network`; it need not be that of the run.

        Raises
        ------
        FileNotFoundError
            If there is no checkpoint.
        ValueError
            If the file is damaged, or no checkpoint.
        """
        core, course = read_checkpoint(path, checks.threads(threads))
        network = cls.__new__(cls)
        network._adopt(core, threads)
        network._course, network._held = course, RESUMED
        return network

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return copies of all parameters by name.

        Returns
        -------
        dict
            For the hidden layers ``i``, from 0: ``hidden.i.weight`` of shape (inputs, units) and
            ``hidden.i.bias`` (units,). Sampled layers have a row for each unit: ``output.weight``
            is (labels, inputs) and a sampled ``hidden.i.weight`` (units, inputs); their biases are
            there if they have any.
        """
        return self._core.weights()

    def summary(self) -> str:
        """Return a table of layers, parameters, memory and sampler."""
        return report.summary(self._config, self.estimate_memory())

    def estimate_memory(self, batch_size: int = BATCH) -> MemoryEstimate:
        """Return how much memory training takes on batches of so many rows, by what it is for."""
        return of_config(self._config, batch_size, self._core.threads)

    def __repr__(self) -> str:
        chain = [self._config.input.in_features, *(h.units for h in self._config.hidden)]
        sizes = " -> ".join(f"{size}" for size in (*chain, self._config.output.units))
        return f"<slide_rs.Network {sizes}, {self._core.steps} steps trained>"

    def __reduce__(self) -> tuple[Any, ...]:
        if self._course is not None:
            self._may("pickle")
        from slide_rs.loading import packed, unpacked

        return unpacked, (packed(self), self._threads)

    def _k(self, found: object) -> int:
        k = checks.whole("k", found, 1)
        if k > self._units:
            raise ValueError(f"k: found {k}, wanted at most {self._units}, the number of labels")
        return k

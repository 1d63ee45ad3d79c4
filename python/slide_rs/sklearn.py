"""A classifier for scikit-learn, of any number of classes or labels.

It takes its place in pipelines, searches and cross-validation. Outputs that are too many for a
dense matrix never become one: targets and predictions of labels are CSR, and `predict_topk` and
`make_topk_scorer` ask for the best only. Needs ``pip install 'slide_rs[sklearn]'``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from slide_rs import checks, defaults, prediction, recipe
from slide_rs.arrays import features, is_compressed
from slide_rs.classes import Classes
from slide_rs.history import History
from slide_rs.labels import weights
from slide_rs.network import Network
from slide_rs.samplers import Sampler
from slide_rs.scaling import Scaling
from slide_rs.scoring import make_topk_scorer
from slide_rs.topk import TopK

try:
    from sklearn.utils import compute_sample_weight
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.multiclass import check_classification_targets, type_of_target
    from sklearn.utils.validation import check_is_fitted, column_or_1d

    from slide_rs.estimators import BaseEstimator, ClassifierMixin, all_or_nothing
except ImportError:
    raise ImportError(
        "slide_rs.sklearn needs scikit-learn: pip install 'slide_rs[sklearn]'"
    ) from None
try:
    from sklearn.utils.validation import validate_data
except ImportError:  # before scikit-learn 1.6

    def validate_data(estimator: Any, X: Any, y: Any = "no_validation", **options: Any) -> Any:
        """Check rows, and targets if there are any, as later versions do."""
        return estimator._validate_data(X, y, **options)


__all__ = ["SlideClassifier", "make_topk_scorer"]

#: Passes over small sets at most, if not told; `sklearn.neural_network.MLPClassifier` has as many.
MOST_EPOCHS = 200


def _has_probabilities(estimator: SlideClassifier) -> bool:
    if estimator.loss is None or estimator.loss in (*prediction.PROBABLE, "bce"):
        return True
    raise AttributeError(f"loss={estimator.loss!r} gives no probabilities, only scores")


class SlideClassifier(ClassifierMixin, BaseEstimator):
    """A network with a wide, sampled output, as an estimator of scikit-learn.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, or int
        Neurons of the hidden layers, as in `sklearn.neural_network.MLPClassifier`.
    activation : str, optional
        Of the hidden layers, as in `layers.Dense`; linear where rows are mostly zeros and ReLU for
        others when not given.
    sampler : {"lsh", "uniform", "log_uniform", "in_batch", "full"} or one of `samplers`
        Which outputs training computes. With ``"lsh"`` and no sizes, all below 1,000 outputs.
    n_tables, n_hashes : int, optional
        Size of the hash tables, as in `lsh.SimHash`; for ``"lsh"`` only.
    n_active : int, optional
        Outputs computed a row, as in `samplers.LSH`; not for ``"full"``.
    loss : str, optional
        As in `Network`. When not given, softmax for classes, and for labels sigmoid up to 100 of
        them and softmax above.
    learning_rate_init : float, optional
        Highest learning rate of Adam; by rule when not given.
    batch_size : "auto" or int
        Rows of a step; from 32 to 256 by the number of rows.
    max_iter : "auto" or int
        Passes over the rows: 4 for large sets, up to 200 for small ones.
    scaling : {"auto", "rows", "columns", "none"}
        Scale each row to length 1, or bring each column to mean 0 and variance 1, by the rows of
        the first training. By rule the first if at least half of the values are zero, as in texts,
        else the second. A sparse matrix that is mostly zeros is never filled.
    class_weight : dict, "balanced" or None
        Weights of classes. Of labels there are none: a row has several of them.
    warm_start : bool
        Whether ``fit`` goes on from the network that is there, as it was made.
    random_state : int, RandomState or None
        An int gives the same network each time, on any number of threads.
    n_jobs : int, optional
        Threads; -1 for all. When not given, as many as ``OMP_NUM_THREADS`` says, which joblib sets
        in the processes it starts so that they share the cores, else all.
    verbose : bool
        Show progress on standard error.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        The classes, sorted; of labels the numbers of their columns.
    network_ : Network
        What was trained.
    history_ : History
        Measures of each epoch of the latest ``fit``.
    loss_curve_ : list of float
        The loss of each pass over rows, those of ``partial_fit`` and warm starts included.
    n_iter_ : int
        The number of these passes.
    n_features_in_, feature_names_in_ : int, array
        As in all of scikit-learn.

    Examples
    --------
    >>> X = np.repeat(np.eye(3), 10, axis=0)
    >>> classifier = SlideClassifier(random_state=0).fit(X, np.repeat(["a", "b", "c"], 10))
    >>> classifier.predict(np.eye(3)).tolist()
    ['a', 'b', 'c']
    """

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] | int = (128,),
        *,
        activation: str | None = None,
        sampler: str | Sampler = "lsh",
        n_tables: int | None = None,
        n_hashes: int | None = None,
        n_active: int | None = None,
        loss: str | None = None,
        learning_rate_init: float | None = None,
        batch_size: str | int = "auto",
        max_iter: str | int = "auto",
        scaling: str = "auto",
        class_weight: str | dict[Any, float] | None = None,
        warm_start: bool = False,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.sampler = sampler
        self.n_tables = n_tables
        self.n_hashes = n_hashes
        self.n_active = n_active
        self.loss = loss
        self.learning_rate_init = learning_rate_init
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.scaling = scaling
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    @all_or_nothing
    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> SlideClassifier:
        """Train on all rows, epoch after epoch.

        Parameters
        ----------
        X : CSR or 2-D array of shape (n_samples, n_features)
            Features; those that are not float32 are cast.
        y : vector of classes, or CSR or indicator array of shape (n_samples, n_labels)
            Targets. In CSR, floats that are not all 1 are grades, as in `Network.fit`.
        sample_weight : vector of shape (n_samples,), optional
            Factor of at least 0 on the loss of each row.

        Returns
        -------
        SlideClassifier
            Itself.

        Raises
        ------
        ValueError
            If data or a parameter is out of its range.
        """
        going_on = self.warm_start and self.__sklearn_is_fitted__()
        X, y = self._rows(X, y, reset=not going_on)
        verbose, weight = checks.flag("verbose", self.verbose), self._weight(y, sample_weight)
        batch = self._batch(X.shape[0])
        steps = math.ceil(X.shape[0] / batch)
        rule = min(max(round(defaults.STEPS / steps), 4), MOST_EPOCHS)
        epochs = recipe.whole_or_auto("max_iter", self.max_iter, rule)
        target = self._more(y) if going_on else self._begin(X, y, Classes.of(y))
        self.history_: History = self.network_.fit(
            self._scaling.apply(X),
            target,
            epochs,
            batch,
            sample_weight=weight,
            verbose=verbose,
        )
        self._count(self.history_["loss"])
        return self

    @all_or_nothing
    def partial_fit(
        self,
        X: Any,
        y: Any,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> SlideClassifier:
        """Train once on these rows, in their order, at a learning rate that stays the same.

        Parameters
        ----------
        X, y, sample_weight : as in ``fit``
            The rows. The first ones say how columns are scaled.
        classes : array, optional
            All classes there will be; needed in the first call, unless there are labels, whose
            number is that of the columns.
        """
        first = not self.__sklearn_is_fitted__()
        X, y = self._rows(X, y, reset=first)
        if self.class_weight == "balanced":
            raise ValueError("class_weight: found 'balanced' in partial_fit, wanted a dict or None")
        batch, weight = self._batch(X.shape[0]), self._weight(y, sample_weight)
        target = self._begin(X, y, _announced(y, classes)) if first else self._more(y, classes)
        scaled, rows, loss = self._scaling.apply(X), X.shape[0], 0.0
        for start in range(0, rows, batch):
            part = slice(start, min(start + batch, rows))
            share = None if weight is None else weight[part]
            report = self.network_.train_batch(scaled[part], target[part], sample_weight=share)
            loss += report.loss * (part.stop - start) / rows
        self._count([loss])
        return self

    def predict(self, X: Any) -> Any:
        """Return the class of each row, or its labels in the form of the ``y`` trained on.

        Labels are those that are more probable than not; with a softmax, those at least half as
        probable as the best one. A row has at most as many as any that was trained on.
        """
        check_is_fitted(self)
        top = self.predict_topk(X, self._classes.most)
        return self._classes.decode(top, self.network_.config.loss)

    def predict_topk(self, X: Any, k: int = 5, *, mode: str = "exact") -> TopK:
        """Return the `k` best classes or labels of each row with their scores, best first.

        Parameters
        ----------
        X : as in ``fit``
            The rows.
        k : int
            At most the number of classes or labels.
        mode : {"exact", "lsh"}
            As in `Network.predict_topk`.

        Returns
        -------
        TopK
            Its ``labels`` are positions in ``classes_``: of labels the numbers of their columns.
        """
        x = self._asked(X)
        top: TopK = self.network_.predict_topk(x, k, mode=mode)
        return top

    def decision_function(self, X: Any) -> NDArray[np.float32]:
        """Return the score of every class or label, at most 10,000,000 numbers in all.

        Returns
        -------
        array of shape (n_samples, n_classes)
            Of two classes (n_samples,): the second one's score less the first one's.

        Raises
        ------
        ValueError
            If they are more; `predict_topk` has no limit.
        """
        x = features(self._asked(X), self.n_features_in_)
        n_classes = len(self.classes_)
        scores = prediction.scores(self.network_._core, x, n_classes)
        if self._classes.multilabel or n_classes > 2:
            return scores
        difference: NDArray[np.float32] = scores[:, -1] - scores[:, 0]
        return difference

    @available_if(_has_probabilities)  # type: ignore[misc, untyped-decorator, unused-ignore]
    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Return the probability of every class or label, at most 10,000,000 numbers in all.

        As in `Network.predict_proba`; hinge and squared losses have none.
        """
        x = self._asked(X)
        shares: NDArray[np.float32] = self.network_.predict_proba(x)
        return shares

    def __sklearn_is_fitted__(self) -> bool:
        """Say whether there is a network; a ``fit`` that refused its data leaves that before."""
        return hasattr(self, "network_")

    def __sklearn_tags__(self) -> Any:
        """Say what the classifier takes: sparse rows, and many labels a row."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_label = True
        return tags

    def _more_tags(self) -> dict[str, Any]:
        """Say the same to scikit-learn before 1.6."""
        return {"multilabel": True}

    def _rows(self, X: Any, y: Any, *, reset: bool) -> tuple[Any, Any]:
        """Check rows and targets, and read the rows as the engine takes them."""
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype=np.float32, order="C",
            multi_output=True, reset=reset,
        )  # fmt: skip
        if not is_compressed(y):
            check_classification_targets(y)
            if y.ndim == 1 or y.shape[1] == 1:
                y = column_or_1d(y, warn=True)
            elif (kind := type_of_target(y)) != "multilabel-indicator":
                raise ValueError(f"y: found {kind}, wanted a vector or an indicator matrix of 0, 1")
        return _in_order(X), y

    def _asked(self, X: Any) -> Any:
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float32, order="C", reset=False)
        return self._scaling.apply(_in_order(X))

    def _begin(self, X: Any, y: Any, classes: Classes) -> Any:
        target = classes.encode(y)
        scaling = Scaling.of(X, self.scaling)
        network = recipe.network(self.get_params(deep=False), X.shape[1], classes, scaling)
        self._classes, self._scaling = classes, scaling
        self.classes_: NDArray[Any] = classes.names
        self.network_: Network = network
        self.loss_curve_: list[float] = []
        return target

    def _more(self, y: Any, classes: ArrayLike | None = None) -> Any:
        if classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(f"classes: found {classes!r}, wanted those of the first call")
        target = self._classes.encode(y)
        if self._classes.multilabel:
            most = max(self._classes.most, Classes.of(y).most)
            self._classes = replace(self._classes, most=most)
        return target

    def _weight(self, y: Any, sample_weight: ArrayLike | None) -> NDArray[np.float32] | None:
        """Return the weight of each row, that of its class included."""
        weight = None
        if sample_weight is not None:
            found = np.asarray(sample_weight)
            cast = found.astype(np.float32) if found.dtype.kind in "biuf" else found
            weight = weights(cast, y.shape[0])
        if self.class_weight is not None:
            if y.ndim == 2:
                raise ValueError(
                    f"class_weight: found {self.class_weight!r} with several labels a row, wanted "
                    "None; sample_weight takes a weight for each row"
                )
            of_class = compute_sample_weight(self.class_weight, y).astype(np.float32)
            weight = of_class if weight is None else weight * of_class
        if weight is not None and not weight.any():
            raise ValueError("sample_weight: found only zeros, wanted one that is not zero")
        return weight

    def _batch(self, rows: int) -> int:
        return recipe.whole_or_auto("batch_size", self.batch_size, defaults.batch_size(rows))

    def _count(self, losses: Sequence[float]) -> None:
        self.loss_curve_ = [*self.loss_curve_, *losses]
        self.n_iter_: int = len(self.loss_curve_)


def _announced(y: Any, classes: ArrayLike | None) -> Classes:
    """Return the classes of a first `partial_fit`."""
    found = Classes.of(y)
    if classes is None and not found.multilabel:
        raise ValueError("classes: found None in the first call of partial_fit, wanted all classes")
    if classes is None:
        return found
    names = np.unique(classes)
    if found.multilabel and not np.array_equal(names, found.names):
        raise ValueError(f"classes: found {classes!r}, wanted the {len(found.names)} columns of y")
    return replace(found, names=names)


def _in_order(X: Any) -> Any:
    """Return CSR with sorted indices, each there once; a copy where they are not."""
    if not is_compressed(X) or X.has_canonical_format:
        return X
    ordered = X.copy()
    ordered.sum_duplicates()
    return ordered

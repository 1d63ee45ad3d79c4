"""The network that the parameters of an estimator of scikit-learn describe."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from slide_rs import checks, lsh, optim, samplers
from slide_rs.classes import Classes
from slide_rs.layers import Dense, SampledDense, SparseInput
from slide_rs.network import Network
from slide_rs.samplers import Sampler
from slide_rs.scaling import Scaling

__all__ = ["network", "whole_or_auto"]

#: Labels up to which sigmoids, which tell the odds of each label alone, rank as well as a softmax.
#: On 2,000 rows of `datasets.make_xmc` both reach P@1 1.00 with 100 labels; with 300 it is .79
#: with sigmoids and .99 with a softmax.
FEW_LABELS = 100
DRAWN: dict[str, Callable[..., samplers.Sampler]] = {
    "uniform": samplers.Uniform,
    "log_uniform": samplers.LogUniform,
    "in_batch": samplers.InBatch,
}


def network(
    parameters: Mapping[str, Any], n_features: int, classes: Classes, scaling: Scaling
) -> Network:
    """Return a new network.

    Parameters
    ----------
    parameters : mapping
        Those of `SlideClassifier`, by name.
    n_features : int
        Columns of the rows.
    classes : Classes
        What its outputs stand for.
    scaling : Scaling
        What is done to the rows.
    """
    units = len(classes.names)
    loss = parameters["loss"]
    if loss is None:
        loss = "sigmoid" if classes.multilabel and units <= FEW_LABELS else "softmax"
    activation = parameters["activation"]
    if activation is None:
        activation = "relu" if scaling.kind == "columns" else "linear"
    sizes = parameters["hidden_layer_sizes"]
    hidden = sizes if isinstance(sizes, Sequence | np.ndarray) else [sizes]
    rate = parameters["learning_rate_init"]
    if rate is not None:
        rate = checks.number("learning_rate_init", rate, above=0.0)
    return Network(
        [
            SparseInput(n_features, normalize=scaling.kind == "rows"),
            *(Dense(checks.whole("hidden_layer_sizes", size, 1), activation) for size in hidden),
            SampledDense(units, sampler=_sampler(parameters)),
        ],
        loss=loss,
        optimizer=optim.Adam(lr=rate),
        seed=_seed(parameters["random_state"]),
        threads=_threads(parameters["n_jobs"]),
    )


def whole_or_auto(name: str, found: object, rule: int) -> int:
    """Return `found` as a whole number of at least 1, or what the rule says for "auto".

    Examples
    --------
    >>> whole_or_auto("max_iter", "auto", 4), whole_or_auto("max_iter", 9, 4)
    (4, 9)
    """
    if isinstance(found, str):
        checks.choice(name, found, ("auto",))
        return rule
    return checks.whole(name, found, 1, checks.MOST)


def _sampler(parameters: Mapping[str, Any]) -> Sampler:
    sampler, n_active = parameters["sampler"], parameters["n_active"]
    sizes = {name: parameters[name] for name in ("n_tables", "n_hashes")}
    if isinstance(sampler, str):
        checks.choice("sampler", sampler, ("lsh", *DRAWN, "full"))
        if sampler == "lsh":
            return samplers.LSH(lsh.SimHash(**sizes), n_active=n_active)
        _refuse(sizes, sampler)
        if sampler in DRAWN:
            drawn: Sampler = DRAWN[sampler](n_active)
            return drawn
    _refuse({**sizes, "n_active": n_active}, sampler)
    chosen: Sampler = samplers.Full() if sampler == "full" else sampler
    return chosen


def _refuse(sizes: Mapping[str, int | None], sampler: object) -> None:
    for name, value in sizes.items():
        if value is not None:
            raise ValueError(f"{name}: found {value} with sampler={sampler!r}, wanted None")


def _seed(random_state: Any) -> int:
    """Return the seed of a network; an int is its own."""
    if isinstance(random_state, int | np.integer):
        return operator.index(random_state)
    from sklearn.utils import check_random_state

    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def _threads(n_jobs: object) -> int | None:
    import joblib

    if n_jobs is None:
        limit = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
        return min(int(limit), joblib.cpu_count()) if limit.isdecimal() and int(limit) else None
    count = checks.whole("n_jobs", n_jobs, -checks.MOST)
    if not count:
        raise ValueError("n_jobs: found 0, wanted a number of threads, or -1 for all")
    return count if count > 0 else max(joblib.cpu_count() + 1 + count, 1)

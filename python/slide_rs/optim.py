"""Optimisers. Each touches only the rows that a batch touched.

`clip_norm` and `clip_value` limit the gradient of each row before it is used (Pascanu et al., "On
the difficulty of training recurrent neural networks", ICML 2013). They and the schedule belong to
the network: a layer's own optimiser has neither.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field

from slide_rs import checks, schedules, tables
from slide_rs.schedules import Schedule

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "schedules"]

MODES = ("lazy", "catch_up", "dense")
SECOND_MOMENTS = ("entry", "row")
MOMENTS_DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True, slots=True)
class Adam:
    """Row-sparse Adam with bias correction (Kingma and Ba, ICLR 2015).

    Parameters
    ----------
    lr : float, optional
        Highest learning rate; by rule when not given.
    beta1, beta2 : float
        Decay of the running mean and of the running square.
    eps : float
        Added to the root of the running square.
    schedule : schedules.Schedule, optional
        `schedules.WarmupCosine()` when not given.
    mode : {"lazy", "catch_up", "dense"}
        What happens to the running means of rows that a batch did not touch: they rest, as in
        PyTorch's ``SparseAdam``; they decay for the steps missed when the row is touched again;
        or also the weights move as they would have with gradients of zero.
    clip_norm : float, optional
        Euclidean norm that the gradient of a row is scaled down to.
    clip_value : float, optional
        Absolute value that the entries of a gradient are cut at.
    second_moment : {"entry", "row"}, optional
        What has a running square of its own: every weight, or every row, as the mean over its
        weights (as row-wise Adagrad has one sum a row: Naumov et al., "Deep learning
        recommendation model", 2019, here with Adam's running means). A row saves four bytes a
        weight and is moved faster. By rule, layer by layer, when not given.
    moments_dtype : {"float32", "bfloat16"}, optional
        How the running means are stored, and the running squares if there is one a weight.
        Halves are rounded at random, so that no small change is lost in the mean (Gupta et al.,
        "Deep learning with limited numerical precision", ICML 2015). By rule, layer by layer,
        when not given; halves only where there is one running square a row. If given alone, wide
        layers still have one running square a row by rule; in other layers the squares are
        stored like this too.

    Notes
    -----
    By rule a layer of 2**20 weights or more, of which batches mostly touch few rows, has one
    running square a row and its running means in halves, as one number a row does as well as one a
    weight (Zhang et al., "Adam-mini", 2024) and a step waits for the bytes that it moves: the first
    layer, a dense one behind a sampled layer, and sampled layers behind a dense one. Width and
    place decide, neither the sampler nor the data. All others have
    ``second_moment="entry"`` and ``moments_dtype="float32"``, and so has ``mode="dense"``. The
    configuration of a network shows what its layers have.

    A very wide output has weights in 16 bits as well by rule, 4 bytes a weight with its moments in
    place of 12; ``dtype="float16"`` does so in other layers. The biases of sampled layers, and what
    is kept of them, are floats in any case; those of a dense layer are one row.

    Examples
    --------
    >>> Adam(lr=0.003).lr
    0.003
    >>> Adam(second_moment="row", moments_dtype="bfloat16").second_moment
    'row'
    """

    lr: float | None = None
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    schedule: Schedule = field(default_factory=schedules.WarmupCosine)
    _: KW_ONLY
    mode: str = "lazy"
    clip_norm: float | None = None
    clip_value: float | None = None
    second_moment: str | None = None
    moments_dtype: str | None = None

    def __post_init__(self) -> None:
        _check_common(self)
        for name in ("beta1", "beta2"):
            _keep(self, name, checks.number(name, getattr(self, name), least=0.0, below=1.0))
        _keep(self, "eps", checks.number("eps", self.eps, above=0.0))
        checks.choice("mode", self.mode, MODES)
        if self.second_moment is not None:
            checks.choice("second_moment", self.second_moment, SECOND_MOMENTS)
        if self.moments_dtype is not None:
            checks.choice("moments_dtype", self.moments_dtype, MOMENTS_DTYPES)


@dataclass(frozen=True, slots=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019).

    A row loses the share ``lr * weight_decay`` of itself in each step, those that it was not
    touched in too: in closed form, when it is touched again. Without decay it is `Adam`, as which
    a configuration that was read then shows it.

    Parameters
    ----------
    lr, beta1, beta2, eps, schedule, mode, clip_norm, clip_value, second_moment, moments_dtype
        As in `Adam`.
    weight_decay : float
        Share of a weight that is lost in a step at a learning rate of 1.

    Examples
    --------
    >>> AdamW(weight_decay=0.1).weight_decay
    0.1
    """

    _: KW_ONLY
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        Adam.__post_init__(self)
        decay = checks.number("weight_decay", self.weight_decay, least=0.0)
        _keep(self, "weight_decay", decay)


@dataclass(frozen=True, slots=True)
class SGD:
    """Row-sparse gradient descent, with momentum if wanted.

    Parameters
    ----------
    lr : float, optional
        Highest learning rate; by rule when not given.
    schedule : schedules.Schedule, optional
        `schedules.WarmupCosine()` when not given.
    momentum : float
        Share of the step before that is kept (Polyak, 1964).
    nesterov : bool
        Look ahead, as in Sutskever et al., "On the importance of initialization and momentum in
        deep learning", ICML 2013; needs `momentum`.
    clip_norm, clip_value : float, optional
        As in `Adam`.

    Examples
    --------
    >>> SGD(lr=0.5, schedule=schedules.Constant()).schedule
    Constant(warmup=None)
    """

    lr: float | None = None
    schedule: Schedule = field(default_factory=schedules.WarmupCosine)
    _: KW_ONLY
    momentum: float = 0.0
    nesterov: bool = False
    clip_norm: float | None = None
    clip_value: float | None = None

    def __post_init__(self) -> None:
        _check_common(self)
        momentum = checks.number("momentum", self.momentum, least=0.0, below=1.0)
        _keep(self, "momentum", momentum)
        if checks.flag("nesterov", self.nesterov) and not momentum:
            raise ValueError("nesterov: found True with momentum=0, wanted a momentum above 0")


@dataclass(frozen=True, slots=True)
class Adagrad:
    """Adagrad with one accumulator a row (Duchi et al., JMLR 2011).

    The accumulator is the sum of the row's mean squared gradients, a single number beside the
    row, as is usual for embedding tables (Naumov et al., "Deep learning recommendation model",
    2019).

    Parameters
    ----------
    lr : float, optional
        Highest learning rate; by rule when not given.
    eps : float
        Added to the root of the accumulator.
    schedule : schedules.Schedule, optional
        `schedules.WarmupCosine()` when not given.
    clip_norm, clip_value : float, optional
        As in `Adam`.

    Examples
    --------
    >>> Adagrad(lr=0.1).eps
    1e-10
    """

    lr: float | None = None
    eps: float = 1e-10
    schedule: Schedule = field(default_factory=schedules.WarmupCosine)
    _: KW_ONLY
    clip_norm: float | None = None
    clip_value: float | None = None

    def __post_init__(self) -> None:
        _check_common(self)
        _keep(self, "eps", checks.number("eps", self.eps, above=0.0))


Optimizer = Adam | AdamW | SGD | Adagrad
KINDS = (Adam, AdamW, SGD, Adagrad)


def check(found: object) -> Optimizer:
    """Return `found` if it is an optimiser.

    Examples
    --------
    >>> check(SGD()).lr is None
    True
    """
    if not isinstance(found, KINDS):
        wanted = tables.names(KINDS)
        raise TypeError(f"optimizer: found {type(found).__name__}, wanted optim.{wanted}")
    return found


def check_of_layer(found: object) -> Optimizer:
    """Return `found` if it can be the optimiser of one layer: one without schedule and limits.

    Examples
    --------
    >>> check_of_layer(SGD(clip_norm=1.0))
    Traceback (most recent call last):
    ValueError: optimizer: found clip_norm=1.0 in a layer, wanted it in the optimizer of Network
    """
    optimizer = check(found)
    defaults = {"schedule": schedules.WarmupCosine(), "clip_norm": None, "clip_value": None}
    for name, default in defaults.items():
        value = getattr(optimizer, name)
        if value != default:
            raise ValueError(
                f"optimizer: found {name}={value} in a layer, wanted it in the optimizer of Network"
            )
    return optimizer


def _check_common(optimizer: Optimizer) -> None:
    for name in ("lr", "clip_norm", "clip_value"):
        value = getattr(optimizer, name)
        if value is not None:
            _keep(optimizer, name, checks.number(name, value, above=0.0))
    if optimizer.schedule is None:
        _keep(optimizer, "schedule", schedules.WarmupCosine())
    elif not isinstance(optimizer.schedule, schedules.KINDS):
        wanted = tables.names(schedules.KINDS)
        raise TypeError(
            f"schedule: found {type(optimizer.schedule).__name__}, wanted schedules.{wanted}"
        )


def _keep(optimizer: Optimizer, name: str, value: object) -> None:
    """Store the checked form: a frozen instance is written only while it is being made."""
    object.__setattr__(optimizer, name, value)

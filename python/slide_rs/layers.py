"""The layers of a network, as plain descriptions; the weights live in the compiled engine."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field, replace

from slide_rs import checks, optim, samplers, tables
from slide_rs.optim import Optimizer
from slide_rs.samplers import Sampler

__all__ = ["Dense", "Hidden", "Layer", "SampledDense", "SparseInput"]

ACTIVATIONS = ("linear", "relu", "tanh", "sigmoid", "leaky_relu", "gelu")
DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class SparseInput:
    """The input: rows of few non-zero features out of many.

    Parameters
    ----------
    in_features : int
        Number of columns of ``X``.
    normalize : bool
        Scale each row to length 1.
    dropout : float, optional
        Share of a row's features left out in training. When not given, by rule: none below 1,000
        columns; else by the length of each row, from .4 with 64 features or more down in
        proportion. A row with fewer than eight features keeps them all, whatever the share.

    Examples
    --------
    >>> SparseInput(10_000)
    SparseInput(in_features=10000, normalize=True, dropout=None)
    """

    in_features: int
    _: KW_ONLY
    normalize: bool = True
    dropout: float | None = None

    def __post_init__(self) -> None:
        _set(self, "in_features", checks.whole("in_features", self.in_features, 1, checks.MOST))
        checks.flag("normalize", self.normalize)
        if self.dropout is not None:
            _set(self, "dropout", checks.number("dropout", self.dropout, least=0.0, below=1.0))


@dataclass(frozen=True, slots=True)
class Dense:
    """A hidden layer with every neuron computed.

    Parameters
    ----------
    units : int
        Number of neurons.
    activation : {"linear", "relu", "tanh", "sigmoid", "leaky_relu", "gelu"}
        Applied to each neuron. ``"leaky_relu"`` keeps a hundredth of what is below zero (Maas et
        al., 2013), ``"gelu"`` is x times the standard normal distribution function (Hendrycks and
        Gimpel, 2016).
    norm : float, optional
        Length that the layer's output is scaled to; 0 leaves it as it is. When not given, the layer
        before the sampled output is scaled by rule: hashing finds small angles, and on rows of one
        length the highest scores are at small angles.
    dropout : float
        Share of neurons left out in training.
    dtype : {"float32", "bfloat16", "float16"}
        How weights are stored; what an optimiser remembers of them is its own affair. 16-bit
        weights are rounded at random, so that small steps are not lost (Gupta et al., "Deep
        learning with limited numerical precision", ICML 2015). Those of ``"float16"`` are eight
        times as precise, and none is beyond 65,504.
    optimizer : optim.Adam, optim.AdamW, optim.SGD or optim.Adagrad, optional
        An optimiser of its own, with its own learning rate; schedule and clipping are those of the
        network. A wide layer has one by rule if the network's Adam leaves open what it remembers.

    Examples
    --------
    >>> Dense(64, activation="relu").activation
    'relu'
    """

    units: int
    activation: str = "linear"
    _: KW_ONLY
    norm: float | None = None
    dropout: float = 0.0
    dtype: str = "float32"
    optimizer: Optimizer | None = None

    def __post_init__(self) -> None:
        _check_common(self)
        checks.choice("activation", self.activation, ACTIVATIONS)
        _set(self, "dropout", checks.number("dropout", self.dropout, least=0.0, below=1.0))


@dataclass(frozen=True, slots=True)
class SampledDense:
    """A wide layer of which training computes only a sample: the output, or a hidden layer.

    As the last layer it has one neuron a label, and takes neither `activation` nor `norm`: its
    scores go to the loss as they are. As a hidden layer its neurons that are not computed count as
    zero (Chen et al., "SLIDE", MLSys 2020, section 3).

    Parameters
    ----------
    units : int
        Number of neurons.
    activation : str, optional
        Of a hidden layer, as in `Dense`; ``"relu"`` when not given.
    sampler : samplers.LSH or another of `samplers`, optional
        `samplers.LSH()` when not given.
    bias : bool
        Give each neuron a bias.
    norm : float, optional
        Of a hidden layer, as in `Dense`.
    dtype : {"float32", "bfloat16", "float16"}, optional
        As in `Dense`. By rule when not given: ``"float16"`` in an output of 2^25 weights or more
        whose Adam keeps moments in 16 bits or one second moment a row, as it does there by rule
        (`optim.Adam`), else ``"float32"``. Decided when the network is made: labels that come or go
        change nothing of it.
    optimizer : optim.Adam, optim.AdamW, optim.SGD or optim.Adagrad, optional
        As in `Dense`.

    Examples
    --------
    >>> SampledDense(20_000, sampler=samplers.Uniform()).sampler
    Uniform(n_active=None, log_q=True, shared_negatives=True)
    """

    units: int
    _: KW_ONLY
    activation: str | None = None
    sampler: Sampler = field(default_factory=samplers.LSH)
    bias: bool = True
    norm: float | None = None
    dtype: str | None = None
    optimizer: Optimizer | None = None

    def __post_init__(self) -> None:
        _check_common(self)
        if self.activation is not None:
            checks.choice("activation", self.activation, ACTIVATIONS)
        if self.sampler is None:
            _set(self, "sampler", samplers.LSH())
        check_sampler(self.sampler, self.units)
        checks.flag("bias", self.bias)

    def as_hidden(self, place: str) -> SampledDense:
        """Return the layer with what a hidden one has, or refuse it.

        Examples
        --------
        >>> SampledDense(5000).as_hidden("layers[1]").activation
        'relu'
        """
        if isinstance(self.sampler, samplers.InBatch):
            raise ValueError(
                f"{place}: found the sampler InBatch in a hidden layer, "
                "wanted a sampler that needs no labels"
            )
        return replace(self, activation="relu") if self.activation is None else self

    def as_output(self, place: str) -> SampledDense:
        """Return the layer, or refuse it if it has what an output does not.

        Examples
        --------
        >>> SampledDense(5000, activation="relu").as_output("layers[2]")
        Traceback (most recent call last):
        ValueError: layers[2]: found activation='relu' in the output, wanted none
        """
        for name in ("activation", "norm"):
            found = getattr(self, name)
            if found is not None:
                raise ValueError(f"{place}: found {name}={found!r} in the output, wanted none")
        return self


Layer = SparseInput | Dense | SampledDense
Hidden = Dense | SampledDense


def check_sampler(found: object, units: int) -> Sampler:
    """Return `found` if it is a sampler that computes at most `units` neurons.

    Examples
    --------
    >>> check_sampler(samplers.Uniform(7), 5)
    Traceback (most recent call last):
    ValueError: n_active: found 7, wanted at most 5, the units of the layer
    """
    if not isinstance(found, samplers.KINDS):
        wanted = tables.names(samplers.KINDS)
        raise TypeError(f"sampler: found {type(found).__name__}, wanted samplers.{wanted}")
    for name in ("n_active", "min_active"):
        count = getattr(found, name, None)
        if count is not None and count > units:
            raise ValueError(
                f"{name}: found {count}, wanted at most {units}, the units of the layer"
            )
    return found


def _check_common(layer: Hidden) -> None:
    _set(layer, "units", checks.whole("units", layer.units, 1, checks.MOST))
    if layer.norm is not None:
        _set(layer, "norm", checks.number("norm", layer.norm, least=0.0))
    if layer.dtype is not None or isinstance(layer, Dense):
        checks.choice("dtype", layer.dtype, DTYPES)
    if layer.optimizer is not None:
        optim.check_of_layer(layer.optimizer)


def _set(layer: Layer, name: str, value: object) -> None:
    """Store the checked form: a frozen instance is written only while it is being made."""
    object.__setattr__(layer, name, value)

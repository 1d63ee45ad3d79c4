"""The layers of a network, as plain descriptions; the weights live in the compiled engine."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field

from slide_rs import checks, samplers
from slide_rs.samplers import Sampler

__all__ = ["Dense", "Layer", "SampledDense", "SparseInput"]

ACTIVATIONS = ("linear", "relu", "tanh")
# Ids are 32-bit with the sign bit unused, in files and in the engine.


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
        Share of a row's features left out in training; by rule when not given.

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
    activation : {"linear", "relu", "tanh"}
        Applied to each neuron.
    norm : float, optional
        Length that the layer's output is scaled to; 0 leaves it as it is. When not given, the layer
        before the sampled output is scaled by rule: hashing finds small angles, and on rows of one
        length the highest scores are at small angles.
    dropout : float
        Share of neurons left out in training.

    Examples
    --------
    >>> Dense(64, activation="relu")
    Dense(units=64, activation='relu', norm=None, dropout=0.0)
    """

    units: int
    activation: str = "linear"
    _: KW_ONLY
    norm: float | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        _set(self, "units", checks.whole("units", self.units, 1, checks.MOST))
        checks.choice("activation", self.activation, ACTIVATIONS)
        if self.norm is not None:
            _set(self, "norm", checks.number("norm", self.norm, least=0.0))
        _set(self, "dropout", checks.number("dropout", self.dropout, least=0.0, below=1.0))


@dataclass(frozen=True, slots=True)
class SampledDense:
    """The output: one neuron a label, of which training computes only a sample.

    Parameters
    ----------
    units : int
        Number of labels.
    sampler : samplers.LSH, samplers.Uniform or samplers.Full, optional
        `samplers.LSH()` when not given.
    bias : bool
        Give each label a bias.

    Examples
    --------
    >>> SampledDense(20_000, sampler=samplers.Uniform()).sampler
    Uniform(n_active=None, log_q=True)
    """

    units: int
    _: KW_ONLY
    sampler: Sampler = field(default_factory=samplers.LSH)
    bias: bool = True

    def __post_init__(self) -> None:
        _set(self, "units", checks.whole("units", self.units, 1, checks.MOST))
        if self.sampler is None:
            _set(self, "sampler", samplers.LSH())
        elif not isinstance(self.sampler, samplers.LSH | samplers.Uniform | samplers.Full):
            raise TypeError(
                f"sampler: found {type(self.sampler).__name__}, "
                "wanted samplers.LSH, samplers.Uniform or samplers.Full"
            )
        checks.flag("bias", self.bias)
        active = None if isinstance(self.sampler, samplers.Full) else self.sampler.n_active
        if active is not None and active > self.units:
            raise ValueError(
                f"n_active: found {active}, wanted at most {self.units}, the units of the layer"
            )


Layer = SparseInput | Dense | SampledDense


def _set(layer: Layer, name: str, value: object) -> None:
    """Store the checked form: a frozen instance is written only while it is being made."""
    object.__setattr__(layer, name, value)

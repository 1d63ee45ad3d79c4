"""The description of a network: everything but its weights, as an object and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from slide_rs import checks, document, optim
from slide_rs.layers import Dense, Hidden, Layer, SampledDense, SparseInput
from slide_rs.optim import Optimizer

__all__ = ["NetworkConfig"]

LOSSES = ("softmax", "softmax_per_label", "sigmoid", "squared", "hinge", "squared_hinge")
UPDATES = ("sharded", "hogwild")
_ALIASES = {"bce": "sigmoid"}
_ORDER = "wanted SparseInput first, then any number of Dense and SampledDense, SampledDense last"


@dataclass(frozen=True, slots=True, init=False)
class NetworkConfig:
    """Layers, loss, optimiser and seed: what a network is made from.

    Parameters
    ----------
    layers : sequence of layers
        A `SparseInput`, any number of `Dense` and `SampledDense`, and a `SampledDense`.
    loss : {"softmax", "softmax_per_label", "sigmoid", "squared", "hinge", "squared_hinge"}
        What training makes small; ``"bce"`` is an alias of ``"sigmoid"``.
    optimizer : optim.Adam, optim.AdamW, optim.SGD or optim.Adagrad, optional
        `optim.Adam()` when not given.
    seed : int
        Seed of everything random; the same seed gives the same network.
    update : {"sharded", "hogwild"}
        How threads share the gradients.

    Examples
    --------
    >>> config = NetworkConfig([SparseInput(1000), Dense(16), SampledDense(50)])
    >>> NetworkConfig.from_json(config.to_json()) == config
    True
    """

    layers: tuple[Layer, ...]
    loss: str
    optimizer: Optimizer
    seed: int
    update: str

    def __init__(
        self,
        layers: Sequence[Layer],
        loss: str = "softmax",
        optimizer: Optimizer | None = None,
        seed: int = 0,
        update: str = "sharded",
    ) -> None:
        known = (*LOSSES, *_ALIASES)
        loss = checks.choice("loss", loss, known)
        for name, value in (
            ("layers", _in_order(layers)),
            ("loss", _ALIASES.get(loss, loss)),
            ("optimizer", optim.Adam() if optimizer is None else optim.check(optimizer)),
            ("seed", checks.whole("seed", seed, 0, 2**64 - 1)),
            ("update", checks.choice("update", update, UPDATES)),
        ):
            object.__setattr__(self, name, value)

    @property
    def input(self) -> SparseInput:
        """The first layer."""
        layer = self.layers[0]
        assert isinstance(layer, SparseInput)
        return layer

    @property
    def hidden(self) -> tuple[Hidden, ...]:
        """The layers between."""
        between = self.layers[1:-1]
        return tuple(layer for layer in between if not isinstance(layer, SparseInput))

    @property
    def output(self) -> SampledDense:
        """The last layer."""
        layer = self.layers[-1]
        assert isinstance(layer, SampledDense)
        return layer

    @property
    def sampled(self) -> dict[str, SampledDense]:
        """The sampled layers, first to last, by the names that their weights have.

        Examples
        --------
        >>> config = NetworkConfig([SparseInput(9), Dense(4), SampledDense(2000), SampledDense(5)])
        >>> list(config.sampled)
        ['hidden.1', 'output']
        """
        named = {f"hidden.{place}": layer for place, layer in enumerate(self.hidden)}
        found = {n: layer for n, layer in named.items() if isinstance(layer, SampledDense)}
        return {**found, "output": self.output}

    def to_json(self) -> str:
        """Return the form that the engine reads and model files carry."""
        optimizer = self.optimizer
        return json.dumps(
            {
                "seed": self.seed,
                "loss": self.loss,
                "input": {
                    "features": self.input.in_features,
                    "normalize": self.input.normalize,
                    "dropout": self.input.dropout,
                },
                "hidden": [document.hidden_fields(layer) for layer in self.hidden],
                "output": document.output_fields(self.output),
                "optimizer": document.optimizer_fields(optimizer),
                "clip": {"norm": optimizer.clip_norm, "value": optimizer.clip_value},
                "schedule": document.schedule_fields(optimizer.schedule),
                "update": self.update,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> NetworkConfig:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            If the text is not JSON, or a field is unknown, missing or out of its range.
        """
        try:
            found = json.loads(text)
        except ValueError as error:
            raise ValueError(f"config: found text that is not JSON ({error})") from None
        names = ("seed", "loss", "input", "hidden", "output")
        rules = ("optimizer", "clip", "schedule", "update")
        top = document.exact_fields("config", found, *names, *rules)
        sizes = ("features", "normalize", "dropout")
        first = document.exact_fields("config.input", top["input"], *sizes)
        if not isinstance(top["hidden"], list):
            raise ValueError("config.hidden: wanted a list")
        clip = document.exact_fields("config.clip", top["clip"], "norm", "value")
        return cls(
            [
                SparseInput(first.pop("features"), **first),
                *(document.read_hidden("config.hidden", layer) for layer in top["hidden"]),
                document.read_output("config.output", top["output"]),
            ],
            loss=top["loss"],
            optimizer=document.read_optimizer(
                "config.optimizer",
                top["optimizer"],
                schedule=document.read_schedule("config.schedule", top["schedule"]),
                clip_norm=clip["norm"],
                clip_value=clip["value"],
            ),
            seed=top["seed"],
            update=top["update"],
        )


def _in_order(layers: object) -> tuple[Layer, ...]:
    """Return the layers as a tuple, or say which one is in the wrong place."""
    if isinstance(layers, str | bytes) or not isinstance(layers, Sequence):
        raise TypeError(f"layers: found {type(layers).__name__}, wanted a list of layers")
    if not layers:
        raise ValueError(f"layers: found none, {_ORDER}")
    last = len(layers) - 1
    if not last and isinstance(layers[0], SparseInput):
        raise ValueError(f"layers: found no SampledDense, {_ORDER}")
    return tuple(_in_place(layer, place, last) for place, layer in enumerate(layers))


def _in_place(layer: object, place: int, last: int) -> Layer:
    name = f"layers[{place}]"
    match layer:
        case SparseInput() if place == 0:
            return layer
        case SampledDense() if 0 < place == last:
            return layer.as_output(name)
        case SampledDense() if place > 0:
            return layer.as_hidden(name)
        case Dense() if 0 < place < last:
            return layer
    wanted = "SparseInput" if place == 0 else "SampledDense"
    if 0 < place < last:
        wanted = "Dense or SampledDense"
    if isinstance(layer, type):
        example = wanted.split(" or ")[0]
        raise TypeError(
            f"{name}: found the class {layer.__name__}, wanted a layer such as {example}(...)"
        )
    kind = ValueError if isinstance(layer, SparseInput | Dense | SampledDense) else TypeError
    raise kind(f"{name}: found {type(layer).__name__}, wanted {wanted} ({_ORDER})")

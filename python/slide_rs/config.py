"""The description of a network: everything but its weights, as an object and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slide_rs import checks, lsh, optim, samplers, schedules
from slide_rs.layers import Dense, Layer, SampledDense, SparseInput
from slide_rs.optim import Optimizer
from slide_rs.samplers import Sampler
from slide_rs.schedules import Schedule

__all__ = ["NetworkConfig"]

LOSSES = ("softmax", "softmax_per_label")
_ORDER = "wanted SparseInput first, one or more Dense, SampledDense last"


@dataclass(frozen=True, slots=True, init=False)
class NetworkConfig:
    """Layers, loss, optimiser and seed: what a network is made from.

    Parameters
    ----------
    layers : sequence of layers
        A `SparseInput`, one or more `Dense`, and a `SampledDense`.
    loss : {"softmax", "softmax_per_label"}
        What training makes small.
    optimizer : optim.Adam or optim.SGD, optional
        `optim.Adam()` when not given.
    seed : int
        Seed of everything random; the same seed gives the same network.

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

    def __init__(
        self,
        layers: Sequence[Layer],
        loss: str = "softmax",
        optimizer: Optimizer | None = None,
        seed: int = 0,
    ) -> None:
        optimizer = optim.Adam() if optimizer is None else optimizer
        if not isinstance(optimizer, optim.Adam | optim.SGD):
            raise TypeError(
                f"optimizer: found {type(optimizer).__name__}, wanted optim.Adam or optim.SGD"
            )
        object.__setattr__(self, "layers", _in_order(layers))
        object.__setattr__(self, "loss", checks.choice("loss", loss, LOSSES))
        object.__setattr__(self, "optimizer", optimizer)
        object.__setattr__(self, "seed", checks.whole("seed", seed, 0, 2**64 - 1))

    @property
    def input(self) -> SparseInput:
        """The first layer."""
        layer = self.layers[0]
        assert isinstance(layer, SparseInput)
        return layer

    @property
    def hidden(self) -> tuple[Dense, ...]:
        """The layers between."""
        return tuple(layer for layer in self.layers if isinstance(layer, Dense))

    @property
    def output(self) -> SampledDense:
        """The last layer."""
        layer = self.layers[-1]
        assert isinstance(layer, SampledDense)
        return layer

    def to_json(self) -> str:
        """Return the form that the engine reads and model files carry."""
        schedule = self.optimizer.schedule
        decay = "cosine" if isinstance(schedule, schedules.WarmupCosine) else "constant"
        document = {
            "seed": self.seed,
            "loss": self.loss,
            "input": {
                "features": self.input.in_features,
                "normalize": self.input.normalize,
                "dropout": self.input.dropout,
            },
            "hidden": [
                {
                    "units": dense.units,
                    "activation": dense.activation,
                    "norm": dense.norm,
                    "dropout": dense.dropout,
                }
                for dense in self.hidden
            ],
            "output": {
                "units": self.output.units,
                "bias": self.output.bias,
                "sampler": _sampler_fields(self.output.sampler),
            },
            "optimizer": _optimizer_fields(self.optimizer),
            "schedule": {"warmup": schedule.warmup, "decay": decay},
        }
        return json.dumps(document)

    @classmethod
    def from_json(cls, text: str) -> NetworkConfig:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            If the text is not JSON, or a field is unknown, missing or out of its range.
        """
        try:
            document = json.loads(text)
        except ValueError as error:
            raise ValueError(f"config: found text that is not JSON ({error})") from None
        top = _fields(
            "config", document, "seed", "loss", "input", "hidden", "output", "optimizer", "schedule"
        )
        first = _fields("config.input", top["input"], "features", "normalize", "dropout")
        if not isinstance(top["hidden"], list):
            raise ValueError("config.hidden: wanted a list")
        last = _fields("config.output", top["output"], "units", "bias", "sampler")
        names = ("units", "activation", "norm", "dropout")
        return cls(
            [
                SparseInput(
                    first["features"], normalize=first["normalize"], dropout=first["dropout"]
                ),
                *(Dense(**_fields("config.hidden", dense, *names)) for dense in top["hidden"]),
                SampledDense(
                    last["units"], sampler=_read_sampler(last["sampler"]), bias=last["bias"]
                ),
            ],
            loss=top["loss"],
            optimizer=_read_optimizer(top["optimizer"], _read_schedule(top["schedule"])),
            seed=top["seed"],
        )


def _in_order(layers: object) -> tuple[Layer, ...]:
    """Return the layers as a tuple, or say which one is in the wrong place."""
    if isinstance(layers, str | bytes) or not isinstance(layers, Sequence):
        raise TypeError(f"layers: found {type(layers).__name__}, wanted a list of layers")
    if not layers:
        raise ValueError(f"layers: found none, {_ORDER}")
    last = len(layers) - 1
    for place, layer in enumerate(layers):
        wanted = SparseInput if place == 0 else SampledDense if place == last else Dense
        if isinstance(layer, wanted):
            continue
        if isinstance(layer, type):
            raise TypeError(
                f"layers[{place}]: found the class {layer.__name__}, "
                f"wanted a layer such as {wanted.__name__}(...)"
            )
        kind = ValueError if isinstance(layer, SparseInput | Dense | SampledDense) else TypeError
        raise kind(
            f"layers[{place}]: found {type(layer).__name__}, wanted {wanted.__name__} ({_ORDER})"
        )
    if len(layers) < 3:
        raise ValueError(f"layers: found {len(layers)} of them and no Dense, {_ORDER}")
    return tuple(layers)


def _sampler_fields(sampler: Sampler) -> dict[str, Any]:
    match sampler:
        case samplers.LSH(tables=tables, rebuild=rebuild):
            return {
                "kind": "lsh",
                "strategy": sampler.strategy,
                "n_active": sampler.n_active,
                "fill": sampler.fill,
                "random_share": sampler.random_share,
                "tables": {
                    "kind": "simhash",
                    "n_tables": tables.n_tables,
                    "n_hashes": tables.n_hashes,
                    "bucket_size": tables.bucket_size,
                    "seed": tables.seed,
                },
                "rebuild": {"every": rebuild.every, "growth": rebuild.growth},
            }
        case samplers.Uniform():
            return {"kind": "uniform", "n_active": sampler.n_active, "log_q": sampler.log_q}
        case _:
            return {"kind": "full"}


def _optimizer_fields(optimizer: Optimizer) -> dict[str, Any]:
    if isinstance(optimizer, optim.SGD):
        return {"kind": "sgd", "lr": optimizer.lr}
    return {
        "kind": "adam",
        "lr": optimizer.lr,
        "beta1": optimizer.beta1,
        "beta2": optimizer.beta2,
        "eps": optimizer.eps,
    }


def _read_sampler(document: object) -> Sampler:
    match _kind("config.output.sampler", document, "lsh", "uniform", "full"):
        case "lsh":
            names = ("strategy", "n_active", "fill", "random_share", "tables", "rebuild")
            lsh_fields = _fields("config.output.sampler", document, "kind", *names)
            place = "config.output.sampler.tables"
            _kind(place, lsh_fields["tables"], "simhash")
            sizes = ("n_tables", "n_hashes", "bucket_size", "seed")
            tables = _fields(place, lsh_fields["tables"], "kind", *sizes)
            rebuild = _fields(
                "config.output.sampler.rebuild", lsh_fields["rebuild"], "every", "growth"
            )
            return samplers.LSH(
                tables=lsh.SimHash(**_without_kind(tables)),
                strategy=lsh_fields["strategy"],
                n_active=lsh_fields["n_active"],
                rebuild=lsh.Rebuild(**rebuild),
                fill=lsh_fields["fill"],
                random_share=lsh_fields["random_share"],
            )
        case "uniform":
            fields = _fields("config.output.sampler", document, "kind", "n_active", "log_q")
            return samplers.Uniform(**_without_kind(fields))
        case _:
            _fields("config.output.sampler", document, "kind")
            return samplers.Full()


def _read_optimizer(document: object, schedule: Schedule) -> Optimizer:
    if _kind("config.optimizer", document, "adam", "sgd") == "sgd":
        fields = _fields("config.optimizer", document, "kind", "lr")
        return optim.SGD(**_without_kind(fields), schedule=schedule)
    fields = _fields("config.optimizer", document, "kind", "lr", "beta1", "beta2", "eps")
    return optim.Adam(**_without_kind(fields), schedule=schedule)


def _read_schedule(document: object) -> Schedule:
    fields = _fields("config.schedule", document, "warmup", "decay")
    decay = checks.choice("config.schedule.decay", fields["decay"], ("cosine", "constant"))
    made = schedules.WarmupCosine if decay == "cosine" else schedules.Constant
    return made(fields["warmup"])


def _fields(place: str, document: object, *names: str) -> dict[str, Any]:
    """Return the fields of a JSON object that must have exactly these."""
    if not isinstance(document, Mapping):
        raise ValueError(f"{place}: found {type(document).__name__}, wanted an object")
    unknown = sorted(set(document) - set(names))
    missing = sorted(set(names) - set(document))
    if unknown or missing:
        parts = [f"unknown field {name!r}" for name in unknown]
        parts += [f"no field {name!r}" for name in missing]
        raise ValueError(f"{place}: found {', '.join(parts)}, wanted {', '.join(names)}")
    return dict(document)


def _kind(place: str, document: object, *kinds: str) -> str:
    if not isinstance(document, Mapping):
        raise ValueError(f"{place}: found {type(document).__name__}, wanted an object")
    return checks.choice(f"{place}.kind", document.get("kind"), kinds)


def _without_kind(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name != "kind"}

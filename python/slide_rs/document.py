"""The parts of a network's description as JSON objects, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields as dataclass_fields
from typing import Any

from slide_rs import checks, optim, samplers, schedules, tables
from slide_rs.layers import Dense, Hidden, SampledDense
from slide_rs.optim import Optimizer
from slide_rs.samplers import Sampler
from slide_rs.schedules import Schedule
from slide_rs.tables import Tables

__all__ = [
    "exact_fields",
    "hidden_fields",
    "optimizer_fields",
    "output_fields",
    "read_hidden",
    "read_optimizer",
    "read_output",
    "read_schedule",
    "sampler_fields",
    "schedule_fields",
    "tables_fields",
]

_Object = dict[str, Any]

DTYPES = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
_MOMENTS_DTYPES = {name: DTYPES[name] for name in optim.MOMENTS_DTYPES}
FAMILIES: dict[str, type[Tables]] = {
    "simhash": tables.SimHash,
    "wta": tables.WTA,
    "dwta": tables.DWTA,
    "doph": tables.DOPH,
}
SAMPLERS: dict[str, type[Any]] = {
    "lsh": samplers.LSH,
    "uniform": samplers.Uniform,
    "log_uniform": samplers.LogUniform,
    "in_batch": samplers.InBatch,
    "oracle": samplers.Oracle,
    "full": samplers.Full,
}
DECAYS: dict[str, type[Any]] = {
    "cosine": schedules.WarmupCosine,
    "constant": schedules.Constant,
    "linear": schedules.Linear,
    "one_cycle": schedules.OneCycle,
}
_SHARED = tuple(field.name for field in dataclass_fields(Tables))
_LSH = tuple(
    field.name
    for field in dataclass_fields(samplers.LSH)
    if field.name not in ("min_count", "tables", "rebuild")
)
_REBUILD = tuple(field.name for field in dataclass_fields(tables.Rebuild))
_DENSE = ("units", "activation", "norm", "dropout", "dtype", "optimizer")
_SAMPLED = ("units", "activation", "norm", "bias", "sampler", "dtype", "optimizer")
_OUTPUT = ("units", "bias", "sampler", "dtype", "optimizer")
_MOMENTS = {"second_moment": "entry", "moments": "f32"}
_ADAM = ("lr", "beta1", "beta2", "eps", "weight_decay", "mode", *_MOMENTS)


def hidden_fields(layer: Hidden) -> _Object:
    """Return a hidden layer as an object.

    Examples
    --------
    >>> hidden_fields(Dense(8))["kind"]
    'dense'
    """
    kind, names = ("dense", _DENSE) if isinstance(layer, Dense) else ("sampled", _SAMPLED)
    return {"kind": kind, **_layer_fields(layer, names)}


def output_fields(layer: SampledDense) -> _Object:
    """Return the output layer as an object.

    Examples
    --------
    >>> output_fields(SampledDense(8, dtype="float16"))["dtype"]
    'f16'
    """
    return _layer_fields(layer, _OUTPUT)


def sampler_fields(sampler: Sampler) -> _Object:
    """Return a sampler as an object.

    Examples
    --------
    >>> sampler_fields(samplers.Uniform(5))
    {'kind': 'uniform', 'n_active': 5, 'log_q': True, 'shared_negatives': True}
    """
    kind = next(name for name, made in SAMPLERS.items() if type(sampler) is made)
    if not isinstance(sampler, samplers.LSH):
        return {"kind": kind, **_values(sampler)}
    found = {"kind": kind, **{name: getattr(sampler, name) for name in _LSH}}
    if sampler.strategy == "threshold":
        found["strategy"] = {"threshold": {"min_count": sampler.min_count}}
    found["tables"] = tables_fields(sampler.tables)
    found["rebuild"] = _values(sampler.rebuild)
    return found


def tables_fields(found: Tables) -> _Object:
    """Return the description of hash tables as an object.

    Examples
    --------
    >>> tables_fields(tables.DOPH(top=20))["family"]
    {'kind': 'doph', 'top': 20}
    """
    values = _values(found)
    kind = next(name for name, made in FAMILIES.items() if type(found) is made)
    own = {name: value for name, value in values.items() if name not in _SHARED}
    return {"family": {"kind": kind, **own}, **{name: values[name] for name in _SHARED}}


def optimizer_fields(optimizer: Optimizer) -> _Object:
    """Return an optimiser as an object, without what belongs to the network.

    Examples
    --------
    >>> optimizer_fields(optim.SGD(1.0))
    {'kind': 'sgd', 'lr': 1.0, 'momentum': 0.0, 'nesterov': False}
    """
    values = _values(optimizer)
    for name in ("schedule", "clip_norm", "clip_value"):
        del values[name]
    match optimizer:
        case optim.Adam():
            moments = values.pop("moments_dtype")
            values["moments"] = None if moments is None else DTYPES[moments]
            return {"kind": "adam", "weight_decay": 0.0, **values}
        case optim.SGD():
            return {"kind": "sgd", **values}
        case _:
            return {"kind": "adagrad", **values}


def schedule_fields(schedule: Schedule) -> _Object:
    """Return a schedule as an object.

    Examples
    --------
    >>> schedule_fields(schedules.Linear(9))
    {'warmup': 9, 'decay': 'linear'}
    """
    if isinstance(schedule, schedules.Step):
        step = {"every": schedule.every, "gamma": schedule.gamma}
        return {"warmup": schedule.warmup, "decay": {"step": step}}
    decay = next(name for name, made in DECAYS.items() if type(schedule) is made)
    # One cycle has a rise of its own.
    return {"warmup": getattr(schedule, "warmup", 0), "decay": decay}


def read_hidden(place: str, document: object) -> Hidden:
    """Read what `hidden_fields` wrote.

    Examples
    --------
    >>> read_hidden("config.hidden", hidden_fields(Dense(8))) == Dense(8)
    True
    """
    if _kind(place, document, ("dense", "sampled")) == "dense":
        return Dense(**_read_layer(place, document, ("kind", *_DENSE)))
    return SampledDense(**_read_layer(place, document, ("kind", *_SAMPLED)))


def read_output(place: str, document: object) -> SampledDense:
    """Read what `output_fields` wrote.

    Examples
    --------
    >>> read_output("config.output", output_fields(SampledDense(8))) == SampledDense(8)
    True
    """
    return SampledDense(**_read_layer(place, document, _OUTPUT))


def read_optimizer(place: str, document: object, **network: Any) -> Optimizer:
    """Read what `optimizer_fields` wrote; `network` has the schedule and the limits.

    Examples
    --------
    >>> read_optimizer("config.optimizer", {"kind": "adagrad", "lr": 0.5, "eps": 1e-9}).lr
    0.5
    """
    match _kind(place, document, ("adam", "sgd", "adagrad")):
        case "adam":
            found = _without_kind(exact_fields(place, _with_moments(document), "kind", *_ADAM))
            moments = found.pop("moments")
            dtype = (
                None
                if moments is None
                else _read_dtype(f"{place}.moments", moments, _MOMENTS_DTYPES)
            )
            found["moments_dtype"] = dtype
            if found["weight_decay"] != 0:
                return optim.AdamW(**found, **network)
            del found["weight_decay"]
            return optim.Adam(**found, **network)
        case "sgd":
            found = exact_fields(place, document, "kind", "lr", "momentum", "nesterov")
            return optim.SGD(**_without_kind(found), **network)
        case _:
            found = exact_fields(place, document, "kind", "lr", "eps")
            return optim.Adagrad(**_without_kind(found), **network)


def read_schedule(place: str, document: object) -> Schedule:
    """Read what `schedule_fields` wrote.

    Examples
    --------
    >>> read_schedule("config.schedule", {"warmup": 3, "decay": "constant"})
    Constant(warmup=3)
    """
    found = exact_fields(place, document, "warmup", "decay")
    decay = found["decay"]
    if isinstance(decay, Mapping):
        step = exact_fields(f"{place}.decay", decay, "step")["step"]
        sizes = exact_fields(f"{place}.decay.step", step, "every", "gamma")
        return schedules.Step(**sizes, warmup=found["warmup"])
    made = DECAYS[checks.choice(f"{place}.decay", decay, tuple(DECAYS))]
    schedule: Schedule = made() if made is schedules.OneCycle else made(found["warmup"])
    return schedule


def exact_fields(place: str, document: object, *names: str) -> _Object:
    """Return the fields of a JSON object that must have exactly these.

    Examples
    --------
    >>> exact_fields("config", {"sed": 1}, "seed")
    Traceback (most recent call last):
    ValueError: config: found unknown field 'sed', no field 'seed', wanted seed
    """
    if not isinstance(document, Mapping):
        raise ValueError(f"{place}: found {type(document).__name__}, wanted an object")
    unknown = sorted(set(document) - set(names))
    missing = sorted(set(names) - set(document))
    if unknown or missing:
        parts = [f"unknown field {name!r}" for name in unknown]
        parts += [f"no field {name!r}" for name in missing]
        raise ValueError(f"{place}: found {', '.join(parts)}, wanted {', '.join(names)}")
    return dict(document)


def _layer_fields(layer: Hidden, names: tuple[str, ...]) -> _Object:
    found = {name: getattr(layer, name) for name in names}
    if "sampler" in found:
        found["sampler"] = sampler_fields(found["sampler"])
    found["dtype"] = None if layer.dtype is None else DTYPES[layer.dtype]
    if layer.optimizer is not None:
        found["optimizer"] = optimizer_fields(layer.optimizer)
    return found


def _read_layer(place: str, document: object, names: tuple[str, ...]) -> _Object:
    found = _without_kind(exact_fields(place, document, *names))
    if "sampler" in found:
        found["sampler"] = _read_sampler(f"{place}.sampler", found["sampler"])
    if found["dtype"] is not None or "sampler" not in found:
        found["dtype"] = _read_dtype(f"{place}.dtype", found["dtype"])
    if found["optimizer"] is not None:
        found["optimizer"] = read_optimizer(f"{place}.optimizer", found["optimizer"])
    return found


def _with_moments(document: object) -> object:
    """Fill in what documents did not say before Adam had the choice."""
    return {**_MOMENTS, **document} if isinstance(document, Mapping) else document


def _read_dtype(place: str, found: object, dtypes: Mapping[str, str] = DTYPES) -> str:
    short = checks.choice(place, found, tuple(dtypes.values()))
    return next(name for name, value in dtypes.items() if value == short)


def _read_sampler(place: str, document: object) -> Sampler:
    kind = _kind(place, document, tuple(SAMPLERS))
    if kind != "lsh":
        made = SAMPLERS[kind]
        names = tuple(field.name for field in dataclass_fields(made))
        sampler: Sampler = made(**_without_kind(exact_fields(place, document, "kind", *names)))
        return sampler
    found = exact_fields(place, document, "kind", *_LSH, "tables", "rebuild")
    if isinstance(found["strategy"], Mapping):
        inside = exact_fields(f"{place}.strategy", found["strategy"], "threshold")["threshold"]
        found |= exact_fields(f"{place}.strategy.threshold", inside, "min_count")
        found["strategy"] = "threshold"
    found["tables"] = _read_tables(f"{place}.tables", found["tables"])
    found["rebuild"] = tables.Rebuild(
        **exact_fields(f"{place}.rebuild", found["rebuild"], *_REBUILD)
    )
    return samplers.LSH(**_without_kind(found))


def _read_tables(place: str, document: object) -> Tables:
    found = exact_fields(place, document, "family", *_SHARED)
    family = found.pop("family")
    made = FAMILIES[_kind(f"{place}.family", family, tuple(FAMILIES))]
    own = [field.name for field in dataclass_fields(made) if field.name not in _SHARED]
    return made(**found, **_without_kind(exact_fields(f"{place}.family", family, "kind", *own)))


def _values(described: Any) -> _Object:
    return {field.name: getattr(described, field.name) for field in dataclass_fields(described)}


def _kind(place: str, document: object, kinds: tuple[str, ...]) -> str:
    if not isinstance(document, Mapping):
        raise ValueError(f"{place}: found {type(document).__name__}, wanted an object")
    return checks.choice(f"{place}.kind", document.get("kind"), kinds)


def _without_kind(fields: _Object) -> _Object:
    return {name: value for name, value in fields.items() if name != "kind"}

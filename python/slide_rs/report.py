"""The table that `Network.summary` prints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from slide_rs import samplers, tables
from slide_rs.config import NetworkConfig
from slide_rs.layers import Dense, Hidden, SampledDense
from slide_rs.memory import MemoryEstimate, of_config, readable
from slide_rs.optim import Adam, Optimizer

__all__ = ["summary"]


def summary(config: NetworkConfig, estimate: MemoryEstimate | None = None) -> str:
    """Return the layers of a resolved configuration with parameters, memory and samplers.

    Examples
    --------
    >>> from slide_rs import layers
    >>> chain = [layers.SparseInput(10), layers.Dense(4), layers.SampledDense(3)]
    >>> print(summary(NetworkConfig(chain)).splitlines()[2])
    Dense                   10 x 4           44  linear
    """
    rows, width = [_input(config)], config.input.in_features
    estimate = of_config(config) if estimate is None else estimate
    memory = estimate.weights + estimate.moments
    for layer in (*config.hidden, config.output):
        biases = isinstance(layer, Dense) or layer.bias
        count = (width + biases) * layer.units
        shape = f"{width} x {layer.units}"
        rows.append((type(layer).__name__, shape, count, ", ".join(_notes(config, layer))))
        width = layer.units
    total = sum(count for _, _, count, _ in rows)
    lines = [f"{'layer':<13}{'shape':>17}{'parameters':>13}"]
    lines += [
        f"{name:<13}{shape:>17}{count:>13,}  {note}".rstrip() for name, shape, count, note in rows
    ]
    lines.append(f"{'total':<30}{total:>13,}  {readable(memory)} with the optimiser")
    for name, sampled in config.sampled.items():
        # A network without sampled hidden layers has only one sampler to speak of.
        lines += _sampling("" if len(config.sampled) == 1 else f"{name} ", sampled)
    lines.append(f"memory:  {estimate}")
    return "\n".join(lines)


def _input(config: NetworkConfig) -> tuple[str, str, int, str]:
    notes = ["rows scaled to length 1"] if config.input.normalize else []
    if config.input.dropout is None:
        notes.append("dropout by length")
    elif config.input.dropout:
        notes.append(f"dropout {config.input.dropout:g}")
    return "SparseInput", f"{config.input.in_features}", 0, ", ".join(notes)


def _notes(config: NetworkConfig, layer: Hidden) -> Iterator[str]:
    yield config.loss if layer is config.output else layer.activation or "linear"
    if layer.norm:
        yield f"scaled to norm {layer.norm:g}"
    if isinstance(layer, Dense) and layer.dropout:
        yield f"dropout {layer.dropout:g}"
    if layer.dtype not in (None, "float32"):
        yield str(layer.dtype)
    if layer.optimizer is not None:
        yield _optimizer(layer.optimizer)


def _optimizer(own: Optimizer) -> str:
    said = [f"lr={own.lr:g}"]
    if isinstance(own, Adam):
        light = {"second_moment": "entry", "moments_dtype": "float32"}
        said += [
            f"{name}={getattr(own, name)!r}"
            for name, usual in light.items()
            if getattr(own, name) not in (usual, None)
        ]
    return f"{type(own).__name__}({', '.join(said)})"


def _sampling(name: str, layer: SampledDense) -> Iterator[str]:
    units, sampler = layer.units, layer.sampler
    what = "neurons" if name.startswith("hidden") else "outputs"
    if isinstance(sampler, samplers.Full):
        yield f"{name}sampler: all {units:,} {what}"
        return
    share = f" ({sampler.n_active / units:.1%} of {units:,})" if sampler.n_active else ""
    active = f"n_active={sampler.n_active}{share}"
    if not isinstance(sampler, samplers.LSH):
        options = ", ".join(
            f"{field.name}={getattr(sampler, field.name)}" for field in fields(sampler)[1:]
        )
        yield f"{name}sampler: {type(sampler).__name__}, {active}, {options}"
        return
    found = sampler.tables
    yield f"{name}sampler: LSH, {active}, strategy={sampler.strategy!r}"
    memory = ""
    if found.n_tables and found.n_hashes:
        memory = f", {readable(tables.memory(found, units))}"
    yield (
        f"{name}tables:  {type(found).__name__}, n_tables={found.n_tables} (L), "
        f"n_hashes={found.n_hashes} (K), bucket_size={found.bucket_size}{memory}"
    )

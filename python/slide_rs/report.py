"""The table that `Network.summary` prints."""

from __future__ import annotations

from collections.abc import Iterator

from slide_rs import optim, samplers
from slide_rs.config import NetworkConfig

__all__ = ["summary"]

_FLOAT = 4


def summary(config: NetworkConfig) -> str:
    """Return the layers of a resolved configuration with parameters, memory and sampler.

    Examples
    --------
    >>> from slide_rs import layers
    >>> chain = [layers.SparseInput(10), layers.Dense(4), layers.SampledDense(3)]
    >>> print(summary(NetworkConfig(chain)).splitlines()[2])
    Dense                   10 x 4           44  linear
    """
    rows = list(_layers(config))
    total = sum(parameters for _, _, parameters, _ in rows)
    # Adam keeps a running mean and a running square beside each weight.
    copies = 3 if isinstance(config.optimizer, optim.Adam) else 1
    lines = [f"{'layer':<13}{'shape':>17}{'parameters':>13}"]
    lines += [
        f"{name:<13}{shape:>17}{count:>13,}  {note}".rstrip() for name, shape, count, note in rows
    ]
    lines.append(f"{'total':<30}{total:>13,}  {_size(total * _FLOAT * copies)} with the optimiser")
    return "\n".join([*lines, *_sampling(config)])


def _layers(config: NetworkConfig) -> Iterator[tuple[str, str, int, str]]:
    width = config.input.in_features
    note = ["rows scaled to length 1"] if config.input.normalize else []
    if config.input.dropout:
        note.append(f"dropout {config.input.dropout:g}")
    yield "SparseInput", f"{width}", 0, ", ".join(note)
    for dense in config.hidden:
        note = [dense.activation]
        if dense.norm:
            note.append(f"scaled to norm {dense.norm:g}")
        if dense.dropout:
            note.append(f"dropout {dense.dropout:g}")
        yield "Dense", f"{width} x {dense.units}", (width + 1) * dense.units, ", ".join(note)
        width = dense.units
    output = config.output
    count = (width + output.bias) * output.units
    yield "SampledDense", f"{width} x {output.units}", count, config.loss


def _sampling(config: NetworkConfig) -> Iterator[str]:
    units, sampler = config.output.units, config.output.sampler
    if isinstance(sampler, samplers.Full):
        yield f"sampler: all {units:,} outputs"
        return
    share = f" ({sampler.n_active / units:.1%} of {units:,})" if sampler.n_active else ""
    active = f"n_active={sampler.n_active}{share}"
    if isinstance(sampler, samplers.Uniform):
        yield f"sampler: Uniform, {active}, log_q={sampler.log_q}"
        return
    tables = sampler.tables
    yield f"sampler: LSH, {active}, strategy={sampler.strategy!r}"
    memory = ""
    if tables.n_tables and tables.n_hashes:
        # Each table lists every neuron once and has one start a bucket.
        memory = f", {_size(tables.n_tables * (units + 2**tables.n_hashes) * 4)}"
    yield (
        f"tables:  SimHash, n_tables={tables.n_tables} (L), n_hashes={tables.n_hashes} (K), "
        f"bucket_size={tables.bucket_size}{memory}"
    )


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"

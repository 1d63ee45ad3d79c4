"""Networks from files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Literal, overload

from slide_rs import _core, checks
from slide_rs.archives import of_network
from slide_rs.mapped import MappedNetwork
from slide_rs.network import Network

__all__ = ["load", "packed", "unpacked"]


@overload
def load(
    path: str | os.PathLike[str], threads: int | None = None, *, mmap: Literal[False] = False
) -> Network: ...
@overload
def load(
    path: str | os.PathLike[str], threads: int | None = None, *, mmap: Literal[True]
) -> MappedNetwork: ...
def load(
    path: str | os.PathLike[str], threads: int | None = None, *, mmap: bool = False
) -> Network | MappedNetwork:
    """Read a network from a file that `Network.save` wrote.

    Parameters
    ----------
    path : str or path
        The safetensors file.
    threads : int, optional
        As in `Network`.
    mmap : bool
        If True, a `mapped.MappedNetwork`, which predicts from the file without reading all of it.

    Raises
    ------
    OSError
        If the file can not be read.
    ValueError
        If it is not such a file.

    Examples
    --------
    >>> from slide_rs import layers
    >>> net = Network([layers.SparseInput(4), layers.Dense(8), layers.SampledDense(4)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     net.save(f"{folder}/net.safetensors")
    ...     load(f"{folder}/net.safetensors")
    <slide_rs.Network 4 -> 8 -> 4, 0 steps trained>
    """
    if checks.flag("mmap", mmap):
        return MappedNetwork(path)
    network = Network.__new__(Network)
    core = _core.Network.load(of_network(path), checks.threads(threads))
    network._adopt(core, threads)
    return network


def packed(network: Network) -> bytes:
    """Return the file that `Network.save` would write."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.safetensors")
        network.save(path)
        return path.read_bytes()


def unpacked(content: bytes, threads: int | None) -> Network:
    """Read what `packed` returned."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.safetensors")
        path.write_bytes(content)
        return load(path, threads)

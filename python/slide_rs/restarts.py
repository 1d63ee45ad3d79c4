"""How ``slide-rs train`` goes on where it was killed: a folder of checkpoints for each network."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from slide_rs import checks
from slide_rs.callbacks import ModelCheckpoint
from slide_rs.checkpoints import steps_in
from slide_rs.ensemble import Ensemble
from slide_rs.network import Network

__all__ = ["check", "take_up"]


def check(arguments: Namespace) -> None:
    """Refuse options that do not go together, before reading any data.

    Examples
    --------
    >>> check(Namespace(checkpoint=None, checkpoint_steps=None, resume=True))
    Traceback (most recent call last):
    ValueError: --resume: found without --checkpoint, wanted the folder to go on from
    """
    if arguments.checkpoint_steps is not None:
        checks.whole("--checkpoint-steps", arguments.checkpoint_steps, 1, checks.MOST)
    if arguments.checkpoint is None:
        for name in ("resume", "checkpoint_steps"):
            if getattr(arguments, name):
                option = name.replace("_", "-")
                raise ValueError(
                    f"--{option}: found without --checkpoint, wanted the folder to go on from"
                )
        return
    folder = Path(arguments.checkpoint)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--checkpoint: found the file {folder}, wanted a folder")
    if not arguments.resume and any(steps_in(path) for path in (folder, *folder.glob("member-*"))):
        raise ValueError(
            f"--checkpoint: found checkpoints in {folder}, wanted a folder without, or --resume"
        )


def take_up(arguments: Namespace, model: Ensemble) -> Callable[[int], list[ModelCheckpoint]]:
    """Put networks of checkpoints in the places of new ones; return what keeps those of each.

    The networks are trained one after another, so those that were finished have the checkpoint of
    their end, and those that were not begun have none. The ranker is trained anew.
    """
    if arguments.checkpoint is None:
        return lambda _: []
    folder, count = Path(arguments.checkpoint), len(model.members)
    folders = [folder / f"member-{i + 1}" if count > 1 else folder for i in range(count)]
    if arguments.resume:
        members = zip(folders, model.members, strict=True)
        model._members = tuple(_taken_up(path, new, arguments.threads) for path, new in members)
    return lambda i: [ModelCheckpoint(folders[i], every_steps=arguments.checkpoint_steps)]


def _taken_up(folder: Path, new: Network, threads: int | None) -> Network:
    if not steps_in(folder):
        print(f"slide-rs: no checkpoint in {folder}: begins at the start", file=sys.stderr)
        return new
    network = Network.resume(folder, threads)
    if _options(network) != _options(new):
        raise ValueError(
            f"--resume: found checkpoints of another network in {folder}, wanted the options that "
            "they were made with"
        )
    steps = network._core.steps
    print(f"slide-rs: goes on from step {steps:,}, a checkpoint in {folder}", file=sys.stderr)
    return network


def _options(network: Network) -> object:
    """Return what the options decide. Not how the output is stored: that stays as it began."""
    document = json.loads(network.config.to_json())
    del document["output"]["dtype"]
    return document

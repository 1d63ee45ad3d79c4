"""What ``slide-rs train --stream`` does: one network on files that memory does not hold."""

from __future__ import annotations

import sys
import time
from argparse import Namespace

from slide_rs import commands, datasets, optim
from slide_rs.callbacks import Callback, ProgressBar
from slide_rs.lines import Lines
from slide_rs.network import METRICS, Network
from slide_rs.xmc_stream import stream_xmc

__all__ = ["train"]


def train(arguments: Namespace) -> int:
    """Train, print a line or an object an epoch, save."""
    commands.check_train(arguments)
    course = commands.asked_callbacks(arguments)
    if arguments.members not in (None, 1):
        raise ValueError(f"--members: found {arguments.members} with --stream, which trains one")
    if arguments.checkpoint:
        raise ValueError(
            "--checkpoint: found with --stream, wanted one of the two; in Python ModelCheckpoint "
            "takes checkpoints of a stream at the ends of epochs"
        )
    if arguments.report:
        raise ValueError("--report: found with --stream, wanted inspect --html of the model")
    if arguments.cache:
        raise ValueError("--cache: found with --stream, which reads the text in each epoch")
    start = time.perf_counter()
    stream = stream_xmc(arguments.data, seed=arguments.seed)
    width, n_labels = stream.n_features, stream.n_labels
    if width is None or n_labels is None or not stream.n_rows:
        raise ValueError(
            f"{arguments.data}: found a file without a header or no rows, wanted a header in each "
            "file with --stream, as the network is made before the rows are read"
        )
    held = None
    if arguments.valid:
        valid = datasets.read_xmc(arguments.valid)
        held = (
            commands.widened(valid.X, width, arguments.valid, "features"),
            commands.widened(valid.Y, n_labels, arguments.valid, "labels"),
        )
    read_seconds = time.perf_counter() - start

    start = time.perf_counter()
    network = Network(
        commands.stack(width, n_labels, arguments.hidden, commands.chosen_sampler(arguments)),
        optimizer=optim.Adam(lr=arguments.lr),
        seed=arguments.seed,
        threads=arguments.threads,
        max_memory=arguments.max_memory,
    )
    lines = Lines(arguments.json, read_seconds, time.perf_counter() - start)
    shown: list[Callback] = [lines, *course]
    if not arguments.json and sys.stderr.isatty() and not sys.stdout.isatty():
        shown.append(ProgressBar())
    code = 0
    try:
        network.fit(
            stream,
            epochs=arguments.epochs,
            batch_size=arguments.batch_size,
            validation_data=held,
            metrics=METRICS,
            callbacks=lines.of_member(0, 1, stream.n_rows, shown),
            verbose=False,
        )
    except KeyboardInterrupt:
        code = commands.INTERRUPTED
    if arguments.out:
        commands.keep_model(network, arguments.out, broken_off=code == commands.INTERRUPTED)
    return code

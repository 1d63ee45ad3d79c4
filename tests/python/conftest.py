"""Data and networks that several tests share."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import slide_rs as sr
from slide_rs import datasets, layers

# A shell starts what runs in the background with Ctrl-C ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def easy() -> tuple[datasets.Dataset, datasets.Dataset]:
    """Learnable rows for training and test, with enough labels for LSH to be the default."""
    data = datasets.make_xmc(4000, n_features=3000, n_labels=1500, noise=0.1, seed=7)
    return data.split(3000)


@pytest.fixture(scope="session")
def trained(easy: tuple[datasets.Dataset, datasets.Dataset]) -> sr.Network:
    """A network fitted to the easy rows; tests only ask it."""
    train, _ = easy
    net = sr.Network(
        [
            layers.SparseInput(train.n_features),
            layers.Dense(32),
            layers.SampledDense(train.n_labels),
        ]
    )
    net.fit(train.X, train.Y, epochs=8, batch_size=64, verbose=False)
    return net


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An XMC file of 400 rows, 300 features and 60 labels."""
    path = tmp_path_factory.mktemp("xmc") / "tiny.txt"
    datasets.write_xmc(path, *datasets.make_xmc(400, n_features=300, n_labels=60, seed=1))
    return path

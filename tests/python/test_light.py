"""What Adam remembers where it is not said: by rule, layer by layer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slide_rs as sr
from malformed_files import with_header
from scipy import sparse
from slide_rs import optim, samplers
from slide_rs.datasets import Dataset
from slide_rs.layers import Dense, SampledDense, SparseInput

Split = tuple[Dataset, Dataset]
LIGHT: dict[str, Any] = {"second_moment": "row", "moments_dtype": "bfloat16"}
EXACT: dict[str, Any] = {"second_moment": "entry", "moments_dtype": "float32"}


def wide(data: Dataset, optimizer: optim.Optimizer | None = None) -> sr.Network:
    """Return a network with a million weights in either layer."""
    chain = [SparseInput(data.n_features), Dense(704), SampledDense(data.n_labels)]
    return sr.Network(chain, optimizer=optimizer, threads=2)


def test_layers_of_a_million_weights_are_light_and_small_ones_exact() -> None:
    by_rule = optim.Adam(0.005, **LIGHT)
    for features, units, light in [
        (16_384, 16_384, (by_rule, by_rule)),
        (16_384, 16_383, (by_rule, None)),
        (16_383, 16_384, (None, by_rule)),
        (100, 50, (None, None)),
    ]:
        config = sr.Network([SparseInput(features), Dense(64), SampledDense(units)]).config
        assert (config.hidden[0].optimizer, config.output.optimizer) == light
        assert config.optimizer == optim.Adam(0.005, **EXACT)
        assert sr.NetworkConfig.from_json(config.to_json()) == config
    text = sr.Network([SparseInput(9), Dense(64), SampledDense(16_384)]).summary()
    assert text.count("Adam(lr=0.005, second_moment='row', moments_dtype='bfloat16')") == 1


@pytest.mark.parametrize("said", [{**LIGHT, "moments_dtype": "float32"}, EXACT])
def test_what_is_said_is_kept_for_the_network_and_for_a_layer(said: dict[str, Any]) -> None:
    adam = optim.Adam(0.5, **said)
    chain = [SparseInput(10), Dense(64), SampledDense(16_384)]
    config = sr.Network(chain, optimizer=adam).config
    assert (config.optimizer, config.output.optimizer) == (adam, None)
    chain[2] = SampledDense(16_384, optimizer=adam)
    config = sr.Network(chain).config
    assert config.output.optimizer == adam


def test_what_is_half_said_is_completed_layer_by_layer() -> None:
    chain = [SparseInput(10), Dense(64), SampledDense(16_384)]
    floats = {"moments_dtype": "float32"}
    config = sr.Network(chain, optimizer=optim.AdamW(0.5, **floats)).config
    assert config.optimizer == optim.AdamW(0.5, **EXACT)
    assert config.output.optimizer == optim.AdamW(0.5, second_moment="row", **floats)
    # Squares of each weight stay floats: in halves they are noisy.
    config = sr.Network(chain, optimizer=optim.Adam(0.5, second_moment="entry")).config
    assert (config.optimizer, config.output.optimizer) == (optim.Adam(0.5, **EXACT), None)
    chain[2] = SampledDense(16_384, optimizer=optim.Adam(0.25))
    config = sr.Network(chain, optimizer=optim.SGD(0.5)).config
    assert config.output.optimizer == optim.Adam(0.25, **LIGHT)


def test_a_wide_network_by_rule_has_the_bits_of_one_that_says_so(easy: Split) -> None:
    train, _ = easy
    assert losses(wide(train), train) == losses(wide(train, optim.Adam(**LIGHT)), train)


@pytest.mark.parametrize("optimizer", [None, optim.Adam(**EXACT)], ids=["by-rule", "exact"])
def test_a_saved_wide_network_trains_on_as_if_never_saved(
    optimizer: optim.Adam | None, easy: Split, tmp_path: Path
) -> None:
    train, test = easy
    net = wide(train, optimizer)
    losses(net, train)
    net.save(tmp_path / "net.safetensors")
    copy = sr.load(tmp_path / "net.safetensors", threads=1)
    assert copy.config == net.config
    assert losses(copy, test) == losses(net, test)


def very_wide(data: Dataset, **said: Any) -> sr.Network:
    """Return a network with an output of 2^25 weights."""
    output = SampledDense(65_536, sampler=samplers.Uniform(n_active=64), **said)
    return sr.Network([SparseInput(data.n_features), Dense(512), output], threads=2)


def test_a_very_wide_output_is_in_halves_by_rule_and_has_the_bits_of_one_that_says_so(
    easy: Split, tmp_path: Path
) -> None:
    train, test = easy
    Y = sparse.csr_array(
        (train.Y.data, train.Y.indices, train.Y.indptr), shape=(train.Y.shape[0], 65_536)
    )
    data = Dataset(train.X, Y)
    net, said = very_wide(data), very_wide(data, dtype="float16")
    assert (net.config.output.dtype, net.config.hidden[0].dtype) == ("float16", "float32")
    assert net.config == said.config
    assert "float16" in net.summary()
    floats = very_wide(data, dtype="float32")
    assert floats.estimate_memory().weights - net.estimate_memory().weights == 2 * 2**25
    assert losses(net, data) == losses(said, data)
    path = tmp_path / "net.safetensors"
    net.save(path)
    copy = sr.load(path)
    assert copy.config == net.config
    np.testing.assert_array_equal(
        copy.predict_topk(test.X[:20]).scores, net.predict_topk(test.X[:20]).scores
    )


@pytest.mark.parametrize(
    ("units", "optimizer"),
    [(65_535, None), (65_536, optim.Adam(**EXACT)), (65_536, optim.SGD())],
    ids=["narrow", "exact", "sgd"],
)
def test_outputs_are_floats_where_they_are_narrow_or_have_no_light_adam(
    units: int, optimizer: optim.Optimizer | None
) -> None:
    chain = [SparseInput(100), Dense(512), SampledDense(units)]
    assert sr.estimate_memory(chain, optimizer=optimizer).weights > units * 512 * 4


def test_wide_networks_saved_before_there_was_a_choice_keep_their_moments(
    easy: Split, tmp_path: Path
) -> None:
    train, test = easy
    net = wide(train, optim.Adam(**EXACT))
    losses(net, train)
    path = tmp_path / "net.safetensors"
    net.save(path)
    path.write_bytes(with_header(as_format_2)(path.read_bytes()))
    old = sr.load(path)
    assert old.config == net.config
    assert losses(old, test) == losses(net, test)


def as_format_2(header: dict[str, Any]) -> None:
    """Leave out what files of format 2 did not know."""
    metadata: Mapping[str, str] = header["__metadata__"]
    ours = json.loads(metadata["slide_rs"])
    ours["format"] = 2
    for name in ("second_moment", "moments"):
        del ours["config"]["optimizer"][name]
    header["__metadata__"] = {"slide_rs": json.dumps(ours)}


def losses(net: sr.Network, data: Dataset) -> list[float]:
    """Train ten steps."""
    return [
        net.train_batch(data.X[start : start + 32], data.Y[start : start + 32]).loss
        for start in range(0, 320, 32)
    ]

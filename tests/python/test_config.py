"""Descriptions of networks, and their JSON."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import slide_rs as sr
from slide_rs import checks, defaults, lsh, optim, samplers
from slide_rs.layers import Dense, SampledDense, SparseInput
from slide_rs.optim import schedules

CONTRACT = json.loads("""
{"seed": 0, "loss": "softmax",
 "input": {"features": 184585, "normalize": true, "dropout": null},
 "hidden": [{"units": 128, "activation": "linear", "norm": null, "dropout": 0.0}],
 "output": {"units": 22085, "bias": true,
   "sampler": {"kind": "lsh", "strategy": "topk", "n_active": null, "fill": "random",
               "random_share": null,
               "tables": {"kind": "simhash", "n_tables": null, "n_hashes": null,
                          "bucket_size": null, "seed": null},
               "rebuild": {"every": null, "growth": null}}},
 "optimizer": {"kind": "adam", "lr": null, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
 "schedule": {"warmup": null, "decay": "cosine"}}
""")

DETAILED = [
    samplers.LSH(lsh.SimHash(10, 6, 64, 3), "vanilla", 40, lsh.Rebuild(5, 1.5), "none", 0.5),
    samplers.Uniform(17, log_q=False),
    samplers.Full(),
]


def test_three_bare_layers_are_the_default_json_of_the_engine() -> None:
    config = sr.NetworkConfig([SparseInput(184585), Dense(128), SampledDense(22085)])
    assert json.loads(config.to_json()) == CONTRACT


@pytest.mark.parametrize("sampler", DETAILED, ids=lambda sampler: type(sampler).__name__)
@pytest.mark.parametrize(
    "optimizer",
    [
        optim.Adam(0.1, 0.5, 0.6, 0.01, schedules.Constant(7)),
        optim.SGD(2.0, schedules.WarmupCosine(3)),
        optim.SGD(),
    ],
    ids=["adam", "sgd", "bare-sgd"],
)
def test_json_comes_back_as_it_went(sampler: samplers.Sampler, optimizer: optim.Optimizer) -> None:
    config = sr.NetworkConfig(
        [
            SparseInput(100, normalize=False, dropout=0.5),
            Dense(8, "relu", dropout=0.25),
            Dense(4, "tanh", norm=0.0),
            SampledDense(50, sampler=sampler, bias=False),
        ],
        optimizer=optimizer,
        seed=2**64 - 1,
    )
    assert sr.NetworkConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize("sampler", DETAILED, ids=lambda sampler: type(sampler).__name__)
def test_the_engine_keeps_what_was_said_and_fills_in_the_rest(sampler: samplers.Sampler) -> None:
    layers = [SparseInput(100), Dense(8), SampledDense(50, sampler=sampler)]
    net = sr.Network(layers, optimizer=optim.Adam(lr=0.5), seed=4)
    assert net.config.output.sampler == sampler
    assert net.config.seed == 4
    assert net.config.optimizer.lr == 0.5
    assert net.config.input.dropout is not None
    assert net.config.hidden[0].norm is not None


def test_by_rule_a_wide_output_is_hashed_and_few_of_it_computed() -> None:
    net = sr.Network([SparseInput(100), Dense(8), SampledDense(30_000)])
    sampler = net.config.output.sampler
    assert isinstance(sampler, samplers.LSH)
    assert sampler.n_active is not None
    assert sampler.n_active <= 900
    sizes = (sampler.tables.n_tables, sampler.tables.n_hashes, sampler.tables.bucket_size)
    assert None not in sizes


def test_names_of_the_papers_are_aliases() -> None:
    assert lsh.SimHash(K=6, L=100) == lsh.SimHash(100, 6)
    assert lsh.SimHash(n_tables=3, K=4).n_hashes == 4


def test_descriptions_can_not_be_changed_but_replaced() -> None:
    dense = Dense(4)
    with pytest.raises(dataclasses.FrozenInstanceError):
        dense.units = 5  # type: ignore[misc]
    assert dataclasses.replace(dense, units=5) == Dense(5)
    assert dataclasses.replace(lsh.SimHash(K=6), n_tables=2) == lsh.SimHash(2, 6)


def test_numpy_numbers_are_numbers() -> None:
    config = sr.NetworkConfig(
        [SparseInput(np.int64(9)), Dense(np.int32(4)), SampledDense(np.uint8(5))],
        optimizer=optim.Adam(lr=np.float32(0.5)),
        seed=np.int16(3),
    )
    assert json.loads(config.to_json())["output"]["units"] == 5


def test_summary_and_repr_tell_sizes_and_sampler() -> None:
    tables = lsh.SimHash(n_tables=7, n_hashes=5)
    sampler = samplers.LSH(tables, n_active=100)
    net = sr.Network([SparseInput(100), Dense(8), SampledDense(2000, sampler=sampler)])
    for part in ("808", "18,000", "n_active=100 (5.0% of 2,000)", "n_tables=7", "n_hashes=5"):
        assert part in net.summary()
    assert repr(net) == "<slide_rs.Network 100 -> 8 -> 2000, 0 steps trained>"
    for other, name in ((samplers.Uniform(), "Uniform"), (samplers.Full(), "all 50")):
        chain = [SparseInput(9), Dense(2), SampledDense(50, sampler=other)]
        assert name in sr.Network(chain).summary()


@pytest.mark.parametrize(
    ("rows", "batch", "epochs"),
    [(1, 32, 20), (1000, 32, 20), (5000, 32, 5), (50_000, 128, 4), (500_000, 256, 4)],
)
def test_sizes_by_rule(rows: int, batch: int, epochs: int) -> None:
    assert defaults.batch_size(rows) == batch
    assert defaults.epochs(rows, batch) == epochs


def test_a_check_names_argument_found_and_wanted() -> None:
    with pytest.raises(ValueError, match=r"^k: found 0, wanted a whole number of at least 1$"):
        checks.whole("k", 0, 1)
    with pytest.raises(ValueError, match=r"^lr: found -1, wanted a finite number above 0$"):
        checks.number("lr", -1, above=0.0)

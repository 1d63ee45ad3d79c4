"""Descriptions of networks, and their JSON."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import slide_rs as sr
from slide_rs import checks, defaults, lsh, memory, optim, report, samplers
from slide_rs.layers import Dense, SampledDense, SparseInput
from slide_rs.optim import schedules

CONTRACT = json.loads("""
{"seed": 0, "loss": "softmax",
 "input": {"features": 184585, "normalize": true, "dropout": null},
 "hidden": [{"kind": "dense", "units": 128, "activation": "linear", "norm": null, "dropout": 0.0,
             "dtype": "f32", "optimizer": null}],
 "output": {"units": 22085, "bias": true,
   "sampler": {"kind": "lsh", "strategy": "topk", "n_active": null, "min_active": null,
               "fill": "random", "random_share": null, "log_q": "random",
               "shared_negatives": true,
               "tables": {"family": {"kind": "simhash", "projection": null},
                          "n_tables": null, "n_hashes": null, "bucket_size": null,
                          "bucket_policy": "window", "seed": null, "center": false,
                          "normalize": false, "append_bias": true, "mips": false},
               "rebuild": {"every": null, "growth": null, "drift": null, "redraw": null}},
   "dtype": null, "optimizer": null},
 "optimizer": {"kind": "adam", "lr": null, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8,
               "weight_decay": 0.0, "mode": "lazy", "second_moment": null,
               "moments": null},
 "clip": {"norm": null, "value": null},
 "schedule": {"warmup": null, "decay": "cosine"},
 "update": "sharded"}
""")

REBUILD = lsh.Rebuild(5, 1.5, drift=0.25, redraw=7)
DETAILED = [
    samplers.LSH(
        lsh.SimHash(10, 6, 64, 3, projection="sparse", bucket_policy="fifo"),
        "vanilla",
        40,
        REBUILD,
        "none",
        0.5,
        min_active=30,
        log_q="all",
    ),
    samplers.LSH(
        lsh.WTA(9, 2, 8, 4, bin_size=4, bucket_policy="fifo", center=True, normalize=True),
        "threshold",
        40,
        REBUILD,
        "random",
        0.25,
        min_active=9,
        min_count=3,
    ),
    samplers.LSH(
        lsh.DWTA(8, 3, 9, 5, bin_size=16, bucket_policy="reservoir", mips=True),
        "union",
        50,
        REBUILD,
        "random",
        0.0,
        min_active=1,
        log_q="none",
    ),
    samplers.LSH(
        lsh.DOPH(7, 2, 9, 6, top=5, append_bias=False),
        "topk",
        20,
        REBUILD,
        "random",
        0.5,
        min_active=20,
    ),
    samplers.Uniform(17, log_q=False),
    samplers.LogUniform(17),
    samplers.InBatch(17, log_q=False),
    samplers.Oracle(17, 0.25),
    samplers.Full(),
]
OPTIMIZERS: dict[str, optim.Optimizer] = {
    "adam": optim.Adam(0.1, 0.5, 0.6, 0.01, schedules.Constant(7), mode="catch_up", clip_norm=2.0),
    "adamw": optim.AdamW(0.1, schedule=schedules.Linear(3), weight_decay=0.5, mode="dense"),
    "adam-exact": optim.Adam(second_moment="entry", moments_dtype="float32"),
    "adam-light": optim.Adam(second_moment="row", moments_dtype="bfloat16"),
    "adamw-light": optim.AdamW(0.1, second_moment="row", moments_dtype="bfloat16"),
    "sgd": optim.SGD(2.0, schedules.WarmupCosine(3), momentum=0.5, nesterov=True, clip_value=0.5),
    "sgd-one-cycle": optim.SGD(schedule=schedules.OneCycle()),
    "adagrad": optim.Adagrad(0.5, 0.25, schedules.Step(100, 0.5, warmup=4)),
    "bare-sgd": optim.SGD(),
}


def name_of(sampler: samplers.Sampler) -> str:
    inner = getattr(sampler, "tables", sampler)
    return type(inner).__name__


def test_three_bare_layers_are_the_default_json_of_the_engine() -> None:
    config = sr.NetworkConfig([SparseInput(184585), Dense(128), SampledDense(22085)])
    assert json.loads(config.to_json()) == CONTRACT


@pytest.mark.parametrize("sampler", DETAILED, ids=name_of)
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_json_comes_back_as_it_went(sampler: samplers.Sampler, optimizer: optim.Optimizer) -> None:
    config = sr.NetworkConfig(
        [
            SparseInput(100, normalize=False, dropout=0.5),
            Dense(8, "relu", dropout=0.25),
            SampledDense(
                500, activation="gelu", norm=0.0, dtype="bfloat16", optimizer=optim.Adagrad(0.5)
            ),
            Dense(4, "sigmoid", norm=0.0, dtype="bfloat16", optimizer=optim.AdamW(0.25)),
            SampledDense(600),
            SampledDense(
                50, sampler=sampler, bias=False, dtype="float16", optimizer=optim.SGD(0.5)
            ),
        ],
        loss="squared_hinge",
        optimizer=optimizer,
        seed=2**64 - 1,
        update="hogwild",
    )
    assert sr.NetworkConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize("sampler", DETAILED, ids=name_of)
def test_the_engine_keeps_what_was_said_and_fills_in_the_rest(sampler: samplers.Sampler) -> None:
    layers = [SparseInput(100), Dense(8), SampledDense(50, sampler=sampler)]
    net = sr.Network(layers, optimizer=optim.Adam(lr=0.5), seed=4)
    assert net.config.output.sampler == sampler
    assert net.config.seed == 4
    assert net.config.optimizer.lr == 0.5
    assert net.config.input.dropout == 0.0
    assert net.config.hidden[0].norm is not None


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_the_engine_keeps_the_optimiser(optimizer: optim.Optimizer) -> None:
    chain = [SparseInput(100), Dense(8, optimizer=optim.SGD(0.5)), SampledDense(50)]
    config = sr.Network(chain, optimizer=optimizer, loss="hinge").config
    kept = {"lr": optimizer.lr}
    if isinstance(optimizer, optim.Adam):
        kept |= {name: getattr(optimizer, name) for name in ("second_moment", "moments_dtype")}
    assert dataclasses.replace(config.optimizer, **kept) == optimizer
    assert config.hidden[0].optimizer == optim.SGD(0.5)
    assert config.loss == "hinge"


def test_defaults_that_follow_from_the_place_of_a_layer() -> None:
    wide, output = SampledDense(2000), SampledDense(50)
    config = sr.NetworkConfig([SparseInput(100), wide, output], loss="bce")
    assert config.hidden[0] == SampledDense(2000, activation="relu")
    assert config.output == output
    assert config.loss == "sigmoid"
    assert list(config.sampled) == ["hidden.0", "output"]
    bare = sr.NetworkConfig([SparseInput(100), output])
    assert bare.hidden == ()
    assert sr.NetworkConfig.from_json(bare.to_json()) == bare


def test_documents_from_before_light_moments_are_read_as_what_they_meant() -> None:
    config = sr.Network([SparseInput(9), SampledDense(5)], optimizer=optim.Adam(0.5)).config
    document = json.loads(config.to_json())
    for name in ("second_moment", "moments"):
        del document["optimizer"][name]
    assert sr.NetworkConfig.from_json(json.dumps(document)) == config


def test_without_decay_adamw_is_adam() -> None:
    config = sr.NetworkConfig(
        [SparseInput(9), SampledDense(5)], optimizer=optim.AdamW(0.5, weight_decay=0.0)
    )
    assert sr.NetworkConfig.from_json(config.to_json()).optimizer == optim.Adam(0.5)


def test_by_rule_a_wide_output_is_hashed_and_few_of_it_computed() -> None:
    net = sr.Network([SparseInput(100), Dense(8), SampledDense(30_000)])
    sampler = net.config.output.sampler
    assert isinstance(sampler, samplers.LSH)
    assert sampler.n_active is not None
    assert sampler.n_active <= 900
    sizes = (sampler.tables.n_tables, sampler.tables.n_hashes, sampler.tables.bucket_size)
    assert None not in sizes


@pytest.mark.parametrize("family", [lsh.SimHash, lsh.WTA, lsh.DWTA, lsh.DOPH])
def test_names_of_the_papers_can_be_read(family: type[lsh.Tables]) -> None:
    found = family(K=2, L=3)
    assert (found.K, found.L) == (found.n_hashes, found.n_tables) == (2, 3)
    assert (family().K, family().L) == (None, None)
    other = dataclasses.replace(found, n_hashes=1)
    assert (other.K, other.L) == (1, 3)


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


def test_summary_tells_of_sampled_hidden_layers_and_of_memory() -> None:
    chain = [
        SparseInput(100, normalize=False),
        SampledDense(3000, bias=False, sampler=samplers.LSH(lsh.DWTA(K=3, L=11), n_active=150)),
        SampledDense(20, dtype="bfloat16", optimizer=optim.SGD(0.5)),
    ]
    config = sr.NetworkConfig(chain)
    text = " ".join(report.summary(config).split())
    assert "SampledDense 100 x 3000 300,000 relu" in text
    assert "SampledDense 3000 x 20 60,020 softmax, bfloat16, SGD(lr=0.5)" in text
    # Adam keeps two floats beside each weight, plain SGD none beside 16-bit ones.
    floats, halves = 100 * 3000, 3000 * 20
    kept = 12 * floats + 2 * halves + 4 * 20
    # Rows start at cache lines.
    assert kept < memory.of_config(config).weights + memory.of_config(config).moments < 1.2 * kept
    assert f"memory: {memory.of_config(config)}" in text
    assert "hidden.0 sampler: LSH, n_active=150 (5.0% of 3,000), strategy='topk'" in text
    assert "hidden.0 tables: DWTA, n_tables=11 (L), n_hashes=3 (K)" in text
    assert "output sampler: LSH" in text


@pytest.mark.parametrize(
    ("rows", "batch", "epochs"),
    [(1, 32, 20), (1000, 32, 20), (5000, 32, 5), (50_000, 64, 4), (500_000, 256, 4)],
)
def test_sizes_by_rule(rows: int, batch: int, epochs: int) -> None:
    assert defaults.batch_size(rows) == batch
    assert defaults.epochs(rows, batch) == epochs


def test_a_check_names_argument_found_and_wanted() -> None:
    with pytest.raises(ValueError, match=r"^k: found 0, wanted a whole number of at least 1$"):
        checks.whole("k", 0, 1)
    with pytest.raises(ValueError, match=r"^lr: found -1, wanted a finite number above 0$"):
        checks.number("lr", -1, above=0.0)

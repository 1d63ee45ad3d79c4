"""Settings that are wrong, as pairs of what to call and the error that must say so."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import slide_rs as sr
from slide_rs import callbacks, lsh, optim, samplers
from slide_rs.layers import Dense, SampledDense, SparseInput
from slide_rs.optim import schedules

Case = tuple[Callable[[], object], type[Exception], str]
V, T = ValueError, TypeError
NAN, INF = float("nan"), float("inf")


def make(kind: Any, error: type[Exception], match: str, *arguments: Any, **options: Any) -> Case:
    return lambda: kind(*arguments, **options), error, match


def net(error: type[Exception], match: str, *chain: Any, **options: Any) -> Case:
    layers = list(chain) or [SparseInput(6), Dense(4), SampledDense(5)]
    return lambda: sr.Network(layers, **options), error, match


def changed(match: str, *path: str, to: Any = None, drop: bool = False) -> Case:
    """A configuration whose JSON has one field changed."""

    def read() -> object:
        config = sr.NetworkConfig([SparseInput(6), Dense(4), SampledDense(5)])
        document = json.loads(config.to_json())
        place = document
        for name in path[:-1]:
            place = place[name]
        if drop:
            del place[path[-1]]
        else:
            place[path[-1]] = to
        return sr.NetworkConfig.from_json(json.dumps(document))

    return read, (ValueError, TypeError), match  # type: ignore[return-value]


FIRST, MID, LAST = SparseInput(6), Dense(4), SampledDense(5)
IN_BATCH = SampledDense(9, sampler=samplers.InBatch())
OWN = optim.Adam(schedule=schedules.Constant())

ROWS = np.eye(6, dtype=np.float32)


def plain() -> Any:
    return sr.Network([FIRST, MID, LAST])


def hashed() -> Any:
    return sr.Network([FIRST, MID, SampledDense(5, sampler=samplers.LSH(n_active=2))])


def calling(call: Callable[[], object], error: type[Exception], match: str) -> Case:
    return call, error, match


def tune(match: str, **options: Any) -> Case:
    error = (ValueError, TypeError)
    return lambda: lsh.autotune(plain(), ROWS, **options), error, match  # type: ignore[return-value]


CASES: dict[str, Case] = {
    # layers
    "features-zero": make(SparseInput, V, "in_features: found 0", 0),
    "features-negative": make(SparseInput, V, "in_features: found -1", -1),
    "features-float": make(SparseInput, T, "in_features: found 10.0", 10.0),
    "features-text": make(SparseInput, T, "in_features: found '10'", "10"),
    "features-none": make(SparseInput, T, "in_features: found None", None),
    "features-2-31": make(SparseInput, V, "in_features: found 2147483648", 2**31),
    "normalize-number": make(SparseInput, T, "normalize: found 1", 6, normalize=1),
    "dropout-one": make(SparseInput, V, "dropout: found 1,", 6, dropout=1.0),
    "dropout-negative": make(SparseInput, V, "dropout: found -0.1", 6, dropout=-0.1),
    "dropout-nan": make(SparseInput, V, "dropout: found nan", 6, dropout=NAN),
    "dropout-text": make(SparseInput, T, "dropout: found '.5'", 6, dropout=".5"),
    "units-zero": make(Dense, V, "units: found 0", 0),
    "units-negative": make(Dense, V, "units: found -4", -4),
    "units-float": make(Dense, T, "units: found 4.5", 4.5),
    "units-bool": make(Dense, T, "units: found True", True),
    "units-list": make(Dense, T, r"units: found \[4\]", [4]),
    "activation-unknown": make(Dense, V, "activation: found 'swish'", 4, "swish"),
    "activation-none": make(Dense, T, "activation: found None", 4, None),
    "norm-negative": make(Dense, V, "norm: found -1", 4, norm=-1.0),
    "norm-inf": make(Dense, V, "norm: found inf", 4, norm=INF),
    "norm-text": make(Dense, T, "norm: found 'l2'", 4, norm="l2"),
    "hidden-dropout-one": make(Dense, V, "dropout: found 1,", 4, dropout=1),
    "hidden-dropout-none": make(Dense, T, "dropout: found None", 4, dropout=None),
    "labels-zero": make(SampledDense, V, "units: found 0", 0),
    "labels-2-31": make(SampledDense, V, "units: found 2147483648", 2**31),
    "sampler-text": make(SampledDense, T, "sampler: found str", 5, sampler="lsh"),
    "sampler-class": make(SampledDense, T, "sampler: found type", 5, sampler=samplers.LSH),
    "sampler-tables": make(SampledDense, T, "sampler: found SimHash", 5, sampler=lsh.SimHash()),
    "dtype-unknown": make(Dense, V, "dtype: found 'float64'", 4, dtype="float64"),
    "dtype-numpy": make(SampledDense, T, "dtype: found <class 'float'>", 4, dtype=float),
    "own-optimizer-text": make(Dense, T, "optimizer: found str", 4, optimizer="adam"),
    "own-schedule": make(Dense, V, "optimizer: found schedule=Constant", 4, optimizer=OWN),
    "own-clip": make(
        SampledDense, V, "optimizer: found clip_norm=1", 4, optimizer=optim.SGD(clip_norm=1.0)
    ),
    "hidden-activation": make(SampledDense, V, "activation: found 'swish'", 4, activation="swish"),
    "sampled-norm": make(SampledDense, V, "norm: found -1", 4, norm=-1.0),
    "bias-text": make(SampledDense, T, "bias: found 'no'", 5, bias="no"),
    "active-too-many": make(
        SampledDense, V, "n_active: found 6, wanted at most 5", 5, sampler=samplers.LSH(n_active=6)
    ),
    "least-too-many": make(
        SampledDense, V, "min_active: found 6", 5, sampler=samplers.LSH(min_active=6)
    ),
    # tables and samplers
    "projection": make(lsh.SimHash, V, "projection: found 'cauchy'", projection="cauchy"),
    "bucket-policy": make(lsh.WTA, V, "bucket_policy: found 'lru'", bucket_policy="lru"),
    "center-number": make(lsh.DWTA, T, "center: found 1,", center=1),
    "mips-none": make(lsh.DOPH, T, "mips: found None", mips=None),
    "bin-size-odd": make(lsh.WTA, V, "bin_size: found 6", bin_size=6),
    "bin-size-one": make(lsh.DWTA, V, "bin_size: found 1,", bin_size=1),
    "top-zero": make(lsh.DOPH, V, "top: found 0", top=0),
    "drift-one": make(lsh.Rebuild, V, "drift: found 1,", drift=1.0),
    "redraw-zero": make(lsh.Rebuild, V, "redraw: found 0", redraw=0),
    "min-count-zero": make(
        samplers.LSH, V, "min_count: found 0", strategy="threshold", min_count=0
    ),
    "min-count-alone": make(
        samplers.LSH, V, "min_count: found 3 with strategy='topk'", min_count=3
    ),
    "min-active-above": make(
        samplers.LSH, V, "min_active: found 9, wanted at most", n_active=8, min_active=9
    ),
    "lsh-log-q": make(samplers.LSH, V, "log_q: found 'yes'", log_q="yes"),
    "log-q-wta": make(samplers.LSH, V, "log_q: found 'all'", lsh.WTA(), log_q="all"),
    "log-q-center": make(
        samplers.LSH, V, "log_q: found 'all'", lsh.SimHash(center=True), log_q="all"
    ),
    "lsh-tables-base": make(samplers.LSH, T, "tables: found Tables", lsh.Tables()),
    "oracle-share": make(samplers.Oracle, V, "random_share: found 1,", random_share=1.0),
    "in-batch-active": make(samplers.InBatch, V, "n_active: found 0", 0),
    "log-uniform-log-q": make(samplers.LogUniform, T, "log_q: found 1,", log_q=1),
    "tables-zero": make(lsh.SimHash, V, "n_tables: found 0", 0),
    "tables-too-many": make(lsh.SimHash, V, "n_tables: found 2000", 2000),
    "tables-float": make(lsh.SimHash, T, "n_tables: found 5.0", 5.0),
    "hashes-zero": make(lsh.SimHash, V, "n_hashes: found 0", n_hashes=0),
    "hashes-too-many": make(lsh.SimHash, V, "n_hashes: found 17", n_hashes=17),
    "hashes-and-alias": make(
        lsh.SimHash, V, "n_hashes: found 6 and its alias K=8", n_hashes=6, K=8
    ),
    "tables-and-alias": make(
        lsh.SimHash, V, "n_tables: found 6 and its alias L=8", n_tables=6, L=8
    ),
    "alias-zero": make(lsh.SimHash, V, "n_hashes: found 0", K=0),
    "bucket-zero": make(lsh.SimHash, V, "bucket_size: found 0", bucket_size=0),
    "bucket-2-70": make(lsh.SimHash, V, "bucket_size: found 1180591620", bucket_size=2**70),
    "tables-seed-negative": make(lsh.SimHash, V, "seed: found -1", seed=-1),
    "rebuild-zero": make(lsh.Rebuild, V, "every: found 0", 0),
    "rebuild-2-70": make(lsh.Rebuild, V, "every: found 1180591620", 2**70),
    "rebuild-float": make(lsh.Rebuild, T, "every: found 1.5", 1.5),
    "growth-below-one": make(lsh.Rebuild, V, "growth: found 0.5", growth=0.5),
    "growth-nan": make(lsh.Rebuild, V, "growth: found nan", growth=NAN),
    "lsh-tables-number": make(samplers.LSH, T, "tables: found int", 50),
    "lsh-tables-rebuild": make(samplers.LSH, T, "tables: found Rebuild", lsh.Rebuild()),
    "lsh-strategy": make(samplers.LSH, V, "strategy: found 'best'", strategy="best"),
    "lsh-active-zero": make(samplers.LSH, V, "n_active: found 0", n_active=0),
    "lsh-active-float": make(samplers.LSH, T, "n_active: found 0.02", n_active=0.02),
    "lsh-rebuild-number": make(samplers.LSH, T, "rebuild: found int", rebuild=50),
    "lsh-fill": make(samplers.LSH, V, "fill: found 'zeros'", fill="zeros"),
    "lsh-random-share": make(samplers.LSH, V, "random_share: found 1", random_share=1.0),
    "uniform-active-zero": make(samplers.Uniform, V, "n_active: found 0", 0),
    "uniform-log-q": make(samplers.Uniform, T, "log_q: found 'yes'", log_q="yes"),
    # optimisers
    "lr-zero": make(optim.Adam, V, "lr: found 0,", 0.0),
    "lr-negative": make(optim.Adam, V, "lr: found -0.1", -0.1),
    "lr-nan": make(optim.Adam, V, "lr: found nan", NAN),
    "lr-inf": make(optim.Adam, V, "lr: found inf", INF),
    "lr-beyond-float": make(optim.Adam, V, "lr: found inf", 10**400),
    "lr-text": make(optim.Adam, T, "lr: found '1e-3'", "1e-3"),
    "beta1-one": make(optim.Adam, V, "beta1: found 1,", beta1=1.0),
    "beta2-negative": make(optim.Adam, V, "beta2: found -1", beta2=-1.0),
    "beta2-none": make(optim.Adam, T, "beta2: found None", beta2=None),
    "eps-zero": make(optim.Adam, V, "eps: found 0,", eps=0.0),
    "sgd-lr-nan": make(optim.SGD, V, "lr: found nan", NAN),
    "adam-mode": make(optim.Adam, V, "mode: found 'eager'", mode="eager"),
    "adam-second": make(optim.Adam, V, "second_moment: found 'column'", second_moment="column"),
    "adam-moments": make(optim.AdamW, V, "moments_dtype: found 'f16'", moments_dtype="f16"),
    "adam-moments-type": make(optim.Adam, T, "moments_dtype: found 16", moments_dtype=16),
    "decay-negative": make(optim.AdamW, V, "weight_decay: found -1", weight_decay=-1.0),
    "momentum-one": make(optim.SGD, V, "momentum: found 1,", momentum=1.0),
    "nesterov-alone": make(optim.SGD, V, "nesterov: found True", nesterov=True),
    "adagrad-eps": make(optim.Adagrad, V, "eps: found 0,", eps=0.0),
    "clip-norm-zero": make(optim.Adam, V, "clip_norm: found 0,", clip_norm=0.0),
    "clip-value-nan": make(optim.SGD, V, "clip_value: found nan", clip_value=NAN),
    "step-zero": make(schedules.Step, V, "every: found 0", 0),
    "step-gamma": make(schedules.Step, V, "gamma: found 1.5", 10, 1.5),
    "schedule-text": make(optim.Adam, T, "schedule: found str", schedule="cosine"),
    "schedule-class": make(optim.SGD, T, "schedule: found type", schedule=schedules.Constant),
    "warmup-negative": make(schedules.WarmupCosine, V, "warmup: found -1", -1),
    "warmup-2-70": make(schedules.Constant, V, "warmup: found 1180591620", 2**70),
    "warmup-share": make(schedules.Constant, T, "warmup: found 0.1", 0.1),
    # networks
    "layers-none": make(sr.Network, T, "layers: found NoneType", None),
    "layers-text": make(sr.Network, T, "layers: found str", "64"),
    "layers-single": make(sr.Network, T, "layers: found Dense", Dense(4)),
    "layers-empty": make(sr.Network, V, "layers: found none", []),
    "layers-input-only": net(V, "no SampledDense", FIRST),
    "layers-output-only": net(V, r"layers\[0\]: found SampledDense, wanted SparseInput", LAST),
    "layers-no-input": net(V, r"layers\[0\]: found Dense, wanted SparseInput", MID, LAST),
    "layers-no-output": net(V, r"layers\[1\]: found Dense, wanted SampledDense", FIRST, MID),
    "layers-two-inputs": net(
        V, r"layers\[1\]: found SparseInput, wanted Dense", FIRST, FIRST, MID, LAST
    ),
    "layers-output-activation": net(
        V, r"layers\[1\]: found activation='relu'", FIRST, SampledDense(5, activation="relu")
    ),
    "layers-output-norm": net(V, r"layers\[1\]: found norm=2", FIRST, SampledDense(5, norm=2.0)),
    "layers-hidden-in-batch": net(
        V, r"layers\[1\]: found the sampler InBatch", FIRST, IN_BATCH, LAST
    ),
    "layers-reversed": net(V, r"layers\[0\]: found SampledDense", LAST, MID, FIRST),
    "layers-number": net(T, r"layers\[1\]: found int, wanted Dense", FIRST, 64, LAST),
    "layers-class": net(T, r"layers\[1\]: found the class Dense", FIRST, Dense, LAST),
    "loss-unknown": net(V, "loss: found 'mse'", loss="mse"),
    "update-unknown": net(V, "update: found 'async'", update="async"),
    "update-none": net(T, "update: found None", update=None),
    "loss-none": net(T, "loss: found None", loss=None),
    "optimizer-text": net(T, "optimizer: found str", optimizer="adam"),
    "optimizer-class": net(T, "optimizer: found type", optimizer=optim.Adam),
    "seed-negative": net(V, "seed: found -1", seed=-1),
    "seed-float": net(T, "seed: found 0.5", seed=0.5),
    "seed-2-64": net(V, "seed: found 18446744073709551616", seed=2**64),
    "threads-zero": net(V, "threads: found 0", threads=0),
    "threads-float": net(T, "threads: found 2.0", threads=2.0),
    "threads-huge": net(V, "threads: found 1000000", threads=10**6),
    # tuning and observing
    "tune-no-net": make(lsh.autotune, T, "net: found NoneType, wanted a Network", None, ROWS),
    "tune-target": tune("target_recall: found 1,", target_recall=1.0),
    "tune-active-zero": tune("max_active: found 0", max_active=0),
    "tune-active-many": tune("max_active: found 6", max_active=6),
    "tune-queries": tune("n_queries: found 0", n_queries=0),
    "tune-time": tune("time_limit: found 0,", time_limit=0),
    "tune-family": tune("families: found 'tree'", families=["tree"]),
    "tune-families-text": tune("families: found 'wta'", families="wta"),
    "tune-rows": calling(lambda: lsh.autotune(plain(), ROWS[:0]), V, "X: found 0 rows"),
    "recall-k": calling(lambda: plain().sampling_recall(ROWS, 6), V, "k: found 6"),
    "recall-k-zero": calling(lambda: plain().sampling_recall(ROWS, 0), V, "k: found 0"),
    "set-sampler": calling(lambda: plain().set_sampler(lsh.SimHash()), T, "sampler: found SimHash"),
    "set-sampler-active": calling(
        lambda: plain().set_sampler(samplers.Uniform(6)), V, "n_active: found 6"
    ),
    "stats-no-tables": calling(
        lambda: sr.inspect.table_stats(plain()), V, "net: found no hash tables"
    ),
    "stats-layer": calling(
        lambda: sr.inspect.table_stats(hashed(), 1), IndexError, "layer: found 1, wanted at most 0"
    ),
    "stats-layer-text": calling(
        lambda: sr.inspect.table_stats(hashed(), "output"), T, "layer: found 'output'"
    ),
    "retrieval-bins": calling(
        lambda: sr.inspect.retrieval_probability(hashed(), ROWS, 0), V, "bins: found 0"
    ),
    "retrieval-no-tables": calling(
        lambda: sr.inspect.retrieval_probability(plain(), ROWS), V, "no hash tables at its output"
    ),
    "monitor-every": make(callbacks.HashTableMonitor, V, "every: found 0", 0),
    # configurations as JSON
    "config-not-json": make(sr.NetworkConfig.from_json, V, "config: found text", "{"),
    "config-empty": make(sr.NetworkConfig.from_json, V, "config: found text", ""),
    "config-list": make(sr.NetworkConfig.from_json, V, "config: found list", "[]"),
    "config-null": make(sr.NetworkConfig.from_json, V, "config: found NoneType", "null"),
    "config-unknown-field": changed("config: found unknown field 'sed'", "sed", to=1),
    "config-no-seed": changed("config: found no field 'seed'", "seed", drop=True),
    "config-no-units": changed(
        r"config\.output: found no field 'units'", "output", "units", drop=True
    ),
    "config-hidden-object": changed(r"config\.hidden: wanted a list", "hidden", to={}),
    "config-hidden-kind": changed(
        r"config\.hidden\.kind: found 'conv'", "hidden", to=[{"kind": "conv"}]
    ),
    "config-dtype": changed(r"config\.output\.dtype: found 'f64'", "output", "dtype", to="f64"),
    "config-own-schedule": changed(
        r"config\.output\.optimizer: found unknown field 'schedule'",
        "output",
        "optimizer",
        to={"kind": "adagrad", "lr": 0.5, "eps": 0.5, "schedule": None},
    ),
    "config-clip": changed("clip_norm: found -1", "clip", "norm", to=-1),
    "config-no-clip": changed("config: found no field 'clip'", "clip", drop=True),
    "config-strategy": changed(
        r"sampler\.strategy: found unknown field 'best'",
        "output",
        "sampler",
        "strategy",
        to={"best": {}},
    ),
    "config-min-count": changed(
        "min_count: found 0",
        "output",
        "sampler",
        "strategy",
        to={"threshold": {"min_count": 0}},
    ),
    "config-update": changed("update: found 'async'", "update", to="async"),
    "config-hidden-number": changed(r"config\.hidden: found int", "hidden", to=[4]),
    "config-loss": changed("loss: found 'mse'", "loss", to="mse"),
    "config-seed": changed("seed: found -5", "seed", to=-5),
    "config-features": changed("in_features: found 1.5", "input", "features", to=1.5),
    "config-kind": changed(
        r"config\.output\.sampler\.kind: found 'faiss'", "output", "sampler", "kind", to="faiss"
    ),
    "config-sampler-null": changed(r"config\.output\.sampler: found NoneType", "output", "sampler"),
    "config-tables-kind": changed(
        r"sampler\.tables\.family\.kind: found 'lattice'",
        "output",
        "sampler",
        "tables",
        "family",
        "kind",
        to="lattice",
    ),
    "config-rebuild-extra": changed(
        r"sampler\.rebuild: found unknown field 'x'", "output", "sampler", "rebuild", "x", to=1
    ),
    "config-full-extra": changed(
        r"config\.output\.sampler: found unknown field 'n'",
        "output",
        "sampler",
        to={"kind": "full", "n": 1},
    ),
    "config-optimizer-kind": changed(
        r"config\.optimizer\.kind: found 'lamb'", "optimizer", "kind", to="lamb"
    ),
    "config-moments": changed(
        r"config\.optimizer\.moments: found 'f64'", "optimizer", "moments", to="f64"
    ),
    "config-moments-half": changed(
        r"config\.optimizer\.moments: found 'f16', wanted 'f32' or 'bf16'$",
        "optimizer",
        "moments",
        to="f16",
    ),
    "config-hidden-dtype": changed(
        r"config\.hidden\.dtype: found None", "hidden", 0, "dtype", to=None
    ),
    "config-decay": changed(
        r"config\.schedule\.decay: found 'step'", "schedule", "decay", to="step"
    ),
    "config-step": changed(
        r"config\.schedule\.decay\.step: found no field 'every'",
        "schedule",
        "decay",
        to={"step": {"gamma": 0.5}},
    ),
    "config-lr-text": changed("lr: found 'high'", "optimizer", "lr", to="high"),
}

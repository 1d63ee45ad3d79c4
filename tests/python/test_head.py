"""A sampled layer on weights that belong to the caller, against the formulas in float64.

Errors in float32 are bounded by ``EPS`` times the number of terms of a sum times their sizes; here
sums have at most a few hundred terms of size 1 or less, so 1e-5 is ten times what can be expected
and far below what a wrong term would make.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from slide_rs import samplers
from slide_rs._core import Head
from slide_rs.document import sampler_fields

N, BATCH = 300, 37
CLOSE = 1e-5
Array = NDArray[Any]

#: Without a correction of the logits, which the formulas here have not.
SAMPLERS = [
    samplers.LSH(n_active=60, log_q="none"),
    samplers.LSH(n_active=60, log_q="none", shared_negatives=False),
    samplers.Uniform(n_active=60, log_q=False),
    samplers.LogUniform(n_active=60, log_q=False),
    samplers.InBatch(n_active=60, log_q=False),
    samplers.Full(),
]


class Layer:
    """Weights in memory of our own, and the head that works on them."""

    def __init__(self, sampler: Any = None, d: int = 19, bias: bool = True, **more: Any) -> None:
        sampler = samplers.Full() if sampler is None else sampler
        config = {
            "inputs": d,
            "units": N,
            "bias": bias,
            "sampler": sampler_fields(sampler),
            "loss": "softmax",
            "seed": 3,
            "sparse": False,
            **more,
        }
        self.head = Head(json.dumps(config), 2)
        places, stride = self.head.shape
        rng = np.random.default_rng(1)
        self.weight = lines(places, stride)
        self.weight[:N, :d] = rng.standard_normal((N, d)) / 3
        self.bias = lines(places) if bias else None
        if self.bias is not None:
            self.bias[:N] = rng.standard_normal(N) / 3
        self.d = d

    @property
    def lent(self) -> tuple[Array, Array | None]:
        return self.weight, self.bias

    def logits(self, x: Array) -> Array:
        """Return all logits in float64."""
        bias = 0 if self.bias is None else self.bias[:N]
        return x.astype(np.float64) @ self.weight[:N, : self.d].T.astype(np.float64) + bias


def lines(*shape: int, dtype: type = np.float32) -> Array:
    """Return zeros that begin at a cache line."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)


def inputs(d: int = 19, sparse: bool = False) -> tuple[Array, Any]:
    """Return dense rows, and the same as the head wants them."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((BATCH, d)).astype(np.float32)
    if not sparse:
        return x, x
    x[rng.random(x.shape) < 0.6] = 0
    rows, columns = np.nonzero(x)
    indptr = np.searchsorted(rows, np.arange(BATCH + 1))
    return x, (indptr, columns.copy(), x[rows, columns])


def targets() -> tuple[Array, Array]:
    """Return up to three labels a row, and none for every tenth."""
    rng = np.random.default_rng(4)
    lists = [np.unique(rng.integers(0, N, 0 if i % 10 == 9 else 3)) for i in range(BATCH)]
    return np.cumsum([0, *map(len, lists)]), np.concatenate(lists)


def rows_of(indptr: Array) -> Array:
    return np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
def test_losses_and_their_gradients_are_those_of_the_formulas(
    sampler: Any, bias: bool, sparse: bool
) -> None:
    layer = Layer(sampler, bias=bias, sparse=sparse)
    x, given = inputs(sparse=sparse)
    y = targets()
    losses, indptr, indices, logits, deltas, dx = layer.head.losses(*layer.lent, given, y, 5)
    everything = layer.logits(x)
    assert np.abs(logits - everything[rows_of(indptr), indices]).max() < CLOSE
    wanted_dx = np.zeros_like(x, dtype=np.float64)
    for i in range(BATCH):
        labels = y[1][y[0][i] : y[0][i + 1]]
        own = slice(indptr[i], indptr[i + 1])
        ids = indices[own]
        assert set(labels) <= set(ids)
        assert len(set(ids)) == len(ids)
        if len(labels) == 0:
            assert losses[i] == 0
            assert not deltas[own].any()
            continue
        assert list(ids[: len(labels)]) == list(labels)
        z = everything[i, ids]
        p = np.exp(z - z.max())
        p /= p.sum()
        aim = np.isin(ids, labels) / len(labels)
        assert abs(losses[i] + (aim * np.log(p)).sum()) < CLOSE
        assert np.abs(deltas[own] - (p - aim)).max() < CLOSE
        wanted_dx[i] = (p - aim) @ layer.weight[ids, : layer.d]
    wanted = wanted_dx[np.nonzero(x)] if sparse else wanted_dx.ravel()
    assert np.abs(dx - wanted).max() < CLOSE


def test_binary_cross_entropy_is_a_sum_over_the_active_outputs() -> None:
    layer = Layer(loss="sigmoid")
    x, _ = inputs()
    y = targets()
    losses, indptr, indices, _, deltas, _ = layer.head.losses(*layer.lent, x, y, 0)
    z = layer.logits(x)
    aim = np.zeros_like(z)
    aim[rows_of(y[0]), y[1]] = 1
    wanted = (np.logaddexp(0, z) - aim * z).sum(1)
    labelled = np.diff(y[0]) > 0
    assert np.abs(losses - wanted)[labelled].max() < CLOSE * N
    slopes = (1 / (1 + np.exp(-z)) - aim) * labelled[:, None]
    assert np.abs(deltas - slopes[rows_of(indptr), indices]).max() < CLOSE


@pytest.mark.parametrize("sparse", [False, True])
def test_given_active_sets_have_their_logits_and_gradients(sparse: bool) -> None:
    layer = Layer(sparse=sparse)
    x, given = inputs(sparse=sparse)
    rng = np.random.default_rng(6)
    indptr = np.arange(BATCH + 1) * 11
    indices = rng.integers(0, N, BATCH * 11)
    deltas = rng.standard_normal(BATCH * 11).astype(np.float32)
    found = layer.head.logits(*layer.lent, given, (indptr, indices))
    assert np.abs(found - layer.logits(x)[rows_of(indptr), indices]).max() < CLOSE
    dx = layer.head.back(*layer.lent, (given, (indptr, indices), deltas))
    wanted = np.zeros_like(x, dtype=np.float64)
    rows = layer.weight[indices, : layer.d]
    np.add.at(wanted, rows_of(indptr), deltas[:, None] * rows.astype(np.float64))
    assert np.abs(dx - (wanted[np.nonzero(x)] if sparse else wanted.ravel())).max() < CLOSE * 3


def gradient(layer: Layer, sparse: bool) -> tuple[Any, Array, Array]:
    """Return one batch as the head takes it, and the gradients of weights and biases in float64."""
    x, given = inputs(sparse=sparse)
    rng = np.random.default_rng(6)
    indptr = np.arange(BATCH + 1) * 5
    # Few rows, so that some are touched by many samples and most by none.
    indices = rng.integers(0, N // 3, BATCH * 5)
    deltas = rng.standard_normal(BATCH * 5).astype(np.float32)
    dense = np.zeros((N, layer.d))
    np.add.at(dense, indices, deltas[:, None].astype(np.float64) * x[rows_of(indptr)])
    of_bias = np.bincount(indices, deltas, N)
    return (given, (indptr, indices), deltas), dense, of_bias


def adam(second: str, moments: str) -> str:
    return json.dumps(
        {
            "kind": "adam",
            "lr": None,
            "beta1": 0.9,
            "beta2": 0.99,
            "eps": 1e-8,
            "weight_decay": 0.0,
            "mode": "lazy",
            "second_moment": second,
            "moments": moments,
        }
    )


def moments_of(layer: Layer, second: str, halves: bool) -> tuple[Array, Array, Any, Any]:
    places, stride = layer.head.shape
    kind = np.uint16 if halves else np.float32
    v = lines(places) if second == "row" else lines(places, stride, dtype=kind)
    of_bias = [lines(places) if layer.bias is not None else None for _ in range(2)]
    return lines(places, stride, dtype=kind), v, of_bias[0], of_bias[1]


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("second", ["entry", "row"])
def test_a_step_is_adam_on_the_rows_that_occur_and_on_no_others(second: str, sparse: bool) -> None:
    layer = Layer(sparse=sparse)
    one, dense, of_bias = gradient(layer, sparse)
    before, bias_before = layer.weight.copy(), layer.bias.copy()
    moments = moments_of(layer, second, halves=False)
    m, v = np.zeros((N, layer.d)), np.zeros((N, layer.d) if second == "entry" else (N, 1))
    m_bias, v_bias = np.zeros(N), np.zeros(N)
    w, b = before[:N, : layer.d].astype(np.float64), bias_before[:N].astype(np.float64)
    # Twice the same batch in a step is twice its gradient.
    for t, times in ((1, 1), (2, 2)):
        layer.head.apply(*layer.lent, moments, adam(second, "f32"), 0.01, t, [one] * times)
        g, g_bias = times * dense, times * of_bias
        # A sparse row is an entry of its own to an optimiser that keeps a moment of each.
        touched = g != 0 if sparse and second == "entry" else (g != 0).any(1, keepdims=True)
        square = g**2 if second == "entry" else (g**2).mean(1, keepdims=True)
        m = np.where(touched, 0.9 * m + 0.1 * g, m)
        v = np.where(
            touched.any(1, keepdims=True) if second == "row" else touched,
            0.99 * v + 0.01 * square,
            v,
        )
        step = 0.01 * m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.99**t)) + 1e-8)
        w -= np.where(touched, step, 0)
        hit = np.bincount(one[1][1], minlength=N) > 0
        m_bias = np.where(hit, 0.9 * m_bias + 0.1 * g_bias, m_bias)
        v_bias = np.where(hit, 0.99 * v_bias + 0.01 * g_bias**2, v_bias)
        b -= np.where(
            hit, 0.01 * m_bias / (1 - 0.9**t) / (np.sqrt(v_bias / (1 - 0.99**t)) + 1e-8), 0
        )
    assert np.abs(layer.weight[:N, : layer.d] - w).max() < CLOSE
    assert np.abs(layer.bias[:N] - b).max() < CLOSE
    untouched = np.setdiff1d(np.arange(len(before)), one[1][1])
    assert np.array_equal(layer.weight[untouched], before[untouched])
    assert not layer.weight[:, layer.d :].any()


def test_moments_in_halves_change_about_as_much_as_floats() -> None:
    found = []
    for halves in (False, True):
        layer = Layer()
        one, _, _ = gradient(layer, sparse=False)
        how = adam("row", "bf16" if halves else "f32")
        moments = moments_of(layer, "row", halves)
        for t in (1, 2, 3):
            layer.head.apply(*layer.lent, moments, how, 0.01, t, [one])
        found.append(layer.weight.copy())
    # A half has 8 bits: a moment is off by 2^-8 of itself a step, and three changes are .03 at most
    # where each has the sign and the length of the others.
    assert 0 < np.abs(found[0] - found[1]).max() < 3 * 3 * 0.03 * 2**-8


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_the_norm_is_that_of_the_whole_gradient(sparse: bool, bias: bool) -> None:
    layer = Layer(sparse=sparse, bias=bias)
    one, dense, of_bias = gradient(layer, sparse)
    wanted = np.sqrt((dense**2).sum() + (of_bias**2).sum() * bias)
    assert layer.head.norm([one]) == pytest.approx(wanted, rel=CLOSE)
    assert layer.head.norm([one, one]) == pytest.approx(2 * wanted, rel=CLOSE)
    assert layer.head.norm([]) == 0


def test_the_best_are_those_of_all_logits_and_the_tables_know_of_changes() -> None:
    layer = Layer(samplers.LSH(n_active=100))
    x, _ = inputs()
    labels, scores = layer.head.topk(*layer.lent, x, 5, "exact")
    z = layer.logits(x)
    order = np.argsort(-z, axis=1, kind="stable")[:, :5]
    assert np.array_equal(labels, order)
    assert np.abs(scores - np.take_along_axis(z, order, 1)).max() < CLOSE
    found = layer.head.topk(*layer.lent, x, 5, "lsh")[0]
    assert (found == order).mean() > 0.5
    # The layer turned round: what was best is worst, and the tables say so once they are told.
    layer.weight *= -1
    layer.bias *= -1
    layer.head.stale()
    found = layer.head.topk(*layer.lent, x, 5, "lsh")[0]
    assert (found == np.argsort(z, axis=1, kind="stable")[:, :5]).mean() > 0.5


def test_active_sets_of_a_hidden_layer_are_ascending_and_come_with_logits() -> None:
    layer = Layer(samplers.LSH(n_active=40))
    x, _ = inputs()
    for step in (None, 0, 1):
        indptr, indices, logits = layer.head.activate(*layer.lent, x, step)
        assert np.abs(logits - layer.logits(x)[rows_of(indptr), indices]).max() < CLOSE
        for i in range(BATCH):
            assert (np.diff(indices[indptr[i] : indptr[i + 1]]) > 0).all()
        assert step is None or np.array_equal(np.diff(indptr), [40] * BATCH)


def test_the_same_step_gives_the_same_bits_at_any_number_of_threads() -> None:
    told = []
    for threads in (1, 2, 3):
        layer = Layer(samplers.LSH(n_active=60))
        layer.head.set_threads(threads)
        assert layer.head.threads == threads
        moments = moments_of(layer, "row", halves=True)
        parts = []
        for t in range(1, 5):
            x, y = inputs()[0] * t, targets()
            found = layer.head.losses(*layer.lent, x, y, t)
            parts += [array.tobytes() for array in found]
            one = (x, found[1:3], found[4])
            layer.head.apply(*layer.lent, moments, adam("row", "bf16"), 0.01, t, [one])
            layer.head.rehash(*layer.lent, t)
        told.append([*parts, layer.weight.tobytes()])
    assert told[0] == told[1] == told[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_goes_on() -> None:
    layer = Layer(samplers.LSH(n_active=60))
    x, y = inputs()[0], targets()
    before = layer.head.losses(*layer.lent, x, y, 0)[0]
    child = os.fork()
    if child == 0:
        same = np.array_equal(layer.head.losses(*layer.lent, x, y, 0)[0], before)
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": lambda w: w[:-1]}, "weight has .* numbers, but .* multiple of 64 bytes"),
        ({"weight": lambda w: w[:, ::2]}, "weight has strided arrays, but contiguous ones"),
        ({"bias": lambda b: None}, "bias has none, but an array"),
        ({"bias": lambda b: b[1:]}, "bias has .* numbers"),
        ({"x": lambda x: x[:, :3].copy()}, "input has 3 columns, but 19"),
        ({"x": lambda x: x * np.float32("nan")}, "input: row 0 has the value NaN"),
        ({"y": lambda y: (y[0], y[1] + N)}, "target: row 0 has column"),
        ({"y": lambda y: (y[0][:-1], y[1][: y[0][-2]])}, "target has 36 rows, but 37"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    layer = Layer()
    given = {"weight": layer.weight, "bias": layer.bias, "x": inputs()[0], "y": targets()}
    given = {name: change.get(name, lambda same: same)(array) for name, array in given.items()}
    with pytest.raises(ValueError, match=message):
        layer.head.losses(*given.values(), 0)
    # Nothing was lost.
    layer.head.losses(*layer.lent, inputs()[0], targets(), 0)


def test_configurations_and_requests_that_cannot_be_are_named() -> None:
    with pytest.raises(ValueError, match="out_features is 0"):
        Layer(units=0)
    with pytest.raises(ValueError, match="configuration cannot be read"):
        Layer(colour="red")
    layer = Layer()
    with pytest.raises(ValueError, match="k is 301, but must lie between 1 and 300"):
        layer.head.topk(*layer.lent, inputs()[0], 301, "exact")
    with pytest.raises(ValueError, match="without hash tables"):
        layer.head.topk(*layer.lent, inputs()[0], 3, "lsh")
    one, _, _ = gradient(layer, sparse=False)
    moments = moments_of(layer, "row", halves=False)
    with pytest.raises(ValueError, match="exp_avg has F32 numbers, but Bf16 ones"):
        layer.head.apply(*layer.lent, moments, adam("row", "bf16"), 0.01, 1, [one])
    with pytest.raises(ValueError, match="indices: row 0 has column"):
        layer.head.norm([(one[0], (one[1][0], one[1][1] + N), one[2])])
    with pytest.raises(ValueError, match="indptr has 36 rows, but 37"):
        layer.head.norm([(one[0], (one[1][0][:-1], one[1][1][:-5]), one[2][:-5])])

"""Optimisers of the engine against dense ones in NumPy float64."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from slide_rs._core import optimizer_steps

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import optimizers

NO_CLIP = {"norm": None, "value": None}
EXACT = ["Adam, dense", "AdamW, dense", "Adam, v a row, dense", "SGD", "Adagrad, row-wise"]


def steps(setting, start, gradients, touched, lr, clip=NO_CLIP, **options):
    """Run the engine."""
    arguments = (json.dumps(setting), json.dumps(clip), start, gradients, touched, lr)
    return optimizer_steps(*arguments, **options)


@pytest.fixture(scope="module")
def problem():
    return optimizers.problem(rows=130, width=19, steps=60)


def assert_rounded(ours, reference, start, n_steps):
    """In each step a few roundings of the weight, of half a unit of the last place each."""
    largest = max(np.abs(reference).max(), np.abs(start).max())
    allowed = 5 * n_steps * largest * np.finfo(np.float32).eps
    np.testing.assert_allclose(ours, reference, rtol=0, atol=allowed)


@pytest.mark.parametrize("name", optimizers.SETTINGS)
def test_equal_to_the_dense_optimiser_when_all_rows_are_touched(name, problem):
    start, gradients, touched, lr = problem
    setting = optimizers.SETTINGS[name]
    ours = steps(setting, start, gradients, np.ones_like(touched), lr)
    assert_rounded(ours, optimizers.dense(setting, start, gradients, lr), start, len(lr))


@pytest.mark.parametrize("name", EXACT)
def test_equal_to_the_dense_optimiser_when_rows_are_missed(name, problem):
    start, gradients, touched, lr = problem
    setting = optimizers.SETTINGS[name]
    ours = steps(setting, start, gradients, touched, lr)
    seen = gradients * touched[:, :, None]
    assert_rounded(ours, optimizers.dense(setting, start, seen, lr), start, len(lr))


@pytest.mark.parametrize("name", ["Adam, lazy", "Adam, v a row, lazy", "Adam, v a row, catch up"])
def test_adam_is_adam_on_the_steps_of_each_row_but_for_bias_correction(name, problem):
    start, gradients, touched, lr = problem
    setting = optimizers.SETTINGS[name]
    ours = steps(setting, start, gradients, touched, lr)
    expected = start.astype(np.float64)
    beta1, beta2 = np.float32(0.9).astype(float), np.float32(0.999).astype(float)
    for row in range(len(start)):
        m = v = np.zeros(start.shape[1])
        last = -1
        for t in np.flatnonzero(touched[:, row]):
            g = gradients[t, row].astype(float)
            if setting["mode"] == "catch_up":
                m, v = beta1 ** (t - last - 1) * m, beta2 ** (t - last - 1) * v
            last = t
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * optimizers.square(setting, g)
            root = np.sqrt(v / (1 - beta2 ** (t + 1)))
            expected[row] -= lr[t] * m / (1 - beta1 ** (t + 1)) / (root + 1e-8)
    assert_rounded(ours, expected, start, len(lr))


@pytest.mark.parametrize("second_moment", ["entry", "row"])
@pytest.mark.parametrize("mode", ["lazy", "catch_up", "dense"])
def test_moments_in_halves_follow_the_dense_optimiser_within_their_rounding(
    mode, second_moment, problem
):
    start, gradients, touched, lr = problem
    floats = optimizers.ADAM | {"mode": mode, "second_moment": second_moment}
    touched = np.ones_like(touched)
    ours = steps(floats | {"moments": "bf16"}, start, gradients, touched, lr)
    # The way of every weight, step by step.
    weights = [start.astype(float)]
    weights += [
        optimizers.dense(floats, start, gradients[:t], lr[:t]) for t in range(1, len(lr) + 1)
    ]
    moved = np.abs(np.diff(weights, axis=0))
    # A number is at most 2**-7 of itself from the next, so a rounding has a standard deviation of
    # 2**-8 of it. That of a first moment goes on for 1 / (1 - beta1) steps; those of a second
    # moment add up at random, to its root by half, and to all steps alike.
    means = 2.0**-8 / (1 - 0.9) * np.sqrt((moved**2).sum(axis=0))
    squares = 0.5 * 2.0**-8 * np.sqrt(len(lr)) * moved.sum(axis=0)
    allowed = means + (squares if second_moment == "entry" else 0)
    error = ours - weights[-1]
    assert np.abs(error / allowed).max() < 5
    assert 0 < np.sqrt(np.mean((error / allowed) ** 2)) < 1
    # And the mean error is zero, to four standard errors and to second order in the squares'.
    bias = 1.5 * (2.0**-8) ** 2 * len(lr) * moved.sum(axis=0).mean()
    assert abs(error.mean()) < 4 * error.std() / np.sqrt(error.size) + bias


def test_catching_up_is_nearer_to_the_dense_optimiser_in_the_second_moment():
    # One step, then none for so long that the moments are gone: the next step is that of a row
    # that was never touched, while the lazy one remembers.
    start = np.zeros((1, 1), np.float32)
    gradients = np.zeros((400, 1, 1), np.float32)
    gradients[[0, -1]] = [[[100.0]], [[1.0]]]
    touched = (gradients != 0).reshape(400, 1)
    lr = np.full(400, 1e-3, np.float32)
    setting = optimizers.SETTINGS["Adam, catch up"] | {"beta2": 0.9}
    once = steps(setting, start, gradients[:1], touched[:1], lr[:1])
    caught = steps(setting, start, gradients, touched, lr) - once
    lazy = steps(setting | {"mode": "lazy"}, start, gradients, touched, lr) - once
    np.testing.assert_allclose(caught, -1e-3 * 0.1 / np.sqrt(0.1), rtol=1e-3)
    np.testing.assert_allclose(lazy, -1e-3 * 9.1 / np.sqrt(900.1), rtol=1e-3)


def test_weight_decay_reaches_rows_that_are_never_touched(problem):
    start, gradients, touched, lr = problem
    setting = optimizers.SETTINGS["AdamW, lazy"]
    ours = steps(setting, start, gradients, np.zeros_like(touched), lr)
    factor = np.prod(1 - lr.astype(np.float64) * np.float32(0.1))
    # The weight, the factor, and their product are rounded once each.
    np.testing.assert_allclose(ours, start * factor, rtol=2 * np.finfo(np.float32).eps)


@pytest.mark.parametrize("clip", [{"norm": 2.0, "value": None}, {"norm": None, "value": 0.5}])
def test_a_clipped_gradient_is_that_of_clipped_rows(clip, problem):
    start, gradients, touched, lr = problem
    setting = optimizers.SETTINGS["SGD, Nesterov 0.9"]
    ours = steps(setting, start, gradients, np.ones_like(touched), lr, clip)
    if clip["norm"]:
        norms = np.linalg.norm(gradients.astype(np.float64), axis=2, keepdims=True)
        gradients = gradients * np.minimum(1, clip["norm"] / norms)
    else:
        gradients = np.clip(gradients, -clip["value"], clip["value"])
    assert_rounded(ours, optimizers.dense(setting, start, gradients, lr), start, len(lr))


@pytest.mark.parametrize("dtype", ["bf16", "f16"])
def test_halves_have_their_bits_and_follow_the_dense_optimiser_in_the_mean(dtype, problem):
    start, gradients, touched, lr = problem
    setting = optimizers.SETTINGS["Adam, lazy"]
    start = (start.view(np.uint32) & 0xFFFF0000).view(np.float32)
    if dtype == "f16":
        start = start.astype(np.float16).astype(np.float32)
    touched = np.ones_like(touched)
    ours = steps(setting, start, gradients, touched, lr, dtype=dtype)
    if dtype == "f16":
        np.testing.assert_array_equal(ours.astype(np.float16), ours)
    else:
        assert not (ours.view(np.uint32) & 0xFFFF).any()
    error = ours - optimizers.dense(setting, start, gradients, lr)
    # Rounding has mean zero: four standard errors, with the measured deviation.
    assert abs(error.mean()) < 4 * error.std() / np.sqrt(error.size)
    assert error.std() > 0
    again = steps(setting, start, gradients, touched, lr, dtype=dtype)
    np.testing.assert_array_equal(ours, again)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": [0.1]}, "gradients has 10 values, but 5 values were expected"),
        ({"touched": np.ones((1, 1), bool)}, "touched has 1 values, but 2 values were expected"),
        ({"lr": [0.1, np.nan]}, "lr: row 1 has the value NaN"),
        ({"setting": {"eps": 0.0}}, "optimizer.eps is 0, but must be a positive number"),
        ({"setting": {"weight_decay": 1e9}}, "optimizer.weight_decay is 1000000000"),
        ({"setting": {"second_moment": "column"}}, "unknown variant `column`"),
        ({"setting": {"moments": "f8"}}, "unknown variant `f8`"),
        ({"setting": {"moments": "f16"}}, "optimizer.moments is f16, but must be f32 or bf16"),
        ({"clip": {"norm": -1.0, "value": None}}, "clip.norm is -1"),
        ({"dtype": "f8"}, 'dtype is "f8", but must be "f32", "bf16" or "f16"'),
    ],
)
def test_unfit_arguments_are_named(change, message):
    setting = optimizers.SETTINGS["Adam, lazy"] | change.get("setting", {})
    with pytest.raises(ValueError, match=message):
        steps(
            setting,
            np.zeros((1, 5), np.float32),
            np.zeros((2, 1, 5), np.float32),
            change.get("touched", np.ones((2, 1), bool)),
            np.array(change.get("lr", [0.1, 0.1]), np.float32),
            change.get("clip", NO_CLIP),
            dtype=change.get("dtype", "f32"),
        )

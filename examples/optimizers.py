"""How far each optimiser on touched rows is from its dense counterpart: the table of the docs.

Run ``python examples/optimizers.py``; it takes a second. The dense counterparts are written down
below in NumPy float64, one line a formula. They run over all rows in every step, with a zero
gradient for rows that are not touched. With PyTorch installed they are compared with
``torch.optim`` as well.

The problem: 200 rows of 32 weights, 300 steps, Gaussian gradients with a mean that each weight has
of its own, a learning rate that falls on half a cosine from 0.01 to 0. A row is touched by chance,
with probabilities from 1 % to all, evenly on a logarithmic scale over the rows. The difference is
root mean square, divided by that of the distance that the dense optimiser went.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from slide_rs._core import optimizer_steps

Array = NDArray[np.float64]
Gradients = NDArray[np.float32]

ADAM = {"kind": "adam", "lr": None, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}
SGD = {"kind": "sgd", "lr": None, "momentum": 0.0, "nesterov": False}
ADAGRAD = {"kind": "adagrad", "lr": None, "eps": 1e-8}

SETTINGS: dict[str, dict[str, Any]] = {
    "Adam, lazy": ADAM | {"mode": "lazy"},
    "Adam, catch up": ADAM | {"mode": "catch_up"},
    "Adam, dense": ADAM | {"mode": "dense"},
    "AdamW, lazy": ADAM | {"mode": "lazy", "weight_decay": 0.1},
    "AdamW, catch up": ADAM | {"mode": "catch_up", "weight_decay": 0.1},
    "AdamW, dense": ADAM | {"mode": "dense", "weight_decay": 0.1},
    "Adam, v a row, lazy": ADAM | {"mode": "lazy", "second_moment": "row"},
    "Adam, v a row, catch up": ADAM | {"mode": "catch_up", "second_moment": "row"},
    "Adam, v a row, dense": ADAM | {"mode": "dense", "second_moment": "row"},
    "SGD": SGD,
    "SGD, momentum 0.9": SGD | {"momentum": 0.9},
    "SGD, Nesterov 0.9": SGD | {"momentum": 0.9, "nesterov": True},
    "Adagrad, row-wise": ADAGRAD,
}


def dense(setting: dict[str, Any], start: Gradients, gradients: Gradients, lr: Gradients) -> Array:
    """Run the dense optimiser of `setting` in float64; every row takes part in every step."""
    w = start.astype(np.float64)
    m, v, acc = np.zeros_like(w), np.zeros_like(w), np.zeros((len(w), 1))
    for t, (g, rate) in enumerate(zip(gradients.astype(np.float64), lr, strict=True), 1):
        rate = np.float64(rate)
        if setting["kind"] == "adam":
            beta1, beta2 = (np.float64(np.float32(setting[name])) for name in ("beta1", "beta2"))
            w *= 1 - rate * setting["weight_decay"]
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * square(setting, g)
            w -= rate * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + setting["eps"])
        elif setting["kind"] == "sgd":
            m = setting["momentum"] * m + g
            w -= rate * (g + setting["momentum"] * m if setting["nesterov"] else m)
        else:
            acc += np.mean(g**2, axis=1, keepdims=True)
            w -= rate * g / (np.sqrt(acc) + setting["eps"])
    return w


def square(setting: dict[str, Any], g: Array) -> Array:
    """Return what Adam's second moment is the running mean of."""
    if setting.get("second_moment") == "row":
        return np.mean(g**2, axis=-1, keepdims=True)
    return g**2


def torch_dense(
    setting: dict[str, Any], start: Gradients, gradients: Gradients, lr: Gradients
) -> Array | None:
    """Run the optimiser of PyTorch in float64; None where there is none, or no PyTorch."""
    try:
        import torch
    except ModuleNotFoundError:
        return None
    w = torch.nn.Parameter(torch.tensor(start, dtype=torch.float64))
    make: Callable[..., Any]
    if setting.get("second_moment") == "row":
        return None
    if setting["kind"] == "adam":
        make = torch.optim.AdamW
        options = {
            "betas": (setting["beta1"], setting["beta2"]),
            "eps": setting["eps"],
            "weight_decay": setting["weight_decay"],
        }
    elif setting["kind"] == "sgd":
        make, options = torch.optim.SGD, {n: setting[n] for n in ("momentum", "nesterov")}
    else:
        return None
    optimizer = make([w], lr=1.0, **options)
    for g, rate in zip(gradients, lr, strict=True):
        optimizer.param_groups[0]["lr"] = float(rate)
        w.grad = torch.tensor(g, dtype=torch.float64)
        optimizer.step()
    return np.asarray(w.detach().numpy(), dtype=np.float64)


def problem(
    rows: int = 200, width: int = 32, steps: int = 300, seed: int = 0
) -> tuple[Gradients, Gradients, NDArray[np.bool_], Gradients]:
    """Weights, gradients, which rows are touched in each step, and the learning rates."""
    rng = np.random.default_rng(seed)
    start = rng.normal(size=(rows, width)).astype(np.float32)
    mean = rng.normal(size=(rows, width))
    gradients = (mean + rng.normal(size=(steps, rows, width))).astype(np.float32)
    touched = rng.random((steps, rows)) < np.logspace(-2, 0, rows)
    lr = 0.005 * (1 + np.cos(np.pi * np.arange(steps) / steps))
    return start, gradients, touched, lr.astype(np.float32)


def difference(weights: NDArray[Any], reference: Array, start: Gradients) -> float:
    """Root mean square difference, by the distance that the reference went."""
    return float(np.linalg.norm(weights - reference) / np.linalg.norm(reference - start))


def table() -> list[tuple[str, float, float, float | None]]:
    """Difference when all rows are touched, when some are, and from PyTorch when some are."""
    start, gradients, touched, lr = problem()
    clip = json.dumps({"norm": None, "value": None})
    lines = []
    for name, setting in SETTINGS.items():
        arguments = (json.dumps(setting), clip, start, gradients)
        ours = optimizer_steps(*arguments, np.ones_like(touched), lr)
        whole = difference(ours, dense(setting, start, gradients, lr), start)
        ours = optimizer_steps(*arguments, touched, lr)
        seen = gradients * touched[:, :, None]
        some = difference(ours, dense(setting, start, seen, lr), start)
        torch = torch_dense(setting, start, seen, lr)
        lines.append((name, whole, some, None if torch is None else difference(ours, torch, start)))
    return lines


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    print("| optimiser | all rows touched | some rows missed | ... against `torch.optim` |")
    print("|---|---|---|---|")
    for name, whole, some, torch in table():
        print(f"| {name} | {whole:.0e} | {some:.0e} | {'-' if torch is None else f'{torch:.0e}'} |")


if __name__ == "__main__":
    main()

"""Trains in child processes that are killed again and again, and says where that ended.

Run by `test_checkpoints.py` as a process of its own, so that what is forked has no threads.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import slide_rs as sr
from slide_rs import layers, lsh, optim, samplers
from slide_rs.callbacks import ModelCheckpoint

EPOCHS, BATCH_SIZE, EVERY = 3, 8, 2
DATA = sr.datasets.make_xmc(1500, n_features=300, n_labels=200, seed=3)
WEIGHT = np.linspace(0.5, 1.5, 1500, dtype=np.float32)
CHECKPOINT = re.compile(r"step-\d+\.safetensors")


def network(threads: int) -> sr.Network:
    """Whatever makes rows wait: tables, weight decay, a sampled hidden layer; and dropout."""

    def sampler(n_active: int) -> samplers.LSH:
        tables = lsh.SimHash(n_tables=8, n_hashes=4)
        return samplers.LSH(tables, n_active=n_active, rebuild=lsh.Rebuild(every=7, redraw=20))

    stack = [
        layers.SparseInput(300, dropout=0.1),
        layers.SampledDense(64, sampler=sampler(24), activation="relu"),
        layers.Dense(16, dropout=0.1),
        layers.SampledDense(200, sampler=sampler(50)),
    ]
    return sr.Network(stack, optimizer=optim.AdamW(lr=0.01), seed=5, threads=threads)


def fit(net: sr.Network, callbacks: list[Any]) -> dict[str, Any]:
    history = net.fit(
        DATA.X,
        DATA.Y,
        epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        sample_weight=WEIGHT,
        callbacks=callbacks,
        verbose=False,
    )
    digest = hashlib.sha256()
    for values in net.weights().values():
        digest.update(values.tobytes())
    measured = {k: v for k, v in history.items() if k not in ("seconds", "samples_per_second")}
    return {"sha256": digest.hexdigest(), "history": {k: list(v) for k, v in measured.items()}}


def attempt(folder: Path, threads: int) -> dict[str, Any]:
    """Read all checkpoints, then go on from the newest, or begin."""
    names = sorted(name for name in os.listdir(folder) if CHECKPOINT.fullmatch(name))
    for name in names:
        sr.load(folder / name, threads=1)
    net = sr.Network.resume(folder, threads) if names else network(threads)
    result = fit(net, [ModelCheckpoint(folder, every_steps=EVERY)])
    return {**result, "read": len(names)}


def child(work: Callable[[], dict[str, Any]], result: Path) -> int:
    """Fork a process that writes what it finds, or why it finds nothing."""
    pid = os.fork()
    if pid:
        return pid
    try:
        result.write_text(json.dumps(work()), encoding="utf-8")
        os._exit(0)
    except BaseException as error:
        result.write_text(json.dumps({"error": repr(error)}), encoding="utf-8")
        os._exit(1)


def newest(folder: Path) -> str:
    return max(filter(CHECKPOINT.fullmatch, os.listdir(folder)), default="")


def wait(folder: Path, chance: random.Random, pid: int) -> None:
    """Wait for a moment: soon, some checkpoints later, or in the middle of writing one."""

    def until(condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 30.0
        while not condition() and time.monotonic() < end and alive(pid):
            time.sleep(0.0002)

    way = chance.choice(("soon", "later", "writing", "writing"))
    if way == "soon":
        time.sleep(chance.uniform(0.0, 0.1))
        return
    for _ in range(chance.randint(1, 6)):
        last = newest(folder)
        until(lambda last=last: newest(folder) != last)  # type: ignore[misc]
    if way == "writing":
        until(lambda: any(name.endswith(".partial") for name in os.listdir(folder)))
        time.sleep(chance.uniform(0.0, 0.0005))


def alive(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def finish(pid: int, result: Path) -> dict[str, Any]:
    os.waitpid(pid, 0)
    found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    if "error" in found:
        raise RuntimeError(found["error"])
    return found


def main(scratch: Path, threads: int, kills: int) -> dict[str, Any]:
    folder, result = scratch / "checkpoints", scratch / "result.json"
    folder.mkdir()
    # Without checkpoints, and at another number of threads.
    alone = finish(child(lambda: fit(network(3 - threads), []), result), result)
    result.unlink()
    chance, halves, done = random.Random(threads), 0, 0
    while done < kills:
        pid = child(lambda: attempt(folder, threads), result)
        wait(folder, chance, pid)
        if not alive(pid):
            raise RuntimeError(f"ended before it was killed {kills} times: {finish(pid, result)}")
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        done += 1
        halves += any(name.endswith(".partial") for name in os.listdir(folder))
    killed = finish(child(lambda: attempt(folder, threads), result), result)
    return {"alone": alone, "killed": killed, "kills": done, "halves": halves}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))

"""The peers of ``slide-rs bench``: their clock anywhere, their mathematics where PyTorch is."""

from __future__ import annotations

import doctest
import importlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array
from slide_rs import Ensemble, datasets, layers
from slide_rs._peers import nearest
from slide_rs._peers.course import Course, Settings, run
from slide_rs._peers.rows import Rows
from slide_rs._peers.slide_model import FirstPass

LABELS, WIDTH = 20, 8


def settings(**changed: Any) -> Settings:
    values: dict[str, Any] = {
        "contestant": "torch_sampled",
        "module": "torch_softmax",
        "needs": "torch",
        "rows": 30,
        "n_features": 40,
        "n_labels": LABELS,
        "epochs": 3,
        "batch_size": 10,
        "hidden": WIDTH,
        "n_active": None,
        # With so many draws none of 20 labels is missed: the chance is 20 * .95^2000 = 1e-43.
        "negatives": 2000,
        "threads": 1,
        "seed": 0,
        "limit": 100.0,
        "norm": 6.0,
        "dropout": 0.0,
        "lr": 0.01,
    }
    return Settings(**(values | changed))


class Slow:
    """A contestant that does nothing, for which the clock goes on by three minutes an epoch."""

    def __init__(self, tick: Callable[[], None]) -> None:
        self.tick = tick

    def epoch(self, watch: Callable[[int], None]) -> None:
        for done in (5, 10, 29):
            self.tick()
            watch(done)

    def best(self) -> bytes:
        return b""

    def facts(self) -> dict[str, Any]:
        return {}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what lets the clock of contestants go on by a minute."""
    now = [0.0]
    monkeypatch.setattr("slide_rs._peers.course.time.perf_counter", lambda: now[0])

    def tick() -> None:
        now[0] += 60.0

    return tick


@pytest.mark.parametrize("name", ["course", "matrices", "nearest", "rows", "slide_net"])
def test_examples_of_a_module_print_what_they_say(name: str) -> None:
    module = importlib.import_module(f"slide_rs._peers.{name}")
    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert failed == 0


def course(folder: Path, **changed: Any) -> Course:
    fields = Settings.__dataclass_fields__
    chosen = settings(**changed)
    text = json.dumps({name: getattr(chosen, name) for name in fields})
    (folder / "settings.json").write_text(text, encoding="utf-8")
    return Course(folder)


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        # Of 30 rows, three times, 24 took two minutes: the time until the first call tells nothing,
        # and the 5 rows after it are too few.
        (449.0, "would train for about 450 s by the pace of its first 29 rows, above the limit of"),
        # The whole epoch took three minutes.
        (539.0, "would train for about 540 s by the pace of its first 30 rows, above the limit of"),
        (541.0, None),
    ],
)
def test_the_pace_of_the_first_rows_decides(
    tmp_path: Path, clock: Callable[[], None], limit: float, told: str | None
) -> None:
    slow = course(tmp_path, limit=limit, batch_size=6)
    run(slow, lambda course: Slow(clock), {"slow": "1"})
    found = json.loads((tmp_path / "result.json").read_text())
    if told is None:
        assert found["status"] == "done"
        assert found["epoch_seconds"] == [180.0, 180.0, 180.0]
        assert found["versions"] == {"slow": "1"}
    else:
        assert found["status"] == "skipped"
        assert found["note"].startswith(told)


def test_one_epoch_that_is_over_is_not_thrown_away(
    tmp_path: Path, clock: Callable[[], None]
) -> None:
    class Silent(Slow):
        def epoch(self, watch: Callable[[int], None]) -> None:
            self.tick()

    run(course(tmp_path, limit=1.0, epochs=1), lambda course: Silent(clock), {})
    assert json.loads((tmp_path / "result.json").read_text())["status"] == "done"
    # With more to come, an epoch in which the contestant never asked is asked about at its end.
    run(course(tmp_path, limit=1.0, epochs=2), lambda course: Silent(clock), {})
    assert json.loads((tmp_path / "result.json").read_text())["status"] == "skipped"


def rows(count: int = 30) -> Rows:
    random = np.random.default_rng(0)
    ids = np.sort(random.permuted(np.tile(np.arange(40), (count, 1)), axis=1)[:, :5], axis=1)
    labels = np.sort(random.permuted(np.tile(np.arange(LABELS), (count, 1)), axis=1)[:, :2], axis=1)
    values = random.random((count, 5), dtype=np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return Rows(
        np.arange(0, 5 * count + 1, 5),
        ids.ravel().astype(np.int32),
        values.ravel(),
        np.arange(0, 2 * count + 1, 2),
        labels.ravel().astype(np.int32),
    )


def whole(count: int, seed: int) -> tuple[Rows, list[NDArray[np.float64]]]:
    """Return rows of small whole numbers, some below 0, and the same as dense matrices.

    Their products are exact in any order, and many are equal.
    """
    random = np.random.default_rng(seed)
    x = random.integers(-1, 4, (count, 40)) * (random.random((count, 40)) < 0.1)
    y = random.random((count, LABELS)) < 0.1
    parts = []
    for dense in (x, y):
        indptr = np.concatenate(([0], np.count_nonzero(dense, axis=1).cumsum()))
        parts.append((indptr.astype(np.int32), np.nonzero(dense)[1].astype(np.int32)))
    values = x[x != 0].astype(np.float32)
    return Rows(*parts[0], values, *parts[1]), [x.astype(np.float64), y.astype(np.float64)]


def by_brute_force(x: Any, y: Any, test: Any, k: int) -> NDArray[np.int32]:
    found = np.full((len(test), k), -1, dtype=np.int32)
    for row, products in enumerate(test @ x.T):
        near = np.lexsort((np.arange(len(x)), -products))[: nearest.NEIGHBOURS]
        near = near[products[near] > 0]
        votes = products[near] @ y[near]
        best = np.lexsort((np.arange(len(votes)), -votes))[:k]
        best = best[votes[best] > 0]
        found[row, : len(best)] = best
    return found


@pytest.mark.parametrize("most", [1, 500, 1 << 23])
def test_neighbours_are_those_of_brute_force_however_many_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(nearest, "MOST_COSINES", most)
    (train, dense), (test, others) = whole(300, 0), whole(90, 1)
    for part, written in (("train", train), ("test", test)):
        written.write(tmp_path, part)
    peer = nearest.make(course(tmp_path, contestant="neighbours", rows=300))
    peer.epoch(lambda done, passes=1: None)
    found = np.frombuffer(peer.best(), dtype=np.int32).reshape(90, 5)
    wanted = by_brute_force(*dense, others[0], 5)
    assert (wanted < 0).any()
    np.testing.assert_array_equal(found, wanted)


def test_no_part_has_more_cosines_than_are_held_but_for_a_single_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nearest, "MOST_COSINES", 500)
    x, test = (csr_array(whole(count, count)[1][0]) for count in (300, 90))
    by_feature = x.T.tocsr()
    bounds = list(nearest.parts(test, by_feature))
    assert [row for start, stop in bounds for row in range(start, stop)] == list(range(90))
    assert len(bounds) < 90
    for start, stop in bounds:
        assert (test[start:stop] @ by_feature).nnz <= 500 or stop == start + 1


def test_neighbours_that_would_take_too_long_are_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "MOST_COSINES", 1)
    for part in ("train", "test"):
        whole(30, 0)[0].write(tmp_path, part)
    run(course(tmp_path, contestant="neighbours", epochs=1, limit=1e-9), nearest.make, {})
    found = json.loads((tmp_path / "result.json").read_text())
    assert found["status"] == "skipped"
    assert found["note"].startswith("would predict for about ")


def test_the_first_pass_of_the_first_network_stands_for_all() -> None:
    data = datasets.make_xmc(500, n_features=300, n_labels=40, seed=0)
    stack = [layers.SparseInput(300), layers.Dense(8), layers.SampledDense(40)]
    heard: list[tuple[int, int]] = []
    first = FirstPass(lambda done, passes=1: heard.append((done, passes)), rows=500, members=2)
    Ensemble(stack, n_members=2).fit(data.X, data.Y, epochs=3, callbacks=[first], verbose=False)
    assert {passes for _, passes in heard} == {6}
    done = [rows for rows, _ in heard]
    assert done == sorted(done)
    assert done.count(500) == 1


def test_with_all_labels_drawn_the_sampled_loss_is_the_dense_one() -> None:
    torch = pytest.importorskip("torch")
    from slide_rs._peers import torch_softmax as peer

    sampled, dense = peer.SampledOutput(settings()), peer.DenseOutput(settings())
    with torch.no_grad():
        dense.rows.copy_(sampled.rows.weights)
    hidden = torch.randn(10, WIDTH)
    batch = peer.Batch.gather(rows(), np.arange(10))
    losses = [float(output.loss(hidden, batch)[0].detach()) for output in (sampled, dense)]
    # Sums of 20 exponentials in another order.
    assert losses[0] == pytest.approx(losses[1], rel=20 * 2.0**-23)
    scores = (hidden.double() @ dense.rows.detach().double().T).numpy()
    log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    wanted = -np.mean([log_p[i, rows().labels[2 * i : 2 * i + 2]].mean() for i in range(10)])
    assert losses[1] == pytest.approx(wanted, rel=1e-5)


def test_pytorch_drops_features_by_the_rule_of_the_engine() -> None:
    torch = pytest.importorskip("torch")
    from slide_rs._peers import torch_softmax as peer

    text = (Path(__file__).parents[2] / "src/rules.rs").read_text(encoding="utf-8")
    most = re.search(r"const MOST_DROPPED: f32 = ([\d.]+);", text)
    long_row = re.search(r"const LONG_ROW: usize = (\d+);", text)
    assert most is not None
    assert long_row is not None
    lengths = [7, 8, 0, 64, 500]
    full = [0 if n < 8 else min(n / int(long_row[1]), 1) for n in lengths]
    batch = peer.Batch.gather(rows(), np.arange(0))._replace(
        ids=torch.zeros(sum(lengths), dtype=torch.int64),
        offsets=torch.tensor([0, *np.cumsum(lengths)[:-1]]),
    )
    # A product and a quotient, both rounded once.
    shares = np.repeat(full, lengths) * float(most[1])
    np.testing.assert_allclose(peer.dropped(batch, None), shares, rtol=2 * 2.0**-24)
    shares = np.repeat([0.25 * (n >= 8) for n in lengths], lengths)
    np.testing.assert_array_equal(peer.dropped(batch, 0.25), shares)


def test_rows_that_are_always_touched_move_as_by_the_adam_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    from slide_rs._peers import torch_softmax as peer

    table, ids = peer.Table(6, WIDTH, 1.0), torch.tensor([4, 0, 2, 5, 1, 3])
    weights = torch.nn.Parameter(table.weights.clone())
    adam = torch.optim.Adam([weights], lr=0.1, eps=peer.EPSILON)
    for step in range(1, 21):
        gradient = torch.randn(6, WIDTH)
        taken = table.take(ids)
        taken.grad, weights.grad = gradient[ids], gradient
        table.update(ids, taken, step, 0.1)
        adam.step()
    # 20 steps of at most .1, each with a few roundings of numbers of order one.
    wanted = weights.detach().numpy()
    np.testing.assert_allclose(table.weights.numpy(), wanted, atol=20 * 2.0**-23)


@pytest.mark.parametrize("name", ["torch_dense", "torch_sampled", "torch_relu"])
def test_pytorch_learns_what_it_has_seen(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from slide_rs._peers import torch_softmax as peer

    for part in ("train", "test"):
        rows().write(tmp_path, part)
    sizes = {"hidden": 32, "negatives": 15, "epochs": 60}
    net = peer.make(course(tmp_path, contestant=name, lr=0.02, **sizes))
    heard: list[int] = []
    for _ in range(60):
        net.epoch(heard.append)
    assert heard[:3] == [10, 20, 30]
    best = np.frombuffer(net.best(), dtype=np.int32).reshape(30, 5)
    true = rows().labels.reshape(30, 2)
    for top, own in zip(best, true, strict=True):
        assert set(top[:2]) == set(own)

"""``slide-rs bench`` without a file: the phases of a step, whatever the engine calls them."""

from __future__ import annotations

import json

import pytest
from slide_rs import micro
from slide_rs.cli import main
from slide_rs.phases import Phases, of_network

SMALL = ["--labels", "1500", "--features", "400", "--hidden", "16", "--batch-size", "32"]
COMMAND = ["bench", "--micro", *SMALL, "--n-active", "50", "--steps", "3", "--repeats", "2"]
TOLD = {
    "forward": 0.060,
    "spline": 0.010,
    "update": 0.030,
    "spline_bytes": 4e6,
    "rows_computed": 100_000.0,
    "rows_updated": 20_000.0,
}


class Timed:
    """An engine that times phases; each epoch takes longer than the one before."""

    def __init__(self) -> None:
        self.epochs = 0

    def phases(self) -> dict[str, float]:
        self.epochs += 1
        return {name: value * self.epochs for name, value in TOLD.items()}


def test_shares_are_of_the_phases_and_the_rest_is_counts() -> None:
    found = Phases([TOLD], steps=10, width=128)
    assert [row.name for row in found.rows] == ["forward", "spline", "update"]
    assert [row.share for row in found.rows] == pytest.approx([0.6, 0.1, 0.3])
    assert found.seconds == pytest.approx(0.010)
    assert found.counts == {"rows_computed": 10_000, "rows_updated": 2_000}


def test_time_and_bytes_are_of_an_active_row() -> None:
    forward, spline, update = Phases([TOLD], steps=10, width=128).rows
    assert forward.ns_per_row == pytest.approx(0.060 / 100_000 * 1e9)
    assert forward.bytes_per_row == 128 * 4
    # What the engine tells goes before any formula.
    assert spline.bytes_per_row == pytest.approx(40)
    # A fifth of the rows, weights and two moments, read and written.
    assert update.bytes_per_row == pytest.approx(0.2 * 128 * 4 * 6)
    assert forward.gigabytes_per_second == pytest.approx(100_000 * 512 / 0.060 / 1e9)


def test_a_phase_is_a_median_over_epochs() -> None:
    engine = Timed()
    told = [of_network(engine) for _ in range(3)]
    found = Phases([phases for phases in told if phases], steps=1, width=128)
    assert found.rows[0].seconds == pytest.approx(2 * TOLD["forward"])
    assert found.counts["rows_computed"] == 2 * TOLD["rows_computed"]


@pytest.mark.parametrize("told", [{}, {"loss": 0.0}, {"rows_computed": 5.0}], ids=str)
def test_nothing_to_divide_by_is_no_error(told: dict[str, float]) -> None:
    head, *_ = Phases([told], steps=1, width=8).table().splitlines()
    assert head.split() == ["phase", "ms/step", "share", "ns/row", "bytes/row", "GB/s"]


def test_the_table_is_aligned() -> None:
    lines = Phases([TOLD], steps=10, width=128).table().splitlines()
    assert len({len(line) for line in lines[:5]}) == 1
    assert lines[4].split()[:3] == ["all", "10.000", "100.0%"]
    assert lines[5] == "rows_computed in a step: 10,000"


def test_without_a_file_steps_are_timed(capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*COMMAND, "--only", "lsh,uniform", "--json"]) == 0
    rows = json.loads(capfd.readouterr().out)["samplers"]
    assert [row["sampler"] for row in rows] == ["lsh", "uniform"]
    for row in rows:
        assert row["active_rows"] == pytest.approx(50)
        assert row["samples_per_second"] == pytest.approx(32 / row["seconds_per_step"])
        assert (row["labels"], row["steps"], row["repeats"]) == (1500, 3, 2)


def test_an_engine_that_times_phases_has_them_shown(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(micro, "of_network", lambda core: TOLD)
    assert main(COMMAND) == 0
    out = capfd.readouterr().out
    assert out.startswith("lsh: 1,500 labels, 400 features, 16 hidden units, batches of 32")
    assert "\nspline " in out
    monkeypatch.setattr(micro, "of_network", lambda core: None)
    assert main(COMMAND) == 0
    assert "this engine does not time its phases" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--epochs", "3"], "--epochs: found without a file"),
        (["--only", "torch_dense"], "--only: found 'torch_dense', wanted"),
        (["--n-active", "1501"], "--n-active: found 1501"),
        (["--steps", "0"], "--steps: found 0"),
    ],
    ids=str,
)
def test_a_wrong_option_is_named(
    capfd: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    assert main([*COMMAND, *more]) == 2
    assert said in capfd.readouterr().err

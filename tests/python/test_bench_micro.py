"""``slide-rs bench`` without a file: the phases of a step, whatever the engine calls them."""

from __future__ import annotations

import json
import re

import pytest
from slide_rs.cli import main
from slide_rs.phases import Phases

SMALL = ["--labels", "1500", "--features", "400", "--hidden", "16", "--batch-size", "32"]
COMMAND = ["bench", "--micro", *SMALL, "--n-active", "50", "--steps", "3", "--repeats", "2"]
TOLD = {
    "logits": 0.060,
    "spline": 0.010,
    "update": 0.030,
    "rows_computed": 100_000.0,
    "rows_read": 50_000.0,
    "rows_updated": 20_000.0,
}


def test_shares_are_of_the_phases_and_the_rest_is_counts() -> None:
    found = Phases([TOLD], steps=10, width=128)
    assert [row.name for row in found.rows] == ["logits", "spline", "update"]
    assert [row.share for row in found.rows] == pytest.approx([0.6, 0.1, 0.3])
    assert found.seconds == pytest.approx(0.010)
    assert found.counts == {
        "rows_computed": 10_000,
        "rows_read": 5_000,
        "rows_updated": 2_000,
    }


def test_time_and_bytes_are_of_an_active_row() -> None:
    logits, spline, update = Phases([TOLD], steps=10, width=128).rows
    assert logits.ns_per_row == pytest.approx(0.060 / 100_000 * 1e9)
    # Half of the rows, as the others are shared.
    assert logits.bytes_per_row == 128 * 4 / 2
    assert spline.bytes_per_row is None
    # A fifth of the rows, weights and two moments, read and written.
    assert update.bytes_per_row == pytest.approx(0.2 * 128 * 4 * 6)
    assert logits.gigabytes_per_second == pytest.approx(50_000 * 512 / 0.060 / 1e9)


def test_halves_are_counted_as_such() -> None:
    logits, _, update = Phases([TOLD], steps=10, width=128, kept=0.5, weight_bytes=2).rows
    assert logits.bytes_per_row == 128 * 2 / 2
    # A fifth of the rows, a weight and a moment in 16 bits each, read and written.
    assert update.bytes_per_row == pytest.approx(0.2 * 128 * (2 + 2) * 2)


def test_a_phase_is_a_median_over_epochs() -> None:
    told = [{name: value * times for name, value in TOLD.items()} for times in (1, 3, 2)]
    found = Phases(told, steps=1, width=128)
    assert found.rows[0].seconds == pytest.approx(2 * TOLD["logits"])
    assert found.counts["rows_computed"] == 2 * TOLD["rows_computed"]


def test_what_the_phases_leave_of_a_step_is_idle() -> None:
    found = Phases([TOLD], steps=10, width=128, threads=2, step_seconds=0.008)
    assert [row.name for row in found.rows] == ["logits", "spline", "update", "idle"]
    # Half of the 10 ms that the threads worked, of 8 on the clock.
    assert [row.seconds for row in found.rows] == pytest.approx([0.003, 0.0005, 0.0015, 0.003])
    assert found.seconds == pytest.approx(0.008)


def test_clocks_that_disagree_leave_nothing_idle() -> None:
    found = Phases([TOLD], steps=10, width=128, step_seconds=0.009)
    assert [row.name for row in found.rows] == ["logits", "spline", "update"]


def test_phases_that_did_not_happen_are_left_out() -> None:
    assert [row.name for row in Phases([TOLD | {"full": 0.0}], steps=1, width=1).rows] == [
        "logits",
        "spline",
        "update",
    ]


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
        assert row["counts_per_step"]["rows_computed"] == 32 * 50
        seconds = sum(phase["seconds_per_step"] for phase in row["phases"])
        assert sum(phase["share"] for phase in row["phases"]) == pytest.approx(1)
        assert seconds > 0


def test_for_people_the_phases_are_a_table(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(COMMAND) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("lsh: 1,500 labels, 400 features, 16 hidden units, batches of 32")
    assert "50 outputs computed of each" in lines[1]
    names = [line.split()[0] for line in lines[3:]]
    assert names[0] == "phase"
    assert {"codes", "tables", "logits", "update", "all"} <= set(names)
    # 32 samples with 50 rows each.
    assert lines[-3] == "rows_computed in a step: 1,600"


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


@pytest.mark.parametrize("labels", ["200000000", "2147483647"])
def test_what_no_memory_holds_is_told_by_what_was_asked(
    labels: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slide_rs.machine.memory", lambda: 2**34)
    assert main(["bench", "--micro", "--labels", labels]) == 1
    said = capfd.readouterr().err
    assert said.startswith(f"slide-rs: --labels: found {int(labels):,} and 128 hidden units, which")
    assert re.search(r"take [0-9.]+ [GT]B or more \(the machine has less\); wanted fewer", said)


def test_memory_that_ends_on_the_way_is_told_alike(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError("no room for 3 GB")

    monkeypatch.setattr("slide_rs.datasets.make_xmc", full)
    assert main(COMMAND) == 1
    assert "or more (no room for 3 GB); wanted fewer --labels" in capfd.readouterr().err

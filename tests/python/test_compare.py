"""``slide-rs compare``: the rows that it makes, and the one table that it prints."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import slide_rs as sr
from slide_rs import compare, datasets, samplers
from slide_rs.cli import main

COLUMNS = ["family", "sampler", "active", "recall@1", "recall@10", "P@1", "P@5"]
QUICK = ["--hidden", "8", "--epochs", "2", "--active", "20"]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the command with two small files."""
    folder = tmp_path_factory.mktemp("compare")
    data = datasets.make_xmc(500, n_features=300, n_labels=60, seed=1)
    paths = [str(folder / name) for name in ("train.txt", "test.txt")]
    for path, part in zip(paths, data.split(400), strict=True):
        datasets.write_xmc(path, *part)
    return ["compare", paths[0], "--valid", paths[1], *QUICK]


def rows(command: list[str], capfd: pytest.CaptureFixture[str], *more: str) -> list[dict[str, Any]]:
    assert main([*command, "--json", *more]) == 0
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def test_by_default_every_family_has_every_strategy() -> None:
    found = list(compare.variants(list(compare.FAMILIES), compare.SAMPLERS, "both", 64))
    pairs = {(row.family, row.name) for row in found}
    for family in compare.FAMILIES:
        assert {(family, strategy) for strategy in samplers.STRATEGIES} <= pairs
    assert len(found) == 7 * 4 + 5 + 1
    assert found[-1].update == "hogwild"
    for row in found:
        assert getattr(row.sampler, "n_active", 64) == 64
        assert getattr(row.sampler, "min_active", 64) == 64


@pytest.mark.parametrize(
    ("update", "names"),
    [("sharded", ["topk", "full"]), ("hogwild", ["topk, hogwild"])],
)
def test_hogwild_has_a_row_of_its_own(update: str, names: list[str]) -> None:
    found = compare.variants(["simhash"], ["full", "topk"], update, 9)
    assert [row.name for row in found] == names


@pytest.mark.parametrize(
    ("families", "names"), [(["wta"], ["topk"]), (["simhash"], ["vanilla"]), (["simhash"], [])]
)
def test_hogwild_is_not_added_to_rows_that_it_is_not_compared_with(
    families: list[str], names: list[str]
) -> None:
    assert not [row for row in compare.variants(families, names, "both", 9) if "hog" in row.name]


@pytest.mark.parametrize("more", [["--families", "wta"], ["--samplers", "full,topk"]], ids=str)
def test_hogwild_alone_refuses_other_rows(
    command: list[str], capfd: pytest.CaptureFixture[str], more: list[str]
) -> None:
    assert main([*command, "--update", "hogwild", *more]) == 2
    found = f"{more[0]}: found '{more[1]}' with --update hogwild, wanted"
    assert found in capfd.readouterr().err


def test_hogwild_alone_is_one_row(command: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    (row,) = rows(command, capfd, "--update", "hogwild", "--families", "simhash")
    assert (row["family"], row["sampler"]) == ("simhash", "topk, hogwild")


def test_json_is_one_object_a_row(command: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    found = rows(command, capfd, "--samplers", "topk,uniform,full", "--families", "simhash,dwta")
    assert [(row["family"], row["sampler"]) for row in found] == [
        ("simhash", "topk"),
        ("dwta", "topk"),
        ("-", "uniform"),
        ("-", "full"),
        ("simhash", "topk, hogwild"),
    ]
    for row in found:
        assert list(row) == [*COLUMNS, "samples_per_second", "table_bytes"]
        assert row["active"] == (1 if row["sampler"] == "full" else pytest.approx(20 / 60))
        assert 0 <= row["P@5"] <= 1
        assert row["samples_per_second"] > 0
        assert (row["table_bytes"] > 0) == (row["family"] != "-")
    assert found[3]["recall@1"] == found[3]["recall@10"] == 1


def test_what_others_in_the_batch_have_is_no_recall(
    command: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    (row,) = rows(command, capfd, "--samplers", "in_batch", "--update", "sharded")
    assert row["recall@1"] is None
    assert row["P@1"] > 0


def test_the_oracle_finds_all_and_full_computes_all(
    command: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    found = rows(command, capfd, "--samplers", "oracle,full", "--update", "sharded")
    assert [row["recall@1"] for row in found] == [1, 1]


def test_for_people_it_is_one_aligned_table(
    command: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    more = ["--samplers", "uniform,full", "--update", "sharded"]
    assert main([*command, *more]) == 0
    head, *lines = capfd.readouterr().out.splitlines()
    assert head.split()[:7] == COLUMNS
    assert len(lines) == 2
    assert {len(line) for line in lines} == {len(head)}


def test_ctrl_c_leaves_the_rows_that_are_done(
    command: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    measure, done = compare._measure, []

    def interrupted(*arguments: Any) -> dict[str, Any]:
        if done:
            raise KeyboardInterrupt
        done.append(arguments)
        return measure(*arguments)

    monkeypatch.setattr(compare, "_measure", interrupted)
    assert main([*command, "--samplers", "uniform,full", "--json"]) == 130
    (row,) = capfd.readouterr().out.splitlines()
    assert json.loads(row)["sampler"] == "uniform"


def test_labels_by_frequency_keep_who_has_which() -> None:
    data = datasets.make_xmc(200, n_features=50, n_labels=30, seed=3)
    y = sr.labels.labels(data.Y, 30)
    x = sr.arrays.features(data.X, 50)
    before = compare._Data(x, y, x, y, 50, 30, np.arange(5))
    after = before.by_frequency()
    old, new = (np.bincount(part[1], minlength=30) for part in (y, after.y))
    assert (np.diff(new) <= 0).all()
    assert sorted(old) == sorted(new)
    # Two rows share as many labels as before.
    matrices = [sr.evaluation.as_csr(part, 30).toarray() for part in (y, after.held_y)]
    shared = [matrix @ matrix.T for matrix in matrices]
    np.testing.assert_array_equal(*shared)


def test_the_default_number_is_a_hundredth_and_at_least_64(
    command: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    bare = command[: command.index("--active")]
    (row,) = rows(bare, capfd, "--samplers", "uniform", "--update", "sharded")
    # There are only 60.
    assert row["active"] == 1

"""The table of features names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TABLE.splitlines()
    if line.startswith("| ") and not line.startswith(("| *", "| feature"))
]
LINK = re.compile(r"\[([^]]+)\]\(\.\./(tests/(?:python|torch)/test_\w+\.py)\)")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_yes_is_proved_by_tests_that_there_are(row: list[str]) -> None:
    *_, ours, proof = row
    tests = LINK.findall(proof)
    assert tests or ours.startswith(("**N**", "**P**"))
    for words, path in tests:
        name = f"def test_{words.replace(' ', '_')}("
        assert name in (ROOT / path).read_text(encoding="utf-8"), f"{path}: {name}"

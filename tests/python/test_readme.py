"""The first Python example of README.md, run as a reader would run it."""

import re
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"
MOST_LINES = 20


@pytest.fixture(scope="module")
def example() -> str:
    found = re.search(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.M | re.S)
    assert found, "README.md has no Python example"
    return found[1]


def test_the_example_fits_in_twenty_lines(example: str) -> None:
    assert len([line for line in example.splitlines() if line.strip()]) <= MOST_LINES


def test_the_example_prints_what_its_comment_says(
    example: str, capsys: pytest.CaptureFixture[str]
) -> None:
    exec(compile(example, "README.md", "exec"), {"__name__": "readme"})
    assert capsys.readouterr().out == example.rpartition("  # ")[2]

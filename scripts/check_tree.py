"""Two rules that no compiler checks: short source files, and unsafe code in its place only."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

MOST_LINES = 400
SOURCES = ("src/**/*.rs", "benches/**/*.rs", "python/**/*.py", "python/**/*.pyi")
UNSAFE_ALLOWED = "src/simd/"
UNSAFE = re.compile(r"\bunsafe\b|\(unsafe_code\b")
COMMENT = re.compile(r"//.*")


def too_long(root: Path) -> Iterator[str]:
    """Yield the source files with more lines than a reader can hold in mind."""
    for pattern in SOURCES:
        for path in sorted(root.glob(pattern)):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            if lines > MOST_LINES:
                yield f"{path.relative_to(root)}: {lines} lines, at most {MOST_LINES} wanted"


def misplaced_unsafe(root: Path) -> Iterator[str]:
    """Yield the lines of the library with unsafe code, or leave for it, where none may be."""
    for path in sorted(root.glob("src/**/*.rs")):
        name = path.relative_to(root).as_posix()
        if name.startswith(UNSAFE_ALLOWED):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if UNSAFE.search(COMMENT.sub("", line)):
                yield f"{name}:{number}: unsafe code belongs in {UNSAFE_ALLOWED}"


def main() -> int:
    root = Path(__file__).resolve().parents[1]
    faults = [*too_long(root), *misplaced_unsafe(root)]
    print(*faults, sep="\n", file=sys.stderr, end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

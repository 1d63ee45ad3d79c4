"""Learning curves: on the terminal as text, and as a picture.

    slide-rs train TRAIN --valid TEST --json > lsh.json
    slide-rs train TRAIN --valid TEST --json --sampler full > full.json
    python examples/curves.py lsh.json full.json [--picture FILE]

The curves of runs with ``slide-rs train``, which need ``--valid``. ``demo.py`` draws its own by it.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

#: How curves of files look: a mark on the terminal, a colour in the picture.
MARKS = (("*", "tab:blue"), ("o", "tab:orange"), ("+", "tab:green"), ("x", "tab:red"))


class Curve(NamedTuple):
    """P@1 after each epoch against the seconds of training until then."""

    name: str
    mark: str
    color: str
    seconds: Sequence[float]
    precision: Sequence[float]


def text(curves: Sequence[Curve], width: int = 64, height: int = 13) -> str:
    """Return the curves as lines of text."""
    last = max(curve.seconds[-1] for curve in curves)
    low, high = limits(curves)
    grid = [[" "] * width for _ in range(height)]
    for curve in curves:
        for seconds, precision in zip(curve.seconds, curve.precision, strict=True):
            column = round(seconds / last * (width - 1))
            row = round((high - precision) / (high - low) * (height - 1))
            grid[row][column] = curve.mark
    lines = ["P@1    " + "   ".join(f"{curve.mark} {curve.name}" for curve in curves)]
    for row, cells in enumerate(grid):
        value = high - (high - low) * row / (height - 1)
        label = f"{value:.3f}" if row % 3 == 0 else ""
        lines.append(f"{label:>5} |{''.join(cells).rstrip()}")
    lines.append(" " * 6 + "+" + "-" * width)
    lines.append(" " * 7 + "0" + f"{last:.0f} s of training".rjust(width - 1))
    return "\n".join(lines)


def picture(curves: Sequence[Curve], title: str, path: Path) -> None:
    """Write the curves to an image file, each with its end written out."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for curve in curves:
        axes.plot(
            curve.seconds, curve.precision, "o-", color=curve.color, linewidth=2, label=curve.name
        )
        axes.annotate(
            f"{curve.precision[-1]:.3f} after {curve.seconds[-1]:.0f} s",
            (curve.seconds[-1], curve.precision[-1]),
            xytext=(0, 10),
            textcoords="offset points",
            ha="center",
            color=curve.color,
        )
    axes.set_xlim(0, 1.15 * max(curve.seconds[-1] for curve in curves))
    axes.set_ylim(*limits(curves))
    axes.set_xlabel("seconds of training")
    axes.set_ylabel("P@1 on the test rows")
    axes.set_title(title, loc="left")
    axes.grid(axis="y", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def limits(curves: Sequence[Curve]) -> tuple[float, float]:
    """Return the ends of the P@1 axis: the nearest twentieths that leave air around the points."""
    values = [value for curve in curves for value in curve.precision]
    low, high = math.floor(20 * min(values) - 0.5) / 20, math.ceil(20 * max(values) + 0.5) / 20
    return max(low, 0.0), min(high, 1.0)


def read(path: Path, place: int) -> Curve:
    """Return the curve of what ``slide-rs train --valid --json`` printed."""
    epochs = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if not epochs or "p@1" not in epochs[0]:
        raise SystemExit(f"{path}: found no p@1, wanted the lines of slide-rs train --valid --json")
    seconds = [epoch["train_seconds"] for epoch in epochs]
    look = MARKS[place % len(MARKS)]
    return Curve(path.stem, *look, seconds, [epoch["p@1"] for epoch in epochs])


def main() -> None:
    """Draw the curves of the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, help="output of train --valid --json")
    parser.add_argument("--picture", type=Path, help="image file to write as well")
    given = parser.parse_args()
    curves = [read(path, place) for place, path in enumerate(given.files)]
    print(text(curves))
    if given.picture:
        picture(curves, "slide-rs train", given.picture)


if __name__ == "__main__":
    main()

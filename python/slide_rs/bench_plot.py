"""The picture of ``slide-rs bench``: P@1 against the seconds of training."""

from __future__ import annotations

import math
from collections.abc import Sequence

from slide_rs.bench_table import Summary
from slide_rs.contestants import CONTESTANTS

__all__ = ["check", "limits", "picture"]


def check() -> None:
    """Raise if there is nothing to draw with.

    Raises
    ------
    ValueError
        If matplotlib is not there.
    """
    try:
        import matplotlib  # type: ignore[import-not-found, unused-ignore]  # noqa: F401
    except ImportError:
        raise ValueError("--plot: needs matplotlib: pip install 'slide_rs[plot]'") from None


def limits(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of an axis: the nearest twentieths that leave air around the points.

    Examples
    --------
    >>> limits([0.61, 0.64])
    (0.55, 0.7)
    """
    low, high = math.floor(20 * min(values) - 0.5) / 20, math.ceil(20 * max(values) + 0.5) / 20
    return max(low, 0.0), min(high, 1.0)


def picture(summaries: Sequence[Summary], title: str, path: str) -> None:
    """Write the learning curves to an image file: a mark an epoch, seconds on a logarithmic axis.

    Contestants may be a hundred times apart, which an axis from zero would not show.
    """
    from matplotlib.figure import Figure  # type: ignore[import-not-found, unused-ignore]

    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    shown = [summary for summary in summaries if summary.done]
    for place, summary in enumerate(shown):
        seconds, precision = zip(*summary.curve(), strict=True)
        ours = CONTESTANTS[summary.name].needs == "slide_rs"
        style = "o-" if ours else "s--"
        axes.plot(seconds, precision, style, color=f"C{place}", linewidth=2, label=summary.name)
    axes.set_xscale("log")
    axes.set_ylim(*limits([value for summary in shown for _, value in summary.curve()]))
    axes.set_xlabel("seconds of training, with the building of the model")
    axes.set_ylabel("P@1 on the test rows")
    axes.set_title(title, loc="left")
    axes.grid(axis="y", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path)

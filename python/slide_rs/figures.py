"""Figures of matplotlib that belong to nobody, and that a notebook shows nevertheless."""

from __future__ import annotations

import io
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["axes", "figure"]


def figure(what: str, **options: Any) -> Figure:
    """Return a new figure; a notebook shows it where it is the value of a cell.

    Raises
    ------
    ImportError
        If matplotlib is not there, with `what` needs it.

    Examples
    --------
    >>> figure("a picture", figsize=(4, 3)).get_size_inches().tolist()
    [4.0, 3.0]
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise ImportError(f"{what} matplotlib: pip install 'slide_rs[plot]'") from None
    made: Figure = _shown()(layout="constrained", **options)
    return made


def axes(given: Any) -> Any:
    """Return the axes that were given, or those of a new figure.

    In a notebook the figure is one of pyplot, which shows it at the end of its cell. Elsewhere
    pyplot would keep it alive and might want a screen.

    Raises
    ------
    ImportError
        If matplotlib is not there: ``pip install 'slide_rs[plot]'``.

    Examples
    --------
    >>> mine = axes(None)
    >>> axes(mine) is mine
    True
    """
    if given is not None:
        return given
    made = figure("plots need")
    if not _in_notebook():
        return made.add_subplot()
    from matplotlib import pyplot

    return pyplot.subplots(layout="constrained")[1]


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


@cache
def _shown() -> Any:
    from matplotlib.figure import Figure

    class Shown(Figure):
        """A figure that a notebook shows without pyplot."""

        def _repr_png_(self) -> bytes:
            image = io.BytesIO()
            self.savefig(image, format="png")
            return image.getvalue()

    return Shown

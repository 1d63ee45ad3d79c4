"""A run as one HTML page: what the model is, its hash tables, how it learned, where time went.

The page needs nothing from elsewhere: pictures and styles are inside of it. Pictures need
matplotlib (``pip install 'slide_rs[plot]'``).
"""

from __future__ import annotations

import base64
import html
import io
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from slide_rs import checks, engine, extras, figures, inspect
from slide_rs.ensemble import Ensemble
from slide_rs.network import METRICS, Network

__all__ = ["Told", "needed", "read_history", "write"]

#: What was told of epochs: a mapping each.
Told = Sequence[Mapping[str, Any]]
#: What counts epochs, or is the same in all of them.
_WEIGHTS = ("ranker_weight", "neighbours_weight")
_NOT_MEASURED = ("epoch", "member", "members", *_WEIGHTS, "read_seconds")
_STYLE = """
:root { color-scheme: light dark; --ink: #1c2128; --paper: #ffffff; --line: #d0d7de; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --paper: #0d1117; --line: #30363d; }
}
body { margin: 0 auto; max-width: 64rem; padding: 1rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
pre, .wide { overflow-x: auto; }
pre { border: 1px solid var(--line); border-radius: .4rem; padding: .6rem; font-size: .8rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.wide { margin-bottom: .8rem; }
th, td { border-bottom: 1px solid var(--line); padding: .2rem .8rem .2rem 0; text-align: right; }
th:first-child, td:first-child { text-align: left; }
.pictures { display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); }
img { background: #ffffff; border-radius: .4rem; height: auto; max-width: 100%; }
"""


def needed() -> None:
    """Raise an ImportError if the pictures can not be drawn."""
    extras.imported("matplotlib.figure", "plot", "an HTML report")


def write(
    path: str | os.PathLike[str],
    model: Network | Ensemble,
    data: tuple[object, object] | None = None,
    history: Mapping[str, Sequence[float]] | Told = (),
) -> None:
    """Write the page.

    Parameters
    ----------
    path : str or path
        The file.
    model : Network or Ensemble
        What it is about. The time by phase is that of the last epoch that the model was trained in
        this process; a file does not hold it.
    data : pair (X, Y), optional
        Rows to measure recall and precision on.
    history : History, mapping, or sequence of mappings, optional
        What was measured in each epoch; a model file does not hold it.

    Raises
    ------
    ImportError
        Without matplotlib.
    """
    needed()
    target = checks.path("path", path)
    members = model.members if isinstance(model, Ensemble) else (model,)
    config = _code(json.dumps(json.loads(model.config.to_json()), indent=2))
    sections = [
        ("Summary", _summary(model, members)),
        ("Quality", _quality(model, members, data)),
        ("Hash tables", _tables(members)),
        ("Learning curves", _curves(_told(history))),
        ("Time by phase", _phases(members[-1])),
        ("Configuration", f"<details>\n<summary>As JSON</summary>\n{config}</details>\n"),
    ]
    body = "".join(f"<h2>{name}</h2>\n{text}" for name, text in sections if text)
    Path(target).write_text(
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>slide_rs report</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<h1>slide_rs report</h1>\n{body}</body>\n</html>\n",
        encoding="utf-8",
    )


def read_history(path: str) -> list[dict[str, Any]]:
    """Read what ``slide-rs train --json`` printed, or a history as an object of lists.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "history.json")
    >>> _ = path.write_text('{"loss": [2.5, 1.5]}')
    >>> read_history(str(path))
    [{'epoch': 1, 'loss': 2.5}, {'epoch': 2, 'loss': 1.5}]
    """
    text = Path(path).read_text(encoding="utf-8")
    try:
        found = [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError:
        try:
            found = [json.loads(text)]
        except ValueError as error:
            raise ValueError(f"{path}: found text that is not JSON ({error})") from None
    if len(found) == 1 and isinstance(found[0], list):
        found = found[0]
    if not all(isinstance(line, dict) for line in found):
        raise ValueError(f"{path}: wanted objects, one for each epoch, or one of lists")
    if len(found) == 1 and all(isinstance(column, list) for column in found[0].values()):
        if len({len(column) for column in found[0].values()}) > 1:
            raise ValueError(f"{path}: found lists of different lengths, wanted one for each epoch")
        return _told(found[0])
    return found


def _told(history: Mapping[str, Sequence[float]] | Told) -> list[dict[str, Any]]:
    if not isinstance(history, Mapping):
        return [dict(line) for line in history]
    columns = zip(*history.values(), strict=True)
    return [
        {"epoch": i, **dict(zip(history, values, strict=True))}
        for i, values in enumerate(columns, start=1)
    ]


def _summary(model: Network | Ensemble, members: Sequence[Network]) -> str:
    about = f"<p>{html.escape(repr(model))}</p>\n"
    return about + _code(members[0].summary())


def _quality(
    model: Network | Ensemble, members: Sequence[Network], data: tuple[object, object] | None
) -> str:
    if data is None:
        return ""
    measured = model.evaluate(*data, METRICS)
    rows = [(name, f"{value:.4f}") for name, value in measured.items()]
    pictures = []
    for i, member in enumerate(members):
        name = f"tables of network {i + 1} find the best output"
        rows.append((name, f"{member.sampling_recall(data[0]):.4f}"))
        if "output" in engine.hashed_layers(member):
            axes = inspect.plot_recall(member, data[0])
            pictures.append((f"Recall of network {i + 1}", axes.figure))
    return _table(("measure", "value"), rows) + _pictures(pictures)


def _tables(members: Sequence[Network]) -> str:
    texts, pictures = [], []
    for i, member in enumerate(members):
        for layer, name in enumerate(engine.hashed_layers(member)):
            texts.append(f"network {i + 1}, {inspect.table_stats(member, layer)}")
            axes = inspect.plot_buckets(member, layer)
            pictures.append((f"Buckets of network {i + 1}, {name}", axes.figure))
    return _code("\n".join(texts)) + _pictures(pictures) if texts else ""


def _curves(told: Told) -> str:
    pictures = []
    # What was told of all networks together is no epoch of any.
    epochs = [line for line in told if "members" not in line]
    names = dict.fromkeys(name for line in epochs for name in line if name not in _NOT_MEASURED)
    for name in names:
        axes = figures.axes(None)
        drawn = False
        for member in dict.fromkeys(line.get("member") for line in epochs):
            own = [line for line in epochs if line.get("member") == member]
            points = [(line.get("epoch", i + 1), line.get(name)) for i, line in enumerate(own)]
            points = [(x, y) for x, y in points if _is_number(y)]
            label = None if member is None else f"network {member}"
            if points:
                axes.plot(*zip(*points, strict=True), marker="o", label=label)
                drawn = True
        axes.set(xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        if drawn:
            if any("member" in line for line in epochs):
                axes.legend()
            pictures.append((f"{name} by epoch", axes.figure))
    return _pictures(pictures)


def _phases(network: Network) -> str:
    found = engine.core(network).phases()
    seconds = {n: s for n, s in found.items() if not n.startswith("rows_")}
    total = sum(seconds.values())
    # Loading a model builds its tables, which is no training.
    if not found.get("rows_computed") or not total:
        return ""
    rows = [(n, f"{s:.3f}", f"{s / total:.1%}") for n, s in seconds.items() if s]
    axes = figures.axes(None)
    axes.barh([n for n, *_ in rows][::-1], [seconds[n] for n, *_ in rows][::-1])
    axes.set(xlabel="seconds, summed over threads")
    said = "<p>The last epoch, in seconds summed over threads.</p>\n"
    table = _table(("phase", "seconds", "share"), rows)
    return said + table + _pictures([("Time by phase", axes.figure)])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _code(text: str) -> str:
    return f"<pre>{html.escape(text)}</pre>\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)

    body = "".join(f"<tr>{line(row, 'td')}</tr>\n" for row in rows)
    return f'<div class="wide"><table>\n<tr>{line(head, "th")}</tr>\n{body}</table></div>\n'


def _pictures(figures: Sequence[tuple[str, Any]]) -> str:
    return f'<div class="pictures">\n{"".join(_images(figures))}</div>\n' if figures else ""


def _images(figures: Sequence[tuple[str, Any]]) -> Iterator[str]:
    for name, figure in figures:
        content = io.BytesIO()
        figure.set_size_inches(5, 3.4)
        figure.axes[0].set_title(name)
        # Without the version of matplotlib and the like, which stand in the metadata.
        figure.savefig(content, format="png", dpi=110, metadata={"Software": None})
        encoded = base64.b64encode(content.getvalue()).decode()
        text = html.escape(name, quote=True)
        yield f'<img alt="{text}" src="data:image/png;base64,{encoded}">\n'

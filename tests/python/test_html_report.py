"""A report is one page that needs nothing else."""

from __future__ import annotations

import base64
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import slide_rs as sr
from slide_rs import html_report
from slide_rs.cli import main

PNG = b"\x89PNG\r\n\x1a\n"
QUICK = ["--hidden", "8", "--epochs", "2"]


class Page(HTMLParser):
    """What is in a page; an error where tags do not match."""

    VOID = ("meta", "img")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)

    @property
    def images(self) -> dict[str, bytes]:
        found = {}
        for tag, attributes in self.tags:
            if tag == "img":
                kind, content = str(attributes["src"]).split(",")
                assert kind == "data:image/png;base64"
                found[str(attributes["alt"])] = base64.b64decode(content, validate=True)
        return found


def page(path: Path) -> Page:
    text = path.read_text(encoding="utf-8")
    # Pictures are letters, digits and slashes.
    rest = re.sub(r"base64,[^\"]*", "", text)
    for outside in ("http:", "https:", "//", "@import", "url("):
        assert outside not in rest, outside
    found = Page(text)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in found.tags}
    assert all(not {"href", "srcset"} & set(attributes) for _, attributes in found.tags)
    assert all(image.startswith(PNG) for image in found.images.values())
    assert "prefers-color-scheme: dark" in text
    assert 'content="width=device-width' in text
    return found


def test_a_report_has_pictures_of_tables_recall_and_curves_inside(
    easy: tuple[Any, Any], trained: sr.Network, tmp_path: Path
) -> None:
    test = easy[1]
    html_report.write(tmp_path / "out.html", trained, test, trained.history)
    found = page(tmp_path / "out.html")
    assert found.headings == [
        "Summary",
        "Quality",
        "Hash tables",
        "Learning curves",
        "Time by phase",
        "Configuration",
    ]
    assert {
        "Recall of network 1",
        "Buckets of network 1, output",
        "loss by epoch",
        "recall_at_1 by epoch",
        "Time by phase",
    } <= set(found.images)
    text = (tmp_path / "out.html").read_text()
    assert f"{trained.evaluate(*test, ['p@1'])['p@1']:.4f}" in text
    assert "&lt;slide_rs.Network" in text


def test_what_is_not_known_is_left_out(trained: sr.Network, tmp_path: Path) -> None:
    trained.save(tmp_path / "net.safetensors")
    html_report.write(tmp_path / "out.html", sr.load(tmp_path / "net.safetensors"))
    found = page(tmp_path / "out.html")
    assert found.headings == ["Summary", "Hash tables", "Configuration"]


def test_train_and_inspect_write_reports(
    tiny_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data, model = str(tiny_file), str(tmp_path / "model.slide")
    first, second = tmp_path / "train.html", tmp_path / "inspect.html"
    command = ["train", data, "--valid", data, *QUICK, "--members", "2", "--out", model]
    assert main([*command, "--json", "--report", str(first)]) == 0
    lines = capfd.readouterr().out
    assert [json.loads(line)["epoch"] for line in lines.splitlines()] == [1, 2, 1, 2, 2]
    (tmp_path / "history.json").write_text(lines)
    history = ["--history", str(tmp_path / "history.json")]
    assert main(["inspect", model, data, "--html", str(second), *history]) == 0
    pages = [page(first), page(second)]
    assert "Time by phase" in pages[0].headings
    assert "Time by phase" not in pages[1].headings
    for found in pages:
        assert {"loss by epoch", "p@1 by epoch"} <= set(found.images)
    assert pages[0].images["loss by epoch"] == pages[1].images["loss by epoch"]


def test_histories_are_read_in_each_of_their_forms(tmp_path: Path, trained: sr.Network) -> None:
    path = tmp_path / "history.json"
    path.write_text(json.dumps(dict(trained.history)))
    found = html_report.read_history(str(path))
    assert [line["epoch"] for line in found] == list(range(1, 9))
    assert [line["loss"] for line in found] == trained.history["loss"]
    for text in (json.dumps(found, indent=1), "\n".join(json.dumps(line) for line in found)):
        path.write_text(text)
        assert html_report.read_history(str(path)) == found
    for text, match in (
        ("nothing", "found text that is not JSON"),
        ("[1, 2]", "wanted objects"),
        ('{"a": [1], "b": []}', "found lists of different lengths"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=match):
            html_report.read_history(str(path))


def test_without_matplotlib_training_does_not_begin(
    tiny_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    report = str(tmp_path / "out.html")
    assert main(["train", str(tiny_file), *QUICK, "--report", report]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert "pip install 'slide_rs[plot]'" in err

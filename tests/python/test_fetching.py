"""Data sets are downloaded once and checked by their hash; what cannot be had is asked for."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from slide_rs import datasets

CONTENT = b"2 5 4\n0,3 1:0.5 4:1.25\n1 2:1\n"
HASH = hashlib.sha256(CONTENT).hexdigest()


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and prints nothing."""

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    served = tmp_path / "served"
    served.mkdir()
    (served / "tiny.txt").write_bytes(CONTENT)
    handler = functools.partial(Quiet, directory=str(served))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_file_is_downloaded_once_and_read(address: str, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    path = datasets.fetch("tiny.txt", f"{address}/tiny.txt", HASH, folder=folder)
    assert path == folder / "tiny.txt"
    assert datasets.read_xmc(path).n_labels == 4
    (tmp_path / "served" / "tiny.txt").unlink()
    assert datasets.fetch("tiny.txt", f"{address}/tiny.txt", HASH.upper(), folder=folder) == path
    assert datasets.fetch("tiny.txt", folder=folder) == path


def test_another_hash_is_an_error_before_and_after(address: str, tmp_path: Path) -> None:
    wrong = "0" * 64
    with pytest.raises(ValueError, match=r"tiny\.txt: .*hash"):
        datasets.fetch("tiny.txt", f"{address}/tiny.txt", wrong, folder=tmp_path)
    assert not (tmp_path / "tiny.txt").exists()
    (tmp_path / "tiny.txt").write_bytes(CONTENT)
    with pytest.raises(ValueError, match=f"sha256: found {HASH} of .*tiny.txt, wanted 0000"):
        datasets.fetch("tiny.txt", sha256=wrong, folder=tmp_path)


def test_what_cannot_be_downloaded_says_where_to_put_it(address: str, tmp_path: Path) -> None:
    place = str(tmp_path / "none.txt")
    for url in (f"{address}/none.txt", "http://127.0.0.1:9/none.txt"):
        with pytest.raises(OSError, match="could not be downloaded") as caught:
            datasets.fetch("none.txt", url, HASH, folder=tmp_path)
        assert str(caught.value).startswith(url)
        assert place in str(caught.value)


def test_a_known_set_names_its_page_and_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIDE_RS_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError) as caught:
        datasets.fetch("Amazon-670K")
    assert "XMLRepository.html" in str(caught.value)
    assert str(tmp_path / "Amazon-670K") in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r"none of the sets .* \(amazon-3m, "):
        datasets.fetch("amazon")
    (tmp_path / "Amazon-670K").write_bytes(CONTENT)
    assert datasets.fetch("Amazon-670K").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("../up",), "name: found '../up', wanted the name of a file"),
        (("a", "http://b"), "sha256: found None with a url"),
        (("a", "http://b", "12"), "sha256: found '12', wanted 64 hexadecimal digits"),
    ],
)
def test_wrong_arguments_are_named(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        datasets.fetch(*arguments)

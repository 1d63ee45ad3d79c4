"""Public data sets, from where their owners keep them to a folder of this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slide_rs import checks

__all__ = ["KNOWN", "Source", "fetch"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a data set is to be had, for people.

    Examples
    --------
    >>> KNOWN["amazon-670k"].title
    'Amazon-670K'
    """

    title: str
    page: str


_REPOSITORY = "http://manikvarma.org/downloads/XC/XMLRepository.html"

#: Data sets whose pages are known. Their files are behind links of a file-sharing service, which
#: have changed before and come without hashes, so no link is kept here.
KNOWN = {
    title.lower(): Source(title, _REPOSITORY)
    for title in (
        "Amazon-3M",
        "Amazon-670K",
        "AmazonCat-13K",
        "Bibtex",
        "Delicious",
        "Delicious-200K",
        "EURLex-4K",
        "Mediamill",
        "Wiki10-31K",
        "WikiLSHTC-325K",
        "Wikipedia-500K",
    )
}


def fetch(
    name: str,
    url: str | None = None,
    sha256: str | None = None,
    *,
    folder: str | os.PathLike[str] | None = None,
) -> Path:
    """Return the file of a data set, downloaded once and checked by its hash each time.

    The large public sets have no link that could be relied on. For these, `fetch` says which page
    to get the file from and where to put it, and returns it from there.

    Parameters
    ----------
    name : str
        The name of the file, such as ``"train.txt.gz"``, or of a set in ``fetching.KNOWN``.
    url : str, optional
        Where to download it from, if it is not there.
    sha256 : str, optional
        What its hash must be; required with `url`.
    folder : path, optional
        Where files are kept. When not given it is ``SLIDE_RS_DATA`` of the environment, or else
        the folder for caches of the system.

    Raises
    ------
    ImportError
        If pooch is not there: ``pip install 'slide_rs[datasets]'``.
    FileNotFoundError
        If the file is not there and no `url` is given; the message names the page and the place.
    OSError
        If it cannot be downloaded; the message names the place to put it.
    ValueError
        If the hash of the file is another.

    Examples
    --------
    >>> fetch("amazon-670k", folder="/nowhere")
    Traceback (most recent call last):
    FileNotFoundError: Amazon-670K is not at ...
    """
    pooch = _pooch()
    if not isinstance(name, str) or not name or Path(name).name != name or name in (".", ".."):
        raise ValueError(f"name: found {name!r}, wanted the name of a file, without a folder")
    if sha256 is not None and not _is_hash(sha256):
        raise ValueError(f"sha256: found {sha256!r}, wanted 64 hexadecimal digits")
    if url is not None and sha256 is None:
        raise ValueError(
            "sha256: found None with a url, wanted its hash, so that a file that was cut short or "
            "exchanged is found out (pooch.file_hash(path) tells that of a file)"
        )
    place = _folder(pooch, folder) / name
    if place.exists():
        if sha256 is not None and (found := pooch.file_hash(str(place))) != sha256.lower():
            raise ValueError(
                f"sha256: found {found} of {place}, wanted {sha256.lower()}; delete the file to "
                "download it again"
            )
        return place
    if url is None:
        raise FileNotFoundError(_how_to_get(name, place))
    return _downloaded(pooch, url, f"sha256:{sha256}".lower(), place)


def _downloaded(pooch: Any, url: str, known_hash: str, place: Path) -> Path:
    try:
        pooch.retrieve(url, known_hash, fname=place.name, path=place.parent, progressbar=False)
    except ValueError as error:
        raise ValueError(f"{url}: {error}") from error
    except OSError as error:
        # Those of requests, which pooch downloads with, are of this kind too.
        raise OSError(
            f"{url}: could not be downloaded ({error}); get the file in another way and put it at "
            f"{place}"
        ) from error
    return place


def _how_to_get(name: str, place: Path) -> str:
    known = KNOWN.get(name.lower())
    if known is None:
        names = ", ".join(sorted(KNOWN))
        return (
            f"{name} is not at {place}, and is none of the sets whose page is known ({names}); put "
            "it there, or give url= and sha256="
        )
    return (
        f"{known.title} is not at {place}; get it from {known.page} and put the file there (its "
        "links have no fixed address or hash, so it is not downloaded by itself), or give url= and "
        "sha256="
    )


def _folder(pooch: Any, folder: object) -> Path:
    if folder is not None:
        return Path(checks.path("folder", folder)).expanduser()
    return Path(os.environ.get("SLIDE_RS_DATA") or pooch.os_cache("slide_rs")).expanduser()


def _is_hash(found: object) -> bool:
    digits = "0123456789abcdefABCDEF"
    return isinstance(found, str) and len(found) == 64 and all(c in digits for c in found)


def _pooch() -> Any:
    try:
        import pooch
    except ImportError:
        raise ImportError("datasets.fetch needs pooch: pip install 'slide_rs[datasets]'") from None
    return pooch

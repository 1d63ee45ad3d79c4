"""Make examples/data from the whole debdeps data set: small enough for a repository, all rows kept.

Keeps the features that are single words, numbers them anew by falling frequency in the training
rows, and rounds the values. Rows and labels stay as they are. The files are the same at every run.
"""

from __future__ import annotations

import argparse
import gzip
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PARTS = ("train", "test")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("source", type=Path, help="folder with {train,test,features}.txt.gz")
    arguments.add_argument("--out", type=Path, default=Path("examples/data"))
    arguments.add_argument("--digits", type=int, default=2, help="significant digits of values")
    given = arguments.parse_args()

    names = gzip.decompress((given.source / "features.txt.gz").read_bytes()).decode().splitlines()
    words = {id for id, name in enumerate(names) if " " not in name}
    kept = by_frequency(given.source, words)
    new_id = {id: position for position, id in enumerate(kept)}
    given.out.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        packed = compress(reduced(given.source / f"{part}.txt.gz", new_id, given.digits))
        (given.out / f"{part}.txt.gz").write_bytes(packed)
        print(f"{part}: {len(packed) / 1e6:.2f} MB, {len(new_id)} features")


def by_frequency(source: Path, words: set[int]) -> list[int]:
    """Return the words that training rows hold, those in the most rows first."""
    rows = Counter[int]()
    for _, pairs in lines(source / "train.txt.gz"):
        rows.update(id for id, _ in pairs if id in words)
    return sorted(rows, key=lambda id: (-rows[id], id))


def reduced(path: Path, new_id: dict[int, int], digits: int) -> bytes:
    """Return the text of one part with the kept features only."""
    out = io.StringIO()
    with gzip.open(path, "rt") as file:
        points, _, labels = file.readline().split()
    out.write(f"{points} {len(new_id)} {labels}\n")
    for row_labels, pairs in lines(path):
        kept = sorted((new_id[id], value) for id, value in pairs if id in new_id)
        out.write(row_labels)
        out.writelines(f" {id}:{rounded(value, digits)}" for id, value in kept)
        out.write("\n")
    return out.getvalue().encode()


def lines(path: Path) -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """Yield the labels, as they are written, and the (feature, value) pairs of each row."""
    with gzip.open(path, "rt") as file:
        next(file)
        for line in file:
            labels, _, rest = line.rstrip("\n").partition(" ")
            pairs = (pair.split(":") for pair in rest.split())
            yield labels, [(int(id), value) for id, value in pairs]


def rounded(value: str, digits: int) -> str:
    """Return the value with few digits and no zero before the point."""
    return f"{float(value):.{digits}g}".removeprefix("0") or "0"


def compress(text: bytes) -> bytes:
    # No time stamp and no name, so that equal text gives equal bytes.
    return gzip.compress(text, compresslevel=9, mtime=0)


if __name__ == "__main__":
    main()

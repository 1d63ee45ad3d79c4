"""Data sets that are mapped on the second read, and never other than their text."""

from __future__ import annotations

import gzip
import mmap
import multiprocessing
import os
import stat
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import malformed_caches
import numpy as np
import pytest
import slide_rs as sr
from safetensors.numpy import load_file
from slide_rs import _core, arrays, caches, datasets, layers
from slide_rs.cli import main
from slide_rs.datasets import Dataset, read_xmc

PARTS = [f"{matrix}.{part}" for matrix in "XY" for part in ("indptr", "indices", "data")]


def parts(data: Dataset) -> dict[str, np.ndarray]:
    return {name: getattr(getattr(data, name[0]), name[2:]) for name in PARTS}


def assert_equal(found: Dataset, wanted: Dataset) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert type(one) is type(other)
        assert one.shape == other.shape
    for name, array in parts(wanted).items():
        assert parts(found)[name].dtype == array.dtype, name
        # Bytes and not values: zeros have signs.
        assert parts(found)[name].tobytes() == array.tobytes(), name


def is_mapped(array: np.ndarray) -> bool:
    base: object = array
    while isinstance(base, np.ndarray | memoryview):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    return isinstance(base, mmap.mmap)


@pytest.fixture(params=["plain.txt", "packed.txt.gz"])
def text(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a text that has not been read yet."""
    path = tmp_path / request.param
    datasets.write_xmc(path, *datasets.make_xmc(300, n_features=400, n_labels=50, seed=3))
    return path


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    """Return a text that has a cache."""
    path = tmp_path / "train.txt"
    path.write_text("3 5 4\n0,3 1:0.5 4:1.25\n 2:1\n1\n")
    read_xmc(path, cache=True)
    return path


def cache_of(text: Path) -> Path:
    return Path(f"{text}{caches.SUFFIX}")


def test_the_second_read_is_mapped_and_equal_bit_for_bit(text: Path) -> None:
    wanted = read_xmc(text)
    assert not cache_of(text).exists()
    first = read_xmc(text, cache=True)
    second = read_xmc(text, cache=True)
    assert_equal(first, wanted)
    assert_equal(second, wanted)
    assert all(is_mapped(array) for array in parts(second).values())
    assert not any(is_mapped(array) for array in parts(first).values())
    assert all(matrix.has_canonical_format for matrix in second)


def test_the_text_is_not_parsed_again(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(datasets._core, "read_xmc")
    assert read_xmc(cached, cache=True).X.nnz == 3


def test_the_engine_reads_the_mapped_memory_itself(text: Path) -> None:
    data = [read_xmc(text, cache=True) for _ in range(2)][1]
    x = arrays.features(data.X, data.n_features, copy=False)
    found = _core.borrowed_addresses(x)
    assert found == [part.ctypes.data for part in (data.X.indptr, data.X.indices, data.X.data)]
    net = sr.Network(
        [layers.SparseInput(data.n_features), layers.Dense(8), layers.SampledDense(data.n_labels)]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.fit(data.X, data.Y, epochs=1, verbose=False)


def test_what_is_written_to_mapped_arrays_stays_in_this_process(cached: Path) -> None:
    before = cache_of(cached).read_bytes()
    data = read_xmc(cached, cache=True)
    data.X.data[:] = 7.0
    assert cache_of(cached).read_bytes() == before
    assert_equal(read_xmc(cached, cache=True), read_xmc(cached))


def test_other_programs_can_read_the_file(text: Path) -> None:
    data = read_xmc(text, cache=True)
    found = load_file(cache_of(text))
    assert sorted(found) == sorted(PARTS)
    for name, array in parts(data).items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("body", ["1 1 1\n\n", "0 3:1\n", "1\n", " 1:1\n", "2 5 4\n\n\n"])
def test_rows_without_features_or_labels_are_mapped_too(body: str, tmp_path: Path) -> None:
    path = tmp_path / "thin.txt"
    path.write_text(body)
    read_xmc(path, cache=True)
    assert_equal(read_xmc(path, cache=True), read_xmc(path))
    assert is_mapped(read_xmc(path, cache=True).X.indptr)


def test_wide_indices_are_kept_as_they_are(tmp_path: Path) -> None:
    """Such as SciPy wants for 2**31 values and more."""
    path = tmp_path / "wide.txt"
    path.write_text("0 1:0.5\n")
    data = read_xmc(path)
    X = data.X.copy()
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    stamp = caches.Stamp.of(str(path))
    assert stamp is not None
    caches.save(str(path), stamp, X, data.Y)
    found = caches.load(str(path), stamp)
    assert found is not None
    np.testing.assert_array_equal(found[0].indices, [1])
    assert found[0].nnz == 1


def grow(text: Path) -> None:
    text.write_text("4 5 4\n0,3 1:0.5 4:1.25\n 2:1\n1\n1\n")


def touch(text: Path) -> None:
    status = text.stat()
    os.utime(text, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))


def change_one_value_behind_the_clock(text: Path) -> None:
    status = text.stat()
    text.write_text(text.read_text().replace("0.5", "0.7"))
    os.utime(text, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("change", [grow, touch, change_one_value_behind_the_clock])
def test_a_changed_text_is_read_and_kept_anew(change: Callable[[Path], None], cached: Path) -> None:
    old = cache_of(cached).read_bytes()
    change(cached)
    found = read_xmc(cached, cache=True)
    assert_equal(found, read_xmc(cached))
    assert not is_mapped(found.X.data)
    assert cache_of(cached).read_bytes() != old
    assert is_mapped(read_xmc(cached, cache=True).X.data)


def test_a_large_text_is_sampled_from_end_to_end(tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    path.write_bytes(b"0 1:1\n" * 500_000)
    size, stamp = path.stat().st_size, caches.Stamp.of(str(path))
    for at in (0, size // 64 * 32 // 6 * 6, size - 2):
        with path.open("r+b") as file:
            file.seek(at)
            file.write(b"2")
        changed = caches.Stamp.of(str(path))
        assert changed is not None
        assert stamp is not None
        assert changed.digest != stamp.digest
        stamp = changed


@pytest.mark.parametrize("damage", malformed_caches.DAMAGES)
def test_a_damaged_cache_is_named_and_the_text_read(damage: str, cached: Path) -> None:
    good = cache_of(cached).read_bytes()
    cache_of(cached).write_bytes(malformed_caches.DAMAGES[damage](good))
    with pytest.warns(sr.SlideWarning, match=r"train\.txt\.slide-cache: found a cache that"):
        found = read_xmc(cached, cache=True)
    assert not is_mapped(found.X.data)
    assert_equal(found, read_xmc(cached))
    assert cache_of(cached).read_bytes() == good


@pytest.mark.filterwarnings("ignore::slide_rs.SlideWarning")
def test_any_wrong_byte_of_the_header_is_noticed(cached: Path) -> None:
    good = cache_of(cached).read_bytes()
    stamp = caches.Stamp.of(str(cached))
    assert stamp is not None
    for at in range(8 + int.from_bytes(good[:8], "little")):
        bad = bytearray(good)
        bad[at] ^= 1
        cache_of(cached).write_bytes(bad)
        assert caches.load(str(cached), stamp) is None, at


@pytest.mark.parametrize(
    "about",
    [
        malformed_caches.with_about("format", 2),
        malformed_caches.with_about("text", [1, 2, "3"]),
    ],
)
def test_a_cache_of_another_text_or_version_is_replaced_in_silence(
    about: Callable[[bytes], bytes], cached: Path
) -> None:
    good = cache_of(cached).read_bytes()
    cache_of(cached).write_bytes(about(good))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_equal(read_xmc(cached, cache=True), read_xmc(cached))
    assert cache_of(cached).read_bytes() == good


def test_arrays_with_different_numbers_of_rows_are_not_used(cached: Path) -> None:
    data, stamp = read_xmc(cached), caches.Stamp.of(str(cached))
    assert stamp is not None
    caches.save(str(cached), stamp, data.X, data.Y[:2])
    with pytest.warns(sr.SlideWarning, match="not as many labels as rows"):
        assert caches.load(str(cached), stamp) is None


def test_what_is_no_file_is_neither_read_nor_replaced(cached: Path) -> None:
    cache_of(cached).unlink()
    cache_of(cached).mkdir()
    assert_equal(read_xmc(cached, cache=True), read_xmc(cached))
    assert cache_of(cached).is_dir()
    assert sorted(cached.parent.iterdir()) == [cached, cache_of(cached)]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_in_place_of_the_cache_does_not_stop_the_reader(cached: Path) -> None:
    cache_of(cached).unlink()
    os.mkfifo(cache_of(cached))
    assert_equal(read_xmc(cached, cache=True), read_xmc(cached))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_read_once_and_never_kept(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        pool.submit(pipe.write_bytes, b"0 1:0.5\n")
        assert read_xmc(pipe, cache=True).X.nnz == 1
    assert not cache_of(pipe).exists()


def refused(*arguments: object, **options: object) -> None:
    raise PermissionError(13, "not permitted")


@pytest.mark.parametrize("step", ["mkstemp", "fsync", "replace"])
def test_a_folder_that_can_not_be_written_is_no_error(
    step: str, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caches.tempfile if step == "mkstemp" else os, step, refused)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_equal(read_xmc(text, cache=True), read_xmc(text))
    assert list(text.parent.iterdir()) == [text]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is forbidden here")
def test_a_read_only_folder_is_no_error(text: Path) -> None:
    text.parent.chmod(0o555)
    try:
        assert_equal(read_xmc(text, cache=True), read_xmc(text))
    finally:
        text.parent.chmod(0o755)
    assert list(text.parent.iterdir()) == [text]


def test_a_missing_text_is_an_error_even_if_its_cache_is_there(cached: Path) -> None:
    cached.unlink()
    with pytest.raises(FileNotFoundError, match=r"train\.txt"):
        read_xmc(cached, cache=True)


def test_a_wrong_text_is_the_same_error_and_leaves_no_cache(tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_text("0 1:x\n")
    with pytest.raises(ValueError, match=r'bad\.txt: line 1: found "1:x"'):
        read_xmc(path, cache=True)
    assert list(tmp_path.iterdir()) == [path]


def test_a_text_that_changes_while_it_is_read_is_not_kept(
    cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache_of(cached).unlink()
    read = _core.read_xmc

    def read_and_change(path: str) -> object:
        found = read(path)
        grow(cached)
        return found

    monkeypatch.setattr(datasets._core, "read_xmc", read_and_change)
    assert read_xmc(cached, cache=True).X.shape[0] == 3
    assert not cache_of(cached).exists()


@pytest.mark.skipif(os.name == "nt", reason="other rights")
def test_who_may_read_the_text_may_read_its_cache(cached: Path) -> None:
    for mode in (0o644, 0o640, 0o600):
        cached.chmod(mode)
        cache_of(cached).unlink()
        read_xmc(cached, cache=True)
        assert stat.S_IMODE(cache_of(cached).stat().st_mode) == mode


def write_and_read(path: str) -> float:
    """Drop and make the cache over and over; every read must be that of the text."""
    total = 0.0
    for _ in range(15):
        Path(f"{path}{caches.SUFFIX}").unlink(missing_ok=True)
        data = read_xmc(path, cache=True)
        total += float(data.X.data.sum(dtype=np.float64)) + data.Y.nnz
    return total


def test_processes_may_write_the_same_cache_at_once(text: Path) -> None:
    wanted = write_and_read(str(text))
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert pool.map(write_and_read, [str(text)] * 3) == [wanted] * 3
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(write_and_read, [str(text)] * 4)) == [wanted] * 4
    read_xmc(text, cache=True)
    assert sorted(text.parent.iterdir()) == [text, cache_of(text)]


def test_a_mapped_data_set_outlives_its_file(cached: Path) -> None:
    data = read_xmc(cached, cache=True)
    wanted = read_xmc(cached)
    grow(cached)
    read_xmc(cached, cache=True)
    cache_of(cached).unlink()
    assert_equal(data, wanted)


def test_cache_is_a_flag(cached: Path) -> None:
    with pytest.raises(TypeError, match="cache: found 'yes', wanted True or False"):
        read_xmc(cached, cache="yes")  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_reads_as_well(tmp_path: Path) -> None:
    """Text and cache, both large enough for many tasks."""
    path = tmp_path / "large.txt"
    path.write_bytes(b"0 1:1 2:0.25 7:3.5\n" * 300_000)
    wanted = read_xmc(path).X.nnz
    with multiprocessing.get_context("fork").Pool(1) as pool:
        for cache in (False, True, True):
            done = pool.apply_async(_entries, (str(path), cache))
            assert done.get(timeout=60) == wanted


def _entries(path: str, cache: bool) -> int:
    return int(read_xmc(path, cache=cache).X.nnz)


def test_the_command_line_keeps_what_it_reads(tmp_path: Path, tiny_file: Path) -> None:
    names = ["train.txt", "valid.txt.gz", "test.txt", "other.txt"]
    train, valid, test, other = (str(tmp_path / name) for name in names)
    for path in (train, test, other):
        Path(path).write_bytes(tiny_file.read_bytes())
    Path(valid).write_bytes(gzip.compress(tiny_file.read_bytes()))
    model = str(tmp_path / "net.safetensors")
    quick = ["--hidden", "8", "--epochs", "1"]
    assert main(["train", train, "--valid", valid, *quick, "--out", model, "--cache"]) == 0
    assert main(["evaluate", model, test, "--cache"]) == 0
    assert main(["predict", model, other, "--out", str(tmp_path / "top"), "--cache"]) == 0
    assert all(cache_of(tmp_path / name).is_file() for name in names)
    compared = ["--samplers", "uniform", "--active", "20", "--hidden", "8"]
    Path(f"{train}{caches.SUFFIX}").unlink()
    assert main(["compare", train, "--valid", valid, *compared, "--cache"]) == 0
    assert cache_of(tmp_path / "train.txt").is_file()


def test_the_command_line_answers_alike_from_text_and_cache(
    tiny_file: Path, tmp_path: Path
) -> None:
    data = tmp_path / "train.txt"
    data.write_bytes(tiny_file.read_bytes())
    models = set()
    for options in [[], ["--cache"], ["--cache"]]:
        model = tmp_path / "net.safetensors"
        command = ["train", str(data), "--hidden", "8", "--epochs", "1", "--out", str(model)]
        assert main([*command, *options]) == 0
        models.add(model.read_bytes())
    assert len(models) == 1

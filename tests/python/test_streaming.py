"""Training on streams: the same network as in memory, whatever the pieces and the speed."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slide_rs as sr
from numpy.testing import assert_array_equal
from scipy import sparse
from slide_rs import data, datasets, layers
from slide_rs.callbacks import Callback
from slide_rs.cli import main
from slide_rs.datasets import Dataset
from slide_rs.prefetch import ahead
from slide_rs.streaming import Feed
from slide_rs.windows import Piece, joined, windows

Split = tuple[Dataset, Dataset]


def small(rows: Dataset, **options: Any) -> sr.Network:
    output = layers.SampledDense(rows.n_labels)
    return sr.Network([layers.SparseInput(rows.n_features), layers.Dense(8), output], **options)


def cut(rows: Dataset, sizes: list[int]) -> list[tuple[Any, Any]]:
    bounds = np.concatenate(([0], np.cumsum(sizes)))
    assert bounds[-1] == rows.X.shape[0]
    pairs = itertools.pairwise(bounds)
    return [(rows.X[a:b], rows.Y[a:b]) for a, b in pairs]


@pytest.fixture(scope="module")
def rows() -> Dataset:
    return datasets.make_xmc(600, n_features=400, n_labels=900, noise=0.1, seed=3)


@pytest.fixture(scope="module")
def in_memory(rows: Dataset) -> sr.Network:
    net = small(rows)
    net.fit(rows.X, rows.Y, epochs=3, batch_size=64, verbose=False)
    return net


def assert_same(net: sr.Network, other: sr.Network) -> None:
    weights = other.weights()
    for name, found in net.weights().items():
        assert_array_equal(found, weights[name], err_msg=name)


def no_threads_left() -> bool:
    return not any(thread.name == "slide-rs-prefetch" for thread in threading.enumerate())


def test_a_stream_goes_on_from_the_checkpoint_of_an_epoch(
    rows: Dataset, in_memory: sr.Network, tmp_path: Path
) -> None:
    class Stop(Callback):
        def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
            if epoch == 2:
                raise RuntimeError("killed")

    def pieces() -> data.Stream:
        return data.Stream(cut(rows, [200, 400]))

    keeper = sr.callbacks.ModelCheckpoint(tmp_path, keep=None)
    with pytest.raises(RuntimeError, match="killed"):
        small(rows).fit(
            pieces(), epochs=3, batch_size=64, callbacks=[keeper, Stop()], verbose=False
        )
    net = sr.Network.resume(tmp_path)
    with pytest.raises(ValueError, match="X: found 200 rows, wanted 600 as in the checkpoint"):
        net.fit(data.Stream(cut(rows, [200, 400])[:1]), verbose=False)
    history = net.fit(pieces(), verbose=False)
    assert_same(net, in_memory)
    assert history["loss"] == in_memory.history["loss"]


def test_a_stream_has_no_checkpoints_in_the_middle_of_epochs(rows: Dataset, tmp_path: Path) -> None:
    keeper = sr.callbacks.ModelCheckpoint(tmp_path, every_steps=3)
    with pytest.raises(ValueError, match="every_steps: found 3 with a stream, wanted None"):
        small(rows).fit(data.Stream(cut(rows, [600])), callbacks=[keeper], verbose=False)


@pytest.mark.parametrize("sizes", [[600], [1, 250, 0, 349], [64] * 9 + [24]])
@pytest.mark.parametrize("prefetch", [0, 1, 4])
def test_a_stream_that_fits_in_its_buffer_trains_bit_for_bit_as_in_memory(
    rows: Dataset, in_memory: sr.Network, sizes: list[int], prefetch: int
) -> None:
    net = small(rows)
    stream = data.Stream(cut(rows, sizes), prefetch=prefetch)
    history = net.fit(stream, epochs=3, batch_size=64, verbose=False)
    assert_same(net, in_memory)
    assert history["loss"] == in_memory.history["loss"]
    assert history["active_fraction"] == in_memory.history["active_fraction"]
    assert no_threads_left()


def test_sizes_by_rule_are_those_of_memory(rows: Dataset) -> None:
    net, streamed = small(rows), small(rows)
    net.fit(rows.X, rows.Y, verbose=False)
    streamed.fit(cut(rows, [300, 300]), verbose=False)
    assert_same(net, streamed)


def test_a_known_number_of_rows_spares_no_label_that_the_biases_begin_by(
    rows: Dataset, in_memory: sr.Network
) -> None:
    net = small(rows)
    net.fit(data.Stream(cut(rows, [300, 300]), n_rows=600), epochs=3, batch_size=64, verbose=False)
    assert_same(net, in_memory)


def test_rows_in_their_order_are_the_batches_of_a_loop(rows: Dataset) -> None:
    streamed, loop = small(rows), small(rows)
    stream = data.Stream(cut(rows, [7, 300, 293]), n_rows=600, shuffle_buffer=0)
    streamed.fit(stream, epochs=1, batch_size=64, verbose=False)
    labels = (rows.Y.indptr, rows.Y.indices)
    sr.prior.begin_at_frequencies(loop, labels)
    loop._core.begin_fit(10)
    for batch in data.batches(rows.X, rows.Y, 64, shuffle=False):
        loop.train_batch(batch.X, batch.Y)
    assert_same(streamed, loop)


def test_weights_of_rows_come_with_the_pieces(rows: Dataset) -> None:
    weight = np.random.default_rng(0).random(600).astype(np.float32)
    net, streamed = small(rows), small(rows)
    net.fit(rows.X, rows.Y, 2, 64, sample_weight=weight, verbose=False)
    pieces = [
        (*pair, part)
        for pair, part in zip(cut(rows, [200, 400]), np.split(weight, [200]), strict=True)
    ]
    streamed.fit(pieces, epochs=2, batch_size=64, verbose=False)
    assert_same(net, streamed)


def test_dense_rows_stream_as_in_memory(rows: Dataset) -> None:
    X, Y = rows.X.toarray()[:, :50].copy(), rows.Y
    net, streamed = (
        sr.Network([layers.SparseInput(50), layers.Dense(8), layers.SampledDense(900)])
        for _ in range(2)
    )
    net.fit(X, Y, 2, 64, verbose=False)
    streamed.fit([(X[:100], Y[:100]), (X[100:], Y[100:])], epochs=2, batch_size=64, verbose=False)
    assert_same(net, streamed)


class Late:
    """Pieces that come at uneven times."""

    def __init__(self, pieces: list[Any], seconds: float) -> None:
        self.pieces, self.seconds = pieces, seconds

    def __iter__(self) -> Iterator[Any]:
        for number, piece in enumerate(self.pieces):
            time.sleep(self.seconds * (number % 3))
            yield piece


def test_a_small_buffer_gives_the_same_network_however_late_pieces_come(rows: Dataset) -> None:
    nets = []
    for seconds, prefetch in ((0.0, 0), (0.0, 8), (0.004, 2)):
        net = small(rows)
        pieces = Late(cut(rows, [40] * 15), seconds)
        stream = data.Stream(pieces, shuffle_buffer=150, prefetch=prefetch)
        history = net.fit(stream, epochs=2, batch_size=32, verbose=False)
        assert history["loss"][1] < history["loss"][0]
        nets.append(net)
    assert_same(nets[0], nets[1])
    assert_same(nets[0], nets[2])
    # 600 rows in batches of 32, none of them short but the last of each epoch.
    assert nets[0]._core.steps == 2 * 19


def test_the_seed_of_a_stream_changes_which_rows_stay(rows: Dataset) -> None:
    found = []
    for seed in (0, 0, 1):
        net = small(rows)
        stream = data.Stream(cut(rows, [40] * 15), shuffle_buffer=150, seed=seed)
        found.append(net.fit(stream, epochs=1, batch_size=32, verbose=False)["loss"])
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("buffer", [0, 10, 64, 10_000])
def test_every_row_is_chosen_once_and_batches_are_whole(buffer: int) -> None:
    random = np.random.default_rng(5)
    sizes = random.integers(1, 40, size=30)
    ids = np.split(np.arange(sizes.sum(), dtype=np.float32), np.cumsum(sizes)[:-1])
    pieces = [
        Piece(part[:, None], (np.arange(len(part) + 1), np.arange(len(part))), None) for part in ids
    ]
    found = []
    for window in windows(pieces, 8, buffer, random):
        rows = np.arange(len(window.held)) if window.rows is None else window.rows
        # A piece more than the buffer, at the most.
        assert len(window.held) <= max(buffer, 16) + 40
        found.append(window.held.x[rows, 0])  # type: ignore[call-overload]
    assert all(len(part) % 8 == 0 for part in found[:-1])
    assert_array_equal(np.sort(np.concatenate(found)), np.arange(sizes.sum()))
    if not buffer:
        assert_array_equal(np.concatenate(found), np.arange(sizes.sum()))


def test_joined_pieces_keep_grades_weights_and_wide_ids() -> None:
    narrow = sparse.csr_array(np.array([[0, 2.0], [1, 0]], np.float32))
    x = narrow.indptr.astype(np.int32), narrow.indices.astype(np.int32), narrow.data
    wide = x[0].astype(np.int64), x[1].astype(np.int64), x[2]
    plain = np.arange(3), np.array([1, 0])
    graded = (*plain, np.array([0.5, 2], np.float32))
    whole = joined([Piece(x, plain, None), Piece(wide, graded, np.array([3, 4], np.float32))])
    assert [part.dtype for part in whole.x] == [np.int64, np.int64, np.float32]
    assert whole.x[0].tolist() == [0, 1, 2, 3, 4]
    assert whole.y[2].tolist() == [1, 1, 0.5, 2]  # type: ignore[misc]
    assert whole.weight is not None
    assert whole.weight.tolist() == [1, 1, 3, 4]


def test_validation_and_callbacks_are_those_of_memory(easy: Split) -> None:
    train, test = easy
    seen: list[tuple[int, int]] = []

    class Watch(Callback):
        def on_batch_end(self, done: int, total: int, loss: float) -> None:
            seen.append((done, total))
            assert np.isfinite(loss)

        def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
            self.stop_training = epoch == 2

    net, streamed = small(train), small(train)
    stream = data.Stream(cut(train, [1000] * 3), shuffle_buffer=1200)
    names = ["p@1", "psp@3"]
    net.fit(train.X, train.Y, 1, validation_data=test, metrics=names, verbose=False)
    history = streamed.fit(
        stream, epochs=5, validation_data=test, metrics=names, callbacks=[Watch()], verbose=False
    )
    assert list(history) == list(net.history)
    assert history.epochs == [1, 2]
    assert history.last["val_p@1"] == streamed.evaluate(test.X, test.Y, ["p@1"])["p@1"]
    weights = sr.metrics.inv_propensity(train.Y)
    measured = streamed.evaluate(test.X, test.Y, ["psp@3"], inv_propensity=weights)
    assert history.last["val_psp@3"] == measured["psp@3"]
    assert all(0 < done <= total == 3000 for done, total in seen)


def test_means_of_an_epoch_are_those_of_its_rows(rows: Dataset) -> None:
    # No label in the last window: it has no part in the loss, but in what is active.
    empty = sparse.csr_array((300, rows.n_labels), dtype=np.float32)
    pieces = [(rows.X[:300], rows.Y[:300]), (rows.X[300:], empty)]
    net = small(rows)
    stream = data.Stream(pieces, shuffle_buffer=0)
    history = net.fit(stream, epochs=1, batch_size=300, verbose=False)
    alone = small(rows)
    found = alone.fit(rows.X[:300], rows.Y[:300], epochs=1, batch_size=300, verbose=False)
    # In memory the biases begin by the frequencies in both, so the first step is the same.
    assert history["loss"][0] == pytest.approx(found["loss"][0], rel=1e-6)


def test_an_iterator_trains_for_one_epoch(rows: Dataset) -> None:
    net = small(rows)
    stream = data.Stream(iter(cut(rows, [100] * 6)), n_rows=600)
    assert net.fit(stream, batch_size=64, verbose=False).epochs == [1]
    with pytest.raises(ValueError, match="an iterator that was used before"):
        net.fit(stream, batch_size=64, verbose=False)
    with pytest.raises(ValueError, match="epochs: found 2 with an iterator"):
        net.fit(data.Stream(iter([]), n_rows=5), epochs=2, verbose=False)
    with pytest.raises(ValueError, match="n_rows: found None for an iterator"):
        net.fit(iter(cut(rows, [600])), verbose=False)
    with pytest.raises(ValueError, match="metrics: found psp@k or psndcg@k with an iterator"):
        net.fit(
            data.Stream(iter(cut(rows, [600])), n_rows=600),
            validation_data=rows,
            metrics=["psp@1"],
            verbose=False,
        )
    assert no_threads_left()


class Counting:
    """Counts the pieces that were asked for."""

    def __init__(self, pieces: list[Any]) -> None:
        self.pieces, self.given = pieces, 0

    def __iter__(self) -> Iterator[Any]:
        for piece in self.pieces:
            self.given += 1
            yield piece


def test_a_first_look_goes_no_further_than_needed(easy: Split) -> None:
    train, _ = easy
    pieces = cut(train, [250] * 12)
    # Where labels are frequent: 20 of them, so 60 of all rows settle that biases begin at 0.
    frequent = [(X, np.arange(250) % 20) for X, _ in pieces]
    for found, labels, n_rows, given in (
        (frequent, 20, 3000, 4),
        (frequent, 20, None, 12),
        (pieces, train.n_labels * 100, 3000, 12),
    ):
        if labels > train.n_labels:
            found = [(X, csr_wide(Y, labels)) for X, Y in found]
        counting = Counting(found)
        net = sr.Network(
            [layers.SparseInput(train.n_features), layers.Dense(4), layers.SampledDense(labels)]
        )
        stream = data.Stream(counting, n_rows=n_rows, prefetch=0)
        survey = Feed(net, stream).survey(all_labels=False)
        assert (survey.n_rows, counting.given) == (3000, given)
        assert len(survey.first[0]) == 1001
        assert (survey.labels is None) == (labels == 20)


def csr_wide(Y: Any, columns: int) -> Any:
    return sparse.csr_array((Y.data, Y.indices, Y.indptr), shape=(Y.shape[0], columns))


def test_ctrl_c_ends_the_wait_for_a_slow_source(rows: Dataset) -> None:
    came_back = threading.Event()

    class Slow:
        def __iter__(self) -> Iterator[Any]:
            yield from cut(rows, [600])
            time.sleep(0.6)
            came_back.set()
            yield from cut(rows, [600])

    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        small(rows).fit(data.Stream(Slow(), n_rows=1200), epochs=1, verbose=False)
    timer.join()
    assert came_back.is_set()
    assert no_threads_left()


class FailsLater:
    """Gives all rows in the first passes, and less in the one after."""

    def __init__(self, pieces: list[Any], passes: int, error: Exception | None = None) -> None:
        self.pieces, self.passes, self.error = pieces, passes, error

    def __iter__(self) -> Iterator[Any]:
        self.passes -= 1
        yield from self.pieces[:-1]
        if self.passes >= 0:
            yield self.pieces[-1]
        elif self.error is not None:
            raise self.error


def test_a_stream_that_ends_early_or_late_is_an_error(rows: Dataset) -> None:
    pieces = cut(rows, [300, 300])
    with pytest.raises(ValueError, match="stream: found 300 rows in an epoch, wanted 600"):
        small(rows).fit(FailsLater(pieces, 2), epochs=2, verbose=False)
    with pytest.raises(ValueError, match="found 600 rows or more in an epoch, wanted 400"):
        small(rows).fit(data.Stream(pieces, n_rows=400), epochs=2, verbose=False)
    assert no_threads_left()


def test_an_error_of_the_source_ends_fit_and_the_network_stays_usable(rows: Dataset) -> None:
    net = small(rows)
    pieces = FailsLater(cut(rows, [300, 300]), 2, OSError("the disk is gone"))
    with pytest.raises(OSError, match="the disk is gone"):
        net.fit(pieces, epochs=3, verbose=False)
    assert net.history.epochs == [1]
    assert net.predict_topk(rows.X, 1).labels.shape == (600, 1)
    assert no_threads_left()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_no_thread_outlives_what_ends_training(rows: Dataset, error: type[BaseException]) -> None:
    class Ends(Callback):
        def on_batch_end(self, done: int, total: int, loss: float) -> None:
            raise error

    with pytest.raises(error):
        small(rows).fit(cut(rows, [30] * 20), epochs=2, callbacks=[Ends()], verbose=False)
    assert no_threads_left()


def test_reading_ahead_is_bounded_and_ends_when_it_is_closed() -> None:
    made: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            made.append(len(made))
            yield made[-1]

    items = ahead(endless, 3)
    assert [next(items) for _ in range(5)] == list(range(5))
    time.sleep(0.3)
    # Five were taken, three wait and one more is in the hand of the thread.
    assert len(made) == 9
    items.close()
    assert no_threads_left()


X, Y = sparse.csr_array(np.eye(4, dtype=np.float32)), [[0], [1], [2], [3]]


@pytest.mark.parametrize(
    ("stream", "error", "message"),
    [
        ([], ValueError, "X: found a stream without rows"),
        ([(X[:0], [])], ValueError, "X: found a stream without rows"),
        ([X], TypeError, "piece 0 of the stream: found csr_array, wanted a pair"),
        ([(X, Y), (X,)], TypeError, "piece 1 of the stream: found tuple of 1, wanted a pair"),
        ([(X, Y), (X[:, :2], Y)], ValueError, "piece 1 of the stream: X: found 2 columns"),
        ([(X, Y), (X, Y[:3])], ValueError, "piece 1 of the stream: Y: found 3 rows, wanted"),
        ([(X, [[0], [1], [2], [4]])], ValueError, "piece 0 of the stream: Y: found label 4"),
        ([(X, Y, [1.0])], ValueError, "piece 0 of the stream: weight: found shape"),
        (
            [(X, Y), (X.toarray(), Y)],
            TypeError,
            "piece 1 of the stream: X: found dense rows, wanted",
        ),
        ([(X * np.nan, Y)], ValueError, "piece 0 of the stream: X: found the value nan"),
        (X, TypeError, "Y: found None with csr_array as X, wanted the labels"),
        (X.toarray(), TypeError, "Y: found None with ndarray as X"),
        ("rows.txt", TypeError, "Y: found None with str as X"),
    ],
)
def test_a_wrong_stream_is_named_with_what_was_found(
    stream: Any, error: type[Exception], message: str
) -> None:
    net = sr.Network([layers.SparseInput(4), layers.Dense(4), layers.SampledDense(4)])
    with pytest.raises(error, match=message):
        net.fit(stream, epochs=1, verbose=False)
    assert no_threads_left()


def test_copies_of_all_pieces_are_one_warning() -> None:
    net = sr.Network([layers.SparseInput(4), layers.Dense(4), layers.SampledDense(4)])
    wide = X.astype(np.float64)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        net.fit([(wide, Y)] * 5, epochs=2, verbose=False)
    assert [str(warning.message)[:9] for warning in caught] == ["X: values"]
    assert caught[0].filename == __file__
    with pytest.raises(ValueError, match="piece 0 of the stream: X: copy=False, but values"):
        net.fit([(wide, Y)], copy=False, verbose=False)


def test_weights_and_labels_beside_a_stream_are_refused() -> None:
    net = sr.Network([layers.SparseInput(4), layers.Dense(4), layers.SampledDense(4)])
    with pytest.raises(ValueError, match="sample_weight: found with a stream"):
        net.fit([(X, Y)], sample_weight=[1.0], verbose=False)
    with pytest.raises(TypeError, match="Y: found list with a stream as X"):
        net.fit(data.Stream([(X, Y)]), Y, verbose=False)


@pytest.mark.parametrize("piece_bytes", [1, 500, 1 << 24])
def test_xmc_files_stream_as_they_are_read(
    rows: Dataset, in_memory: sr.Network, tmp_path: Path, piece_bytes: int
) -> None:
    for number, pair in enumerate(cut(rows, [200, 150, 250])):
        datasets.write_xmc(tmp_path / f"{number}.txt{'.gz' * (number == 1)}", *pair)
    # Values are written so that they read back the same.
    stream = data.stream_xmc(str(tmp_path / "*.txt*"), piece_bytes=piece_bytes)
    assert (stream.n_rows, stream.n_features, stream.n_labels) == (600, 400, 900)
    net = small(rows)
    net.fit(stream, epochs=3, batch_size=64, verbose=False)
    assert_same(net, in_memory)


def test_xmc_files_without_headers_take_the_sizes_of_the_network(
    rows: Dataset, in_memory: sr.Network, tmp_path: Path
) -> None:
    path = tmp_path / "rows.txt"
    datasets.write_xmc(path, rows.X, rows.Y)
    path.write_text(path.read_text().split("\n", 1)[1])
    stream = data.stream_xmc(path)
    assert stream.n_rows is None
    net = small(rows)
    net.fit(stream, epochs=3, batch_size=64, verbose=False)
    assert_same(net, in_memory)
    with pytest.raises(ValueError, match=r"n_features: found None and no header in .*rows.txt"):
        next(iter(stream))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2 9 4\n0 1:1\n1 2:1\n", "found 9 features in the header, wanted at most 4"),
        ("0 1:1\n1 7:1\n", "found the feature 7, wanted 0 to 3"),
        ("0 1:1\n9 3:1\n", "found the label 9, wanted 0 to 3"),
        ("0 1:1\n1 3=1\n", 'line 2: found "3=1"'),
        ("3 4 4\n0 1:1\n1 3:1\n", "found 2 points, wanted 3"),
        ("2 4 4\n0 1:1\n1 4:1\n", 'line 3: found "4:1"'),
    ],
)
def test_a_wrong_file_is_named_while_it_streams(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "wrong.txt"
    path.write_text(text)
    net = sr.Network([layers.SparseInput(4), layers.Dense(4), layers.SampledDense(4)])
    with pytest.raises(ValueError, match=message) as caught:
        net.fit(data.stream_xmc(path), epochs=1, verbose=False)
    assert "wrong.txt" in str(caught.value)
    assert no_threads_left()


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file that matches .*\*.txt"):
        data.stream_xmc(str(tmp_path / "*.txt"))
    with pytest.raises(FileNotFoundError):
        data.stream_xmc(tmp_path / "no.txt")
    with pytest.raises(ValueError, match="paths: found no file"):
        data.stream_xmc([])


def test_the_command_line_streams_all_files_of_a_pattern(
    rows: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, pair in enumerate(cut(rows, [250, 350])):
        datasets.write_xmc(tmp_path / f"train-{number}.txt", *pair)
    pattern, valid = str(tmp_path / "train-*.txt"), str(tmp_path / "train-0.txt")
    out = tmp_path / "net.safetensors"
    options = ["--hidden", "8", "--epochs", "2", "--batch-size", "64", "--out", str(out), "--json"]
    assert main(["train", pattern, "--stream", "--valid", valid, *options]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert {"loss", "p@1", "samples_per_second"} <= set(lines[0])
    # The network that the options build, trained in memory.
    net = sr.Network(
        [layers.SparseInput(400), layers.Dense(8), layers.SampledDense(900)],
        optimizer=sr.optim.Adam(),
    )
    net.fit(rows.X, rows.Y, epochs=2, batch_size=64, verbose=False)
    assert_same(sr.load(out), net)
    for wrong, message in (
        (["--members", "2"], "--members: found 2 with --stream"),
        (["--cache"], "--cache: found with --stream"),
    ):
        assert main(["train", pattern, "--stream", *wrong]) == 2
        assert message in capsys.readouterr().err
    bare = tmp_path / "bare.txt"
    bare.write_text("0 1:1\n")
    assert main(["train", str(bare), "--stream"]) == 2
    assert "found a file without a header" in capsys.readouterr().err


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peaks are counted otherwise")
def test_a_file_of_many_megabytes_streams_through_a_few(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    lines = "".join(f"{i % 50} {i % 90}:1 {100 + i % 97}:0.5{'1' * 900}\n" for i in range(2000))
    with path.open("w") as file:
        for _ in range(60):
            file.write(lines)
    assert path.stat().st_size > 100e6
    code = (
        "import resource, sys, slide_rs as sr\n"
        "from slide_rs import layers as l\n"
        "net = sr.Network([l.SparseInput(200), l.Dense(4), l.SampledDense(50)], threads=1)\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "before = peak()\n"
        "stream = sr.data.stream_xmc(sys.argv[1], piece_bytes=1 << 20, shuffle_buffer=5000)\n"
        "net.fit(stream, epochs=1, verbose=False)\n"
        "print(peak() - before)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert float(found.stdout) < 40

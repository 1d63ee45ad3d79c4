"""Training on a stream: what is known of it beforehand, and how an epoch goes through it.

Rows are held in a window at a time and trained on by the engine's own epoch, which shuffles them. A
stream that fits in its buffer trains exactly as the same rows in memory do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from slide_rs import arrays, evaluation, prior, training
from slide_rs.arrays import Features, features, n_rows
from slide_rs.callbacks import Callback, ModelCheckpoint
from slide_rs.course import Course, Stamp
from slide_rs.history import History
from slide_rs.labels import Targets, check_grades, pattern, targets, weights
from slide_rs.streams import Stream, as_batch
from slide_rs.subsets import take
from slide_rs.windows import Piece, joined, windows

if TYPE_CHECKING:
    from slide_rs.network import Network

__all__ = ["Feed", "Survey", "as_stream", "checked", "fit", "train"]


@dataclass(frozen=True, slots=True)
class Survey:
    """What is known of a stream before it is trained on."""

    n_rows: int
    #: The first rows, up to 1,000.
    first: Features
    #: All labels, where they were wanted and are not more than that.
    labels: Piece | None
    #: The pieces that an iterator gave for this; they are the first of its epoch.
    begun: Generator[Piece, None, None] | None = None


@dataclass(frozen=True, slots=True)
class Feed:
    """A stream whose pieces are checked and converted for one network."""

    network: Network
    stream: Stream
    copy: bool = True

    def pieces(self) -> Generator[Piece, None, None]:
        """Yield the pieces that have rows, as the engine takes them."""
        config = self.network.config
        columns = config.input.in_features, config.output.units
        return checked(self.stream, columns, loss=config.loss, copy=self.copy)

    def survey(self, *, all_labels: bool) -> Survey:
        """Look at the stream beforehand, no further than needed.

        That is to the end if its rows have to be counted or `all_labels` are wanted; else as far
        as the first rows go, and until there are so many labels that the biases of the outputs do
        not begin by them (`prior.begin_at_frequencies`). Of an iterator it is the first piece.
        """
        if self.stream.once:
            return self._glance(all_labels=all_labels)
        most = math.inf if all_labels else prior.most_labels(self.network)
        known = self.stream.n_rows
        rows = entries = ahead = 0
        first: list[Piece] = []
        kept: list[Piece] = []
        with closing(self.pieces()) as pieces:
            for piece in pieces:
                rows, entries = rows + len(piece), entries + len(piece.y[1])
                if ahead < training.PROBE_ROWS:
                    first.append(_first(piece))
                    ahead += len(piece)
                if entries >= most:
                    kept.clear()
                else:
                    nothing = np.empty((len(piece), 0), np.float32)
                    kept.append(replace(piece, x=nothing))
                if known is not None and ahead >= training.PROBE_ROWS and entries >= most:
                    break
        if not rows:
            raise ValueError("X: found a stream without rows, wanted at least 1")
        labels = joined(kept) if entries < most else None
        return Survey(known or rows, _first(joined(first)).x, labels)

    def _glance(self, *, all_labels: bool) -> Survey:
        if self.stream.n_rows is None:
            raise ValueError(
                "n_rows: found None for an iterator, which can be gone through only once, wanted "
                "the number of its rows: data.Stream(pairs, n_rows=...)"
            )
        if all_labels:
            raise ValueError(
                "metrics: found psp@k or psndcg@k with an iterator, wanted a stream that can be "
                "gone through before training, for how often each label occurs"
            )
        pieces = self.pieces()
        for piece in pieces:
            return Survey(self.stream.n_rows, _first(piece).x, None, _behind(piece, pieces))
        raise ValueError("X: found a stream without rows, wanted at least 1")


def checked(
    stream: Stream, columns: tuple[int, int], *, loss: str | None = None, copy: bool = True
) -> Generator[Piece, None, None]:
    """Yield the pieces that have rows, as the engine takes them.

    Examples
    --------
    >>> X = np.eye(3, dtype=np.float32)
    >>> pieces = checked(Stream([(X, [0, 1, 2]), (X[:0], X[0, :0].astype(int))]), (3, 3))
    >>> [len(piece) for piece in pieces]
    [3]
    """
    sparse: bool | None = None
    with closing(stream.pieces(*columns)) as found:
        for number, item in enumerate(found):
            batch = as_batch(item, number)
            with _of_piece(number):
                x = features(batch.X, columns[0], copy=copy)
                y = targets(batch.Y, columns[1], n_rows(x), copy=copy)
                if loss is not None:
                    check_grades(y, loss)
                weight = weights(batch.weight, n_rows(x), name="weight", copy=copy)
                if not n_rows(x):
                    continue
                if sparse is not None and sparse != isinstance(x, tuple):
                    kinds = ("sparse", "dense") if sparse else ("dense", "sparse")
                    raise TypeError(f"X: found {kinds[1]} rows, wanted {kinds[0]} ones as before")
                sparse = isinstance(x, tuple)
            yield Piece(x, y, weight)


@contextmanager
def _of_piece(number: int) -> Iterator[None]:
    """Name the piece in an error; not in a warning, which is to be the same for all."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(f"piece {number} of the stream: {error}") from None


def as_stream(found: object) -> Stream:
    """Return what is given in place of X and Y as a stream.

    Examples
    --------
    >>> as_stream([("X", "Y")]).once
    False
    """
    if isinstance(found, Stream):
        return found
    rows = arrays.is_compressed(found) or hasattr(found, "__array__") or hasattr(found, "tocsr")
    if rows or isinstance(found, str | bytes) or not isinstance(found, Iterable):
        raise TypeError(
            f"Y: found None with {type(found).__name__} as X, wanted the labels of X; only a "
            "stream of pairs (X, Y) goes without"
        )
    return Stream(found)


def fit(
    network: Network, X: object, how: training.Wishes, callbacks: Sequence[Callback]
) -> History:
    """Train as `Network.fit` does, on a stream."""
    stream = as_stream(X)
    if how.sample_weight is not None:
        raise ValueError(
            "sample_weight: found with a stream, wanted None: a stream yields (X, Y, weight)"
        )
    if how.class_weight is not None:
        raise ValueError(
            "class_weight: found with a stream, wanted None: a stream yields (X, Y, weight)"
        )
    if stream.once and how.epochs not in (None, 1):
        raise ValueError(
            f"epochs: found {how.epochs} with an iterator, which can be gone through only once; "
            "wanted 1, or a stream that begins anew each time, such as a list or an object whose "
            "__iter__ is a generator function"
        )
    feed = Feed(network, stream, how.copy)
    psp = how.validation_data is not None and evaluation.needs_propensity(how.metrics)
    survey = feed.survey(all_labels=psp)
    epochs, batch = how.plan(survey.n_rows)
    counted = survey.labels.y if survey.labels else _no_labels(survey.first)
    validate = how.held_out(network, pattern(counted))
    seen = survey.first if validate is None else validate.x
    plan = training.Plan(
        epochs=1 if stream.once else epochs,
        batch_size=batch,
        probe=training.Probe.choose(seen, network.config.seed),
        validate=validate,
    )
    network._history = History()
    train(feed, survey, plan, callbacks, network._history)
    return network._history


def train(
    feed: Feed,
    survey: Survey,
    plan: training.Plan,
    callbacks: Sequence[Callback],
    history: History,
) -> None:
    """Run the plan on a stream and append each finished epoch to `history`."""
    network, stream, total = feed.network, feed.stream, survey.n_rows
    for callback in callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.every_steps is not None:
            raise ValueError(
                f"every_steps: found {callback.every_steps} with a stream, wanted None: a stream "
                "has checkpoints at the ends of epochs alone"
            )

    def begin() -> None:
        if survey.labels is not None:
            prior.begin_at_frequencies(network, survey.labels.y, survey.labels.weight)

    def train_rows(
        course: Course, most: int | None, on_batch: training.OnBatch
    ) -> Mapping[str, Any]:
        number = course.epoch
        random = np.random.default_rng([stream.seed, number])
        begun = survey.begun if number == 1 else None
        with closing(_counted(begun or feed.pieces(), total)) as pieces:
            tally = _Tally(total, on_batch)
            for window in windows(pieces, plan.batch_size, stream.shuffle_buffer, random):
                measured = network._core.train_epoch(
                    window.held.x,
                    window.held.y,
                    plan.batch_size,
                    shuffle=stream.shuffle_buffer > 0,
                    rows=window.rows,
                    on_batch=tally.on_batch,
                    weight=window.held.weight,
                )
                tally.add(measured)
                # Not kept alive while the next one is put together.
                del window
        return tally.measured

    def stamp() -> Stamp:
        # Going through all of it may take long: its order and its first rows stand for it.
        order = np.array([stream.seed, stream.shuffle_buffer], np.int64)
        first = Stamp.of(survey.first, (np.arange(1), order))
        return replace(first, rows=total, trained=total, labels=0)

    source = training.Source(total, stamp=stamp, begin=begin, train=train_rows)
    training.run(network, plan, source, callbacks, history)


class _Tally:
    """Means over the windows of an epoch; those of a single window are left as they are."""

    def __init__(self, total: int, report: Callable[[int, int, float], None]) -> None:
        self.total, self.report = total, report
        self.measured: dict[str, Any] = {}

    def on_batch(self, done: int, total: int, loss: float) -> None:
        before = self.measured.get("samples", 0)
        # Of this window it is not known yet how many rows have labels: as of those before, say.
        labelled = done * self.measured["labelled"] / before if before else done
        self.report(before + done, self.total, self._mean("loss", "labelled", loss, labelled))

    def add(self, measured: Mapping[str, Any]) -> None:
        if not self.measured:
            self.measured = dict(measured)
            return
        loss = self._mean("loss", "labelled", measured["loss"], measured["labelled"])
        samples = measured["samples"]
        active = self._mean("active_fraction", "samples", measured["active_fraction"], samples)
        before, name = self.measured["samples"], "hidden_active_fractions"
        hidden = [
            (a * before + b * samples) / (before + samples)
            for a, b in zip(self.measured[name], measured[name], strict=True)
        ]
        sums = {n: self.measured[n] + measured[n] for n in ("samples", "labelled", "steps")}
        means = {"loss": loss, "active_fraction": active, name: hidden, "lr": measured["lr"]}
        self.measured = {**sums, **means}

    def _mean(self, name: str, weigh: str, value: float, count: float) -> float:
        before = self.measured.get(weigh, 0)
        if not before:
            return value
        return float((self.measured[name] * before + value * count) / (before + count))


def _counted(pieces: Generator[Piece, None, None], total: int) -> Generator[Piece, None, None]:
    """Yield the pieces, if together they have as many rows as was said."""
    rows = 0
    with closing(pieces):
        for piece in pieces:
            rows += len(piece)
            if rows > total:
                break
            yield piece
    if rows != total:
        found = f"{rows} rows or more" if rows > total else f"{rows} rows"
        raise ValueError(
            f"stream: found {found} in an epoch, wanted {total}, as n_rows or the first pass says"
        )


def _behind(piece: Piece, pieces: Generator[Piece, None, None]) -> Generator[Piece, None, None]:
    """Yield a piece that was taken off the pieces, and then these."""
    with closing(pieces):
        yield piece
        yield from pieces


def _first(piece: Piece) -> Piece:
    """Return a copy of the first rows, without their labels: a view would keep the whole piece."""
    rows = np.arange(min(len(piece), training.PROBE_ROWS), dtype=np.int64)
    x = take(piece.x, rows)
    return Piece(x, _no_labels(x), None)


def _no_labels(x: Features) -> Targets:
    return np.zeros(n_rows(x) + 1, np.int64), np.empty(0, np.int64)

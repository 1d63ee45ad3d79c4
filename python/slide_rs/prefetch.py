"""A thread that gets what comes next while the last is worked on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Generic, TypeVar

__all__ = ["ahead"]

T = TypeVar("T")

#: Seconds after which a thread that waits looks whether it is still wanted.
LOOK = 0.1
#: Seconds that a source is given to come back when it is not wanted any more: one that hangs, such
#: as on a network, does not hold up Ctrl-C for longer.
GRACE = 10.0


class _Failed:
    """What ended the thread, to be raised where its results are taken."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _End:
    """There is no more."""


class _Thread(Generic[T]):
    """The thread, and the queue that it fills."""

    def __init__(self, make: Callable[[], Iterator[T]], depth: int) -> None:
        self.queue: queue.Queue[T | _Failed | _End] = queue.Queue(depth)
        self.stopped = threading.Event()
        # A daemon: where nobody closes the iterator, it does not keep the process alive.
        self.thread = threading.Thread(
            target=self._run, args=(make,), name="slide-rs-prefetch", daemon=True
        )

    def _run(self, make: Callable[[], Iterator[T]]) -> None:
        try:
            items = make()
            try:
                for item in items:
                    if not self._put(item):
                        return
            finally:
                close = getattr(items, "close", None)
                if close is not None:
                    close()
        except BaseException as error:
            self._put(_Failed(error))
        else:
            self._put(_End())

    def _put(self, item: T | _Failed | _End) -> bool:
        """Wait for room; False if nobody wants more."""
        while not self.stopped.is_set():
            try:
                self.queue.put(item, timeout=LOOK)
            except queue.Full:
                continue
            return True
        return False

    def get(self) -> T | _Failed | _End:
        # With a time limit, as Ctrl-C does not end a wait without one on every system.
        while True:
            try:
                return self.queue.get(timeout=LOOK)
            except queue.Empty:
                continue

    def stop(self) -> None:
        self.stopped.set()
        self.thread.join(GRACE)


def ahead(make: Callable[[], Iterator[T]], depth: int) -> Generator[T, None, None]:
    """Yield what `make` yields, in its order, from a thread that is up to `depth` items ahead.

    The thread starts with the first item and ends with the iterator: at its end, when it is closed
    and when an error passes through. An error in the thread is raised here, after the items before.

    Parameters
    ----------
    make : callable
        Called in the thread; returns an iterator.
    depth : int
        Items that wait at most; 0 for no thread at all.

    Examples
    --------
    >>> list(ahead(lambda: iter("abc"), depth=2))
    ['a', 'b', 'c']
    """
    if not depth:
        yield from make()
        return
    worker = _Thread(make, depth)
    worker.thread.start()
    try:
        while True:
            item = worker.get()
            if isinstance(item, _Failed):
                raise item.error
            if isinstance(item, _End):
                return
            yield item
            # Not kept alive while the next one is waited for.
            del item
    finally:
        worker.stop()

"""Who may use an interpreter's variables when: calls that write take turns, calls that read go side by side."""

from __future__ import annotations

import threading
from _thread import allocate_lock
from collections import Counter
from collections.abc import Callable
from threading import get_ident

from ..errors import StateError


class Turns:
    """A lock that many readers or one writer hold. Writers that wait go first; whoever holds it may enter again."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._changed = threading.Condition(self._lock)
        self._readers: Counter[int] = Counter()  # times that each thread has entered
        self._writer: int | None = None
        self._depth = 0  # times that the writer has entered
        self._writers_waiting = self._waiting = 0  # writers, threads

    def start_reading(self) -> None:
        """Wait until no other thread writes or waits to."""
        me = get_ident()
        with self._lock:
            if me not in self._readers and self._writer != me:
                while self._writer is not None or self._writers_waiting:
                    self._wait()
            self._readers[me] += 1

    def stop_reading(self) -> None:
        """The end of what `start_reading` began."""
        me = get_ident()
        with self._lock:
            self._readers[me] -= 1
            if not self._readers[me]:
                del self._readers[me]
                self._wake()

    def start_writing(self) -> bool:
        """Wait until no other thread reads or writes; gives whether this is the thread's outermost entry.

        Raises StateError for a thread that reads only: two of those would wait for each other.
        """
        me = get_ident()
        with self._lock:
            if self._writer != me:
                if me in self._readers:
                    what = (
                        "a call that assigns variables was made within a call of the same interpreter that reads them."
                    )
                    raise StateError(what, hint="Make it before or after, or on another interpreter.")
                if self._writer is not None or self._readers:
                    self._queue()
                self._writer = me
            self._depth += 1
            return self._depth == 1

    def _queue(self) -> None:
        self._writers_waiting += 1
        try:
            while self._writer is not None or self._readers:
                self._wait()
        finally:
            self._writers_waiting -= 1
            self._wake()

    def stop_writing(self) -> None:
        """The end of what `start_writing` began."""
        with self._lock:
            self._depth -= 1
            if not self._depth:
                self._writer = None
                self._wake()

    def _wait(self) -> None:
        self._waiting += 1
        try:
            self._changed.wait()
        finally:
            self._waiting -= 1

    def _wake(self) -> None:
        if self._waiting:
            self._changed.notify_all()


class Reading:
    """Entered around a call that reads."""

    __slots__ = ("_turns",)

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    def __enter__(self) -> None:
        self._turns.start_reading()

    def __exit__(self, *_: object) -> None:
        self._turns.stop_reading()


class Writing:
    """Entered around a call that writes. `remember` gives a function that undoes what a call that fails has written;
    `keep` is called after one that does not."""

    __slots__ = ("_keep", "_remember", "_turns", "_undo")

    def __init__(self, turns: Turns, remember: Callable[[], Callable[[], None]], keep: Callable[[], None]) -> None:
        self._turns, self._remember, self._keep = turns, remember, keep
        self._undo: Callable[[], None] | None = None

    def __enter__(self) -> None:
        if self._turns.start_writing():
            self._undo = self._remember()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if self._undo is not None:
                self._keep() if kind is None else self._undo()
        finally:
            self._turns.stop_writing()

"""Who may use an interpreter's variables when: calls that write take turns, calls that read go side by side.

An interrupt may come between any two steps of a call. So a turn is entered under an object of its own in one step, and
left by naming that object, which does no harm if it is done twice, or for nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from threading import get_ident
from typing import Protocol, TypeVar

from ..errors import StateError

T = TypeVar("T")


class Turn(Protocol):
    """What a call may have to wait for and holds on to while it runs; see `during`."""

    def begin(self) -> None:
        """Wait for it."""

    def keep(self) -> None:
        """The call has ended well."""

    def end(self) -> None:
        """The call is over, well or not. May be called twice, and without `begin` or in the midst of it."""


def during(turn: Turn, work: Callable[[], T]) -> T:
    """What `work` gives, done while `turn` is held."""
    try:
        turn.begin()
        result = work()
        turn.keep()
        return result
    finally:
        try:
            turn.end()
        except KeyboardInterrupt:  # which came meanwhile
            turn.end()
            raise


class Turns:
    """A lock that many readers or one writer hold. Writers that wait go first; whoever holds it may enter again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # taken and released by `with` in one step each, as a Condition is not
        self._changed = threading.Condition(self._lock)
        self._readers: dict[Reading, int] = {}  # threads by what they entered under
        self._writers: dict[Writing, int] = {}  # one thread, the outermost entry first
        self._waiting: dict[Writing, int] = {}  # threads that wait to write

    def start_reading(self, holder: Reading) -> None:
        """Wait until no other thread writes or waits to."""
        me = get_ident()
        with self._lock:
            while (self._writers or self._waiting) and not self._holds(me):
                self._changed.wait()
            self._readers[holder] = me

    def start_writing(self, holder: Writing) -> None:
        """Wait until no other thread reads or writes.

        Raises StateError for a thread that reads only: two of those would wait for each other.
        """
        me = get_ident()
        with self._lock:
            if me in self._readers.values() and me not in self._writers.values():
                what = "a call that assigns variables was made within a call of the same interpreter that reads them."
                raise StateError(what, hint="Make it before or after, or on another interpreter.")
            try:
                self._waiting[holder] = me
                while me not in self._writers.values() and (self._writers or self._readers):
                    self._changed.wait()
                self._writers[holder] = me
            finally:
                self._waiting.pop(holder, None)
                self._changed.notify_all()

    def stop_reading(self, holder: Reading) -> None:
        """The end of what `start_reading` began."""
        with self._lock:
            self._readers.pop(holder, None)
            self._changed.notify_all()

    def stop_writing(self, holder: Writing) -> None:
        """The end of what `start_writing` began."""
        with self._lock:
            self._writers.pop(holder, None)
            self._waiting.pop(holder, None)
            self._changed.notify_all()

    def is_outermost(self, holder: Writing) -> bool:
        """Whether the thread that writes did not do so before `holder` entered."""
        return next(iter(self._writers), None) is holder

    def after_fork(self) -> list[Writing]:
        """Go on with this thread alone. Gives what others were writing under, the innermost first."""
        me, writers = get_ident(), self._writers
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._readers = {holder: thread for holder, thread in self._readers.items() if thread == me}
        self._writers = {holder: thread for holder, thread in writers.items() if thread == me}
        self._waiting = {}
        return [holder for holder, thread in reversed(writers.items()) if thread != me]

    def _holds(self, thread: int) -> bool:
        return thread in self._readers.values() or thread in self._writers.values()


class Reading:
    """The turn of a call that reads."""

    __slots__ = ("_turns",)

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    def begin(self) -> None:
        self._turns.start_reading(self)

    def keep(self) -> None:
        """Nothing was written."""

    def end(self) -> None:
        self._turns.stop_reading(self)


class Writing:
    """The turn of a call that writes. `remember` gives a function that undoes what a call that fails has written, and
    may be called twice; `settle` is called after one that does not, if it is no part of another."""

    __slots__ = ("_remember", "_settle", "_turns", "_undo")

    def __init__(self, turns: Turns, remember: Callable[[], Callable[[], None]], settle: Callable[[], None]) -> None:
        self._turns, self._remember, self._settle = turns, remember, settle
        self._undo: Callable[[], None] | None = None

    def begin(self) -> None:
        self._turns.start_writing(self)
        self._undo = self._remember()

    def keep(self) -> None:
        self._undo = None  # from here on the call has happened
        if self._turns.is_outermost(self):
            self._settle()

    def undo(self) -> None:
        """Make everything what it was, unless the call has ended well."""
        if self._undo is not None:
            self._undo()
            self._undo = None

    def end(self) -> None:
        try:
            self.undo()
        finally:
            self._turns.stop_writing(self)

"""How many calls of one interpreter may be in flight, and how long further ones wait."""

from __future__ import annotations

import threading
from threading import get_ident

from ..limits import Limits, beyond


class CallQueue:
    """Where `max_concurrent_calls` sets a limit: threads that may call. Calls within a call of theirs do not count."""

    def __init__(self, limits: Limits) -> None:
        assert limits.max_concurrent_calls is not None
        self._most, self._wait_ms = limits.max_concurrent_calls, limits.max_wait_ms
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._inside: dict[object, int] = {}  # threads by the places that they have

    @classmethod
    def of(cls, limits: Limits) -> CallQueue | None:
        """The queue that these limits ask for."""
        return None if limits.max_concurrent_calls is None else cls(limits)

    def start(self, holder: object) -> None:
        """Wait for a place. Raises LimitError after `max_wait_ms`."""
        me, seconds = get_ident(), None if self._wait_ms is None else self._wait_ms / 1e3
        with self._lock:
            if not self._changed.wait_for(lambda: self._has_room(me), seconds):
                what = f"The call has waited for {self._wait_ms} ms, and there are still others in flight"
                raise beyond(what, "max_concurrent_calls", self._most)
            self._inside[holder] = me

    def stop(self, holder: object) -> None:
        """Give the place back; does nothing for who has none."""
        with self._lock:
            self._inside.pop(holder, None)
            self._changed.notify_all()

    def after_fork(self) -> None:
        """Go on with this thread alone."""
        me = get_ident()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._inside = {holder: thread for holder, thread in self._inside.items() if thread == me}

    def _has_room(self, thread: int) -> bool:
        threads = set(self._inside.values())
        return thread in threads or len(threads) < self._most


class InQueue:
    """A call's place in the queue, as a `turns.Turn`."""

    __slots__ = ("_queue",)

    def __init__(self, queue: CallQueue) -> None:
        self._queue = queue

    def begin(self) -> None:
        self._queue.start(self)

    def keep(self) -> None:
        """A place is given back in any case."""

    def end(self) -> None:
        self._queue.stop(self)

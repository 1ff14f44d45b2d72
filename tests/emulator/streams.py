"""Streams whose work runs only when somebody waits for it, in a random order that CUDA allows."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from time import perf_counter
from typing import Any, TypeAlias

from tests.fakes import TOUCH

Task: TypeAlias = Callable[[], None]
Graph: TypeAlias = tuple[Task, ...]


class CaptureFault(AssertionError):
    """Something was done during capture that CUDA refuses then."""


class Event:
    """A point in a stream's work."""

    is_reached = False
    time = 0.0  # when it was reached, in seconds


class Stream:
    """Work in order; an event in it is one to wait for."""

    def __init__(self) -> None:
        self.queue: deque[Task | Event] = deque()
        self.held: list[Any] = []  # arrays whose addresses the queued work has
        self.captured: list[Task] | None = None

    @property
    def is_ready(self) -> bool:
        return not isinstance(self.queue[0], Event) or self.queue[0].is_reached


class Streams:
    """All streams of a device. Thread-safe; whoever waits runs its own work and, at random, that of others."""

    def __init__(self, seed: int = 0) -> None:
        self._random = Random(seed)
        self._lock = threading.RLock()
        self._local = threading.local()
        self._busy: dict[Stream, None] = {}
        self._default = Stream()

    def current(self) -> Stream:
        """The stream of this thread."""
        stream: Stream = getattr(self._local, "stream", self._default)
        return stream

    @contextmanager
    def using(self, stream: Stream) -> Iterator[None]:
        """Make a stream the current one; what the array module does comes after its work, and runs at once."""
        outer, before = self.current(), TOUCH.before
        self._local.stream, TOUCH.before = stream, self._before_array_code
        try:
            yield
        finally:
            self._local.stream, TOUCH.before = outer, before

    def push(self, task: Task) -> None:
        """Queue a launch on the current stream, or record it."""
        captured = self.current().captured
        if captured is not None:
            captured.append(task)
        else:
            self._queue(task)

    def push_copy(self, task: Task) -> None:
        """Queue what can't be recorded."""
        self.forbid("a copy")
        self._queue(task)

    def hold(self, array: Any) -> None:
        """Keep an array until the work that is queued before the next event is done; pools keep memory valid, too."""
        self.current().held.append(array)

    def record(self, *, timed: bool = False) -> Event:
        self.forbid("recording an event")
        event, stream = Event(), self.current()
        held, stream.held = stream.held, []

        def reach() -> None:
            held.clear()
            event.is_reached, event.time = True, perf_counter() if timed else 0.0

        self._queue(reach)
        return event

    def elapsed(self, start: Event, end: Event) -> float:
        assert min(start.time, end.time) > 0, "events that are not timed, or not reached"
        return end.time - start.time

    def wait(self, event: Event) -> None:
        self.forbid("waiting for an event")
        self._queue(event)

    def synchronize(self) -> None:
        """Run until the current stream has no work left. Raises what a task raises."""
        self.forbid("synchronisation")
        stream = self.current()
        with self._lock:
            self._run_until(lambda: not stream.queue)
            stream.held.clear()

    def await_event(self, event: Event) -> None:
        """Run until an event is reached. Raises what a task raises."""
        self.forbid("synchronisation")
        with self._lock:
            self._run_until(lambda: event.is_reached)

    def begin_capture(self) -> None:
        self.forbid("another capture")
        assert self.current() is not self._default, "the default stream can't be captured"
        self._local.capturing = True
        self.current().captured = []

    def end_capture(self) -> Graph:
        stream = self.current()
        assert stream.captured is not None, "nothing is captured on this stream"
        graph, stream.captured = tuple(stream.captured), None
        self._local.capturing = False
        return graph

    def forbid(self, what: str) -> None:
        """Raise CaptureFault if this thread captures."""
        if getattr(self._local, "capturing", False):
            raise CaptureFault(f"{what} during capture")

    def random_bits(self) -> int:
        with self._lock:
            return self._random.getrandbits(62)

    def _before_array_code(self) -> None:
        self.forbid("array code")
        self.synchronize()

    def _queue(self, entry: Task | Event) -> None:
        with self._lock:
            stream = self.current()
            stream.queue.append(entry)
            self._busy[stream] = None
        if stream is self._default:
            TOUCH.before = self._before_array_code

    def _run_until(self, is_done: Callable[[], bool]) -> None:
        while not is_done():
            ready = [stream for stream in self._busy if stream.is_ready]
            assert ready, "streams wait for each other"
            stream = self._random.choice(ready)
            entry = stream.queue.popleft()
            if not stream.queue:
                del self._busy[stream]
            if not isinstance(entry, Event):
                entry()

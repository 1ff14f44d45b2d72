"""Threads that make calls, and the line before them.

Requests are admitted before they are read, so that what waits is bounded in number and in bytes. All but the work
itself happens on the event loop's thread, so nothing here takes a lock.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from .faults import ClientGone, not_now

T = TypeVar("T")
Receive = Callable[[], Awaitable[Any]]


class Workers:
    """`concurrency` threads, and at most `max_queue` requests that are read or wait for one."""

    def __init__(self, concurrency: int, max_queue: int) -> None:
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="serve")
        self._free, self._concurrency, self._max_queue = concurrency, concurrency, max_queue
        self._line: deque[asyncio.Future[None]] = deque()
        self._waiting = 0
        self._idle: asyncio.Event | None = None  # set while draining, once there is nothing to do

    @property
    def waiting(self) -> int:
        """Requests that are being read or wait for a thread."""
        return self._waiting

    @property
    def running(self) -> int:
        """Threads at work, those included whose requests have been answered with 504."""
        return self._concurrency - self._free

    @property
    def is_draining(self) -> bool:
        return self._idle is not None

    @contextmanager
    def admitted(self) -> Iterator[Place]:
        """A place for a request. Raises Refused (503) where there is none."""
        if self.is_draining:
            raise not_now("the server is stopping.")
        if self._waiting >= self._max_queue + self._free:
            raise not_now(f"{self._waiting} requests wait already.")
        place = Place(self)
        self._waiting += 1
        try:
            yield place
        finally:
            place.leave()

    async def thread(self, receive: Receive) -> None:
        """Wait for a thread, in line. Raises ClientGone if `receive` ends meanwhile: the client has left."""
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        watch = asyncio.ensure_future(receive())
        watch.add_done_callback(lambda _: None if turn.done() else turn.set_exception(ClientGone()))
        self._line.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._release()  # it came at the moment in which the wait was given up
            raise
        finally:
            watch.cancel()

    def start(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Run `work` in the thread that was waited for; it is free again when that ends, whoever still waits for it."""
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        future.add_done_callback(self._done)
        return future

    def left(self) -> None:
        """A request waits no more."""
        self._waiting -= 1
        self._tell_idle()

    async def drain(self, seconds: float) -> bool:
        """Admit nothing more and wait until all that is here has ended; whether it has within `seconds`."""
        self._idle = self._idle or asyncio.Event()
        self._tell_idle()
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Let the threads go when they are done."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _done(self, future: asyncio.Future[Any]) -> None:
        if not future.cancelled():
            future.exception()  # looked at, also where nobody waits for it any more
        self._release()
        self._tell_idle()

    def _release(self) -> None:
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _tell_idle(self) -> None:
        if self._idle is not None and not self._waiting and not self.running:
            self._idle.set()


class Place:
    """Where a request waits."""

    def __init__(self, workers: Workers) -> None:
        self._workers, self._is_here = workers, True

    async def run(self, work: Callable[[], T], receive: Receive) -> T:
        """What `work` gives, done in a thread as soon as one is free. Raises ClientGone."""
        await self._workers.thread(receive)
        future = self._workers.start(work)
        self.leave()
        return await asyncio.shield(future)

    def leave(self) -> None:
        """Wait no more; may be called twice."""
        if self._is_here:
            self._is_here = False
            self._workers.left()

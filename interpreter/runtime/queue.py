"""How many calls of one interpreter may be in flight, and how long further ones wait."""

from __future__ import annotations

from threading import Semaphore

from ..limits import Limits, beyond


class CallQueue:
    """Entered around a call, where `max_concurrent_calls` sets a limit. LimitError after `max_wait_ms` in it."""

    def __init__(self, limits: Limits) -> None:
        assert limits.max_concurrent_calls is not None
        self._limits = limits
        self._free = Semaphore(limits.max_concurrent_calls)

    @classmethod
    def of(cls, limits: Limits) -> CallQueue | None:
        """The queue that these limits ask for."""
        return None if limits.max_concurrent_calls is None else cls(limits)

    def __enter__(self) -> None:
        waits = self._limits.max_wait_ms
        if not self._free.acquire(timeout=None if waits is None else waits / 1e3):
            what = f"The call has waited for {waits} ms, and there are still others in flight"
            raise beyond(what, "max_concurrent_calls", self._limits.max_concurrent_calls or 0)

    def __exit__(self, *_: object) -> None:
        self._free.release()

"""Device memory as the runtime sees it, and what each call in flight has there to itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary, WeakMethod

import numpy as np

from ...interpreter.errors import KernelError, LimitError, StateError
from ...interpreter.graph import Array
from ...interpreter.runtime.faults import BODY_ERRORS
from .arena import ALIGNMENT
from .device import Device, Memory
from .ending import Ending
from .gemm import WORKSPACE_BYTES
from .program import Bound

if TYPE_CHECKING:
    from .program import Program

T = TypeVar("T")

CHUNK_BYTES = 1 << 20
"""Least size of the memory in which a call's inputs are staged."""

REFUSAL_HINT = (
    "After a kernel has failed, CUDA refuses all work until the process ends; CUDA_LAUNCH_BLOCKING=1 shows which."
)

STAGED_BYTES = 4 << 20
"""Results up to this size leave through page-locked memory, so that their copies overlap; larger ones gain nothing."""


class CallLane:
    """What one call in flight has to itself: a stream, memory for its inputs, and its programs' arenas and graphs.

    Inputs are staged at the same addresses by each call that stages the same sizes in the same order, so that graphs
    that were captured with these addresses can be replayed.
    """

    def __init__(self, device: Device, memory: Callable[[int], Memory]) -> None:
        """memory: a method of the space that keeps this lane; a cycle would hold memory until the collector comes."""
        self._device, self._source = device, WeakMethod(memory)
        self.stream = device.stream()
        self.caller: Any = None  # the stream of whoever makes the present call
        self.ending = Ending(self, device)  # of the last call: what the lane holds may be used anew after it
        self.bound: WeakKeyDictionary[Program, Bound] = WeakKeyDictionary()
        self.used: dict[Program, Bound] = {}  # in the present call
        self._chunks: list[tuple[Memory, np.ndarray]] = []
        self._chunk, self._used = 0, 0

    def restart(self) -> None:
        """A new call: what the last one staged may be overwritten, once its copies are done."""
        self.ending.wait()
        self._chunk, self._used = 0, 0

    def finish(self) -> None:
        """The end of the call: all that it has queued is before it."""
        self.ending.event = self._device.record()
        for bound in self.used.values():
            bound.ending.event = self.ending.event
        self.used.clear()

    def _memory(self, nbytes: int) -> Memory:
        source = self._source()
        assert source is not None, "a lane is used by calls only, and these hold the space"
        return source(nbytes)

    def program(self, program: Program) -> Bound:
        """A program on this lane."""
        found = self.bound.get(program)
        if found is None:
            found = self.bound[program] = Bound(program, self._workspace)
        if program not in self.used:
            found.begin()
            self.used[program] = found
        return found

    def _workspace(self) -> Memory:
        """What programs on this lane share, one after another, as long as one of them has products."""
        shared = [bound.workspace for bound in self.bound.values() if bound.workspace is not None]
        return shared[0] if shared else self._memory(WORKSPACE_BYTES)

    def trim(self) -> None:
        """Give back what the present call has not used."""
        for program in [p for p in self.bound if p not in self.used]:
            del self.bound[program]
        del self._chunks[self._chunk + 1 :]

    def stage(self, host: np.ndarray) -> Array:
        """A copy that lasts until the call ends, by way of page-locked memory."""
        source = np.ascontiguousarray(host)
        memory, pinned, offset = self._space(source.nbytes)
        staged = pinned[offset : offset + source.nbytes]
        staged[:] = source.reshape(-1).view(np.uint8)
        target = self._device.array(memory, offset, host.shape, host.dtype)
        self._device.copy_in(target, staged.view(host.dtype).reshape(host.shape))
        return target

    def _space(self, nbytes: int) -> tuple[Memory, np.ndarray, int]:
        """Room in a chunk: the present one, the next one, or a new one in the place of one that is too small."""
        padded = max(-(-nbytes // ALIGNMENT), 1) * ALIGNMENT
        if self._used and self._used + padded > self._chunks[self._chunk][0].nbytes:
            self._chunk, self._used = self._chunk + 1, 0
        if not self._used and (self._chunk == len(self._chunks) or self._chunks[self._chunk][0].nbytes < padded):
            del self._chunks[self._chunk : self._chunk + 1]
            size = max(padded, CHUNK_BYTES)
            self._chunks.insert(self._chunk, (self._memory(size), self._device.pinned(size)))
        self._used += padded
        return *self._chunks[self._chunk], self._used - padded


class DeviceSpace:
    """Memory of one device. Takes whatever of the caller's the device owns, uncopied."""

    def __init__(self, device: Device) -> None:
        self.device, self.name, self.xp = device, device.name, device.xp
        self.errors: tuple[type[Exception], ...] = (*BODY_ERRORS, *device.errors)
        self._idle: list[CallLane] = []
        self._lock = threading.Lock()
        self._local = threading.local()

    def stage(self, host: np.ndarray) -> Array:
        lane: CallLane | None = getattr(self._local, "lane", None)
        return self.put(host) if lane is None or not host.size else lane.stage(host)

    def put(self, host: np.ndarray) -> Array:
        """A copy, there when this returns."""
        with self.told(), self.device.using(self.device.current()):
            array = self.within(lambda: self.device.xp.empty(host.shape, host.dtype))
            if host.size:
                self.device.copy_in(array, np.ascontiguousarray(host))
            self.device.synchronize()
        return array

    def get(self, arrays: Sequence[Array]) -> list[np.ndarray]:
        with self.told():
            staged = [self._fetch(array) for array in arrays]
            self.device.synchronize()
        return [host.copy() if is_staged else host for host, is_staged in staged]

    def _fetch(self, array: Array) -> tuple[np.ndarray, bool]:
        """Host memory that the array's values are on their way to, and whether that is page-locked."""
        is_staged = 0 < array.nbytes <= STAGED_BYTES
        host = np.empty(array.shape, array.dtype)
        if is_staged:
            host = self.device.pinned(array.nbytes).view(array.dtype).reshape(array.shape)
        if array.nbytes:
            self.device.copy_out(host, array)
        return host, is_staged

    def owns(self, value: Any) -> bool:
        return self.device.owns(value)

    def adopt(self, value: Any) -> Array:
        return self.device.adopt(value)

    @contextmanager
    def lane(self) -> Iterator[None]:
        """A stream of this call's own: starts after what the caller has queued on its stream, which goes on after it.

        Nothing waits on the host, so outputs that stay on the device may still be in the making when this returns.
        Raises KernelError where the device refuses work, as it does after a kernel has failed there.
        """
        with self.told(), self._lane():
            yield

    @contextmanager
    def told(self) -> Iterator[None]:
        """What the device's module raises, as a KernelError."""
        try:
            yield
        except self.device.errors as error:
            raise KernelError(f"{self.name} refuses work: {error}.", hint=REFUSAL_HINT) from error

    @contextmanager
    def _lane(self) -> Iterator[None]:
        caller = self.device.current()
        queued = self.device.record()
        lane, outer = self._borrow(), getattr(self._local, "lane", None)
        self._local.lane = lane
        lane.caller = caller
        is_fit = True
        try:
            with self.device.using(lane.stream):
                self.device.wait(queued)
                try:
                    yield
                    for bound in lane.used.values():
                        bound.check()
                finally:
                    lane.finish()
        except LimitError:  # what it holds is too much: the next call starts anew
            is_fit = False
            raise
        finally:
            self._local.lane, lane.caller = outer, None
            if lane.ending.event is not None:  # after an error, too: what was queued may use the caller's memory
                self.device.wait(lane.ending.event)
            if is_fit:
                with self._lock:
                    self._idle.append(lane)

    def give(self, array: Array) -> Array:
        """A copy in memory of the caller's stream, which may still read it when the caller drops it."""
        lane: CallLane | None = getattr(self._local, "lane", None)
        if lane is None:
            return self.within(array.copy)
        with self.device.using(lane.caller):
            copied = self.within(lambda: self.device.xp.empty(array.shape, array.dtype))
            free = self.device.record()
        self.device.wait(free)
        if array.size:
            self.device.copy(copied, self.within(lambda: self.device.xp.ascontiguousarray(array)))
        return copied

    def wait(self) -> None:
        self.device.synchronize()

    def mark(self) -> Any:
        return self.device.record()

    def follow(self, mark: Any) -> None:
        self.device.wait(mark)

    def bound(self, program: Program) -> Bound:
        """The program on the lane of this thread's call."""
        lane: CallLane | None = getattr(self._local, "lane", None)
        if lane is None:
            raise StateError("a GPU program runs inside a call only.", hint="Enter the lane() of its space first.")
        return lane.program(program)

    def memory(self, nbytes: int) -> Memory:
        """New memory. Raises LimitError if there is not enough."""
        memory: Memory = self.within(lambda: self.device.memory(nbytes))
        return memory

    def within(self, make: Callable[[], T]) -> T:
        """What a function makes in new memory. Where there is not enough, what idle lanes and earlier calls hold is
        given back first; LimitError if that is not enough either."""
        try:
            return make()
        except (LimitError, MemoryError):
            self._drop_idle()
        try:
            return make()
        except MemoryError as error:
            hint = "Use smaller inputs or batches."
            raise LimitError(f"the GPU has no memory left: {error}", where=self.name, hint=hint) from error

    def _drop_idle(self) -> None:
        lane: CallLane | None = getattr(self._local, "lane", None)
        if lane is not None:
            self.device.synchronize()
            lane.trim()
        with self._lock:
            idle, self._idle = self._idle, []
        idle.clear()

    def _borrow(self) -> CallLane:
        with self._lock:
            lane = self._idle.pop() if self._idle else None
        if lane is None:
            return CallLane(self.device, self.memory)
        lane.restart()
        return lane

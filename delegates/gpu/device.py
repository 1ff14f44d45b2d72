"""The CUDA device: the only file that imports CuPy, on first use.

Each call runs on a stream of its own. Memory comes from CuPy's default pool, which keeps freed blocks per stream: a
process that has had n calls in flight at once holds up to n times the memory of one call, until
`cupy.get_default_memory_pool().free_all_blocks()`.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from ...interpreter.errors import InputError, MissingDependencyError
from ...interpreter.graph import Array

_DLPACK_CUDA = 2  # DLDeviceType.kDLCUDA
_STAGED_BYTES = 4 << 20
"""Results up to this size leave through page-locked memory, so that their copies overlap; larger ones gain nothing."""


@cache
def import_cupy() -> Any:
    """CuPy. Raises ImportError where it is missing or finds no CUDA libraries."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import cupy

    return cupy


def available(device: int = 0) -> tuple[bool, str]:
    """Whether CUDA device number `device` can be used, and if not, why not. Never raises."""
    try:
        cupy = import_cupy()
    except ImportError as error:
        first_line, _, _ = str(error).strip().partition("\n")
        return False, f"CuPy can't be imported: {first_line or type(error).__name__}."
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return False, f"CUDA can't be used: {error}."
    if device >= count:
        return False, f"there is no CUDA device {device}: {count} found."
    return True, ""


class CupySpace:
    """Memory of one CUDA device.

    Takes CuPy arrays, and other arrays on the device through DLPack or `__cuda_array_interface__`.
    """

    def __init__(self, device: int = 0) -> None:
        """Raises MissingDependencyError if there is no such device."""
        usable, reason = available(device)
        if not usable:
            hint = "Install a CUDA driver and tflite-cupy[cuda12] or tflite-cupy[cuda13]."
            raise MissingDependencyError(f"no GPU: {reason}", hint=hint)
        self.xp = import_cupy()
        self.name = f"cuda:{device}"
        self.device = self.xp.cuda.Device(device)
        self._idle: list[Any] = []
        self._lock = threading.Lock()

    def put(self, host: np.ndarray) -> Array:
        return self.xp.asarray(host)

    def get(self, arrays: Sequence[Array]) -> list[np.ndarray]:
        stream = self.xp.cuda.get_current_stream()
        staged = [self._fetch(array, stream) for array in arrays]
        stream.synchronize()
        return [host.copy() if is_staged else host for host, is_staged in staged]

    def _fetch(self, array: Array, stream: Any) -> tuple[np.ndarray, bool]:
        """Host memory that the array's values are on their way to, and whether that is page-locked."""
        is_staged = 0 < array.nbytes <= _STAGED_BYTES
        host = np.empty(array.shape, array.dtype)
        if is_staged:
            memory = self.xp.cuda.alloc_pinned_memory(array.nbytes)
            host = np.frombuffer(memory, array.dtype, array.size).reshape(array.shape)
        array.get(stream=stream, out=host, blocking=False)
        return host, is_staged

    def owns(self, value: Any) -> bool:
        if isinstance(value, np.ndarray | np.generic):
            return False
        if isinstance(value, self.xp.ndarray):
            return bool(value.device.id == self.device.id)
        if hasattr(value, "__dlpack_device__"):
            kind, number = value.__dlpack_device__()
            return int(kind) == _DLPACK_CUDA and number == self.device.id
        return hasattr(value, "__cuda_array_interface__")

    def adopt(self, value: Any) -> Array:
        if isinstance(value, self.xp.ndarray):
            return value
        with self.device:
            array = self.xp.from_dlpack(value) if hasattr(value, "__dlpack__") else self.xp.asarray(value)
        if array.device.id != self.device.id:
            raise InputError(f"got an array on CUDA device {array.device.id}, expected one on {self.name}")
        return array

    @contextmanager
    def lane(self) -> Iterator[None]:
        """A stream of this call's own: starts after what the caller has queued, and has finished at the end."""
        with self.device:
            queued = self.xp.cuda.get_current_stream().record()
            stream = self._borrow()
            stream.wait_event(queued)
            try:
                with stream:
                    yield
            finally:
                stream.synchronize()
                with self._lock:
                    self._idle.append(stream)

    def mark(self) -> Any:
        return self.xp.cuda.get_current_stream().record()

    def follow(self, mark: Any) -> None:
        self.xp.cuda.get_current_stream().wait_event(mark)

    def _borrow(self) -> Any:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self.xp.cuda.Stream(non_blocking=True)

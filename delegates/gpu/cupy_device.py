"""A CUDA device by way of CuPy: the only file that imports it, on first use."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ...interpreter.errors import InputError, KernelError, LimitError, MissingDependencyError
from ...interpreter.graph import Array
from .binaries import machine_code
from .cublaslt import CublasLt, Plan, load
from .gemm import WORKSPACE_BYTES, Pointers, Problem
from .kernel import Kernel
from .listing import Dim

if TYPE_CHECKING:
    from collections.abc import Iterator

_DLPACK_CUDA = 2  # DLDeviceType.kDLCUDA
_CAPTURE_MODE = 2  # cudaStreamCaptureModeRelaxed: what the collector frees meanwhile, on this thread, breaks nothing
_UNASKED = 48 << 10  # bytes of shared memory that a block may have without asking, with what is declared in the text
_OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation
COMPILERS = 8  # threads at most that compile


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


class CupyMemory:
    """A block of CuPy's memory pool."""

    def __init__(self, bytes_: Array) -> None:
        self.bytes = bytes_
        self.address, self.nbytes = int(bytes_.data.ptr), int(bytes_.nbytes)


@dataclass(slots=True)
class CupyKernel:
    """A kernel on a device."""

    function: Any  # cupy.cuda.Function
    shared: int  # bytes of dynamic shared memory that a block may have at present


def by_length(kernels: Iterable[Kernel]) -> list[Kernel]:
    """The distinct ones, longest text first: those take longest to build, and none is left for the end."""
    return sorted(dict.fromkeys(kernels), key=lambda kernel: -len(kernel.text))


class CupyDevice:
    """One CUDA device. See `device.Device` for what each method does."""

    def __init__(self, number: int = 0) -> None:
        """Raises MissingDependencyError if there is no such device."""
        usable, reason = available(number)
        if not usable:
            hint = "Install a CUDA driver and tflite-cupy[cuda12] or tflite-cupy[cuda13]."
            raise MissingDependencyError(f"no GPU: {reason}", hint=hint)
        self.xp = import_cupy()
        self.name = f"cuda:{number}"
        self.number = number
        self._cuda = self.xp.cuda
        self._device = self._cuda.Device(number)
        self.arch = int(self._device.compute_capability)
        self.errors = (
            self._cuda.compiler.CompileException,
            self._cuda.runtime.CUDARuntimeError,
            self._cuda.driver.CUDADriverError,
            ImportError,  # of libraries that CuPy loads when they are needed first: cuBLAS, cuFFT
        )
        self._loaded: dict[Kernel, Future[CupyKernel]] = {}
        self._compilers = ThreadPoolExecutor(min(COMPILERS, os.cpu_count() or 1), "compile")
        self._lock = threading.Lock()
        self._library: CublasLt | None = None
        self._has_library: bool | None = None  # None: not tried yet

    @property
    def title(self) -> str:
        runtime = self._cuda.runtime
        name = runtime.getDeviceProperties(self.number)["name"].decode()
        return f"{name}, driver {runtime.driverGetVersion()}, CUDA {runtime.runtimeGetVersion()}"

    def owns(self, value: Any) -> bool:
        if isinstance(value, np.ndarray | np.generic):
            return False
        if isinstance(value, self.xp.ndarray):
            return bool(value.device.id == self.number)
        if hasattr(value, "__dlpack_device__"):
            kind, number = value.__dlpack_device__()
            return int(kind) == _DLPACK_CUDA and number == self.number
        return hasattr(value, "__cuda_array_interface__")

    def adopt(self, value: Any) -> Array:
        if isinstance(value, self.xp.ndarray):
            return value
        try:
            with self._device:
                array = self.xp.from_dlpack(value) if hasattr(value, "__dlpack__") else self.xp.asarray(value)
        except (BufferError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(f"CuPy can't take a {type(value).__name__} as it is: {error}") from error
        if array.device.id != self.number:
            raise InputError(f"got an array on CUDA device {array.device.id}, expected one on {self.name}")
        return array

    def memory(self, nbytes: int) -> CupyMemory:
        try:
            with self._device:
                return CupyMemory(self.xp.empty(max(nbytes, 1), np.uint8))
        except self._cuda.memory.OutOfMemoryError as error:
            raise LimitError(
                f"the GPU has no {nbytes:,} bytes left: {error}", where=self.name, hint="Use smaller inputs or batches."
            ) from error

    def array(self, memory: CupyMemory, offset: int, shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
        nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        return memory.bytes[offset : offset + nbytes].view(dtype).reshape(tuple(shape))

    def address(self, array: Array) -> int:
        return int(array.data.ptr)

    def pinned(self, nbytes: int) -> np.ndarray:
        try:
            return np.frombuffer(self._cuda.alloc_pinned_memory(nbytes), np.uint8, nbytes)
        except self._cuda.runtime.CUDARuntimeError as error:
            if error.status != _OUT_OF_MEMORY:
                raise
            what = f"the host has no {nbytes:,} bytes of page-locked memory left: {error}"
            raise LimitError(what, where=self.name, hint="Use smaller inputs or batches.") from error

    def copy_in(self, target: Array, source: np.ndarray) -> None:
        target.data.copy_from_host_async(source.ctypes.data, source.nbytes)

    def copy_out(self, target: np.ndarray, source: Array) -> None:
        source.get(stream=self.current(), out=target, blocking=False)

    def copy(self, target: Array, source: Array) -> None:
        target.data.copy_from_device_async(source.data, source.nbytes)

    def stream(self) -> Any:
        with self._device:
            return self._cuda.Stream(non_blocking=True)

    def current(self) -> Any:
        return self._cuda.get_current_stream(self.number)

    def using(self, stream: Any) -> AbstractContextManager[Any]:
        return self._using(stream)

    @contextmanager
    def _using(self, stream: Any) -> Iterator[None]:
        with self._device, stream:
            yield

    def record(self, *, timed: bool = False) -> Any:
        with self._device:
            event = self._cuda.Event(disable_timing=not timed)
            event.record(self.current())
        return event

    def elapsed(self, start: Any, end: Any) -> float:
        return float(self._cuda.get_elapsed_time(start, end)) / 1e3

    def wait(self, event: Any) -> None:
        with self._device:
            self.current().wait_event(event)

    def await_event(self, event: Any) -> None:
        self._await(event)

    def synchronize(self) -> None:
        with self._device:
            self._await(self.current())

    def _await(self, work: Any) -> None:
        try:
            work.synchronize()
        except self._cuda.runtime.CUDARuntimeError as error:
            hint = "Until this process ends, CUDA may refuse all work. CUDA_LAUNCH_BLOCKING=1 shows where it happens."
            raise KernelError(f"what was queued on {self.name} has failed: {error}.", hint=hint) from error

    def load(self, kernels: Sequence[Kernel]) -> list[CupyKernel]:
        with self._lock:
            futures = {kernel: self._loading(kernel) for kernel in by_length(kernels)}
        return [futures[kernel].result() for kernel in kernels]

    def _loading(self, kernel: Kernel) -> Future[CupyKernel]:
        future = self._loaded.get(kernel)
        if future is None or (future.done() and future.exception() is not None):
            future = self._loaded[kernel] = self._compilers.submit(self._load, kernel)
        return future

    def _load(self, kernel: Kernel) -> CupyKernel:
        driver = self._cuda.driver
        code = machine_code(self._cuda.nvrtc, kernel, self.arch)
        with self._device:
            module = self._cuda.Module()
            module.load(code)
            function = module.get_function(kernel.entry)
            shared = driver.funcGetAttribute(driver.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, function.ptr)
            static = driver.funcGetAttribute(driver.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, function.ptr)
            shared = min(shared, _UNASKED - static)
        return CupyKernel(function, shared)

    def launch(
        self, function: CupyKernel, grid: Dim, block: Dim, shared: int, arguments: Sequence[int | np.generic]
    ) -> None:
        if shared > function.shared:
            self._allow(function, shared)
        function.function(grid, block, arguments, shared)

    def _allow(self, kernel: CupyKernel, shared: int) -> None:
        """More shared memory than a block gets without asking."""
        driver = self._cuda.driver
        with self._lock:
            if shared > kernel.shared:
                limit = driver.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
                driver.funcSetAttribute(kernel.function.ptr, limit, shared)
                kernel.shared = shared

    def gemm_plan(self, problem: Problem) -> Plan | None:
        with self._device:
            library = self._products()
            return None if library is None else library.plan(problem, WORKSPACE_BYTES)

    def _products(self) -> CublasLt | None:
        """cuBLASLt, which takes its time to load; None where it is not there or can't work here."""
        with self._lock:
            if self._has_library is None:
                try:
                    self._library, self._has_library = CublasLt(load()), True
                except MissingDependencyError:
                    self._has_library = False
            return self._library

    def gemm(self, plan: Plan, pointers: Pointers, workspace: int) -> None:
        assert self._library is not None
        self._library.run(plan, pointers, workspace, self.current().ptr)

    def begin_capture(self) -> None:
        self.current().begin_capture(_CAPTURE_MODE)

    def end_capture(self) -> Any:
        return self.current().end_capture()

    def replay(self, graph: Any) -> None:
        graph.launch(self.current())

"""A device on the host: kernels are built by a host compiler, arrays are opaque, fresh memory holds NaN.

Work is queued on streams and runs when somebody waits for it; see `streams`. Who takes turns inside a kernel is the
`schedule`: "greedy", "reversed", "rounds" or "random", by default what TFLITE_CUPY_EMULATOR_SCHEDULE says.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from math import prod
from typing import Any
from weakref import finalize

import numpy as np

from tests.fakes import DEVICE, FakeArray
from tflite_cupy.delegates.arrays import Kernel as ArrayKernel
from tflite_cupy.delegates.gpu import GpuDelegate
from tflite_cupy.delegates.gpu.arena import ALIGNMENT
from tflite_cupy.delegates.gpu.gemm import WORKSPACE_BYTES, Pointers, Problem
from tflite_cupy.delegates.gpu.kernel import Kernel
from tflite_cupy.delegates.gpu.listing import ArrayStep, Dim
from tflite_cupy.delegates.gpu.program import Program
from tflite_cupy.delegates.gpu.space import DeviceSpace
from tflite_cupy.interpreter.errors import LimitError
from tflite_cupy.interpreter.runtime.delegate import Executable, Partition

from .compiler import HostKernel, KernelFault, built
from .gemms import NumpyGemms
from .poison import POISON, Helper, with_poison
from .streams import Graph, Stream, Streams
from .watched import STRICTLY, strict

NUMPY_GEMMS = NumpyGemms()

SHARED_KB = {75: 64, 80: 163, 86: 99, 89: 99, 90: 227, 100: 227, 120: 99}
"""Shared memory of a block, static and dynamic, by compute capability."""


class HostMemory:
    def __init__(self, nbytes: int) -> None:
        whole = np.full(nbytes + 3 * ALIGNMENT, POISON, np.uint8)  # with some before and after it
        start = ALIGNMENT + -whole.ctypes.data % ALIGNMENT
        self.bytes = whole[start : start + nbytes]
        self.address, self.nbytes = self.bytes.ctypes.data, nbytes


class HostDevice:
    """See `delegates.gpu.device.Device`."""

    name = title = "emulated"
    errors: tuple[type[Exception], ...] = ()

    def __init__(
        self,
        *,
        limit: int | None = None,
        seed: int = 0,
        arch: int = 90,
        gemms: Any = NUMPY_GEMMS,
        build: Callable[[Kernel], HostKernel] | None = None,
    ) -> None:
        """limit: bytes that there are in all; seed: of all that is random; gemms: computes products of a library;
        build: makes kernels."""
        self._build = build or (strict() if os.environ.get(STRICTLY) == "1" else built)
        self.xp, self.arch, self.gemms = DEVICE.xp, arch, gemms
        self.limit, self.used = limit, 0
        self.launches = self.products = self.replays = self.copies_in = self.copies_out = 0
        self.schedule = os.environ.get("TFLITE_CUPY_EMULATOR_SCHEDULE", "greedy")
        self._streams = Streams(seed)
        self.current, self.record, self.wait = self._streams.current, self._streams.record, self._streams.wait
        self.elapsed = self._streams.elapsed
        self.synchronize, self.await_event = self._streams.synchronize, self._streams.await_event
        self.begin_capture, self.end_capture = self._streams.begin_capture, self._streams.end_capture

    def owns(self, value: Any) -> bool:
        return isinstance(value, FakeArray)

    def adopt(self, value: Any) -> FakeArray:
        assert isinstance(value, FakeArray)
        return value

    def memory(self, nbytes: int) -> HostMemory:
        self._streams.forbid("an allocation")
        if self.limit is not None and self.used + nbytes > self.limit:
            raise LimitError(f"the GPU has no {nbytes:,} bytes left", where=self.name)
        memory = HostMemory(nbytes)
        self.used += nbytes
        finalize(memory, self._freed, nbytes)
        return memory

    def array(self, memory: HostMemory, offset: int, shape: Sequence[int], dtype: np.dtype[Any]) -> FakeArray:
        nbytes = prod(shape) * dtype.itemsize
        assert 0 <= offset <= offset + nbytes <= memory.nbytes
        return FakeArray(memory.bytes[offset : offset + nbytes].view(dtype).reshape(tuple(shape)))

    def address(self, array: FakeArray) -> int:
        self._streams.hold(array)
        return int(array._held.ctypes.data)

    def pinned(self, nbytes: int) -> np.ndarray:
        self._streams.forbid("an allocation")
        return np.full(nbytes, POISON, np.uint8)

    def copy_in(self, target: FakeArray, source: np.ndarray) -> None:
        self.copies_in += 1
        self._streams.push_copy(lambda: np.copyto(target._held, source))

    def copy_out(self, target: np.ndarray, source: FakeArray) -> None:
        self.copies_out += 1
        self._streams.push_copy(lambda: np.copyto(target, source._held))

    def copy(self, target: FakeArray, source: FakeArray) -> None:
        self._streams.push_copy(lambda: np.copyto(target._held, source._held))

    def stream(self) -> Stream:
        self._streams.forbid("making a stream")
        return Stream()

    def using(self, stream: Stream) -> AbstractContextManager[None]:
        return self._streams.using(stream)

    def load(self, kernels: Sequence[Kernel]) -> list[HostKernel | Helper]:
        self._streams.forbid("loading a kernel")
        return [kernel if isinstance(kernel, Helper) else self._build(kernel) for kernel in kernels]

    def launch(
        self, function: HostKernel | Helper, grid: Dim, block: Dim, shared: int, arguments: Sequence[int | np.generic]
    ) -> None:
        self._check(function, grid, block, shared)

        def run() -> None:
            self.launches += not isinstance(function, Helper)
            function(grid, block, shared, arguments, self.schedule, self._streams.random_bits())

        self._streams.push(run)

    def gemm_plan(self, problem: Problem) -> Any:
        self._streams.forbid("planning a product")
        return None if self.gemms is None else self.gemms.plan(problem, WORKSPACE_BYTES)

    def gemm(self, plan: Any, pointers: Pointers, workspace: int) -> None:
        def run() -> None:
            self.launches += 1
            self.products += 1
            self.gemms.run(plan, pointers, workspace, 0)

        self._streams.push(run)

    def replay(self, graph: Graph) -> None:
        self.replays += 1

        def run() -> None:
            for task in graph:
                task()

        self._streams.push_copy(run)

    def _check(self, function: HostKernel | Helper, grid: Dim, block: Dim, shared: int) -> None:
        """What a launch on a GPU would be refused for."""
        limits = (1 << 31) - 1, 65535, 65535, 1024, 1024, 64
        fits = all(0 < n <= limit for n, limit in zip((*grid, *block), limits, strict=True)) and prod(block) <= 1024
        space = function.static_bytes <= 48 << 10 and function.static_bytes + shared <= SHARED_KB[self.arch] << 10
        if not (fits and space):
            used = f"{function.static_bytes} + {shared} bytes shared"
            raise KernelFault(f"{function.kernel.entry} can't be launched: grid {grid}, block {block}, {used}")

    def _freed(self, nbytes: int) -> None:
        self.used -= nbytes


class EmulatedGpuDelegate(GpuDelegate):
    """The GPU delegate on the host device. `array_steps` collects which nodes ran as array code, and why."""

    def __init__(
        self,
        device: HostDevice | None = None,
        *,
        precision: str = "strict",
        apart: bool = False,
        library: bool = True,
        tune: bool | None = None,
    ) -> None:
        self.device = device or HostDevice()
        self.programs: list[Program] = []
        self.array_steps: list[str] = []
        space = DeviceSpace(self.device)
        super().__init__(space, "EmulatedGpuDelegate", precision=precision, apart=apart, library=library, tune=tune)

    def compile(self, partition: Partition) -> Executable:
        program = super().compile(partition)
        assert isinstance(program, Program)
        program.listing = with_poison(program.listing, fenced=self._apart)
        program.steps = tuple(program._step(run) for run in program.listing.segments)
        program._kernels = {step: self._counted(step, kernel) for step, kernel in program._kernels.items()}
        self.programs.append(program)
        return program

    def _counted(self, step: ArrayStep, kernel: ArrayKernel) -> ArrayKernel:
        def run(*operands: Any) -> Any:
            self.array_steps.append(f"{step.bound.op.name}: {step.reason}")
            return kernel(*operands)

        return run

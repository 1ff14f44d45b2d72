"""What the delegate needs of a device. `CupyDevice` is one; tests have another, which runs kernels on the host.

Work goes to the current stream, in order; nothing waits unless it says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np

from ...interpreter.graph import Array
from .gemm import Pointers, Problem
from .kernel import Kernel
from .listing import Dim


class Memory(Protocol):
    """Device memory that is freed with this object."""

    @property
    def address(self) -> int: ...

    @property
    def nbytes(self) -> int: ...


class Device(Protocol):
    """One device."""

    @property
    def name(self) -> str:
        """As spaces are named: "cuda:0"."""

    @property
    def title(self) -> str:
        """What it is and what drives it: times that were taken hold for devices of this title."""

    @property
    def xp(self) -> Any:
        """The array module that works on its arrays."""

    @property
    def arch(self) -> int:
        """Compute capability times ten: 90 for sm_90."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What its array module and its calls raise beyond what NumPy does."""

    def owns(self, value: Any) -> bool:
        """Whether a caller's value lives on this device."""

    def adopt(self, value: Any) -> Array:
        """A value that it owns, as an array, uncopied."""

    def memory(self, nbytes: int) -> Any:
        """New `Memory`. Raises LimitError if there is not enough."""

    def array(self, memory: Any, offset: int, shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
        """An array in it, from byte `offset` on."""

    def address(self, array: Array) -> int:
        """Where its first element is."""

    def pinned(self, nbytes: int) -> np.ndarray:
        """Page-locked host memory, uint8 [nbytes]. Raises LimitError if there is not enough."""

    def copy_in(self, target: Array, source: np.ndarray) -> None:
        """Host to device; `source` must not change before that is done."""

    def copy_out(self, target: np.ndarray, source: Array) -> None:
        """Device to host; `target` has the values when that is done."""

    def copy(self, target: Array, source: Array) -> None:
        """Within the device."""

    def stream(self) -> Any:
        """A new stream."""

    def current(self) -> Any:
        """The current stream of this thread."""

    def using(self, stream: Any) -> AbstractContextManager[Any]:
        """Make it the current one, on this device."""

    def record(self, *, timed: bool = False) -> Any:
        """An event: the point that the current stream has reached; `timed`, for `elapsed`, takes a little longer."""

    def elapsed(self, start: Any, end: Any) -> float:
        """Seconds between two timed events that are both reached."""

    def wait(self, event: Any) -> None:
        """Let the current stream wait for an event."""

    def await_event(self, event: Any) -> None:
        """Wait, on the host, for an event. Raises KernelError if work before it has failed."""

    def synchronize(self) -> None:
        """Wait until all work of the current stream is done. Raises KernelError if it has failed."""

    def load(self, kernels: Sequence[Kernel]) -> Sequence[Any]:
        """Kernels, each compiled once, side by side. Thread-safe."""

    def launch(self, function: Any, grid: Dim, block: Dim, shared: int, arguments: Sequence[int | np.generic]) -> None:
        """Launch a loaded kernel; addresses are given as int."""

    def gemm_plan(self, problem: Problem) -> Any:
        """How a library computes a product, with `WORKSPACE_BYTES` beside its operands; None where it can't, and where
        there is no library. Not for use during capture. Thread-safe."""

    def gemm(self, plan: Any, pointers: Pointers, workspace: int) -> None:
        """Compute a product as planned; `workspace`: an address that is a multiple of 256."""

    def begin_capture(self) -> None:
        """From now on launches and products of the current stream are recorded instead of run; nothing else may happen
        on it."""

    def end_capture(self) -> Any:
        """The graph of what was recorded. Raises one of `errors` if that was broken off from outside."""

    def replay(self, graph: Any) -> None:
        """Run a graph."""

"""The CPU delegate: runs every builtin operator on the host, with NumPy and, where it is installed, oneDNN."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from ...interpreter.errors import InputError, MissingDependencyError
from ...interpreter.ops.base import Op, StatefulOp
from ...interpreter.runtime.delegate import HOST, Executable, Partition
from ..arrays import ArrayDelegate, Kernel
from .kernels import prepare
from .kernels.serial import with_one_thread
from .onednn.binding import library
from .onednn.compiler import Compiler

__all__ = ["CpuDelegate", "kernels_in_use"]

KERNELS = ("auto", "numpy", "onednn")


class CpuDelegate(ArrayDelegate):
    """Runs operators on the host.

    num_threads: threads that one kernel may use, None for as many as there are processors. Raises InputError below 1.
    kernels: "numpy" for operator bodies and kernels made of NumPy calls, which give the reference's integers; "onednn"
        for primitives of oneDNN (the extra `fast`) wherever there is one, whose quantised results are within one step
        of these; "auto" for what the environment variable TFLITE_CUPY_CPU_KERNELS says, else for oneDNN if it is
        installed. Raises InputError for another word, MissingDependencyError for "onednn" where it is missing.
    """

    def __init__(self, num_threads: int | None = None, kernels: str = "auto") -> None:
        if num_threads is not None and num_threads < 1:
            raise InputError(f"num_threads should >= 1, got {num_threads}", where="num_threads")
        super().__init__("cpu", "NumpyCpuDelegate", np, HOST)
        self.num_threads = num_threads or len(os.sched_getaffinity(0))
        self._compiler = Compiler(library(), self.num_threads) if kernels_in_use(kernels) == "onednn" else None

    def prepare(self, op: Op, constants: Mapping[int, np.ndarray]) -> Kernel:
        return prepare(op, constants, self.num_threads) or super().prepare(op, constants)

    def prepare_stateful(self, op: StatefulOp) -> Kernel:
        kernel = None if self._compiler is None else self._compiler.prepare_stateful(op)
        return with_one_thread(kernel or op.run_with)

    def compile(self, partition: Partition) -> Executable:
        compiled = None if self._compiler is None else self._compiler.compile(self, partition)
        return compiled or super().compile(partition)


def kernels_in_use(asked: str = "auto") -> str:
    """Either "onednn" or "numpy": what `CpuDelegate` would run for this wish."""
    if asked not in KERNELS:
        raise InputError(f"kernels {asked!r} is none of {', '.join(KERNELS)}", where="kernels")
    wish = os.environ.get("TFLITE_CUPY_CPU_KERNELS", asked) if asked == "auto" else asked
    if wish not in KERNELS:
        raise InputError(f"TFLITE_CUPY_CPU_KERNELS is {wish!r}, expected one of {', '.join(KERNELS)}", where="kernels")
    if wish != "auto":
        if wish == "onednn":
            library()
        return wish
    try:
        library()
    except MissingDependencyError:
        return "numpy"
    return "onednn"

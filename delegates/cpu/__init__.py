"""The NumPy delegate: runs every builtin operator on the host."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from ...interpreter.errors import InputError
from ...interpreter.ops.base import Op
from ...interpreter.runtime.delegate import HOST
from ..arrays import ArrayDelegate, Kernel
from .kernels import prepare

__all__ = ["CpuDelegate"]


class CpuDelegate(ArrayDelegate):
    """Runs operator bodies, or special kernels where those are faster, with NumPy.

    num_threads: threads that one kernel may use, None for as many as there are processors. Raises InputError below 1.
    """

    def __init__(self, num_threads: int | None = None) -> None:
        if num_threads is not None and num_threads < 1:
            raise InputError(f"num_threads should >= 1, got {num_threads}", where="num_threads")
        super().__init__("cpu", "NumpyCpuDelegate", np, HOST)
        self.num_threads = num_threads or len(os.sched_getaffinity(0))

    def prepare(self, op: Op, constants: Mapping[int, np.ndarray]) -> Kernel:
        return prepare(op, constants, self.num_threads) or super().prepare(op, constants)

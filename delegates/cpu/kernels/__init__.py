"""Kernels that beat the operators' own bodies on the host: prepared once from the constant operands, then called often.

A factory gets the op, its constant operands by position and the number of threads that one call may use, and gives
the kernel, or None where the body serves as well. A kernel takes one array per operand and gives the result; it reads
shapes from its arguments, writes to nothing that it did not make, and may run in several threads at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ....interpreter.ops.base import Op
from . import conv, depthwise, matmul, pool
from .serial import one_thread_body

__all__ = ["KERNELS", "prepare"]

Kernel = Callable[..., Any]
Factory = Callable[[Op, Mapping[int, np.ndarray], int], Kernel | None]

KERNELS: dict[str, Factory] = {
    "AVERAGE_POOL_2D": pool.average_pool_2d,
    "BATCH_MATMUL": matmul.batch_matmul,
    "CONV_2D": conv.conv_2d,
    "DEPTHWISE_CONV_2D": depthwise.depthwise_conv_2d,
    "FULLY_CONNECTED": matmul.fully_connected,
    "MAX_POOL_2D": pool.max_pool_2d,
}
"""Factories by operator name."""

_PRODUCTS = {"BATCH_MATMUL", "CONV_2D", "CONV_3D", "CONV_3D_TRANSPOSE", "FULLY_CONNECTED", "TRANSPOSE_CONV"}
"""Operators whose bodies call BLAS; where there is no other kernel for them, they run with one thread of it."""


def prepare(op: Op, constants: Mapping[int, np.ndarray], num_threads: int = 1) -> Kernel | None:
    """The kernel for an op with these constant operands, or None: use `op.body`."""
    factory = KERNELS.get(op.name)
    kernel = None if factory is None else factory(op, constants, num_threads)
    return one_thread_body(op) if kernel is None and op.name in _PRODUCTS else kernel

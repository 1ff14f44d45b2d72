"""Kernels that beat the operators' own bodies on the host: prepared once from the constant operands, then called often.

A factory gets the op, its constant operands by position and the number of threads that one call may use, and gives
the kernel, or None where the body serves as well. A kernel takes one array per operand and gives the result; it reads
shapes from its arguments, writes to nothing that it did not make, and may run in several threads at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ....interpreter.ops.base import Op
from ....interpreter.ops.conv import Conv2D, Conv3D, Conv3DTranspose, DepthwiseConv2D, TransposeConv
from ....interpreter.ops.matmul import BatchMatMul, FullyConnected
from ....interpreter.ops.pool import AveragePool2D, MaxPool2D
from ....interpreter.ops.resize import ResizeBilinear
from ...arrays import Kernel
from . import conv, depthwise, matmul, pool, resize
from .serial import one_thread_body

__all__ = ["KERNELS", "prepare"]

Factory = Callable[[Op, Mapping[int, np.ndarray], int], Kernel | None]

KERNELS: dict[type[Op], Factory] = {
    AveragePool2D: pool.average_pool_2d,
    BatchMatMul: matmul.batch_matmul,
    Conv2D: conv.conv_2d,
    DepthwiseConv2D: depthwise.depthwise_conv_2d,
    FullyConnected: matmul.fully_connected,
    MaxPool2D: pool.max_pool_2d,
    ResizeBilinear: resize.resize_bilinear,
}
"""Factories by operator class."""

_PRODUCTS = {BatchMatMul, Conv2D, Conv3D, Conv3DTranspose, FullyConnected, TransposeConv}
"""Operators whose bodies call BLAS; where there is no other kernel for them, they run with one thread of it."""


def prepare(op: Op, constants: Mapping[int, np.ndarray], num_threads: int = 1) -> Kernel | None:
    """The kernel for an op with these constant operands, or None: use `op.body`."""
    factory = KERNELS.get(type(op))
    kernel = None if factory is None else factory(op, constants, num_threads)
    return one_thread_body(op) if kernel is None and type(op) in _PRODUCTS else kernel

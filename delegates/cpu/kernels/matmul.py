"""FULLY_CONNECTED as a matrix product that is finished in cache, the weights where they are; BATCH_MATMUL in parts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ....interpreter.graph import TensorType
from ....interpreter.ops.base import Activation, Op
from ....interpreter.ops.matmul import BatchMatMul, FullyConnected
from ....interpreter.ops.shared.products import quantize_rows
from ...arrays import Kernel
from .blas import one_thread
from .finish import FloatFinish
from .gemm import FLOPS, affine
from .operands import operands
from .packing import pack
from .threads import parts, split


def fully_connected(op: Op, constants: Mapping[int, np.ndarray], num_threads: int) -> Kernel | None:
    """FULLY_CONNECTED with constant weights and bias."""
    assert isinstance(op, FullyConnected)
    known = None if op.weights_format else operands(op, 0, constants)
    if known is None or (op.hybrid and op.blockwise):
        return None
    weights = known.weights
    if weights.dtype == np.float32:
        matrix = weights.T
    else:
        matrix = pack(weights, ("fully connected", known.zero_point, known.dtype.str), known.values).T

    def run(x: np.ndarray, *_: Any) -> Any:
        shape = op.shape(x.shape, weights.shape)
        rows = np.ascontiguousarray(x).reshape(math.prod(shape[:-1]), weights.shape[1])
        if not op.hybrid:
            return affine(rows, matrix, known.load, known.finish, num_threads).reshape(shape)
        rows, scale = quantize_rows(np, rows, op.asymmetric_quantize_inputs)
        total = affine(rows, matrix, known.load, FloatFinish(None, Activation.NONE), num_threads)
        return op.finish(np, op.real(np, total, scale), known.bias).reshape(shape)

    return run


def batch_matmul(op: Op, constants: Mapping[int, np.ndarray], num_threads: int) -> Kernel | None:
    """BATCH_MATMUL in float32: threads share the rows of the results, or their columns where these are more."""
    assert isinstance(op, BatchMatMul)
    if op.is_quantized or TensorType.FLOAT32 not in (op.input_spec.type, op.weights_spec.type):
        return None

    def run(x: np.ndarray, y: np.ndarray) -> Any:
        left, right = x.swapaxes(-1, -2) if op.adj_x else x, y.swapaxes(-1, -2) if op.adj_y else y
        rows, columns = left.shape[-2], right.shape[-1]
        out = np.empty((*np.broadcast_shapes(left.shape[:-2], right.shape[:-2]), rows, columns), np.float32)

        def by_rows(start: int, stop: int) -> None:
            np.matmul(left[..., start:stop, :], right, out=out[..., start:stop, :])

        def by_columns(start: int, stop: int) -> None:
            np.matmul(left, right[..., start:stop], out=out[..., start:stop])

        with one_thread:
            shares = parts(2 * out.size * left.shape[-1] / FLOPS, num_threads)
            split(max(rows, columns), shares, by_rows if rows >= columns else by_columns)
        return out

    return run

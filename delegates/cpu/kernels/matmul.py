"""FULLY_CONNECTED as a matrix product that is finished in cache; the weights stay where they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ....interpreter.ops.base import Activation, Op
from ....interpreter.ops.matmul import FullyConnected
from ....interpreter.ops.products import quantize_rows
from .finish import FloatFinish
from .gemm import affine
from .operands import operands
from .packing import pack

Kernel = Callable[..., Any]


def fully_connected(op: Op, constants: Mapping[int, np.ndarray], num_threads: int) -> Kernel | None:
    """FULLY_CONNECTED with constant weights and bias."""
    assert isinstance(op, FullyConnected)
    known = operands(op, 0, constants)
    if known is None or (op.hybrid and op.blockwise):
        return None
    weights = known.weights
    if weights.dtype == np.float32:
        matrix = weights.T
    else:
        matrix = pack(weights, ("fully connected", known.zero_point), known.values).T

    def run(x: np.ndarray, *_: Any) -> Any:
        shape = op.shape(x.shape, weights.shape)
        rows = np.ascontiguousarray(x).reshape(math.prod(shape[:-1]), weights.shape[1])
        if not op.hybrid:
            return affine(rows, matrix, known.load, known.finish, num_threads).reshape(shape)
        rows, scale = quantize_rows(np, rows, op.asymmetric_quantize_inputs)
        total = affine(rows, matrix, known.load, FloatFinish(None, Activation.NONE), num_threads)
        return op.finish(np, op.real(np, total, scale), known.bias).reshape(shape)

    return run

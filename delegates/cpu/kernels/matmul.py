"""FULLY_CONNECTED as a matrix product that is finished in cache; the weights stay where they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ....interpreter.ops.base import Op
from ....interpreter.ops.matmul import FullyConnected
from .gemm import affine
from .operands import operands
from .packing import pack

Kernel = Callable[..., Any]


def fully_connected(op: Op, constants: Mapping[int, np.ndarray], num_threads: int) -> Kernel | None:
    """FULLY_CONNECTED with constant weights and bias."""
    assert isinstance(op, FullyConnected)
    known = operands(op, constants)
    if known is None or not known.is_exact(axis=0):
        return None
    weights = known.weights
    if weights.dtype == np.float32:
        matrix = weights.T
    else:
        matrix = pack(weights, ("fully connected", known.zero_point), known.values).T

    def run(x: np.ndarray, *_: Any) -> np.ndarray:
        shape = op.shape(x.shape, weights.shape)
        rows = np.ascontiguousarray(x).reshape(-1, weights.shape[1])
        return affine(rows, matrix, known.load, known.finish, num_threads).reshape(shape)

    return run

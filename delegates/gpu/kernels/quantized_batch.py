"""BATCH_MATMUL on quantised integers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ....interpreter.ops.matmul import BatchMatMul
from ....interpreter.ops.shared.products import zero_point
from ..groups import lowers
from ..kernel import CTYPES
from ..lowering import Site

SIDE, THREADS = 32, 64
"""Rows and columns, and threads, of a block."""


@lowers(BatchMatMul, tail=True)
def batch_matmul(site: Site) -> str | None:
    op: BatchMatMul = site.op
    result = op.outs[0]
    x, y = site.ins
    if not op.is_quantized or op.hybrid or result.type.bits > 16:
        return "it is not quantised, or only its second operand is."
    if not x.size or max(x.size, y.size, site.out.size) >= 1 << 31:
        return "its operands have too many elements, or none."
    *batch, rows, columns = site.nodes[0].outs[0].shape or ()
    if math.prod(batch) > MAX_PAIRS:
        return "it has too many matrices."
    left = _strides(x.shape or (), batch, op.adj_x)
    right = _strides(y.shape or (), batch, not op.adj_y)
    depth = (x.shape or ())[-2 if op.adj_x else -1]
    made = site.kernel(
        "quantized_batch",
        "quantized_batch.cu",
        LANES=4 // x.dtype.itemsize,
        A_ELEMENT=CTYPES[x.dtype],
        B_ELEMENT=CTYPES[y.dtype],
        A_ALONG=int(left[-1] == 1),
        B_ALONG=int(right[-1] == 1),
        ACCUMULATOR="long long" if op.wide else "int",
        RESCALED="scaled_wide" if op.wide else "scaled",
    )
    numbers = [
        *(rows, columns, depth, *([1, 1, *batch][-2:]), *left, *right),
        *(zero_point(op.input_spec), op.weights_zero_point, *op.multiplier, zero_point(result), *op.limits),
    ]
    grid = -(-rows // SIDE), -(-columns // SIDE), math.prod(batch)
    site.launch(made, grid, THREADS, x, y, site.out, *map(np.int32, numbers), *site.tail.arguments)
    return None


MAX_PAIRS = 65535
"""Blocks that a grid may have in its third dimension."""


def _strides(shape: Sequence[int], batch: Sequence[int], is_swapped: bool) -> list[int]:
    """Strides over three batch dimensions, over the lines of the product, and over the dimension that is summed."""
    padded = (1,) * (5 - len(shape)) + tuple(shape)
    dense = [math.prod(padded[i + 1 :]) for i in range(5)]
    strides = [0 if n == 1 else stride for n, stride in zip(padded[:3], dense[:3], strict=True)]
    line, step = dense[3:]
    return [*strides, *((step, line) if is_swapped else (line, step))]

"""AVERAGE_POOL_2D and MAX_POOL_2D of integers."""

from __future__ import annotations

import numpy as np

from ....interpreter.ops.pool import AveragePool2D, MaxPool2D
from ....interpreter.ops.shared.fixedpoint import activation_range
from ..groups import lowers
from ..kernel import CTYPES
from ..lowering import THREADS, Site
from ..tail import WIDTH


@lowers(AveragePool2D, MaxPool2D, tail=True)
def pool(site: Site) -> str | None:
    x, op = site.ins[0], site.op
    if not op.is_quantized:
        return "its type has no kernel."
    if max(x.size, site.out.size) >= 1 << 31:
        return "its operand has too many elements."
    shape, dtype = x.shape or (), x.dtype
    rows, columns = op.axes(shape)
    is_vector = shape[3] % WIDTH == 0 == x.offset % (WIDTH * dtype.itemsize)
    at_once = WIDTH if is_vector else 1
    is_mean = int(isinstance(op, AveragePool2D))
    made = site.kernel("quantized_pool", "quantized_pool.cu",
                       ELEMENT=CTYPES[dtype], CHANNELS=at_once, IS_MEAN=is_mean)  # fmt: skip
    least = int(np.iinfo(dtype).min)
    numbers = [
        *(site.out.size, shape[3], rows.size, columns.size, rows.out, columns.out, rows.window, columns.window),
        *(rows.stride, columns.stride, rows.before, columns.before, least),
        *activation_range(op.fused_activation_function, op.outs[0]),
    ]
    grid = -(-site.out.size // (THREADS * at_once))
    site.launch(made, grid, THREADS, x, site.out, *map(np.int32, numbers), *site.tail.arguments)
    return None

"""RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....interpreter.ops.resize import ResizeBilinear, ResizeNearestNeighbor
from ..groups import lowers
from ..kernel import CTYPES
from ..lowering import Site
from ..tail import WIDTH

BLOCK = 128
ONE = 1 << 10
"""1.0 in the fixed-point coordinates of integer images."""

_BILINEAR = {
    np.dtype(np.float32): ("MIXED", "float"),
    np.dtype(np.float16): ("MIXED", "float"),
    np.dtype(np.uint8): ("MIXED_BYTES", "float"),
    np.dtype(np.int8): ("FIXED", "int"),
    np.dtype(np.int16): ("FIXED", "long long"),
    np.dtype(np.uint16): ("FIXED", "long long"),
}
"""How pixels of a type are mixed, and as which type."""


@lowers(ResizeNearestNeighbor, ResizeBilinear, tail=True, half=True)
def resize(site: Site) -> str | None:
    x, out, op = site.ins[0], site.out, site.op
    is_nearest = isinstance(op, ResizeNearestNeighbor)
    assert x.shape is not None
    assert out.shape is not None
    mode, wide = ("NEAREST", "float") if is_nearest else _BILINEAR[x.dtype]
    is_fixed, channels = mode == "FIXED", x.shape[3]
    aligned_bytes = min(WIDTH * x.dtype.itemsize, 16)
    lanes = WIDTH if channels % WIDTH == 0 == x.offset % aligned_bytes and site.tail.width == WIDTH else 1
    what = site.kernel(
        "resize", "resize.cu", LANES=lanes, MODE=mode, WIDE=wide, SCALE="int" if is_fixed else "float",
        ELEMENT=CTYPES[x.dtype], WIDENED="half_to_float" if x.dtype == np.float16 else "",
    )  # fmt: skip
    half = np.int32(op.half_pixel_centers) if is_fixed else np.float32(op.half_pixel_centers / 2)
    scales = (_scale(*pair, op.align_corners, is_fixed) for pair in zip(x.shape[1:3], out.shape[1:3], strict=True))
    threads = out.size // lanes
    site.launch(
        what, -(-threads // BLOCK), BLOCK, x, out, np.uint32(threads),
        *map(np.int32, x.shape[1:3]), np.uint32(channels), *map(np.int32, out.shape[1:3]), *scales, half,
        *(np.int32(op.align_corners), *site.tail.arguments),
    )  # fmt: skip
    return None


def _scale(size: int, out: int, align_corners: bool, is_fixed: bool) -> np.generic[Any]:
    """How far apart pixels of the result lie, in pixels of the operand."""
    extent, steps = (size - 1, out - 1) if align_corners and out > 1 else (size, out)
    return np.int32((ONE * extent + steps // 2) // steps) if is_fixed else np.float32(extent) / np.float32(steps)

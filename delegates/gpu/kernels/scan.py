"""CUMSUM."""

from __future__ import annotations

import math

import numpy as np

from ....interpreter.ops.reduction import Sum
from ....interpreter.ops.scan import Cumsum
from ..groups import lowers
from ..kernel import CTYPES
from ..lowering import Site
from .reduction import arithmetic

BLOCK = 256
WARP_LINE = 512
"""The longest line that a warp scans; longer ones take a block."""

MANY = 1 << 13
"""So many lines side by side keep a GPU busy with a thread each."""


@lowers(Cumsum, tail=True)
def cumsum(site: Site) -> str | None:
    x, axis, op = site.ins[0], site.value(1), site.op
    if axis is None or x.shape is None:
        return "its axis is known in the call only."
    along = int(axis.item()) % len(x.shape)
    outer, depth, inner = math.prod(x.shape[:along]), x.shape[along], math.prod(x.shape[along + 1 :])
    wide = CTYPES[arithmetic(Sum, x.dtype).wide]
    lines, is_wide = outer * inner, inner >= 32 and outer * inner >= MANY
    team = BLOCK if is_wide or depth > WARP_LINE else 32
    defines = {
        "ELEMENT": CTYPES[x.dtype],
        "WIDE": wide,
        "WIDENED": "half_to_float(x)" if x.dtype == np.float16 else f"({wide})x",
        "EXCLUSIVE": int(op.exclusive),
        "TEAM": team,
    }
    sizes, reverse = (np.uint32(depth), np.uint32(inner)), np.int32(op.reverse)
    if is_wide:
        what = site.kernel("scan_columns", "scan.cu", **defines)
        grid = -(-lines // BLOCK)
        site.launch(what, grid, BLOCK, x, site.out, *sizes, np.uint32(lines), reverse, *site.tail.arguments)
        return None
    what = site.kernel("scan_lines", "scan.cu", **defines)
    site.launch(what, lines, team, x, site.out, *sizes, reverse, *site.tail.arguments)
    return None

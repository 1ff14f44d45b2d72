"""ARG_MAX, ARG_MIN and, for rows of moderate length, TOPK_V2."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....interpreter.ops.scan import ArgExtreme, ArgMax, ArgMin
from ....interpreter.ops.search import TopK
from ..groups import lowers
from ..kernel import CTYPES, kernel
from ..lowering import Site

BLOCK = 256
LONGEST = 2048
"""Elements of the longest row that a block sorts."""

_INFINITY = "__int_as_float(0x7f800000)"


def key_type(dtype: np.dtype[Any]) -> str:
    """The type in which elements are compared."""
    if dtype == np.float16:
        return "float"
    return CTYPES[dtype] if dtype.itemsize >= 4 else "int"


@lowers(ArgMax, ArgMin, tail=True)
def find(site: Site) -> str | None:
    x, axis, op = site.ins[0], site.value(1), site.op
    if axis is None or x.shape is None:
        return "its axis is known in the call only."
    assert isinstance(op, ArgExtreme)
    along = int(axis.item()) % len(x.shape)
    outer, depth, inner = math.prod(x.shape[:along]), x.shape[along], math.prod(x.shape[along + 1 :])
    is_max = isinstance(op, ArgMax)
    defines = {
        "ELEMENT": CTYPES[x.dtype],
        "KEY": key_type(x.dtype),
        "WIDENED": "half_to_float(x)" if x.dtype == np.float16 else "x",
        "BETTER": "a > b" if is_max else "a < b",
        "WORST": f"{'-' if is_max else ''}{_INFINITY}" if x.dtype.kind == "f" else "key",
    }
    if inner == 1:
        what = site.kernel("find_in_rows", "search.cu", **defines)
        blocks = -(-outer // (BLOCK // 32))
        site.launch(what, blocks, BLOCK, x, site.out, np.uint32(outer), np.uint32(depth), *site.tail.arguments)
        return None
    what = site.kernel("find_in_columns", "search.cu", **defines)
    sizes = (np.uint32(n) for n in (outer * inner, depth, inner))
    site.launch(what, -(-outer * inner // BLOCK), BLOCK, x, site.out, *sizes, *site.tail.arguments)
    return None


@lowers(TopK)
def topk(site: Site) -> str | None:
    x, (values, positions) = site.ins[0], site.outs
    if x.shape is None or x.shape[-1] > LONGEST:
        return f"its rows have more than {LONGEST} elements."
    assert values.shape is not None
    depth, size = x.shape[-1], max(2, 1 << (x.shape[-1] - 1).bit_length())
    defines = {
        "ELEMENT": CTYPES[x.dtype],
        "KEY": key_type(x.dtype),
        "WIDENED(x)": "half_to_float(x)" if x.dtype == np.float16 else "x",
        "POSITION": CTYPES[positions.dtype],
        "SIZE": size,
    }
    block = min(max(size // 2, 32), BLOCK)
    count = np.uint32(values.shape[-1])
    site.launch(
        kernel("topk", "topk.cu", defines=defines),
        x.size // depth,
        block,
        x,
        values,
        positions,
        np.uint32(depth),
        count,
    )
    return None

"""Elements in another order: transposed, cut out, turned around, repeated, taken apart, put together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np

from ....interpreter.ops.base import OPS, Activation
from ....interpreter.ops.padding import zero_point
from ....interpreter.ops.shared.host import normalize_axis
from ..groups import lowers
from ..listing import Operand
from ..lowering import Site
from ..walk import WALKS, Walk, blocked, dense, values_at, walks_of
from .elementwise import of
from .moving import elements_at_once, is_moved, launch, lists, mover
from .padding import emit_padded

TILE = 32
"""Rows and columns of the tiles that a transposition goes by."""

MAX_AT_ONCE = 8
"""Operands that one launch joins, or results that it makes."""

_PARTS = of("SPLIT", "SPLIT_V", "UNPACK")


@lowers(*(cls for cls in WALKS if cls not in _PARTS), tail=True, half=True)
def walked(site: Site) -> str | None:
    walks = walks_of(site.nodes[0])
    if walks is None:
        return "where its elements come from is known in the call only."
    emit_walk(site, walks[0], site.ins[walks[0].position], site.out)
    return None


def emit_walk(site: Site, walk: Walk, operand: Operand, out: Operand) -> None:
    """A launch that gathers `out` along a walk over an operand."""
    dims = walk.merged.dims or [(1, 1)]
    if not _transposed(site, dims, walk.start, operand, out):
        _strided(site, dims, walk.start, operand, out)


def _strided(site: Site, dims: Sequence[tuple[int, int]], start: int, operand: Operand, out: Operand) -> None:
    sizes, strides = [size for size, _ in dims], [stride for _, stride in dims]
    elements = 1
    if strides[-1] == 1:
        elements = elements_at_once(site, (operand, out), sizes[-1], start, *strides[:-1])
    sizes[-1] //= elements
    strides[:-1] = [stride // elements for stride in strides[:-1]]
    geometry = lists(sizes=sizes, strides=strides)
    what = mover(site, "strided", "strided.cu", operand, elements, {"RANK": len(dims), **geometry.defines})
    count = prod(sizes)
    launch(site, what, count, operand, out, np.uint32(count), np.int32(start // elements), *geometry.arguments)


def _transposed(site: Site, dims: Sequence[tuple[int, int]], start: int, operand: Operand, out: Operand) -> bool:
    """Launch tiles if the operand's adjacent elements are not the result's."""
    adjacent = [i for i, (_, stride) in enumerate(dims[:-1]) if stride == 1]
    if not adjacent or dims[-1][1] <= 1:
        return False
    pitches = [prod(size for size, _ in dims[i + 1 :]) for i in range(len(dims))]
    (axis,) = adjacent
    rows, (columns, column_stride) = dims[axis][0], dims[-1]
    batch = [i for i in range(len(dims) - 1) if i != axis]
    matrices = prod(dims[i][0] for i in batch)
    if min(rows, columns) < TILE // 4 or matrices >= 1 << 16 or rows >= TILE << 16:
        return False
    geometry = lists(
        sizes=[dims[i][0] for i in batch] or [1],
        strides=[dims[i][1] for i in batch] or [0],
        pitches=[pitches[i] for i in batch] or [0],
    )
    what = mover(site, "transposed", "transposed.cu", operand, 1, {"RANK": max(len(batch), 1), **geometry.defines})
    grid = -(-columns // TILE), -(-rows // TILE), matrices
    numbers = (np.int32(n) for n in (rows, columns, column_stride, pitches[axis], start))
    tail = site.tail.arguments if site.tail.nodes else ()
    site.launch(what, grid, (TILE, 8), operand, out, *numbers, *geometry.arguments, *tail)
    return True


@lowers(*_PARTS, half=True)
def parted(site: Site) -> str | None:
    """Results that lie side by side in each row of the operand."""
    walks = walks_of(site.nodes[0])
    if walks is None:
        return "its parts are known in the call only."
    operand = site.ins[walks[0].position]
    if not all(is_moved(site, o) for o in (operand, *site.outs)):
        return "its results have types of their own."
    widths = [out.size // max(_rows(walks[0]), 1) for out in site.outs]
    pitch = sum(widths)
    elements = elements_at_once(site, (operand, *site.outs), pitch, *widths)
    widths = [width // elements for width in widths]
    for first in range(0, len(widths), MAX_AT_ONCE):
        some, outs = widths[first : first + MAX_AT_ONCE], site.outs[first : first + MAX_AT_ONCE]
        geometry = lists(starts=list(accumulate(some, initial=0))[:-1], widths=some)
        names = [f"out{i}" for i in range(len(outs))]
        defines = {
            "COUNT": len(outs),
            "PARTED": ", ".join(f"void* __restrict__ {name}" for name in names),
            "RESULTS": f"{{{', '.join(names)}}}",
            **geometry.defines,
        }
        what = mover(site, "parted", "joining.cu", operand, elements, defines)
        numbers = (np.int32(n) for n in (sum(some), pitch // elements, sum(widths[:first])))
        count = _rows(walks[0]) * sum(some)
        launch(site, what, count, operand, *outs, np.uint32(count), *numbers, *geometry.arguments)
    return None


def _rows(walk: Walk) -> int:
    """How often the elements of a part are interrupted by others'."""
    dims = walk.merged.dims
    return dims[0][0] if len(dims) == 2 or (dims and dims[-1][1] != 1) else 1


@lowers(*of("CONCATENATION", "PACK", "STABLEHLO_CONCATENATE"), tail=True, half=True)
def joined(site: Site) -> str | None:
    op = site.op
    if getattr(op, "fused_activation_function", Activation.NONE) is not Activation.NONE:
        return "its activation has no kernel."
    if op.name == "CONCATENATION" and op.is_quantized and not _shares_scale(op):
        return "its operands have other scales than its result."
    values = [operand for operand in site.ins if operand.size]
    if len({operand.dtype for operand in values}) > 1:
        return "its operands have different types."
    shape = site.out.known_shape
    given = op.dimension if op.name == "STABLEHLO_CONCATENATE" else op.axis
    rows = prod(shape[: normalize_axis(given, max(len(shape), 1))])
    widths = [operand.size // rows for operand in values]
    pitch = sum(widths)
    elements = elements_at_once(site, (*values, site.out), *widths)
    widths = [width // elements for width in widths]
    for first in range(0, len(values), MAX_AT_ONCE):
        some, operands = widths[first : first + MAX_AT_ONCE], values[first : first + MAX_AT_ONCE]
        _join(site, operands, some, rows, elements, pitch // elements, sum(widths[:first]))
    return None


def _join(
    site: Site, operands: Sequence[Operand], widths: Sequence[int], rows: int, elements: int, pitch: int, skip: int
) -> None:
    width = sum(widths)
    spare = next(n for n in (1, 2, 4, MAX_AT_ONCE) if n >= len(widths)) - len(widths)  # so that fewer kernels will do
    starts = [*accumulate(widths, initial=0)][:-1] + [width] * spare
    geometry = lists(starts=starts, widths=[*widths, *[widths[0]] * spare])
    names = [f"in{i}" for i in range(len(starts))]
    defines = {
        "JOINS": "",
        "COUNT": len(starts),
        "JOINED": ", ".join(f"const void* __restrict__ {name}" for name in names),
        "OPERANDS": f"{{{', '.join(names)}}}",
        **geometry.defines,
    }
    what = mover(site, "joined", "joining.cu", operands[0], elements, defines)
    numbers = (np.int32(n) for n in (width, pitch, skip))
    count = rows * width
    given = (*operands, *[operands[0]] * spare)
    launch(site, what, count, *given, site.out, np.uint32(count), *numbers, *geometry.arguments)


def _shares_scale(op: Any) -> bool:
    out = op.outs[0].quantization
    if out is None:
        return True
    return all(
        spec.quantization is None
        or (spec.quantization.scales[0], spec.quantization.zero_points[0]) == (out.scales[0], out.zero_points[0])
        for spec in op.ins
    )


@lowers(OPS["SPACE_TO_BATCH_ND"])
def space_to_batch(site: Site) -> str | None:
    blocks, pads = (values_at(site.nodes[0], position) for position in (1, 2))
    if blocks is None or pads is None:
        return "its blocks are known in the call only."
    operand = site.ins[0]
    if any(pads):
        rest = [0] * (len(operand.known_shape) - 1 - len(blocks))
        before, after = ([0, *some, *rest] for some in (pads[::2], pads[1::2]))
        shape = [n + a + b for n, a, b in zip(operand.known_shape, before, after, strict=True)]
        padded = site.scratch(shape, operand.dtype)
        emit_padded(site, operand, padded, before, np.array(zero_point(site.op.outs[0]), operand.dtype))
        operand = padded
    emit_walk(site, blocked(operand.known_shape, blocks, to_batch=True), operand, site.out)
    return None


@lowers(OPS["BATCH_TO_SPACE_ND"])
def batch_to_space(site: Site) -> str | None:
    blocks, crops = (values_at(site.nodes[0], position) for position in (1, 2))
    if blocks is None or crops is None:
        return "its blocks are known in the call only."
    operand, shape = site.ins[0], site.out.known_shape
    walk = blocked(operand.known_shape, blocks, to_batch=False)
    if not any(crops):
        emit_walk(site, walk, operand, site.out)
        return None
    m = len(blocks)
    spatial = [n * block for n, block in zip(operand.known_shape[1 : m + 1], blocks, strict=True)]
    whole = site.scratch((shape[0], *spatial, *operand.known_shape[m + 1 :]), operand.dtype)
    emit_walk(site, walk, operand, whole)
    dims = dense(whole.known_shape)
    start = sum(cut * stride for cut, (_, stride) in zip(crops[::2], dims[1 : m + 1], strict=True))
    cropped = [(n, stride) for n, (_, stride) in zip(shape, dims, strict=True)]
    emit_walk(site, Walk(cropped, start), whole, site.out)
    return None

"""Tensors within a border: of a constant, or of their mirror image."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from ....interpreter.ops.padding import MirrorPad, MirrorPadMode, zero_point
from ..groups import lowers
from ..listing import Operand
from ..lowering import Site
from ..storage import halved
from ..walk import values_at
from .elementwise import of
from .moving import elements_at_once, launch, lists, mover


@lowers(*of("PAD", "PADV2"), tail=True, half=True)
def padded(site: Site) -> str | None:
    pads = values_at(site.nodes[0], 1)
    fill = np.array(zero_point(site.op.outs[0]), site.ins[0].dtype)
    if len(site.ins) > 2 and site.ins[2] is not None:
        value = site.value(2)
        if value is None:
            return "its constant is known in the call only."
        fill = value.reshape(())
    if pads is None:
        return "its paddings are known in the call only."
    emit_padded(site, site.ins[0], site.out, pads[::2], fill)
    return None


def emit_padded(site: Site, operand: Operand, out: Operand, before: Sequence[int], fill: np.ndarray) -> None:
    """A launch that puts an operand amid elements of one value, `before` of them before it in each dimension."""
    dims = _merged([*zip(out.known_shape, operand.known_shape, before, strict=True)])
    elements = elements_at_once(site, (operand, out), *dims[-1])
    outer, inner, skipped = dims[-1]
    dims[-1] = outer // elements, inner // elements, skipped // elements
    word = halved(fill) if operand.dtype == np.float16 else fill
    pattern = np.frombuffer(np.tile(word, 16 // word.dtype.itemsize).tobytes(), np.uint32)
    _emit(site, operand, out, dims, elements, pattern)


def _emit(
    site: Site, operand: Operand, out: Operand, dims: Sequence[tuple[int, ...]], elements: int, pattern: np.ndarray,
    **defines: object,
) -> None:  # fmt: skip
    outer, inner, before = zip(*dims, strict=True)
    geometry = lists(outer=outer, inner=inner, before=before)
    what = mover(site, "padded", "padded.cu", operand, elements, {"RANK": len(dims), **geometry.defines, **defines})
    count = prod(outer)
    launch(site, what, count, operand, out, np.uint32(count), *pattern, *geometry.arguments)


def _merged(dims: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """(outer, inner, before) of fewer dimensions: one without a border is a part of the next outer one."""
    kept: list[tuple[int, int, int]] = []
    for outer, inner, before in dims:
        if outer == inner == 1:
            continue
        if kept and outer == inner:
            kept[-1] = kept[-1][0] * outer, kept[-1][1] * outer, kept[-1][2] * outer
        else:
            kept.append((outer, inner, before))
    return kept or [(1, 1, 0)]


@lowers(MirrorPad, tail=True, half=True)
def mirrored(site: Site) -> str | None:
    pads = values_at(site.nodes[0], 1)
    if pads is None:
        return "its paddings are known in the call only."
    dims: list[tuple[int, int, int]] = []
    for outer, inner, before in zip(site.out.known_shape, site.ins[0].known_shape, pads[::2], strict=True):
        if outer == inner and dims and dims[-1][0] == dims[-1][1]:
            dims[-1] = dims[-1][0] * outer, dims[-1][1] * inner, 0
        else:
            dims.append((outer, inner, before))
    elements = 1
    if dims and dims[-1][0] == dims[-1][1]:
        elements = elements_at_once(site, (site.ins[0], site.out), dims[-1][0])
        dims[-1] = dims[-1][0] // elements, dims[-1][1] // elements, 0
    edge = 1 if site.op.mode is MirrorPadMode.REFLECT else 0
    _emit(site, site.ins[0], site.out, dims or [(1, 1, 0)], elements, np.zeros(4, np.uint32), MIRROR_EDGE=edge)
    return None

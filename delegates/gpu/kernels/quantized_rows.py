"""Integers that are reduced or normalised: MEAN, SUM, SOFTMAX, L2_NORMALIZATION."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....interpreter.ops.reduction import Mean, Sum, Total
from ....interpreter.ops.scan import L2Normalization
from ....interpreter.ops.shared.affine import affine
from ....interpreter.ops.shared.fixedpoint import quantize_multiplier
from ....interpreter.ops.shared.host import integers, normalize_axes
from ....interpreter.ops.softmax import EXP, RECIPROCAL, Softmax
from ..groups import lowers
from ..kernel import CTYPES
from ..listing import Argument, Block, Operand, Storage
from ..lowering import THREADS, Site
from .reduction import block_of, reduced_runs

LONG_ROW = 256
"""From so many elements a row has a block of 8 warps, not of one."""


@lowers(Mean, Sum, tail=True)
def total(site: Site) -> str | None:
    op: Total = site.op
    x, axes = site.ins[0], site.value(1)
    if not op.is_quantized:
        return "its type has no kernel."
    if axes is None or not 0 < x.size < 1 << 31:
        return "its axes are known in the call only, or it has too many elements, or none."
    shape = x.shape or ()
    over = set(normalize_axes(integers(axes), len(shape))) if shape else set()
    runs = list(reduced_runs(shape, over))
    if len(runs) != 1:
        return "its reduced dimensions are not side by side."
    outer, depth, inner = runs[0]
    columns, lines = block_of(inner, THREADS)
    entry, scales = mean_scale(op, depth) if isinstance(op, Mean) else _sum_scale(op, depth)
    made = site.kernel(entry, "quantized_mean.cu", ELEMENT=CTYPES[x.dtype])
    site.launch(
        made, outer * -(-inner // columns), (columns, lines),
        *(x, site.out, np.int32(depth), np.int32(inner), *scales, *limits_of(op), *site.tail.arguments),
    )  # fmt: skip
    return None


def mean_scale(op: Total, count: int) -> tuple[str, list[Argument]]:
    """The kernel; mantissa, shift, and what zero points add to a sum, as `Mean.rescaled` has them."""
    (scale, zero_point), output = affine(op.ins[0]), affine(op.outs[0])
    mantissa, shift = quantize_multiplier(float(scale) / float(output.scale))
    places = min(count.bit_length() - 1, 32, 31 + shift)
    numbers = (mantissa << places) // count, shift - places, count * zero_point
    return "quantized_mean", list(np.array(numbers, np.int64).astype(np.int32))


def _sum_scale(op: Total, count: int) -> tuple[str, list[Argument]]:
    """The kernel; factor and bias, as `Sum.rescaled` has them."""
    (scale, zero_point), output = affine(op.ins[0]), affine(op.outs[0])
    factor = np.float32(scale) / np.float32(output.scale)
    return "quantized_sum", [factor, np.float32(-zero_point) * factor * np.float32(count)]


@lowers(Softmax, tail=True)
def softmax(site: Site) -> str | None:
    op: Softmax = site.op
    x = site.ins[0]
    if (refused := _refusal(site)) is not None:
        return refused
    rows, depth, team = _rows(x)
    if x.dtype.itemsize > 1:
        factor = float(affine(op.ins[0]).scale * np.float32(op.beta)) / (10 / 65535)
        made = site.kernel("quantized_softmax_wide", "quantized_softmax.cu", ELEMENT="short", TEAM=team)
        tables = [_table(EXP.on(np)), _table(RECIPROCAL.on(np))]
        numbers = [depth, *quantize_multiplier(factor)]
    else:
        info = np.iinfo(op.outs[0].dtype)
        made = site.kernel("quantized_softmax", "quantized_softmax.cu", ELEMENT=CTYPES[x.dtype], TEAM=team)
        tables = [_table(op.exp.on(np).astype(np.int32)), _table(op.exp_term.on(np).astype(np.int32))]
        numbers = [depth, info.bits, int(info.min), int(info.max)]
    site.launch(made, rows, team, x, *tables, site.out, *map(np.int32, numbers), *site.tail.arguments)
    return None


@lowers(L2Normalization, tail=True)
def l2_normalization(site: Site) -> str | None:
    x = site.ins[0]
    if (refused := _refusal(site)) is not None:
        return refused
    rows, depth, team = _rows(x)
    is_unsigned = int(x.dtype.kind == "u")
    made = site.kernel("quantized_norm", "quantized_norm.cu",
                       ELEMENT=CTYPES[x.dtype], TEAM=team, IS_UNSIGNED=is_unsigned)  # fmt: skip
    zero = np.int32(affine(site.op.ins[0]).zero_point)
    site.launch(made, rows, team, x, site.out, np.int32(depth), zero, *limits_of(site.op), *site.tail.arguments)
    return None


def _refusal(site: Site) -> str | None:
    if not site.op.is_quantized:
        return "its type has no kernel."
    return None if 0 < site.ins[0].size < 1 << 31 else "its operand has too many elements, or none."


def _rows(x: Operand) -> tuple[int, int, int]:
    """How many rows there are, of how many elements, and threads for each."""
    *outer, depth = x.shape or ()
    return math.prod(outer), depth, 256 if depth >= LONG_ROW else 32


def _table(values: np.ndarray[Any, Any]) -> Operand:
    return Operand(Block(Storage.CONSTANT, values.nbytes, "table", values), values.shape, values.dtype)


def limits_of(op: Any) -> list[Argument]:
    """Zero point, least and greatest stored value of the result."""
    info = np.iinfo(op.outs[0].dtype)
    return [np.int32(affine(op.outs[0]).zero_point), np.int32(info.min), np.int32(info.max)]

"""Reductions over any dimensions: MEAN, SUM, REDUCE_MAX, REDUCE_MIN, REDUCE_PROD, REDUCE_ANY, REDUCE_ALL.

Dimensions side by side that are both reduced, or both kept, count as one. Each run of reduced ones takes a launch, the
innermost first, and two where one alone would leave most of the GPU idle.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from ....interpreter.ops.reduction import Mean, ReduceAll, ReduceAny, ReduceMax, ReduceMin, ReduceProd, Reduction, Sum
from ....interpreter.ops.shared.host import integers, normalize_axes
from ....interpreter.runtime.delegate import BoundNode
from ..groups import lowers
from ..kernel import CTYPES, kernel
from ..listing import Operand
from ..lowering import Site

THREADS, MOST_THREADS = 256, 1024
LONG_WALK = 64
"""So many elements after each other a thread takes in about as long as another launch would."""

WARP_ROW = 1024
"""The longest row that a warp reduces where there are few rows."""

BLOCKS = 264
"""So many blocks keep a GPU busy."""

_GREATER, _LESS = "a > b || a != a ? a : b", "a < b || a != a ? a : b"
_COMBINE: dict[type[Reduction], tuple[str, str]] = {
    Sum: ("a + b", "0"),
    Mean: ("a + b", "0"),
    ReduceProd: ("a * b", "1"),
    ReduceMax: (_GREATER, "first"),
    ReduceMin: (_LESS, "first"),
}
_COMBINE_BOOL: dict[type[Reduction], tuple[str, str]] = {
    **dict.fromkeys((Sum, ReduceMax, ReduceAny), ("a | b", "0")),
    **dict.fromkeys((ReduceProd, ReduceMin, ReduceAll), ("a & b", "1")),
}

STORED = {"VALUE": "WIDE", "OUT": "WIDE", "TAIL_PARAMETERS": "", "FINISH(out, i, value)": "(out)[i] = value"}
"""Macros of a kernel without a tail, which stores what it has combined."""


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """How elements are combined: in which NumPy type, and expressions of a start, of `a` and `b`, and of the end."""

    wide: np.dtype[Any]
    combine: str
    start: str  # of a line whose first element is `first`
    finish: str  # of `total` and `count`

    def defines(self, source: np.dtype[Any], *, last: bool) -> dict[str, object]:
        """Macros of a launch that reads `source`; the last one finishes."""
        wide = CTYPES[self.wide]
        return {
            "ELEMENT": CTYPES[source],
            "WIDE": wide,
            "WIDENED": "half_to_float(x)" if source == np.float16 else f"({wide})x",
            "START": self.start,
            "COMBINED": self.combine,
            "FINISHED": self.finish if last else "total",
        }


def arithmetic(op: type[Reduction], dtype: np.dtype[Any]) -> Arithmetic:
    """How NumPy reduces elements of a type."""
    if dtype.kind == "b":
        return Arithmetic(np.dtype(np.int32), *_COMBINE_BOOL[op], "total != 0")
    combine, start = _COMBINE[op]
    finish = "total / (WIDE)count" if op is Mean else "total"
    return Arithmetic(_wide(op, dtype), combine, start, f"(VALUE)({finish})")


def _wide(op: type[Reduction], dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Integer sums and products wrap around in the type of the elements, which all wider ones do alike."""
    if dtype.kind == "f":
        return np.dtype(np.float64 if dtype.itemsize == 8 else np.float32)
    if op is Mean:
        return np.dtype(np.int64)
    if op in (Sum, ReduceProd):
        return np.dtype(np.uint64)
    return dtype if dtype.itemsize >= 4 else np.dtype(np.int32)


@lowers(*_COMBINE, ReduceAny, ReduceAll, tail=True, half=True)
def reduction(site: Site) -> str | None:
    x, axes = site.ins[0], site.value(1)
    if site.op.is_quantized:
        return "it is quantised."
    if axes is None or x.shape is None or not x.size:
        return "its operand has no elements, or its axes are known in the call only."
    over = set(normalize_axes(integers(axes), len(x.shape))) if x.shape else set()
    reduce(site, arithmetic(type(site.op), x.dtype), x, over)
    return None


def reduce(site: Site, how: Arithmetic, x: Operand, over: AbstractSet[int]) -> None:
    """Emit the reduction of `x` over some dimensions; the last launch ends each element with the tail."""
    assert x.shape is not None
    count = math.prod(x.shape[axis] for axis in over)
    sums = site.sums_of(x)
    if sums is not None and how.combine == "a + b" and over == {1, 2}:
        x, over = sums, {1}
    assert x.shape is not None
    stages = [stage for run in reduced_runs(x.shape, over) for stage in stages_of(*run)]
    for position, stage in enumerate(stages):
        last = position == len(stages) - 1
        out = site.out if last else site.scratch((stage.outer, stage.parts, stage.inner), how.wide)
        _launch(site, how, x, out, stage, count=count, last=last)
        x = out


def is_pixel_mean(bound: BoundNode) -> bool:
    """Whether a node is the mean of a float32 image over its pixels, of which there are several."""
    image, axes = (*bound.ins, None)[:2]
    if not isinstance(bound.op, Mean) or image is None or axes is None or axes.value is None or bound.op.is_quantized:
        return False
    shape = image.shape or ()
    if len(shape) != 4 or image.dtype != np.float32 or shape[1] * shape[2] == 1:
        return False
    return set(normalize_axes(integers(axes.value), 4)) == {1, 2}


def pixel_sums(site: Site, x: Operand) -> Operand:
    """Sums of an image over its pixels: those that are kept, or launched now as far as one launch makes them; [images,
    parts, channels]."""
    kept = site.sums_of(x)
    if kept is not None:
        return kept
    assert x.shape is not None
    (run,) = reduced_runs(x.shape, {1, 2})
    stage, *_ = stages_of(*run)
    how = arithmetic(Sum, x.dtype)
    sums = site.scratch((stage.outer, stage.parts, stage.inner), how.wide)
    _launch(site, how, x, sums, stage, count=1, last=False)
    return sums


def reduced_runs(shape: Sequence[int], over: Collection[int]) -> Iterator[tuple[int, int, int]]:
    """(outer, depth, inner) of each run of reduced dimensions, the innermost first; one at least."""
    axes = [axis for axis, n in enumerate(shape) if n != 1]
    runs = [(is_reduced, math.prod(shape[a] for a in run)) for is_reduced, run in groupby(axes, over.__contains__)]
    inner = 1
    if not any(is_reduced for is_reduced, _ in runs):
        yield math.prod(shape), 1, 1
    while runs:
        is_reduced, size = runs.pop()
        if is_reduced:
            yield math.prod(n for _, n in runs), size, inner
        else:
            inner *= size


def block_of(inner: int, threads: int = THREADS) -> tuple[int, int]:
    """Columns and lines of a block of so many threads."""
    columns = min(32, 1 << (inner - 1).bit_length())
    return columns, threads // columns


@dataclass(frozen=True, slots=True)
class Stage:
    """One launch: [outer, depth, inner] to [outer, parts, inner]."""

    outer: int
    depth: int
    inner: int
    parts: int = 1

    @property
    def is_by_rows(self) -> bool:
        """Whether a warp takes each row."""
        is_busy = self.depth <= WARP_ROW or self.outer >= BLOCKS * THREADS // 32
        return self.inner == 1 and self.parts == 1 and is_busy

    @property
    def block(self) -> tuple[int, int]:
        """Columns and lines of a block, where no warp takes each row; few threads where lines would be short."""
        elements = -(-self.depth // self.parts) * min(self.inner, 32)
        return block_of(self.inner, THREADS if elements <= 16 * THREADS else MOST_THREADS)

    @property
    def tiles(self) -> int:
        """Blocks of each part."""
        return self.outer * -(-self.inner // self.block[0])


def stages_of(outer: int, depth: int, inner: int) -> tuple[Stage, ...]:
    """The launches of one run: two where a thread would have to walk far while most of the GPU is idle."""
    whole = Stage(outer, depth, inner)
    steps, parts = depth // whole.block[1], min(-(-depth // 128), BLOCKS // whole.tiles)
    if whole.is_by_rows or steps <= LONG_WALK or parts <= 1:
        return (whole,)
    parts = -(-depth // -(-depth // parts))
    return Stage(outer, depth, inner, parts), Stage(outer, parts, inner)


def _launch(site: Site, how: Arithmetic, x: Operand, out: Operand, stage: Stage, *, count: int, last: bool) -> None:
    defines, tail = how.defines(x.dtype, last=last), site.tail.arguments if last else ()
    entry = "reduce_rows" if stage.is_by_rows else "reduce_columns"
    code, defines = (site.tail.code, defines) if last else ("", defines | STORED)
    what = kernel(entry, "reduction.cu", defines=defines, code=code)
    if stage.is_by_rows:
        sizes = [np.uint32(stage.outer), np.uint32(stage.depth)]
        site.launch(what, -(-stage.outer // (THREADS // 32)), THREADS, x, out, *sizes, np.int32(count), *tail)
        return
    sizes = [np.uint32(n) for n in (stage.depth, stage.inner, -(-stage.depth // stage.parts))]
    site.launch(what, (stage.tiles, stage.parts), stage.block, x, out, *sizes, np.int32(count), *tail)

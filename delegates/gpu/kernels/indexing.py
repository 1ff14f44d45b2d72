"""Elements read or written at indices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from ....interpreter.ops.base import OPS
from ....interpreter.ops.shared.host import normalize_axis
from ..groups import lowers
from ..kernel import CTYPES
from ..listing import FAULT, Argument, Operand, constant
from ..lowering import THREADS, Site
from .moving import Lists, elements_at_once, launch, lists, mover

MAX_SCATTERED = 1024
"""Numbers among the indices up to which each element of a result looks through all of them."""


class Checks(NamedTuple):
    """How a kernel finds bad indices: macros and arguments."""

    defines: dict[str, object]
    arguments: tuple[Argument, ...]


def checks(site: Site, position: int, *sizes: int, message: str | Callable[[int], str]) -> Checks | None:
    """Of indices from 0 to less than `sizes`: one size for all, or one for each number in the last dimension.

    message: with {} for the bad index; in front of what is expected, or, a function of the number in the last
    dimension, all there is to say. None for constants that are bad.
    """
    value = site.value(position)
    if value is not None:
        bad = (value < 0) | (value >= (np.array(sizes) if len(sizes) > 1 else sizes[0]))
        return None if bad.any() else Checks({"FAULTS": ""}, ())
    texts = [
        f"{message}: got {{}}, expected 0 to {size - 1}." if isinstance(message, str) else message(i)
        for i, size in enumerate(sizes)
    ]
    return reported(site, *texts)


def reported(site: Site, *messages: str) -> Checks:
    """Of a kernel that reports faults with these numbers."""
    numbers = [site.fault(message) for message in messages]
    return Checks({"CHECKED": "", "FAULTS": ", long long* fault, const int number"}, (FAULT, numbers[0]))


_BAD = "its indices are out of range."


@lowers(OPS["GATHER"], tail=True, half=True)
def gathered(site: Site) -> str | None:
    params, indices = site.ins
    axis = normalize_axis(site.op.axis, len(params.known_shape))
    batch = site.op.batch_dims % len(indices.known_shape) if site.op.batch_dims < 0 else site.op.batch_dims
    found = checks(site, 1, params.known_shape[axis], message="gather index out of bounds")
    if found is None:
        return _BAD
    _look_up(site, params, indices, batch, found, axis)
    return None


def _look_up(site: Site, params: Operand, indices: Operand, batch: int, found: Checks, axis: int = 0) -> None:
    """Launch a gathering of slices of `params` along `axis`, whose first `batch` dimensions are those of `indices`."""
    params = site.in_half(params) if site.out.dtype == np.float16 else params
    shape = params.known_shape
    inner = prod(shape[axis + 1 :])
    elements = elements_at_once(site, (params, site.out), inner)
    defines = {"INDEX": CTYPES[indices.dtype], **found.defines}
    what = mover(site, "gathered", "gathered.cu", params, elements, defines)
    count = site.out.size // elements
    numbers = (
        np.uint32(count), np.uint32(prod(shape[batch:axis])), np.int32(shape[axis]),
        np.uint32(prod(indices.known_shape[batch:])), np.uint32(inner // elements),
    )  # fmt: skip
    launch(site, what, count, params, indices, site.out, *numbers, *found.arguments)


@lowers(OPS["EMBEDDING_LOOKUP"], tail=True, half=True)
def looked_up(site: Site) -> str | None:
    indices, table = site.ins
    spec, result = site.op.ins[1], site.op.outs[0]
    rows, width = table.known_shape[0], prod(table.known_shape[1:])
    is_real = spec.quantization is not None and spec.type != result.type
    if spec.type != result.type and not (is_real and result.dtype.kind == "f"):
        return "it has no kernel for a result of another type."
    found = checks(site, 0, rows, message="Embedding Lookup: index out of bounds")
    if found is None:
        return _BAD
    if not is_real:
        _look_up(site, table, indices, 0, found)
        return None
    scales = np.asarray(spec.quantization.scales, np.float32)
    block = np.uint32(max(rows * width // len(scales), 1))
    what = site.kernel(
        "looked_up", "looked_up.cu", ELEMENT=CTYPES[table.dtype], INDEX=CTYPES[indices.dtype], **found.defines
    )
    count = site.out.size
    numbers = np.uint32(count), np.int32(rows), np.uint32(width), block
    operands = table, indices, constant(scales), site.out
    site.launch(what, -(-count // THREADS), THREADS, *operands, *numbers, *found.arguments, *site.tail.arguments)
    return None


@lowers(OPS["GATHER_ND"], tail=True)
def gathered_nd(site: Site) -> str | None:
    params, indices = site.ins
    depth = indices.known_shape[-1]
    if depth == 0:
        return "it has no indices."
    sizes = params.known_shape[:depth]
    found = checks(site, 1, *sizes, message="gather_nd index out of bounds")
    if found is None:
        return _BAD
    inner = prod(params.known_shape[depth:])
    elements = elements_at_once(site, (params, site.out), inner)
    geometry = lists(sizes=sizes, strides=[prod(sizes[i + 1 :]) for i in range(depth)])
    defines = {"INDEX": CTYPES[indices.dtype], "DEPTH": depth, **geometry.defines, **found.defines}
    what = mover(site, "gathered_nd", "gathered_nd.cu", params, elements, defines)
    count = site.out.size // elements
    numbers = np.uint32(count), np.uint32(inner // elements), *geometry.arguments
    launch(site, what, count, params, indices, site.out, *numbers, *found.arguments)
    return None


@lowers(OPS["SCATTER_ND"], tail=True)
def scattered(site: Site) -> str | None:
    indices, added, _ = site.ins
    depth = indices.known_shape[-1]
    if depth == 0 or indices.size > MAX_SCATTERED:
        return f"it has no kernel for {indices.size} indices."
    shape = site.out.known_shape
    rows, inner = prod(shape[:depth]), prod(shape[depth:])
    strides = [prod(shape[i + 1 : depth]) for i in range(depth)]
    value = site.value(0)
    if value is None:
        found = reported(site, f"scatter_nd index out of bounds: got {{}}, expected 0 to {rows - 1}.")
    else:
        places = (value * np.array(strides)).sum(axis=-1)
        if ((places < 0) | (places >= rows)).any():
            return _BAD
        found = Checks({"FAULTS": ""}, ())
    geometry = lists(strides=strides)
    what = site.kernel(
        "scattered", "scattered.cu", DEPTH=depth, INDEX=CTYPES[indices.dtype], ELEMENT=CTYPES[added.dtype],
        SUM="float" if added.dtype.kind == "f" else "unsigned long long", **geometry.defines, **found.defines,
    )  # fmt: skip
    numbers = (np.int32(n) for n in (rows, inner, indices.size // depth))
    count = site.out.size
    site.launch(
        what, -(-count // THREADS), THREADS, indices, added, site.out, np.uint32(count), *numbers, *geometry.arguments,
        *found.arguments, *site.tail.arguments,
    )  # fmt: skip
    return None


@lowers(OPS["DYNAMIC_UPDATE_SLICE"], tail=True)
def updated(site: Site) -> str | None:
    """In place where nobody else needs the operand."""
    operand, box, starts = site.ins
    if not operand.known_shape:
        return "it has no kernel for a scalar."
    dims = _box_dims(operand.known_shape, box.known_shape)
    limits = [size - part for size, part in zip(operand.known_shape, box.known_shape, strict=True)]
    elements = elements_at_once(site, (operand, box, site.out), dims[-1].size, dims[-1].part, dims[-1].step)
    geometry = _box_lists(dims, elements, limits=[limits[dim.axis] for dim in dims])
    defines = {"INDEX": CTYPES[starts.dtype], "RANK": len(dims), **geometry.defines}
    is_apart = operand.block not in (box.block, starts.block) and not site.tail.nodes
    if is_apart and site.overwrite(0):
        what, count = mover(site, "placed", "updated.cu", box, elements, defines), box.size // elements
        launch(site, what, count, box, starts, site.out, np.uint32(count), *geometry.arguments)
        return None
    what, count = mover(site, "updated", "updated.cu", operand, elements, defines), site.out.size // elements
    launch(site, what, count, operand, box, starts, site.out, np.uint32(count), *geometry.arguments)
    return None


@lowers(OPS["SLICE"], tail=True)
def boxed(site: Site) -> str | None:
    """A box that begins where the call says."""
    operand, starts, _ = site.ins
    if not operand.known_shape:
        return "it has no kernel for a scalar."
    shape, box = operand.known_shape, site.out.known_shape
    limits = [size - part for size, part in zip(shape, box, strict=True)]
    place = f"SLICE of {list(shape)} from {{}} in dimension"
    found = checks(
        site, 1, *(limit + 1 for limit in limits),
        message=lambda i: f"Invalid begin and size: {place} {i}, size {list(box)}.",
    )  # fmt: skip
    if found is None:
        return _BAD
    dims = _box_dims(shape, box)
    elements = elements_at_once(site, (operand, site.out), dims[-1].size, dims[-1].part, dims[-1].step)
    geometry = _box_lists(dims, elements, limits=limits)
    defines = {"INDEX": CTYPES[starts.dtype], "RANK": len(dims), "DEPTH": len(shape), **geometry.defines}
    what = mover(site, "boxed", "boxed.cu", operand, elements, {**defines, **found.defines})
    count = site.out.size // elements
    launch(site, what, count, operand, starts, site.out, np.uint32(count), *geometry.arguments, *found.arguments)
    return None


class BoxDim(NamedTuple):
    """A dimension of a tensor with a box in it: both sizes, and which number says where it starts, in what steps."""

    size: int
    part: int
    axis: int
    step: int


def _box_dims(shape: Sequence[int], box: Sequence[int]) -> list[BoxDim]:
    """Dimensions that the box fills are part of the next outer one."""
    dims: list[BoxDim] = []
    for axis, (size, part) in enumerate(zip(shape, box, strict=True)):
        if dims and size == part:
            last = dims[-1]
            dims[-1] = BoxDim(last.size * size, last.part * size, last.axis, last.step * size)
        else:
            dims.append(BoxDim(size, part, axis, 1))
    return dims


def _box_lists(dims: Sequence[BoxDim], elements: int, limits: Sequence[int]) -> Lists:
    *outer, last = dims
    words = BoxDim(last.size // elements, last.part // elements, last.axis, last.step // elements)
    sizes, boxes, axes, steps = zip(*outer, words, strict=True)
    return lists(sizes=sizes, boxes=boxes, axes=axes, steps=steps, limits=limits)


@lowers(OPS["REVERSE_SEQUENCE"], tail=True)
def reversed_sequence(site: Site) -> str | None:
    operand, lengths = site.ins
    shape = operand.known_shape
    sequence, batch = (normalize_axis(axis, len(shape)) for axis in (site.op.seq_dim, site.op.batch_dim))
    found = checks(site, 1, shape[sequence] + 1, message="REVERSE_SEQUENCE: seq_lengths")
    if found is None:
        return _BAD
    step, batch_step = (prod(shape[axis + 1 :]) for axis in (sequence, batch))
    elements = elements_at_once(site, (operand, site.out), step, batch_step)
    what = mover(site, "reversed", "reversed.cu", operand, elements, {"INDEX": CTYPES[lengths.dtype], **found.defines})
    count = operand.size // elements
    numbers = (np.uint32(n) for n in (count, shape[sequence], step // elements, shape[batch], batch_step // elements))
    launch(site, what, count, operand, lengths, site.out, *numbers, *found.arguments)
    return None


@lowers(OPS["MATRIX_DIAG"], tail=True)
def diagonal(site: Site) -> str | None:
    _diagonal(site, site.ins[0], site.ins[0], {})
    return None


@lowers(OPS["MATRIX_SET_DIAG"], tail=True)
def set_diagonal(site: Site) -> str | None:
    matrices, vectors = site.ins
    _diagonal(site, matrices, vectors, {"KEEPS": ""})
    return None


def _diagonal(site: Site, matrices: Operand, vectors: Operand, defines: dict[str, object]) -> None:
    *_, rows, columns = site.out.known_shape
    what = mover(site, "diagonal", "diagonal.cu", matrices, 1, defines)
    numbers = (np.uint32(n) for n in (site.out.size, rows, columns))
    launch(site, what, site.out.size, matrices, vectors, site.out, *numbers)

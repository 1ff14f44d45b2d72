"""Images: resizing, blocks, patches, contrast."""

from __future__ import annotations

import numpy as np

from ..draft import DraftTensor
from ..lower import Lowering, lowers
from .conv import padded
from .steps import concat, move, slice_of
from .types import F32

RESIZERS = {"ResizeBilinear": "RESIZE_BILINEAR", "ResizeNearestNeighbor": "RESIZE_NEAREST_NEIGHBOR"}
BLOCKS = {"DepthToSpace": "DEPTH_TO_SPACE", "SpaceToDepth": "SPACE_TO_DEPTH"}
MAX_PATCH = 64
"""Patches of more pixels would take too many nodes."""


@lowers(*RESIZERS)
def resize(op: Lowering) -> DraftTensor:
    """Bilinear resizing gives floats, whatever the image is of."""
    corners, centres = bool(op.attr("align_corners", False)), bool(op.attr("half_pixel_centers", False))
    image = op.cast(op.input(0), op.output_type())
    return op.emit(RESIZERS[op.node.op], image, op.int32(1), align_corners=corners, half_pixel_centers=centres,
                   version=3 if centres or corners else 1)  # fmt: skip


@lowers(*BLOCKS)
def blocks(op: Lowering) -> DraftTensor:
    op.require(op.attr("data_format", "NHWC") == "NHWC", f"{op.node.op} is builtin in data format NHWC only")
    return op.emit(BLOCKS[op.node.op], op.input(0), block_size=op.attr("block_size"))


@lowers("SpaceToBatchND", "BatchToSpaceND")
def batches(op: Lowering) -> DraftTensor:
    op.require(len(op.dims(0)) in (3, 4), f"{op.node.op} is builtin for 3 or 4 dimensions only")
    name = "SPACE_TO_BATCH_ND" if op.node.op == "SpaceToBatchND" else "BATCH_TO_SPACE_ND"
    return op.emit(name, op.input(0), op.int32(1), op.int32(2))


@lowers("SpaceToBatch", "BatchToSpace")
def batches_of_squares(op: Lowering) -> DraftTensor:
    name = "SPACE_TO_BATCH_ND" if op.node.op == "SpaceToBatch" else "BATCH_TO_SPACE_ND"
    return op.emit(name, op.input(0), np.full(2, op.attr("block_size"), np.int32), op.int32(1))


@lowers("ExtractImagePatches")
def patches(op: Lowering) -> DraftTensor:
    """The pixels at each place of the window, one after another as channels."""
    (_, height, width, _), (_, down, across, _), (_, rate_h, rate_w, _) = map(op.attr, ("ksizes", "strides", "rates"))
    op.require(height * width <= MAX_PATCH, f"patches of more than {MAX_PATCH} pixels have no builtin form")
    dims, result = op.dims(0), op.output().dims or (None,) * 4
    op.require(None not in (*dims[1:], *result[1:]), "patches of images of unknown size have no builtin form")
    steps = ((result[1] or 0, down, height, rate_h), (result[2] or 0, across, width, rate_w))
    spans = [(count - 1) * stride + (window - 1) * rate + 1 for count, stride, window, rate in steps]
    x = op.input(0)
    lacking = [max(span - (size or 0), 0) for span, size in zip(spans, dims[1:3], strict=True)]
    if any(lacking):
        x = padded(op, x, np.array([(0, 0), *((n // 2, n - n // 2) for n in lacking), (0, 0)], np.int32))
    parts = []
    for i in range(height):
        top = i * rate_h
        row = slice_of(op, x, 1, top, top + (steps[0][0] - 1) * down + 1, down)
        for left in range(0, width * rate_w, rate_w):
            parts.append(slice_of(op, row, 2, left, left + (steps[1][0] - 1) * across + 1, across))
    return concat(op, parts, -1)


@lowers("AdjustContrastv2")
def adjust_contrast(op: Lowering) -> DraftTensor:
    """(x - mean) * factor + mean, with the mean of each channel of each image."""
    op.require(op.type(0) is F32, "the contrast is one of floats")
    x, dims = op.input(0), op.dims(0)
    rank = len(dims)
    axes = np.array([rank - 3, rank - 2], np.int32)
    mean = move(op, "MEAN", x, axes, dims=(*dims[:-3], 1, 1, dims[-1]), keep_dims=True)
    distance = move(op, "MUL", move(op, "SUB", x, mean, dims=dims), op.input(1), dims=dims)
    return op.emit("ADD", distance, mean)

"""Images: resizing, blocks."""

from __future__ import annotations

from ..draft import DraftTensor
from ..lower import Lowering, lowers
from .types import ARITHMETIC, F32, FIXED, I8, U8

RESIZERS = {"ResizeBilinear": "RESIZE_BILINEAR", "ResizeNearestNeighbor": "RESIZE_NEAREST_NEIGHBOR"}
BLOCKS = {"DepthToSpace": "DEPTH_TO_SPACE", "SpaceToDepth": "SPACE_TO_DEPTH"}


@lowers(*RESIZERS)
def resize(op: Lowering) -> DraftTensor:
    op.require_type(0, F32)
    corners, centres = bool(op.attr("align_corners", False)), bool(op.attr("half_pixel_centers", False))
    version = 3 if centres or corners else 1
    return op.emit(RESIZERS[op.node.op], op.input(0), op.int32(1), align_corners=corners, half_pixel_centers=centres,
                   version=version)  # fmt: skip


@lowers(*BLOCKS)
def blocks(op: Lowering) -> DraftTensor:
    op.require_type(0, *ARITHMETIC, U8, I8)
    op.require(op.attr("data_format", "NHWC") == "NHWC", f"{op.node.op} is builtin in data format NHWC only")
    return op.emit(BLOCKS[op.node.op], op.input(0), block_size=op.attr("block_size"))


@lowers("SpaceToBatchND", "BatchToSpaceND")
def batches(op: Lowering) -> DraftTensor:
    op.require_type(0, *FIXED)
    op.require(len(op.dims(0)) in (3, 4), f"{op.node.op} is builtin for 3 or 4 dimensions only")
    name = "SPACE_TO_BATCH_ND" if op.node.op == "SpaceToBatchND" else "BATCH_TO_SPACE_ND"
    return op.emit(name, op.input(0), op.int32(1), op.int32(2))

"""Non-maximum suppression of boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..draft import DraftTensor
from ..lower import Lowering, lowers
from .steps import move, number, reshape, vector
from .types import F32, I32

FREE = float(np.finfo(np.float32).min)
"""A score threshold that lets all boxes pass."""


@lowers("NonMaxSuppression", "NonMaxSuppressionV2", "NonMaxSuppressionV3", "NonMaxSuppressionV4")
def suppression(op: Lowering) -> Sequence[DraftTensor]:
    """The builtin operator fills up to the greatest number of boxes; results that are not filled up are cut."""
    boxes, scores, count = op.input(0), op.input(1), op.int32(2)
    iou = number(op.attr("iou_threshold", 0.5)) if len(op) < 4 else op.input(3)
    score = op.input(4) if len(op) > 4 else number(FREE)
    chosen, valid = _outputs(op)
    op.emit_many("NON_MAX_SUPPRESSION_V4", [boxes, scores, count, iou, score], [chosen, valid])
    fill = bool(op.attr("pad_to_max_output_size", False))
    return [chosen if fill else _cut(op, chosen, valid), valid][: len(op.node.outputs)]


@lowers("NonMaxSuppressionV5")
def soft_suppression(op: Lowering) -> Sequence[DraftTensor]:
    """With a sigma, TensorFlow lets no overlap rule out a box; the builtin operator does, unless all are allowed."""
    soft = bool(op.const(5, "sigma") > 0)
    iou = number(1) if soft else op.input(3)
    operands = [op.input(0), op.input(1), op.int32(2), iou, op.input(4), op.input(5)]
    chosen, valid = _outputs(op)
    scores = op.tensor(F32, (None,), "/scores")
    op.emit_many("NON_MAX_SUPPRESSION_V5", operands, [chosen, scores, valid])
    if op.attr("pad_to_max_output_size", False):
        return [chosen, scores, valid]
    return [_cut(op, chosen, valid), _cut(op, scores, valid), valid]


def _outputs(op: Lowering) -> tuple[DraftTensor, DraftTensor]:
    """Indices, as many as there may be, and how many count."""
    known = op.known(2)
    most = None if known is None else int(known)
    return op.tensor(I32, (most,), "/indices"), op.tensor(I32, (), "/count")


def _cut(op: Lowering, values: DraftTensor, count: DraftTensor) -> DraftTensor:
    return move(op, "SLICE", values, vector([0]), reshape(op, count, (1,)), dims=(None,))

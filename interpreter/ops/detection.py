"""Operators that choose boxes among overlapping ones. They loop over boxes on the host."""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np

from ..errors import KernelError
from ..graph import Array, TensorSpec, TensorType
from .base import FLOAT, INT32, Op, op
from .host import dimensions, require_rank, scalar, shape_of


def overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of one box (y1, x1, y2, x2) with each of `others` [n, 4]; 0 where one has no area."""
    low, high = np.minimum(box[:2], box[2:]), np.maximum(box[:2], box[2:])
    lows, highs = np.minimum(others[:, :2], others[:, 2:]), np.maximum(others[:, :2], others[:, 2:])
    area, areas = (high - low).prod(), (highs - lows).prod(axis=1)
    shared = np.maximum(np.minimum(high, highs) - np.maximum(low, lows), np.float32(0)).prod(axis=1)
    valid = (area > 0) & (areas > 0)
    return np.where(valid, shared / np.where(valid, area + areas - shared, np.float32(1)), np.float32(0))


def soft_suppression(
    boxes: np.ndarray,
    scores: np.ndarray,
    count: int,
    iou_threshold: np.float32,
    score_threshold: np.float32,
    sigma: np.float32,
) -> tuple[list[int], list[np.float32]]:
    """At most `count` boxes by falling score, and their scores (Bodla et al., Soft-NMS, 2017).

    A box that overlaps a chosen one by `iou_threshold` or more is out; less overlap lowers its score by a Gaussian of
    width `sigma` if that is positive. Equal scores go by index. A box that was chosen is looked at again, as the
    reference kernel does: without an area it does not suppress itself and is chosen once more.
    """
    candidates = [(-scores[i], i, 0) for i in np.flatnonzero(scores > score_threshold).tolist()]
    heapq.heapify(candidates)
    count = min(count, len(candidates))
    scale = np.float32(-0.5) / sigma if sigma > 0 else np.float32(0)
    chosen: list[int] = []
    chosen_scores: list[np.float32] = []
    while len(chosen) < count and candidates:
        negative, index, compared = heapq.heappop(candidates)
        # From the latest choice back, as overlapping boxes tend to have similar scores; this decides the rounding.
        ious = overlaps(boxes[index], boxes[chosen[compared:][::-1]])
        lowered = np.multiply.accumulate(np.concatenate([[-negative], np.exp(scale * ious * ious)]), dtype=np.float32)
        ends = np.flatnonzero((ious >= iou_threshold) | (lowered[1:] <= score_threshold))
        end = int(ends[0]) if ends.size else len(ious) - 1
        if len(ious) and ious[end] >= iou_threshold:
            continue
        score, compared = lowered[end + 1], len(chosen)
        if score == -negative:
            chosen.append(index)
            chosen_scores.append(score)
        if score > score_threshold:
            heapq.heappush(candidates, (-score, index, compared))
    return chosen, chosen_scores


class Suppression(Op):
    """What both operators of non-maximum suppression share. Results are filled up with zeros to `max_output_size`."""

    host_only = True

    def infer(self, boxes: TensorSpec, scores: TensorSpec, max_output_size: TensorSpec, *_: TensorSpec) -> Any:
        if boxes.rank != 2 or shape_of(boxes)[1] != 4 or scores.shape != shape_of(boxes)[:1]:
            raise KernelError(f"{self.name} got boxes {boxes} and scores {scores}, expected [n,4] and [n].")
        require_rank(max_output_size, (0,), f"{self.name}: max_output_size")
        shape = None if max_output_size.value is None else (self._size(max_output_size.value),)
        chosen = TensorSpec(TensorType.INT32, shape), TensorSpec(TensorType.FLOAT32, shape)
        return (*chosen[: len(self.outs) - 1], TensorSpec(TensorType.INT32, ()))

    def _size(self, max_output_size: Array) -> int:
        what = f"{self.name}: max_output_size"
        return dimensions([scalar(max_output_size, what)], what)[0]

    def _suppressed(self, boxes: Array, scores: Array, max_output_size: Array, *thresholds: Array) -> tuple[Array, ...]:
        size = self._size(max_output_size)
        numbers = [np.float32(scalar(t, f"{self.name}: threshold")) for t in thresholds]
        chosen, values = soft_suppression(boxes, scores, size, *numbers)
        indices, lowered = np.zeros(size, np.int32), np.zeros(size, np.float32)
        indices[: len(chosen)], lowered[: len(chosen)] = chosen, values
        return indices, lowered, np.array(len(chosen), np.int32)


@op("NON_MAX_SUPPRESSION_V4", FLOAT, FLOAT, INT32, FLOAT, FLOAT)
class NonMaxSuppressionV4(Suppression):
    """Indices of the boxes [n, 4] that are chosen by falling score, and how many they are."""

    def run(
        self, xp: Any, boxes: Array, scores: Array, max_output_size: Array, iou_threshold: Array, score_threshold: Array
    ) -> tuple[Array, ...]:
        thresholds = (iou_threshold, score_threshold, np.float32(0))
        indices, _, count = self._suppressed(boxes, scores, max_output_size, *thresholds)
        return indices, count


@op("NON_MAX_SUPPRESSION_V5", FLOAT, FLOAT, INT32, FLOAT, FLOAT, FLOAT)
class NonMaxSuppressionV5(Suppression):
    """Indices of the boxes [n, 4] that are chosen by falling score, lowered for overlaps, those scores, how many."""

    def run(
        self,
        xp: Any,
        boxes: Array,
        scores: Array,
        max_output_size: Array,
        iou_threshold: Array,
        score_threshold: Array,
        soft_nms_sigma: Array,
    ) -> tuple[Array, ...]:
        if scalar(soft_nms_sigma, "NON_MAX_SUPPRESSION_V5: soft_nms_sigma") < 0:
            raise KernelError(f"Invalid sigma value for soft NMS: {soft_nms_sigma}.")
        return self._suppressed(boxes, scores, max_output_size, iou_threshold, score_threshold, soft_nms_sigma)

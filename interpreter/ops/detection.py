"""Operators that choose boxes among overlapping ones. They loop over boxes on the host."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from ..errors import KernelError
from ..graph import Array, TensorSpec, TensorType
from .base import FLOAT, INT32, Op, op
from .shared.host import dimensions, require_rank, scalar, shape_of

Candidate: TypeAlias = tuple[float, int, int]


def overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of one box (y1, x1, y2, x2) with each of `others` [n, 4]; 0 where one has no area."""
    low, high = np.minimum(box[:2], box[2:]), np.maximum(box[:2], box[2:])
    lows, highs = np.minimum(others[:, :2], others[:, 2:]), np.maximum(others[:, :2], others[:, 2:])
    area, areas = (high - low).prod(), (highs - lows).prod(axis=1)
    shared = np.maximum(np.minimum(high, highs) - np.maximum(low, lows), np.float32(0)).prod(axis=1)
    valid = (area > 0) & (areas > 0)
    return np.where(valid, shared / np.where(valid, area + areas - shared, np.float32(1)), np.float32(0))


class CandidateHeap:
    """Candidates (score, box, choices compared with), of which `pop` gives one with the greatest score.

    Among equal scores the order is that of libstdc++'s priority_queue, with which the reference is built: scores that
    were quantised are often equal, and the order decides which boxes are left.
    """

    def __init__(self) -> None:
        self._items: list[Candidate] = []

    def __len__(self) -> int:
        return len(self._items)

    def push(self, candidate: Candidate) -> None:
        self._items.append(candidate)
        self._rise(len(self._items) - 1, candidate)

    def pop(self) -> Candidate:
        items = self._items
        top, last = items[0], items.pop()
        if not items:
            return top
        hole, child = 0, 2
        while child <= len(items):
            if child == len(items) or items[child][0] < items[child - 1][0]:
                child -= 1
            items[hole] = items[child]
            hole, child = child, 2 * child + 2
        self._rise(hole, last)
        return top

    def _rise(self, hole: int, candidate: Candidate) -> None:
        items = self._items
        while hole and items[(hole - 1) // 2][0] < candidate[0]:
            items[hole] = items[(hole - 1) // 2]
            hole = (hole - 1) // 2
        items[hole] = candidate


def soft_suppression(
    boxes: np.ndarray,
    scores: np.ndarray,
    count: int,
    iou_threshold: np.float32,
    score_threshold: np.float32,
    sigma: np.float32,
) -> tuple[list[int], list[float]]:
    """At most `count` boxes by falling score, and their scores (Bodla et al., Soft-NMS, 2017).

    A box that overlaps a chosen one by `iou_threshold` or more is out; less overlap lowers its score by a Gaussian of
    width `sigma` if that is positive. A chosen box stays a candidate, as in the reference kernel: it suppresses itself
    unless it has no area, and is chosen again then.
    """
    candidates = CandidateHeap()
    for index in np.flatnonzero(scores > score_threshold).tolist():
        candidates.push((float(scores[index]), index, 0))
    count = min(count, len(candidates))
    scale = np.float32(-0.5) / sigma if sigma > 0 else np.float32(0)
    suppressed = np.zeros(len(boxes), bool)
    chosen: list[int] = []
    chosen_scores: list[float] = []
    ious: list[np.ndarray] = []  # of each chosen box with all boxes
    while len(chosen) < count and candidates:
        score, index, compared = candidates.pop()
        if suppressed[index]:
            continue
        lowered = score
        if sigma > 0:  # the order of the products decides how they are rounded
            overlap = np.array([row[index] for row in reversed(ious[compared:])], np.float32)
            factors = np.concatenate([[np.float32(score)], np.exp(scale * overlap * overlap)])
            lowered = float(np.multiply.accumulate(factors)[-1])
        compared = len(chosen)
        if lowered == score:
            chosen.append(index)
            chosen_scores.append(score)
            ious.append(overlaps(boxes[index], boxes))
            suppressed |= ious[-1] >= iou_threshold
        if lowered > score_threshold:
            candidates.push((lowered, index, compared))
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

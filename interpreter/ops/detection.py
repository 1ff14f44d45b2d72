"""Operators that choose boxes among overlapping ones. They loop over boxes on the host."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from ..errors import KernelError
from ..graph import Array, TensorSpec, TensorType
from .base import FLOAT, INT32, UINT8, Op, op
from .host import dimensions, require_rank, scalar, shape_of

Candidate: TypeAlias = tuple[float, int, int]
Detections: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray, int]
"""Places in the results, the boxes and classes that go there, and how many boxes they are."""


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


def single_class_suppression(
    boxes: np.ndarray, scores: np.ndarray, count: int, iou_threshold: float, score_threshold: float
) -> np.ndarray:
    """Indices of at most `count` boxes by falling score, equal ones by index; what overlaps more is left out."""
    candidates = np.flatnonzero(scores >= np.float32(score_threshold))
    candidates = candidates[np.argsort(-scores[candidates], kind="stable")]
    chosen: list[int] = []
    while candidates.size and len(chosen) < count:
        best, candidates = candidates[0], candidates[1:]
        chosen.append(int(best))
        candidates = candidates[overlaps(boxes[best], boxes[candidates]) <= np.float32(iou_threshold)]
    return np.array(chosen, np.int64)


@op("TFLite_Detection_PostProcess", FLOAT | UINT8)
class DetectionPostProcess(Op):
    """Boxes [1, d, 4] (y1, x1, y2, x2), classes [1, d] and scores [1, d] of the best detections, and how many [1].

    `box_encodings` [1, n, 4 or more] are centres and log sizes relative to `anchors` [n, 4] (y, x, height, width),
    `class_predictions` [1, n, classes] scores, with a background class first if they are one more than `num_classes`.
    Regular suppression goes class by class. The fast one goes by the best class of each box and then lists its
    `max_classes_per_detection` best ones. What is not filled is zero. Reference kernel: detection_postprocess.
    """

    host_only = True

    max_detections: int = 0
    max_classes_per_detection: int = 0
    detections_per_class: int = 100
    use_regular_nms: bool = False
    nms_score_threshold: float = 0.0
    nms_iou_threshold: float = 0.0
    num_classes: int = 0
    y_scale: float = 0.0
    x_scale: float = 0.0
    h_scale: float = 0.0
    w_scale: float = 0.0

    def infer(
        self, box_encodings: TensorSpec, class_predictions: TensorSpec, anchors: TensorSpec
    ) -> tuple[TensorSpec, ...]:
        boxes, predictions = shape_of(box_encodings), shape_of(class_predictions)
        ranks = (len(boxes), len(predictions), anchors.rank)
        if ranks != (3, 3, 2) or boxes[:2] != (1, *predictions[1:2]) or anchors.shape != (boxes[1], 4) or boxes[2] < 4:
            got = f"{box_encodings}, {class_predictions}, {anchors}"
            raise KernelError(f"{self.name} got {got}, expected [1,n,4], [1,n,classes] and [n,4].")
        if self.num_classes < 1 or predictions[0] != 1 or predictions[2] - self.num_classes not in (0, 1):
            raise KernelError(f"{self.name} got {class_predictions} for {self.num_classes} classes.")
        if min(self.max_classes_per_detection, self.detections_per_class) < 1 or not 0 < self.nms_iou_threshold <= 1:
            raise KernelError(f"{self.name}: an attribute is out of range: {self.attributes}.")
        count = dimensions([self.max_detections * self.max_classes_per_detection], f"{self.name}: max_detections")[0]
        shapes = ((1, count, 4), (1, count), (1, count), (1,))
        return tuple(TensorSpec(TensorType.FLOAT32, shape) for shape in shapes)

    def run(self, xp: Any, box_encodings: Array, class_predictions: Array, anchors: Array) -> tuple[Array, ...]:
        operands = zip((box_encodings[0], class_predictions[0], anchors), self.ins, strict=True)
        encodings, predictions, centres = (_real(array, spec) for array, spec in operands)
        boxes = self._decoded(encodings[:, :4], centres)
        scores = predictions[:, predictions.shape[1] - self.num_classes :]
        choose = self._best_of_each_class if self.use_regular_nms else self._best_of_each_box
        places, chosen, classes, count = choose(boxes, scores)
        size = self.max_detections * self.max_classes_per_detection
        listed_boxes, listed_classes, listed_scores = (np.zeros((size, *s), np.float32) for s in ((4,), (), ()))
        listed_boxes[places], listed_classes[places] = boxes[chosen], classes
        listed_scores[places] = scores[chosen, classes]
        return listed_boxes[None], listed_classes[None], listed_scores[None], np.array([count], np.float32)

    def _decoded(self, encodings: np.ndarray, anchors: np.ndarray) -> np.ndarray:
        """Corners float32 [n, 4], computed in float64 up to centre and half the size."""
        encodings, anchors = encodings.astype(np.float64), anchors.astype(np.float64)
        scales = np.array([self.y_scale, self.x_scale, self.h_scale, self.w_scale], np.float32)
        centres = (encodings[:, :2] / scales[:2] * anchors[:, 2:] + anchors[:, :2]).astype(np.float32)
        halves = (0.5 * np.exp(encodings[:, 2:] / scales[2:]) * anchors[:, 2:]).astype(np.float32)
        if np.any(halves < 0):
            raise KernelError(f"{self.name}: an anchor has a negative size.")
        return np.concatenate([centres - halves, centres + halves], axis=1)

    def _suppressed(self, boxes: np.ndarray, scores: np.ndarray, count: int) -> np.ndarray:
        return single_class_suppression(boxes, scores, count, self.nms_iou_threshold, self.nms_score_threshold)

    def _best_of_each_box(self, boxes: np.ndarray, scores: np.ndarray) -> Detections:
        chosen = self._suppressed(boxes, scores.max(axis=1), self.max_detections)
        classes = np.argsort(-scores[chosen], axis=1, kind="stable")[:, : self.max_classes_per_detection]
        rows, columns = np.indices(classes.shape)
        places = rows * self.max_classes_per_detection + columns
        return places.ravel(), chosen[rows.ravel()], classes.ravel(), len(chosen)

    def _best_of_each_class(self, boxes: np.ndarray, scores: np.ndarray) -> Detections:
        count = min(self.detections_per_class, self.max_detections)
        found = [self._suppressed(boxes, scores[:, c], count) for c in range(self.num_classes)]
        classes = np.repeat(np.arange(self.num_classes), [len(f) for f in found])
        chosen = np.concatenate(found)
        best = np.argsort(-scores[chosen, classes], kind="stable")[: self.max_detections]
        return np.arange(len(best)), chosen[best], classes[best], len(best)


def _real(array: np.ndarray, spec: TensorSpec | None) -> np.ndarray:
    if array.dtype == np.float32 or spec is None or spec.quantization is None:
        return array.astype(np.float32)
    zero_point = np.float32(spec.quantization.zero_points[0])
    return (array.astype(np.float32) - zero_point) * np.float32(spec.quantization.scales[0])

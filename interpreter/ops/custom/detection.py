"""Detections from a single-shot detector's raw outputs: TFLite_Detection_PostProcess."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from ...errors import KernelError
from ...graph import Array, TensorSpec, TensorType
from ..base import FLOAT, UINT8, Op, op
from ..detection import overlaps
from ..shared.affine import dequantized
from ..shared.host import dimensions, shape_of

Detections: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray, int]
"""Places in the results, the boxes and classes that go there, and how many boxes they are."""


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


def _real(array: Array, spec: TensorSpec | None) -> Array:
    if array.dtype == np.float32 or spec is None or spec.quantization is None:
        return array.astype(np.float32)
    return dequantized(array, spec)

"""Detections from a single-shot detector's raw outputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.ops.harness import Case, Operand, check, const, matrix, q
from tflite_cupy.interpreter.format.flexbuffer import write_flexbuffer
from tflite_cupy.interpreter.graph import TensorType

RNG = np.random.default_rng(9)
CORNERS = RNG.uniform(0, 1, (60, 2)).astype(np.float32)
ANCHORS = np.concatenate([CORNERS, RNG.uniform(0.1, 0.4, (60, 2)).astype(np.float32)], axis=1)
ENCODINGS = RNG.normal(size=(1, 60, 4)).astype(np.float32)
PREDICTIONS = (RNG.permutation(240).reshape(1, 60, 4) / 240).astype(np.float32)
BYTES = RNG.integers(0, 256, (1, 60, 4)).astype(np.uint8)
RESULTS = [TensorType.FLOAT32] * 4
POSTPROCESS = "TFLite_Detection_PostProcess"


def options(**changed: float) -> bytes:
    values = {
        "max_detections": 5,
        "max_classes_per_detection": 1,
        "num_classes": 3,
        "nms_score_threshold": 0.1,
        "nms_iou_threshold": 0.5,
        "y_scale": 10.0,
        "x_scale": 10.0,
        "h_scale": 5.0,
        "w_scale": 5.0,
    }
    return write_flexbuffer(values | changed)


def postprocess(label: str, *operands: np.ndarray | Operand, raises: str | None = None, **changed: float) -> Case:
    inputs = operands or (ENCODINGS, PREDICTIONS, const(ANCHORS))
    settings = {"custom": True, "custom_options": options(**changed), "raises": raises}
    return Case(POSTPROCESS, inputs, outputs=RESULTS, label=label, **settings)  # type: ignore[arg-type]


CASES = [
    postprocess("fast"),
    postprocess("fast, two classes each", max_classes_per_detection=2),
    postprocess("fast without background", num_classes=4),
    postprocess("regular", use_regular_nms=True),
    postprocess("regular, not full", use_regular_nms=True, max_detections=90, nms_score_threshold=0.8),
    postprocess("regular, one for each class", use_regular_nms=True, detections_per_class=1),
    postprocess(
        "uint8",
        q(BYTES, 0.05, 128),
        q(BYTES[:, ::-1], 1 / 256),
        q(BYTES[0] // 4 + np.uint8(64), 0.005, 10, constant=True),
        use_regular_nms=True,
    ),
    postprocess("classes", raises="for 5 classes", num_classes=5),
    postprocess("threshold", raises="an attribute is out of range", nms_iou_threshold=0.0),
    replace(
        postprocess("anchors", ENCODINGS, PREDICTIONS, const(ANCHORS[1:]), raises="expected .1,n,4."),
        unreferenced="it reads what lies behind the anchors",
    ),
    postprocess("size", ENCODINGS, PREDICTIONS, const(-ANCHORS), raises="has a negative size"),
]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)

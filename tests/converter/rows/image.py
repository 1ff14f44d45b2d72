"""Rows of `converter/rules/conv.py`, `pool.py`, `image.py` and `detection.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.converter.oracle import Case, raw, weights

IMAGE, FIRST, VOLUME = "?,9,8,3", "?,3,9,8", "?,5,6,7,2"
BOXES = np.float32([[0, 0, 1, 1], [0, 0, 0.9, 1], [0, 2, 1, 3], [0, 2, 1, 3.2], [5, 5, 6, 6], [0, 0.1, 1, 1.1]])
SCORES = np.float32([0.9, 0.75, 0.6, 0.95, 0.05, 0.3])
THRESHOLDS = {"iou_threshold": 0.5, "score_threshold": 0.1}


def like(tf: Any, x: Any, array: np.ndarray) -> Any:
    return tf.cast(array, x.dtype)


def conv(strides: int, padding: str, **attributes: Any) -> Case:
    return Case(
        lambda tf, x: tf.raw_ops.Conv2D(
            input=x, filter=like(tf, x, weights(3, 2, 3, 4)), strides=[1, strides, strides, 1], padding=padding,
            **attributes
        ),
        [IMAGE],
    )  # fmt: skip


def pool(name: str, padding: str, **attributes: Any) -> Case:
    argument = "value" if name == "AvgPool" else "input"
    return Case(raw(name, argument, ksize=[1, 3, 2, 1], strides=[1, 2, 1, 1], padding=padding, **attributes), [IMAGE])


def pool_3d(name: str, padding: str) -> Case:
    return Case(raw(name, "input", ksize=[1, 2, 3, 2, 1], strides=[1, 2, 2, 1, 1], padding=padding), [VOLUME])


def filter_gradient(strides: int, padding: str, **attributes: Any) -> Case:
    def function(tf: Any, x: Any) -> Any:
        y = tf.raw_ops.Conv2D(
            input=x, filter=weights(3, 2, 3, 4), strides=[1, strides, strides, 1], padding=padding, **attributes
        )
        return tf.raw_ops.Conv2DBackpropFilter(
            input=x, filter_sizes=[3, 2, 3, 4], out_backprop=y, strides=[1, strides, strides, 1], padding=padding,
            **attributes
        )  # fmt: skip

    return Case(function, ["2,9,8,3"], tolerance=1e-4)


def suppression(name: str, *arguments: str, **attributes: Any) -> Case:
    def function(tf: Any, boxes: Any, scores: Any) -> Any:
        given = {a: tf.cast(THRESHOLDS[a], boxes.dtype) for a in arguments}
        return getattr(tf.raw_ops, name)(boxes=boxes, scores=scores, max_output_size=4, **given, **attributes)

    return Case(function, ["6,4", "6"], values={0: BOXES, 1: SCORES})


ROWS = {
    "Conv2D": conv(1, "SAME"),
    "Conv2D: valid, strided": conv(2, "VALID"),
    "Conv2D: same, strided": conv(2, "SAME"),
    "Conv2D: dilated": conv(1, "SAME", dilations=[1, 2, 2, 1]),
    "Conv2D: explicit": conv(1, "EXPLICIT", explicit_paddings=[0, 0, 1, 1, 0, 2, 0, 0]),
    "DepthwiseConv2dNative": Case(
        lambda tf, x: tf.nn.depthwise_conv2d(x, like(tf, x, weights(3, 3, 3, 2)), [1, 2, 2, 1], "SAME"),
        [IMAGE],
        "DEPTHWISE_CONV_2D",
    ),
    "Conv2DBackpropInput": Case(
        lambda tf, x: tf.raw_ops.Conv2DBackpropInput(
            input_sizes=tf.stack([tf.shape(x)[0], 8, 10, 5]), filter=like(tf, x, weights(3, 3, 5, 3)), out_backprop=x,
            strides=[1, 2, 2, 1], padding="SAME"
        ),
        ["?,4,5,3"],
        tolerance=1e-4,
    ),
    "Conv2DBackpropFilter": filter_gradient(1, "SAME"),
    "Conv2DBackpropFilter: strided": filter_gradient(2, "SAME"),
    "Conv2DBackpropFilter: valid, strided": filter_gradient(3, "VALID"),
    "Conv2DBackpropFilter: explicit": filter_gradient(2, "EXPLICIT", explicit_paddings=[0, 0, 1, 1, 0, 2, 0, 0]),
    "Conv3D": Case(
        lambda tf, x: tf.nn.conv3d(x, like(tf, x, weights(3, 2, 2, 2, 4)), [1, 1, 2, 1, 1], "SAME"), [VOLUME], "CONV_3D"
    ),
    "Conv3DBackpropInputV2": Case(
        lambda tf, x: tf.nn.conv3d_transpose(
            x, like(tf, x, weights(3, 2, 2, 4, 2)), [tf.shape(x)[0], 9, 11, 13, 4], [1, 2, 2, 2, 1], "SAME"
        ),
        [VOLUME],
        tolerance=1e-4,
    ),
    "AvgPool": pool("AvgPool", "SAME"),
    "AvgPool: valid": pool("AvgPool", "VALID"),
    "MaxPool": pool("MaxPool", "SAME"),
    "MaxPool: explicit": pool("MaxPool", "EXPLICIT", explicit_paddings=[0, 0, 1, 2, 0, 1, 0, 0]),
    "MaxPoolV2": Case(
        lambda tf, x: tf.raw_ops.MaxPoolV2(input=x, ksize=[1, 2, 2, 1], strides=[1, 1, 2, 1], padding="VALID"),
        [IMAGE],
        "MAX_POOL_2D",
    ),
    "AvgPool3D": pool_3d("AvgPool3D", "SAME"),
    "AvgPool3D: valid": pool_3d("AvgPool3D", "VALID"),
    "MaxPool3D": pool_3d("MaxPool3D", "SAME"),
    "ResizeBilinear": Case(
        lambda tf, x: (
            tf.raw_ops.ResizeBilinear(images=x, size=[7, 9]),
            tf.raw_ops.ResizeBilinear(images=x, size=[7, 9], align_corners=True),
            tf.raw_ops.ResizeBilinear(images=x, size=[18, 5], half_pixel_centers=True),
        ),
        [IMAGE],
        "RESIZE_BILINEAR*3",
    ),
    "ResizeNearestNeighbor": Case(
        lambda tf, x: (
            tf.raw_ops.ResizeNearestNeighbor(images=x, size=[7, 9]),
            tf.raw_ops.ResizeNearestNeighbor(images=x, size=[7, 9], align_corners=True),
            tf.raw_ops.ResizeNearestNeighbor(images=x, size=[18, 5], half_pixel_centers=True),
        ),
        [IMAGE],
        "RESIZE_NEAREST_NEIGHBOR*3",
    ),
    "DepthToSpace": Case(raw("DepthToSpace", "input", block_size=2), ["?,3,2,8"], "DEPTH_TO_SPACE"),
    "SpaceToDepth": Case(raw("SpaceToDepth", "input", block_size=2), ["?,4,6,3"], "SPACE_TO_DEPTH"),
    "SpaceToBatch": Case(
        raw("SpaceToBatch", "input", paddings=[[0, 0], [1, 1]], block_size=2), ["?,4,4,3"], "SPACE_TO_BATCH_ND"
    ),
    "BatchToSpace": Case(
        raw("BatchToSpace", "input", crops=[[0, 0], [1, 0]], block_size=2), ["8,2,3,3"], "BATCH_TO_SPACE_ND"
    ),
    "SpaceToBatchND": Case(
        raw("SpaceToBatchND", "input", block_shape=[2, 2], paddings=[[0, 0], [0, 2]]), ["?,4,6,3"], "SPACE_TO_BATCH_ND"
    ),
    "BatchToSpaceND": Case(
        raw("BatchToSpaceND", "input", block_shape=[2, 2], crops=[[0, 0], [1, 0]]), ["8,2,3,3"], "BATCH_TO_SPACE_ND"
    ),
    "ExtractImagePatches": Case(
        raw("ExtractImagePatches", "images", ksizes=[1, 3, 2, 1], strides=[1, 2, 3, 1], rates=[1, 1, 2, 1],
            padding="SAME"),
        [IMAGE],
    ),
    "ExtractImagePatches: valid": Case(
        raw("ExtractImagePatches", "images", ksizes=[1, 2, 2, 1], strides=[1, 2, 2, 1], rates=[1, 1, 1, 1],
            padding="VALID"),
        [IMAGE],
    ),
    "AdjustContrastv2": Case(
        lambda tf, x: tf.raw_ops.AdjustContrastv2(images=x, contrast_factor=2.0), [IMAGE], "MEAN SUB MUL ADD"
    ),
    "NonMaxSuppression": suppression("NonMaxSuppression"),
    "NonMaxSuppressionV2": suppression("NonMaxSuppressionV2", "iou_threshold"),
    "NonMaxSuppressionV3": suppression("NonMaxSuppressionV3", "iou_threshold", "score_threshold"),
    "NonMaxSuppressionV4": suppression("NonMaxSuppressionV4", "iou_threshold", "score_threshold"),
    "NonMaxSuppressionV4: filled": suppression(
        "NonMaxSuppressionV4", "iou_threshold", "score_threshold", pad_to_max_output_size=True
    ),
    "NonMaxSuppressionV5": suppression(
        "NonMaxSuppressionV5", "iou_threshold", "score_threshold", soft_nms_sigma=0.5
    ),
    "NonMaxSuppressionV5: filled": suppression(
        "NonMaxSuppressionV5", "iou_threshold", "score_threshold", soft_nms_sigma=0.0, pad_to_max_output_size=True
    ),
}  # fmt: skip

"""Convolutions and what is folded into them; the rules one by one are in test_rule_matrix.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.converter.oracle import Case, check, compare, convert, matrix, pytestmark_converter, run, weights

pytestmark = pytestmark_converter

IMAGE = "?,9,8,3"


def conv(stride: int, padding: Any, dilation: int = 1) -> Case:
    """A convolution with bias and activation, which must become one node."""
    return Case(
        lambda tf, x: tf.nn.relu(
            tf.nn.conv2d(x, weights(3, 2, 3, 5), stride, padding, dilations=dilation) + weights(5)
        ),
        [IMAGE],
        "CONV_2D",
    )


def depthwise(stride: int, padding: str, dilation: int = 1) -> Case:
    """A depthwise convolution with the batch norm that Keras 3 emits, which must become one node."""

    def function(tf: Any, x: Any) -> Any:
        y = tf.nn.depthwise_conv2d(x, weights(3, 3, 3, 2), [1, stride, stride, 1], padding, dilations=[dilation] * 2)
        return tf.nn.relu6(y * weights(6, seed=2) + weights(6, seed=3))

    return Case(function, [IMAGE], "DEPTHWISE_CONV_2D")


def transposed(stride: int, padding: str, size: tuple[int, int]) -> Case:
    def function(tf: Any, x: Any) -> Any:
        shape = tf.stack([tf.shape(x)[0], *size, 5])
        return tf.nn.relu(
            tf.nn.bias_add(tf.nn.conv2d_transpose(x, weights(3, 3, 5, 3), shape, stride, padding), weights(5))
        )

    return Case(function, ["?,4,5,3"])


def padded(before: int, after: int, ops: str) -> Case:
    """A padded image under a strided convolution, as Keras applications have it."""
    pads = [[0, 0], [before, after], [before, after], [0, 0]]
    return Case(lambda tf, x: tf.nn.conv2d(tf.pad(x, pads), weights(3, 3, 3, 5), 2, "VALID"), ["?,8,8,3"], ops)


CASES = {
    "conv same": conv(1, "SAME"),
    "conv valid strided": conv(2, "VALID"),
    "conv same strided": conv(2, "SAME"),
    "conv dilated": conv(1, "SAME", 2),
    "conv of explicit padding": Case(
        lambda tf, x: tf.nn.conv2d(x, weights(3, 2, 3, 5), 1, [[0, 0], [1, 1], [0, 2], [0, 0]]), [IMAGE], "PAD CONV_2D"
    ),
    "conv in groups": Case(lambda tf, x: tf.nn.conv2d(x, weights(3, 2, 2, 6), 1, "SAME"), ["?,9,8,4"], "CONV_2D"),
    "conv with an input as filter": Case(
        lambda tf, x, w: tf.nn.conv2d(x, w, 1, "SAME"), [IMAGE, "3,3,3,2"], "TRANSPOSE CONV_2D"
    ),
    "conv of unknown size": Case(
        lambda tf, x: tf.nn.conv2d(x, weights(1, 1, 3, 5), 1, "VALID"), ["?,?,?,3"], "CONV_2D"
    ),
    "conv 1d": Case(
        lambda tf, x: tf.nn.conv1d(x, weights(3, 3, 5), 1, "SAME"), ["?,9,3"], "EXPAND_DIMS CONV_2D SQUEEZE"
    ),
    "depthwise same": depthwise(1, "SAME"),
    "depthwise valid strided": depthwise(2, "VALID"),
    "depthwise dilated": depthwise(1, "SAME", 2),
    "depthwise with an input as filter": Case(
        lambda tf, x, w: tf.nn.depthwise_conv2d(x, w, [1, 1, 1, 1], "SAME"),
        [IMAGE, "3,3,3,2"],
        "RESHAPE DEPTHWISE_CONV_2D",
    ),
    "transposed same": transposed(2, "SAME", (8, 10)),
    "transposed valid": transposed(2, "VALID", (9, 11)),
    "padding like SAME": padded(0, 1, "CONV_2D"),
    "padding unlike SAME": padded(1, 0, "PAD CONV_2D"),
    "batch norm of one op": Case(
        lambda tf, x: (
            tf.raw_ops.FusedBatchNormV3(
                x=tf.nn.conv2d(x, weights(3, 3, 3, 4), 1, "SAME"),
                scale=weights(4),
                offset=weights(4, seed=2),
                mean=weights(4, seed=3),
                variance=abs(weights(4, seed=4)) + 0.1,
                is_training=False,
            ).y
        ),
        [IMAGE],
        "CONV_2D",
    ),
    "batch norm whose statistics are used": Case(
        lambda tf, x: tf.raw_ops.FusedBatchNormV3(
            x=x, scale=weights(3), offset=weights(3), mean=weights(3), variance=abs(weights(3)), is_training=False
        )[:2],
        [IMAGE],
        flex="FusedBatchNormV3",
    ),
    "batch norm alone": Case(lambda tf, x: x * weights(3) + weights(3, seed=2), [IMAGE], "MUL ADD"),
    "scaled, divided, subtracted from": Case(
        lambda tf, x: 3.0 - tf.nn.conv2d(x, weights(3, 3, 3, 4), 1, "SAME") / (abs(weights(4)) + 1), [IMAGE], "CONV_2D"
    ),
    "a constant that is no bias": Case(
        lambda tf, x: tf.nn.conv2d(x, weights(3, 3, 3, 4), 1, "SAME") + weights(1, 1, 8, 1), [IMAGE], "CONV_2D ADD"
    ),
    "a convolution used twice": Case(
        lambda tf, x: (y := tf.nn.conv2d(x, weights(1, 1, 3, 4), 1, "SAME"), tf.nn.relu(y * 2.0)),
        [IMAGE],
        "CONV_2D MUL",
    ),
    "relu after concat": Case(lambda tf, x: tf.nn.relu(tf.concat([x, -x], -1)), [IMAGE], "NEG CONCATENATION RELU"),
    "sum with relu": Case(lambda tf, x: tf.nn.relu6(x + tf.square(x)), [IMAGE], "SQUARE ADD"),
    "pools": Case(
        lambda tf, x: (
            tf.nn.avg_pool2d(x, 3, 2, "SAME"),
            tf.nn.max_pool2d(x, [2, 3], 2, "VALID"),
            tf.nn.relu(tf.nn.avg_pool2d(x, 2, 1, "VALID")),
        ),
        [IMAGE],
        "AVERAGE_POOL_2D*2 MAX_POOL_2D",
    ),
    "pool over channels": Case(
        lambda tf, x: tf.nn.max_pool(x, [1, 1, 1, 3], [1, 1, 1, 3], "VALID"), [IMAGE], flex="MaxPool"
    ),
    "resize to twice the size": Case(lambda tf, x: tf.image.resize(x, 2 * tf.shape(x)[1:3]), ["?,?,?,3"]),
}


@pytest.mark.parametrize(("case", "shapes", "runtime"), matrix(CASES))
@pytest.mark.filterwarnings("ignore:.*resize_bilinear:DeprecationWarning")
def test_rule(case: Case, shapes: str, runtime: str) -> None:
    check(case, shapes, runtime)


def layers(tf: Any, x: Any, layout: str) -> Any:
    """A convolution, a depthwise one and pools, as a model with this layout of images has them."""
    last = layout == "NHWC"

    def plane(first: int, second: int) -> list[int]:
        return [1, first, second, 1] if last else [1, 1, first, second]

    y = tf.raw_ops.Conv2D(
        input=x,
        filter=weights(3, 2, 3, 4),
        strides=plane(2, 1),
        padding="SAME",
        dilations=plane(1, 1),
        data_format=layout,
    )
    y = tf.raw_ops.BiasAdd(value=y, bias=weights(4), data_format=layout)
    y = tf.raw_ops.DepthwiseConv2dNative(
        input=y, filter=weights(2, 3, 4, 2), strides=plane(1, 1), padding="VALID", data_format=layout
    )
    y = tf.raw_ops.MaxPool(input=y, ksize=plane(2, 1), strides=plane(1, 2), padding="SAME", data_format=layout)
    return tf.raw_ops.AvgPool(value=y, ksize=plane(1, 2), strides=plane(1, 1), padding="VALID", data_format=layout)


@pytest.mark.parametrize("runtime", ["ours", pytest.param("reference", marks=pytest.mark.reference)])
def test_images_with_channels_first_give_what_those_with_channels_last_give(runtime: str) -> None:
    """TensorFlow itself has no such kernels for the CPU."""
    import tensorflow as tf

    x = weights(2, 9, 8, 3, seed=5)
    spec = tf.TensorSpec([None, 3, 9, 8], tf.float32, name="x")
    first = tf.function(lambda x: layers(tf, x, "NCHW"), input_signature=[spec], autograph=False)
    content = convert({"case": first}, flex=False)
    want = np.asarray(layers(tf, x, "NHWC")).transpose(0, 3, 1, 2)
    compare(run(content, "case", {"x": x.transpose(0, 3, 1, 2)}, runtime), {"output_0": want})

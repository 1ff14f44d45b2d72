"""Products of matrices, convolutions, windows, images."""

from __future__ import annotations

import numpy as np

from tflite_cupy.interpreter.ops.base import Padding

from ..drafts import Chooser, Draft, Out, Slot, TypeOf, recipe
from ..kinds import Range
from .common import BIAS, CLIPS, INTEGERS, WEIGHTS, index, moved, shape

WEIGHT_REACH = Range(-1, 1)


@recipe("FULLY_CONNECTED")
def fully_connected(c: Chooser, operator: str) -> Draft:
    depth, units = c.integer(1, 8) * 4, c.integer(1, 6)
    keep = c.pick((False, True))
    x = (*shape(c, 1, 2), depth) if keep else (c.integer(1, 4), depth)
    inputs: list[Slot | None] = [
        Slot("x", x),
        Slot("weights", (units, depth), kinds=WEIGHTS, reach=WEIGHT_REACH, constant=c.pick((True, False))),
        Slot("bias", (units,), kinds=BIAS, product_of=("x", "weights"), constant=True),
    ]
    attributes = {
        "fused_activation_function": c.pick(CLIPS),
        "keep_num_dims": keep,
        "asymmetric_quantize_inputs": c.pick((False, True)),
    }
    return Draft(inputs, [Out("y", reach=Range(-8, 8))], attributes, steps=1)


@recipe("CONV_2D")
def conv_2d(c: Chooser, operator: str) -> Draft:
    groups = c.pick((1, 2))
    depth, units = c.integer(1, 3) * groups, c.integer(1, 3) * groups
    h, w = c.integer(1, 3), c.integer(1, 3)
    inputs: list[Slot | None] = [
        Slot("x", (c.integer(1, 2), c.integer(5, 7), c.integer(5, 7), depth)),
        Slot(
            "weights", (units, h, w, depth // groups), kinds=WEIGHTS, reach=WEIGHT_REACH, constant=c.pick((True, False))
        ),
        Slot("bias", (units,), kinds=BIAS, product_of=("x", "weights"), constant=True),
    ]
    attributes = _window(c) | _dilation(c) | {"quantized_bias_type": TypeOf("bias")}
    return Draft(inputs, [Out("y", reach=Range(-9, 9))], attributes, steps=1)


@recipe("DEPTHWISE_CONV_2D")
def depthwise_conv_2d(c: Chooser, operator: str) -> Draft:
    depth, multiplier = c.integer(1, 3), c.integer(1, 2)
    out = depth * multiplier
    h, w = c.integer(1, 3), c.integer(1, 3)
    inputs: list[Slot | None] = [
        Slot("x", (c.integer(1, 2), c.integer(5, 7), c.integer(5, 7), depth)),
        Slot("weights", (1, h, w, out), kinds=WEIGHTS, reach=WEIGHT_REACH, axis=3, constant=c.pick((True, False))),
        Slot("bias", (out,), kinds=BIAS, product_of=("x", "weights"), constant=True),
    ]
    attributes = _window(c) | _dilation(c) | {"depth_multiplier": multiplier}
    return Draft(inputs, [Out("y", reach=Range(-6, 6))], attributes, steps=1)


def _window(c: Chooser) -> dict[str, object]:
    return {
        "padding": c.pick((Padding.SAME, Padding.VALID)),
        "stride_h": c.integer(1, 2),
        "stride_w": c.integer(1, 2),
        "fused_activation_function": c.pick(CLIPS),
    }


def _dilation(c: Chooser) -> dict[str, object]:
    return {"dilation_h_factor": c.pick((1, 2)), "dilation_w_factor": c.pick((1, 2))}


@recipe("TRANSPOSE_CONV")
def transpose_conv(c: Chooser, operator: str) -> Draft:
    depth, units, stride, kernel = c.integer(1, 3), c.integer(1, 3), c.integer(1, 2), c.integer(2, 3)
    padding = c.pick((Padding.SAME, Padding.VALID))
    side = 3 * stride if padding is Padding.SAME else 2 * stride + kernel
    weights = Slot("weights", (units, kernel, kernel, depth), kinds=WEIGHTS, reach=WEIGHT_REACH, constant=True)
    inputs: list[Slot | None] = [
        index("shape", [1, side, side, units]),
        weights,
        Slot("x", (1, 3, 3, depth)),
        Slot("bias", (units,), kinds=BIAS, product_of=("x", "weights"), constant=True),
    ]
    attributes = {
        "padding": padding,
        "stride_h": stride,
        "stride_w": stride,
        "fused_activation_function": c.pick(CLIPS),
        "quantized_bias_type": TypeOf("bias"),
    }
    return Draft(inputs, [Out("y", reach=Range(-6, 6))], attributes, steps=0)


@recipe("CONV_3D")
def conv_3d(c: Chooser, operator: str) -> Draft:
    depth, units = c.integer(1, 2), c.integer(1, 3)
    inputs: list[Slot | None] = [
        Slot("x", (1, 3, 4, 4, depth)),
        Slot("weights", (2, 2, 2, depth, units), reach=WEIGHT_REACH),
        Slot("bias", (units,), kinds=BIAS),
    ]
    return Draft(
        inputs, [Out("y")], _window(c) | {"stride_d": c.integer(1, 2)} | _dilation(c) | {"dilation_d_factor": 1}
    )


@recipe("CONV_3D_TRANSPOSE")
def conv_3d_transpose(c: Chooser, operator: str) -> Draft:
    depth, units, stride = c.integer(1, 2), c.integer(1, 3), c.integer(1, 2)
    inputs: list[Slot | None] = [
        index("shape", [1, 2 * stride, 3 * stride, 3 * stride, units]),
        Slot("weights", (2, 2, 2, units, depth), reach=WEIGHT_REACH),
        Slot("x", (1, 2, 3, 3, depth)),
        Slot("bias", (units,), kinds=BIAS),
    ]
    attributes = {"padding": Padding.SAME, "stride_d": stride, "stride_h": stride, "stride_w": stride}
    ones = {"dilation_d_factor": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
    return Draft(inputs, [Out("y")], attributes | ones)


@recipe("BATCH_MATMUL")
def batch_matmul(c: Chooser, operator: str) -> Draft:
    batch = shape(c, 0, 2, 3)
    rows, depth, columns = c.integer(1, 4), c.integer(2, 8), c.integer(1, 4)
    adj_x, adj_y = c.pick((False, True)), c.pick((False, True))
    x = (*batch, depth, rows) if adj_x else (*batch, rows, depth)
    y = (*batch, columns, depth) if adj_y else (*batch, depth, columns)
    inputs = [Slot("x", x), Slot("y", y, constant=c.pick((False, True)))]
    attributes = {"adj_x": adj_x, "adj_y": adj_y, "asymmetric_quantize_inputs": c.pick((False, True))}
    # beyond one dimension of batches the reference takes the scale of another row
    unsound = ("f32,i8q->f32",) if len(batch) > 1 else ()
    return Draft(inputs, [Out("z", reach=Range(-20, 20))], attributes, unsound=unsound)


@recipe("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D")
def pool(c: Chooser, operator: str) -> Draft:
    attributes = {"filter_height": c.integer(1, 3), "filter_width": c.integer(1, 3)} | _window(c)
    # the limits of an activation on integers without a scale are memory that the reference never sets
    unsound = ("i8->i8", "u8->u8", "i16->i16") if attributes["fused_activation_function"] else ()
    return Draft(*moved((1, 6, 5, c.integer(1, 3))), attributes, unsound=unsound)


@recipe("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
def resize(c: Chooser, operator: str) -> Draft:
    corners, centers = c.pick(((False, False), (True, False), (False, True)))
    inputs = [Slot("x", (1, 4, 5, c.integer(1, 2))), index("size", [c.integer(2, 9), c.integer(2, 9)])]
    return Draft(inputs, [Out("x")], {"align_corners": corners, "half_pixel_centers": centers})


@recipe("RFFT2D")
def rfft2d(c: Chooser, operator: str) -> Draft:
    return Draft([Slot("x", (*shape(c, 0, 2), 4, 8)), index("size", [4, 8])], [Out("y")], tolerance=1e-4)


@recipe("REDUCE_WINDOW")
def reduce_window(c: Chooser, operator: str) -> Draft:
    ones = np.int64([1, 1])
    inputs = [
        Slot("x", (c.integer(3, 6), c.integer(3, 6))),
        Slot("x", (), data=0),
        index("i", [2, 2]),
        index("i", [c.integer(1, 2), 1]),
        index("i", ones),
        index("i", ones),
    ]
    return Draft(inputs, [Out("x")], {"reduce_function": c.pick((1, 2, 3, 4, 5, 6))})


@recipe("NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5")
def non_max_suppression(c: Chooser, operator: str) -> Draft:
    corners = np.sort(c.rng.uniform(0, 1, (6, 2, 2)), axis=1).reshape(6, 4)
    inputs: list[Slot | None] = [
        Slot("x", (6, 4), data=corners),
        Slot("x", (6,), reach=Range(0, 1)),
        index("n", 4),
        Slot("x", (), data=0.5, constant=True),
        Slot("x", (), data=0.2, constant=True),
    ]
    outs = [Out("i", kinds=INTEGERS)] * 2
    if operator.endswith("V5"):
        inputs.append(Slot("x", (), data=0.3, constant=True))
        outs.insert(1, Out("x"))
    return Draft(inputs, outs)

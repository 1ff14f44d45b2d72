"""Rewriting drafts: what is fused, what must not be, that results stay the same. No TensorFlow needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tflite_cupy.converter.draft import DraftGraph, DraftNode, DraftTensor
from tflite_cupy.converter.rewrite import rewrite
from tflite_cupy.converter.write import Draft, freeze
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops.base import Padding

F32 = TensorType.FLOAT32
IMAGE = (1, 6, 6, 3)


class Builder:
    """Draws a subgraph with one input `x`."""

    def __init__(self, *dims: int) -> None:
        self.x = DraftTensor("x", F32, dims)
        self.graph = DraftGraph("main", inputs=[self.x])
        self.random = np.random.default_rng(0)

    def weights(self, *shape: int) -> DraftTensor:
        return self.constant(self.random.normal(size=shape).astype(np.float32))

    def constant(self, array: Any, dtype: Any = np.float32) -> DraftTensor:
        data = np.asarray(array, dtype)
        return DraftTensor("constant", TensorType.of(data.dtype), data.shape, data)

    def add(self, op: str, dims: tuple[int, ...], *inputs: DraftTensor, type: TensorType = F32,
            **attributes: Any) -> DraftTensor:  # fmt: skip
        out = DraftTensor(op.lower(), type, dims)
        self.graph.nodes.append(DraftNode(op, list(inputs), [out], attributes))
        return out

    def reshape(self, x: DraftTensor, *dims: int) -> DraftTensor:
        return self.add("RESHAPE", dims, x, self.constant(dims, np.int32), new_shape=dims)

    def transpose(self, x: DraftTensor, *order: int) -> DraftTensor:
        assert x.static is not None
        return self.add("TRANSPOSE", tuple(x.static[i] for i in order), x, self.constant(order, np.int32))

    def mean(self, x: DraftTensor, *axes: int, dims: tuple[int, ...]) -> DraftTensor:
        return self.add("MEAN", dims, x, self.constant(axes, np.int32), keep_dims=False)

    def cast(self, x: DraftTensor, type: TensorType) -> DraftTensor:
        assert x.static is not None
        return self.add("CAST", x.static, x, type=type, in_data_type=x.type, out_data_type=type)

    def conv(self, x: DraftTensor, filters: int = 4, size: int = 3, padding: Padding = Padding.SAME, stride: int = 1,
             dims: tuple[int, ...] | None = None) -> DraftTensor:  # fmt: skip
        assert x.static is not None
        kernel = self.weights(filters, size, size, x.static[3])
        return self.add("CONV_2D", dims or (*x.static[:3], filters), x, kernel, self.weights(filters), padding=padding,
                        stride_h=stride, stride_w=stride, dilation_h_factor=1, dilation_w_factor=1,
                        fused_activation_function=0)  # fmt: skip

    def dense(self, x: DraftTensor, units: int) -> DraftTensor:
        assert x.static is not None
        weights = self.weights(units, x.static[-1])
        return self.add("FULLY_CONNECTED", (*x.static[:-1], units), x, weights, self.weights(units), keep_num_dims=True,
                        fused_activation_function=0)  # fmt: skip


def scaled(b: Builder) -> DraftTensor:
    y = b.add("MUL", (1, 6, 6, 4), b.conv(b.x), b.weights(4))
    return b.add("RELU6", (1, 6, 6, 4), b.add("SUB", (1, 6, 6, 4), b.constant(2.0), y))


def divided(b: Builder) -> DraftTensor:
    return b.add("DIV", (1, 6, 6, 4), b.conv(b.x), b.constant([1, 2, 3, 4]))


def shifted_after_a_reshape(b: Builder) -> DraftTensor:
    flat = b.add("RESHAPE", (1, 36, 2, 2), b.conv(b.x), b.constant([1, 36, 2, 2], np.int32), new_shape=(1, 36, 2, 2))
    return b.add("RELU", (1, 36, 2, 2), b.add("ADD", (1, 36, 2, 2), flat, b.weights(2, 2)))


def divides(b: Builder) -> DraftTensor:
    return b.add("DIV", (1, 6, 6, 4), b.constant([1, 2, 3, 4]), b.conv(b.x))


def shifted_by_row(b: Builder) -> DraftTensor:
    return b.add("ADD", (1, 6, 6, 4), b.conv(b.x), b.weights(6, 1))


def shifted_after_activation(b: Builder) -> DraftTensor:
    return b.add("ADD", (1, 6, 6, 4), b.add("RELU", (1, 6, 6, 4), b.conv(b.x)), b.weights(4))


def used_twice(b: Builder) -> DraftTensor:
    y = b.conv(b.x)
    return b.add("MUL", (1, 6, 6, 4), y, b.add("RELU", (1, 6, 6, 4), y))


def activation_after_concat(b: Builder) -> DraftTensor:
    both = b.add("CONCATENATION", (1, 6, 6, 6), b.x, b.x, axis=3, fused_activation_function=0)
    return b.add("RELU", (1, 6, 6, 6), both)


def padded(before: int, after: int) -> Callable[[Builder], DraftTensor]:
    def build(b: Builder) -> DraftTensor:
        pads = b.constant([[0, 0], [before, after], [before, after], [0, 0]], np.int32)
        wide = b.add("PAD", (1, 7, 7, 3), b.x, pads)
        return b.conv(wide, padding=Padding.VALID, stride=2, dims=(1, 3, 3, 4))

    return build


def dilated(crop: int) -> Callable[[Builder], DraftTensor]:
    """A 3 x 3 convolution of dilation 2 spelled out as TensorFlow does."""

    def build(b: Builder) -> DraftTensor:
        block, pads = b.constant([2, 2], np.int32), b.constant([[2, 2], [2, 2]], np.int32)
        spread = b.add("SPACE_TO_BATCH_ND", (4, 5, 5, 3), b.x, block, pads)
        y = b.conv(spread, padding=Padding.VALID, dims=(4, 3, 3, 4))
        crops = b.constant([[0, crop], [0, crop]], np.int32)
        return b.add("BATCH_TO_SPACE_ND", (1, 6 - crop, 6 - crop, 4), y, block, crops)

    return build


def neutral(b: Builder) -> DraftTensor:
    y = b.add("ADD", IMAGE, b.constant([0, 0, 0]), b.add("MUL", IMAGE, b.x, b.constant(1)))
    return b.add("DIV", IMAGE, b.add("SUB", IMAGE, y, b.constant(0)), b.constant([[1]]))


def not_neutral(b: Builder) -> DraftTensor:
    return b.add("SUB", IMAGE, b.constant(0), b.x)


def neutral_but_larger(b: Builder) -> DraftTensor:
    return b.add("ADD", (2, 6, 6, 3), b.x, b.constant(np.zeros((2, 1, 1, 1))))


def duplicates(b: Builder) -> DraftTensor:
    first, second = (b.add("EXP", IMAGE, b.x) for _ in range(2))
    return b.add("MUL", IMAGE, b.add("RELU", IMAGE, first), b.add("RELU", IMAGE, second))


def unused(b: Builder) -> DraftTensor:
    b.add("EXP", IMAGE, b.x)
    return b.add("ABS", IMAGE, b.x)


def product_between_reshapes(b: Builder) -> DraftTensor:
    flat = b.add("RESHAPE", (36, 3), b.x, b.constant([-1, 3], np.int32), new_shape=(-1, 3))
    y = b.dense(flat, 5)
    b.graph.nodes[-1].attributes["keep_num_dims"] = False
    return b.add("RESHAPE", (1, 6, 6, 5), y, b.constant([1, 6, 6, 5], np.int32), new_shape=(1, 6, 6, 5))


def two_reshapes(b: Builder) -> DraftTensor:
    return b.reshape(b.reshape(b.x, 36, 3), 6, 18)


def reshapes_of_all_kinds(b: Builder) -> DraftTensor:
    flat = b.add("SQUEEZE", (6, 6, 3), b.x, squeeze_dims=(0,))
    back = b.add("EXPAND_DIMS", IMAGE, flat, b.constant(0, np.int32))
    return b.add("ABS", IMAGE, back)


def reshaped_for_two(b: Builder) -> DraftTensor:
    flat = b.reshape(b.x, 36, 3)
    return b.add("MUL", (6, 18), b.reshape(flat, 6, 18), b.reshape(b.add("EXP", (36, 3), flat), 6, 18))


def flattened_for_a_product(b: Builder) -> DraftTensor:
    y = b.dense(b.reshape(b.x, 1, 108), 5)
    b.graph.nodes[-1].attributes["keep_num_dims"] = False
    return y


def reshaped_beside(b: Builder) -> DraftTensor:
    row = b.add("EXP", (1, 1, 1, 3), b.mean(b.x, 1, 2, dims=(1, 3)))
    b.graph.nodes[-2].attributes["keep_dims"] = True
    b.graph.nodes[-2].outputs[0].dims = (1, 1, 1, 3)
    return b.add("ADD", IMAGE, b.x, b.reshape(row, 3))


def reshaped_beside_to_grow(b: Builder) -> DraftTensor:
    flat = b.reshape(b.x, 6, 6, 3)
    return b.add("ADD", IMAGE, b.reshape(b.add("EXP", (6, 6, 3), flat), 1, 6, 6, 3), b.add("ABS", (6, 6, 3), flat))


def transposed_and_back(b: Builder) -> DraftTensor:
    return b.add("ABS", IMAGE, b.transpose(b.transpose(b.x, 0, 3, 1, 2), 0, 2, 3, 1))


def transposed_twice(b: Builder) -> DraftTensor:
    return b.transpose(b.transpose(b.x, 0, 3, 1, 2), 3, 1, 2, 0)


def transposed_ones(b: Builder) -> DraftTensor:
    return b.transpose(b.x, 1, 2, 0, 3)


def mean_over_ones(b: Builder) -> DraftTensor:
    return b.mean(b.x, 0, dims=(6, 6, 3))


def mean_and_its_dimensions(b: Builder) -> DraftTensor:
    return b.reshape(b.mean(b.x, 1, -2, dims=(1, 3)), 1, 1, 1, 3)


def mean_reshaped_otherwise(b: Builder) -> DraftTensor:
    return b.reshape(b.mean(b.x, 1, 2, dims=(1, 3)), 1, 3, 1, 1)


def padded_for_two(b: Builder) -> DraftTensor:
    pads = b.constant([[0, 0], [0, 1], [0, 1], [0, 0]], np.int32)
    wide = b.add("PAD", (1, 7, 7, 3), b.x, pads)
    first, second = (b.conv(wide, padding=Padding.VALID, stride=2, dims=(1, 3, 3, 4)) for _ in range(2))
    return b.add("MUL", (1, 3, 3, 4), first, second)


def cast_there_and_back(b: Builder) -> DraftTensor:
    return b.add("ABS", IMAGE, b.cast(b.cast(b.x, TensorType.FLOAT64), F32))


def cast_through_a_narrow_type(b: Builder) -> DraftTensor:
    return b.cast(b.cast(b.x, TensorType.INT32), F32)


def cast_that_rounds(b: Builder) -> DraftTensor:
    whole = b.add("ABS", IMAGE, b.cast(b.x, TensorType.INT64), type=TensorType.INT64)
    back = b.cast(b.cast(whole, TensorType.FLOAT64), TensorType.INT64)
    return b.cast(b.add("ABS", IMAGE, back, type=TensorType.INT64), F32)


def scaled_to_infinity(b: Builder) -> DraftTensor:
    return b.add("MUL", (1, 6, 6, 4), b.conv(b.x), b.constant([1, np.inf, 2, -np.inf]))


def divided_by_zero(b: Builder) -> DraftTensor:
    return b.add("DIV", (1, 6, 6, 4), b.conv(b.x), b.constant([1, 0, 2, 3]))


def hard_swish_of_more_dimensions(b: Builder) -> DraftTensor:
    more = (1, *IMAGE)
    clipped = b.add("RELU6", more, b.add("ADD", more, b.x, b.constant(np.full((1,) * 5, 3))))
    return b.add("MUL", more, b.add("MUL", more, clipped, b.constant(1 / 6)), b.x)


def hard_swish(b: Builder) -> DraftTensor:
    clipped = b.add("RELU6", IMAGE, b.add("ADD", IMAGE, b.x, b.constant(3)))
    return b.add("MUL", IMAGE, b.add("MUL", IMAGE, clipped, b.constant(1 / 6)), b.x)


def hard_swish_in_the_end(b: Builder) -> DraftTensor:
    clipped = b.add("RELU6", IMAGE, b.add("ADD", IMAGE, b.constant(3), b.x))
    return b.add("DIV", IMAGE, b.add("MUL", IMAGE, b.x, clipped), b.constant(6))


def sevenths(b: Builder) -> DraftTensor:
    clipped = b.add("RELU6", IMAGE, b.add("ADD", IMAGE, b.x, b.constant(3)))
    return b.add("DIV", IMAGE, b.add("MUL", IMAGE, b.x, clipped), b.constant(7))


def clipped_to(low: float, high: float, *, low_first: bool = True) -> Callable[[Builder], DraftTensor]:
    def build(b: Builder) -> DraftTensor:
        bounds = [("MAXIMUM", low), ("MINIMUM", high)]
        x = b.add("ABS", IMAGE, b.x)
        for op, bound in bounds if low_first else bounds[::-1]:
            x = b.add(op, IMAGE, x, b.constant(bound))
        return x

    return build


def clipped_after_a_convolution(b: Builder) -> DraftTensor:
    return b.add("MAXIMUM", (1, 6, 6, 4), b.constant(0), b.conv(b.x))


def last_axis(b: Builder, op: str, x: DraftTensor) -> DraftTensor:
    return b.add(op, (1, 6, 6, 1), x, b.constant([3], np.int32), keep_dims=True)


def softmax(b: Builder) -> DraftTensor:
    power = b.add("EXP", IMAGE, b.add("SUB", IMAGE, b.x, last_axis(b, "REDUCE_MAX", b.x)))
    return b.add("DIV", IMAGE, power, last_axis(b, "SUM", power))


def softmax_of_an_activation(b: Builder) -> DraftTensor:
    shifted = b.add("SUB", IMAGE, b.x, last_axis(b, "REDUCE_MAX", b.x))
    power = b.add("EXP", IMAGE, b.add("RELU", IMAGE, shifted))
    return b.add("DIV", IMAGE, power, last_axis(b, "SUM", power))


def softmax_used_before(b: Builder) -> DraftTensor:
    power = b.add("EXP", IMAGE, b.add("SUB", IMAGE, b.x, last_axis(b, "REDUCE_MAX", b.x)))
    return b.add("ADD", IMAGE, power, b.add("DIV", IMAGE, power, last_axis(b, "SUM", power)))


def normalised(epsilon: float) -> Callable[[Builder], DraftTensor]:
    def build(b: Builder) -> DraftTensor:
        total = last_axis(b, "SUM", b.add("SQUARE", IMAGE, b.x))
        root = b.add("RSQRT", (1, 6, 6, 1), b.add("MAXIMUM", (1, 6, 6, 1), total, b.constant(epsilon)))
        return b.add("MUL", IMAGE, b.x, root)

    return build


def squared_difference(b: Builder) -> DraftTensor:
    return b.add("SQUARE", IMAGE, b.add("SUB", IMAGE, b.x, b.weights(3)))


def reciprocal_root(b: Builder) -> DraftTensor:
    return b.add("DIV", IMAGE, b.constant(1), b.add("SQRT", IMAGE, b.add("EXP", IMAGE, b.x)))


CASES: dict[str, tuple[Callable[[Builder], DraftTensor], list[str]]] = {
    "scaled": (scaled, ["CONV_2D"]),
    "divided": (divided, ["CONV_2D"]),
    "shifted after a reshape": (shifted_after_a_reshape, ["CONV_2D", "RESHAPE"]),
    "a constant over the result": (divides, ["CONV_2D", "DIV"]),
    "shifted by row": (shifted_by_row, ["CONV_2D", "ADD"]),
    "shifted after activation": (shifted_after_activation, ["CONV_2D", "ADD"]),
    "used twice": (used_twice, ["CONV_2D", "RELU", "MUL"]),
    "activation after concat": (activation_after_concat, ["CONCATENATION", "RELU"]),
    "padded as SAME pads": (padded(0, 1), ["CONV_2D"]),
    "padded otherwise": (padded(1, 0), ["PAD", "CONV_2D"]),
    "dilated": (dilated(0), ["CONV_2D"]),
    "dilated and cropped": (dilated(1), ["SPACE_TO_BATCH_ND", "CONV_2D", "BATCH_TO_SPACE_ND"]),
    "neutral": (neutral, []),
    "not neutral": (not_neutral, ["SUB"]),
    "neutral but larger": (neutral_but_larger, ["ADD"]),
    "duplicates": (duplicates, ["EXP", "RELU", "MUL"]),
    "unused": (unused, ["ABS"]),
    "product between reshapes": (product_between_reshapes, ["FULLY_CONNECTED"]),
    "two reshapes": (two_reshapes, ["RESHAPE"]),
    "reshapes of all kinds": (reshapes_of_all_kinds, ["ABS"]),
    "reshaped for two": (reshaped_for_two, ["RESHAPE", "RESHAPE", "EXP", "RESHAPE", "MUL"]),
    "flattened for a product": (flattened_for_a_product, ["FULLY_CONNECTED"]),
    "reshaped beside": (reshaped_beside, ["MEAN", "EXP", "ADD"]),
    "reshaped beside to grow": (reshaped_beside_to_grow, ["RESHAPE", "EXP", "RESHAPE", "ABS", "ADD"]),
    "transposed and back": (transposed_and_back, ["ABS"]),
    "transposed twice": (transposed_twice, ["TRANSPOSE"]),
    "transposed ones": (transposed_ones, ["RESHAPE"]),
    "mean over ones": (mean_over_ones, ["RESHAPE"]),
    "mean and its dimensions": (mean_and_its_dimensions, ["MEAN"]),
    "mean reshaped otherwise": (mean_reshaped_otherwise, ["MEAN", "RESHAPE"]),
    "padded for two": (padded_for_two, ["CONV_2D", "CONV_2D", "MUL"]),
    "cast there and back": (cast_there_and_back, ["ABS"]),
    "hard swish in the end": (hard_swish_in_the_end, ["HARD_SWISH"]),
    "sevenths": (sevenths, ["ADD", "MUL", "DIV"]),
    "clipped to 0 and 6": (clipped_to(0, 6), ["ABS", "RELU6"]),
    "clipped to 1 and -1": (clipped_to(-1, 1, low_first=False), ["ABS", "RELU_N1_TO_1"]),
    "clipped to 0 and 1": (clipped_to(0, 1, low_first=False), ["ABS", "RELU_0_TO_1"]),
    "clipped to 0.5 and 1": (clipped_to(0.5, 1), ["ABS", "MAXIMUM", "MINIMUM"]),
    "clipped after a convolution": (clipped_after_a_convolution, ["CONV_2D"]),
    "softmax": (softmax, ["SOFTMAX"]),
    "softmax used before": (softmax_used_before, ["REDUCE_MAX", "SUB", "EXP", "SUM", "DIV", "ADD"]),
    "normalised": (normalised(1e-12), ["L2_NORMALIZATION"]),
    "normalised with another floor": (normalised(1e-6), ["SQUARE", "SUM", "MAXIMUM", "RSQRT", "MUL"]),
    "squared difference": (squared_difference, ["SQUARED_DIFFERENCE"]),
    "reciprocal root": (reciprocal_root, ["EXP", "RSQRT"]),
    "cast that rounds": (
        cast_that_rounds,
        ["CAST", "ABS", "CAST", "CAST", "ABS", "CAST"],
    ),
    "scaled to infinity": (scaled_to_infinity, ["CONV_2D", "MUL"]),
    "divided by zero": (divided_by_zero, ["CONV_2D", "DIV"]),
    "hard swish of more dimensions": (hard_swish_of_more_dimensions, ["ADD", "MUL", "MUL"]),
    "softmax of an activation": (softmax_of_an_activation, ["REDUCE_MAX", "SUB", "EXP", "SUM", "DIV"]),
    "cast through a narrow type": (cast_through_a_narrow_type, ["CAST", "CAST"]),
    "hard swish": (hard_swish, ["HARD_SWISH"]),
}


def output(graph: DraftGraph, x: np.ndarray) -> Any:
    content = write_model(freeze([Draft("f", graph, ("x",), ("y",))]))
    return lite.Interpreter(model_content=content).get_signature_runner("f")(x=x)["y"]


@pytest.mark.parametrize("name", CASES)
def test_rewriting(name: str) -> None:
    build, ops = CASES[name]
    builder = Builder(*IMAGE)
    builder.graph.outputs = [build(builder)]
    x = np.random.default_rng(1).normal(size=IMAGE).astype(np.float32)
    before = output(builder.graph, x)
    rewrite(builder.graph)
    assert [node.op for node in builder.graph.nodes] == ops
    np.testing.assert_allclose(output(builder.graph, x), before, rtol=1e-5, atol=1e-5)


def test_effects_stay() -> None:
    builder = Builder(3)
    handle = DraftTensor("v", TensorType.RESOURCE, ())
    builder.graph.nodes = [
        DraftNode("VAR_HANDLE", [], [handle], {"container": "", "shared_name": "v"}),
        DraftNode("ASSIGN_VARIABLE", [handle, builder.x], [], effect=True),
    ]
    rewrite(builder.graph)
    assert [node.op for node in builder.graph.nodes] == ["VAR_HANDLE", "ASSIGN_VARIABLE"]


def test_reads_of_variables_are_no_duplicates() -> None:
    builder = Builder(3)
    handle = DraftTensor("v", TensorType.RESOURCE, ())
    values = [DraftTensor(name, F32, (3,)) for name in ("before", "after")]
    builder.graph.nodes = [DraftNode("READ_VARIABLE", [handle], [value]) for value in values]
    builder.graph.outputs = values
    rewrite(builder.graph)
    assert len(builder.graph.nodes) == 2

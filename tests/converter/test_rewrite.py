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

    def add(self, op: str, dims: tuple[int, ...], *inputs: DraftTensor, **attributes: Any) -> DraftTensor:
        out = DraftTensor(op.lower(), F32, dims)
        self.graph.nodes.append(DraftNode(op, list(inputs), [out], attributes))
        return out

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
    flat = b.add("RESHAPE", (36, 3), b.x, b.constant([-1, 3], np.int32), new_shape=(-1, 3))
    return b.add("RESHAPE", (6, 18), flat, b.constant([6, 18], np.int32), new_shape=(6, 18))


def hard_swish(b: Builder) -> DraftTensor:
    clipped = b.add("RELU6", IMAGE, b.add("ADD", IMAGE, b.x, b.constant(3)))
    return b.add("MUL", IMAGE, b.add("MUL", IMAGE, clipped, b.constant(1 / 6)), b.x)


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

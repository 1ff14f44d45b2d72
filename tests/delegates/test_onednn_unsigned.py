"""Tensors between convolutions of signed bytes are kept without sign."""

from __future__ import annotations

import numpy as np
import pytest

from tests.build import model
from tests.engines import call
from tflite_cupy.delegates.cpu import CpuDelegate, kernels_in_use
from tflite_cupy.delegates.cpu.onednn import recipes, steps
from tflite_cupy.interpreter.errors import MissingDependencyError
from tflite_cupy.interpreter.graph import Quantization
from tflite_cupy.interpreter.ops.base import Activation, Padding
from tflite_cupy.interpreter.ops.conv import DepthwiseConv2D
from tflite_cupy.interpreter.runtime.engine import Engine

try:
    kernels_in_use("onednn")
except MissingDependencyError as error:
    pytest.skip(str(error), allow_module_level=True)

from .test_onednn import Watched, close
from .test_onednn_chains import Stored, pixels

GIVEN = pixels(1, 9, 11, 32)


def depthwise(b: Stored, x: int, zero_point: int) -> int:
    """A window of 3 x 3 with zeros around the image, then RELU6."""
    quantization = Quantization(np.full(32, 0.004, np.float32), np.zeros(32, np.int64), 3)
    weights = b.constant(b.rng.integers(-127, 128, (1, 3, 3, 32)), np.int8, q=quantization)
    bias = b.constant(b.rng.integers(-2000, 2000, 32), np.int32)
    options = {"padding": Padding.SAME, "stride_h": 1, "stride_w": 1, "depth_multiplier": 1}
    return b.node("DEPTHWISE_CONV_2D", [x, weights, bias], 0.0237, zero_point, **options,
                  fused_activation_function=Activation.RELU6)  # fmt: skip


def block(zero_point: int) -> tuple[Stored, list[int], tuple[int, int]]:
    """Two convolutions with one of each channel between them; the output, and what lies between."""
    b = Stored()
    x = b.image((1, 9, 11, 32), 0.02, -3)
    wide = b.conv(x, 0.0237, zero_point, fused_activation_function=Activation.RELU6)
    middle = depthwise(b, wide, zero_point)
    return b, [b.conv(middle, 0.0503, 7)], (wide, middle)


def agree(b: Stored, outputs: list[int]) -> Watched:
    watched, made = Watched(), model(b.graph(outputs))
    results = call(Engine(made, [watched]), GIVEN)
    for got, want in zip(results, call(Engine(made, [CpuDelegate(1, "numpy")]), GIVEN), strict=True):
        assert len(np.unique(want)) > 20
        close(got, want, steps=1)
    return watched


def unsigned_operands(watched: Watched) -> set[int]:
    """Tensors that primitives read as uint8."""
    (program,) = watched.programs
    return {
        t
        for step in program.steps
        for bound in step.nodes
        for t, spec in zip(bound.node.inputs, bound.ins, strict=False)
        if spec is not None and spec.dtype == np.uint8
    }


@pytest.mark.parametrize("zero_point", [-128, -100])
def test_what_only_convolutions_read(zero_point: int) -> None:
    b, outputs, between = block(zero_point)
    assert unsigned_operands(agree(b, outputs)) == set(between)


def test_what_others_read_keeps_its_sign() -> None:
    b, outputs, (wide, middle) = block(-128)
    assert unsigned_operands(agree(b, [*outputs, middle])) == {wide}
    b, outputs, (wide, middle) = block(-128)
    other = b.node("HARD_SWISH", [wide], 0.05, -100)
    assert unsigned_operands(agree(b, [*outputs, other])) == {middle}


def test_nodes_that_run_as_numpy_code_get_what_the_file_says(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipes.recipe

    def without_depthwise(bound, *rest):  # type: ignore[no-untyped-def]
        return None if isinstance(bound.op, DepthwiseConv2D) else recipe(bound, *rest)

    monkeypatch.setattr(steps, "recipe", without_depthwise)
    b, outputs, _ = block(-128)
    watched = agree(b, outputs)
    assert watched.primitives == [["CONV_2D"], ["CONV_2D"]]
    assert not unsigned_operands(watched)

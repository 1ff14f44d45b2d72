"""Nodes that oneDNN computes as one: quantised chains, layer normalisation, and rows taken side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.build import F32, GraphBuilder, model
from tests.engines import call
from tflite_cupy.delegates.cpu import CpuDelegate, kernels_in_use
from tflite_cupy.delegates.cpu.onednn import compiler
from tflite_cupy.delegates.cpu.onednn.binding import library
from tflite_cupy.delegates.cpu.onednn.steps import Execution
from tflite_cupy.interpreter.errors import MissingDependencyError
from tflite_cupy.interpreter.graph import Quantization, TensorType
from tflite_cupy.interpreter.ops.base import Activation
from tflite_cupy.interpreter.runtime.engine import Engine

try:
    kernels_in_use("onednn")
except MissingDependencyError as error:
    pytest.skip(str(error), allow_module_level=True)

from .test_onednn import Watched, check, close, normal

SEED = 17
LAYER_NORM = ["MEAN", "SQUARED_DIFFERENCE", "MEAN", "ADD", "RSQRT", "MUL", "MUL", "SUB", "MUL", "ADD"]


@pytest.fixture(autouse=True)
def _every_node_is_worth_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "TINY", 0)


class Stored(GraphBuilder):
    """Graphs of int8 tensors, with the same weights whatever was made before."""

    def __init__(self) -> None:
        super().__init__()
        self.rng = np.random.default_rng(SEED)

    def image(self, shape: tuple[int, ...], scale: float, zero_point: int) -> int:
        """An input."""
        index = self.stored(shape, scale, zero_point)
        self._inputs.append(index)
        return index

    def stored(self, shape: tuple[int, ...], scale: float, zero_point: int) -> int:
        return self.tensor(TensorType.INT8, shape, q=_scale(scale, zero_point))

    def node(self, name: str, inputs: list[int], scale: float, zero_point: int, **attributes: Any) -> int:
        """A node whose result has the shape of its first operand."""
        result = self.stored(self._tensors[inputs[0]].shape, scale, zero_point)
        return self.op(name, inputs, [result], **attributes)[0]

    def conv(self, x: int, scale: float, zero_point: int, unit: int = 1, **attributes: Any) -> int:
        """A convolution of 1 x 1 that keeps the number of channels; weights and biases are multiples of `unit`."""
        channels = self._tensors[x].shape[-1]
        steps = Quantization(np.full(channels, 0.002, np.float32), np.zeros(channels, np.int64), 0)
        most = 127 // unit
        values = self.rng.integers(-most, most + 1, (channels, 1, 1, channels))
        weights = self.constant(unit * values, np.int8, q=steps)
        bias = self.constant(unit * self.rng.integers(-2000 // unit, 2000 // unit, channels), np.int32)
        return self.node("CONV_2D", [x, weights, bias], scale, zero_point, **attributes)


def _scale(scale: float, zero_point: int) -> Quantization:
    return Quantization(np.float32([scale]), np.int64([zero_point]))


def agree(b: GraphBuilder, outputs: list[int], given: np.ndarray, steps: int) -> list[list[str]]:
    """The graph gives what the bodies give to so many steps; the operators of each primitive."""
    watched, made = Watched(), model(b.graph(outputs))
    results = call(Engine(made, [watched]), given)
    for got, want in zip(results, call(Engine(made, [CpuDelegate(1, "numpy")]), given), strict=True):
        assert len(np.unique(want)) > 20
        close(got, want, steps)
    return watched.primitives


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(SEED).integers(-128, 128, shape).astype(np.int8)


def test_light_steps_have_one_thread() -> None:
    """Others have more, and the threads of the caller's own work are what they were."""
    b = GraphBuilder()
    x = b.input(F32, [1, 96, 96, 32])
    weights = [b.constant(normal(32, 1, 1, 32)), b.constant(normal(32))]
    y = b.add("CONV_2D", [x, *weights])
    mean = b.add("MEAN", [y, b.constant(np.int32([1, 2]))], [1, 1, 1, 32], keep_dims=True)
    y = b.add("CONV_2D", [b.add("MUL", [y, b.add("CONV_2D", [mean, *weights])]), *weights])
    made, image = model(b.graph([y])), normal(1, 96, 96, 32)
    watched = Watched(2)
    before = library().use_threads(3)
    (got,), (want,) = call(Engine(made, [watched]), image), call(Engine(made, [CpuDelegate(1, "numpy")]), image)
    assert library().use_threads(before) == 3
    close(got, want, 0)
    steps = [step for program in watched.programs for step in program.steps if isinstance(step, Execution)]
    assert [step.threads for step in steps] == [2, 2, 1, 2, 2]


@pytest.mark.parametrize("point", [-128, 0, 17])
def test_swish(point: int) -> None:
    """The gate is not rounded for itself."""
    b = Stored()
    x = b.conv(b.image((1, 12, 12, 32), 0.02, -3), 0.05, point)
    y = b.node("MUL", [x, b.node("LOGISTIC", [x], 1 / 256, -128)], 0.03, -119)
    names = agree(b, [y], pixels(1, 12, 12, 32), steps=2)
    assert names == [["CONV_2D", "LOGISTIC", "MUL"]]


@pytest.mark.parametrize("activation", [Activation.NONE, Activation.RELU6])
def test_function_and_residual(activation: Activation) -> None:
    """What is added may have any scale, and comes from outside."""
    b = Stored()
    image = b.image((2, 9, 9, 24), 0.03, 11)
    x = b.conv(image, 0.06, 4, fused_activation_function=activation)
    x = b.node("HARD_SWISH", [x], 0.05, -100)
    total = b.node("ADD", [image, x], 0.07, -20, fused_activation_function=activation)
    names = agree(b, [total], pixels(2, 9, 9, 24), steps=3)
    assert names == [["CONV_2D", "HARD_SWISH", "ADD"]]


def test_results_that_others_read_are_rounded() -> None:
    """Accumulators are multiples of 32, of which 15 are a step of the result: none lies near the middle of two, where
    the two roundings of the reference kernel may come to the other."""
    b = Stored()
    x = b.conv(b.image((1, 12, 12, 32), 0.02, -3), 32 * 15 * 0.02 * 0.002, 2, unit=32)
    gate = b.node("LOGISTIC", [x], 1 / 256, -128)
    names = agree(b, [b.node("TANH", [x], 1 / 128, 0), gate], pixels(1, 12, 12, 32), steps=1)
    assert names == [["CONV_2D"], ["LOGISTIC"], ["TANH"]]


def test_scales_beyond_what_floats_hold_saturate() -> None:
    b = Stored()
    made = model(b.graph([b.conv(b.image((1, 12, 12, 32), 1e30, -3), 1e-20, 2)]))
    (result,) = call(Engine(made, [Watched()]), pixels(1, 12, 12, 32))
    assert set(np.unique(result)) == {-128, 127}


def test_products_of_bytes_that_would_not_be_exact_are_no_primitives(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on processors without VNNI."""
    monkeypatch.setattr(library(), "multiplies_bytes", False)
    b = Stored()
    x = b.conv(b.image((1, 11, 13, 40), 0.02, -3), 0.05, 2)
    names = agree(b, [b.node("TANH", [x], 1 / 128, 0)], pixels(1, 11, 13, 40), steps=1)
    assert names == [["TANH"]]


def layer_norm(b: GraphBuilder, x: int, shape: tuple[int, ...]) -> tuple[int, int]:
    """The result, and the mean."""
    column = [*shape[:-1], 1]
    over = b.constant(np.int32([-1]))
    mean = b.add("MEAN", [x, over], column, keep_dims=True)
    variance = b.add("MEAN", [b.add("SQUARED_DIFFERENCE", [x, mean]), over], column, keep_dims=True)
    scale = b.add("RSQRT", [b.add("ADD", [variance, b.constant(np.float32(1e-5))])])
    scale = b.add("MUL", [scale, b.constant(normal(shape[-1]))], shape)
    shift = b.add("SUB", [b.constant(normal(shape[-1])), b.add("MUL", [mean, scale], shape)], shape)
    return b.add("ADD", [b.add("MUL", [x, scale]), shift]), mean


def test_layer_norm() -> None:
    b = GraphBuilder()
    first, _ = layer_norm(b, b.input(F32, [2, 40, 64]), (2, 40, 64))
    second, _ = layer_norm(b, first, (2, 40, 64))
    watched = check(b, [second], normal(2, 40, 64))
    assert [sorted(names) for names in watched.primitives] == [sorted(LAYER_NORM)] * 2


@pytest.mark.parametrize("has_offset", [True, False])
def test_layer_norm_of_keras(has_offset: bool) -> None:
    """The negative of the mean is added, and where beta is 0 nothing else."""
    b, column = GraphBuilder(), [1, 40, 1]
    x, over = b.input(F32, [1, 40, 64]), b.constant(np.int32([2]))
    mean = b.add("MEAN", [x, over], column, keep_dims=True)
    negative = b.add("NEG", [mean])
    variance = b.add("MEAN", [b.add("SQUARED_DIFFERENCE", [x, mean]), over], column, keep_dims=True)
    scale = b.add("RSQRT", [b.add("ADD", [variance, b.constant(np.float32(1e-3))])])
    scale = b.add("MUL", [scale, b.constant(normal(1, 1, 64))], [1, 40, 64])
    shift = b.add("MUL", [negative, scale], [1, 40, 64])
    shift = b.add("ADD", [shift, b.constant(normal(64))]) if has_offset else shift
    watched = check(b, [b.add("ADD", [b.add("MUL", [x, scale]), shift])], normal(1, 40, 64))
    assert len(watched.primitives) == 1


def test_layer_norm_whose_mean_is_wanted() -> None:
    """Every operator of it is a primitive, or part of one."""
    b = GraphBuilder()
    watched = check(b, list(layer_norm(b, b.input(F32, [1, 40, 64]), (1, 40, 64))), normal(1, 40, 64))
    names = [["MEAN"], ["SQUARED_DIFFERENCE"], ["MEAN", "ADD", "RSQRT"], ["MUL"], ["MUL"], ["MUL"], ["SUB", "ADD"]]
    assert watched.primitives == names


def test_pixels_are_scaled_side_by_side() -> None:
    """Constants that are repeated for each pixel; an operand that is not constant ends the chain."""
    b = GraphBuilder()
    x, offset = b.input(F32, [2, 30, 20, 3]), b.input(F32, [3])
    y = b.add("MUL", [x, b.constant(np.float32(0.5))])
    y = b.add("SUB", [y, b.constant(normal(3))])
    y = b.add("RELU", [b.add("MUL", [y, b.constant(normal(1, 1, 1, 3))])])
    watched = check(b, [b.add("ADD", [y, offset])], normal(2, 30, 20, 3), normal(3))
    assert watched.primitives == [["MUL", "SUB", "MUL", "RELU"], ["ADD"]]


@pytest.mark.parametrize("shape", [(2, 3, 1), (3, 17, 1), (2, 16, 1, 1)])
def test_columns_that_are_repeated_for_each_image(shape: tuple[int, ...]) -> None:
    """What oneDNN gets wrong in operations after a binary primitive: those have steps of their own."""
    b = GraphBuilder()
    x, column = b.input(F32, shape), b.input(F32, shape[1:])
    y = b.add("SUB", [b.add("ADD", [x, x]), column])
    watched = check(b, [b.add("MUL", [y, b.constant(normal(1, *shape[1:]))])], normal(*shape), normal(*shape[1:]))
    assert watched.primitives == [["ADD"]]


@pytest.mark.parametrize("shape", [(2, 3, 1), (3, 17, 1), (2, 16, 1, 1)])
def test_products_of_columns_of_bytes(shape: tuple[int, ...]) -> None:
    b = Stored()
    x = b.image(shape, 0.03, 5)
    column = b.constant(b.rng.integers(-128, 128, (1, *shape[1:])), np.int8, q=_scale(0.02, -9))
    given = pixels(*shape)
    made = model(b.graph([b.node("MUL", [x, column], 0.05, 3)]))
    (got,), (want,) = (call(Engine(made, [each]), given) for each in (Watched(), CpuDelegate(1, "numpy")))
    close(got, want, steps=1)

"""Random graphs on primitives of oneDNN against the operators' own bodies: fusing must not change what comes out."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pytest

from tests.build import F32, GraphBuilder, model
from tests.engines import call
from tests.threads import side_by_side
from tflite_cupy import quantize
from tflite_cupy.delegates.cpu import CpuDelegate, kernels_in_use
from tflite_cupy.delegates.cpu.onednn import compiler, effort
from tflite_cupy.interpreter.errors import MissingDependencyError
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import Model, Tensor
from tflite_cupy.interpreter.ops.base import Activation, Padding
from tflite_cupy.interpreter.runtime.engine import Engine

try:
    kernels_in_use("onednn")
except MissingDependencyError as error:
    pytest.skip(str(error), allow_module_level=True)

GRAPHS, CALLS = 60, 3
CHANNELS = (1, 3, 4, 7, 8, 16, 17, 33)
ACTIVATIONS = (Activation.NONE, Activation.NONE, Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1)
FUNCTIONS = ("ABS", "ELU", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "NEG", "RELU", "RELU6", "TANH")


@pytest.fixture(autouse=True)
def _no_step_is_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for a program nor for a second thread."""
    monkeypatch.setattr(compiler, "TINY", 0)
    monkeypatch.setattr(effort, "LIGHT", 0)
    monkeypatch.setattr(effort, "AWAKE", 0)


class RandomGraph:
    """A graph of some nodes, each of which reads the newest tensor or an older one; several tensors are outputs."""

    def __init__(self, seed: int) -> None:
        self.rng, self.b = np.random.default_rng(seed), GraphBuilder()
        batch, side = self.pick(1, 1, 2, 3), self.pick(1, 2, 5, 9, 12)
        shape = self.pick(
            (batch, side, side, self.channels()), (batch, side, side + 1, self.channels()), (batch, 6, 16)
        )
        self.shapes = {self.b.input(F32, shape, "x"): tuple(shape)}
        self.depths = dict.fromkeys(self.shapes, 0)
        self.shared: dict[tuple[int, ...], list[int]] = {}
        for _ in range(self.pick(3, 5, 8, 12)):
            self.grow()
        made = [t for t in self.shapes if t != 0]
        kept = [t for t in made[:-1] if self.rng.random() < 0.15]
        self.outputs = [made[-1], *kept]

    def pick(self, *choices: Any) -> Any:
        return choices[self.rng.integers(len(choices))]

    def channels(self) -> int:
        return int(self.pick(*CHANNELS))

    def normal(self, *shape: int) -> np.ndarray:
        return self.rng.normal(size=shape).astype(np.float32)

    def add(self, name: str, inputs: list[int], shape: tuple[int, ...], **attributes: object) -> int:
        index = self.b.add(name, inputs, shape, **attributes)
        self.shapes[index] = tuple(shape)
        self.depths[index] = 1 + max(self.depths.get(t, 0) for t in inputs)
        return index

    def fused(self) -> dict[str, Activation]:
        return {"fused_activation_function": self.pick(*ACTIVATIONS)}

    def weights(self, *shape: int, units: int, depth: int) -> list[int]:
        """Weights and perhaps a bias, which several nodes may have in common."""
        if shape not in self.shared or self.rng.random() < 0.5:
            bias = self.b.constant(self.normal(units) / 4) if self.rng.random() < 0.8 else -1
            self.shared[shape] = [self.b.constant(self.normal(*shape) * np.float32(depth**-0.5)), bias]
        return self.shared[shape]

    def grow(self) -> None:
        """One node, or some that belong together."""
        tensors = list(self.shapes)
        x = tensors[-1] if self.rng.random() < 0.7 else self.pick(*tensors)
        rank = len(self.shapes[x])
        choices: list[Callable[[int], object]] = [self.function, self.swish, self.pair, self.pair, self.row, self.dense]
        choices += [self.conv, self.conv, self.depthwise, self.pool, self.excite] if rank == 4 else []
        choices += [self.softmax, self.join, self.flat]
        choices += [self.layer_norm] if self.shapes[x][-1] > 4 else []  # of few elements it makes rounding large
        self.pick(*choices)(x)

    def function(self, x: int) -> int:
        name = self.pick(*FUNCTIONS)
        attributes = {"LEAKY_RELU": {"alpha": 0.2}, "GELU": {"approximate": self.pick(True, False)}}
        return self.add(name, [x], self.shapes[x], **attributes.get(name, {}))

    def swish(self, x: int) -> int:
        return self.pair_of("MUL", [x, self.add("LOGISTIC", [x], self.shapes[x])])

    def pair_of(self, name: str, inputs: list[int]) -> int:
        self.rng.shuffle(inputs)
        shape = np.broadcast_shapes(*(self.shapes[t] for t in inputs))
        fused = self.fused() if name in ("ADD", "MUL", "SUB") else {}
        return self.add(name, inputs, shape, **fused)

    def pair(self, x: int) -> int:
        """With another tensor of the shape, itself included, or of one that is repeated to it."""
        others = [t for t, shape in self.shapes.items() if _fits(shape, self.shapes[x])]
        return self.pair_of(self.pick("ADD", "ADD", "MUL", "SUB", "MAXIMUM"), [x, self.pick(*others)])

    def row(self, x: int) -> int:
        """With a constant of some shape that is repeated."""
        shape = self.shapes[x]
        sizes = self.pick((), (1,), shape[-1:], (1,) * (len(shape) - 1) + shape[-1:], shape[1:], (*shape[:-1], 1))
        other = self.b.constant(self.normal(*sizes))
        inputs = [x, other] if self.rng.random() < 0.7 else [other, x]
        name = self.pick("ADD", "MUL", "SUB")
        return self.add(name, inputs, shape, **self.fused())

    def dense(self, x: int) -> int:
        shape, units = self.shapes[x], self.channels()
        operands = [x, *self.weights(units, shape[-1], units=units, depth=shape[-1])]
        return self.add("FULLY_CONNECTED", operands, (*shape[:-1], units), keep_num_dims=True, **self.fused())

    def conv(self, x: int) -> int:
        """With zeros around it by its own padding, by a PAD before it, or without."""
        n, height, width, depth = self.shapes[x]
        size, stride = self.pick(1, 1, 3), self.pick(1, 1, 2)
        filters = self.pick(depth, depth, self.channels())
        way = self.pick("same", "valid", "pad")
        if way == "pad":
            pads = self.rng.integers(0, 3, (2, 2))
            height, width = height + int(pads[0].sum()), width + int(pads[1].sum())
            amounts = self.b.constant(np.int32([[0, 0], *pads, [0, 0]]))
            x = self.add("PAD", [x, amounts], (n, height, width, depth))
        size = size if way == "same" or min(height, width) >= size else 1
        cut = 0 if way == "same" else size - 1
        shape = (n, -(-(height - cut) // stride), -(-(width - cut) // stride), filters)
        operands = [x, *self.weights(filters, size, size, depth, units=filters, depth=size * size * depth)]
        padding = Padding.SAME if way == "same" else Padding.VALID
        return self.add("CONV_2D", operands, shape, padding=padding, stride_h=stride, stride_w=stride, **self.fused())

    def depthwise(self, x: int) -> int:
        n, height, width, depth = self.shapes[x]
        stride, multiplier = self.pick(1, 2), self.pick(1, 1, 2)
        shape = (n, -(-height // stride), -(-width // stride), depth * multiplier)
        operands = [x, *self.weights(1, 3, 3, shape[-1], units=shape[-1], depth=9)]
        attributes = {"stride_h": stride, "stride_w": stride, "depth_multiplier": multiplier, "padding": Padding.SAME}
        return self.add("DEPTHWISE_CONV_2D", operands, shape, **attributes, **self.fused())

    def pool(self, x: int) -> int:
        n, height, width, depth = self.shapes[x]
        attributes = {"filter_height": 2, "filter_width": 2, "stride_h": 2, "stride_w": 2, "padding": Padding.SAME}
        shape = (n, -(-height // 2), -(-width // 2), depth)
        return self.add(self.pick("MAX_POOL_2D", "AVERAGE_POOL_2D"), [x], shape, **attributes)

    def excite(self, x: int) -> int:
        """A gate for each channel of each image."""
        n, _, _, depth = self.shapes[x]
        mean = self.add("MEAN", [x, self.b.constant(np.int32([1, 2]))], (n, 1, 1, depth), keep_dims=True)
        operands = [mean, *self.weights(depth, 1, 1, depth, units=depth, depth=depth)]
        gate = self.add("CONV_2D", operands, (n, 1, 1, depth), stride_h=1, stride_w=1)
        gate = self.add("LOGISTIC", [gate], (n, 1, 1, depth))
        return self.pair_of("MUL", [x, gate])

    def softmax(self, x: int) -> int:
        return self.add("SOFTMAX", [x], self.shapes[x], beta=1.0)

    def layer_norm(self, x: int) -> int:
        """As TensorFlow writes it; what it makes on the way may be an output, or read elsewhere, too."""
        shape = self.shapes[x]
        column, over = (*shape[:-1], 1), self.b.constant(np.int32([len(shape) - 1]))
        mean = self.add("MEAN", [x, over], column, keep_dims=True)
        squares = self.pair_of("SQUARED_DIFFERENCE", [x, mean])
        variance = self.add("MEAN", [squares, over], column, keep_dims=True)
        scale = self.add("ADD", [variance, self.b.constant(np.float32(0.1))], column)
        scale = self.add("MUL", [self.add("RSQRT", [scale], column), self.b.constant(self.normal(shape[-1]))], shape)
        shift = self.b.constant(self.normal(shape[-1]))
        shift = self.add("SUB", [shift, self.add("MUL", [mean, scale], shape)], shape)
        return self.add("ADD", [self.add("MUL", [x, scale], shape), shift], shape)

    def join(self, x: int) -> int:
        shape = self.shapes[x]
        others = [t for t, each in self.shapes.items() if each[:-1] == shape[:-1]]
        parts = [x, self.pick(*others)]
        width = sum(self.shapes[t][-1] for t in parts)
        return self.add("CONCATENATION", parts, (*shape[:-1], width), axis=len(shape) - 1)

    def flat(self, x: int) -> int:
        """Pixels as rows, and turned."""
        shape = self.shapes[x]
        rows = (shape[0], prod(shape[1:-1]), shape[-1])
        y = self.add("RESHAPE", [x, self.b.constant(np.int32(rows))], rows)
        turned = (rows[0], rows[2], rows[1])
        return self.add("TRANSPOSE", [y, self.b.constant(np.int32([0, 2, 1]))], turned) if self.pick(0, 1) else y

    @property
    def model(self) -> Model:
        return model(self.b.graph(self.outputs))

    @property
    def depth(self) -> int:
        """Nodes on the longest way to an output."""
        return max(self.depths[t] for t in self.outputs)


def _fits(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether it is repeated to a whole of the same rank."""
    return len(shape) == len(whole) and all(n in (1, m) for n, m in zip(shape, whole, strict=True))


def agree(exact: RandomGraph, made: Model) -> None:
    """A graph, or what quantisation has made of it: with one thread, with two, and in several calls at once."""
    inputs, outputs = (
        [made.graphs[0].tensors[t] for t in of] for of in (made.graphs[0].inputs, made.graphs[0].outputs)
    )
    images = [exact.normal(*exact.shapes[0]) for _ in range(CALLS)]
    given = [as_stored(x, inputs[0]) for x in images]
    expected = [call(Engine(made, [CpuDelegate(1, "numpy")]), x) for x in given]
    unrounded = [call(Engine(exact.model, [CpuDelegate(1, "numpy")]), x) for x in images]
    for threads in (1, 2):
        engine = Engine(made, [CpuDelegate(threads, "onednn")])
        results = [call(engine, x) for x in given]
        for each in zip(results, expected, unrounded, strict=True):
            for got, want, real, tensor in zip(*each, outputs, strict=True):
                close(got, want, real, tensor, exact.depth)

    def work(number: int) -> None:
        for _ in range(3):
            for got, want in zip(call(engine, given[number]), results[number], strict=True):
                np.testing.assert_array_equal(got, want)

    side_by_side(CALLS, work)


def close(got: np.ndarray, want: np.ndarray, real: np.ndarray, tensor: Tensor, depth: int) -> None:
    """Floats to 1e-5 of the peak, integers to a step for each of `depth` operators, and what rounding in the bodies
    makes of the `real` numbers besides: operators make the steps of those before them larger."""
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    step = 0.0 if tensor.quantization is None else float(tensor.quantization.scales[0])
    got, want = (as_real(x, tensor) for x in (got, want))
    assert np.isfinite(want).all()
    off, rounding = np.abs(got - want), np.abs(want - real)
    least = 1e-5 * np.abs(want).max() + 1e-7
    assert off.max() <= least + depth * step + 2 * rounding.max()
    assert off.mean() <= least + step + rounding.mean()


def as_stored(x: np.ndarray, tensor: Tensor) -> np.ndarray:
    """What stands for numbers in a tensor."""
    q = tensor.quantization
    return x if q is None else np.clip(np.rint(x / q.scales + q.zero_points), -128, 127).astype(np.int8)


def as_real(x: np.ndarray, tensor: Tensor) -> np.ndarray:
    """The numbers that elements of a tensor stand for."""
    q = tensor.quantization
    return x.astype(np.float64) if q is None else (x - q.zero_points.astype(np.float64)) * q.scales


@pytest.mark.parametrize("seed", range(GRAPHS))
def test_float32(seed: int) -> None:
    graph = RandomGraph(seed)
    agree(graph, graph.model)


@pytest.mark.parametrize("seed", range(GRAPHS))
def test_int8(seed: int) -> None:
    graph = RandomGraph(seed)
    data = [{"x": graph.normal(*graph.shapes[0])} for _ in range(CALLS)]
    agree(graph, load_model(quantize(write_model(graph.model), "int8", data, inputs="int8", outputs="int8")))


@pytest.mark.parametrize("seed", range(GRAPHS))
def test_weights_of_bytes(seed: int) -> None:
    """Float inputs are quantised in the call."""
    graph = RandomGraph(seed)
    agree(graph, load_model(quantize(write_model(graph.model), "dynamic")))

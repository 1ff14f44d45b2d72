"""Appends operators to a graph, as TensorFlow's converter writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tflite_cupy.interpreter.graph import ABSENT, Graph, Model, Node, Quantization, Signature, Tensor, TensorType
from tflite_cupy.interpreter.ops.base import Activation, Padding


class Builder:
    """Appends operators to a graph; every method takes and gives tensor indices.

    `quantized` models hold int8 values: per-channel weights, int32 biases, and scales that random weights are made for.
    """

    def __init__(self, seed: int, *, quantized: bool = False) -> None:
        self.rng, self.quantized = np.random.default_rng(seed), quantized
        self.tensors: list[Tensor] = []
        self.nodes: list[Node] = []
        self.inputs: dict[str, int] = {}

    def image(self, shape: tuple[int, ...]) -> int:
        """The input of a network that looks at images."""
        self.inputs["image"] = self.activation("image", shape)
        return self.inputs["image"]

    def activation(self, name: str, shape: tuple[int, ...], scale: float = 0.03, zero_point: int = 0) -> int:
        if not self.quantized:
            return self._tensor(Tensor(name, TensorType.FLOAT32, shape))
        return self._tensor(Tensor(name, TensorType.INT8, shape, quantization=_quantization([scale], zero_point)))

    def conv(
        self,
        x: int,
        channels: int,
        size: int = 1,
        stride: int = 1,
        activation: Activation = Activation.RELU6,
        padding: Padding = Padding.SAME,
    ) -> int:
        shape = (channels, size, size, self.shape(x)[3])
        output = self._spatial(x, size, stride, padding, channels)
        return self._weighted("CONV_2D", x, shape, 0, output, _window(stride, activation, padding))

    def depthwise(
        self,
        x: int,
        stride: int,
        size: int = 3,
        activation: Activation = Activation.RELU6,
        padding: Padding = Padding.SAME,
    ) -> int:
        channels = self.shape(x)[3]
        output = self._spatial(x, size, stride, padding, channels)
        attributes = {**_window(stride, activation, padding), "depth_multiplier": 1}
        return self._weighted("DEPTHWISE_CONV_2D", x, (1, size, size, channels), 3, output, attributes)

    def transpose_conv(self, x: int, channels: int, size: int, stride: int) -> int:
        """TRANSPOSE_CONV to images `stride` times as large; float32."""
        n, height, width, depth = self.shape(x)
        shape = (n, height * stride, width * stride, channels)
        values = self.rng.standard_normal((channels, size, size, depth)) * np.sqrt(2 / depth)
        weights, bias = self._constants(x, values, self.rng.standard_normal(channels) * 0.1, 0)
        operands = [self.constant(shape, np.int32), weights, x, bias]
        return self._node("TRANSPOSE_CONV", operands, self.activation("up", shape), _window(stride), 3)

    def max_pool(self, x: int, size: int, stride: int) -> int:
        output = self._spatial(x, size, stride, Padding.VALID, self.shape(x)[3])
        attributes = {
            **_window(stride, Activation.NONE, Padding.VALID),
            "filter_height": size,
            "filter_width": size,
        }
        return self._node("MAX_POOL_2D", [x], self.activation("pool", output), attributes)

    def pad(self, x: int, before: int, after: int) -> int:
        n, height, width, channels = self.shape(x)
        shape = (n, height + before + after, width + before + after, channels)
        widths = self.constant([[0, 0], [before, after], [before, after], [0, 0]], np.int32)
        return self._node("PAD", [x, widths], self.activation("padded", shape), {})

    def add(self, x: int, y: int, activation: Activation = Activation.NONE) -> int:
        return self.binary("ADD", x, y, activation)

    def binary(self, operator: str, x: int, y: int, activation: Activation = Activation.NONE) -> int:
        """ADD, SUB or MUL, which broadcast, or SQUARED_DIFFERENCE."""
        shape = np.broadcast_shapes(self.shape(x), self.shape(y))
        attributes = {} if operator == "SQUARED_DIFFERENCE" else {"fused_activation_function": activation}
        return self._node(operator, [x, y], self.activation(operator.lower(), shape, 0.05), attributes)

    def unary(self, operator: str, x: int) -> int:
        """HARD_SWISH, LOGISTIC, RSQRT, TANH."""
        return self._node(operator, [x], self.activation(operator.lower(), self.shape(x)), {})

    def swish(self, x: int) -> int:
        return self.binary("MUL", x, self.unary("LOGISTIC", x))

    def gelu(self, x: int) -> int:
        return self._node("GELU", [x], self.activation("gelu", self.shape(x)), {"approximate": True})

    def reshape(self, x: int, shape: tuple[int, ...]) -> int:
        """One dimension may be -1."""
        known = -int(np.prod(shape))
        shape = tuple(int(np.prod(self.shape(x))) // known if n == -1 else n for n in shape)
        return self._node("RESHAPE", [x, self.constant(shape, np.int32)], self.activation("reshaped", shape), {})

    def transpose(self, x: int, axes: tuple[int, ...]) -> int:
        shape = tuple(self.shape(x)[axis] for axis in axes)
        return self._node("TRANSPOSE", [x, self.constant(axes, np.int32)], self.activation("turned", shape), {})

    def product(self, x: int, y: int, *, adj_y: bool = False) -> int:
        """BATCH_MATMUL."""
        columns = self.shape(y)[-2 if adj_y else -1]
        shape = (*self.shape(x)[:-1], columns)
        return self._node("BATCH_MATMUL", [x, y], self.activation("product", shape), {"adj_x": False, "adj_y": adj_y})

    def gather(self, table: int, indices: int) -> int:
        shape = (*self.shape(indices), *self.shape(table)[1:])
        return self._node("GATHER", [table, indices], self.activation("rows", shape), {"axis": 0})

    def layer_norm(self, x: int, epsilon: float = 1e-12) -> int:
        """Over the last axis, in the ten operators that a converted layer has."""
        mean = self.reduced(x, -1)
        variance = self.reduced(self.binary("SQUARED_DIFFERENCE", x, mean), -1)
        scale = self.unary("RSQRT", self.binary("ADD", variance, self.constant(epsilon, np.float32)))
        scale = self.binary("MUL", scale, self.weights("gamma", self.shape(x)[-1:], 0.1, 1.0))
        shift = self.binary("SUB", self.weights("beta", self.shape(x)[-1:], 0.1), self.binary("MUL", mean, scale))
        return self.binary("ADD", self.binary("MUL", x, scale), shift)

    def cast(self, x: int, kind: TensorType) -> int:
        y = self._tensor(Tensor("cast", kind, self.shape(x)))
        return self._node("CAST", [x], y, {"in_data_type": self.tensors[x].type, "out_data_type": kind})

    def integers(self, operator: str, x: int, y: int) -> int:
        """ADD, SUB or MUL of int32, which broadcast."""
        shape = np.broadcast_shapes(self.shape(x), self.shape(y))
        result = self._tensor(Tensor(operator.lower(), TensorType.INT32, shape))
        return self._node(operator, [x, y], result, {"fused_activation_function": Activation.NONE})

    def compare(self, operator: str, x: int, y: int) -> int:
        shape = np.broadcast_shapes(self.shape(x), self.shape(y))
        return self._node(operator, [x, y], self._tensor(Tensor("truth", TensorType.BOOL, shape)), {})

    def select(self, condition: int, x: int, y: int) -> int:
        """SELECT_V2."""
        shape = np.broadcast_shapes(self.shape(condition), self.shape(x), self.shape(y))
        return self._node("SELECT_V2", [condition, x, y], self.activation("selected", shape), {})

    def concatenation(self, parts: Sequence[int], axis: int = 0) -> int:
        shape = list(self.shape(parts[0]))
        shape[axis] = sum(self.shape(p)[axis] for p in parts)
        joined = self._tensor(Tensor("joined", self.tensors[parts[0]].type, tuple(shape)))
        attributes = {"axis": axis, "fused_activation_function": Activation.NONE}
        return self._node("CONCATENATION", parts, joined, attributes)

    def update(self, x: int, rows: int, start: int) -> int:
        """DYNAMIC_UPDATE_SLICE."""
        return self._node("DYNAMIC_UPDATE_SLICE", [x, rows, start], self.activation("updated", self.shape(x)), {})

    def reduced(self, x: int, axis: int) -> int:
        """MEAN over one axis, which stays with size 1."""
        shape = list(self.shape(x))
        shape[axis] = 1
        axes = self.constant([axis], np.int32)
        return self._node("MEAN", [x, axes], self.activation("mean", tuple(shape)), {"keep_dims": True})

    def lstm(self, x: int, units: int) -> int:
        """UNIDIRECTIONAL_SEQUENCE_LSTM of [batch, steps, depth], without peepholes and projection."""
        batch, steps, depth = self.shape(x)
        deviation = (depth + units) ** -0.5
        weights = [self.weights("weights", (units, size), deviation) for size in (depth, units) for _ in range(4)]
        biases = [self.weights("bias", (units,), 0.1) for _ in range(4)]
        states = [self._tensor(Tensor("state", TensorType.FLOAT32, (batch, units), is_variable=True)) for _ in range(2)]
        operands = [x, *weights, *[ABSENT] * 3, *biases, *[ABSENT] * 2, *states, *[ABSENT] * 4]
        attributes = {"fused_activation_function": Activation.TANH, "cell_clip": 10.0}
        return self._node(
            "UNIDIRECTIONAL_SEQUENCE_LSTM", operands, self.activation("states", (batch, steps, units)), attributes
        )

    def weights(self, name: str, shape: tuple[int, ...], deviation: float, mean: float = 0.0) -> int:
        """Random float32 constants."""
        return self.constant(self.rng.standard_normal(shape, np.float32) * deviation + mean, np.float32, name)

    def constant(self, value: Any, dtype: Any, name: str = "constant") -> int:
        array = np.asarray(value, dtype)
        return self._tensor(Tensor(name, TensorType.of(array.dtype), array.shape, data=array))

    def input(self, name: str, kind: TensorType, shape: tuple[int, ...]) -> int:
        """A further input."""
        self.inputs[name] = self._tensor(Tensor(name, kind, shape))
        return self.inputs[name]

    def mean(self, x: int) -> int:
        axes = self._tensor(Tensor("axes", TensorType.INT32, (2,), data=np.int32([1, 2])))
        shape = (self.shape(x)[0], self.shape(x)[3])
        return self._node("MEAN", [x, axes], self.activation("mean", shape, 6 / 255, -128), {"keep_dims": False})

    def dense(self, x: int, units: int, activation: Activation = Activation.NONE) -> int:
        shape = (*self.shape(x)[:-1], units)
        attributes = {"fused_activation_function": activation, "keep_num_dims": len(shape) > 2}
        return self._weighted("FULLY_CONNECTED", x, (units, self.shape(x)[-1]), 0, shape, attributes)

    def softmax(self, x: int) -> int:
        return self._node("SOFTMAX", [x], self.activation("softmax", self.shape(x), 1 / 256, -128), {"beta": 1.0})

    def shape(self, tensor: int) -> tuple[int, ...]:
        return self.tensors[tensor].shape

    def graph(
        self, outputs: Mapping[str, int], key: str = "serving_default", index: int = 0
    ) -> tuple[Graph, Signature]:
        """What was built, as a subgraph with its signature."""
        ins, outs = tuple(self.inputs.values()), tuple(outputs.values())
        graph = Graph(index, key, tuple(self.tensors), tuple(self.nodes), ins, outs)
        return graph, Signature(key, dict(self.inputs), dict(outputs), index)

    def model(self, outputs: Mapping[str, int], description: str) -> Model:
        """What was built, as a model of one signature."""
        graph, signature = self.graph(outputs)
        return Model((graph,), (signature,), description)

    def _spatial(self, x: int, size: int, stride: int, padding: Padding, channels: int) -> tuple[int, ...]:
        n, height, width, _ = self.shape(x)
        lost = 0 if padding is Padding.SAME else size - 1
        return (n, -(-(height - lost) // stride), -(-(width - lost) // stride), channels)

    def _weighted(self, operator: str, x: int, shape: tuple[int, ...], axis: int, output: tuple[int, ...],
                  attributes: Mapping[str, Any]) -> int:  # fmt: skip
        channels = shape[axis]
        values = self.rng.standard_normal(shape) * np.sqrt(2 * channels / np.prod(shape))
        bias = self.rng.standard_normal(channels) * 0.1
        clipped = attributes["fused_activation_function"] is Activation.RELU6
        y = self.activation(operator, output, *((6 / 255, -128) if clipped else (0.05, 0)))
        return self._node(operator, [x, *self._constants(x, values, bias, axis)], y, attributes)

    def _constants(self, x: int, values: np.ndarray, bias: np.ndarray, axis: int) -> tuple[int, int]:
        float32, int8, int32 = TensorType.FLOAT32, TensorType.INT8, TensorType.INT32
        if not self.quantized:
            weights = Tensor("weights", float32, values.shape, data=values.astype(np.float32))
            return self._tensor(weights), self._tensor(
                Tensor("bias", float32, bias.shape, data=bias.astype(np.float32))
            )
        others = tuple(n for n in range(values.ndim) if n != axis)
        scales = np.abs(values).max(axis=others) / 127
        stored = np.rint(values / np.expand_dims(scales, others)).astype(np.int8)
        given = self.tensors[x].quantization
        assert given is not None
        steps = scales * given.scales[0]
        data = np.rint(bias / steps).astype(np.int32)
        weights = Tensor("weights", int8, stored.shape, quantization=_quantization(scales, 0, axis), data=stored)
        offsets = Tensor("bias", int32, data.shape, quantization=_quantization(steps, 0), data=data)
        return self._tensor(weights), self._tensor(offsets)

    def _node(
        self, operator: str, inputs: Sequence[int], output: int, attributes: Mapping[str, Any], version: int = 1
    ) -> int:
        version = 3 if self.quantized else version
        self.nodes.append(Node(len(self.nodes), operator, tuple(inputs), (output,), attributes, version=version))
        return output

    def _tensor(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1


def _window(stride: int, activation: Activation = Activation.NONE, padding: Padding = Padding.SAME) -> dict[str, Any]:
    return {
        "padding": padding,
        "stride_h": stride,
        "stride_w": stride,
        "fused_activation_function": activation,
    }


def _quantization(scales: Any, zero_point: int, axis: int = 0) -> Quantization:
    values = np.asarray(scales, np.float32)
    return Quantization(values, np.full(len(values), zero_point, np.int64), axis)

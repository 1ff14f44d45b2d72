"""Models for benchmarks, built from a seed: the architecture is real, the weights are random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tflite_cupy.interpreter.graph import ABSENT, Graph, Model, Node, Quantization, Signature, Tensor, TensorType
from tflite_cupy.interpreter.ops.base import Activation, Padding

MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, channels, blocks and first stride of each stage (Sandler et al. 2018, table 2)."""


class Builder:
    """Appends operators to a graph of one input; every method takes and gives tensor indices.

    `quantized` models hold int8 values: per-channel weights, int32 biases, and scales that random weights are made for.
    """

    def __init__(self, shape: tuple[int, ...], quantized: bool, seed: int) -> None:
        self.rng, self.quantized = np.random.default_rng(seed), quantized
        self.tensors: list[Tensor] = []
        self.nodes: list[Node] = []
        self.image = self.activation("image", shape)

    def activation(self, name: str, shape: tuple[int, ...], scale: float = 0.03, zero_point: int = 0) -> int:
        if not self.quantized:
            return self._tensor(Tensor(name, TensorType.FLOAT32, shape))
        return self._tensor(Tensor(name, TensorType.INT8, shape, quantization=_quantization([scale], zero_point)))

    def conv(
        self, x: int, channels: int, size: int = 1, stride: int = 1, activation: Activation = Activation.RELU6
    ) -> int:
        shape = (channels, size, size, self.shape(x)[3])
        attributes = _window(stride, activation)
        return self._weighted("CONV_2D", x, shape, 0, self._spatial(x, stride, channels), attributes)

    def depthwise(self, x: int, stride: int) -> int:
        channels = self.shape(x)[3]
        attributes = {**_window(stride, Activation.RELU6), "depth_multiplier": 1}
        return self._weighted(
            "DEPTHWISE_CONV_2D", x, (1, 3, 3, channels), 3, self._spatial(x, stride, channels), attributes
        )

    def add(self, x: int, y: int) -> int:
        attributes = {"fused_activation_function": Activation.NONE}
        return self._node("ADD", [x, y], self.activation("sum", self.shape(x), 0.05), attributes)

    def mean(self, x: int) -> int:
        axes = self._tensor(Tensor("axes", TensorType.INT32, (2,), data=np.int32([1, 2])))
        shape = (self.shape(x)[0], self.shape(x)[3])
        return self._node("MEAN", [x, axes], self.activation("mean", shape, 6 / 255, -128), {"keep_dims": False})

    def dense(self, x: int, units: int) -> int:
        shape = (self.shape(x)[0], units)
        attributes = {"fused_activation_function": Activation.NONE}
        return self._weighted("FULLY_CONNECTED", x, (units, self.shape(x)[1]), 0, shape, attributes)

    def softmax(self, x: int) -> int:
        return self._node("SOFTMAX", [x], self.activation("softmax", self.shape(x), 1 / 256, -128), {"beta": 1.0})

    def shape(self, tensor: int) -> tuple[int, ...]:
        return self.tensors[tensor].shape

    def model(self, output: int, description: str) -> Model:
        graph = Graph(0, "main", tuple(self.tensors), tuple(self.nodes), (self.image,), (output,))
        signature = Signature("serving_default", {"image": self.image}, {"scores": output}, 0)
        return Model((graph,), (signature,), description)

    def _spatial(self, x: int, stride: int, channels: int) -> tuple[int, ...]:
        n, height, width, _ = self.shape(x)
        return (n, -(-height // stride), -(-width // stride), channels)

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

    def _node(self, operator: str, inputs: Sequence[int], output: int, attributes: Mapping[str, Any]) -> int:
        assert ABSENT not in inputs
        self.nodes.append(
            Node(len(self.nodes), operator, tuple(inputs), (output,), attributes, version=3 if self.quantized else 1)
        )
        return output

    def _tensor(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1


def mobilenet_v2(*, quantized: bool = False, resolution: int = 224, batch: int = 1, seed: int = 0) -> Model:
    """MobileNetV2 with width 1 and 1,000 classes: 300 million multiplications per 224 x 224 image."""
    build = Builder((batch, resolution, resolution, 3), quantized, seed)
    x = build.conv(build.image, 32, size=3, stride=2)
    for expansion, channels, blocks, first_stride in MOBILENET_V2:
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            before = x
            if expansion > 1:
                x = build.conv(x, expansion * build.shape(x)[3])
            x = build.conv(build.depthwise(x, stride), channels, activation=Activation.NONE)
            if build.shape(x) == build.shape(before):
                x = build.add(before, x)
    scores = build.softmax(build.dense(build.mean(build.conv(x, 1280)), 1000))
    return build.model(scores, f"MobileNetV2, random weights of seed {seed}")


def _window(stride: int, activation: Activation) -> dict[str, Any]:
    return {
        "padding": Padding.SAME,
        "stride_h": stride,
        "stride_w": stride,
        "fused_activation_function": activation,
    }


def _quantization(scales: Any, zero_point: int, axis: int = 0) -> Quantization:
    values = np.asarray(scales, np.float32)
    return Quantization(values, np.full(len(values), zero_point, np.int64), axis)

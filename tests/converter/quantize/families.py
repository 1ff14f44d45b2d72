"""One small float32 model for each operator family, to be quantised in every mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.build import BOOL, F32, I32, GraphBuilder, model
from tflite_cupy.interpreter.format.writer import write_model

Build = Callable[..., Sequence[int]]


@dataclass(frozen=True, eq=False)
class Family:
    """A model: shapes of its float32 inputs, and a function that adds nodes and returns outputs."""

    inputs: Sequence[Sequence[int]]
    build: Build
    integer: str = ""  # operators on int8 that must come out of full quantisation, besides QUANTIZE and DEQUANTIZE
    stays_float: bool = False
    low: float = -3.0  # inputs are uniform from here
    high: float = 3.0
    decibels: float = 30.0  # of signal over noise in int8

    def content(self) -> bytes:
        """The file: signature "run", inputs x0, x1, ... (and the builder's own), outputs y0, y1, ..."""
        b = GraphBuilder()
        xs = [b.input(F32, shape, f"x{i}") for i, shape in enumerate(self.inputs)]
        outputs = self.build(b, *xs)
        graph = b.graph(outputs)
        inputs = {graph.tensors[i].name: i for i in graph.inputs}
        named = {f"y{i}": y for i, y in enumerate(outputs)}
        return write_model(model(graph, signatures={"run": (0, inputs, named)}))

    def samples(self, count: int = 4, seed: int = 1) -> list[dict[str, np.ndarray]]:
        random = np.random.default_rng(seed)
        return [
            {f"x{i}": random.uniform(self.low, self.high, s).astype(np.float32) for i, s in enumerate(self.inputs)}
            for _ in range(count)
        ]


def weights(*shape: int, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _window(b: GraphBuilder, name: str, x: int, filters: np.ndarray, channels: int, **attributes: Any) -> list[int]:
    bias = b.constant(weights(channels))
    options = {"stride_w": 1, "stride_h": 1, "dilation_w_factor": 1, "dilation_h_factor": 1, **attributes}
    return [b.add(name, [x, b.constant(filters), bias], [1, 6, 6, channels], **options)]


def _transposed(b: GraphBuilder, x: int, *bias: np.ndarray) -> list[int]:
    operands = [b.constant(np.int32([1, 12, 12, 12])), b.constant(weights(12, 3, 3, 12)), x, *map(b.constant, bias)]
    return list(b.op("TRANSPOSE_CONV", operands, [b.tensor(F32, [1, 12, 12, 12])], stride_w=2, stride_h=2))


def _unary(name: str, integer: bool = True, **more: Any) -> Family:
    attributes = more.pop("attributes", {})
    shape = [1, 5, 8]
    return Family([shape], lambda b, x: [b.add(name, [x], **attributes)], name if integer else "", not integer, **more)


def _binary(name: str, **more: Any) -> Family:
    return Family([[1, 5, 8], [1, 5, 8]], lambda b, x, y: [b.add(name, [x, y])], name, **more)


def _moved(name: str, shape: Sequence[int], result: Sequence[int], *operands: Any, **attributes: Any) -> Family:
    def build(b: GraphBuilder, x: int) -> list[int]:
        return [b.add(name, [x, *(b.constant(np.asarray(o)) for o in operands)], result, **attributes)]

    return Family([shape], build, name)


def _choice(b: GraphBuilder, x: int, y: int) -> list[int]:
    (greater,) = b.op("GREATER", [x, y], [b.tensor(BOOL, [1, 5, 8])])
    return list(b.op("SELECT_V2", [greater, x, y], [b.tensor(F32, [1, 5, 8])]))


def _split(b: GraphBuilder, x: int) -> list[int]:
    parts = [b.tensor(F32, [1, 5, 4]), b.tensor(F32, [1, 5, 4])]
    return list(b.op("SPLIT", [b.constant(np.int32(2)), x], parts, num_splits=2))


def _lookup(b: GraphBuilder, name: str) -> list[int]:
    table, ids = b.constant(weights(40, 32)), b.input(I32, [3], "ids")
    operands = [ids, table] if name == "EMBEDDING_LOOKUP" else [table, ids]
    return list(b.op(name, operands, [b.tensor(F32, [3, 32])]))


_IMAGE = [1, 6, 6, 12]
_POOL = {"padding": 1, "stride_w": 2, "stride_h": 2, "filter_width": 2, "filter_height": 2}
_RELU6 = 3

FAMILIES: dict[str, Family] = {
    "conv": Family([_IMAGE], lambda b, x: _window(b, "CONV_2D", x, weights(12, 3, 3, 12), 12), "CONV_2D"),
    "conv relu6": Family(
        [_IMAGE],
        lambda b, x: _window(b, "CONV_2D", x, weights(12, 3, 3, 12), 12, fused_activation_function=_RELU6),
        "CONV_2D",
    ),
    "depthwise": Family(
        [_IMAGE],
        lambda b, x: _window(b, "DEPTHWISE_CONV_2D", x, weights(1, 7, 7, 24), 24, depth_multiplier=2),
        "DEPTHWISE_CONV_2D",
    ),
    "transposed": Family([_IMAGE], _transposed, "TRANSPOSE_CONV"),
    "transposed with bias": Family([_IMAGE], lambda b, x: _transposed(b, x, weights(12)), "TRANSPOSE_CONV"),
    "dense": Family(
        [[2, 40]],
        lambda b, x: [b.add("FULLY_CONNECTED", [x, b.constant(weights(32, 40)), b.constant(weights(32))], [2, 32])],
        "FULLY_CONNECTED",
    ),
    "dense, no bias": Family(
        [[2, 40]],
        lambda b, x: [b.add("FULLY_CONNECTED", [x, b.constant(weights(32, 40)), -1], [2, 32])],
        "FULLY_CONNECTED",
    ),
    "dense, computed weights": Family(
        [[2, 40], [8, 40]], lambda b, x, w: [b.add("FULLY_CONNECTED", [x, w, -1], [2, 8])], "FULLY_CONNECTED"
    ),
    "batch matmul": Family(
        [[2, 4, 8], [2, 8, 4]], lambda b, x, y: [b.add("BATCH_MATMUL", [x, y], [2, 4, 4])], "BATCH_MATMUL"
    ),
    "batch matmul, constant": Family(
        [[2, 4, 32]], lambda b, x: [b.add("BATCH_MATMUL", [x, b.constant(weights(2, 32, 32))])], "BATCH_MATMUL"
    ),
    "gather": Family([], lambda b: _lookup(b, "GATHER"), "GATHER"),
    "embedding": Family([], lambda b: _lookup(b, "EMBEDDING_LOOKUP"), "EMBEDDING_LOOKUP"),
    "add": _binary("ADD"),
    "sub": _binary("SUB"),
    "mul": _binary("MUL"),
    "div": _binary("DIV", low=0.5, high=3.0),
    "squared difference": _binary("SQUARED_DIFFERENCE"),
    "maximum": _binary("MAXIMUM"),
    "minimum": _binary("MINIMUM"),
    "add a constant": Family([[1, 5, 8]], lambda b, x: [b.add("ADD", [x, b.constant(weights(8))])], "ADD"),
    "prelu": Family([[1, 5, 8]], lambda b, x: [b.add("PRELU", [x, b.constant(weights(1, 8))])], "PRELU"),
    "relu": _unary("RELU"),
    "relu6": _unary("RELU6"),
    "relu n1 to 1": _unary("RELU_N1_TO_1"),
    "leaky relu": _unary("LEAKY_RELU", attributes={"alpha": 0.1}),
    "gelu": _unary("GELU"),
    "hard swish": _unary("HARD_SWISH"),
    "logistic": _unary("LOGISTIC"),
    "tanh": _unary("TANH"),
    "softmax": _unary("SOFTMAX", attributes={"beta": 1.0}),
    "log softmax": _unary("LOG_SOFTMAX"),
    "l2 normalization": _unary("L2_NORMALIZATION"),
    "abs": _unary("ABS"),
    "exp": _unary("EXP"),
    "log": _unary("LOG", low=0.5),
    "sqrt": _unary("SQRT", low=0.1),
    "rsqrt": _unary("RSQRT", low=0.5),
    "sine": _unary("SIN", integer=False),
    "negation": _unary("NEG", integer=False),
    "mean": _moved("MEAN", _IMAGE, [1, 12], np.int32([1, 2])),
    "reduce max": _moved("REDUCE_MAX", _IMAGE, [1, 12], np.int32([1, 2])),
    "average pool": _moved("AVERAGE_POOL_2D", _IMAGE, [1, 3, 3, 12], **_POOL),
    "max pool": _moved("MAX_POOL_2D", _IMAGE, [1, 3, 3, 12], **_POOL),
    "reshape": _moved("RESHAPE", _IMAGE, [1, 432], np.int32([1, 432])),
    "transpose": _moved("TRANSPOSE", [1, 5, 8], [8, 5, 1], np.int32([2, 1, 0])),
    "pad": _moved("PAD", [1, 5, 8], [1, 7, 8], np.int32([[0, 0], [1, 1], [0, 0]])),
    "pad with a value": _moved("PADV2", [1, 5, 8], [1, 7, 8], np.int32([[0, 0], [1, 1], [0, 0]]), np.float32(-4)),
    "mirror pad": _moved("MIRROR_PAD", [1, 5, 8], [1, 7, 8], np.int32([[0, 0], [1, 1], [0, 0]])),
    "slice": _moved("SLICE", [1, 5, 8], [1, 2, 4], np.int32([0, 1, 2]), np.int32([1, 2, 4])),
    "resize bilinear": _moved("RESIZE_BILINEAR", _IMAGE, [1, 9, 9, 12], np.int32([9, 9])),
    "resize nearest": _moved("RESIZE_NEAREST_NEIGHBOR", _IMAGE, [1, 12, 12, 12], np.int32([12, 12])),
    "space to depth": _moved("SPACE_TO_DEPTH", _IMAGE, [1, 3, 3, 48], block_size=2),
    "concatenation": Family(
        [[1, 5, 8], [1, 5, 8]], lambda b, x, y: [b.add("CONCATENATION", [x, y], [1, 5, 16], axis=2)], "CONCATENATION"
    ),
    "pack": Family(
        [[5, 8], [5, 8]], lambda b, x, y: [b.add("PACK", [x, y], [2, 5, 8], axis=0, values_count=2)], "PACK"
    ),
    "split": Family([[1, 5, 8]], _split, "SPLIT"),
    "select": Family([[1, 5, 8], [1, 5, 8]], _choice, "GREATER SELECT_V2", decibels=20),
}

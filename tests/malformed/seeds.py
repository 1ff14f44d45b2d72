"""Sound models of our own that the tests of this folder damage, with values that their signatures take and give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np

from tests.build import BOOL, F32, I32, RESOURCE, STRING, GraphBuilder, model
from tests.format.samples import csr
from tflite_cupy import Interpreter
from tflite_cupy.interpreter.format.flexbuffer import write_flexbuffer
from tflite_cupy.interpreter.format.schema import OPERATORS_BY_NAME, TABLES
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import Graph, Model, Quantization, TensorType

Arrays = Mapping[str, Any]
ABSENT = -1


@dataclass(frozen=True, eq=False)
class Seed:
    """A model, and per signature (but those that need TensorFlow) inputs and the outputs that belong to them."""

    name: str
    model: Model
    calls: Mapping[str, tuple[Arrays, Arrays]]

    @cached_property
    def data(self) -> bytes:
        return write_model(self.model)

    @property
    def operator(self) -> int:
        """Place of the first node of the primary subgraph that takes operands."""
        return next(node.index for node in self.model.graphs[0].nodes if node.inputs)

    @property
    def optioned(self) -> int:
        """Place of the first node of the primary subgraph whose options have fields."""
        nodes = self.model.graphs[0].nodes
        return next(node.index for node in nodes if TABLES[OPERATORS_BY_NAME[node.name].options].fields)

    def runs_right(self) -> bool:
        """Whether a fresh interpreter gives what it should."""
        interpreter = Interpreter(model_content=self.data, device="cpu")
        for key, (inputs, outputs) in self.calls.items():
            got = interpreter.get_signature_runner(key)(**inputs)
            if got.keys() != outputs.keys() or not all(_same(got[name], outputs[name]) for name in outputs):
                return False
        return True


def _same(got: Any, expected: Any) -> bool:
    got, expected = np.asarray(got), np.asarray(expected)
    if expected.dtype == object:
        return bool(got.shape == expected.shape and (got == expected).all())
    return got.shape == expected.shape and np.allclose(got, expected, rtol=1e-5, atol=1e-6)


def node_def(op: str, **attributes: bytes) -> bytes:
    """An encoded NodeDef without inputs; attributes are encoded AttrValues."""

    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2]) + _varint(len(content)) + content

    entries = (field(5, field(1, name.encode()) + field(2, value)) for name, value in attributes.items())
    return field(1, b"node") + field(2, op.encode()) + b"".join(entries)


def _varint(value: int) -> bytes:
    low = b""
    while value > 0x7F:
        low, value = low + bytes([value & 0x7F | 0x80]), value >> 7
    return low + bytes([value])


def strings() -> Seed:
    """Constants of strings, a TensorFlow (Flex) operator in a signature of its own, metadata."""
    b = GraphBuilder("pick")
    x = b.input(STRING, [None], "x")
    words = np.array([[b"zero", b"", b"two\0nul"], [b"\xff\xfe", b"four", b"5"]], object)
    picked = b.add("GATHER", [b.constant(words), b.constant(np.int32(1))], [3], axis=0)
    row = b.add("RESHAPE", [x, b.constant(np.int32([1, -1]))], [1, None])
    f = GraphBuilder("flex")
    text = f.input(STRING, [None], "text")
    upper = f.tensor(STRING, [None], "upper")
    options = write_flexbuffer([b"StringUpper", node_def("StringUpper")])
    f.op("FlexStringUpper", [text], [upper], options=options)
    signatures = {
        "flex": (1, {"text": text}, {"upper": upper}),
        "pick": (0, {"x": x}, {"picked": picked, "row": row}),
    }
    made = replace(
        model(b.graph([picked, row]), f.graph([upper]), signatures=signatures),
        metadata={"min_runtime_version": b"1.5.0".ljust(16, b"\0")},
    )
    given = np.array([b"a", b"bc"], object)
    return Seed("strings", made, {"pick": ({"x": given}, {"picked": words[1], "row": given[None]})})


def convolution() -> Seed:
    """Quantised CONV_2D with a filter of ones per channel, a pool, an int4 constant, blockwise scales."""
    rng = np.random.default_rng(0)
    unit = Quantization(np.float32([1]), np.int64([0]))
    channels = Quantization(np.ones(4, np.float32), np.zeros(4, np.int64))
    b = GraphBuilder("main")
    image = b.input(TensorType.INT8, [1, 8, 8, 3], "image")
    weights = b.constant(np.ones((4, 1, 1, 3)), np.int8, q=channels)
    bias = b.constant(np.int32([0, 1, 2, 3]), q=channels)
    y = b.tensor(TensorType.INT8, [1, 8, 8, 4], "features", unit)
    b.op("CONV_2D", [image, weights, bias], [y], padding=1, stride_w=1, stride_h=1)
    pooled = b.tensor(TensorType.INT8, [1, 4, 4, 4], "pooled", unit)
    pool = {"padding": 1, "stride_w": 2, "stride_h": 2, "filter_width": 2, "filter_height": 2}
    b.op("MAX_POOL_2D", [y], [pooled], **pool)
    flat = b.tensor(TensorType.INT8, [1, 64], "flat", unit)
    b.op("RESHAPE", [pooled, b.constant(np.int32([1, 64]))], [flat], new_shape=(1, 64))
    packed = b.constant(rng.integers(-8, 8, (5, 64)), np.int8)
    b.constant(np.float16([[0.5, 0.25]] * 5).reshape(5, 2))
    graph = b.graph([flat, packed])
    tensors = list(graph.tensors)
    tensors[image] = replace(tensors[image], quantization=unit)
    blocks = Quantization(np.float32([0.5, 0.25] * 5), np.zeros(10, np.int64), 0, 32)
    tensors[packed] = replace(tensors[packed], type=TensorType.INT4, quantization=blocks)
    made = model(
        replace(graph, tensors=tuple(tensors)), signatures={"serving_default": (0, {"image": image}, {"flat": flat})}
    )
    pixels = rng.integers(-20, 20, (1, 8, 8, 3), np.int8)
    features = pixels.sum(-1, dtype=np.int8, keepdims=True) + np.int8([0, 1, 2, 3])
    expected = features.reshape(1, 4, 2, 4, 2, 4).max((2, 4)).reshape(1, 64)
    return Seed("convolution", made, {"serving_default": ({"image": pixels}, {"flat": expected})})


def control_flow() -> Seed:
    """IF, WHILE, CALL_ONCE, resource and tensor variables, in six subgraphs and two signatures."""
    b = GraphBuilder("train")
    x = b.input(F32, [2], "x")
    b.op("CALL_ONCE", [], [], init_subgraph_index=1)
    handle, value, positive = b.tensor(RESOURCE, [], "handle"), b.tensor(F32, [2], "value"), b.tensor(BOOL)
    b.op("VAR_HANDLE", [], [handle], container="", shared_name="v")
    b.op("READ_VARIABLE", [handle], [value])
    b.op("LESS", [b.constant(np.float32(0)), b.add("REDUCE_MAX", [x, b.constant(np.int32([0]))], [])], [positive])
    y = b.tensor(F32, [2], "y")
    b.op("IF", [positive, value, x], [y], then_subgraph_index=2, else_subgraph_index=3)
    b.op("ASSIGN_VARIABLE", [handle, y], [])
    count, total = b.tensor(I32, [], "count"), b.tensor(F32, [2], "total")
    b.op("WHILE", [b.constant(np.int32(3)), y], [count, total], cond_subgraph_index=4, body_subgraph_index=5)
    out = b.add("ADD", [b.variable(F32, [2]), total])
    train = b.graph([count, out])
    init = GraphBuilder("init")
    own = init.tensor(RESOURCE, [], "handle")
    init.op("VAR_HANDLE", [], [own], container="", shared_name="v")
    init.op("ASSIGN_VARIABLE", [own, init.constant(np.float32([1, 2]))], [])
    cond = GraphBuilder("cond")
    n, _ = cond.input(I32, [], "n"), cond.input(F32, [2], "a")
    more = cond.tensor(BOOL, [], "more")
    cond.op("GREATER", [n, cond.constant(np.int32(0))], [more])
    body = GraphBuilder("body")
    n, a = body.input(I32, [], "n"), body.input(F32, [2], "a")
    step = body.graph([body.add("SUB", [n, body.constant(np.int32(1))]), body.add("ADD", [a, a])])
    graphs = [train, init.graph([]), _binary("ADD"), _binary("MUL"), cond.graph([more]), step]
    signatures = {"train": (0, {"x": x}, {"count": count, "out": out}), "reset": (1, {}, {})}
    call = {"x": np.float32([3, -4])}, {"count": np.int32(0), "out": np.float32([32, -16])}
    return Seed("control_flow", model(*graphs, signatures=signatures), {"train": call, "reset": ({}, {})})


def _binary(name: str) -> Graph:
    b = GraphBuilder(name.lower())
    x, y = b.input(F32, [2], "x"), b.input(F32, [2], "y")
    return b.graph([b.add(name, [x, y])])


def sparse() -> Seed:
    """A constant in compressed sparse rows, made dense and multiplied."""
    b = GraphBuilder("main")
    x = b.input(F32, [1, 3], "x")
    held = b.constant(np.float32([1, 2, 3]))
    dense = b.tensor(F32, [2, 3], "dense")
    b.op("DENSIFY", [held], [dense])
    y = b.add("FULLY_CONNECTED", [x, dense, ABSENT], [1, 2])
    graph = b.graph([y])
    tensors = list(graph.tensors)
    tensors[held] = replace(tensors[held], shape=(2, 3), sparsity=csr([0, 1, 3], [2, 0, 1], 2))
    made = model(replace(graph, tensors=tuple(tensors)), signatures={"serving_default": (0, {"x": x}, {"y": y})})
    row = np.float32([[1, 10, 100]])
    weights = np.float32([[0, 0, 1], [2, 3, 0]])
    return Seed("sparse", made, {"serving_default": ({"x": row}, {"y": np.matmul(row, weights.T)})})


def lstm() -> Seed:
    """UNIDIRECTIONAL_SEQUENCE_LSTM with weights of 0, whose biases add 1 to half of its cell's state in each step."""
    b = GraphBuilder("main")
    x = b.input(F32, [1, 2, 3], "x")
    operands = [x]
    operands += [b.constant(np.zeros((2, 3), np.float32)) for _ in range(4)]
    operands += [b.constant(np.zeros((2, 2), np.float32)) for _ in range(4)]
    operands += [ABSENT] * 3
    operands += [b.constant(np.float32([0, 0]) + gate) for gate in (30, 0, 30, 30)]  # input, forget, cell, output
    operands += [ABSENT] * 2
    operands += [b.variable(F32, [1, 2]), b.variable(F32, [1, 2])]
    options = {"time_major": False, "fused_activation_function": 4}
    y = b.add("UNIDIRECTIONAL_SEQUENCE_LSTM", operands, [1, 2, 2], **options)
    made = model(b.graph([y]), signatures={"serving_default": (0, {"x": x}, {"y": y})})
    expected = np.tanh(np.float32([[[1, 1], [1.5, 1.5]]]))
    given = np.zeros((1, 2, 3), np.float32)
    return Seed("lstm", made, {"serving_default": ({"x": given}, {"y": expected})})


_MAKERS: dict[str, Callable[[], Seed]] = {
    "strings": strings,
    "convolution": convolution,
    "control_flow": control_flow,
    "sparse": sparse,
    "lstm": lstm,
}
SEEDS = tuple(_MAKERS)


@cache
def seed(name: str) -> Seed:
    """A seed by name."""
    return _MAKERS[name]()

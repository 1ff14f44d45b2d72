"""Models of our own that tests of the file format read, write and damage, and what it means that two are equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from tests.build import F32, I32, RESOURCE, STRING, GraphBuilder, model
from tflite_cupy.interpreter.format.flexbuffer import write_flexbuffer
from tflite_cupy.interpreter.graph import Model, Quantization, Sparsity, Tensor, TensorType


@cache
def strings() -> Model:
    """Two signatures, constants of strings, TensorFlow (Flex) operators, metadata."""
    b = GraphBuilder("main")
    x = b.input(STRING, [None], "x")
    node_def = b"\x0a\x05Upper\x12\x0bStringUpper\x1a\x00\xff\xfe"
    upper = b.tensor(STRING, [None], "upper")
    b.op("FlexStringUpper", [x], [upper], options=write_flexbuffer([b"StringUpper", node_def]))
    words = b.constant(np.array([[b"zero", b"", b"two\0nul"], [b"\xff\xfe", b"four", b"5"]], object))
    picked = b.add("GATHER", [words, b.constant(np.int32(1))], [3], axis=0)
    encode = b.graph([upper, picked])
    c = GraphBuilder("decode")
    y = c.input(STRING, [None], "y")
    decode = c.graph([c.add("RESHAPE", [y, c.constant(np.int32([1, -1]))], [1, None])])
    signatures = {
        "encode": (0, {"x": x}, {"upper": upper, "picked": picked}),
        "decode": (1, {"text": y}, {"row": 2}),
    }
    return replace(
        model(encode, decode, signatures=signatures),
        description="strings of the tests",
        metadata={"min_runtime_version": b"1.5.0".ljust(16, b"\0"), "empty": b""},
    )


@cache
def convolution() -> Model:
    """A quantised CONV_2D (per channel), an int4 constant, a sparse one, blockwise scales, an empty shape."""
    rng = np.random.default_rng(0)
    act = Quantization(np.float32([0.5]), np.int64([-3]))
    channels = Quantization(rng.random(4, np.float32) + 0.1, np.zeros(4, np.int64), axis=0)
    b = GraphBuilder("main")
    b.input(TensorType.INT8, [1, 8, 8, 3], "image")
    weights = b.constant(rng.integers(-127, 127, (4, 3, 3, 3)), np.int8)
    bias = b.constant(np.int32([1, -2, 3, 4]))
    y = b.tensor(TensorType.INT8, [1, 4, 4, 4], "features", act)
    b.op("CONV_2D", [0, weights, bias], [y], padding=0, stride_w=2, stride_h=2, fused_activation_function=1)
    flat = b.tensor(TensorType.INT8, [1, 64], "flat", act)
    b.op("RESHAPE", [y, b.constant(np.int32([1, 64]))], [flat], new_shape=(1, 64))
    packed = b.constant(rng.integers(-8, 8, (5, 64)), np.int8)
    sparse = b.constant(np.float32([1, 2, 3]))
    scales = b.constant(np.float16([[0.5, 0.25]] * 5).reshape(5, 2))
    hollow = b.constant(np.zeros((0,), np.int32))
    total = b.tensor(TensorType.INT8, [1, 64], "sum", act)
    b.op("REDUCE_MAX", [flat, hollow], [total], keep_dims=True)
    dense = b.tensor(F32, [2, 3], "dense")
    b.op("DENSIFY", [sparse], [dense])
    graph = b.graph([total, packed, dense])
    tensors = list(graph.tensors)
    tensors[0] = replace(tensors[0], quantization=act)
    tensors[weights] = replace(tensors[weights], quantization=channels)
    blocks = Quantization(np.float32([0.5, 0.25] * 5), np.zeros(10, np.int64), 0, 32)
    tensors[packed] = replace(tensors[packed], type=TensorType.INT4, quantization=blocks)
    tensors[scales] = replace(tensors[scales], name="scales")
    tensors[sparse] = replace(tensors[sparse], shape=(2, 3), sparsity=csr([0, 1, 3], [2, 0, 1], 2))
    graph = replace(graph, tensors=tuple(tensors))
    return model(graph, signatures={"serving_default": (0, {"image": 0}, {"sum": total, "dense": dense})})


def csr(segments: list[int], indices: list[int], rows: int) -> Sparsity:
    """A matrix in compressed sparse rows."""
    none = np.empty(0, np.int32)
    row = {"format": 0, "dense_size": rows, "array_segments": none, "array_indices": none}
    column = {"format": 1, "dense_size": 0, "array_segments": np.int32(segments), "array_indices": np.int32(indices)}
    return Sparsity((0, 1), (), (row, column))


@cache
def control_flow() -> Model:
    """IF, WHILE, CALL_ONCE, resource and tensor variables, in six subgraphs and two signatures."""
    b = GraphBuilder("train")
    x = b.input(F32, [2], "x")
    b.op("CALL_ONCE", [], [], init_subgraph_index=1)
    handle = b.tensor(RESOURCE, [], "handle")
    b.op("VAR_HANDLE", [], [handle], container="", shared_name="v")
    value = b.tensor(F32, [2], "value")
    b.op("READ_VARIABLE", [handle], [value])
    positive = b.tensor(TensorType.BOOL, [], "positive")
    b.op("LESS", [b.constant(np.int32(0)), b.constant(np.int32(1))], [positive])
    y = b.tensor(F32, [2], "y")
    b.op("IF", [positive, value, x], [y], then_subgraph_index=2, else_subgraph_index=3)
    b.op("ASSIGN_VARIABLE", [handle, y], [])
    state = b.variable(F32, [1, 2])
    count, total = b.tensor(I32, [], "count"), b.tensor(F32, [2], "total")
    b.op("WHILE", [b.constant(np.int32(3)), y], [count, total], cond_subgraph_index=4, body_subgraph_index=5)
    out = b.tensor(F32, [1, 2], "out")
    b.op("ADD", [state, total], [out])
    train = b.graph([count, out])

    init = GraphBuilder("init")
    v = init.tensor(RESOURCE, [], "handle")
    init.op("VAR_HANDLE", [], [v], container="", shared_name="v")
    init.op("ASSIGN_VARIABLE", [v, init.constant(np.float32([1, 2]))], [])

    cond = GraphBuilder("cond")
    n = cond.input(I32, [], "n")
    cond.input(F32, [2], "a")
    more = cond.tensor(TensorType.BOOL, [], "more")
    cond.op("GREATER", [n, cond.constant(np.int32(0))], [more])

    body = GraphBuilder("body")
    n, a = body.input(I32, [], "n"), body.input(F32, [2], "a")
    step = [body.add("SUB", [n, body.constant(np.int32(1))]), body.add("MUL", [a, a])]
    graphs = [train, init.graph([]), _binary("ADD"), _binary("MUL"), cond.graph([more]), body.graph(step)]
    signatures = {"train": (0, {"x": x}, {"count": count, "out": out}), "reset": (1, {}, {})}
    return model(*graphs, signatures=signatures)


def _binary(name: str) -> Any:
    b = GraphBuilder(name.lower())
    x, y = b.input(F32, [2], "x"), b.input(F32, [2], "y")
    return b.graph([b.add(name, [x, y])])


SAMPLES: dict[str, Callable[[], Model]] = {
    "strings": strings,
    "convolution": convolution,
    "control_flow": control_flow,
}


def difference(a: Any, b: Any, path: str = "model") -> str | None:
    """The first place where two models (or parts) differ, None if they are equal; owners of memory do not count."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return None if _same_array(a, b) else path
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        b = replace(b, has_rank=a.has_rank if a.shape else b.has_rank)
    if is_dataclass(a) and type(a) is type(b):
        names = [field.name for field in fields(a) if field.name != "keepalive"]
        return _first((getattr(a, name), getattr(b, name), f"{path}.{name}") for name in names)
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if list(a) != list(b):
            return f"{path}: {list(a)} against {list(b)}"
        return _first((a[key], b[key], f"{path}[{key!r}]") for key in a)
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        return _first((x, y, f"{path}[{i}]") for i, (x, y) in enumerate(zip(a, b, strict=True)))
    return None if type(a) is type(b) and a == b else f"{path}: {a!r} against {b!r}"


def _first(triples: Any) -> str | None:
    return next((found for a, b, path in triples if (found := difference(a, b, path))), None)


def _same_array(a: Any, b: Any) -> bool:
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)) or a.dtype != b.dtype or a.shape != b.shape:
        return False
    return a.tolist() == b.tolist() if a.dtype == object else a.tobytes() == b.tobytes()

"""Small models of our own, as bytes, that several tests run."""

from __future__ import annotations

from functools import cache

import numpy as np

from tests.build import F32, I32, RESOURCE, STRING, GraphBuilder, model
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import Model


@cache
def add_sub() -> bytes:
    """Two signatures: add(x, y) -> sum; sub(a, b) -> diff, prod. Inputs float32 [n]; arguments in reversed order."""
    b = GraphBuilder("add")
    y, x = b.input(F32, [None], "add_y:0"), b.input(F32, [None], "add_x:0")
    add = b.graph([b.add("ADD", [x, y])])
    c = GraphBuilder("sub")
    d, e = c.input(F32, [None], "sub_b:0"), c.input(F32, [None], "sub_a:0")
    diff, prod = c.add("SUB", [e, d]), c.add("MUL", [e, d])
    signatures = {
        "sub": (1, {"a": e, "b": d}, {"prod": prod, "diff": diff}),
        "add": (0, {"x": x, "y": y}, {"sum": 2}),
    }
    return write_model(model(add, c.graph([diff, prod]), signatures=signatures))


@cache
def one_signature() -> bytes:
    """serving_default(x float32 [2, 3]) -> y: x @ w + b, fixed shapes."""
    rng = np.random.default_rng(0)
    b = GraphBuilder()
    x = b.input(F32, [2, 3], "x")
    w, bias = b.constant(rng.normal(size=(4, 3)), np.float32), b.constant(rng.normal(size=4), np.float32)
    y = b.add("FULLY_CONNECTED", [x, w, bias], [2, 4])
    return write_model(model(b.graph([y]), signatures={"serving_default": (0, {"x": x}, {"y": y})}))


@cache
def scorer(batch: int | None) -> bytes:
    """score(x float32 [batch, 3]) -> scores float32 [batch, 4]: x @ w + b; None for an unknown batch."""
    rng = np.random.default_rng(0)
    b = GraphBuilder("score")
    x = b.input(F32, [batch, 3], "x")
    w, bias = b.constant(rng.normal(size=(4, 3)), np.float32), b.constant(rng.normal(size=4), np.float32)
    y = b.add("FULLY_CONNECTED", [x, w, bias], [batch, 4])
    return write_model(model(b.graph([y]), signatures={"score": (0, {"x": x}, {"scores": y})}))


@cache
def passthrough() -> bytes:
    """same(x) -> x itself and a constant; scalar(n int32) -> n + n; strings(s) -> s reshaped to [1, n]."""
    b = GraphBuilder("same")
    x = b.input(F32, [2], "x")
    same = b.graph([x, b.constant(np.float32([7, 8]))])
    c = GraphBuilder("scalar")
    n = c.input(I32, [], "n")
    scalar = c.graph([c.add("ADD", [n, n])])
    d = GraphBuilder("strings")
    s = d.input(STRING, [None], "s")
    strings = d.graph([d.add("RESHAPE", [s, d.constant(np.int32([1, -1]))], [1, None])])
    signatures = {
        "same": (0, {"x": 0}, {"x": 0, "constant": 1}),
        "scalar": (1, {"n": 0}, {"twice": 1}),
        "strings": (2, {"s": 0}, {"row": 2}),
    }
    return write_model(model(same, scalar, strings, signatures=signatures))


@cache
def shared_output() -> bytes:
    """s(x float32 [2]) -> a and b, both the tensor -x, and c, a copy of it by an operator that changes nothing."""
    b = GraphBuilder()
    x = b.input(F32, [2], "x")
    y = b.add("NEG", [x])
    c = b.add("CAST", [y], in_data_type=F32, out_data_type=F32)
    return write_model(model(b.graph([y, c]), signatures={"s": (0, {"x": x}, {"a": y, "b": y, "c": c})}))


@cache
def misfit() -> bytes:
    """s(x float32 [?, ?]) -> y: x @ w, which needs rows of 3, while unknown dimensions are declared as 1."""
    b = GraphBuilder()
    x = b.input(F32, [None, None], "x")
    y = b.add("FULLY_CONNECTED", [x, b.constant(np.ones((4, 3)), np.float32), -1], [None, 4])
    return write_model(model(b.graph([y]), signatures={"s": (0, {"x": x}, {"y": y})}))


def counter() -> Model:
    """increment(x): v += x, starting from 10; initialised once."""
    b = GraphBuilder("increment")
    x = b.input(F32, [2])
    b.op("CALL_ONCE", [], [], init_subgraph_index=1)
    (handle,) = b.op("VAR_HANDLE", [], [b.tensor(RESOURCE)], shared_name="v")
    (value,) = b.op("READ_VARIABLE", [handle], [b.tensor(F32, [2])])
    total = b.add("ADD", [value, x])
    b.op("ASSIGN_VARIABLE", [handle, total], [])
    i = GraphBuilder("init")
    (own,) = i.op("VAR_HANDLE", [], [i.tensor(RESOURCE)], shared_name="v")
    i.op("ASSIGN_VARIABLE", [own, i.constant(np.float32([10, 20]))], [])
    return model(b.graph([total]), i.graph([]))

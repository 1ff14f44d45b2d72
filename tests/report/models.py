"""Models that reports are made of, with what is odd about them."""

from __future__ import annotations

from typing import Any

import numpy as np

import tflite_cupy as lite
from tests.build import BOOL, F32, I32, I64, GraphBuilder, model
from tests.fakes import FakeGpuDelegate
from tflite_cupy.interpreter.graph import Graph
from tflite_cupy.interpreter.report import DelegationReport

EVIL = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>\u202e\x1b[31m"
"""A name that would run, overwrite or turn around what shows it as it is."""


def interpreter(content: bytes, *delegates: Any) -> lite.Interpreter:
    return lite.Interpreter(model_content=content, device="cpu", delegates=delegates, cpu_kernels="numpy")


def report(content: bytes, *delegates: Any) -> DelegationReport:
    return interpreter(content, *delegates).delegation_report()


def branch(name: str) -> Graph:
    """One operator on a vector."""
    b = GraphBuilder(name)
    return b.graph([b.add(name, [b.input(F32, [4])])])


def branching() -> bytes:
    """pick(c, x): exp(x) if c else -x, then doubled; other(x): x + x."""
    b = GraphBuilder("pick")
    c, x = b.input(BOOL, [], "c"), b.input(F32, [4], "x")
    (y,) = b.op("IF", [c, x], [b.tensor(F32, [4])], then_subgraph_index=2, else_subgraph_index=3)
    pick = b.graph([b.add("ADD", [y, y])])
    o = GraphBuilder("other")
    ox = o.input(F32, [4], "x")
    half = o.add("MUL", [o.constant(np.float32([0.5])), o.constant(np.float32([1, 2, 3, 4]))], [4])
    other = o.graph([o.add("ADD", [ox, half])])
    signatures = {"pick": (0, {"c": c, "x": x}, {"y": 3}), "other": (1, {"x": ox}, {"y": 4})}
    return lite.write_model(model(pick, other, branch("EXP"), branch("NEG"), signatures=signatures))


def unsupported(first: str = "FakeOne") -> bytes:
    """main: exp(x), then `first` and IF of FakeTwo or NEG; nobody runs the fakes."""
    b = GraphBuilder("main")
    c, x = b.input(BOOL, [], "c"), b.input(F32, [4], "x")
    (y,) = b.op(first, [b.add("EXP", [x])], [b.tensor(F32, [4])], custom=True)
    (z,) = b.op("IF", [c, y], [b.tensor(F32, [4])], then_subgraph_index=1, else_subgraph_index=2)
    graphs = (b.graph([b.add("UNKNOWN_OPERATOR_999", [z])]), branch("FakeTwo"), branch("NEG"))
    return lite.write_model(model(*graphs, signatures={"s": (0, {"c": c, "x": x}, {"y": 5})}))


def zigzag(turns: int) -> bytes:
    """s(x float32 [2048]) -> y: a product on the device and an operator of the host's, in turns."""
    b = GraphBuilder("zigzag")
    x = y = b.input(F32, [8, 2048], "x")
    weights = b.constant(np.eye(2048, dtype=np.float32))
    ids, groups = b.constant(np.arange(8, dtype=np.int32)), b.constant(np.int32(8))
    for _ in range(turns):
        y = b.add("FULLY_CONNECTED", [y, weights, -1])
        (y,) = b.op("UNSORTED_SEGMENT_PROD", [y, ids, groups], [b.tensor(F32, [8, 2048])])
    return lite.write_model(model(b.graph([y]), signatures={"s": (0, {"x": x}, {"y": y})}))


def chain(nodes: int) -> bytes:
    """s(x float32 [4]) -> y: so many negations, of tensors with names as converters make them."""
    b = GraphBuilder("chain")
    x = y = b.input(F32, [4], "x")
    for i in range(nodes):
        name = f"StatefulPartitionedCall/model/block_{i}/depthwise/BiasAdd;StatefulPartitionedCall/model/relu_{i}"
        (y,) = b.op("NEG", [y], [b.tensor(F32, [4], name)])
    return lite.write_model(model(b.graph([y]), signatures={"s": (0, {"x": x}, {"y": y})}))


def evil() -> bytes:
    """One node nobody runs and one that runs; every name is that of an attack."""
    b = GraphBuilder(EVIL)
    x = b.input(F32, [2], EVIL)
    (y,) = b.op(EVIL, [x], [b.tensor(F32, [2], "</style></svg>😀 שלום" + "long" * 200)], custom=True)
    (z,) = b.op("NEG", [y], [b.tensor(F32, [2], "--><!--")])
    return lite.write_model(model(b.graph([z]), signatures={f"{EVIL}|`@octocat": (0, {EVIL: x}, {"--><!--": z})}))


def unknown_sizes() -> bytes:
    """WHERE gives as many rows as there are matches, and the host-only operator behind it has them copied."""
    b = GraphBuilder()
    x = b.input(F32, [2048], "x")
    (same,) = b.op("EQUAL", [x, b.constant(np.zeros(2048, np.float32))], [b.tensor(BOOL, [2048])])
    (rows,) = b.op("WHERE", [same], [b.tensor(I64, [None, 1])])
    (rows,) = b.op("CAST", [rows], [b.tensor(I32, [None, 1])], in_data_type=int(I64), out_data_type=int(I32))
    ids, count = b.constant(np.int32([0])), b.constant(np.int32(1))
    (product,) = b.op("UNSORTED_SEGMENT_PROD", [rows, ids, count], [b.tensor(I32, [1, 1])])
    return lite.write_model(model(b.graph([product])))


def many_signatures(count: int) -> bytes:
    """sig_0(x) -> y, ...: each negates."""
    graphs, signatures = [], {}
    for i in range(count):
        b = GraphBuilder(f"graph_{i}")
        x = b.input(F32, [4], "x")
        y = b.add("NEG", [x])
        graphs.append(b.graph([y]))
        signatures[f"sig_{i}"] = (i, {"x": x}, {"y": y})
    return lite.write_model(model(*graphs, signatures=signatures))


def shared_subgraph() -> bytes:
    """first(x) -> y and second(u) -> v, of the same subgraph, which negates; third is called as first is."""
    b = GraphBuilder("both")
    x = b.input(F32, [4], "tensor_x")
    y = b.add("NEG", [x])
    names = {"first": ("x", "y"), "second": ("u", "v"), "third": ("x", "y")}
    signatures = {key: (0, {taken: x}, {given: y}) for key, (taken, given) in names.items()}
    return lite.write_model(model(b.graph([y]), signatures=signatures))


def on_fake_gpu(content: bytes) -> DelegationReport:
    return report(content, FakeGpuDelegate())

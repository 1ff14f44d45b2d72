"""The delegation report: counts, reasons, and that they are what happens."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import BOOL, F32, I32, I64, GraphBuilder, model
from tests.fakes import FakeGpuDelegate
from tests.models import add_sub, misfit
from tflite_cupy.interpreter.graph import Graph


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


def interpreter(content: bytes, *delegates: Any) -> lite.Interpreter:
    return lite.Interpreter(model_content=content, device="cpu", delegates=delegates)


def test_totals_over_model_and_signatures() -> None:
    data = interpreter(branching()).delegation_report().to_json()
    assert {name: total["nodes"] for name, total in data["totals"].items()} == {"gpu": 0, "cpu": 5, "flex": 0}
    assert data["folded"] == 1
    assert data["signatures"]["pick"]["subgraphs"] == [0, 2, 3]
    assert data["signatures"]["pick"]["totals"]["cpu"] == {"nodes": 4, "partitions": 4, "bytes_in": 0, "bytes_out": 0}
    assert data["signatures"]["other"]["totals"]["cpu"]["nodes"] == 1
    assert json.loads(json.dumps(data)) == data


@pytest.mark.parametrize("device", [False, True], ids=["cpu", "fake gpu"])
def test_counts_equal_a_trace_of_what_ran(device: bool) -> None:
    it = interpreter(branching(), *([FakeGpuDelegate()] if device else []))
    x = np.arange(4, dtype=np.float32)
    with it.trace() as ran:
        it.get_signature_runner("pick")(c=True, x=x)
        it.get_signature_runner("pick")(c=False, x=x)
        it.get_signature_runner("other")(x=x)
    report = it.delegation_report()
    said = {(s.index, n.index, n.delegate) for s in report.subgraphs for n in s.nodes if n.delegate is not None}
    assert set(ran) == said
    totals = Counter(delegate for _, _, delegate in said)
    assert {name: total.nodes for name, total in report.totals().items() if total.nodes} == dict(totals)


def test_copies_are_counted_in_bytes() -> None:
    it = interpreter(add_sub(), FakeGpuDelegate())
    it.get_signature_runner("sub")(a=np.ones(10, np.float32), b=np.ones(10, np.float32))
    sub = next(s for s in it.delegation_report().subgraphs if s.name == "sub")
    assert sub.totals["gpu"].bytes_in == 80


def test_each_refusal_is_given() -> None:
    it = interpreter(branching(), FakeGpuDelegate())
    nodes = {(s.index, n.name): n for s in it.delegation_report().subgraphs for n in s.nodes}
    assert nodes[0, "IF"].delegate == "cpu"
    assert nodes[0, "IF"].refusals["gpu"] == "control flow runs between partitions."
    assert nodes[1, "MUL"].note == "folded"
    assert nodes[1, "ADD"].refusals == {}


def test_table() -> None:
    text = str(interpreter(branching(), FakeGpuDelegate()).delegation_report())
    assert text.startswith("signature 'pick'\n  subgraph 0 'pick': 2 nodes\n")
    assert "    cpu       2 of 2 nodes in 2 partitions\n" in text
    assert text.endswith('gpu was not asked: device="cpu" was asked for.')
    assert "gpu refused 1: its copies would cost more than it does." in text
    assert "    partition 0 on cpu: IF" in text
    assert "folded 1 node (known before the call)" in text
    assert "gpu refused 1: control flow runs between partitions." in text


def test_require_fails_when_the_model_is_loaded() -> None:
    for content in (branching(), add_sub()):
        lite.Interpreter(model_content=content, device="cpu", delegates=[FakeGpuDelegate()], require="gpu")
    with pytest.raises(lite.DelegationError, match="3 nodes do not run where") as caught:
        lite.Interpreter(model_content=add_sub(), device="cpu", require="gpu")
    for name, place in (("ADD#0", 0), ("SUB#0", 1), ("MUL#1", 1)):
        assert f"\n  {name} runs on cpu, not on gpu (there is no gpu) [at subgraphs[{place}].operators[" in str(
            caught.value
        )


def unsupported() -> bytes:
    """main: exp(x), then FakeOne and IF of FakeTwo or NEG; nobody runs the fakes."""
    b = GraphBuilder("main")
    c, x = b.input(BOOL, [], "c"), b.input(F32, [4], "x")
    y = b.add("FakeOne", [b.add("EXP", [x])])
    (z,) = b.op("IF", [c, y], [b.tensor(F32, [4])], then_subgraph_index=1, else_subgraph_index=2)
    graphs = (b.graph([b.add("UNKNOWN_OPERATOR_999", [z])]), branch("FakeTwo"), branch("NEG"))
    return lite.write_model(model(*graphs, signatures={"s": (0, {"c": c, "x": x}, {"y": 5})}))


def test_all_unsupported_nodes_are_listed() -> None:
    report = interpreter(unsupported()).delegation_report()
    lines = [line.strip() for line in str(report).splitlines() if "nobody runs" in line]
    assert lines == [
        "nobody runs FakeOne#1: Encountered unresolved custom op: FakeOne.",
        "nobody runs UNKNOWN_OPERATOR_999#3: operator UNKNOWN_OPERATOR_999 is not supported.",
        "nobody runs FakeTwo#0: Encountered unresolved custom op: FakeTwo.",
    ]
    assert report.to_json()["unsupported"] == 3
    assert report.totals()["cpu"].nodes == 3
    with pytest.raises(lite.UnsupportedError, match="FakeOne"):
        interpreter(unsupported()).allocate_tensors()


def test_declared_shapes_need_not_fit() -> None:
    """A report, and `require`, before the first call of a model that no declared shape suits."""
    it = lite.Interpreter(model_content=misfit(), device="cpu", delegates=[FakeGpuDelegate()], require="gpu")
    assert it.delegation_report().totals()["gpu"].nodes == 1
    assert it.get_signature_runner()(x=np.ones((2, 3), np.float32))["y"].tolist() == [[3.0] * 4] * 2
    assert it.delegation_report().totals()["gpu"].bytes_in == 24


def test_copies_of_unknown_size_are_said_to_be() -> None:
    """WHERE gives as many rows as there are matches, and the host-only operator behind it has them copied."""
    b = GraphBuilder()
    x = b.input(F32, [2048], "x")
    (same,) = b.op("EQUAL", [x, b.constant(np.zeros(2048, np.float32))], [b.tensor(BOOL, [2048])])
    (rows,) = b.op("WHERE", [same], [b.tensor(I64, [None, 1])])
    (rows,) = b.op("CAST", [rows], [b.tensor(I32, [None, 1])], in_data_type=int(I64), out_data_type=int(I32))
    ids, count = b.constant(np.int32([0])), b.constant(np.int32(1))
    (product,) = b.op("UNSORTED_SEGMENT_PROD", [rows, ids, count], [b.tensor(I32, [1, 1])])
    it = interpreter(lite.write_model(model(b.graph([product]))), FakeGpuDelegate())
    report = it.delegation_report()
    assert "copies at least 8,192 bytes in and 0 bytes out" in str(report)
    assert report.to_json()["subgraphs"][0]["bytes_are_a_lower_bound"]

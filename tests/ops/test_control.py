"""Control flow: loops and branches over subgraphs, and their limits. IF is in tests/runtime/test_partition.py too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.build import BOOL, F32, I32, GraphBuilder, model
from tests.engines import call, engine_of
from tflite_cupy.interpreter.errors import GraphError, KernelError, LimitError, UnsupportedError
from tflite_cupy.interpreter.format.flexbuffer import write_flexbuffer
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import ABSENT, Graph, Model

OPERATORS = ("CALL", "CALL_ONCE", "IF", "STABLEHLO_COMPOSITE", "WHILE")


def doubling_loop() -> Model:
    """while i < n: i, x = i + 1, x + x"""
    b = GraphBuilder("main")
    n, x = b.input(I32), b.input(F32, [None])
    i = b.constant(np.int32(0))
    outs = b.op("WHILE", [i, n, x], [b.tensor(I32), b.tensor(I32), b.tensor(F32, [None])],
                cond_subgraph_index=1, body_subgraph_index=2)  # fmt: skip
    main = b.graph([outs[0], outs[2]])
    c = GraphBuilder("cond")
    ci, cn, _ = c.input(I32), c.input(I32), c.input(F32, [None])
    (less,) = c.op("LESS", [ci, cn], [c.tensor(BOOL)])
    d = GraphBuilder("body")
    di, dn, dx = d.input(I32), d.input(I32), d.input(F32, [None])
    body = d.graph([d.add("ADD", [di, d.constant(np.int32(1))]), dn, d.add("ADD", [dx, dx])])
    return model(main, c.graph([less]), body)


@pytest.mark.parametrize("turns", [0, 1, 7])
def test_while(turns: int) -> None:
    i, x = call(engine_of(doubling_loop()), np.int32(turns), np.float32([1, 2]))
    assert int(i) == turns
    assert x.tolist() == [2.0**turns, 2.0 ** (turns + 1)]


@pytest.mark.parametrize("count", [0, 2])
def test_a_condition_is_one_element(count: int) -> None:
    b = GraphBuilder("main")
    condition, x = b.input(BOOL, [None]), b.input(F32, [1])
    (y,) = b.op("IF", [condition, x], [b.tensor(F32, [1])], then_subgraph_index=1, else_subgraph_index=1)
    branch = GraphBuilder("branch")
    engine = engine_of(model(b.graph([y]), branch.graph([branch.input(F32, [1])])))
    with pytest.raises(KernelError, match=rf"the condition has {count} elements, expected 1.*IF#0"):
        call(engine, np.zeros(count, bool), np.float32([1]))


def test_loop_values_have_known_shapes() -> None:
    engine = engine_of(doubling_loop())
    plan = engine.plan(engine.model.graphs[0], [(), (5,)])
    assert [plan.resolved.specs[i].shape for i in engine.model.graphs[0].outputs] == [(), (5,)]


def growing_loop() -> Model:
    """while rows of x < n: x = concat(x, x)"""
    b = GraphBuilder("main")
    n, x = b.input(I32), b.input(F32, [None])
    outs = b.op("WHILE", [n, x], [b.tensor(I32), b.tensor(F32, [None])], cond_subgraph_index=1, body_subgraph_index=2)
    c = GraphBuilder("cond")
    cn, cx = c.input(I32), c.input(F32, [None])
    (shape,) = c.op("SHAPE", [cx], [c.tensor(I32, [1])], out_type=int(I32))
    (less,) = c.op("LESS", [shape, cn], [c.tensor(BOOL, [1])])
    d = GraphBuilder("body")
    dn, dx = d.input(I32), d.input(F32, [None])
    (twice,) = d.op("CONCATENATION", [dx, dx], [d.tensor(F32, [None])], axis=0)
    return model(b.graph([outs[1]]), c.graph([less]), d.graph([dn, twice]))


def test_loop_values_may_grow() -> None:
    assert call(engine_of(growing_loop()), np.int32(10), np.float32([1, 2, 3]))[0].shape == (12,)


def recursive() -> Graph:
    b = GraphBuilder()
    x = b.input(F32, [1])
    (y,) = b.op("STABLEHLO_COMPOSITE", [x], [b.tensor(F32, [1])], decomposition_subgraph_index=0)
    return b.graph([y])


def test_recursion_is_a_limit() -> None:
    with pytest.raises(LimitError, match="deep"):
        call(engine_of(model(recursive())), np.float32([1]))


def test_missing_subgraph() -> None:
    b = GraphBuilder()
    b.op("CALL_ONCE", [], [], init_subgraph_index=9)
    with pytest.raises(GraphError, match="no subgraph 9"):
        call(engine_of(model(b.graph([]))))


def test_call() -> None:
    b = GraphBuilder("main")
    x = b.input(F32, [None])
    (y,) = b.op("CALL", [x], [b.tensor(F32, [None])], subgraph=1)
    c = GraphBuilder("called")
    engine = engine_of(model(b.graph([y]), c.graph([c.add("NEG", [c.input(F32, [None])])])))
    assert call(engine, np.float32([1, 2]))[0].tolist() == [-1, -2]
    plan = engine.plan(engine.model.graphs[0], [(5,)])
    assert plan.resolved.specs[y].shape == (5,)


def branching() -> Model:
    """exp(x) if c else -x, through a composite of the whole"""
    b = GraphBuilder("main")
    c, x = b.input(BOOL), b.input(F32, [None])
    (y,) = b.op("STABLEHLO_COMPOSITE", [c, x], [b.tensor(F32, [None])], decomposition_subgraph_index=1)
    d = GraphBuilder("composite")
    dc, dx = d.input(BOOL), d.input(F32, [None])
    (dy,) = d.op("IF", [dc, dx], [d.tensor(F32, [None])], then_subgraph_index=2, else_subgraph_index=3)
    branches = []
    for name in ("EXP", "NEG"):
        e = GraphBuilder(name)
        branches.append(e.graph([e.add(name, [e.input(F32, [None])])]))
    return model(b.graph([y]), d.graph([dy]), *branches)


@pytest.mark.parametrize(("condition", "expected"), [(True, 1.0), (False, -0.0)])
def test_if_within_a_composite(condition: bool, expected: float) -> None:
    assert call(engine_of(branching()), np.array(condition), np.zeros(3, np.float32))[0].tolist() == [expected] * 3


def test_an_unknown_operator_in_a_branch_is_found_before_any_call() -> None:
    b = GraphBuilder("main")
    c, x = b.input(BOOL), b.input(F32, [1])
    (y,) = b.op("IF", [c, x], [b.tensor(F32, [1])], then_subgraph_index=1, else_subgraph_index=2)
    branches = []
    for name in ("EXP", "FakeOp"):
        e = GraphBuilder(name)
        branches.append(e.graph([e.add(name, [e.input(F32, [1])])]))
    engine = engine_of(model(b.graph([y]), *branches))
    for _ in range(2):  # asking again does not help
        with pytest.raises(UnsupportedError, match="unresolved custom op: FakeOp") as caught:
            engine.plan(engine.model.graphs[0], [(), (1,)])
    assert caught.value.where == "subgraphs[2].operators[0]"


def body_of(count: int, *read: int) -> Graph:
    """The sum of the first and the last one of those of `count` inputs that it reads."""
    b = GraphBuilder("body")
    ins = [b.input(F32, [3]) for _ in range(count)]
    return b.graph([b.add("ADD", [ins[read[0]], ins[read[-1]]])])


def calling(operator: str, operands: Sequence[int], body: Graph, **attributes: Any) -> Model:
    """A node on (a boolean where it chooses, then two vectors), whose subgraphs are all `body`."""
    b = GraphBuilder("main")
    chosen = [b.input(BOOL)] if operator == "IF" else []
    x = [b.input(F32, [3]) for _ in range(2)]
    ins = [*chosen, *(ABSENT if i == ABSENT else x[i] for i in operands)]
    (y,) = b.op(operator, ins, [b.tensor(F32, [3])], custom=False, **attributes)
    return model(b.graph([y]), body)


BODY = {"IF": {"then_subgraph_index": 1, "else_subgraph_index": 1},
        "STABLEHLO_COMPOSITE": {"decomposition_subgraph_index": 1}}  # fmt: skip


@pytest.mark.reference
@pytest.mark.parametrize("operator", BODY)
@pytest.mark.parametrize(
    ("operands", "read", "expected"),
    [((0, ABSENT), (0,), [2, 4, 6]), ((ABSENT, 1), (1,), [20, 40, 60]), ((0, ABSENT, 1), (0, 2), [11, 22, 33])],
)
def test_absent_operands_keep_their_places(
    operator: str, operands: Sequence[int], read: Sequence[int], expected: list[int]
) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai_edge_litert is not installed")
    content = calling(operator, operands, body_of(len(operands), *read), **BODY[operator])
    values = [np.array(True)] * (operator == "IF") + [np.float32([1, 2, 3]), np.float32([10, 20, 30])]
    theirs = litert.Interpreter(
        model_content=write_model(content), experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF
    )
    theirs.allocate_tensors()
    for detail, value in zip(theirs.get_input_details(), values, strict=True):
        theirs.set_tensor(detail["index"], value)
    theirs.invoke()
    assert theirs.get_tensor(theirs.get_output_details()[0]["index"]).tolist() == expected
    assert call(engine_of(content), *values)[0].tolist() == expected


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (body_of(2, 0, 1), "gives nothing as input 1 of subgraph 1, which reads it"),
        (body_of(1, 0), "gives 2 values to subgraph 1 of 1 inputs"),
    ],
)
def test_a_body_must_not_read_what_is_absent(body: Graph, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        call(engine_of(calling("CALL", (0, ABSENT), body, subgraph=1)), *[np.zeros(3, np.float32)] * 2)


def test_a_loop_needs_all_its_values() -> None:
    content = calling("WHILE", (0, ABSENT), body_of(2, 0), cond_subgraph_index=1, body_subgraph_index=1)
    with pytest.raises(GraphError, match="WHILE needs operand `operand 1`, which is absent"):
        call(engine_of(content), *[np.zeros(3, np.float32)] * 2)


@pytest.mark.parametrize(
    "name", ["odml.rms_norm", "odml.group_norm", "odml.update_kv_cache", "odml.scaled_dot_product_attention"]
)
def test_a_composite_is_its_decomposition_whatever_its_name(name: str) -> None:
    options = write_flexbuffer({"epsilon": 1e-6, "num_groups": 1})
    content = calling("STABLEHLO_COMPOSITE", (0, 1), body_of(2, 0, 1), decomposition_subgraph_index=1,
                      composite_attributes=list(options), version=3)  # fmt: skip
    content = replace(content, graphs=(_named(content.graphs[0], name), content.graphs[1]))
    loaded = load_model(write_model(content))
    assert loaded.graphs[0].nodes[0].attributes["name"] == name
    assert call(engine_of(loaded), np.float32([1, 2, 3]), np.float32([4, 5, 6]))[0].tolist() == [5, 7, 9]


def _named(graph: Graph, name: str) -> Graph:
    (node,) = graph.nodes
    return replace(graph, nodes=(replace(node, attributes={**node.attributes, "name": name}),))

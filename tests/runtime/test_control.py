"""Control flow and state: loops, branches, initialisers, variables, tables."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from tests.build import BOOL, F32, I32, I64, RESOURCE, STRING, GraphBuilder, model
from tflite_cupy.delegates.cpu import CpuDelegate
from tflite_cupy.interpreter.errors import GraphError, KernelError, LimitError
from tflite_cupy.interpreter.graph import Graph, Model
from tflite_cupy.interpreter.runtime.delegate import HOST
from tflite_cupy.interpreter.runtime.engine import Engine
from tflite_cupy.interpreter.runtime.plan import Value


def engine_of(whole: Model) -> Engine:
    return Engine(whole, [CpuDelegate()])


def call(engine: Engine, *inputs: Any, graph: int = 0) -> list[Any]:
    target = engine.model.graphs[graph]
    arrays = [np.asarray(x) for x in inputs]
    results = engine.call(
        engine.plan(target, [a.shape for a in arrays]), [Value(HOST, a) for a in arrays], target.outputs
    )
    return [r.array for r in results]


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


def test_variables_last_and_are_isolated() -> None:
    first, second = engine_of(counter()), engine_of(counter())
    assert call(first, np.float32([1, 1]))[0].tolist() == [11.0, 21.0]
    assert call(first, np.float32([1, 1]))[0].tolist() == [12.0, 22.0]
    assert call(second, np.float32([1, 1]))[0].tolist() == [11.0, 21.0]


def test_initialiser_runs_once_among_threads() -> None:
    engine = engine_of(counter())
    plan = engine.plan(engine.model.graphs[0], [(2,)])
    runs: list[int] = []
    engine.observer = lambda graph, node, delegate: runs.append(graph)
    barrier = threading.Barrier(16)

    def work() -> None:
        barrier.wait()
        engine.call(plan, [Value(HOST, np.float32([1, 1]))], engine.model.graphs[0].outputs)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert runs.count(1) == 2  # the two nodes of the initialiser


def test_assigned_values_are_copies() -> None:
    b = GraphBuilder()
    x = b.input(F32, [1])
    (handle,) = b.op("VAR_HANDLE", [], [b.tensor(RESOURCE)], shared_name="v")
    b.op("ASSIGN_VARIABLE", [handle, x], [])
    g = GraphBuilder("get")
    (own,) = g.op("VAR_HANDLE", [], [g.tensor(RESOURCE)], shared_name="v")
    (value,) = g.op("READ_VARIABLE", [own], [g.tensor(F32, [1])])
    engine = engine_of(model(b.graph([]), g.graph([value])))
    given = np.float32([3])
    call(engine, given)
    given[0] = 99
    assert call(engine, graph=1)[0].tolist() == [3.0]


def test_reading_before_assigning_names_the_node() -> None:
    b = GraphBuilder()
    (handle,) = b.op("VAR_HANDLE", [], [b.tensor(RESOURCE)], shared_name="v")
    (value,) = b.op("READ_VARIABLE", [handle], [b.tensor(F32, [1])])
    with pytest.raises(KernelError, match=r"variable 'v' is read before it is assigned.*READ_VARIABLE#1") as caught:
        call(engine_of(model(b.graph([value]))))
    assert caught.value.where == "subgraphs[0].operators[1]"


def test_string_table() -> None:
    b = GraphBuilder("find")
    keys = b.input(STRING, [None])
    b.op("CALL_ONCE", [], [], init_subgraph_index=1)
    attributes = {"table_id": 7, "key_dtype": int(STRING), "value_dtype": int(I64)}
    (table,) = b.op("HASHTABLE", [], [b.tensor(RESOURCE)], **attributes)
    (found,) = b.op("HASHTABLE_FIND", [table, keys, b.constant(np.int64(-1))], [b.tensor(I64, [None])])
    (size,) = b.op("HASHTABLE_SIZE", [table], [b.tensor(I64, [1])])
    i = GraphBuilder("init")
    (own,) = i.op("HASHTABLE", [], [i.tensor(RESOURCE)], **attributes)
    i.op("HASHTABLE_IMPORT", [own, i.constant(np.array([b"a", b"b"], object)), i.constant(np.int64([5, 6]))], [])
    engine = engine_of(model(b.graph([found, size]), i.graph([])))
    found_ids, n = call(engine, np.array([b"b", b"?", b"a"], object))
    assert found_ids.tolist() == [6, -1, 5]
    assert n.tolist() == [2]


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


def test_variable_tensors_start_at_zero_and_reset() -> None:
    from tflite_cupy.interpreter.graph import TensorSpec
    from tflite_cupy.interpreter.runtime.state import State

    state = State()
    variable = state.variable_tensor(0, 3, TensorSpec(F32, (2, 2)))
    assert variable.read().tolist() == [[0, 0], [0, 0]]
    variable.assign(np.ones((2, 2), np.float32))
    assert state.variable_tensor(0, 3, TensorSpec(F32, (2, 2))).read().sum() == 4
    state.reset_variable_tensors()
    assert variable.read().sum() == 0

"""What an interpreter remembers between calls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import F32, RESOURCE, GraphBuilder, model
from tests.engines import call, engine_of
from tests.models import counter
from tests.threads import side_by_side
from tflite_cupy.interpreter.graph import Model, Node, Tensor, TensorSpec
from tflite_cupy.interpreter.runtime.delegate import HOST
from tflite_cupy.interpreter.runtime.plan import Value
from tflite_cupy.interpreter.runtime.state import State


def test_initialiser_runs_once_among_threads() -> None:
    engine = engine_of(counter())
    plan = engine.plan(engine.model.graphs[0], [(2,)])
    runs: list[int] = []
    engine.observer = lambda graph, node, delegate: runs.append(graph)

    def work(number: int) -> None:
        engine.call(plan, [Value(HOST, np.float32([1, 1]))], engine.model.graphs[0].outputs)

    side_by_side(16, work)
    assert runs.count(1) == 2  # the two nodes of the initialiser


def test_variable_tensors_start_at_zero_and_reset() -> None:
    state = State()
    variable = state.variable_tensor(0, 3, TensorSpec(F32, (2, 2)))
    assert variable.read().tolist() == [[0, 0], [0, 0]]
    variable.assign(np.ones((2, 2), np.float32))
    assert state.variable_tensor(0, 3, TensorSpec(F32, (2, 2))).read().sum() == 4
    state.reset_variable_tensors()
    assert variable.read().sum() == 0


def running_sum(batch: int | None) -> Model:
    """h += x, by a recurrent layer of one step; h is a variable tensor."""
    b = GraphBuilder()
    x, one = b.input(F32, [batch, 2]), b.constant(np.eye(2, dtype=np.float32))
    h = b.variable(F32, [batch, 2])
    bias = b.constant(np.zeros(2, np.float32))
    return model(b.graph([b.add("RNN", [x, one, one, bias, h], [batch, 2])]))


def test_a_state_of_unknown_batch_has_the_input_s() -> None:
    engine = engine_of(running_sum(None))
    ones = np.ones((3, 2), np.float32)
    assert [call(engine, ones)[0].sum() for _ in range(3)] == [6.0, 12.0, 18.0]
    assert call(engine, ones[:1])[0].tolist() == [[1.0, 1.0]]


def test_values_of_variable_tensors() -> None:
    """Nodes and callers that read a state get its value as the layer before them left it."""
    content = running_sum(1)
    graph = content.graphs[0]
    state = next(i for i, tensor in enumerate(graph.tensors) if tensor.is_variable)
    total = Tensor("sum", F32, (1, 2))
    added = Node(1, "ADD", (graph.outputs[0], state), (len(graph.tensors),))
    graph = replace(
        graph,
        tensors=(*graph.tensors, total),
        nodes=(*graph.nodes, added),
        outputs=(*graph.outputs, len(graph.tensors), state),
    )
    engine = engine_of(model(graph))
    for n in (1.0, 2.0):
        h, twice, value = call(engine, np.ones((1, 2), np.float32))
        assert [h.tolist(), twice.tolist(), value.tolist()] == [[[n] * 2], [[2 * n] * 2], [[n] * 2]]


def test_signatures_share_variables_and_interpreters_do_not() -> None:
    content = lite.write_model(two_signatures())
    first, second = (lite.Interpreter(model_content=content, device="cpu") for _ in range(2))
    first.get_signature_runner("set")(x=np.float32([1, 2]))
    first.allocate_tensors()
    first.set_tensor(0, np.float32([5, 6]))
    assert first.get_signature_runner("get")()["v"].tolist() == [1.0, 2.0]
    first.invoke()
    first.reset_all_variables()
    assert first.get_signature_runner("get")()["v"].tolist() == [5.0, 6.0]
    with pytest.raises(lite.KernelError, match="'v' is read before it is assigned"):
        second.get_signature_runner("get")()


def two_signatures() -> Model:
    """set(x): v = x; get() -> v. `set` is the primary subgraph too."""
    b, g = GraphBuilder("set"), GraphBuilder("get")
    x = b.input(F32, [2], "x")
    b.op("ASSIGN_VARIABLE", [*b.op("VAR_HANDLE", [], [b.tensor(RESOURCE)], shared_name="v"), x], [])
    (value,) = g.op(
        "READ_VARIABLE", g.op("VAR_HANDLE", [], [g.tensor(RESOURCE)], shared_name="v"), [g.tensor(F32, [2])]
    )
    return model(b.graph([]), g.graph([value]), signatures={"set": (0, {"x": x}, {}), "get": (1, {}, {"v": value})})

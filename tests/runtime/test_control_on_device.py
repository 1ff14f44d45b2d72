"""Control flow and variables on a device: values stay there between turns, branches, partitions and calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import BOOL, F32, I32, RESOURCE, GraphBuilder, model
from tests.fakes import FakeGpuDelegate
from tests.models import counter
from tflite_cupy.interpreter.graph import Graph, Model


def on_device(content: Model, **options: Any) -> tuple[lite.Interpreter, Any]:
    """An interpreter on the fake device, and its memory, which counts copies."""
    interpreter = lite.Interpreter(
        model_content=lite.write_model(content), device="cpu", delegates=[FakeGpuDelegate()], **options
    )
    (space,) = interpreter._engine.device_spaces
    return interpreter, space


def copies(space: Any, call: Any) -> tuple[dict[str, Any], int, int]:
    """What a call gives, and the copies to and from the device that it took."""
    puts, gets = space.puts, space.gets
    return call(), space.puts - puts, space.gets - gets


def step_loop() -> Model:
    """s(n, x, w): x = x * w + 1, n times; w is the same in every turn."""
    b = GraphBuilder("main")
    n, x, w = b.input(I32, [], "n"), b.input(F32, [None], "x"), b.input(F32, [None], "w")
    kinds: list[tuple[Any, list[int | None]]] = [(I32, []), (I32, []), (F32, [None]), (F32, [None])]
    outs = [b.tensor(kind, shape) for kind, shape in kinds]
    b.op("WHILE", [b.constant(np.int32(0)), n, x, w], outs, cond_subgraph_index=1, body_subgraph_index=2)
    c = GraphBuilder("cond")
    first = [c.input(kind, shape) for kind, shape in kinds]
    (less,) = c.op("LESS", first[:2], [c.tensor(BOOL)])
    d = GraphBuilder("body")
    i, m, y, v = (d.input(kind, shape) for kind, shape in kinds)
    j = d.add("ADD", [i, d.constant(np.int32(1))])
    z = d.add("ADD", [d.add("MUL", [y, v]), d.constant(np.float32([1]))])
    signatures = {"s": (0, {"n": n, "x": x, "w": w}, {"y": outs[2]})}
    return model(b.graph(outs), c.graph([less]), d.graph([j, m, z, v]), signatures=signatures)


def test_loop_values_stay_on_the_device() -> None:
    interpreter, space = on_device(step_loop())
    run = interpreter.get_signature_runner("s")
    x, w = np.float32([1, 2]), np.float32([2, 3])
    run(n=1, x=x, w=w)
    _, puts_of_few, gets_of_few = copies(space, lambda: run(n=2, x=x, w=w))
    out, puts, gets = copies(space, lambda: run(n=12, x=x, w=w))
    assert puts == puts_of_few
    assert gets == gets_of_few + 10  # the condition of each further turn
    expected = x
    for _ in range(12):
        expected = expected * w + 1
    assert out["y"].tolist() == expected.tolist()


def test_nothing_moves_when_the_caller_s_arrays_are_on_the_device() -> None:
    interpreter, space = on_device(step_loop())
    run = interpreter.get_signature_runner("s")
    given = {name: space.put(np.asarray(v)) for name, v in {"n": np.int32(3), "x": f32(1), "w": f32(1)}.items()}
    run(**given)
    out, _, gets = copies(space, lambda: run(**given))
    assert gets == 4
    assert space.get([out["y"]])[0].tolist() == [4.0]


def f32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def branch(name: str) -> Graph:
    b = GraphBuilder(name)
    return b.graph([b.add(name, [b.input(F32, [None])])])


def chosen(size: int = 2048) -> Model:
    """s(c, x): 1 + (exp(x + 1) if c else -(x + 1))"""
    b = GraphBuilder("main")
    c, x = b.input(BOOL, [], "c"), b.input(F32, [size], "x")
    ones = b.constant(np.ones(size, np.float32))
    (y,) = b.op("IF", [c, b.add("ADD", [x, ones])], [b.tensor(F32, [size])], then_subgraph_index=1,
                else_subgraph_index=2)  # fmt: skip
    z = b.add("ADD", [y, ones])
    return model(b.graph([z]), branch("EXP"), branch("NEG"), signatures={"s": (0, {"c": c, "x": x}, {"z": z})})


def test_results_of_a_branch_stay_on_the_device() -> None:
    interpreter, space = on_device(chosen())
    run, x = interpreter.get_signature_runner("s"), np.zeros(2048, np.float32)
    run(c=False, x=x)
    out, puts, gets = copies(space, lambda: run(c=False, x=x))
    assert (puts, gets) == (1, 1)  # x, and the result; the condition is on the host
    assert set(out["z"].tolist()) == {0.0}


def accumulator() -> Model:
    """add(x) -> v += x; get() -> v * 1; start: v = 0 of two elements. Variables and arithmetic only."""

    def handle(b: GraphBuilder) -> int:
        return b.op("VAR_HANDLE", [], [b.tensor(RESOURCE)], shared_name="v")[0]

    b = GraphBuilder("add")
    x = b.input(F32, [2], "x")
    (old,) = b.op("READ_VARIABLE", [handle(b)], [b.tensor(F32, [2])])
    new = b.add("ADD", [old, x])
    b.op("ASSIGN_VARIABLE", [handle(b), new], [])
    g = GraphBuilder("get")
    (value,) = g.op("READ_VARIABLE", [handle(g)], [g.tensor(F32, [2])])
    one = g.constant(f32(1))
    s = GraphBuilder("start")
    z = s.input(F32, [2], "z")
    s.op("ASSIGN_VARIABLE", [handle(s), z], [])
    signatures: dict[str, Any] = {
        "add": (0, {"x": x}, {"v": new}),
        "get": (1, {}, {"raw": value, "v": (product := g.add("MUL", [value, one]))}),
        "start": (2, {"z": z}, {}),
    }
    return model(b.graph([new]), g.graph([value, product]), s.graph([]), signatures=signatures)


def test_variables_stay_on_the_device() -> None:
    interpreter, space = on_device(accumulator())
    add, get, start = (interpreter.get_signature_runner(key) for key in ("add", "get", "start"))
    x = space.put(f32(1, 2))
    start(z=space.put(f32(0, 0)))
    for _ in range(3):
        add(x=x)
    out, puts, gets = copies(space, lambda: add(x=x))
    assert (puts, gets) == (0, 0)
    assert space.get([out["v"]])[0].tolist() == [4.0, 8.0]
    assert get()["v"].tolist() == [4.0, 8.0]


def test_values_of_variables_belong_to_the_interpreter() -> None:
    """What a call hands out on the device is a copy, whatever the caller does with it."""
    interpreter, space = on_device(accumulator())
    start, add = interpreter.get_signature_runner("start"), interpreter.get_signature_runner("add")
    given = space.put(f32(3, 4))
    start(z=given)
    given[:] = 9
    out = add(x=space.put(f32(0, 0)))
    out["v"][:] = 7
    assert interpreter.get_signature_runner("get")()["raw"].tolist() == [3.0, 4.0]


def test_a_variable_is_copied_once_to_where_it_is_read() -> None:
    """The initialiser assigns on the host or the device; each call reads what is there."""
    interpreter, space = on_device(with_signature(counter()))
    run = interpreter.get_signature_runner("s")
    assert run(x=f32(1, 1))["v"].tolist() == [11.0, 21.0]
    out, puts, gets = copies(space, lambda: run(x=f32(1, 1)))
    assert (puts, gets) == (1, 1)  # x and the sum
    assert out["v"].tolist() == [12.0, 22.0]


def with_signature(content: Model) -> Model:
    graph = content.graphs[0]
    return model(*content.graphs, signatures={"s": (0, {"x": graph.inputs[0]}, {"v": graph.outputs[0]})})


@pytest.mark.parametrize("content", [step_loop(), chosen(), accumulator()], ids=["loop", "branch", "variables"])
def test_the_device_can_be_required(content: Model) -> None:
    """Control flow and handles of variables are bookkeeping of the host."""
    interpreter, _ = on_device(content, require="gpu")
    assert interpreter.delegation_report().totals()["gpu"].nodes >= 3


def test_nodes_that_miss_the_required_device_are_named() -> None:
    b = GraphBuilder("main")
    c, x = b.input(BOOL, []), b.input(F32, [2])
    (y,) = b.op("IF", [c, x], [b.tensor(F32, [2])], then_subgraph_index=1, else_subgraph_index=2)
    content = model(b.graph([y]), stateful(), stateful())
    with pytest.raises(lite.DelegationError, match="2 nodes do not run") as caught:
        on_device(content, require="gpu")
    for place in ("subgraphs[1].operators[0]", "subgraphs[2].operators[0]"):
        assert place in str(caught.value)
    assert str(caught.value).count("RNN#0 runs on cpu, not on gpu (gpu: operator RNN runs on the host") == 2


def stateful() -> Graph:
    """A recurrent layer, whose state is on the host."""
    b = GraphBuilder("rnn")
    x, square = b.input(F32, [1, 2]), b.constant(np.ones((2, 2), np.float32))
    bias, state = b.constant(np.zeros(2, np.float32)), b.variable(F32, [1, 2])
    return b.graph([b.add("RNN", [x, square, square, bias, state], [1, 2])])

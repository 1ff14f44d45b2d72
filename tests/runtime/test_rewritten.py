"""Tensors with several values in a call: written more than once, in place, over an input, or as a variable's next one.

Files may hold such graphs and the reference runs them; each read gives what was written last before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import F32, GraphBuilder, model
from tests.fakes import FakeGpuDelegate
from tflite_cupy.interpreter.errors import KernelError
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.graph import Graph

X = np.float32([1, 2, 3])


def in_place() -> Graph:
    b = GraphBuilder()
    x = b.input(F32, [3])
    y = b.add("RELU", [x])
    b.op("NEG", [y], [y])
    return b.graph([y])


def input_in_place() -> Graph:
    b = GraphBuilder()
    x = b.input(F32, [3])
    b.op("NEG", [x], [x])
    y = b.add("ABS", [x])
    b.op("NEG", [x], [x])
    return b.graph([x, y])


def over_another_input() -> Graph:
    b = GraphBuilder()
    x, y = b.input(F32, [3]), b.input(F32, [3])
    z = b.add("SUB", [x, y])
    b.op("NEG", [x], [y])
    return b.graph([y, z, b.add("ABS", [y])])


def reused() -> Graph:
    """A tensor with three values of different sizes, each read before the next one comes."""
    b = GraphBuilder()
    x = b.input(F32, [3])
    t = b.add("NEG", [x])
    first = b.add("ABS", [t])
    b.op("CONCATENATION", [x, x], [t], axis=0)
    second = b.add("RELU", [t], [6])
    b.op("NEG", [first], [t])
    return b.graph([first, second, t])


def given_twice() -> Graph:
    b = GraphBuilder()
    x = b.input(F32, [3])
    return replace(b.graph([b.add("NEG", [x])]), inputs=(x, x))


def variable_written_late() -> Graph:
    b = GraphBuilder()
    x, v = b.input(F32, [3]), b.variable(F32, [3])
    y = b.add("ADD", [v, x])
    b.op("NEG", [y], [v])
    return b.graph([y, v])


def variable_written_early() -> Graph:
    b = GraphBuilder()
    x, v = b.input(F32, [3]), b.variable(F32, [3])
    before = b.add("ABS", [v])
    b.op("NEG", [x], [v])
    return b.graph([before, b.add("SUB", [v, x])])


def variable_in_place() -> Graph:
    b = GraphBuilder()
    x, v = b.input(F32, [3]), b.variable(F32, [3])
    b.op("SUB", [v, x], [w := b.add("NEG", [v])])
    b.op("RELU", [w], [v])
    b.op("NEG", [v], [v])
    return b.graph([v, w, b.add("ABS", [v])])


def variable_set_to_a_constant() -> Graph:
    b = GraphBuilder()
    x, v = b.input(F32, [3]), b.variable(F32, [3])
    y = b.add("SUB", [x, v])
    b.op("NEG", [b.constant(X)], [v])
    return b.graph([y])


GRAPHS = [in_place, input_in_place, over_another_input, reused, given_twice, variable_written_late,
          variable_written_early, variable_in_place, variable_set_to_a_constant]  # fmt: skip
CALLS = 3


def results(interpreter: Any, values: Sequence[np.ndarray]) -> list[list[Any]]:
    """Outputs of several calls, in which the inputs grow."""
    interpreter.allocate_tensors()
    made = []
    for turn in range(CALLS):
        for detail, value in zip(interpreter.get_input_details(), values, strict=True):
            interpreter.set_tensor(detail["index"], value + turn)
        interpreter.invoke()
        made.append([interpreter.get_tensor(d["index"]).tolist() for d in interpreter.get_output_details()])
    return made


@pytest.mark.reference
@pytest.mark.parametrize("devices", [0, 1])
@pytest.mark.parametrize("make", GRAPHS)
def test_reads_give_what_was_written_last(make: Callable[[], Graph], devices: int) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai_edge_litert is not installed")
    graph = make()
    content = lite.write_model(model(graph))
    values = [X * (10**i) for i in range(len(graph.inputs))]
    theirs = litert.Interpreter(
        model_content=content, experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    expected = results(theirs, values)
    options = {"delegates": [FakeGpuDelegate() for _ in range(devices)], "device": "cpu"}
    for keep_all in (False, True):
        ours = lite.Interpreter(model_content=content, experimental_preserve_all_tensors=keep_all, **options)
        assert results(ours, values) == expected


class Alternating(FakeGpuDelegate):
    """Takes NEG alone, so that partitions of two kinds take turns."""

    def refuses(self, bound: Any) -> Any:
        return None if bound.node.name == "NEG" else "only NEG is delegated."


@pytest.mark.parametrize("make", [reused, variable_written_late, variable_in_place])
def test_partitions_keep_the_order_of_values(make: Callable[[], Graph]) -> None:
    content = lite.write_model(model(make()))
    alone = lite.Interpreter(model_content=content, device="cpu")
    mixed = lite.Interpreter(model_content=content, device="cpu", delegates=[Alternating()])
    assert results(mixed, [X]) == results(alone, [X])


def test_signatures_give_last_values() -> None:
    graph = input_in_place()
    x, y = graph.outputs
    content = lite.write_model(model(graph, signatures={"s": (0, {"x": x}, {"x": x, "y": y})}))
    run = lite.Interpreter(model_content=content, device="cpu").get_signature_runner("s")
    out = run(x=-X)
    assert [out["x"].tolist(), out["y"].tolist()] == [(-X).tolist(), X.tolist()]


def test_loaded_graphs_write_each_tensor_once() -> None:
    graph = load_model(lite.write_model(model(reused()))).graphs[0]
    written = [i for node in graph.nodes for i in node.outputs]
    assert len(set(written)) == len(written) == 5
    assert graph.outputs == reused().outputs  # the last value keeps the index
    assert [graph.tensors[i].name for i in written].count("t1") == 3


def test_a_body_may_list_an_input_twice() -> None:
    b = GraphBuilder()
    x, y = b.input(F32, [3]), b.input(F32, [3])
    (z,) = b.op("STABLEHLO_COMPOSITE", [x, y], [b.tensor(F32, [3])], custom=False, decomposition_subgraph_index=1)
    content = lite.write_model(model(b.graph([z]), given_twice()))
    for delegates in ([], [FakeGpuDelegate()]):
        ours = lite.Interpreter(model_content=content, device="cpu", delegates=delegates)
        assert results(ours, [X, X * 5])[0] == [(X * -5).tolist()]


def test_a_variable_keeps_its_shape() -> None:
    b = GraphBuilder()
    x, v = b.input(F32, [3]), b.variable(F32, [3])
    b.op("CONCATENATION", [v, x], [v], axis=0)
    interpreter = lite.Interpreter(model_content=lite.write_model(model(b.graph([v]))), device="cpu")
    with pytest.raises(KernelError, match=r"a variable of shape \[3\] got a value of shape \[6\]"):
        results(interpreter, [X])

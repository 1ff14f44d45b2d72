"""Partitions on array modules: order, results, errors, and what is kept between compiles. No GPU is needed."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from tests.build import F32, I32, RESOURCE, STRING, GraphBuilder, model
from tests.delegates.partitions import bound, f32, flex_options, i32, kind, node_def, run, strings, whole
from tests.engines import call, engine_of
from tests.fakes import FakeArray, FakeGpuDelegate
from tflite_cupy.delegates.arrays import ArrayDelegate, Kernel
from tflite_cupy.delegates.cpu import CpuDelegate
from tflite_cupy.interpreter.errors import InputError, KernelError, LimitError, StateError
from tflite_cupy.interpreter.graph import Graph
from tflite_cupy.interpreter.ops.base import Op
from tflite_cupy.interpreter.runtime.delegate import HOST, BoundNode, Executable
from tflite_cupy.interpreter.runtime.lane import Lane
from tflite_cupy.interpreter.runtime.state import State

W = f32([[1, 2], [3, 4]])


def chain() -> Graph:
    """x float32 [2, 2] -> tanh((x + W) * W), and the sum before it."""
    b = GraphBuilder()
    x, w = b.input(F32, [2, 2]), b.constant(W)
    total = b.add("ADD", [x, w])
    return b.graph([b.add("TANH", [b.add("MUL", [total, w])]), total])


class Scripted(ArrayDelegate):
    """Kernels from a script, by operator name, in place of the operators' bodies."""

    def __init__(self, **kernels: Kernel) -> None:
        super().__init__("script", "ScriptedDelegate", np, HOST)
        self.kernels, self.prepared = kernels, 0

    def prepare(self, op: Op, constants: Mapping[int, np.ndarray]) -> Kernel:
        self.prepared += 1
        return self.kernels.get(op.name) or super().prepare(op, constants)


def fake_run(delegate: FakeGpuDelegate, program: Executable, *inputs: np.ndarray) -> list[np.ndarray]:
    return delegate.space.get(program(Lane(State()), [delegate.space.put(i) for i in inputs]))


def test_results_in_the_order_of_the_outputs() -> None:
    x = f32([[0, 1], [-1, 2]])
    result, total = run(CpuDelegate(), chain(), x)
    np.testing.assert_array_equal(total, x + W)
    np.testing.assert_allclose(result, np.tanh((x + W) * W), rtol=1e-6)


def test_a_partition_stays_on_the_device() -> None:
    delegate, x = FakeGpuDelegate(), f32([[0, 1], [-1, 2]])
    before = FakeArray.gets
    result, total = fake_run(delegate, delegate.compile(whole(chain())), x)
    np.testing.assert_array_equal(total, x + W)
    np.testing.assert_allclose(result, np.tanh((x + W) * W), rtol=1e-6)
    assert FakeArray.gets == before
    assert (delegate.space.gets, delegate.space.waits) == (2, 1)


def test_constants_are_uploaded_once_for_as_long_as_their_graph_lives() -> None:
    delegate, graph = FakeGpuDelegate(), chain()
    for _ in range(3):
        delegate.compile(whole(graph))
    assert delegate.space.puts == 1
    part = whole(graph)
    folded = {tensor: value + 1 for tensor, value in part.constants.items()}
    program = delegate.compile(replace(part, constants=folded))
    assert delegate.space.puts == 2
    np.testing.assert_array_equal(fake_run(delegate, program, np.zeros((2, 2), np.float32))[1], W + 1)
    alive = weakref.ref(graph)
    del graph, part, program
    gc.collect()
    assert alive() is None
    assert not delegate._uploaded
    assert not delegate._prepared


def test_kernels_are_prepared_once_while_their_constants_stay() -> None:
    delegate, graph = Scripted(), chain()
    for _ in range(3):
        delegate.compile(whole(graph))
    assert delegate.prepared == 3  # nodes
    part = whole(graph)
    delegate.compile(replace(part, constants={t: v.copy() for t, v in part.constants.items()}))
    assert delegate.prepared == 5  # ADD and MUL read a constant


def test_a_value_found_by_the_plan_is_known_to_the_op() -> None:
    b = GraphBuilder()
    x, axis = b.input(F32, [2, 3]), b.input(I32, [1])
    graph = b.graph([b.add("SUM", [x, axis], [None])])
    delegate = FakeGpuDelegate()
    part = whole(graph)
    for axes, want in ((i32([0]), [3, 5, 7]), (i32([1]), [3, 12])):
        program = delegate.compile(replace(part, inputs=(x,), constants={axis: axes}))
        before = FakeArray.gets
        (result,) = fake_run(delegate, program, np.arange(6, dtype=np.float32).reshape(2, 3))
        assert result.tolist() == want
        assert FakeArray.gets == before


def test_what_nobody_reads_any_more_is_released() -> None:
    made: list[weakref.ref[np.ndarray]] = []
    alive: list[int] = []

    def step(*operands: Any) -> np.ndarray:
        alive.append(sum(ref() is not None for ref in made))
        result: np.ndarray = operands[0] + 1
        made.append(weakref.ref(result))
        return result

    b = GraphBuilder()
    value = b.input(F32, [4])
    for _ in range(4):
        value = b.add("TANH", [value])
    (result,) = run(Scripted(TANH=step), b.graph([value]), np.zeros(4, np.float32))
    assert result.tolist() == [4] * 4
    assert max(alive) == 1


def test_inputs_stay_with_the_caller() -> None:
    x = np.ones((2, 2), np.float32)
    x.flags.writeable = False
    inputs = [x]
    CpuDelegate().compile(whole(chain()))(Lane(State()), inputs)
    assert inputs[0] is x
    assert x.tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize("result", [np.float32(3), 3.0, np.float64(3), np.asarray(3.0)])
def test_results_become_arrays_of_the_declared_dtype(result: Any) -> None:
    b = GraphBuilder()
    graph = b.graph([b.add("TANH", [b.input(F32, [])])])
    (out,) = run(Scripted(TANH=lambda x: result), graph, np.float32(0).reshape(()))
    assert type(out) is np.ndarray
    assert out.dtype == np.float32
    assert out.shape == ()


def test_absent_operands_are_none() -> None:
    b = GraphBuilder()
    x = b.input(F32, [1, 2])
    b.op("FULLY_CONNECTED", [x, b.constant(W), -1], [b.tensor(F32, [1, 2])])
    kernel = Scripted(FULLY_CONNECTED=lambda x, weights, bias: x * 2 if bias is None else x)
    (result,) = run(kernel, b.graph([2]), f32([[1, 2]]))
    assert result.tolist() == [[2, 4]]


def test_ops_with_state_get_the_state_of_their_call() -> None:
    b = GraphBuilder()
    x = b.input(F32, [2])
    (handle,) = b.op("VAR_HANDLE", [], [b.tensor(RESOURCE)], container="", shared_name="v")
    b.op("ASSIGN_VARIABLE", [handle, x], [])
    (value,) = b.op("READ_VARIABLE", [handle], [b.tensor(F32, [2])])
    first, second = State(), State()
    (result,) = run(CpuDelegate(), b.graph([value]), f32([1, 2]), state=first)
    assert result.tolist() == [1, 2]
    assert first.variable("", "v").read().tolist() == [1, 2]
    with pytest.raises(KernelError, match="before it is assigned"):
        second.variable("", "v").read()


def raising(error: Exception) -> Callable[..., Any]:
    def kernel(*operands: Any) -> Any:
        raise error

    return kernel


@pytest.mark.parametrize(
    ("error", "becomes", "says"),
    [
        (ValueError("bad shapes"), KernelError, r"MUL#1.*bad shapes"),
        (TypeError("no dtype"), KernelError, r"MUL#1.*no dtype"),
        (IndexError("out of bounds"), KernelError, r"MUL#1.*out of bounds"),
        (ZeroDivisionError("by zero"), KernelError, r"MUL#1.*by zero"),
        (KernelError("gather index out of bounds", hint="Look."), KernelError, r"^gather index.*\(in MUL#1\).*Look\.$"),
        (StateError("too early"), StateError, r"^too early.*MUL#1"),
        (MemoryError("8 GiB"), LimitError, r"MUL#1.*memory.*8 GiB"),
    ],
)
def test_errors_name_the_node(error: Exception, becomes: type[Exception], says: str) -> None:
    with pytest.raises(becomes, match=says) as caught:
        run(Scripted(MUL=raising(error)), chain(), W)
    assert caught.value.where == "subgraphs[0].operators[1]"  # type: ignore[attr-defined]
    assert caught.value.__cause__ is error


def test_an_error_that_knows_its_place_stays_as_it_is() -> None:
    error = KernelError("inner", where="subgraphs[4].operators[2]")
    with pytest.raises(KernelError) as caught:
        run(Scripted(MUL=raising(error)), chain(), W)
    assert caught.value is error


@pytest.mark.parametrize("results", [(), (W, W)])
def test_a_kernel_with_too_many_or_too_few_results(results: tuple[Any, ...]) -> None:
    with pytest.raises(KernelError, match="MUL#1"):
        run(Scripted(MUL=lambda *operands: results), chain(), W)


def test_defects_are_not_hidden() -> None:
    with pytest.raises(AssertionError, match="host code touched"):
        run(Scripted(MUL=raising(AssertionError("host code touched"))), chain(), W)


def test_the_observer_hears_of_each_node() -> None:
    heard: list[tuple[int, int, str]] = []
    CpuDelegate().compile(whole(chain()))(Lane(State(), lambda *event: heard.append(event)), [W])
    assert heard == [(0, 0, "cpu"), (0, 1, "cpu"), (0, 2, "cpu")]


def test_numpy_does_not_warn() -> None:
    b = GraphBuilder()
    x = b.input(F32, [2])
    engine = engine_of(model(b.graph([b.add("DIV", [x, x])])))
    assert np.isnan(call(engine, f32([0, 1]))[0][0])


def test_calls_may_overlap() -> None:
    program = CpuDelegate().compile(whole(chain()))

    def call(seed: int) -> bool:
        x = np.random.default_rng(seed).normal(size=(2, 2)).astype(np.float32)
        result, total = program(Lane(State()), [x])
        return np.array_equal(total, x + W) and np.allclose(result, np.tanh((x + W) * W), rtol=1e-5)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(500)))


def test_strings_stay_bytes() -> None:
    b = GraphBuilder()
    graph = b.graph([b.add("RESHAPE", [b.input(STRING, [2]), b.constant(i32([1, 2]))], [1, 2])])
    (result,) = run(CpuDelegate(), graph, strings(b"a\0", b"\xff"))
    assert result.tolist() == [[b"a\0", b"\xff"]]


def refusals(graph: Graph) -> list[str | None]:
    return [refuse(bound(graph)) for refuse in (CpuDelegate().refuses, FakeGpuDelegate().refuses)]


def test_refusals() -> None:
    b = GraphBuilder()
    x = b.input(F32, [2])
    assert refusals(b.graph([b.add("TANH", [x])])) == [None, None]

    b = GraphBuilder()
    b.op("VAR_HANDLE", [], [b.tensor(RESOURCE)], container="", shared_name="v")
    cpu, gpu = refusals(b.graph([0]))
    assert cpu is None
    assert gpu is not None
    assert "runs on the host" in gpu

    b = GraphBuilder()
    text = b.add("RESHAPE", [b.input(STRING, [2]), b.constant(i32([1, 2]))], [1, 2])
    cpu, gpu = refusals(b.graph([text]))
    assert cpu is None
    assert gpu == "operator RESHAPE has an operand of type string, which GPU arrays don't hold."

    b = GraphBuilder()
    b.op(
        "FlexErf",
        [b.input(F32, [2])],
        [b.tensor(F32, [2])],
        options=flex_options("Erf", node_def("Erf", {"T": kind(1)})),
    )
    assert refusals(b.graph([1])) == ["FlexErf is a TensorFlow operator, which only the FlexDelegate runs."] * 2


def test_threads_of_the_cpu_delegate() -> None:
    assert CpuDelegate(num_threads=2).num_threads == 2
    with pytest.raises(InputError, match="num_threads should >= 1, got 0"):
        CpuDelegate(num_threads=0)


def test_a_bound_node_is_not_needed_after_compiling() -> None:
    part = whole(chain())
    nodes: list[BoundNode] = list(part.nodes)
    program = partial(CpuDelegate().compile(part), Lane(State()))
    assert [b.node.name for b in nodes] == ["ADD", "MUL", "TANH"]
    assert len(program([W])) == 2

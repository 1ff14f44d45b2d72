"""Who runs what: grouping, order, islands, requirements."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pytest

from tests.build import BOOL, F32, I32, RESOURCE, GraphBuilder, model
from tests.engines import call, engine_of
from tflite_cupy.delegates.arrays import ArrayDelegate
from tflite_cupy.delegates.cpu import CpuDelegate
from tflite_cupy.interpreter.errors import DelegationError, PolicyError, UnsupportedError
from tflite_cupy.interpreter.graph import Graph
from tflite_cupy.interpreter.runtime.delegate import HOST, BoundNode, Delegate, Executable, Partition, Refusal
from tflite_cupy.interpreter.runtime.engine import Engine
from tflite_cupy.interpreter.runtime.partition import units
from tflite_cupy.interpreter.runtime.plan import Branch, Move, Plan, Run, Value


class CountingSpace:
    """A second memory: NumPy arrays, and a count of the copies."""

    name = "device"

    def __init__(self) -> None:
        self.puts: list[tuple[int, ...]] = []
        self.gets: list[int] = []

    def put(self, host: np.ndarray) -> np.ndarray:
        self.puts.append(host.shape)
        return host.copy()

    def get(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        self.gets.append(len(arrays))
        return [a.copy() for a in arrays]

    def owns(self, value: Any) -> bool:
        return False

    def adopt(self, value: Any) -> Any:
        raise AssertionError("owns() said no")

    def lane(self) -> AbstractContextManager[None]:
        return nullcontext()

    def mark(self) -> None:
        return None

    def follow(self, mark: None) -> None:
        return None


class Picky(ArrayDelegate):
    """Takes the operators with these names, in a memory of its own."""

    def __init__(self, *names: str) -> None:
        super().__init__("device", "PickyDelegate", np, CountingSpace())
        self._names = names

    def refuses(self, bound: BoundNode) -> str | None:
        return None if bound.node.name in self._names else f"only {', '.join(self._names)} are delegated."


def plan_of(graph: Graph, *delegates: Delegate, require: str | None = None) -> Plan:
    graph = model(graph).graphs[0]
    return Engine(model(graph), [*delegates, CpuDelegate()], require=require).plan(
        graph, [graph.tensors[i].shape for i in graph.inputs]
    )


def chain(*names: str) -> Graph:
    """x -> names[0] -> names[1] -> ... on vectors; binary operators add their input to itself."""
    b = GraphBuilder()
    x = b.input(F32, [4])
    for name in names:
        x = b.add(name, [x, x] if name in ("ADD", "MUL") else [x])
    return b.graph([x])


def layout(plan: Plan) -> list[str]:
    """The steps as words: delegate and nodes, copies, branches."""
    words = []
    for step in plan.steps:
        if isinstance(step, Run):
            words.append(f"{step.unit.choices[0].runner}:{','.join(str(b.node.index) for b in step.unit.nodes)}")
        elif isinstance(step, Move):
            words.append(f"{step.source.name}->{step.target.name}:{','.join(map(str, step.tensors))}")
        else:
            assert isinstance(step, Branch)
            words.append(f"branch:{step.unit.nodes[0].node.index}")
    return words


def test_adjacent_nodes_of_one_delegate_join() -> None:
    assert layout(plan_of(chain("ADD", "EXP", "MUL"))) == ["cpu:0,1,2"]


def test_a_tensor_is_copied_once_for_each_space() -> None:
    b = GraphBuilder()
    x = b.input(F32, [2048])
    e = b.add("EXP", [x])
    added = b.add("ADD", [e, x])
    multiplied = b.add("MUL", [e, x])
    weighted = b.add("ADD", [e, b.constant(np.ones(2048, np.float32))])
    plan = plan_of(b.graph([b.add("ADD_N", [added, multiplied, weighted])]), Picky("ADD", "MUL"))
    assert layout(plan) == ["cpu:0", "host->device:1,0", "device:1,2,3", "device->host:2,3,5", "cpu:4"]


def test_independent_chains_share_partitions() -> None:
    """Two chains that alternate in the file run as three partitions, not as six."""
    b = GraphBuilder()
    x, y = b.input(F32, [2048]), b.input(F32, [2048])
    weights = b.constant(np.ones(2048, np.float32))
    for name in ("ADD", "EXP", "ADD"):
        operands = [weights] if name == "ADD" else []
        x, y = b.add(name, [x, *operands]), b.add(name, [y, *operands])
    plan = plan_of(b.graph([x, y]), Picky("ADD"))
    assert [word for word in layout(plan) if "->" not in word] == ["device:0,1", "cpu:2,3", "device:4,5"]


def test_effects_keep_their_order() -> None:
    b = GraphBuilder()
    x = b.input(F32, [1])
    (first,) = b.op("VAR_HANDLE", [], [b.tensor(RESOURCE)], shared_name="v")
    b.op("ASSIGN_VARIABLE", [first, x], [])
    (second,) = b.op("VAR_HANDLE", [], [b.tensor(RESOURCE)], shared_name="v")
    (value,) = b.op("READ_VARIABLE", [second], [b.tensor(F32, [1])])
    graph = model(b.graph([value])).graphs[0]
    engine = Engine(model(graph), [CpuDelegate()])
    plan = engine.plan(graph, [(1,)])
    got = engine.call(plan, [Value(HOST, np.float32([5]))], graph.outputs)
    assert got[0].array.tolist() == [5.0]


def test_small_island_joins_the_host() -> None:
    plan = plan_of(chain("EXP", "ADD", "EXP"), Picky("ADD"))
    assert layout(plan) == ["cpu:0,1,2"]
    refusals = dict(plan.choices[1].refusals)
    assert "copies would cost more" in refusals["device"]


def test_island_with_weights_stays() -> None:
    b = GraphBuilder()
    x = b.add("EXP", [b.input(F32, [2048])])
    x = b.add("ADD", [x, b.constant(np.ones(2048, np.float32))])
    plan = plan_of(b.graph([b.add("EXP", [x])]), Picky("ADD"))
    assert layout(plan) == ["cpu:0", "host->device:1", "device:1", "device->host:3", "cpu:2"]


def test_lone_node_stays_on_its_delegate() -> None:
    assert layout(plan_of(chain("ADD"), Picky("ADD"))) == ["host->device:0", "device:0"]


def test_require_names_the_node() -> None:
    with pytest.raises(DelegationError, match=r"EXP#1 runs on cpu, not on device \(device: only ADD") as caught:
        plan_of(chain("ADD", "EXP"), Picky("ADD"), require="device")
    assert caught.value.where == "subgraphs[0].operators[1]"
    assert caught.value.code == "not_delegated"


def test_unknown_operator_names_itself() -> None:
    with pytest.raises(UnsupportedError, match="operator UNKNOWN_OPERATOR_999 is not supported"):
        plan_of(chain("UNKNOWN_OPERATOR_999"))


def test_unknown_custom_operator() -> None:
    with pytest.raises(UnsupportedError, match=r"^Encountered unresolved custom op: FakeOp\."):
        plan_of(chain("FakeOp"))


def test_refusal_chooses_its_error() -> None:
    class Strict(Picky):
        def refuses(self, bound: BoundNode) -> str | None:
            return Refusal("reading files is not allowed.", PolicyError)

    with pytest.raises(PolicyError, match="reading files is not allowed"):
        plan_of(chain("FakeOp"), Strict())


def test_third_party_delegate_of_few_lines() -> None:
    class Doubling:
        name, title, space = "double", "DoublingDelegate", HOST

        def refuses(self, bound: BoundNode) -> str | None:
            return None if bound.node.name == "ADD" else "only ADD is delegated."

        def compile(self, partition: Partition) -> Executable:
            def run(lane: Any, inputs: Sequence[Any]) -> list[Any]:
                (x,) = inputs
                return [x + x for _ in partition.outputs]

            return run

    graph = model(chain("ADD")).graphs[0]
    engine = Engine(model(graph), [Doubling(), CpuDelegate()])
    got = engine.call(engine.plan(graph, [(4,)]), [Value(HOST, np.arange(4, dtype=np.float32))], graph.outputs)
    assert got[0].array.tolist() == [0.0, 2.0, 4.0, 6.0]


def test_folded_and_unused_nodes_do_not_run() -> None:
    b = GraphBuilder()
    x = b.input(F32, [2])
    half = b.add("MUL", [b.constant(np.float32([1, 2])), b.constant(np.float32([0.5]))])
    b.add("EXP", [x])
    plan = plan_of(b.graph([b.add("ADD", [x, half])]))
    assert [b.node.name for b in plan.resolved.folded] == ["MUL"]
    assert [b.node.name for b in plan.resolved.unused] == ["EXP"]
    assert layout(plan) == ["cpu:2"]


@pytest.mark.parametrize("count", [3, 20_000])
def test_units_of_long_chains(count: int) -> None:
    plan = plan_of(chain(*["ABS"] * count))
    assert len(units(plan.choices)) == 1


def test_control_flow_is_a_unit_of_its_own() -> None:
    def branch(name: str) -> Graph:
        b = GraphBuilder(name)
        return b.graph([b.add(name, [b.input(F32, [4])])])

    b = GraphBuilder()
    condition, x = b.input(BOOL), b.add("EXP", [b.input(F32, [4])])
    (y,) = b.op("IF", [condition, x], [b.tensor(F32, [4])], then_subgraph_index=1, else_subgraph_index=2)
    main = model(b.graph([b.add("EXP", [y])]), branch("EXP"), branch("NEG"))
    engine = Engine(main, [CpuDelegate()])
    plan = engine.plan(main.graphs[0], [(), (4,)])
    assert layout(plan) == ["cpu:0", "branch:1", "cpu:2"]

    def run(flag: bool) -> Any:
        values = [Value(HOST, np.array(flag)), Value(HOST, np.zeros(4, np.float32))]
        return engine.call(plan, values, main.graphs[0].outputs)[0].array

    np.testing.assert_allclose(run(True), np.exp(np.exp(np.ones(4))), rtol=1e-6)
    np.testing.assert_allclose(run(False), np.exp(-np.ones(4)), rtol=1e-6)


def test_engine_reports_its_partitions_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "tflite_cupy"):
        plan_of(chain("EXP", "ADD"))
    assert re.search(r"CpuDelegate delegate: 2 nodes delegated out of 2 nodes with 1 partitions\.", caplog.text)


def test_an_operator_s_type_counts_where_the_file_declares_another() -> None:
    """As in the reference, whose kernels set the types of their results."""
    b = GraphBuilder()
    x = b.input(I32, [2])
    (y,) = b.op("ADD", [x, x], [b.tensor(F32, [2])])
    (z,) = b.op("MUL", [y, x], [b.tensor(I32, [2])])
    (got,) = call(engine_of(model(b.graph([z]))), np.array([2, 3], np.int32))
    assert got.tolist() == [8, 18]
    assert got.dtype == np.int32

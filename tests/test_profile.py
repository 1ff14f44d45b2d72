"""What profiles say of calls: how much they cover, whose time it was, and what they leave as it was."""

from __future__ import annotations

import gc
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import BOOL, F32, I32, STRING, GraphBuilder, model
from tests.delegates.partitions import integer, kind
from tests.delegates.test_flex import FlexBuilder
from tests.fakes import FakeGpuDelegate
from tests.models import add_sub
from tests.runtime.test_concurrency import counter_with_signatures, open_interpreter
from tests.threads import side_by_side
from tflite_cupy.delegates.cpu import CpuDelegate
from tflite_cupy.delegates.cpu.onednn.binding import library
from tflite_cupy.interpreter.graph import Array, Model
from tflite_cupy.interpreter.ops.base import Padding
from tflite_cupy.interpreter.profile import NodeTime, Profile
from tflite_cupy.interpreter.runtime import recording
from tflite_cupy.interpreter.runtime.delegate import Executable, Partition

WIDTH = 512
X = np.random.default_rng(0).normal(size=(256, WIDTH)).astype(np.float32)


def missing() -> str:
    """Why there are no kernels of oneDNN; "" where there are."""
    try:
        library()
    except lite.MissingDependencyError as error:
        return error.what
    return ""


needs_onednn = pytest.mark.skipif(bool(missing()), reason=missing())
KERNELS = ["numpy", pytest.param("onednn", marks=needs_onednn)]


def weights(seed: int) -> np.ndarray:
    values: np.ndarray = np.random.default_rng(seed).normal(size=(WIDTH, WIDTH)) / WIDTH**0.5
    return values.astype(np.float32)


def layer(b: GraphBuilder, x: int, seed: int) -> int:
    """x @ w, which takes a while."""
    return b.add("FULLY_CONNECTED", [x, b.constant(weights(seed)), -1], [None, WIDTH])


def tower() -> Model:
    """main(x [n, WIDTH]) -> y: five nodes, 0 to 4; a convolution-like node and its activation twice, then a softmax."""
    b = GraphBuilder("tower")
    x = b.input(F32, [None, WIDTH], "x")
    hidden = b.add("RELU", [layer(b, x, 0)])
    y = b.add("SOFTMAX", [b.add("TANH", [layer(b, hidden, 1)])], beta=1.0)
    return model(b.graph([y]), signatures={"main": (0, {"x": x}, {"y": y})})


def loop() -> Model:
    """main(n, x) -> y: x = tanh(x @ w), n times, by WHILE (node 0), then -x (node 1)."""
    b = GraphBuilder("loop")
    n, x = b.input(I32, [], "n"), b.input(F32, [None, WIDTH], "x")
    outs = [b.tensor(I32), b.tensor(I32), b.tensor(F32, [None, WIDTH])]
    b.op("WHILE", [b.constant(np.int32(0)), n, x], outs, cond_subgraph_index=1, body_subgraph_index=2)
    y = b.add("NEG", [outs[2]])
    c = GraphBuilder("cond")
    i, m, _ = c.input(I32), c.input(I32), c.input(F32, [None, WIDTH])
    (less,) = c.op("LESS", [i, m], [c.tensor(BOOL)])
    d = GraphBuilder("body")
    i, m, v = d.input(I32), d.input(I32), d.input(F32, [None, WIDTH])
    j, w = d.add("ADD", [i, d.constant(np.int32(1))]), d.add("TANH", [layer(d, v, 2)])
    graphs = b.graph([y]), c.graph([less]), d.graph([j, m, w])
    return model(*graphs, signatures={"main": (0, {"n": n, "x": x}, {"y": y})})


def opened(content: Model | bytes, **options: Any) -> lite.Interpreter:
    content = content if isinstance(content, bytes) else lite.write_model(content)
    return lite.Interpreter(model_content=content, **{"device": "cpu", **options})


def profiled(content: Model, calls: int = 3, *, warm: int = 1, **options: Any) -> Profile:
    """Calls of the signature "main" of the tower or the loop."""
    interpreter = opened(content, **options)
    run = interpreter.get_signature_runner("main")
    inputs: dict[str, Any] = {"x": X} | ({"n": np.int32(4)} if "n" in run.get_input_details() else {})
    for _ in range(warm):
        run(**inputs)
    with interpreter.profile() as profile:
        for _ in range(calls):
            run(**inputs)
    return profile


def covering(take: Callable[[], Profile]) -> Profile:
    """A profile that covers 90 %, the first of five: whatever else the machine does may come in between two nodes."""
    for _ in range(5):
        profile = take()
        if profile.covered >= 0.9:
            break
    assert profile.covered >= 0.9
    return profile


def by_place(profile: Profile) -> dict[tuple[int, int], NodeTime]:
    return {(node.subgraph, node.node): node for node in profile.nodes}


def adds_up(profile: Profile) -> None:
    """Assert that what the profile names is what the calls took."""
    data = profile.to_json()
    parts = [row["seconds"] for key in ("operators", "copies") for row in data[key]]
    parts += [data[f"{part}_seconds"] for part in ("planning", "waiting", "passing", "call")]
    assert sum(parts) == pytest.approx(profile.wall_seconds)
    assert min(parts) >= 0


@pytest.mark.parametrize("kernels", KERNELS)
def test_nodes_account_for_the_calls(kernels: str) -> None:
    profile = covering(lambda: profiled(tower(), cpu_kernels=kernels))
    assert profile.calls == 3
    adds_up(profile)
    reported = [index for node in profile.nodes for index in (node.node, *node.fused)]
    assert sorted(reported) == [0, 1, 2, 3, 4]
    assert {node.calls for node in profile.nodes} == {3}
    for rows in (profile.by_node(), profile.by_operator(), profile.by_delegate()):
        assert [row.seconds for row in rows] == sorted((row.seconds for row in rows), reverse=True)
    assert sorted(profile.by_node(), key=lambda node: node.node) == list(profile.nodes)
    (cpu,) = profile.by_delegate()
    assert (cpu.delegate, cpu.nodes) == ("cpu", 5)
    assert cpu.seconds == pytest.approx(sum(node.seconds for node in profile.nodes))
    assert profile.planning_seconds == 0


@needs_onednn
def test_what_one_primitive_computes_is_one_entry() -> None:
    profile = profiled(tower(), cpu_kernels="onednn")
    found = {(n.node, n.operator, n.kernels, n.fused) for n in profile.nodes if n.operator == "FULLY_CONNECTED"}
    assert found == {(0, "FULLY_CONNECTED", ("onednn",), (1,)), (2, "FULLY_CONNECTED", ("onednn",), (3,))}
    counts = {row.operator: (row.nodes, row.fused, row.calls) for row in profile.by_operator()}
    assert counts == {"FULLY_CONNECTED": (2, 0, 6), "RELU": (0, 1, 0), "TANH": (0, 1, 0), "SOFTMAX": (1, 0, 3)}
    names = {event["name"] for event in profile.chrome_trace()["traceEvents"]}
    assert {"FULLY_CONNECTED +1", "SOFTMAX"} <= names


@pytest.mark.parametrize("kernels", KERNELS)
def test_the_first_call_is_planned(kernels: str) -> None:
    profile = profiled(tower(), calls=1, warm=0, cpu_kernels=kernels)
    assert 0 < profile.planning_seconds < profile.wall_seconds
    adds_up(profile)


@pytest.mark.parametrize("kernels", KERNELS)
def test_a_loop_has_its_bodies_without_counting_them_twice(kernels: str) -> None:
    profile = profiled(loop(), cpu_kernels=kernels)
    adds_up(profile)
    nodes = by_place(profile)
    while_, bodies = nodes[0, 0], [node for place, node in nodes.items() if place[0] > 0]
    assert (while_.operator, while_.calls) == ("WHILE", 3)
    assert {node.calls for node in bodies if node.subgraph == 2} == {12}
    assert {node.calls for node in bodies if node.subgraph == 1} == {15}  # conditions
    assert while_.total_seconds >= while_.seconds + sum(node.seconds for node in bodies)
    assert "total" in profile.table("node")


def test_threads() -> None:
    interpreter = opened(tower(), cpu_kernels="numpy")
    run = interpreter.get_signature_runner("main")

    def work(number: int) -> None:
        for _ in range(2):
            run(x=X)

    def take() -> Profile:
        with interpreter.profile() as profile:
            side_by_side(3, work)
        return profile

    profile = covering(take)
    assert profile.calls == 6
    assert {node.calls for node in profile.nodes} == {6}
    spans = [event for event in profile.chrome_trace()["traceEvents"] if event["ph"] == "X"]
    assert {event["tid"] for event in spans} == {1, 2, 3}
    assert [event["cat"] for event in spans].count("call") == 6


def test_classic_calls() -> None:
    interpreter = opened(tower(), cpu_kernels="numpy")
    interpreter.resize_tensor_input(0, X.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, X)

    def take() -> Profile:
        with interpreter.profile() as profile:
            interpreter.invoke()
        return profile

    profile = covering(take)
    assert profile.calls == 1
    assert "invoke" in {event["name"] for event in profile.chrome_trace()["traceEvents"]}


@pytest.mark.flex
def test_tensorflow_nodes_and_the_copies_around_them() -> None:
    b = FlexBuilder("texts")
    x = b.input(F32, [None], "x")
    (text,) = b.flex("AsString", [b.add("NEG", [x])], [STRING], T=kind(1), precision=integer(3))
    (number,) = b.flex("StringToNumber", [text], [F32], out_type=kind(1))
    y = b.add("NEG", [number])
    interpreter = opened(model(b.graph([y]), signatures={"main": (0, {"x": x}, {"y": y})}))
    run, values = interpreter.get_signature_runner("main"), np.linspace(-1, 1, 40_000, dtype=np.float32)
    np.testing.assert_allclose(run(x=values)["y"], values, atol=1e-3)

    with interpreter.profile() as profile:
        run(x=values)
    adds_up(profile)
    assert {node.operator for node in profile.nodes} == {"NEG", "FlexAsString", "FlexStringToNumber"}
    assert {row.delegate for row in profile.by_delegate()} == {"flex", "cpu"}
    assert {copy.what for copy in profile.copies} == {"host to TensorFlow", "TensorFlow to host"}


def test_copies_to_and_from_a_device() -> None:
    interpreter = opened(tower(), delegates=[FakeGpuDelegate()])
    run = interpreter.get_signature_runner("main")
    with interpreter.profile() as profile:
        run(x=X)
    assert [node.delegate for node in profile.nodes] == ["gpu"] * 5
    copies = {copy.what: copy.count for copy in profile.copies}
    assert copies == {"host to fake": 1, "outputs": 1}


class Silent(CpuDelegate):
    """A delegate that does not tell of its nodes."""

    def compile(self, partition: Partition) -> Executable:
        program = super().compile(partition)

        def run(lane: Any, inputs: Sequence[Array]) -> Sequence[Array]:
            known, lane.recording = lane.recording, None
            try:
                return program(lane, inputs)
            finally:
                lane.recording = known

        return run


def test_a_partition_that_tells_nothing_is_one_entry() -> None:
    profile = covering(lambda: profiled(tower(), delegates=[Silent()]))
    (node,) = profile.nodes
    assert (node.node, node.operator, node.fused) == (0, "FULLY_CONNECTED", (1, 2, 3, 4))


def test_other_observers_hear_the_same_as_ever() -> None:
    interpreter = opened(tower(), cpu_kernels="numpy", limits=lite.Limits(deadline_ms=60_000))
    run = interpreter.get_signature_runner("main")
    with interpreter.trace() as alone:
        run(x=X)
    with interpreter.trace() as ran, interpreter.profile() as profile:
        run(x=X)
    assert ran == alone == [(0, index, "cpu") for index in range(5)]
    assert len(profile.nodes) == 5


def test_calls_outside_the_block_do_not_count() -> None:
    """Nor do those that have not ended with it."""
    interpreter = opened(add_sub())
    add, x = interpreter.get_signature_runner("add"), np.float32([1])
    inside, leave = threading.Event(), threading.Event()

    def hold(graph: int, node: int, delegate: str) -> None:
        inside.set()
        assert leave.wait(60)

    add(x=x, y=x)
    with interpreter.profile() as profile:
        add(x=x, y=x)
        interpreter._engine.observer = hold
        late = threading.Thread(target=add, kwargs={"x": x, "y": x})
        late.start()
        assert inside.wait(60)
        interpreter._engine.observer = None
    leave.set()
    late.join()
    add(x=x, y=x)
    assert profile.calls == 1
    assert interpreter._engine.recorder is None


def test_one_profile_at_a_time() -> None:
    interpreter = opened(add_sub())
    with interpreter.profile():
        with pytest.raises(lite.StateError, match="profiled already"), interpreter.profile():
            pass
        assert interpreter._engine.recorder is not None
    with interpreter.profile() as profile:
        pass
    assert (profile.calls, profile.covered, str(profile)) == (0, 1.0, "no calls")
    assert profile.chrome_trace()["traceEvents"][0]["name"] == "process_name"


def test_one_profile_at_a_time_from_any_thread() -> None:
    interpreter = opened(add_sub())
    leave, outcomes = threading.Barrier(8), list[str]()

    def take(_: int) -> None:
        with suppress(lite.StateError), interpreter.profile():
            outcomes.append("profiled")
            leave.wait(60)
            return
        outcomes.append("refused")
        leave.wait(60)

    side_by_side(8, take)
    assert sorted(outcomes) == ["profiled"] + ["refused"] * 7
    assert interpreter._engine.recorder is None


def test_a_profile_is_left_in_any_way() -> None:
    """By an error, by a generator that is let go of; it can be read then, and the interpreter be profiled again."""
    interpreter = opened(add_sub())
    add, x = interpreter.get_signature_runner("add"), np.float32([1])

    def profiles() -> Iterator[Profile]:
        with interpreter.profile() as profile:
            add(x=x, y=x)
            yield profile

    def fail(_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), interpreter.profile() as first:
        fail(add(x=x, y=x))
    second = next(profiles())
    gc.collect()
    with interpreter.profile() as third, interpreter.trace() as ran:
        add(x=x, y=x)
    interpreter.close()
    assert (first.calls, second.calls, third.calls) == (1, 1, 1)
    assert ran == [(node.subgraph, node.node, node.delegate) for node in third.nodes]
    with interpreter.profile() as closed, pytest.raises(lite.StateError, match="closed"):
        add(x=x, y=x)
    for profile in (first, second, third, closed):
        adds_up(profile)


def test_names_of_a_model_do_not_steer_terminals() -> None:
    b = GraphBuilder("main")
    x = b.input(F32, [2], "\x1b[31mx")
    y = b.add("NEG", [x])
    graph = b.graph([y])
    hostile = tuple(replace(tensor, name=f"\x1b[2J\n\u202e{tensor.name}") for tensor in graph.tensors)
    content = model(replace(graph, tensors=hostile), signatures={"main": (0, {"x": x}, {"y": y})})
    interpreter = opened(content)
    with interpreter.profile() as profile:
        interpreter.get_signature_runner("main")(x=np.float32([1, 2]))
    text = profile.table()
    assert "\\x1b[2J" in text
    assert not {"\x1b", "\u202e"} & set(text)


def test_calls_within_calls_are_parts_of_them() -> None:
    """Also those that fail midway."""
    interpreter = open_interpreter(counter_with_signatures())
    increment, read = interpreter.get_signature_runner("increment"), interpreter.get_signature_runner("read")
    one, errors = np.float32([1, 1]), list[Exception]()

    def ask(graph: int, node: int, delegate: str) -> None:
        if (graph, node) == (0, 8):
            interpreter._engine.observer = fail
            try:
                read()
            except lite.KernelError as error:
                errors.append(error)
            interpreter._engine.observer = None

    def fail(graph: int, node: int, delegate: str) -> None:
        raise lite.KernelError("too much")

    increment(x=one)
    with interpreter.profile() as profile:
        interpreter._engine.observer = ask
        increment(x=one)
        increment(x=one)
    assert len(errors) == 1
    assert profile.calls == 2
    nested(profile.chrome_trace())
    names = [e["name"] for e in profile.chrome_trace()["traceEvents"] if e.get("cat") == "call"]
    assert sorted(names) == ["increment", "increment", "read"]
    adds_up(profile)


def test_a_call_that_fails_is_a_call() -> None:
    interpreter = opened(tower(), cpu_kernels="numpy")
    run = interpreter.get_signature_runner("main")
    with interpreter.profile() as profile:
        with pytest.raises(lite.KernelError):
            run(x=X[:1, :3])
        run(x=X)
    assert profile.calls == 2
    assert {node.calls for node in profile.nodes} == {1}
    adds_up(profile)


def test_waiting_for_another_call() -> None:
    interpreter = open_interpreter(counter_with_signatures())
    increment, one = interpreter.get_signature_runner("increment"), np.float32([1, 1])
    inside, leave = threading.Event(), threading.Event()

    def hold(graph: int, node: int, delegate: str) -> None:
        if not inside.is_set():
            inside.set()
            assert leave.wait(60)

    increment(x=one)
    interpreter._engine.observer = hold
    first = threading.Thread(target=increment, kwargs={"x": one})
    first.start()
    assert inside.wait(60)

    def release() -> None:
        while not interpreter._engine.state._turns._waiting:
            time.sleep(0.001)
        leave.set()

    releasing = threading.Thread(target=release)
    with interpreter.profile() as profile:
        releasing.start()
        increment(x=one)
    first.join()
    releasing.join()
    assert 0 < profile.waiting_seconds <= profile.wall_seconds
    assert "waiting for other calls" in str(profile)


def nested(trace: Mapping[str, Any]) -> None:
    """Assert that on each track an event lies within the one around it, or after it."""
    tracks: dict[int, list[dict[str, Any]]] = {}
    for event in trace["traceEvents"]:
        if event["ph"] == "X":
            tracks.setdefault(event["tid"], []).append(event)
    order = ["call", "wait", "plan", "subgraph", "partition", "copy", "node"]
    for events in tracks.values():
        open_events: list[tuple[float, float]] = []
        for event in sorted(events, key=lambda e: (e["ts"], -e["dur"], order.index(e["cat"]))):
            start, end = event["ts"], event["ts"] + event["dur"]
            while open_events and start >= open_events[-1][1] - 1e-3:
                open_events.pop()
            if open_events:
                assert end <= open_events[-1][1] + 1e-3, event
            elif event["cat"] != "call":
                assert event["dur"] < 1e-3, event
            open_events.append((start, end))


@pytest.mark.parametrize("content", [tower(), loop()], ids=["tower", "loop"])
def test_traces_nest(content: Model) -> None:
    trace = json.loads(json.dumps(profiled(content, warm=0).chrome_trace(), allow_nan=False))
    nested(trace)
    assert trace["otherData"] == {"left_out": 0}
    nodes = [event for event in trace["traceEvents"] if event.get("cat") == "node"]
    assert {"subgraph", "node", "delegate", "tensor"} <= nodes[0]["args"].keys()
    kinds = {event.get("cat") for event in trace["traceEvents"]}
    assert {"call", "plan", "subgraph", "partition", "node"} <= kinds


def test_long_profiles_keep_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MAX_SPANS", 20)
    monkeypatch.setattr(recording, "_FOLDED_AT", 10)
    profile = profiled(loop(), calls=5)
    assert by_place(profile)[0, 0].calls == 5
    trace = profile.chrome_trace()
    assert len([event for event in trace["traceEvents"] if event["ph"] == "X"]) == 20
    assert trace["otherData"]["left_out"] > 100
    adds_up(profile)


@needs_onednn
def test_json() -> None:
    profile = profiled(tower(), cpu_kernels="onednn")
    data = json.loads(json.dumps(profile.to_json(), allow_nan=False))
    assert (data["schema_version"], data["calls"]) == (1, 3)
    assert data["covered"] == profile.covered
    first = data["nodes"][0]
    assert (first["subgraph"], first["node"], first["operator"], first["delegate"]) == (0, 0, "FULLY_CONNECTED", "cpu")
    assert (first["calls"], first["kernels"], first["fused"]) == (3, ["onednn"], [1])
    assert first["seconds"] == first["total_seconds"] > 0
    assert [row["operator"] for row in data["operators"]] == [row.operator for row in profile.by_operator()]


@pytest.mark.parametrize("by", ["operator", "node", "both"])
def test_tables_are_80_columns_wide(by: str) -> None:
    text = profiled(loop()).table(by, top=2)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("3 calls, ")
    assert ("share tensor" in text, "the call itself" in text) == (by != "operator", by != "node")
    if by != "node":
        (more,) = [line for line in lines if line.startswith("5 more") or " more " in line]
        assert more.endswith("%")


@needs_onednn
def test_padding_that_a_convolution_does_itself_is_heard_of() -> None:
    b = GraphBuilder()
    x = b.input(F32, [1, 64, 64, 16], "x")
    padded = b.add("PAD", [x, b.constant(np.int32([[0, 0], [1, 1], [1, 1], [0, 0]]))], [1, 66, 66, 16])
    filters = b.constant(np.random.default_rng(0).normal(size=(32, 3, 3, 16)), np.float32)
    options = {"padding": Padding.VALID, "stride_h": 1, "stride_w": 1}
    y = b.add("CONV_2D", [padded, filters, -1], [1, 64, 64, 32], **options)
    interpreter = opened(model(b.graph([y]), signatures={"main": (0, {"x": x}, {"y": y})}), cpu_kernels="onednn")
    run = interpreter.get_signature_runner("main")
    with interpreter.profile() as profile, interpreter.trace() as ran:
        run(x=np.ones((1, 64, 64, 16), np.float32))
    assert ran == [(0, 1, "cpu"), (0, 0, "cpu")]
    assert [(node.operator, node.fused) for node in profile.nodes] == [("CONV_2D", (0,))]

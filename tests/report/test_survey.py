"""What a report holds: counts, steps, reasons, and that they are what happens."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import F32, GraphBuilder, model
from tests.fakes import DEVICE, FakeGpuDelegate
from tests.models import add_sub, misfit, one_signature
from tests.report.models import branching, interpreter, on_fake_gpu, report, unknown_sizes, unsupported, zigzag
from tflite_cupy.interpreter.report import CopyReport, PartitionReport


@pytest.mark.parametrize("device", [False, True], ids=["cpu", "fake gpu"])
def test_counts_equal_a_trace_of_what_ran(device: bool) -> None:
    it = interpreter(branching(), *([FakeGpuDelegate()] if device else []))
    x = np.arange(4, dtype=np.float32)
    with it.trace() as ran:
        it.get_signature_runner("pick")(c=True, x=x)
        it.get_signature_runner("pick")(c=False, x=x)
        it.get_signature_runner("other")(x=x)
    made = it.delegation_report()
    said = {(s.index, n.index, n.delegate) for s in made.subgraphs for n in s.nodes if n.delegate is not None}
    assert set(ran) == said
    totals = Counter(delegate for _, _, delegate in said)
    assert {name: total.nodes for name, total in made.totals().items() if total.nodes} == dict(totals)


def test_copies_are_counted_in_bytes() -> None:
    it = interpreter(add_sub(), FakeGpuDelegate())
    it.get_signature_runner("sub")(a=np.ones(10, np.float32), b=np.ones(10, np.float32))
    sub = next(s for s in it.delegation_report().subgraphs if s.name == "sub")
    assert sub.totals["gpu"].bytes_in == 80


def test_steps_are_in_the_order_in_which_they_run() -> None:
    (zig,) = on_fake_gpu(zigzag(2)).subgraphs
    told = [
        (step.delegate, step.nodes, step.inputs, step.outputs)
        if isinstance(step, PartitionReport)
        else (step.source, step.target, step.tensors, step.nbytes)
        for step in zig.steps
    ]
    size = 8 * 2048 * 4
    assert told == [
        ("call", "gpu", (0,), size),
        ("gpu", (0,), (0,), (4,)),
        ("gpu", "cpu", (4,), size),
        ("cpu", (1,), (4,), (5,)),
        ("cpu", "gpu", (5,), size),
        ("gpu", (2,), (5,), (6,)),
        ("gpu", "cpu", (6,), size),
        ("cpu", (3,), (6,), (7,)),
    ]
    assert zig.totals["gpu"].bytes_in == zig.totals["gpu"].bytes_out == 2 * size
    assert [part.index for part in zig.partitions] == [0, 1, 2, 3]


def test_results_on_a_device_are_copied_at_the_end() -> None:
    pick, other, *_ = on_fake_gpu(branching()).subgraphs
    assert other.copies[-1] == CopyReport("gpu", "call", (4,), 16)
    assert other.totals["gpu"].bytes_out == 16
    assert not other.unknown_moves
    assert pick.copies == (CopyReport("cpu", "cpu", (2,), 16, is_certain=False),)


def test_results_stay_on_a_device_that_inputs_came_on() -> None:
    it = interpreter(one_signature(), FakeGpuDelegate())
    run = it.get_signature_runner()
    run(x=np.ones((2, 3), np.float32))
    assert [(c.source, c.target) for c in it.delegation_report().subgraphs[0].copies] == [
        ("call", "gpu"),
        ("gpu", "call"),
    ]
    run(x=DEVICE.put(np.ones((2, 3), np.float32)))
    assert it.delegation_report().subgraphs[0].copies == ()


def test_tensors_have_names_types_and_shapes() -> None:
    (main,) = report(one_signature()).subgraphs
    assert [(t.form, t.nbytes, t.is_constant) for t in main.tensors.values()] == [
        ("float32[2,3]", 24, False),
        ("float32[4,3]", 48, True),
        ("float32[4]", 16, True),
        ("float32[2,4]", 32, False),
    ]
    assert main.inputs == (("x", 0),)
    assert main.outputs == (("y", 3),)
    assert main.tensors[0].name == "x"


def test_tensors_of_unknown_shape() -> None:
    (main,) = on_fake_gpu(unknown_sizes()).subgraphs
    rows = main.tensors[main.nodes[2].outputs[0]]
    assert (rows.form, rows.nbytes) == ("int32[?]", None)


def test_subgraphs_of_control_flow() -> None:
    pick, *_ = report(branching()).subgraphs
    assert [node.subgraphs for node in pick.nodes] == [(2, 3), ()]
    assert report(branching()).signatures == {"pick": (0, 2, 3), "other": (1,)}


def test_work_of_products_and_convolutions() -> None:
    assert report(one_signature()).subgraphs[0].nodes[0].multiply_adds == 2 * 4 * 3
    b = GraphBuilder()
    x = b.input(F32, [1, 8, 8, 3], "x")
    weights, bias = b.constant(np.zeros((5, 3, 3, 3), np.float32)), b.constant(np.zeros(5, np.float32))
    y = b.add("CONV_2D", [x, weights, bias], [1, 8, 8, 5], stride_w=1, stride_h=1)
    z = b.add("DEPTHWISE_CONV_2D", [y, b.constant(np.zeros((1, 3, 3, 5), np.float32)), bias], [1, 8, 8, 5], stride_w=1,
              stride_h=1, depth_multiplier=1)  # fmt: skip
    w = b.add("BATCH_MATMUL", [z, b.constant(np.zeros((1, 8, 5, 7), np.float32))], [1, 8, 8, 7])
    nodes = report(lite.write_model(model(b.graph([b.add("NEG", [w])])))).subgraphs[0].nodes
    assert [node.multiply_adds for node in nodes] == [64 * 5 * 27, 64 * 5 * 9, 64 * 7 * 5, None]


def test_each_refusal_is_given() -> None:
    nodes = {(s.index, n.name): n for s in on_fake_gpu(branching()).subgraphs for n in s.nodes}
    assert nodes[0, "IF"].delegate == "cpu"
    assert nodes[0, "IF"].refusals["gpu"] == "control flow runs between partitions."
    assert nodes[1, "MUL"].note == "folded"
    assert nodes[1, "ADD"].refusals == {}


def test_one_signature_alone() -> None:
    alone = report(branching()).only("other")
    assert [subgraph.index for subgraph in alone.subgraphs] == [1]
    assert alone.totals()["cpu"].nodes == 1
    assert alone.coverage("cpu", "other") == 100
    assert list(report(branching()).only("pick").to_json()["signatures"]) == ["pick"]


def test_require_fails_when_the_model_is_loaded() -> None:
    for content in (branching(), add_sub()):
        lite.Interpreter(model_content=content, device="cpu", delegates=[FakeGpuDelegate()], require="gpu")
    with pytest.raises(lite.DelegationError, match="3 nodes do not run where") as caught:
        lite.Interpreter(model_content=add_sub(), device="cpu", require="gpu")
    for name, place in (("ADD#0", 0), ("SUB#0", 1), ("MUL#1", 1)):
        assert f"\n  {name} runs on cpu, not on gpu (there is no gpu) [at subgraphs[{place}].operators[" in str(
            caught.value
        )


def test_nodes_that_nobody_runs_are_steps() -> None:
    made = report(unsupported())
    main = made.subgraphs[0]
    assert [(step.delegate, step.nodes) for step in main.steps if isinstance(step, PartitionReport)] == [
        ("cpu", (0,)),
        ("nobody", (1,)),
        ("cpu", (2,)),
        ("nobody", (3,)),
    ]
    assert [part.nodes for part in main.partitions] == [(0,), (2,)]
    assert made.totals()["cpu"].nodes == 3
    with pytest.raises(lite.UnsupportedError, match="FakeOne"):
        interpreter(unsupported()).allocate_tensors()


def test_declared_shapes_need_not_fit() -> None:
    """A report, and `require`, before the first call of a model that no declared shape suits."""
    it = lite.Interpreter(model_content=misfit(), device="cpu", delegates=[FakeGpuDelegate()], require="gpu")
    assert it.delegation_report().totals()["gpu"].nodes == 1
    assert it.get_signature_runner()(x=np.ones((2, 3), np.float32))["y"].tolist() == [[3.0] * 4] * 2
    assert it.delegation_report().totals()["gpu"].bytes_in == 24

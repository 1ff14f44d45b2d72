"""Which products go to a library, and what becomes of what stands around them; NumPy computes them here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from networks import bert, mobilenet_v2

import tflite_cupy as lite
from tests.build import F32, GraphBuilder, model
from tests.delegates.gpu.checks import call, check, compare, interpreter_of, noise
from tests.delegates.gpu.test_nvrtc import fault_in, loaded_nvrtc, log_of
from tests.emulator.device import EmulatedGpuDelegate, HostDevice
from tests.emulator.streams import CaptureFault
from tests.ops.harness import Case, Operand, one_op_model
from tflite_cupy.delegates.gpu import PlannedGpuDelegate
from tflite_cupy.delegates.gpu.gemm import WORKSPACE_BYTES, Problem, Stored
from tflite_cupy.delegates.gpu.kernels import library
from tflite_cupy.delegates.gpu.listing import Block, Gemm, Launch, Listing, Step, Storage
from tflite_cupy.delegates.gpu.listing import Operand as Place
from tflite_cupy.interpreter.graph import Graph, Model, TensorType
from tflite_cupy.interpreter.runtime.delegate import Executable, Partition

STEPS = {"stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
RELU, RELU6 = 1, 3


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small products go to the library, too; those of depth 16 and more also with a launch for their tail."""
    monkeypatch.setattr(library, "LEAST_WORK", 1 << 8)
    monkeypatch.setattr(library, "LEAST_DEPTH", 16)


class Planner(PlannedGpuDelegate):
    """Remembers what it plans."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.listings: list[Listing] = []

    def compile(self, partition: Partition) -> Executable:
        planned = super().compile(partition)
        self.listings.append(planned.listing)  # type: ignore[attr-defined]
        return planned

    def steps(self, source: Graph | Case) -> tuple[Step, ...]:
        """Those of the only partition of a model."""
        made = one_op_model(source) if isinstance(source, Case) else model(source)
        lite.Interpreter(model_content=lite.write_model(made), device="cpu", delegates=[self]).allocate_tensors()
        (listing,) = self.listings
        return listing.steps


def planned(source: Graph | Case, **options: Any) -> list[str]:
    """Names of the kernels, "*" for products of the library."""
    return ["*" if isinstance(s, Gemm) else getattr(s, "name", "array") for s in Planner(**options).steps(source)]


def constant(*shape: int, seed: int = 1) -> Operand:
    return Operand(data=noise(*shape, seed=seed), constant=True)


def layer(rows: int = 12, depth: int = 16, units: int = 20, activation: int = 0) -> tuple[GraphBuilder, int]:
    """FULLY_CONNECTED of an input, and its result."""
    b = GraphBuilder()
    x, weights, bias = b.input(F32, [rows, depth]), b.constant(noise(units, depth, seed=1)), b.constant(noise(units))
    return b, b.add("FULLY_CONNECTED", [x, weights, bias], [rows, units], fused_activation_function=activation)


@pytest.mark.parametrize(
    ("shape", "units", "attributes", "has_bias", "steps"),
    [
        ((12, 16), 20, {}, True, "*"),
        ((12, 16), 20, {}, False, "*"),
        ((2, 6, 16), 20, {"fused_activation_function": RELU, "keep_num_dims": True}, True, "*"),
        ((12, 16), 20, {"fused_activation_function": RELU}, False, "*"),
        ((12, 16), 20, {"fused_activation_function": RELU6}, True, "* tail"),
        ((12, 12), 20, {"fused_activation_function": RELU6}, True, "gemm"),  # not deep enough for a launch more
        ((12, 18), 20, {}, True, "gemm"),  # its rows are not aligned
        ((12, 16), 18, {}, True, "gemm"),
        ((2, 4), 8, {}, True, "gemv"),
    ],
)
def test_fully_connected(
    shape: tuple[int, ...], units: int, attributes: dict[str, Any], has_bias: bool, steps: str
) -> None:
    bias = constant(units, seed=2) if has_bias else None
    case = Case("FULLY_CONNECTED", [noise(*shape), constant(units, shape[-1]), bias], attributes)
    assert planned(case) == steps.split()
    check(case, launches=len(steps.split()))


@pytest.mark.parametrize(
    ("x", "filters", "attributes", "steps"),
    [
        ((2, 3, 4, 16), (20, 1, 1, 16), {"fused_activation_function": RELU}, "*"),
        ((2, 6, 4, 16), (20, 1, 1, 16), {"stride_h": 2}, "gemm"),
        ((1, 5, 5, 16), (20, 3, 3, 16), {}, "gemm"),
        ((1, 5, 4, 32), (20, 1, 1, 16), {}, "gemm"),  # groups
    ],
)
def test_conv_2d(x: tuple[int, ...], filters: tuple[int, ...], attributes: dict[str, Any], steps: str) -> None:
    case = Case("CONV_2D", [noise(*x), constant(*filters), constant(filters[0], seed=2)], STEPS | attributes)
    assert planned(case) == steps.split()
    check(case, launches=1)


@pytest.mark.parametrize(
    ("x", "y", "attributes", "steps"),
    [
        ((12, 16), (16, 20), {}, "*"),
        ((3, 12, 16), (3, 16, 20), {}, "*"),
        ((3, 12, 16), (3, 20, 16), {"adj_y": True}, "*"),
        ((2, 3, 16, 12), (2, 3, 16, 20), {"adj_x": True}, "*"),
        ((3, 16, 12), (20, 16), {"adj_x": True, "adj_y": True}, "*"),
        ((12, 16), (4, 16, 20), {}, "*"),
        ((2, 1, 12, 16), (3, 16, 20), {}, "gemm"),  # batches in two runs
        ((12, 16), (16, 18), {}, "gemm"),
    ],
)
def test_batch_matmul(x: tuple[int, ...], y: tuple[int, ...], attributes: dict[str, bool], steps: str) -> None:
    case = Case("BATCH_MATMUL", [noise(*x), noise(*y, seed=1)], attributes)
    assert planned(case) == steps.split()
    check(case, launches=1)


def test_transposed_operands_and_results_stay_where_they_are() -> None:
    b = GraphBuilder()
    x, y = b.input(F32, [10, 3, 16]), b.input(F32, [3, 16, 12])
    left = b.add("TRANSPOSE", [x, b.constant([1, 0, 2], np.int32)], [3, 10, 16])
    product = b.add("BATCH_MATMUL", [left, y], [3, 10, 12])
    back = b.add("TRANSPOSE", [product, b.constant([1, 0, 2], np.int32)], [10, 3, 12])
    graph, feeds = b.graph([back]), [noise(10, 3, 16), noise(3, 16, 12, seed=1)]
    assert planned(graph) == ["*"]
    check(graph, feeds, launches=1)
    assert planned(b.graph([b.add("NEG", [back])])) == ["gemm"]  # its tail would be for another order


@pytest.mark.parametrize(
    ("head", "name", "options", "steps"),
    [
        (0, "ADD", {}, "*"),
        (0, "ADD", {"fused_activation_function": RELU}, "*"),
        (RELU, "ADD", {}, "* tail"),
        (0, "ADD", {"fused_activation_function": RELU6}, "* tail"),
        (0, "SUB", {}, "* tail"),
    ],
)
@pytest.mark.parametrize("is_left", [True, False])
def test_a_tensor_that_is_added_is_part_of_the_product(
    head: int, name: str, options: dict[str, int], steps: str, is_left: bool
) -> None:
    b, product = layer(activation=head)
    residual = b.input(F32, [12, 20])
    graph = b.graph([b.add(name, [product, residual] if is_left else [residual, product], **options)])
    assert planned(graph) == steps.split()
    check(graph, [noise(12, 16, seed=4), noise(12, 20, seed=5)], launches=len(steps.split()))


@pytest.mark.parametrize(("shape", "is_twice"), [([20], False), ([12, 20], True)])
def test_what_is_broadcast_or_the_result_itself_is_added_by_a_tail(shape: list[int], is_twice: bool) -> None:
    b, product = layer()
    other = product if is_twice else b.input(F32, shape)
    graph = b.graph([b.add("ADD", [product, other], [12, 20])])
    assert planned(graph) == ["*", "tail"]
    check(graph, [noise(12, 16, seed=4), *([] if is_twice else [noise(*shape, seed=5)])], launches=2)


@pytest.mark.parametrize(("kind", "blocks"), [(F32, 1), (TensorType.INT32, 2)])
def test_other_tails_are_one_launch_in_place_where_types_are_equal(kind: TensorType, blocks: int) -> None:
    b, product = layer(activation=RELU6)
    gated = b.add("MUL", [b.add("GELU", [product], approximate=True), b.input(F32, [12, 20])])
    (out,) = b.op("NEG" if kind is F32 else "CAST", [gated], [b.tensor(kind, [12, 20])])
    graph = b.graph([out])
    first, last = Planner().steps(graph)
    assert planned(graph) == ["*", "tail"]
    assert len({*first.writes, *last.writes}) == blocks
    check(graph, [noise(12, 16, seed=4), noise(12, 20, seed=5)], launches=2)


@pytest.mark.parametrize(
    ("precision", "approximate", "steps"),
    [("tf32", True, ["*"]), ("fp16", True, ["*"]), ("strict", True, ["*", "tail"]), ("tf32", False, ["*", "tail"])],
)
def test_gelu_is_part_of_products_that_are_no_more_exact(precision: str, approximate: bool, steps: list[str]) -> None:
    b, product = layer()
    graph = b.graph([b.add("GELU", [product], approximate=approximate)])
    assert planned(graph, precision=precision) == steps
    atol = {"strict": 1e-6, "tf32": 1e-3, "fp16": 1e-2}[precision]
    check(graph, [noise(12, 16, seed=4)], launches=len(steps), precision=precision, atol=atol)


def test_a_library_without_gelu_leaves_it_to_a_tail() -> None:
    b, product = layer()
    graph = b.graph([b.add("GELU", [product], approximate=True)])
    planner = Planner(precision="tf32")
    planner.options = replace(planner.options, library=lambda problem: not problem.gelu)
    assert [type(step) for step in planner.steps(graph)] == [Gemm, Launch]


def test_operands_of_a_tail_that_are_not_aligned() -> None:
    b, product = layer()
    cut = b.add("SLICE", [b.input(F32, [241]), b.constant([1], np.int32), b.constant([240], np.int32)], [240])
    shifted = b.add("RESHAPE", [cut, b.constant([12, 20], np.int32)], [12, 20])
    for outputs in ([b.add("ADD", [product, shifted])], [b.add("ADD", [product, shifted]), shifted]):
        assert planned(b.graph(outputs)) == ["*", "tail"]
        check(b.graph(outputs), [noise(12, 16, seed=4), noise(241, seed=5)], launches=2)


@pytest.mark.parametrize("arch", [75, 90, 120])
def test_tails_build_without_spills(arch: int) -> None:
    nvrtc = loaded_nvrtc()
    b, product = layer()
    steps = Planner().steps(b.graph([b.add("GELU", [product], approximate=False)]))
    (kernel,) = (step.kernel for step in steps if isinstance(step, Launch))
    assert fault_in(kernel, log_of(nvrtc, kernel, arch)) is None


def test_layers_of_one_input_are_products_of_their_own() -> None:
    b = GraphBuilder()
    x = b.input(F32, [12, 16])
    outputs = [b.add("FULLY_CONNECTED", [x, b.constant(noise(20, 16, seed=i)), -1], [12, 20]) for i in range(3)]
    graph = b.graph(outputs)
    assert planned(graph) == ["*"] * 3
    assert planned(graph, library=False) == ["gemm"]
    check(graph, [noise(12, 16)], launches=3)


@pytest.mark.parametrize(("has_bias", "steps"), [(True, "gemm"), (False, "*")])
def test_layers_that_are_large_together_only(has_bias: bool, steps: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are one batch of products, for which a library has one bias."""
    monkeypatch.setattr(library, "LEAST_WORK", 2 * 12 * 16 * 20)
    b = GraphBuilder()
    x = b.input(F32, [12, 16])
    biases = [b.constant(noise(20, seed=5 + i)) if has_bias else -1 for i in range(3)]
    operands = [[x, b.constant(noise(20, 16, seed=i)), bias] for i, bias in enumerate(biases)]
    graph = b.graph([b.add("FULLY_CONNECTED", each, [12, 20]) for each in operands])
    assert planned(graph) == [steps]
    check(graph, [noise(12, 16)], launches=1)


@pytest.mark.parametrize("precision", ["tf32", "fp16"])
def test_precisions(precision: str) -> None:
    x, weights = noise(12, 16), noise(20, 16, seed=1)
    case = Case("FULLY_CONNECTED", [x, Operand(data=weights, constant=True), None])
    (step,) = Planner(precision=precision).steps(case)
    assert isinstance(step, Gemm)
    assert step.problem.precision == precision
    assert step.b.dtype == np.float32
    check(case, launches=1, precision=precision, atol={"tf32": 1e-3, "fp16": 1e-2}[precision])


def test_without_a_library_kernels_compute_them() -> None:
    case = Case("FULLY_CONNECTED", [noise(12, 16), constant(20, 16), None])
    assert planned(case, library=False) == ["gemm"]
    content = lite.write_model(one_op_model(case))
    wanted = call(interpreter_of(content, [case.inputs[0]]), [case.inputs[0]])

    class Refusing:
        """A library that can do nothing."""

        def plan(self, problem: Problem, workspace: int) -> None:
            return None

    for device, options in (
        (HostDevice(gemms=None), {}),
        (HostDevice(gemms=Refusing()), {}),
        (HostDevice(), {"library": False}),
    ):
        delegate = EmulatedGpuDelegate(device, **options)
        (got,) = call(interpreter_of(content, [case.inputs[0]], delegate), [case.inputs[0]])
        compare(got, wanted[0], 1e-5, 1e-6)
        assert (device.launches, device.products) == (1, 0)
        assert delegate.programs[0].details["workspace_bytes"] == 0


def dense(b: GraphBuilder, x: int, units: int, depth: int, seed: int) -> int:
    return b.add("FULLY_CONNECTED", [x, b.constant(noise(units, depth, seed=seed)), -1], [12, units])


def test_reports_name_the_products() -> None:
    b = GraphBuilder()
    hidden = dense(b, b.input(F32, [12, 16]), 20, 16, 1)
    for seed in (2, 3):
        hidden = dense(b, hidden, 20, 20, seed)
    content = lite.write_model(model(b.graph([hidden])))
    report = lite.Interpreter(model_content=content, device="gpu", dry_run=True).delegation_report()
    (part,) = report.subgraphs[0].partitions
    assert part.details["launches"] == part.details["library_products"] == 3
    assert part.details["library_shapes"] == {
        "product 12 x 16 x 20": "cuBLASLt, x1",
        "product 12 x 20 x 20": "cuBLASLt, x2",
    }
    assert part.details["workspace_bytes"] == WORKSPACE_BYTES
    assert "3 library products" in str(report)
    assert "product 12 x 20 x 20: cuBLASLt, x2" in str(report)


def test_a_workspace_is_shared_by_the_programs_of_a_lane_and_goes_with_them() -> None:
    device = HostDevice()
    case = Case("FULLY_CONNECTED", [noise(12, 16), constant(20, 16), None])
    content = lite.write_model(one_op_model(case))
    delegate = EmulatedGpuDelegate(device)
    interpreter = lite.Interpreter(model_content=content, device="cpu", delegates=[delegate])
    for rows in (12, 16, 24):
        x = noise(rows, 16)
        interpreter.resize_tensor_input(0, x.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(0, x)
        interpreter.invoke()
    assert device.products == 3
    assert WORKSPACE_BYTES <= device.used < 2 * WORKSPACE_BYTES
    (lane,) = delegate.space._idle
    assert len({bound.workspace for bound in lane.bound.values()}) == 1
    lane.trim()
    assert device.used < WORKSPACE_BYTES


@pytest.mark.parametrize(
    ("network", "products"),
    [
        (partial(bert, layers=1, width=32, heads=2, tokens=16, words=50), 6),
        (partial(mobilenet_v2, resolution=32), 10),
    ],
)
def test_networks(network: Callable[[], Model], products: int) -> None:
    content = lite.write_model(network())
    details = lite.Interpreter(model_content=content, device="cpu").get_input_details()
    feeds = [noise(*d["shape"]) if d["dtype"] == np.float32 else np.ones(d["shape"], np.int32) for d in details]
    delegate = EmulatedGpuDelegate()
    interpreter = interpreter_of(content, feeds, delegate)
    first, (wanted, *_) = call(interpreter, feeds), call(interpreter_of(content, feeds), feeds)
    for _ in range(2):
        assert [x.tobytes() for x in call(interpreter, feeds)] == [x.tobytes() for x in first]
    compare(first[0], wanted, 1e-4, 1e-4)
    assert delegate.programs[0].details["library_products"] >= products
    assert delegate.device.replays == 2


@pytest.mark.parametrize("seed", range(6))
def test_products_keep_to_the_order_of_streams(seed: int) -> None:
    """They come after what the caller has queued, and before what it queues then."""
    device = HostDevice(seed=seed)
    delegate, b = EmulatedGpuDelegate(device), GraphBuilder()
    given, weights = b.input(F32, [12, 16]), noise(20, 16, seed=1)
    result = b.add("FULLY_CONNECTED", [given, b.constant(weights), -1], [12, 20])
    made = model(b.graph([result]), signatures={"main": (0, {"x": given}, {"y": result})})
    interpreter = lite.Interpreter(model_content=lite.write_model(made), device="cpu", delegates=[delegate])
    runner, space = interpreter.get_signature_runner(), delegate.space
    x = space.put(np.zeros((12, 16), np.float32))
    with device.using(device.stream()):
        for turn in range(4):
            values = noise(12, 16, seed=turn)
            device.copy(x, space.put(values))
            y = runner(x=x)["y"]
            device.copy(x, space.put(np.zeros((12, 16), np.float32)))
            compare(space.get([y])[0], values @ weights.T, 1e-5, 1e-6)
    assert (device.products, device.replays) == (4, 3)


def test_products_are_not_planned_during_capture() -> None:
    device = HostDevice()
    with device.using(device.stream()):
        device.begin_capture()
        with pytest.raises(CaptureFault, match="planning a product during capture"):
            device.gemm_plan(Problem(12, 20, 16, Stored(16), Stored(20), Stored(20)))
        device.end_capture()


def operand(*shape: int, offset: int = 0, dtype: Any = np.float32) -> Place:
    kind = np.dtype(dtype)
    return Place(Block(Storage.ARENA, offset + math.prod(shape) * kind.itemsize), shape, kind, offset)


@pytest.mark.parametrize(
    "operands",
    [
        {"a": operand(11, 16)},
        {"b": operand(16, 20, dtype=np.float16)},
        {"out": operand(12, 20, offset=8)},
        {"bias": operand(20)},
        {"c": operand(12, 20)},
    ],
)
def test_operands_that_do_not_fit_a_problem(operands: dict[str, Place]) -> None:
    problem = Problem(12, 20, 16, Stored(16), Stored(20), Stored(20))
    fitting = {"a": operand(12, 16), "b": operand(16, 20), "out": operand(12, 20)}
    assert Gemm(problem, **fitting).writes == (fitting["out"].block,)
    with pytest.raises(TypeError, match="a product of 12 x 16 x 20"):
        Gemm(problem, **fitting | operands)


@pytest.mark.parametrize(
    ("rows", "depth", "activation", "steps"),
    [(1024, 1024, 0, "*"), (1020, 1024, 0, "gemm"), (1024, 1024, RELU6, "* tail"), (4096, 508, RELU6, "gemm")],
)
def test_thresholds(rows: int, depth: int, activation: int, steps: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they stand."""
    monkeypatch.undo()
    b, product = layer(rows, depth, 1024, activation)
    assert planned(b.graph([product])) == steps.split()

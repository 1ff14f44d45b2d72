"""Primitives of oneDNN against the operators' own bodies, on operators, on graphs and on whole networks."""

from __future__ import annotations

import gc
import multiprocessing
import weakref
from typing import Any

import numpy as np
import pytest
from networks import mobilenet_v2

from tests.build import F32, GraphBuilder, model
from tests.engines import call
from tests.models import one_signature
from tests.ops import (
    test_activation,
    test_arithmetic,
    test_conv,
    test_elementwise,
    test_layout,
    test_matmul,
    test_padding,
    test_pool,
    test_reduction,
    test_resize,
    test_softmax,
)
from tests.ops.harness import Case, arrays, one_op, one_op_model
from tests.threads import side_by_side
from tflite_cupy import Interpreter, OpResolverType
from tflite_cupy.delegates.cpu import CpuDelegate, kernels_in_use
from tflite_cupy.delegates.cpu.onednn import compiler
from tflite_cupy.delegates.cpu.onednn.program import Program
from tflite_cupy.delegates.cpu.onednn.steps import Execution
from tflite_cupy.interpreter.errors import InputError, MissingDependencyError
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.ops.base import Activation, Padding
from tflite_cupy.interpreter.ops.checks import evaluate
from tflite_cupy.interpreter.runtime.engine import Engine

try:
    kernels_in_use("onednn")
except MissingDependencyError as error:
    pytest.skip(str(error), allow_module_level=True)

FAMILIES = (test_activation, test_arithmetic, test_conv, test_elementwise, test_layout, test_matmul, test_padding,
            test_pool, test_reduction, test_resize, test_softmax)  # fmt: skip


@pytest.fixture(autouse=True)
def _every_node_is_worth_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "TINY", 0)


class Watched(CpuDelegate):
    """Notes its programs."""

    def __init__(self, threads: int = 1) -> None:
        super().__init__(threads, "onednn")
        self.programs: list[Program] = []

    def compile(self, partition: Any) -> Any:
        compiled = super().compile(partition)
        program = getattr(compiled, "program", compiled)
        if isinstance(program, Program):
            self.programs.append(program)
        return compiled

    @property
    def primitives(self) -> list[list[str]]:
        """Operators of the nodes of each primitive."""
        steps = (step for program in self.programs for step in program.steps if isinstance(step, Execution))
        return [[bound.op.name for bound in step.nodes] for step in steps]


def cases(*families: Any) -> list[Case]:
    found = [case for family in families for case in family.CASES if case.raises is None and case.refused is None]
    return [c for c in found if not any(getattr(i, "variable", False) for i in c.inputs)]


@pytest.mark.parametrize("case", cases(*FAMILIES), ids=str)
def test_operators(case: Case) -> None:
    """Floats to rounding, quantised integers that a primitive made to one step, everything else exactly."""
    made, delegate = one_op_model(case), Watched()
    graph = made.graphs[0]
    given = [a for a, t in zip(arrays(case), graph.nodes[0].inputs, strict=True) if t in graph.inputs]
    with np.errstate(all="ignore"):
        results = call(Engine(made, [delegate]), *given)
        expected = evaluate(one_op(case), arrays(case))
    for got, want in zip(results, expected, strict=True):
        assert got.dtype == want.dtype
        close(got, want, steps=int(bool(delegate.primitives)))


def close(got: np.ndarray, want: np.ndarray, steps: int) -> None:
    assert got.shape == want.shape
    if want.dtype.kind in "iu":
        assert np.abs(got.astype(np.int64) - want.astype(np.int64)).max(initial=0) <= steps
    elif want.dtype.kind == "f":
        finite = np.abs(want[np.isfinite(want)]).max(initial=0.05)
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-6 * float(finite))
    else:
        assert (got == want).all()


RNG = np.random.default_rng(3)
RELU6 = {"fused_activation_function": Activation.RELU6}


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def filters(b: GraphBuilder, *shape: int) -> list[int]:
    """Weights [out, h, w, in] and a bias."""
    return [b.constant(normal(*shape)), b.constant(normal(shape[0]))]


def check(b: GraphBuilder, outputs: list[int], *inputs: np.ndarray) -> Watched:
    """The graph gives what it gives with NumPy alone, again and again; what it gave before stays."""
    watched, made = Watched(), model(b.graph(outputs))
    engine, plain = Engine(made, [watched]), Engine(made, [CpuDelegate(1, "numpy")])
    before: list[tuple[np.ndarray, np.ndarray]] = []
    for factor in (1, -1, 2):
        given = [x * x.dtype.type(factor) for x in inputs]
        expected = call(plain, *given)
        results = call(engine, *given)
        for got, want in [*before, *zip(results, expected, strict=True)]:
            close(got, want, 0)
        before += zip(results, expected, strict=True)
    return watched


def test_residual_of_two_convolutions() -> None:
    """The sum joins the convolution that comes first, and runs when both are there."""
    b = GraphBuilder()
    x = b.input(F32, [1, 8, 8, 16])
    main = b.add("CONV_2D", [x, *filters(b, 24, 3, 3, 16)], [1, 8, 8, 24], **RELU6)
    side = b.add("CONV_2D", [x, *filters(b, 24, 1, 1, 16)], [1, 8, 8, 24])
    total = b.add("RELU", [b.add("ADD", [main, side])])
    watched = check(b, [total], normal(1, 8, 8, 16))
    assert sorted(watched.primitives) == [["CONV_2D"], ["CONV_2D", "ADD", "RELU"]]


def test_squeeze_and_excite() -> None:
    b = GraphBuilder()
    x = b.input(F32, [2, 9, 9, 32])
    y = b.add("DEPTHWISE_CONV_2D", [x, b.constant(normal(1, 3, 3, 32)), b.constant(normal(32))])
    y = b.add("MUL", [y, b.add("LOGISTIC", [y])])
    mean = b.add("MEAN", [y, b.constant(np.int32([1, 2]))], [2, 32])
    gate = b.add("RESHAPE", [mean, b.constant(np.int32([2, 1, 1, 32]))], [2, 1, 1, 32])
    gate = b.add("LOGISTIC", [b.add("CONV_2D", [gate, *filters(b, 32, 1, 1, 32)])])
    watched = check(b, [b.add("MUL", [y, gate], [2, 9, 9, 32])], normal(2, 9, 9, 32))
    assert watched.primitives == [["DEPTHWISE_CONV_2D", "LOGISTIC", "MUL"], ["MEAN"], ["CONV_2D", "LOGISTIC"], ["MUL"]]


def test_padding_joins_the_convolution() -> None:
    b = GraphBuilder()
    x = b.input(F32, [1, 10, 10, 8])
    pads = b.constant(np.int32([[0, 0], [0, 1], [1, 2], [0, 0]]))
    padded = b.add("PAD", [x, pads], [1, 11, 13, 8])
    y = b.add("CONV_2D", [padded, *filters(b, 8, 3, 3, 8)], [1, 5, 6, 8], padding=Padding.VALID, stride_h=2, stride_w=2)
    watched = check(b, [y], normal(1, 10, 10, 8))
    assert [len(program.steps) for program in watched.programs] == [1]


def test_padding_of_nothing_around_single_pixels() -> None:
    b = GraphBuilder()
    x = b.add("RELU", [b.input(F32, [3, 1, 1, 8])], [3, 1, 1, 8])
    padded = b.add("PAD", [x, b.constant(np.zeros((4, 2), np.int32))], [3, 1, 1, 8])
    y = b.add("CONV_2D", [padded, *filters(b, 5, 1, 1, 8)], [3, 1, 1, 5], padding=Padding.VALID)
    check(b, [y], normal(3, 1, 1, 8))


def test_padding_that_others_read_stays() -> None:
    b = GraphBuilder()
    x = b.input(F32, [1, 10, 10, 8])
    padded = b.add("PAD", [x, b.constant(np.int32([[0, 0], [1, 1], [1, 1], [0, 0]]))], [1, 12, 12, 8])
    y = b.add("CONV_2D", [padded, *filters(b, 8, 3, 3, 8)], [1, 10, 10, 8], padding=Padding.VALID)
    watched = check(b, [y, padded], normal(1, 10, 10, 8))
    assert [len(program.steps) for program in watched.programs] == [2]


def test_results_are_nobody_elses_memory() -> None:
    """Views of what a primitive made leave the partition as copies, and results of one call outlive the next."""
    b = GraphBuilder()
    x = b.input(F32, [1, 4, 4, 8])
    y = b.add("CONV_2D", [x, *filters(b, 8, 1, 1, 8)])
    flat = b.add("RESHAPE", [y, b.constant(np.int32([1, 128]))], [1, 128])
    part = b.add("STRIDED_SLICE", [flat, *(b.constant(np.int32(v)) for v in ([0, 3], [1, 90], [1, 1]))], [1, 87])
    check(b, [part, flat, b.add("CONV_2D", [y, *filters(b, 8, 1, 1, 8)])], normal(1, 4, 4, 8))


def test_operands_that_are_no_rows() -> None:
    """Transposed views, constants and repeated operands are brought to what primitives read."""
    b = GraphBuilder()
    x = b.input(F32, [6, 20, 30])
    turned = b.add("TRANSPOSE", [x, b.constant(np.int32([0, 2, 1]))], [6, 30, 20])
    product = b.add("BATCH_MATMUL", [turned, x], [6, 30, 30])
    shifted = b.add("SUB", [b.add("MUL", [product, b.constant(normal(30))]), b.constant(np.float32(2))])
    product = b.add("BATCH_MATMUL", [shifted, x], [6, 30, 20], adj_y=True)
    watched = check(b, [product], normal(6, 20, 30))
    assert watched.primitives == [["BATCH_MATMUL", "MUL", "SUB"], ["BATCH_MATMUL"]]


def test_parts_of_the_arena() -> None:
    """Gates of a recurrent cell, cut out of one product and joined again; turned and cut along other dimensions."""
    b = GraphBuilder()
    x = b.input(F32, [4, 12])
    gates = b.add("FULLY_CONNECTED", [x, b.constant(normal(40, 12)), b.constant(normal(40))], [4, 40])
    parts = [b.tensor(F32, [4, 10]) for _ in range(4)]
    b.op("SPLIT", [b.constant(np.int32(1)), gates], parts, num_splits=4)
    cell = b.add("ADD", [b.add("MUL", [b.add("LOGISTIC", [parts[0]]), b.add("TANH", [parts[1]])]), parts[2]])
    turned = b.add("TRANSPOSE", [cell, b.constant(np.int32([1, 0]))], [10, 4])
    joined = b.add("CONCATENATION", [turned, b.add("TANH", [turned])], [20, 4], axis=0)
    watched = check(b, [joined, parts[3]], normal(4, 12))
    assert watched.primitives == [["FULLY_CONNECTED"], ["LOGISTIC"], ["TANH"], ["MUL", "ADD"], ["TANH"]]


def test_rows_of_any_rank() -> None:
    b = GraphBuilder()
    x = b.input(F32, [2, 5, 64])
    weights = [b.constant(normal(64, 64)), b.constant(normal(64))]
    y = b.add("FULLY_CONNECTED", [x, *weights], keep_num_dims=True)
    y = b.add("ADD", [b.add("GELU", [y]), x])
    watched = check(b, [b.add("MUL", [y, b.constant(normal(64))])], normal(2, 5, 64))
    assert watched.primitives == [["FULLY_CONNECTED", "GELU", "ADD", "MUL"]]


def test_calls_side_by_side() -> None:
    """One engine, eight threads: each has memory of its own."""
    engine = Engine(load_model(write_model(mobilenet_v2(resolution=32))), [Watched()])
    graph = engine.model.graphs[0]
    images = [normal(1, 32, 32, 3) for _ in range(8)]
    expected = [call(engine, image) for image in images]
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(20):
            (got,), (want,) = call(engine, images[number]), expected[number]
            if not np.array_equal(got, want):
                wrong.append(number)

    side_by_side(8, work)
    assert not wrong
    assert graph.outputs


def test_recurrent_network() -> None:
    """Steps of a cell one after another, cut out of sequences: small tensors, many views, long lives."""
    b = GraphBuilder()
    x, zero = b.input(F32, [2, 6, 8]), b.constant(np.zeros((2, 5), np.float32))
    frames = [b.tensor(F32, [2, 8]) for _ in range(6)]
    b.op("UNPACK", [x], frames, num=6, axis=1)
    weights = [b.constant(normal(20, 8)), b.constant(normal(20)), b.constant(normal(20, 5))]
    hidden = cell = zero
    kept = []
    for frame in frames:
        gates = b.add("FULLY_CONNECTED", [frame, *weights[:2]], [2, 20])
        gates = b.add("ADD", [gates, b.add("FULLY_CONNECTED", [hidden, weights[2], -1], [2, 20])], [2, 20])
        parts = [b.tensor(F32, [2, 5]) for _ in range(4)]
        b.op("SPLIT", [b.constant(np.int32(1)), gates], parts, num_splits=4)
        entering = b.add("MUL", [b.add("LOGISTIC", [parts[0]]), b.add("TANH", [parts[1]])])
        cell = b.add("ADD", [b.add("MUL", [b.add("LOGISTIC", [parts[2]]), cell]), entering])
        hidden = b.add("MUL", [b.add("LOGISTIC", [parts[3]]), b.add("TANH", [cell])])
        kept.append(hidden)
    sequence = b.add("PACK", kept, [2, 6, 5], values_count=6, axis=1)
    check(b, [sequence, cell], normal(2, 6, 8))


@pytest.mark.parametrize("quantized", [False, True], ids=["float32", "int8"])
@pytest.mark.parametrize("count", [1, 2])
def test_network(quantized: bool, count: int) -> None:
    made = load_model(write_model(mobilenet_v2(quantized=quantized, resolution=64)))
    image = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype(np.float32)
    image = np.clip(image * 50, -128, 127).astype(np.int8) if quantized else image
    watched = Watched(count)
    (got,), (want,) = call(Engine(made, [watched]), image), call(Engine(made, [CpuDelegate(1, "numpy")]), image)
    close(got, want, steps=3)
    assert len(watched.primitives) >= 54


def test_weights_are_packed_once() -> None:
    """Engines of equal weights share them, and they go with the last one."""
    engines = [Engine(load_model(write_model(mobilenet_v2(resolution=32))), [watched := Watched()]) for _ in range(2)]
    kept = []
    for engine in engines:
        call(engine, normal(1, 32, 32, 3))
        delegate = engine.delegates[0]
        assert isinstance(delegate, Watched)
        steps = [s for s in delegate.programs[0].steps if isinstance(s, Execution)]
        kept.append([id(array) for step in steps for array in step.kept if array.nbytes > 10_000])
    assert kept[0] == kept[1]
    packed = weakref.ref(watched.programs[0].steps[4].kept[0])  # type: ignore[union-attr]
    del engines, engine, delegate, steps, watched
    gc.collect()
    assert packed() is None


def test_a_forked_process_runs_with_one_thread() -> None:
    """The threads of OpenMP are not there, and nobody waits for them: neither in old programs nor in new ones."""
    made, image = load_model(write_model(mobilenet_v2(resolution=64))), normal(1, 64, 64, 3)
    engine = Engine(made, [Watched(2)])
    (expected,) = call(engine, image)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()

    def run() -> None:
        for each in (engine, Engine(made, [Watched(2)])):
            queue.put(call(each, image)[0])

    child = context.Process(target=run)
    child.start()
    for _ in range(2):
        np.testing.assert_allclose(queue.get(timeout=60), expected, rtol=1e-4, atol=1e-6)
    child.join()


def test_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TFLITE_CUPY_CPU_KERNELS", raising=False)
    assert kernels_in_use() == "onednn"
    monkeypatch.setenv("TFLITE_CUPY_CPU_KERNELS", "numpy")
    assert kernels_in_use() == "numpy"
    assert kernels_in_use("onednn") == "onednn"
    with pytest.raises(InputError, match="'mkl' is none of"):
        CpuDelegate(1, "mkl")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, True),
        ({"cpu_kernels": "numpy"}, False),
        ({"experimental_op_resolver_type": OpResolverType.BUILTIN_REF}, False),
        ({"experimental_op_resolver_type": OpResolverType.BUILTIN_REF, "cpu_kernels": "onednn"}, True),
    ],
)
def test_interpreters(options: dict[str, Any], expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What reports say of a partition tells which kernels it has."""
    monkeypatch.delenv("TFLITE_CUPY_CPU_KERNELS", raising=False)
    interpreter = Interpreter(model_content=one_signature(), device="cpu", **options)
    interpreter.get_signature_runner()(x=normal(2, 3))
    (partition,) = interpreter.delegation_report().subgraphs[0].partitions
    assert ("onednn_primitives" in partition.details) is expected

"""The integer model: scales shared and fixed, borders between integer and float nodes, inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import BOOL, F32, I32, STRING, GraphBuilder, model
from tests.litert import OPTIMIZED, PLAIN
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import Graph

from .families import FAMILIES, weights
from .official import decibels, operators, reference

SHAPE = [1, 4, 4, 8]


def build(inputs: int, body: Callable[..., Sequence[int]], shape: Sequence[int | None] = SHAPE) -> bytes:
    """A model of signature "run": inputs x0, x1, ... of one shape, outputs y0, y1, ..."""
    b = GraphBuilder()
    xs = [b.input(F32, shape, f"x{i}") for i in range(inputs)]
    ys = body(b, *xs)
    slots = {f"x{i}": x for i, x in enumerate(xs)}, {f"y{i}": y for i, y in enumerate(ys)}
    return write_model(model(b.graph(ys), signatures={"run": (0, *slots)}))


def data(count: int, shape: Sequence[int] = SHAPE) -> list[dict[str, np.ndarray]]:
    random = np.random.default_rng(1)
    return [{f"x{i}": random.normal(size=shape).astype(np.float32) for i in range(count)} for _ in range(3)]


def integer(content: bytes, samples: Sequence[dict[str, np.ndarray]], **options: str) -> Graph:
    (graph,) = lite.load_model(lite.quantize(content, "int8", samples, **options)).graphs  # type: ignore[arg-type]
    return graph


def scale(graph: Graph, tensor: int) -> tuple[float, int]:
    quantization = graph.tensors[tensor].quantization
    assert quantization is not None
    return float(quantization.scales[0]), int(quantization.zero_points[0])


def names(graph: Graph) -> list[str]:
    return [node.name for node in graph.nodes]


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("SOFTMAX", (1 / 256, -128)),
        ("LOGISTIC", (1 / 256, -128)),
        ("TANH", (1 / 128, 0)),
        ("L2_NORMALIZATION", (1 / 128, 0)),
        ("LOG_SOFTMAX", (16 / 256, 127)),
    ],
)
def test_fixed_scales(operator: str, expected: tuple[float, int]) -> None:
    """Results have the scale that kernels take for granted, also behind operators that move them."""

    def body(b: GraphBuilder, x: int) -> list[int]:
        return [b.add("RESHAPE", [b.add(operator, [x]), b.constant(np.int32([128]))], [128])]

    graph = integer(build(1, body), data(1))
    assert names(graph) == ["QUANTIZE", operator, "RESHAPE", "DEQUANTIZE"]
    assert [scale(graph, node.outputs[0]) for node in graph.nodes[1:3]] == [expected, expected]


def test_one_scale_through_operators_that_move() -> None:
    def body(b: GraphBuilder, x: int) -> list[int]:
        pool = b.add(
            "MAX_POOL_2D", [x], [1, 2, 2, 8], padding=1, stride_w=2, stride_h=2, filter_width=2, filter_height=2
        )
        return [b.add("TRANSPOSE", [pool, b.constant(np.int32([0, 3, 1, 2]))], [1, 8, 2, 2])]

    graph = integer(build(1, body), data(1))
    assert len({scale(graph, node.outputs[0]) for node in graph.nodes[:-1]}) == 1


def test_a_concatenation_gives_its_operands_its_own_scale() -> None:
    def body(b: GraphBuilder, x: int, y: int) -> list[int]:
        twice = b.add("ADD", [y, y])
        return [b.add("CONCATENATION", [b.add("RELU", [x]), twice], [1, 4, 4, 16], axis=3)]

    graph = integer(build(2, body), data(2))
    (joined,) = [node for node in graph.nodes if node.name == "CONCATENATION"]
    assert len({scale(graph, t) for t in (*joined.inputs, *joined.outputs)}) == 1
    assert names(graph).count("QUANTIZE") == 2  # of the inputs: nothing is requantised


def test_an_operand_with_a_scale_of_its_own_is_requantised() -> None:
    def body(b: GraphBuilder, x: int, y: int) -> list[int]:
        first = b.add("SOFTMAX", [x], beta=1.0)
        return [b.add("CONCATENATION", [first, y], [1, 4, 4, 16], axis=3), first]

    graph = integer(build(2, body), data(2))
    (joined,) = [node for node in graph.nodes if node.name == "CONCATENATION"]
    assert len({scale(graph, t) for t in (*joined.inputs, *joined.outputs)}) == 1
    (softmax,) = [node for node in graph.nodes if node.name == "SOFTMAX"]
    between = [node for node in graph.nodes if node.name == "QUANTIZE" and node.inputs == softmax.outputs]
    assert [node.outputs[0] for node in between] == [joined.inputs[0]]


def test_two_concatenations_that_disagree() -> None:
    def body(b: GraphBuilder, x: int, y: int) -> list[int]:
        r = b.add("RELU", [x])
        return [
            b.add("CONCATENATION", [r, y], [1, 4, 4, 16], axis=3),
            b.add("CONCATENATION", [r, b.add("MUL", [y, y])], [1, 4, 4, 16], axis=3),
        ]

    graph = integer(build(2, body), data(2))
    for joined in (node for node in graph.nodes if node.name == "CONCATENATION"):
        assert len({scale(graph, t) for t in (*joined.inputs, *joined.outputs)}) == 1
    assert names(graph).count("QUANTIZE") == 3


def test_constants_of_same_scale_operators() -> None:
    def body(b: GraphBuilder, x: int) -> list[int]:
        return [b.add("MAXIMUM", [x, b.constant(np.float32(0.5))])]

    graph = integer(build(1, body), data(1))
    (node,) = [node for node in graph.nodes if node.name == "MAXIMUM"]
    assert len({scale(graph, t) for t in (*node.inputs, *node.outputs)}) == 1


def test_float_nodes_between_integer_nodes() -> None:
    def body(b: GraphBuilder, x: int) -> list[int]:
        r = b.add("RELU", [x])
        return [b.add("MUL", [b.add("SIN", [r]), r]), b.add("SIN", [r])]

    content, report = lite.quantize_with_report(build(1, body), "int8", data(1))
    (graph,) = lite.load_model(content).graphs
    assert sorted(names(graph)) == ["DEQUANTIZE", "DEQUANTIZE", "MUL", "QUANTIZE", "QUANTIZE", "RELU", "SIN", "SIN"]
    assert [outcome.op for outcome in report.kept_float] == ["SIN", "SIN"]
    assert "SIN [at subgraphs[0].operators[1]] stays float: operator SIN has no kernel for int8." in str(report)
    with pytest.raises(lite.ConversionError, match=r"2 nodes can't run on int8.*SIN \[at subgraphs\[0\]"):
        lite.quantize(build(1, body), "int8", data(1), allow_float=False)


def test_weights_shared_by_users_of_several_kinds() -> None:
    """Products share one int8 form; a sum has its own, with one scale; each product has its own bias."""
    matrix, vector = weights(8, 8), weights(8)

    def body(b: GraphBuilder, x: int) -> list[int]:
        w, c = b.constant(matrix), b.constant(vector)
        first = b.add("FULLY_CONNECTED", [x, w, c])
        return [b.add("FULLY_CONNECTED", [first, w, c]), b.add("ADD", [x, w]), b.add("ADD", [x, c])]

    content = build(1, body, [8, 8])
    graph = integer(content, data(1, [8, 8]))
    first, second, *sums = [node for node in graph.nodes if node.name in ("FULLY_CONNECTED", "ADD")]
    assert first.inputs[1] == second.inputs[1]
    assert first.inputs[2] != second.inputs[2]
    kinds = [graph.tensors[node.inputs[1]] for node in (first, *sums)]
    assert [len(t.quantization.scales) for t in kinds if t.quantization] == [8, 1, 1]
    assert graph.tensors[first.inputs[2]].type is lite.TensorType.INT32


def test_a_bias_beyond_int32_widens_the_weights_scale() -> None:
    matrix, bias = 1e-6 * weights(4, 8), np.float32([1e4, 1, 2, 3])

    def body(b: GraphBuilder, x: int) -> list[int]:
        return [b.add("FULLY_CONNECTED", [x, b.constant(matrix), b.constant(bias)], [1, 4])]

    content = build(1, body, [1, 8])
    graph = integer(content, data(1, [1, 8]))
    (node,) = [node for node in graph.nodes if node.name == "FULLY_CONNECTED"]
    stored, parameters = (graph.tensors[node.inputs[2]].data, graph.tensors[node.inputs[2]].quantization)
    assert stored is not None
    assert parameters is not None
    np.testing.assert_allclose(stored * parameters.scales, bias, rtol=1e-6)
    assert np.abs(stored.astype(np.int64)).max() <= 2**30


@pytest.mark.parametrize("kind", ["float32", "int8", "uint8"])
def test_inputs_and_outputs(kind: str) -> None:
    """The same numbers, whatever the type at the border."""

    def body(b: GraphBuilder, x: int) -> list[int]:
        r = b.add("RELU", [x])
        return [r, b.add("SIN", [r]), x]

    samples = data(1)
    content = lite.quantize(build(1, body), "int8", samples, inputs=kind, outputs=kind)  # type: ignore[arg-type]
    runner = lite.Interpreter(model_content=content).get_signature_runner()
    details = {**runner.get_input_details(), **runner.get_output_details()}
    assert {d["dtype"] for d in details.values()} == {np.dtype(kind).type}

    def real(name: str, value: np.ndarray) -> np.ndarray:
        factor, offset = details[name]["quantization"]
        return value if kind == "float32" else (value.astype(np.float32) - offset) * np.float32(factor)

    x, given = samples[0]["x0"], samples[0]["x0"]
    if kind != "float32":
        factor, offset = details["x0"]["quantization"]
        bounds = np.iinfo(np.dtype(kind))
        given = np.clip(np.round(x / factor) + offset, bounds.min, bounds.max).astype(kind)
    got = {name: real(name, value) for name, value in runner(x0=given).items()}
    for name, want in (("y0", np.maximum(x, 0)), ("y1", np.sin(np.maximum(x, 0))), ("y2", x)):
        assert decibels(want, got[name] - want) > 35


def test_unsigned_borders_are_requantised_once_each() -> None:
    content = lite.quantize(
        FAMILIES["dense"].content(), "int8", FAMILIES["dense"].samples(), inputs="uint8", outputs="uint8"
    )
    assert operators(content) == {"QUANTIZE": 2, "FULLY_CONNECTED": 1}


def test_division_by_what_may_be_zero_stays_float() -> None:
    _, report = lite.quantize_with_report(build(2, lambda b, x, y: [b.add("DIV", [x, y])]), "int8", data(2))
    assert "so near to 0" in report.kept_float[0].reason


@pytest.mark.reference
@pytest.mark.parametrize("operator", ["ADD", "SUB", "SQUARED_DIFFERENCE", "MUL"])
def test_results_that_calibration_saw_as_nothing(operator: str) -> None:
    """Their scales are not so small that kernels of the reference end the process."""

    def body(b: GraphBuilder, x: int) -> list[int]:
        other = b.add("SUB", [b.add("RELU", [x]), b.add("RELU", [x])])
        return [b.add("SOFTMAX", [b.add(operator, [other, b.add("MUL", [other, other])])], beta=1.0)]

    samples = [{"x0": 100 * sample["x0"]} for sample in data(1)]
    content = lite.quantize(build(1, body), "int8", samples)
    for kernels in (PLAIN, OPTIMIZED):
        got = reference(content, kernels).get_signature_runner()(**samples[0])["y0"]
        np.testing.assert_allclose(got, np.full(SHAPE, 1 / 8), atol=0.01)


def test_numbers_beside_real_ones_are_left_alone() -> None:
    """Integers, booleans and strings keep their types, and operators on them are not spoken of."""
    b = GraphBuilder()
    x, n, s = b.input(F32, [4], "x"), b.input(I32, [4], "n"), b.input(STRING, [2], "s")
    outputs = [b.add("RELU", [x]), b.add("ADD", [n, n]), b.add("RESHAPE", [s, b.constant(np.int32([1, 2]))], [1, 2])]
    outputs += b.op("GREATER", [n, n], [b.tensor(BOOL, [4])])
    inputs, named = {"x": x, "n": n, "s": s}, {f"y{i}": y for i, y in enumerate(outputs)}
    content = write_model(model(b.graph(outputs), signatures={"run": (0, inputs, named)}))
    sample = {"x": np.float32([-1, 0, 1, 2]), "n": np.int32([1, 2, 3, 4]), "s": np.array([b"a", b"b"], object)}
    small, report = lite.quantize_with_report(content, "int8", [sample])
    assert [outcome.op for outcome in report.outcomes] == ["RELU"]
    got = lite.Interpreter(model_content=small).get_signature_runner()(**sample)
    assert got["y1"].tolist() == [2, 4, 6, 8]
    assert got["y2"].tolist() == [[b"a", b"b"]]
    np.testing.assert_allclose(got["y0"], [0, 0, 1, 2], atol=0.02)


def test_unknown_dimensions() -> None:
    content = build(1, lambda b, x: [b.add("RELU", [x])], [None, 8])
    runner = lite.Interpreter(model_content=lite.quantize(content, "int8", data(1, [3, 8]))).get_signature_runner()
    assert runner(x0=np.ones([5, 8], np.float32))["y0"].shape == (5, 8)


def test_half_precision_files_can_be_quantised_further() -> None:
    family = FAMILIES["dense"]
    half = lite.quantize(family.content(), "float16")
    for mode, operator in (("dynamic", {"FULLY_CONNECTED": 1}), ("int8", None)):
        content = lite.quantize(half, mode, family.samples() if mode == "int8" else None)  # type: ignore[arg-type]
        assert operators(content) == (operator or {"QUANTIZE": 1, "FULLY_CONNECTED": 1, "DEQUANTIZE": 1})


def test_the_same_data_gives_the_same_bytes() -> None:
    family = FAMILIES["conv"]
    first, second = (lite.quantize(family.content(), "int8", family.samples()) for _ in range(2))
    assert first == second


def test_unused_constants_leave_the_file() -> None:
    family = FAMILIES["dense"]
    (graph,) = lite.load_model(lite.quantize(family.content(), "int8", family.samples())).graphs
    assert not any(t.data is not None and t.type is lite.TensorType.FLOAT32 for t in graph.tensors)
    assert {s.key for s in lite.load_model(family.content()).signatures} == {"run"}

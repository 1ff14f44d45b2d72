"""Layers with states: 8-bit weights, and integers throughout where there are kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import F32, GraphBuilder, model
from tests.litert import OPTIMIZED, PLAIN
from tflite_cupy.interpreter.format.writer import write_model

from .families import weights
from .official import decibels, operators, reference

TANH, RELU = 4, 1
STEPS, DEPTH, UNITS = 5, 36, 32


def lstm(b: GraphBuilder, x: int, *, gates: int = 4, peepholes: bool = False, projection: bool = False) -> int:
    """UNIDIRECTIONAL_SEQUENCE_LSTM; with three gates the input gate is coupled to the forget gate."""
    absent = [-1] * (4 - gates)

    def each(*shape: int) -> list[int]:
        return absent + [b.constant(0.2 * weights(*shape, seed=s)) for s in range(gates)]

    seen = [b.constant(0.2 * weights(UNITS, seed=s)) for s in range(3)] if peepholes else [-1] * 3
    project = [b.constant(0.2 * weights(UNITS, UNITS)) if projection else -1, -1]
    states = [b.variable(F32, [1, UNITS]), b.variable(F32, [1, UNITS])]
    operands = [x, *each(UNITS, DEPTH), *each(UNITS, UNITS), *seen, *each(UNITS), *project, *states]
    (y,) = b.op(
        "UNIDIRECTIONAL_SEQUENCE_LSTM", [*operands, *[-1] * 4], [b.tensor(F32, [1, STEPS, UNITS])],
        fused_activation_function=TANH, cell_clip=10.0,
    )  # fmt: skip
    return y


def rnn(b: GraphBuilder, x: int) -> int:
    parts = [weights(UNITS, DEPTH), 0.1 * weights(UNITS, UNITS), weights(UNITS)]
    operands = [x, *map(b.constant, parts), b.variable(F32, [1, UNITS])]
    outputs = [b.tensor(F32, [1, STEPS, UNITS])]
    return b.op("UNIDIRECTIONAL_SEQUENCE_RNN", operands, outputs, fused_activation_function=TANH)[0]


def svdf(b: GraphBuilder, x: int) -> int:
    parts = [weights(2 * UNITS, DEPTH), weights(2 * UNITS, 6), weights(UNITS)]
    operands = [x, *map(b.constant, parts), b.variable(F32, [1, 12 * UNITS])]
    return b.op("SVDF", operands, [b.tensor(F32, [1, UNITS])], rank=2, fused_activation_function=RELU)[0]


def content(build: Callable[..., int], *shape: int, **options: Any) -> bytes:
    b = GraphBuilder()
    x = b.input(F32, shape, "x")
    y = build(b, x, **options)
    return write_model(model(b.graph([y]), signatures={"run": (0, {"x": x}, {"y": y})}))


def samples(*shape: int) -> list[dict[str, np.ndarray]]:
    random = np.random.default_rng(1)
    return [{"x": random.normal(size=shape).astype(np.float32)} for _ in range(6)]


SEQUENCE, ROW = (1, STEPS, DEPTH), (1, DEPTH)
CASES = {
    "lstm": (content(lstm, *SEQUENCE), SEQUENCE),
    "lstm with coupled gates": (content(lstm, *SEQUENCE, gates=3), SEQUENCE),
    "rnn": (content(rnn, *SEQUENCE), SEQUENCE),
    "svdf": (content(svdf, *ROW), ROW),
}


def run(interpreter: Any, data: list[dict[str, np.ndarray]]) -> np.ndarray:
    """Outputs of calls one after another, which the states connect."""
    runner = interpreter.get_signature_runner("run")
    return np.stack([runner(**sample)["y"] for sample in data])


@pytest.mark.reference
@pytest.mark.parametrize("mode", ["dynamic", "float16", "int8"])
@pytest.mark.parametrize("name", CASES)
def test_layers(name: str, mode: str) -> None:
    source, shape = CASES[name]
    data = samples(*shape)
    small = lite.quantize(source, mode, data if mode == "int8" else None)  # type: ignore[arg-type]
    expected, got = (run(lite.Interpreter(model_content=c), data) for c in (source, small))
    assert decibels(expected, got - expected) > {"dynamic": 33, "float16": 60, "int8": 28}[mode]
    slack = {"dynamic": 5e-3, "float16": 2e-5, "int8": 2e-5}[mode]  # hybrid kernels round anew what a state hands on
    step = 0.0 if mode != "int8" else float(np.ptp(expected)) / 200
    np.testing.assert_allclose(got, run(reference(small, PLAIN), data), rtol=0, atol=slack)
    np.testing.assert_allclose(got, run(reference(small, OPTIMIZED), data), rtol=0, atol=slack + step)


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("lstm", 2, {"QUANTIZE": 1, "UNIDIRECTIONAL_SEQUENCE_LSTM": 1, "DEQUANTIZE": 1}),
        ("lstm with coupled gates", 2, {"QUANTIZE": 1, "UNIDIRECTIONAL_SEQUENCE_LSTM": 1, "DEQUANTIZE": 1}),
        ("svdf", 3, {"QUANTIZE": 1, "SVDF": 1, "DEQUANTIZE": 1}),
    ],
)
def test_integer_layers(name: str, version: int, expected: dict[str, int]) -> None:
    source, shape = CASES[name]
    small = lite.quantize(source, "int8", samples(*shape), allow_float=False)
    assert operators(small) == expected
    (graph,) = lite.load_model(small).graphs
    node = graph.nodes[1]
    assert node.version == version
    kinds = {graph.tensors[i].type.name for i in node.inputs if i >= 0}
    assert kinds == {"INT8", "INT16", "INT32"}


@pytest.mark.parametrize(("name", "version"), [("lstm", 3), ("rnn", 3), ("svdf", 4)])
def test_hybrid_layers(name: str, version: int) -> None:
    (graph,) = lite.load_model(lite.quantize(CASES[name][0], "dynamic")).graphs
    (node,) = graph.nodes
    assert (node.version, node.attributes["asymmetric_quantize_inputs"]) == (version, True)
    matrices = [graph.tensors[i] for i in node.inputs if i >= 0 and len(graph.tensors[i].shape) == 2]
    assert {t.type.name for t in matrices if t.data is not None} == {"INT8"}


@pytest.mark.parametrize(
    ("source", "shape", "says"),
    [
        (CASES["rnn"][0], SEQUENCE, "operator UNIDIRECTIONAL_SEQUENCE_RNN has no kernel for int8."),
        (content(lstm, *SEQUENCE, projection=True), SEQUENCE, "a projection, whose inner ranges calibration does not"),
    ],
)
def test_layers_that_stay_float(source: bytes, shape: tuple[int, ...], says: str) -> None:
    small, report = lite.quantize_with_report(source, "int8", samples(*shape))
    assert operators(small) == operators(source)
    assert says in report.kept_float[0].reason


def test_peepholes() -> None:
    source = content(lstm, *SEQUENCE, peepholes=True)
    data = samples(*SEQUENCE)
    small = lite.quantize(source, "int8", data, allow_float=False)
    expected, got = (run(lite.Interpreter(model_content=c), data) for c in (source, small))
    assert decibels(expected, got - expected) > 28

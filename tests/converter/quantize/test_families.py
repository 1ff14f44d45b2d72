"""Every operator family, quantised in every mode: on our runtime and on the reference's kernels."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.litert import DEFAULT, OPTIMIZED, PLAIN

from .families import FAMILIES, Family
from .official import decibels, operators, reference

LEAST = {"dynamic": 35.0, "float16": 60.0}
"""Decibels of signal over noise."""


@cache
def quantized(name: str, mode: str) -> tuple[bytes, lite.QuantizationReport]:
    family = FAMILIES[name]
    data = {"run": _inputs(family)} if mode == "int8" else None
    return lite.quantize_with_report(family.content(), mode, data)  # type: ignore[arg-type]


def _inputs(family: Family) -> list[dict[str, np.ndarray]]:
    return family.samples() if family.inputs else [{"ids": np.array([0, 7, 39], np.int32)}]


def _run(interpreter: Any, sample: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    results = interpreter.get_signature_runner("run")(**sample)
    return {name: np.asarray(value) for name, value in results.items()}


@pytest.mark.parametrize("mode", ["dynamic", "float16", "int8"])
@pytest.mark.parametrize("name", FAMILIES)
def test_results_are_near_those_of_the_float_model(name: str, mode: str) -> None:
    family, (content, _) = FAMILIES[name], quantized(name, mode)
    sample = _inputs(family)[0]
    expected = _run(lite.Interpreter(model_content=family.content()), sample)
    got = _run(lite.Interpreter(model_content=content), sample)
    least = family.decibels if mode == "int8" else LEAST[mode]
    for output, want in expected.items():
        assert got[output].dtype == want.dtype
        assert decibels(want, got[output] - want) >= least


@pytest.mark.reference
@pytest.mark.parametrize("mode", ["dynamic", "float16", "int8"])
@pytest.mark.parametrize("name", FAMILIES)
def test_the_reference_gives_the_same(name: str, mode: str) -> None:
    """Kernels written to be read give our bits, faster ones are one step of the output's scale away at most."""
    content, _ = quantized(name, mode)
    sample = _inputs(FAMILIES[name])[0]
    got = _run(lite.Interpreter(model_content=content), sample)
    step = _greatest_scale(content) if mode == "int8" else 0.0
    for kernels in (PLAIN, OPTIMIZED, DEFAULT):
        for output, value in _run(reference(content, kernels), sample).items():
            slack = 1e-5 * float(np.abs(value).max(initial=1))
            np.testing.assert_allclose(got[output], value, rtol=0, atol=slack if kernels == PLAIN else slack + step)


def _greatest_scale(content: bytes) -> float:
    (graph,) = lite.load_model(content).graphs
    sources = [graph.tensors[n.inputs[0]].quantization for n in graph.nodes if n.name == "DEQUANTIZE"]
    return max((float(q.scales[0]) for q in sources if q is not None), default=0.0)


@pytest.mark.parametrize("name", FAMILIES)
def test_operators_of_the_integer_model(name: str) -> None:
    family, (content, report) = FAMILIES[name], quantized(name, "int8")
    counts = operators(content)
    if family.stays_float:
        assert counts == operators(family.content())
        assert [outcome.quantized for outcome in report.outcomes] == [False]
        assert "has no kernel for int8" in report.outcomes[0].reason
        return
    assert report.kept_float == ()
    (graph,) = lite.load_model(content).graphs
    inner = [node for node in graph.nodes if node.name not in ("QUANTIZE", "DEQUANTIZE")]
    assert [node.name for node in inner] == family.integer.split()
    assert counts.get("QUANTIZE", 0) == len(family.inputs)
    for node in inner:
        assert not any(
            graph.tensors[i].type is lite.TensorType.FLOAT32 for i in (*node.inputs, *node.outputs) if i >= 0
        )


HYBRID = {
    "conv": ("CONV_2D", 5, 12),
    "depthwise": ("DEPTHWISE_CONV_2D", 6, 24),
    "dense": ("FULLY_CONNECTED", 12, 32),
    "transposed": ("TRANSPOSE_CONV", 2, 12),
    "transposed with bias": ("TRANSPOSE_CONV", 3, 12),
    "batch matmul, constant": ("BATCH_MATMUL", 4, 1),
    "gather": ("GATHER", 2, 1),
    "embedding": ("EMBEDDING_LOOKUP", 3, 1),
}
"""Operators with 8-bit weights: version, and the number of scales."""


@pytest.mark.parametrize("name", FAMILIES)
def test_weights_of_the_hybrid_model(name: str) -> None:
    content, report = quantized(name, "dynamic")
    (graph,) = lite.load_model(content).graphs
    eight = {i: t for i, t in enumerate(graph.tensors) if t.type is lite.TensorType.INT8 and t.data is not None}
    readers = [node for node in graph.nodes if not eight.keys().isdisjoint(node.inputs)]
    if name not in HYBRID:
        assert bool(readers) == bool(report.quantized)
        return
    operator, version, scales = HYBRID[name]
    ((_, tensor),) = eight.items()
    assert tensor.quantization is not None
    assert (readers[0].name, readers[0].version, len(tensor.quantization.scales)) == (operator, version, scales)
    assert not tensor.quantization.zero_points.any()
    assert np.min(tensor.data) >= -127
    assert readers[0].attributes.get("asymmetric_quantize_inputs", True)


@pytest.mark.parametrize("name", FAMILIES)
def test_constants_of_the_half_precision_model(name: str) -> None:
    before = lite.load_model(FAMILIES[name].content()).graphs[0]
    after = lite.load_model(quantized(name, "float16")[0]).graphs[0]
    real = [t for t in before.tensors if t.data is not None and t.type is lite.TensorType.FLOAT32]
    halves = [t for t in after.tensors if t.data is not None and t.type is lite.TensorType.FLOAT16]
    assert len(halves) == len(real) == sum(node.name == "DEQUANTIZE" for node in after.nodes)
    assert all(node.version == 3 for node in after.nodes if node.name == "DEQUANTIZE")

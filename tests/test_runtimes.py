"""The runtimes give the same arrays for the same inputs, whoever computes them."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests import models
from tests.build import F32, STRING, GraphBuilder, model
from tests.emulator.device import EmulatedGpuDelegate
from tests.fakes import FakeArray
from tflite_cupy.interpreter.errors import (
    InputError,
    KernelError,
    MissingDependencyError,
    ModelError,
    StateError,
    UnsupportedError,
)
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.runtimes import LITERT, NAMES, entry, open_runtime

X: Any = np.float32([[1, 2, 3], [4, 5, 6]])


def named(*names: str) -> list[object]:
    """Parameters with the marks that say what must be installed."""
    marks = dict.fromkeys(LITERT, pytest.mark.reference) | {"tensorflow": pytest.mark.flex}
    return [pytest.param(name, marks=marks[name]) if name in marks else name for name in names]


EVERY = named(*(name for name in NAMES if name not in ("gpu", "onednn")))


def unsigned() -> bytes:
    """x float32 [2, 3] -> tanh(x) + tanh(x), a tensor without a name, and no signature."""
    b = GraphBuilder()
    x = b.input(F32, [2, 3], "x")
    t = b.add("TANH", [x])
    return write_model(model(b.graph([b.add("ADD", [t, t])])))


def stranger() -> bytes:
    """A custom operator that nobody knows."""
    b = GraphBuilder()
    x = b.input(F32, [2, 3], "x")
    return write_model(model(b.graph([b.add("Unheard", [x])])))


def lone_string() -> bytes:
    """s(x string []) -> y string [1]."""
    b = GraphBuilder()
    x = b.input(STRING, [], "x")
    y = b.add("RESHAPE", [x, b.constant(np.int32([1]))], [1])
    return write_model(model(b.graph([y]), signatures={"s": (0, {"x": x}, {"y": y})}))


@pytest.mark.parametrize("name", EVERY)
def test_a_signature_of_another_subgraph_at_any_size(name: str) -> None:
    with open_runtime(name, models.add_sub(), threads=1) as runtime:
        for size in (2, 3, 0):
            a, b = np.arange(size, dtype=np.float32), np.full(size, 2, np.float32)
            outputs = runtime.call("sub", {"b": b, "a": a})
            assert sorted(outputs) == ["diff", "prod"]
            np.testing.assert_array_equal(outputs["diff"], a - b, strict=True)
            np.testing.assert_array_equal(outputs["prod"], a * b, strict=True)


@pytest.mark.parametrize("name", EVERY)
def test_strings_and_scalars(name: str) -> None:
    with open_runtime(name, models.passthrough()) as runtime:
        row = runtime.call("strings", {"s": ["a", "b\0c"]})["row"]
        assert row.dtype == object
        assert row.tolist() == [[b"a", b"b\0c"]]
        twice = runtime.call("scalar", {"n": np.int32(4)})["twice"]
        assert (type(twice), twice.shape, int(twice)) == (np.ndarray, (), 8)
    with open_runtime(name, lone_string()) as runtime:
        assert runtime.call(None, {"x": b"abc"})["y"].tolist() == [b"abc"]


@pytest.mark.parametrize("name", named("numpy", "litert-reference"))
def test_eight_bit_floats(name: str) -> None:
    b = GraphBuilder()
    x = b.input(TensorType.FLOAT8_E5M2, [2], "x")
    y = b.add("RESHAPE", [x, b.constant(np.int32([2, 1]))], [2, 1])
    content = write_model(model(b.graph([y]), signatures={"s": (0, {"x": x}, {"y": y})}))
    value = np.array([1, -2], ml_dtypes.float8_e5m2)
    result = open_runtime(name, content).call("s", {"x": value})["y"]
    assert result.dtype == value.dtype
    assert result.astype(np.float32).tolist() == [[1.0], [-2.0]]


@pytest.mark.parametrize("name", EVERY)
def test_a_model_without_signatures_is_called_by_the_names_of_its_tensors(name: str) -> None:
    with open_runtime(name, unsigned()) as runtime:
        (output,) = runtime.call(None, {"x": X}).values()
        np.testing.assert_allclose(output, 2 * np.tanh(X), rtol=1e-5)
        with pytest.raises(InputError, match=r"no signatures"):
            runtime.repeated(None, {"x": X})


@pytest.mark.parametrize("name", EVERY)
def test_every_tensor_of_a_call(name: str) -> None:
    with open_runtime(name, unsigned(), keep_all=True) as runtime:
        found = runtime.tensors(None, {"x": X})
    assert sorted(found) == [1, 2]
    np.testing.assert_allclose(found[1], np.tanh(X), rtol=1e-5)
    np.testing.assert_allclose(found[2], 2 * np.tanh(X), rtol=1e-5)


@pytest.mark.parametrize("name", EVERY)
def test_runs_with_inputs_set(name: str) -> None:
    with open_runtime(name, models.one_signature()) as runtime:
        expected = runtime.call(None, {"x": X})["y"]
        assert runtime.prepared("serving_default", {"x": X})() is None
        np.testing.assert_allclose(runtime.repeated(None, {"x": X})()["y"], expected)
    with open_runtime(name, models.add_sub()) as runtime:
        values = {"a": np.float32([3]), "b": np.float32([1])}
        assert runtime.prepared("sub", values)()["diff"].tolist() == [2]


def test_on_a_device() -> None:
    runtime = open_runtime("cpu", models.one_signature(), delegates=[EmulatedGpuDelegate()])
    call = runtime.on_device(None, {"x": X})
    assert call is not None
    before = FakeArray.gets
    call()
    assert FakeArray.gets == before
    assert open_runtime("cpu", models.one_signature()).on_device(None, {"x": X}) is None


@pytest.mark.parametrize("name", named("numpy", "litert"))
def test_titles_name_versions(name: str) -> None:
    title = open_runtime(name, models.add_sub()).title
    assert title.startswith({"numpy": "tflite-cupy ", "litert": "LiteRT "}[name])
    assert title.endswith({"numpy": "(NumPy)", "litert": "(XNNPACK)"}[name])


@pytest.mark.parametrize("name", named("numpy", "litert"))
def test_errors_are_of_this_package(name: str) -> None:
    with open_runtime(name, models.add_sub()) as runtime:
        one = np.zeros(1, np.float32)
        with pytest.raises(InputError, match=r"got inputs a\b.*Expected: a, b"):
            runtime.call("sub", {"a": one})
        with pytest.raises(InputError, match=r"expected type FLOAT32"):
            runtime.call("sub", {"a": one, "b": np.zeros(1, np.int64)})
        with pytest.raises(InputError, match=r"no signature 'mul'.*sub, add"):
            runtime.call("mul", {})
        with pytest.raises(InputError, match=r"no signature is named, of several"):
            runtime.call(None, {})
        with pytest.raises(StateError, match=r"keep_all=True"):
            runtime.tensors("sub", {"a": one, "b": one})
    with open_runtime(name, models.misfit()) as runtime, pytest.raises(KernelError):
        runtime.call("s", {"x": np.zeros((2, 4), np.float32)})
    with open_runtime(name, stranger()) as runtime, pytest.raises(UnsupportedError, match=r"Unheard"):
        runtime.call(None, {"x": X})
    with pytest.raises(ModelError):
        open_runtime(name, b"no model at all")


@pytest.mark.reference
def test_a_model_that_was_read_before() -> None:
    parsed = load_model(models.one_signature())
    with open_runtime("litert", models.one_signature(), parsed=parsed) as runtime:
        assert runtime.model is parsed
        assert runtime.call(None, {"x": X})["y"].shape == (2, 4)


def test_what_there_is_not() -> None:
    with pytest.raises(InputError, match=r"no runtime 'onnx'.*litert-builtin"):
        open_runtime("onnx", models.add_sub())


@pytest.mark.parametrize(("name", "module"), [("litert", "ai_edge_litert"), ("tensorflow", "tensorflow")])
def test_what_is_not_installed(monkeypatch: pytest.MonkeyPatch, name: str, module: str) -> None:
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(MissingDependencyError, match=r"can't be imported.*pip install"):
        open_runtime(name, models.add_sub())


def test_names_of_the_primary_subgraph() -> None:
    b = GraphBuilder()
    first, second = b.input(F32, [1], "x"), b.input(F32, [1], "x")
    y = b.add("ADD", [first, second])
    signature = entry(model(b.graph([y])), None)
    assert dict(signature.inputs) == {"input_0": first, "input_1": second}
    assert dict(signature.outputs) == {"t2": y}

"""The classic API, held to the reference's behaviour."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import BOOL, F32, I32, STRING, GraphBuilder, model
from tests.models import add_sub, counter, one_signature, shared_output

DETAIL_KEYS = [
    "name",
    "index",
    "shape",
    "shape_signature",
    "dtype",
    "quantization",
    "quantization_parameters",
    "sparsity_parameters",
]


def ready(content: bytes | None = None) -> lite.Interpreter:
    interpreter = lite.Interpreter(model_content=content or add_sub(), device="cpu")
    interpreter.allocate_tensors()
    return interpreter


def test_classic_loop() -> None:
    interpreter = ready()
    y, x = interpreter.get_input_details()
    (out,) = interpreter.get_output_details()
    for n in range(3):
        interpreter.set_tensor(x["index"], np.float32([n]))
        interpreter.set_tensor(y["index"], np.float32([10]))
        interpreter.invoke()
        assert interpreter.get_tensor(out["index"]).tolist() == [10.0 + n]


def test_resize_changes_all_shapes() -> None:
    interpreter = ready()
    for detail in interpreter.get_input_details():
        interpreter.resize_tensor_input(detail["index"], [4])
    interpreter.allocate_tensors()
    assert [d["shape"].tolist() for d in interpreter.get_tensor_details()] == [[4], [4], [4]]
    assert [d["shape_signature"].tolist() for d in interpreter.get_input_details()] == [[-1], [-1]]
    interpreter.resize_tensor_input(0, [5])
    assert interpreter.get_input_details()[0]["shape"].tolist() == [5]


def test_numbers_of_rank_zero_are_scalars() -> None:
    b = GraphBuilder()
    n = b.input(I32, [])
    interpreter = ready(lite.write_model(model(b.graph([b.add("ADD", [n, n])]))))
    interpreter.set_tensor(0, np.int32(4))
    interpreter.invoke()
    assert isinstance(interpreter.get_tensor(1), np.int32)
    assert interpreter.get_tensor(1) == 8


def test_outputs_do_not_share_memory() -> None:
    interpreter = ready(shared_output())
    interpreter.invoke()
    interpreter.tensor(1)()[:] = 5
    assert interpreter.get_tensor(2).tolist() == [0.0, 0.0]


def test_strings_must_have_the_shape_of_the_input() -> None:
    interpreter = ready(strings := string_model())
    interpreter.set_tensor(0, np.array([b"a", b"b"], object))
    with pytest.raises(ValueError, match=r"^Cannot set tensor: Dimension mismatch. Got 3 but expected 2 for dimension"):
        interpreter.set_tensor(0, np.array(["a", "b", "c"]))
    unset = ready(strings)
    unset.invoke()
    assert unset.get_tensor(2).tolist() == [[b""], [b""]]


def string_model() -> bytes:
    b = GraphBuilder()
    s = b.input(STRING, [2])
    return lite.write_model(model(b.graph([b.add("RESHAPE", [s, b.constant(np.int32([2, 1]))], [2, 1])])))


def test_details_have_the_reference_keys() -> None:
    detail = ready().get_input_details()[0]
    assert list(detail) == DETAIL_KEYS
    assert detail["quantization"] == (0.0, 0)
    assert list(detail["quantization_parameters"]) == ["scales", "zero_points", "quantized_dimension", "block_size"]
    assert detail["shape"].dtype == np.int32


def test_model_from_a_path(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(add_sub())
    for given in (path, str(path)):
        assert lite.Interpreter(given).num_subgraphs() == 2


def unallocated() -> lite.Interpreter:
    return lite.Interpreter(model_content=add_sub(), device="cpu")


def resized() -> lite.Interpreter:
    interpreter = ready()
    interpreter.resize_tensor_input(0, [2])
    return interpreter


def allocated(*shape: int) -> None:
    interpreter = ready()
    for index in (0, 1):
        interpreter.resize_tensor_input(index, shape)
    interpreter.allocate_tensors()


CONSTRUCTION: list[tuple[dict[str, Any], str]] = [
    ({}, "^`model_path` or `model_content` must be specified."),
    ({"model_content": b""}, "^`model_path` or `model_content` must be specified."),
    ({"model_path": ""}, "^`model_path` or `model_content` must be specified."),
    ({"model_path": "x", "model_content": b"x"}, "^Can't both provide `model_path` and `model_content`"),
    ({"model_path": "/nonexistent/m.tflite"}, "^Could not open '/nonexistent/m.tflite'."),
    ({"model_content": b"garbage that is no model"}, "^The model is not a valid Flatbuffer buffer"),
    ({"model_content": b"x", "num_threads": "2"}, "^type of num_threads should be int"),
    ({"model_content": b"x", "num_threads": 0}, "^num_threads should >= 1"),
    ({"model_content": b"x", "device": "tpu"}, "^device='tpu' is unknown"),
    ({"model_content": "m.tflite"}, "^`model_content` holds the bytes of a model, got str.*model_path"),
    ({"model_content": np.zeros(9, np.uint8)}, "^`model_content` holds the bytes of a model, got ndarray"),
    ({"model_content": memoryview(b"")}, "^`model_path` or `model_content` must be specified."),
    ({"model_path": 5}, "^A model is a path or bytes, not int"),
    ({"model_content": b"x", "require": "tpu"}, "^require='tpu' is unknown"),
    ({"model_content": b"x", "delegates": [5]}, "^a int is no delegate: it has no name"),
    ({"model_content": b"x", "delegates": "nope"}, "^no installed package offers a delegate 'nope'"),
    ({"model_content": b"x", "flex": 3}, "^flex policy 3 is none of"),
]


@pytest.mark.parametrize(("arguments", "text"), CONSTRUCTION, ids=[text for _, text in CONSTRUCTION])
def test_construction_errors(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text) as caught:
        lite.Interpreter(**arguments)
    assert isinstance(caught.value, lite.TfliteError)


def test_truncated_model() -> None:
    with pytest.raises(ValueError, match=r"^The model is not a valid Flatbuffer buffer"):
        lite.Interpreter(model_content=add_sub()[:-100])


CALLS: list[tuple[str, Callable[[], Any], type[Exception], str]] = [
    (
        "dtype",
        lambda: ready().set_tensor(1, np.float64([1])),
        ValueError,
        "^Cannot set tensor: Got value of type FLOAT64 but expected type FLOAT32 for input 1, name: add_x:0",
    ),
    (
        "dimension",
        lambda: ready().set_tensor(0, np.float32([1, 2])),
        ValueError,
        "^Cannot set tensor: Dimension mismatch. Got 2 but expected 1 for dimension 0 of input 0.",
    ),
    (
        "rank",
        lambda: ready().set_tensor(0, np.float32([[1]])),
        ValueError,
        "^Cannot set tensor: Dimension mismatch. Got 2 but expected 1 for input 0.",
    ),
    (
        "set before allocate",
        lambda: unallocated().set_tensor(0, np.float32([1])),
        ValueError,
        r"^Cannot set tensor: Tensor is unallocated. Try calling allocate_tensors\(\) first",
    ),
    (
        "get before allocate",
        lambda: unallocated().get_tensor(0),
        ValueError,
        r"^Tensor data is null. Run allocate_tensors\(\) first",
    ),
    (
        "invoke before allocate",
        lambda: unallocated().invoke(),
        RuntimeError,
        "^Invoke called on model that is not ready",
    ),
    ("invoke after resize", lambda: resized().invoke(), RuntimeError, "^Invoke called on model that is not ready"),
    ("index", lambda: ready().get_tensor(99), ValueError, "^Invalid tensor index 99 exceeds max tensor index 2"),
    ("negative index", lambda: ready().set_tensor(-1, np.float32([1])), ValueError, "^Invalid tensor index -1"),
    ("text as index", lambda: ready().get_tensor("x"), ValueError, "^an index is an integer, got 'x'"),  # type: ignore[arg-type]
    ("no input", lambda: ready().set_tensor(2, np.float32([1])), ValueError, r"^tensor 2 .* is not an input"),
    ("shape", lambda: ready().resize_tensor_input(0, "x"), ValueError, "'x' is no shape"),
    ("huge shape", lambda: ready().resize_tensor_input(0, [2**80]), ValueError, "is no shape"),
    ("memory", lambda: allocated(2**31 - 1, 2**31 - 1), RuntimeError, "more than max_tensor_bytes"),
    ("subgraph", lambda: ready().get_tensor_details(9), ValueError, "^subgraph_index is out of range: 9 for the model"),
]


@pytest.mark.parametrize(("call", "kind", "text"), [c[1:] for c in CALLS], ids=[c[0] for c in CALLS])
def test_call_errors(call: Callable[[], Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text) as caught:
        call()
    assert isinstance(caught.value, lite.TfliteError)


def test_strict_resize() -> None:
    interpreter = lite.Interpreter(model_content=one_signature(), device="cpu")
    with pytest.raises(
        RuntimeError, match=r"^Attempting to resize dimension 0 of tensor 0 with value 2 to 5\. ResizeInput"
    ):
        interpreter.resize_tensor_input(0, [5, 3], strict=True)
    interpreter.resize_tensor_input(0, [5, 3])
    interpreter.allocate_tensors()
    assert interpreter.get_output_details()[0]["shape"].tolist() == [5, 4]
    dynamic = unallocated()
    dynamic.resize_tensor_input(0, [5], strict=True)


def test_views_write_into_inputs_and_must_not_be_held() -> None:
    interpreter = ready()
    x, y = (interpreter.tensor(d["index"]) for d in interpreter.get_input_details())
    x().fill(2)
    y().fill(3)
    interpreter.invoke()
    assert interpreter.tensor(2)().tolist() == [5.0]
    held = x()
    for call in (interpreter.invoke, interpreter.allocate_tensors, lambda: interpreter.resize_tensor_input(0, [2])):
        with pytest.raises(RuntimeError, match=r"^There is at least 1 reference to internal data"):
            call()
    del held
    interpreter.invoke()


def test_results_known_before_the_call_are_copies() -> None:
    b = GraphBuilder()
    interpreter = ready(lite.write_model(model(b.graph([b.add("SHAPE", [b.input(F32, [2, 3])], out_type=I32)]))))
    for _ in range(2):
        interpreter.invoke()
        interpreter.tensor(1)().fill(0)
    interpreter.invoke()
    assert interpreter.get_tensor(1).tolist() == [2, 3]


def row_model() -> bytes:
    """Row 1 of a matrix of unknown height."""
    b = GraphBuilder()
    x, begin, size = b.input(F32, [None, 2]), b.constant(np.int32([1, 0])), b.constant(np.int32([1, 2]))
    return lite.write_model(model(b.graph([b.add("SLICE", [x, begin, size])])))


def test_unknown_dimensions_need_not_fit_before_the_call() -> None:
    interpreter = ready(row_model())
    with pytest.raises(lite.KernelError, match=r"Invalid begin and size") as failed:
        interpreter.invoke()
    interpreter.resize_tensor_input(0, [3, 2])  # although the traceback in `failed` holds what was read
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, np.arange(6, dtype=np.float32).reshape(3, 2))
    interpreter.invoke()
    assert interpreter.get_tensor(3).tolist() == [[2, 3]]
    interpreter.resize_tensor_input(0, [0, 2])
    with pytest.raises(lite.KernelError, match=r"Invalid begin and size"):
        interpreter.allocate_tensors()
    assert failed.value


def chain_model() -> bytes:
    b = GraphBuilder()
    x = b.input(F32, [2])
    e = b.add("EXP", [x])
    return lite.write_model(model(b.graph([b.add("NEG", [e])])))


def test_intermediate_tensors_are_kept_on_demand() -> None:
    keeping = lite.Interpreter(model_content=chain_model(), experimental_preserve_all_tensors=True, device="cpu")
    keeping.allocate_tensors()
    keeping.set_tensor(0, np.float32([0, 1]))
    keeping.invoke()
    np.testing.assert_allclose(keeping.get_tensor(1), np.exp([0, 1]), rtol=1e-6)
    dropping = ready(chain_model())
    dropping.invoke()
    with pytest.raises(ValueError, match="experimental_preserve_all_tensors"):
        dropping.get_tensor(1)


def loop_model() -> bytes:
    """i < n: i, x = i + 1, x * 2; tensor 3 of the body is i + 1."""
    b = GraphBuilder("main")
    n, x = b.input(I32, []), b.input(F32, [None])
    outs = [b.tensor(I32), b.tensor(I32), b.tensor(F32, [None])]
    b.op("WHILE", [b.constant(np.int32(0)), n, x], outs, cond_subgraph_index=1, body_subgraph_index=2)
    c, d = GraphBuilder("cond"), GraphBuilder("body")
    ci, cn, _ = c.input(I32), c.input(I32), c.input(F32, [None])
    (less,) = c.op("LESS", [ci, cn], [c.tensor(BOOL)])
    i, m, y = d.input(I32), d.input(I32), d.input(F32, [None])
    (j,) = d.op("ADD", [i, d.constant(np.int32(1))], [d.tensor(I32)])
    twice = d.add("ADD", [d.add("ABS", [y]), y])
    return lite.write_model(model(b.graph([outs[2]]), c.graph([less]), d.graph([j, m, twice])))


def test_tensors_of_bodies_are_those_of_their_last_run() -> None:
    keeping = lite.Interpreter(model_content=loop_model(), experimental_preserve_all_tensors=True, device="cpu")
    keeping.resize_tensor_input(1, [2])
    keeping.allocate_tensors()
    with pytest.raises(ValueError, match=r"^Tensor data is null\..*subgraphs\[2\]\.tensors\[0\]"):
        keeping.get_tensor(0, 2)
    keeping.set_tensor(0, np.int32(3))
    keeping.set_tensor(1, np.float32([1, 2]))
    keeping.invoke()
    assert [keeping.get_tensor(i, 1) for i in (0, 1, 3)] == [3, 3, False]
    assert [keeping.get_tensor(i, 2) for i in (0, 1, 3, 4)] == [2, 3, 1, 3]
    assert [keeping.get_tensor(i, 2).tolist() for i in (2, 5, 6)] == [[4.0, 8.0], [4.0, 8.0], [8.0, 16.0]]
    with pytest.raises(ValueError, match=r"^Invalid tensor index 7 exceeds max tensor index 6"):
        keeping.get_tensor(7, 2)
    dropping = ready(loop_model())
    dropping.invoke()
    assert dropping.get_tensor(3, 2) == 1
    with pytest.raises(ValueError, match=r"^Tensor data is null\..*experimental_preserve_all_tensors"):
        dropping.get_tensor(5, 2)


def test_resources_are_no_values() -> None:
    interpreter = lite.Interpreter(
        model_content=lite.write_model(counter()), experimental_preserve_all_tensors=True, device="cpu"
    )
    interpreter.allocate_tensors()
    interpreter.invoke()
    assert interpreter.get_tensor(1).tolist() is None
    assert interpreter.get_tensor(0, 1).tolist() is None
    assert interpreter.get_tensor(3).tolist() == [10.0, 20.0]


def test_constants_can_be_read_before_allocate() -> None:
    interpreter = lite.Interpreter(model_content=one_signature())
    assert interpreter.get_tensor(1).shape == (4, 3)


def test_unsupported_operator_is_named_at_allocate() -> None:
    b = GraphBuilder()
    x = b.input(F32, [1])
    content = lite.write_model(model(b.graph([b.add("FakeOp", [x])])))
    interpreter = lite.Interpreter(model_content=content, device="cpu")
    with pytest.raises(RuntimeError, match=r"^Encountered unresolved custom op: FakeOp\."):
        interpreter.allocate_tensors()


def test_native_delegates_are_refused() -> None:
    with pytest.raises(lite.UnsupportedError, match=r"native delegate library 'lib.so'"):
        lite.load_delegate("lib.so")


def test_operator_details() -> None:
    (detail,) = ready()._get_ops_details()
    assert detail["op_name"] == "ADD"
    assert detail["inputs"].tolist() == [1, 0]
    assert detail["operand_types"] == [np.float32, np.float32]


def test_model_without_signatures() -> None:
    b = GraphBuilder()
    interpreter = ready(lite.write_model(model(b.graph([b.add("LOGICAL_NOT", [b.input(BOOL, [1])])]))))
    assert interpreter.get_signature_list() == {}
    interpreter.invoke()
    assert interpreter.get_tensor(1).tolist() == [True]


@pytest.mark.parametrize("size", [-1, 2**31, 2**40, 2**70])
def test_dimensions_that_details_can_not_hold(size: int) -> None:
    interpreter = lite.Interpreter(model_content=add_sub(), device="cpu")
    with pytest.raises(lite.InputError, match="Cannot resize input 0"):
        interpreter.resize_tensor_input(0, [size])
    interpreter.allocate_tensors()

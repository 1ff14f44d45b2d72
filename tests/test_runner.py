"""Signature runners: named tensors in, named tensors out."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import F32, GraphBuilder, model
from tests.fakes import FakeGpuDelegate
from tests.models import add_sub, one_signature, passthrough, shared_output
from tests.threads import side_by_side
from tflite_cupy.interpreter.graph import TensorType


def runner(content: bytes, key: str) -> lite.SignatureRunner:
    return lite.Interpreter(model_content=content, device="cpu").get_signature_runner(key)


def test_signature_list_is_sorted() -> None:
    assert lite.Interpreter(model_content=add_sub()).get_signature_list() == {
        "add": {"inputs": ["x", "y"], "outputs": ["sum"]},
        "sub": {"inputs": ["a", "b"], "outputs": ["diff", "prod"]},
    }


def test_inputs_are_bound_by_name() -> None:
    out = runner(add_sub(), "sub")(a=np.float32([5, 7]), b=np.float32([2, 3]))
    assert list(out) == ["prod", "diff"]
    assert out["diff"].tolist() == [3.0, 4.0]
    assert out["prod"].tolist() == [10.0, 21.0]


@pytest.mark.parametrize(
    "value",
    [
        [1.0, 2.0],
        (1, 2),
        np.float32([1, 2]),
        np.array([1, 2], ">f4"),
        np.float32([1, 9, 2, 9])[::2],
    ],
    ids=["list", "ints", "array", "big endian", "strided"],
)
def test_input_kinds(value: Any) -> None:
    assert runner(add_sub(), "add")(x=value, y=np.float32([10, 20]))["sum"].tolist() == [11.0, 22.0]


def test_any_shape_that_the_graph_takes() -> None:
    add = runner(add_sub(), "add")
    for shape in [(2,), (3, 4), (), (0,), (2,)]:
        assert add(x=np.ones(shape, np.float32), y=np.ones(shape, np.float32))["sum"].shape == shape


def test_each_call_is_checked_anew() -> None:
    """Whatever the calls before it were given."""
    interpreter = lite.Interpreter(model_content=one_signature(), device="cpu")
    runner = interpreter.get_signature_runner()
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    expected = runner(x=x)["y"]
    np.testing.assert_array_equal(runner(x=x.astype(">f4"))["y"], expected)
    np.testing.assert_array_equal(runner(x=np.asfortranarray(x))["y"], expected)
    np.testing.assert_array_equal(runner(x=x[:1])["y"], expected[:1])
    for wrong in ({"x": x.astype(np.float64)}, {"y": x}, {}, {"x": x, "y": x}):
        with pytest.raises(lite.InputError):
            runner(**wrong)
    with interpreter.trace() as ran:
        runner(x=x)
    assert len(ran) == 1
    interpreter.close()
    with pytest.raises(lite.StateError, match="closed"):
        runner(x=x)


def test_numbers_of_rank_zero_are_scalars() -> None:
    twice = runner(passthrough(), "scalar")(n=np.int32(4))["twice"]
    assert isinstance(twice, np.int32)
    assert twice == 8
    assert runner(passthrough(), "scalar")(n=21)["twice"] == 42


def test_outputs_belong_to_the_caller() -> None:
    same = runner(passthrough(), "same")
    given = np.array([1, 2], np.float32)
    out = same(x=given)
    out["x"][0] = 50
    out["constant"][0] = 60
    assert given.tolist() == [1.0, 2.0]
    assert same(x=given)["constant"].tolist() == [7.0, 8.0]


def test_outputs_do_not_share_memory() -> None:
    out = runner(shared_output(), "s")(x=np.float32([1, 2]))
    for value in out.values():
        value += 10
        assert value.tolist() == [9.0, 8.0]


def test_outputs_that_the_subgraph_does_not_list() -> None:
    b = GraphBuilder()
    x = b.input(F32, [2])
    inner = b.add("NEG", [x])
    content = lite.write_model(model(b.graph([b.add("EXP", [inner])]), signatures={"s": (0, {"x": x}, {"y": inner})}))
    run = runner(content, "s")
    assert run(x=np.float32([1, 2]))["y"].tolist() == [-1.0, -2.0]
    run.allocate_tensors()
    run.input_tensor("x")[...] = 3
    run.invoke()
    assert run.output_tensor("y").tolist() == [-3.0, -3.0]


def test_outputs_are_given_a_value() -> None:
    b = GraphBuilder()
    x, nothing = b.input(F32, [2]), b.tensor(F32, [2])
    content = lite.write_model(model(b.graph([b.add("EXP", [x])]), signatures={"s": (0, {"x": x}, {"y": nothing})}))
    with pytest.raises(lite.GraphError, match=r"tensors \[1\] are outputs of the signature, but no node of subgraph 0"):
        runner(content, "s")


@pytest.mark.parametrize(
    "value",
    [
        np.array([b"a\x00b", b"", "\u00e9".encode()], object),
        np.array(["a\x00b", "", "\u00e9"], object),
        np.array(["a\x00b", "", "\u00e9"], np.dtypes.StringDType()),
        ["a\x00b", b"", "\u00e9"],
        [np.bytes_(b"a\x00b"), np.str_(""), "\u00e9"],
    ],
    ids=["bytes", "str", "StringDType", "list", "NumPy scalars"],
)
def test_strings_keep_their_bytes(value: Any) -> None:
    row = runner(passthrough(), "strings")(s=value)["row"]
    assert row.dtype == object
    assert row.tolist() == [[b"a\x00b", b"", b"\xc3\xa9"]]
    assert {type(item) for item in row.flat} == {bytes}


def test_whole_numbers_keep_their_bits() -> None:
    """NumPy reads integers of 2**63 and more beside smaller ones as floats."""
    b = GraphBuilder()
    x = b.input(TensorType.UINT64, [None], "x")
    same = runner(lite.write_model(model(b.graph([x]), signatures={"s": (0, {"x": x}, {"y": x})})), "s")
    assert same(x=[2**64 - 1, 1])["y"].tolist() == [2**64 - 1, 1]
    assert same(x=[])["y"].tolist() == []
    for wrong in ([2**63, -1], [2**64, 1], [2**63, 0.5]):
        with pytest.raises(lite.InputError, match=r"^Cannot set tensor"):
            same(x=wrong)


class Foreign:
    """An array on a device, which NumPy may not read."""

    shape = (1,)

    def __array__(self, *_: object) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")


@pytest.mark.parametrize(
    ("key", "inputs", "text"),
    [
        (
            "add",
            {"x": [1.0]},
            r"^Invalid number of inputs provided for running a SignatureDef, expected 2 vs provided 1",
        ),
        ("add", {"x": [1.0], "q": [1.0]}, r"^Invalid Input name \(q\) for SignatureDef.*Known names: x, y"),
        ("sub", {"a": [1.0], "bb": [1.0]}, r"Did you mean 'b'\?"),
        (
            "add",
            {"x": np.float64([1]), "y": np.float32([1])},
            r"^Cannot set tensor: Got value of type FLOAT64 but expected type FLOAT32 for input 1, name: add_x:0",
        ),
        ("scalar", {"n": 1.5}, "Got value of type FLOAT64 but expected type INT32"),
        ("strings", {"s": [1, 2]}, "expected bytes or str, got int"),
        ("strings", {"s": "\udc80"}, "surrogates not allowed for input 0, name: s"),
        ("strings", {"s": np.float32([1])}, "Got value of type FLOAT32 but expected type STRING"),
        ("scalar", {"n": None}, "Got value of type STRING but expected type INT32"),
        ("scalar", {"n": np.array("1", np.dtypes.StringDType())}, "expected type INT32"),
        ("scalar", {"n": 10**30}, "^Cannot set tensor"),
        ("add", {"x": [1e300], "y": [1.0]}, "^Cannot set tensor: overflow"),
        ("add", {"x": Foreign(), "y": [1.0]}, "NumPy can't read the Foreign for input 1.*Implicit conversion"),
    ],
)
def test_wrong_inputs(key: str, inputs: dict[str, Any], text: str) -> None:
    content = add_sub() if key in ("add", "sub") else passthrough()
    with pytest.raises(ValueError, match=text) as caught:
        runner(content, key)(**inputs)
    assert isinstance(caught.value, lite.InputError)
    assert caught.value.code == "invalid_input"


def test_positional_inputs_are_refused() -> None:
    with pytest.raises(TypeError):
        runner(add_sub(), "add")([1.0], [2.0])  # type: ignore[call-arg]


def test_shapes_that_do_not_fit_name_the_node() -> None:
    with pytest.raises(RuntimeError, match=r"ADD#0"):
        runner(add_sub(), "add")(x=np.ones(2, np.float32), y=np.ones(3, np.float32))
    with pytest.raises(RuntimeError, match=r"FULLY_CONNECTED#0"):
        runner(one_signature(), "serving_default")(x=np.ones((2, 5), np.float32))


@pytest.mark.parametrize("key", ["nope", "", 3, ["add"]])
def test_unknown_key(key: Any) -> None:
    with pytest.raises(ValueError, match=f'^Invalid signature_key provided: "{re.escape(str(key))}"'):
        lite.Interpreter(model_content=add_sub()).get_signature_runner(key)


def test_key_may_be_left_out_for_one_signature_only() -> None:
    assert lite.Interpreter(model_content=one_signature()).get_signature_runner().signature.key == "serving_default"
    with pytest.raises(
        ValueError, match=r"^SignatureDef signature_key is None and model has 2 Signatures\. None is only"
    ):
        lite.Interpreter(model_content=add_sub()).get_signature_runner()


def test_details() -> None:
    details = runner(add_sub(), "add").get_input_details()
    assert list(details) == ["x", "y"]
    assert details["x"]["index"] == 1
    assert details["x"]["dtype"] is np.float32
    assert details["x"]["shape"].tolist() == [1]
    assert details["x"]["shape_signature"].tolist() == [-1]
    assert runner(add_sub(), "sub").get_output_details()["prod"]["name"] == "t3"


def test_details_follow_the_last_call() -> None:
    """Of any runner of the interpreter, as in the reference."""
    interpreter = lite.Interpreter(model_content=add_sub(), device="cpu")
    interpreter.get_signature_runner("add")(x=np.ones((3, 2), np.float32), y=np.ones(2, np.float32))
    add = interpreter.get_signature_runner("add")
    assert [d["shape"].tolist() for d in add.get_input_details().values()] == [[3, 2], [2]]
    assert add.get_output_details()["sum"]["shape"].tolist() == [3, 2]
    assert add.get_output_details()["sum"]["shape_signature"].tolist() == [-1]
    assert interpreter.get_signature_runner("sub").get_input_details()["a"]["shape"].tolist() == [1]


def test_calls_in_the_shape_of_the_c_api() -> None:
    add = runner(add_sub(), "add")
    add.resize_input_tensor("x", [3])
    add.resize_input_tensor("y", [3])
    add.allocate_tensors()
    add.input_tensor("x")[:] = [1, 2, 3]
    add.input_tensor("y")[:] = 10
    add.invoke()
    assert add.output_tensor("sum").tolist() == [11.0, 12.0, 13.0]
    assert add.get_input_details()["x"]["shape"].tolist() == [3]
    with pytest.raises(ValueError, match=r"Invalid Output name \(x\)"):
        add.output_tensor("x")
    with pytest.raises(lite.InputError, match=r"\['a'\] is no shape"):
        add.resize_input_tensor("x", ["a"])  # type: ignore[list-item]


def test_strings_in_the_shape_of_the_c_api() -> None:
    strings = runner(passthrough(), "strings")
    strings.resize_input_tensor("s", [2])
    strings.allocate_tensors()
    strings.input_tensor("s")[:] = ["a", b"b"]
    strings.invoke()
    assert strings.output_tensor("row").tolist() == [[b"a", b"b"]]
    strings.input_tensor("s")[0] = 1
    with pytest.raises(lite.InputError, match="expected bytes or str, got int"):
        strings.invoke()


def test_run_signature_fills_the_given_arrays() -> None:
    interpreter = lite.Interpreter(model_content=add_sub())
    diff = np.empty(2, np.float32)
    interpreter.run_signature({"a": [5.0, 7.0], "b": [2.0, 3.0]}, {"diff": diff}, "sub")
    assert diff.tolist() == [3.0, 4.0]
    with pytest.raises(ValueError, match="output 'diff' is float32"):
        interpreter.run_signature({"a": [5.0], "b": [2.0]}, {"diff": diff}, "sub")
    with pytest.raises(ValueError, match="Invalid Output name"):
        interpreter.run_signature({"a": [5.0], "b": [2.0]}, {"dif": diff}, "sub")
    diff.setflags(write=False)
    for target, got in ((diff, "read-only"), ([0.0, 0.0], "a list")):
        with pytest.raises(lite.InputError, match=got):
            interpreter.run_signature({"a": [5.0, 7.0], "b": [2.0, 3.0]}, {"diff": target}, "sub")  # type: ignore[dict-item]
    with pytest.raises(lite.InputError, match="dictionaries by name"):
        interpreter.run_signature(None, {}, "sub")  # type: ignore[arg-type]


def test_run_signature_brings_results_to_the_host() -> None:
    interpreter = lite.Interpreter(model_content=add_sub(), device="cpu", delegates=[FakeGpuDelegate()])
    (space,) = interpreter._engine.device_spaces
    total = np.empty(2, np.float32)
    interpreter.run_signature({"x": space.put(np.float32([1, 2])), "y": [3.0, 4.0]}, {"sum": total}, "add")
    assert total.tolist() == [4.0, 6.0]


def test_packed_integers_have_a_range() -> None:
    b = GraphBuilder()
    x = b.input(TensorType.INT4, [2])
    same = runner(lite.write_model(model(b.graph([x]), signatures={"s": (0, {"x": x}, {"y": x})})), "s")
    assert same(x=np.int8([-8, 7]))["y"].tolist() == [-8, 7]
    for value in (np.int8([-9, 7]), [0, 8]):
        with pytest.raises(ValueError, match=r"^Cannot set tensor: Values for INT4 input must be between -8 and 7"):
            same(x=value)


def test_runners_are_not_copied() -> None:
    interpreter = lite.Interpreter(model_content=add_sub())
    for thing in (interpreter, interpreter.get_signature_runner("add")):
        with pytest.raises(lite.StateError, match="can't be pickled or copied"):
            copy.deepcopy(thing)


def test_threads_get_their_own_answers() -> None:
    """8 threads, 2,000 calls each, over two signatures and several shapes, on one interpreter and shared runners."""
    interpreter = lite.Interpreter(model_content=add_sub(), device="cpu")
    add, sub = interpreter.get_signature_runner("add"), interpreter.get_signature_runner("sub")
    wrong: list[int] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(1000):
            x, y = rng.normal(size=(2, rng.integers(1, 5))).astype(np.float32)
            out = sub(a=x, b=y)
            right = np.array_equal(add(x=x, y=y)["sum"], x + y) and np.array_equal(out["prod"], x * y)
            if not (right and np.array_equal(out["diff"], x - y)):
                wrong.append(seed)

    side_by_side(8, work)
    assert wrong == []

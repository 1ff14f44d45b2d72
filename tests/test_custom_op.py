"""Custom operators of the user's own: registration, bodies, shape functions, and what is said where they fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import F32, I32, STRING, GraphBuilder, model
from tests.fakes import DEVICE, FakeGpuDelegate
from tests.threads import side_by_side
from tflite_cupy.interpreter.format.flexbuffer import write_flexbuffer
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops import custom_op as registry


@pytest.fixture(autouse=True)
def _restored_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = registry._registry.snapshot
    yield
    registry._registry.snapshot = before


def content(name: str, *kinds: TensorType, options: Any = None, outputs: Any = (F32,)) -> bytes:
    """s(x0, x1, ...) -> y0, y1, ...: one custom operator on vectors; float32 ones unless `kinds` are given."""
    b = GraphBuilder()
    ins = [b.input(kind, [None], f"x{i}") for i, kind in enumerate(kinds or (F32,))]
    raw = options if isinstance(options, bytes) else b"" if options is None else write_flexbuffer(options)
    outs = b.op(name, ins, [b.tensor(kind, [None]) for kind in outputs], options=raw, custom=True)
    names = {f"x{i}": t for i, t in enumerate(ins)}, {f"y{i}": t for i, t in enumerate(outs)}
    return lite.write_model(model(b.graph(outs), signatures={"s": (0, *names)}))


def run(data: bytes, *values: Any, **options: Any) -> list[Any]:
    """Outputs of signature s."""
    runner = lite.Interpreter(model_content=data, device="cpu", **options).get_signature_runner("s")
    results = runner(**{f"x{i}": value for i, value in enumerate(values)})
    return [results[name] for name in sorted(results)]


X = np.float32([1, 2, 3])


def test_a_function_is_an_operator_with_attributes() -> None:
    @lite.custom_op("MyScale")
    def scale(x, *, factor=1.0, shift: float, name=""):  # type: ignore[no-untyped-def]
        assert type(shift) is float
        assert name == "abc"
        return x * np.float32(factor) + np.float32(shift)

    (y,) = run(content("MyScale", options={"factor": 2.5, "shift": 1, "name": "abc"}), X)
    np.testing.assert_array_equal(y, X * 2.5 + 1)
    np.testing.assert_array_equal(scale(X, shift=1.0, name="abc"), X + 1)


def test_the_example_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    example = readme.split("### Custom operators")[1].split("```python")[1].split("```")[0]
    (tmp_path / "scale.tflite").write_bytes(content("Scale", options={"factor": 3.0}))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(example, names)
    np.testing.assert_array_equal(names["interpreter"].get_signature_runner("s")(x0=X)["y0"], 3 * X)


def test_one_body_serves_both_array_modules() -> None:
    modules = []

    @lite.custom_op("MyTwice", register=False)
    def twice(xp, x):  # type: ignore[no-untyped-def]
        modules.append(xp)
        return xp.add(x, x)

    data = content("MyTwice")
    np.testing.assert_array_equal(run(data, X, custom_ops=[twice])[0], 2 * X)
    interpreter = lite.Interpreter(model_content=data, delegates=[FakeGpuDelegate()], custom_ops=[twice], device="cpu")
    np.testing.assert_array_equal(interpreter.get_signature_runner("s")(x0=X)["y0"], 2 * X)
    assert modules == [np, DEVICE.xp]


def test_without_the_array_module_the_body_runs_on_the_host() -> None:
    @lite.custom_op("MyHost", register=False)
    def body(x):  # type: ignore[no-untyped-def]
        return x + 1

    delegate = FakeGpuDelegate()
    interpreter = lite.Interpreter(
        model_content=content("MyHost"), delegates=[delegate], custom_ops=[body], device="cpu"
    )
    assert interpreter.get_signature_runner("s")(x0=X)["y0"].tolist() == [2, 3, 4]
    assert "MyHost runs on the host" in str(interpreter.delegation_report())


def test_a_gpu_body_of_its_own() -> None:
    @lite.custom_op("MyBoth", register=False)
    def body(x, *, k=1):  # type: ignore[no-untyped-def]
        return x * np.float32(10 * k)

    @body.gpu
    def on_gpu(xp, x, *, k=1):  # type: ignore[no-untyped-def]
        return xp.add(x, np.float32(k))

    data = content("MyBoth", options={"k": 3})
    assert run(data, X, custom_ops=[body])[0].tolist() == [30, 60, 90]
    interpreter = lite.Interpreter(model_content=data, delegates=[FakeGpuDelegate()], custom_ops=[body], device="cpu")
    assert interpreter.get_signature_runner("s")(x0=X)["y0"].tolist() == [4, 5, 6]
    with pytest.raises(lite.InputError, match="takes other attributes than its host body"):
        body.gpu(lambda x: x)


@pytest.mark.gpu
def test_bodies_run_with_cupy() -> None:
    cupy = pytest.importorskip("cupy")

    @lite.custom_op("MyTwice", register=False)
    def twice(xp, x):  # type: ignore[no-untyped-def]
        assert xp is cupy
        return x + x

    interpreter = lite.Interpreter(model_content=content("MyTwice"), custom_ops=[twice], device="gpu", require="gpu")
    np.testing.assert_array_equal(interpreter.get_signature_runner("s")(x0=X)["y0"], 2 * X)


def test_several_outputs_strings_and_python_values() -> None:
    @lite.custom_op("MyStats", register=False)
    def stats(words, x):  # type: ignore[no-untyped-def]
        return [w.decode().upper() for w in words], [float(x.sum())], len(x)

    words, total, count = run(
        content("MyStats", STRING, F32, outputs=(STRING, F32, I32)),
        np.array([b"a", b"b"], object),
        X,
        custom_ops=[stats],
    )
    assert words.tolist() == [b"A", b"B"]
    assert total.tolist() == [6]
    assert count == 3


def test_arrays_of_text_are_strings() -> None:
    for dtype in ("U", "S", object):
        body = lite.custom_op("MyText", register=False)(lambda x, *, dtype=dtype: np.array(["a", "bc"]).astype(dtype))
        (words,) = run(content("MyText", F32, outputs=(STRING,)), X, custom_ops=[body])
        assert words.tolist() == [b"a", b"bc"]


def test_any_number_of_operands_and_attributes() -> None:
    @lite.custom_op("MySum", register=False)
    def body(*inputs, **attributes):  # type: ignore[no-untyped-def]
        return np.float32(attributes["weight"]) * sum(inputs)

    assert run(content("MySum", F32, F32, F32, options={"weight": 2.0}), X, X, X, custom_ops=[body])[0].tolist() == [
        6,
        12,
        18,
    ]


def test_raw_options_and_the_node() -> None:
    @lite.custom_op("MyRaw", register=False)
    def body(x, *, custom_options, node):  # type: ignore[no-untyped-def]
        assert node.outs[0].type is TensorType.INT32
        assert node.version == 1
        return x.astype(node.outs[0].dtype) + custom_options[0]

    assert run(content("MyRaw", options=b"\x07\xff\xff", outputs=(I32,)), X, custom_ops=[body])[0].tolist() == [
        8,
        9,
        10,
    ]


def test_operands_may_have_any_name() -> None:
    @lite.custom_op("MyNames", register=False)
    def body(node, custom_options):  # type: ignore[no-untyped-def]
        return node + custom_options

    assert run(content("MyNames", F32, F32), X, X, custom_ops=body)[0].tolist() == [2, 4, 6]


def test_text_and_numbers_become_what_is_declared() -> None:
    @lite.custom_op("MyKinds", register=False)
    def body(x, *, mode: str | None = None, flag=False, scale: float = 1.0, raw=b"", n=1):  # type: ignore[no-untyped-def]
        assert (mode, flag, scale, raw, n) == ("fast", True, 2.0, b"bytes", 3)
        assert [type(value) for value in (mode, flag, scale, n)] == [str, bool, float, int]
        return x

    options = {"mode": "fast", "flag": 1, "scale": 2, "raw": "bytes", "n": 3}
    assert run(content("MyKinds", options=options), X, custom_ops=[body])[0].tolist() == [1, 2, 3]


def test_a_shape_function_tells_shapes_before_the_body_runs() -> None:
    @lite.custom_op("MyHead", register=False)
    def head(x, *, n):  # type: ignore[no-untyped-def]
        return x[:n]

    data = content("MyHead", options={"n": 2})
    interpreter = lite.Interpreter(model_content=data, custom_ops=[head], device="cpu")
    interpreter.resize_tensor_input(0, [3])
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, X)
    interpreter.invoke()
    assert interpreter.get_tensor(1).tolist() == [1, 2]

    @head.infer
    def _(x, *, n):  # type: ignore[no-untyped-def]
        return (min(n, x.shape[0]),)

    interpreter = lite.Interpreter(model_content=data, custom_ops=[head], device="cpu")
    interpreter.resize_tensor_input(0, [3])
    interpreter.allocate_tensors()
    assert interpreter.get_output_details()[0]["shape"].tolist() == [2]


@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        (lambda x: (4,), r"gave output 0 of shape \(3,\), its shape function said \(4,\)"),
        (lambda x: ((3,), (3,)), "gave 2 shapes, the node has 1 output"),
        (lambda x: (-3,), r"gave \(-3,\) for output 0, no shape"),
        (lambda x: "abc", "gave 'abc' for output 0, no shape"),
        (lambda x: x.shape[5], "raised IndexError: tuple index out of range"),
    ],
)
def test_a_shape_function_that_is_wrong(shapes: Any, says: str) -> None:
    @lite.custom_op("MyCopy", infer=shapes, register=False)
    def body(x):  # type: ignore[no-untyped-def]
        return x.copy()

    with pytest.raises(lite.KernelError, match=says) as caught:
        run(content("MyCopy"), X, custom_ops=[body])
    assert "subgraphs[0].operators[0]" in str(caught.value)


def test_a_shape_function_may_give_specs_and_unknown_shapes() -> None:
    for found in (lambda x: x, lambda x: None, lambda x: [x], lambda x: [3]):

        @lite.custom_op("MyCopy", infer=found, register=False)
        def body(x):  # type: ignore[no-untyped-def]
            return x.copy()

        assert run(content("MyCopy"), X, custom_ops=[body])[0].tolist() == [1, 2, 3]


def test_a_spec_given_back_does_not_carry_its_value() -> None:
    b = GraphBuilder()
    y = b.add("MyNegative", [b.constant(X)])
    data = lite.write_model(model(b.graph([y]), signatures={"s": (0, {}, {"y0": y})}))

    @lite.custom_op("MyNegative", infer=lambda x: x, register=False)
    def negative(xp, x):  # type: ignore[no-untyped-def]
        return -x

    assert run(data, custom_ops=[negative])[0].tolist() == [-1, -2, -3]


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (lambda x: (x, x), r"MyBad gave 2 results, expected 1, one for each output. \(in MyBad#0\)"),
        (lambda x: x.astype(np.float64), r"gave float64 as output 0, the node has float32.*astype\('float32'\)"),
        (lambda x: "abc", "gave a str as output 0, the node has float32"),
        (lambda x: None, "gave 0 results, expected 1"),
    ],
)
def test_a_result_that_is_wrong(result: Any, says: str) -> None:
    bad = lite.custom_op("MyBad", register=False)(result)
    with pytest.raises(lite.KernelError, match=says):
        run(content("MyBad"), X, custom_ops=[bad])


def test_what_a_body_raises_is_the_cause_of_an_error_that_names_the_node() -> None:
    class Unusual(Exception):
        pass

    @lite.custom_op("MyRaising", register=False)
    def body(x):  # type: ignore[no-untyped-def]
        raise Unusual("no such luck")

    with pytest.raises(lite.KernelError, match=r"custom operator MyRaising failed: .*body raised .*Unusual") as caught:
        run(content("MyRaising"), X, custom_ops=[body])
    assert isinstance(caught.value.__cause__, Unusual)
    assert "no such luck (in MyRaising#0) [at subgraphs[0].operators[0]]" in str(caught.value)


def test_a_body_can_not_write_to_its_operands() -> None:
    @lite.custom_op("MyWriting", register=False)
    def body(x):  # type: ignore[no-untyped-def]
        x += 1
        return x

    with pytest.raises(lite.KernelError, match="read-only"):
        run(content("MyWriting"), X, custom_ops=[body])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"alpha": 1.0, "beta": 2.0, "gamma": 1}, r"does not take: beta, gamma \(takes alpha\)"),
        (None, "needs attributes that the model does not give: alpha"),
        (
            [1, 2],
            r"no map of attributes \(they are a FlexBuffer of a list\); .* keyword-only parameter `custom_options`",
        ),
        (b"\x01\x02\x03\x04", "no map of attributes"),
    ],
)
def test_attributes_that_do_not_fit(options: Any, says: str) -> None:
    @lite.custom_op("MyAlpha", register=False)
    def body(x, *, alpha):  # type: ignore[no-untyped-def]
        return x

    with pytest.raises(lite.UnsupportedError, match=says):
        run(content("MyAlpha", options=options), X, custom_ops=[body])


def test_operands_that_do_not_fit() -> None:
    @lite.custom_op("MyTyped", types=[np.float32, (np.int32, "int64"), None], register=False)
    def body(x, y, z=None):  # type: ignore[no-untyped-def]
        return x

    ints = np.int32([1])
    assert run(content("MyTyped", F32, I32), X, ints, custom_ops=[body])[0].tolist() == [1, 2, 3]
    with pytest.raises(lite.UnsupportedError, match="not supported with float32 `y`; it takes int32, int64"):
        run(content("MyTyped", F32, F32), X, X, custom_ops=[body])
    with pytest.raises(lite.UnsupportedError, match="got 1 operands and takes 2 to 3"):
        run(content("MyTyped", F32), X, custom_ops=[body])
    with pytest.raises(lite.InputError, match="names no element type"):
        lite.custom_op("MyTyped", types=["float33"], register=False)(lambda x: x)


def test_an_unresolved_operator_says_how_to_register_one() -> None:
    with pytest.raises(lite.UnsupportedError, match=r"unresolved custom op: MyMissing.*custom_op\('MyMissing'\)"):
        run(content("MyMissing"), X)


@pytest.mark.parametrize("name", ["NEG", "CONV_2D", "IF"])
def test_a_custom_operator_may_have_the_name_of_a_builtin_one(name: str) -> None:
    with pytest.raises(lite.UnsupportedError, match=f"unresolved custom op: {name}"):
        run(content(name), X)
    ours = lite.custom_op(name, register=False)(lambda x: x + 1)
    assert run(content(name), X, custom_ops=[ours])[0].tolist() == [2, 3, 4]


def test_names_are_taken_once() -> None:
    first = lite.custom_op("MyName")(lambda x: x + 1)
    interpreter = lite.Interpreter(model_content=content("MyName"), device="cpu")
    with pytest.raises(lite.InputError, match=r"MyName is registered already, with the function .*replace=True"):
        lite.custom_op("MyName")(lambda x: x + 2)
    assert run(content("MyName"), X)[0].tolist() == [2, 3, 4]
    second = lite.custom_op("MyName", replace=True)(lambda x: x + 3)
    assert run(content("MyName"), X)[0].tolist() == [4, 5, 6]
    assert interpreter.get_signature_runner("s")(x0=X)["y0"].tolist() == [2, 3, 4]  # as when it was made
    assert run(content("MyName"), X, custom_ops=[first])[0].tolist() == [2, 3, 4]  # its own comes first
    other = lite.custom_op("MyName", register=False)(lambda x: x)
    with pytest.raises(lite.InputError, match="registered already"):
        run(content("MyName"), X, custom_ops=[second, other])


def test_an_operator_of_ours_gives_way_only_when_told() -> None:
    name = "TFLite_Detection_PostProcess"
    with pytest.raises(lite.InputError, match=r"is there already: tflite_cupy runs it itself.*replace=True"):
        lite.custom_op(name)(lambda x: x)
    with pytest.raises(lite.InputError, match="FlexAsString is there already"):
        lite.custom_op("FlexAsString")(lambda x: x)
    own = lite.custom_op(name, replace=True, register=False)(lambda x: x + 1)
    assert run(content(name), X, custom_ops=[own])[0].tolist() == [2, 3, 4]

    @lite.custom_op("FlexAsString", replace=True, register=False)
    def as_string(x, *, custom_options):  # type: ignore[no-untyped-def]
        return [f"{value:.0f}" for value in x]

    data = content("FlexAsString", outputs=(STRING,), options=["AsString", b""])
    assert run(data, X, custom_ops=[as_string])[0].tolist() == [b"1", b"2", b"3"]


@pytest.mark.parametrize(
    ("name", "function", "says"),
    [
        ("", lambda x: x, "custom code in the model, got ''"),
        ("MyNone", None, "can't be the body"),
        ("MyBoth", lambda x, *, custom_options, k: x, "takes both custom_options and attributes"),
        ("MyBoth", lambda x, *, custom_options, **rest: x, "takes both custom_options and attributes"),
    ],
)
def test_what_can_not_be_an_operator(name: str, function: Any, says: str) -> None:
    with pytest.raises(lite.InputError, match=says):
        lite.custom_op(name)(function)


def test_what_is_no_operator_is_not_accepted() -> None:
    with pytest.raises(lite.InputError, match=r"is no custom operator.*Decorate the function"):
        run(content("MyName"), X, custom_ops=[lambda x: x])


def test_an_operator_with_effects_runs_at_every_call() -> None:
    calls: list[int] = []
    b = GraphBuilder()
    b.op("MyLog", [b.constant(X)], [b.tensor(F32, [3])])
    x = b.input(F32, [3], "x0")
    data = lite.write_model(model(b.graph([b.add("NEG", [x])]), signatures={"s": (0, {"x0": x}, {"y0": 3})}))

    @lite.custom_op("MyLog", effects=True, infer=lambda x: x, register=False)
    def log(xp, x):  # type: ignore[no-untyped-def]
        calls.append(len(x))
        return x

    runner = lite.Interpreter(model_content=data, custom_ops=[log], device="cpu").get_signature_runner("s")
    runner(x0=X)
    runner(x0=X)
    assert calls == [3, 3]


def test_registerers_are_functions_that_append_operators() -> None:
    one = lite.custom_op("MyOne", register=False)(lambda x: x + 1)
    two = lite.custom_op("MyTwo", register=False)(lambda x: x + 2)
    for name, expected in (("MyOne", 2), ("MyTwo", 3)):
        interpreter = lite.InterpreterWithCustomOps(
            custom_op_registerers=[lambda ops: ops.append(one), two], model_content=content(name), device="cpu"
        )
        assert interpreter.get_signature_runner("s")(x0=X)["y0"][0] == expected
    assert lite.InterpreterWithCustomOps(model_content=content("MyOne")).get_signature_list()


@pytest.mark.parametrize(
    ("registerer", "says"),
    [
        ("TF_AddMyOp", "'TF_AddMyOp', a str: C\\+\\+ kernels can't be added to this runtime.*custom_op"),
        (len, "a function of an extension module: C\\+\\+ kernels can't be added"),
    ],
)
def test_native_registerers_are_refused(registerer: Any, says: str) -> None:
    with pytest.raises(lite.InputError, match=says):
        lite.InterpreterWithCustomOps(custom_op_registerers=[registerer], model_content=content("MyOne"))


def test_registerers_of_tensorflow_text_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lite.interpreter_api, "TENSORFLOW_TEXT", {"len"})
    interpreter = lite.InterpreterWithCustomOps(custom_op_registerers=[len], model_content=content("MyOne"))
    assert list(interpreter.get_signature_list()) == ["s"]


def test_threads_register_side_by_side() -> None:
    refused: list[int] = []

    def register(number: int) -> None:
        for i in range(25):
            lite.custom_op(f"MyThread{number}x{i}")(lambda x: x)
            try:
                lite.custom_op(f"MyShared{i}")(lambda x: x)
            except lite.InputError:
                refused.append(i)

    side_by_side(8, register)
    names = registry.known_custom_ops()
    assert sum(name.startswith("MyThread") for name in names) == 200
    assert sorted(refused) == sorted(list(range(25)) * 7)

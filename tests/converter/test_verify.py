"""Signatures run in TensorFlow and here: what is compared, on which inputs, and what a difference says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.converter.oracle import BOTH, pytestmark_converter, weights
from tflite_cupy.converter import TFLiteConverter as BaseConverter
from tflite_cupy.converter.lower import RULES
from tflite_cupy.interpreter.errors import StateError

pytestmark = pytestmark_converter


def converter_of(**functions: Any) -> lite.TFLiteConverter:
    converter = lite.TFLiteConverter.from_concrete_functions(functions)
    converter.target_spec.supported_ops = BOTH
    return converter


def function(body: Any, *specs: Any) -> Any:
    """A function of tensors, each given as a shape or as (shape, type)."""
    import tensorflow as tf

    tensors = [tf.TensorSpec(*spec) if isinstance(spec, tuple) else tf.TensorSpec(spec) for spec in specs]
    return tf.function(body, input_signature=tensors, autograph=False)


def network() -> Any:
    import tensorflow as tf

    def body(x: Any) -> Any:
        with tf.name_scope("block"):
            y = tf.tanh(tf.nn.relu(x @ weights(4, 3)))
        return {"scaled": y * 3, "x": x}

    return function(body, [None, 4])


def stateful() -> dict[str, Any]:
    """Signatures that read and write one variable, which `read` sees before `add` has changed it."""
    import tensorflow as tf

    total = tf.Variable([1.0, 2.0])
    return {
        "read": function(lambda: {"total": tf.tanh(total.read_value())}),
        "add": function(lambda x: {"total": total.assign_add(x)}, [2]),
    }


@pytest.fixture
def wrong_tanh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the converter take tanh for something else."""
    monkeypatch.setitem(RULES, "Tanh", lambda op: op.emit("LOGISTIC", op.input(0)))


def test_the_report_says_how_far_each_output_is() -> None:
    converter = converter_of(f=network())
    converter.convert(verify=True)
    report = converter.report()["f"]
    assert report.checks is not None
    by_name = {check.name: check.difference for check in report.checks}
    assert by_name["x"].absolute == 0
    assert 0 <= by_name["scaled"].relative < 1e-5
    assert report.peak_error == by_name["scaled"].relative
    assert "against TensorFlow, x: equal" in str(converter.report())


def test_without_verification_there_is_no_error_to_report() -> None:
    converter = converter_of(f=network())
    content = converter.convert()
    assert converter.report()["f"].peak_error is None
    converter.verify(content)
    assert converter.report()["f"].peak_error is not None


def test_strings_and_flex_nodes() -> None:
    import tensorflow as tf

    converter = converter_of(
        encode=function(lambda x: {"text": tf.strings.as_string(x)}, [None]),
        decode=function(lambda s: tf.strings.to_number(s), ([None], tf.string)),
    )
    converter.convert(verify=True)
    assert [s.peak_error for s in converter.report().signatures] == [0, 0]


def test_the_first_node_that_diverges_is_named(wrong_tanh: None) -> None:
    with pytest.raises(lite.ConversionError) as error:
        converter_of(f=network()).convert(verify=True)
    text = str(error.value)
    assert text.startswith("the converted model differs from TensorFlow: peak error")
    assert "[at signature 'f', output 'scaled']" in text
    assert "The first node that diverges is LOGISTIC 'block/Tanh' (node 1 of subgraph 0): peak error" in text


def test_calls_of_functions_are_traced_too(wrong_tanh: None) -> None:
    import tensorflow as tf

    inner = tf.function(lambda x: tf.tanh(x, name="inside"))
    with pytest.raises(lite.ConversionError, match="node that diverges is LOGISTIC 'inside'"):
        converter_of(f=function(lambda x: inner(x) + 1, [3])).convert(verify=True)


def test_state_is_followed_and_left_alone() -> None:
    functions = stateful()
    converter = converter_of(**functions)
    content = converter.convert(verify={"add": {"x": [2.0, 3.0]}})
    assert [s.peak_error for s in converter.report().signatures] == [pytest.approx(0, abs=1e-6), 0]
    np.testing.assert_allclose(functions["read"]()["total"], np.tanh([1, 2]), rtol=1e-6)
    read = lite.Interpreter(model_content=content).get_signature_runner("read")
    np.testing.assert_allclose(read()["total"], np.tanh([1, 2]), rtol=1e-6)


def test_tables_are_followed_and_left_alone() -> None:
    import tensorflow as tf

    table = tf.lookup.experimental.MutableHashTable("int64", "int64", -1)
    table.insert(tf.constant([1], tf.int64), tf.constant([5], tf.int64))

    def put(key: Any, value: Any) -> Any:
        table.insert(key, value)
        return {"size": table.size()}

    number: Any = ([], tf.int64)
    converter = converter_of(get=function(lambda key: {"value": table.lookup(key)}, number),
                             put=function(put, number, number))  # fmt: skip
    converter.convert(verify={"put": {"key": 7, "value": 3}, "get": [{"key": 7}, {"key": 1}]})
    assert [s.peak_error for s in converter.report().signatures] == [0, 0]
    keys, values = table.export()
    assert (keys.numpy().tolist(), values.numpy().tolist()) == ([1], [5])


def test_a_difference_that_shows_after_a_write_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """`tanh` and the wrong rule agree on what `read` sees first, not on what `add` leaves."""
    import tensorflow as tf

    total = tf.Variable([0.0, 0.0])
    functions = {
        "read": function(lambda: {"total": tf.tanh(total, name="squashed")}),
        "add": function(lambda x: {"total": total.assign_add(x)}, [2]),
    }
    monkeypatch.setitem(RULES, "Tanh", lambda op: op.emit("NEG", op.input(0)))
    with pytest.raises(lite.ConversionError, match=r"diverges is NEG 'squashed'.*peak error"):
        converter_of(**functions).convert(verify=True)
    assert total.numpy().tolist() == [0, 0]


def test_random_outputs_are_compared_by_shape() -> None:
    import tensorflow as tf

    converter = converter_of(f=function(lambda x: {"noise": tf.random.normal([2]), "x": x}, [2]))
    converter.convert(verify=True)
    checks = converter.report()["f"].checks
    assert checks is not None
    assert [(check.name, check.random) for check in checks] == [("noise", True), ("x", False)]
    assert "noise: random; shape and dtype agree" in str(converter.report())


def calls(key: str) -> Iterator[dict[str, Any]]:
    for rows in (1, 3):
        yield {"x": weights(rows, 4)}


@pytest.mark.parametrize("inputs", [{"f": {"x": weights(5, 4).tolist()}}, {"f": list(calls("f"))}, {}, calls])
def test_inputs_may_be_given(inputs: Any) -> None:
    converter = converter_of(f=network())
    told: list[tuple[int, int]] = []
    content = converter.convert(verify=inputs)
    converter.verify(content, inputs, progress=lambda done, total: told.append((done, total)))
    count = 2 if callable(inputs) or isinstance(inputs.get("f"), list) else 1
    assert told == [(i + 1, count) for i in range(count)]


def test_wrong_inputs_are_named() -> None:
    converter = converter_of(f=network())
    with pytest.raises(lite.ConversionError, match=r"inputs are given for signature 'g'; there are f\."):
        converter.convert(verify={"g": {}})
    with pytest.raises(lite.ConversionError, match="are a str, expected a dict by signature"):
        converter.convert(verify="f")  # type: ignore[arg-type]
    with pytest.raises(lite.ConversionError, match=r"inputs 'y' are given, 'x' expected \[at signature 'f'\]"):
        converter.convert(verify={"f": {"y": 1}})
    with pytest.raises(lite.ConversionError, match="there are no inputs to verify with"):
        converter.convert(verify={"f": []})
    with pytest.raises(lite.ConversionError, match="inputs can't be used: could not convert string"):
        converter.convert(verify={"f": {"x": "text"}})
    with pytest.raises(lite.ConversionError, match="TensorFlow fails on the inputs to verify with"):
        converter.convert(verify={"f": {"x": weights(2, 5)}})


def labels(tf: Any) -> Any:
    """A loss over classes: labels past the third are an error."""
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits
    return function(lambda labels, x: loss(labels, x @ weights(4, 3)), ([None], tf.int64), [None, 4])


MADE_UP: dict[str, Callable[[Any], Any]] = {
    "ids of a small vocabulary": lambda tf: function(lambda i: tf.gather(weights(5, 2), i), ([None, None], tf.int32)),
    "labels": labels,
    "sizes that agree": lambda tf: function(lambda x, y: x + y, [None, 3], [None, 3]),
    "square matrices": lambda tf: function(tf.linalg.trace, [None, None]),
    "images of a least size": lambda tf: function(
        lambda x: tf.nn.conv2d(x, weights(9, 9, 3, 2), 1, "VALID"), [None, None, None, 3]
    ),
    "an unknown rank": lambda tf: function(lambda x: tf.reshape(x, [-1]) * 2, (None,)),
    "numbers as text": lambda tf: function(tf.strings.to_number, ([None], tf.string)),
    "numbers with a logarithm": lambda tf: function(tf.math.log, [None]),
    "bytes": lambda tf: function(lambda x: tf.cast(x, tf.float32) / 255, ([None, 4], tf.uint8)),
    "truths": lambda tf: function(tf.logical_not, ([None], tf.bool)),
    "half floats": lambda tf: function(lambda x: x * 3, ([4], tf.float16)),
    "complex numbers": lambda tf: function(tf.math.real, ([4], tf.complex64)),
}


@pytest.mark.parametrize("name", MADE_UP)
def test_inputs_are_made_up(name: str) -> None:
    import tensorflow as tf

    converter = converter_of(f=MADE_UP[name](tf))
    converter.convert(verify=True)
    peak = converter.report()["f"].peak_error
    assert peak is not None
    assert peak < 1e-5


def test_inputs_that_no_one_can_make_up() -> None:
    import tensorflow as tf

    decode = function(lambda s: tf.io.decode_png(s), ([], tf.string))
    with pytest.raises(
        lite.ConversionError, match=r"no inputs to verify with could be made up; TensorFlow says: "
    ) as error:
        converter_of(decode=decode).convert(verify=True)
    assert "verify={'decode': {name: array}}" in str(error.value)


def test_what_our_runtime_refuses_is_an_error() -> None:
    import tensorflow as tf

    write = function(lambda s: tf.io.matching_files(s), ([], tf.string))
    with pytest.raises(lite.ConversionError, match="our runtime fails where TensorFlow runs"):
        converter_of(f=write).convert(verify={"f": {"s": "/nowhere/*"}})


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_quantised_files_are_measured(kind: Any) -> None:
    x = weights(32, 16)
    converter = converter_of(f=function(lambda x: {"y": x @ weights(16, 16)}, [None, 16]))
    content = converter.convert()
    small = lite.quantize(content, "int8", {"f": [{"x": row[None]} for row in x]}, inputs=kind, outputs=kind)
    converter.verify(small, {"f": {"x": x}}, tolerance=None)
    checks = converter.report()["f"].checks
    assert checks is not None
    assert 25 < checks[0].difference.sqnr < 60
    with pytest.raises(lite.ConversionError, match="differs from TensorFlow: peak error"):
        converter.verify(small, {"f": {"x": x}})


def test_the_bare_converter_has_no_runtime() -> None:
    converter = BaseConverter.from_concrete_functions({"f": network()})
    with pytest.raises(StateError, match=r"Use tflite_cupy\.TFLiteConverter"):
        converter.convert(verify=True)

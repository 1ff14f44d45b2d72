"""The converter's surface: options, errors, the report."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.converter.oracle import BOTH, convert, pytestmark_converter, run, weights
from tflite_cupy.converter.tfgraph import TfNode
from tflite_cupy.interpreter.errors import StateError
from tflite_cupy.interpreter.format.model import load_model

pytestmark = pytestmark_converter
Converter = lite.TFLiteConverter


def texts() -> Any:
    """A function of a builtin and a TensorFlow operator, in a name scope."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None])])
    def show(x: Any) -> Any:
        with tf.name_scope("printer"):
            return {"text": tf.strings.as_string(x * 2)}

    return show


def test_importing_the_converter_leaves_tensorflow_alone() -> None:
    code = "import sys, tflite_cupy.converter; print({'tensorflow', 'keras'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_without_select_tf_ops_a_flex_node_is_an_error_that_names_it() -> None:
    converter = Converter.from_concrete_functions({"show": texts()})
    with pytest.raises(lite.ConversionError) as error:
        converter.convert()
    text = str(error.value)
    assert text.startswith("'tf.AsString' op is neither a custom op nor a flex op")
    assert "printer/AsString" in text
    assert "'show'" in text
    assert "SELECT_TF_OPS" in text


def test_all_problems_are_listed() -> None:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def more(x: Any) -> Any:
        return tf.strings.upper(tf.strings.strip(x))

    with pytest.raises(lite.ConversionError, match="3 nodes can't be converted") as error:
        Converter.from_concrete_functions({"show": texts(), "more": more}).convert()
    assert all(op in str(error.value) for op in ("tf.AsString", "tf.StringUpper", "tf.StringStrip"))


def test_report() -> None:
    converter = Converter.from_concrete_functions({"show": texts()})
    with pytest.raises(StateError, match="Call convert"):
        converter.report()
    converter.target_spec.supported_ops = BOTH
    converter.convert()
    report = converter.report()["show"]
    assert (report.builtin, report.builtin_count, report.flex_count) == ({"MUL": 1}, 1, 1)
    node = report.flex[0]
    assert (node.op, node.name, node.scope) == ("AsString", "printer/AsString", "printer")
    assert node.reason == "no builtin operator stands for AsString"
    assert str(converter.report()) == (
        "show: 1 builtin, 1 Flex\n  MUL\n  FlexAsString 'printer/AsString': no builtin operator stands for AsString"
    )


def test_flex_nodes_run() -> None:
    got = run(convert({"show": texts()}), "show", {"x": np.float32([1, 2.5])})
    assert got["text"].tolist() == [b"2.000000", b"5.000000"]


@pytest.mark.parametrize("names", [True, False])
def test_operator_sets_of_tensorflow_are_accepted(names: bool) -> None:
    import tensorflow as tf

    sets = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    converter = Converter.from_concrete_functions({"show": texts()})
    converter.target_spec.supported_ops = [s.name for s in sets] if names else sets
    assert converter.convert()


@pytest.mark.parametrize("switch", [True, False])
def test_everything_as_flex(switch: bool) -> None:
    converter = Converter.from_concrete_functions({"show": texts()})
    if switch:
        converter.all_flex = True
    else:
        converter.target_spec.supported_ops = [lite.OpsSet.SELECT_TF_OPS]
    content = converter.convert()
    assert [node.op for node in converter.report()["show"].flex] == ["Mul", "AsString"]
    assert run(content, "show", {"x": np.float32([3])})["text"].tolist() == [b"6.000000"]


def test_custom_operators() -> None:
    converter = Converter.from_concrete_functions({"show": texts()})
    converter.allow_custom_ops = True
    node = load_model(converter.convert()).graphs[0].nodes[-1]
    assert (node.name, node.custom) == ("AsString", True)
    assert b"precision" in node.custom_options
    report = converter.report()["show"]
    assert (report.builtin, report.custom, report.flex) == ({"MUL": 1}, {"AsString": 1}, ())


def test_unknown_operator_sets_are_an_error() -> None:
    converter = Converter.from_concrete_functions({"show": texts()})
    converter.target_spec.supported_ops = ["EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8"]
    with pytest.raises(lite.ConversionError, match=r"INT16_WEIGHTS_INT8.*TFLITE_BUILTINS, .*SELECT_TF_OPS are"):
        converter.convert()
    converter.target_spec.supported_ops = []
    with pytest.raises(lite.ConversionError, match="supported_ops is empty"):
        converter.convert()


@pytest.mark.parametrize("mine", [True, False])
def test_optimisations_of_tensorflow_are_accepted(mine: bool) -> None:
    import tensorflow as tf

    function = tf.function(lambda x: x @ weights(64, 64), input_signature=[tf.TensorSpec([None, 64])])
    converter = Converter.from_concrete_functions({"f": function})
    plain = converter.convert()
    converter.optimizations = [(lite if mine else tf.lite).Optimize.DEFAULT]
    assert len(converter.convert()) < len(plain) / 2


def test_functions_must_be_functions() -> None:
    import tensorflow as tf

    with pytest.raises(lite.ConversionError, match=r"^No ConcreteFunction is specified\."):
        Converter.from_concrete_functions([])
    with pytest.raises(lite.ConversionError, match=r"^This function takes in a list of ConcreteFunction\. To get"):
        Converter.from_concrete_functions([texts()])
    with pytest.raises(
        lite.ConversionError, match=r"signature 'f' needs a tf\.function or a ConcreteFunction, got int"
    ):
        Converter.from_concrete_functions({"f": 1})
    with pytest.raises(lite.ConversionError, match="takes a Keras model, got int"):
        Converter.from_keras_model(1)
    with pytest.raises(lite.ConversionError, match="function of signature 'f' could not be traced"):
        Converter.from_concrete_functions({"f": tf.function(lambda x: x)})


def test_saved_models_must_have_the_signature(tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.show = texts()
    function = module.show.get_concrete_function()
    tf.saved_model.save(module, str(tmp_path / "two"), signatures={"encode": function, "decode": function})
    tf.saved_model.save(tf.Module(), str(tmp_path / "none"))
    with pytest.raises(
        lite.ConversionError, match=r"Invalid signature key 'nope' found\. Valid keys are 'encode,decode'"
    ):
        Converter.from_saved_model(tmp_path / "two", ["nope"])
    with pytest.raises(lite.ConversionError, match=r"Did you mean 'encode'\?"):
        Converter.from_saved_model(tmp_path / "two", ["encod"])
    with pytest.raises(lite.ConversionError, match=r"^Only support at least one signature key\..*`signatures=`"):
        Converter.from_saved_model(tmp_path / "none")
    with pytest.raises(lite.ConversionError, match="could not be loaded"):
        Converter.from_saved_model(tmp_path / "nothing")


def test_functions_over_functions_can_not_be_carried() -> None:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([2, 3])])
    def rows(x: Any) -> Any:
        body = tf.function(lambda row: row + 1).get_concrete_function(tf.TensorSpec([3]))
        return tf.raw_ops.MapDefun(
            arguments=[x], captured_inputs=[], output_types=[tf.float32], output_shapes=[[3]], f=body
        )

    with pytest.raises(lite.ConversionError, match=r"'tf\.MapDefun' op can't be converted.*'f' is a function"):
        convert({"rows": rows})


def test_graphs_do_not_wait_for_the_garbage_collector() -> None:
    import tensorflow as tf

    x = tf.TensorSpec([1, 8, 8, 3])
    kernel = tf.Variable(weights(3, 3, 3, 4))
    function = tf.function(lambda x: tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME") * 2.0 + 1.0))
    concrete = function.get_concrete_function(x)
    gc.collect()
    before = sum(isinstance(found, tf.Graph) for found in gc.get_objects())
    gc.disable()
    try:
        lite.TFLiteConverter.from_concrete_functions({"f": concrete}).convert()
        found = [type(each) for each in gc.get_objects()]
    finally:
        gc.enable()
    assert not any(issubclass(kind, TfNode) for kind in found)
    assert sum(issubclass(kind, tf.Graph) for kind in found) == before

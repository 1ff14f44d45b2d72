"""Quantisation asked for as people ask `tf.lite.TFLiteConverter` for it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite

from .networks import Network, mlp, two_signatures
from .official import operators, pairs

pytestmark = [pytest.mark.flex]


@cache
def network(name: str) -> Network:
    return {"mlp": mlp, "two signatures": two_signatures}[name]()


def converter(name: str = "mlp", **settings: Any) -> lite.TFLiteConverter:
    given = network(name)
    made = lite.TFLiteConverter.from_concrete_functions(dict(given.signatures), given.owner)
    for key, value in settings.items():
        if key.startswith("supported"):
            setattr(made.target_spec, key, value)
        else:
            setattr(made, key, value)
    return made


def samples() -> Iterator[list[np.ndarray]]:
    for sample in network("mlp").samples(4)["infer"]:
        yield [sample["x"]]


def kinds(content: bytes) -> set[str]:
    (graph,) = lite.load_model(content).graphs
    return {t.type.name for t in graph.tensors if t.data is not None}


def test_weights() -> None:
    made = converter(optimizations=[lite.Optimize.DEFAULT])
    assert "INT8" in kinds(made.convert())
    assert {outcome.op for outcome in made.quantization_report().quantized} == {"FULLY_CONNECTED"}


def test_half_precision() -> None:
    import tensorflow as tf

    for kind in (tf.float16, np.float16, "float16"):
        content = converter(optimizations=["DEFAULT"], supported_types=[kind]).convert()
        assert "FLOAT16" in kinds(content)


def test_the_names_of_tensorflow_are_taken() -> None:
    import tensorflow as tf

    made = converter(
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=tf.lite.RepresentativeDataset(samples),
        supported_ops=[tf.lite.OpsSet.TFLITE_BUILTINS_INT8],
        inference_input_type=tf.int8,
        inference_output_type=tf.uint8,
    )
    content = made.convert()
    (graph,) = lite.load_model(content).graphs
    assert [graph.tensors[i].type.name for i in (*graph.inputs, *graph.outputs)] == ["INT8", "UINT8"]
    assert operators(content)["QUANTIZE"] == 1
    assert made.quantization_report().kept_float == ()


@pytest.mark.parametrize("form", ["lists", "dictionaries", "pairs", "by signature"])
def test_representative_datasets(form: str) -> None:
    given = network("mlp").samples(4)
    data = {
        "lists": samples,
        "dictionaries": lambda: iter(given["infer"]),
        "pairs": lambda: pairs(given),
        "by signature": given,
    }[form]
    content = converter(optimizations=[lite.Optimize.DEFAULT], representative_dataset=data).convert()
    expected = lite.quantize(converter().convert(), "int8", given)
    assert content == expected


def test_each_signature_is_calibrated() -> None:
    given = network("two signatures").samples(4)
    content = converter(
        "two signatures", optimizations=[lite.Optimize.DEFAULT], representative_dataset=lambda: pairs(given)
    ).convert()
    for graph in lite.load_model(content).graphs:
        assert [n.name for n in graph.nodes][::2] == ["QUANTIZE", "DEQUANTIZE"]
    only = {"encode": given["encode"]}
    made = converter("two signatures", optimizations=[lite.Optimize.DEFAULT], representative_dataset=only)
    with pytest.raises(lite.ConversionError, match="signature 'decode' computes on real numbers"):
        made.convert()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"supported_ops": [lite.OpsSet.TFLITE_BUILTINS_INT8]}, "needs calibration data"),
        ({"inference_input_type": np.int8}, "must be float32 without full integer"),
        ({"inference_input_type": np.int16, "representative_dataset": samples}, "inference_input_type is int16"),
        ({"supported_types": [np.int16]}, "supported_types holds int16"),
        ({"supported_types": ["nope"]}, "which is no element type"),
        ({"optimizations": ["SMALL"]}, "optimizations holds 'SMALL'"),
    ],
)
def test_settings_that_contradict(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(lite.ConversionError, match=says):
        converter(**{"optimizations": [lite.Optimize.DEFAULT], **settings}).convert()


def test_nothing_is_quantised_unless_asked_for() -> None:
    made = converter(representative_dataset=samples)
    assert kinds(made.convert()) == {"FLOAT32"}
    with pytest.raises(lite.StateError, match="nothing has been quantised yet"):
        made.quantization_report()


def test_the_float_model_is_verified_before_it_is_quantised() -> None:
    made = converter(optimizations=[lite.Optimize.DEFAULT], representative_dataset=samples)
    assert "INT8" in kinds(made.convert(verify=True))


def test_float_parts_of_models_with_tensorflow_operators() -> None:
    import tensorflow as tf

    @tf.function(
        input_signature=[tf.TensorSpec((1, 8), tf.float32, name="x"), tf.TensorSpec((1,), tf.string, name="s")]
    )
    def infer(x: Any, s: Any) -> dict[str, Any]:
        return {"y": tf.nn.relu(x) * 2.0, "text": tf.strings.join([tf.strings.upper(s), tf.constant("!")])}

    made = lite.TFLiteConverter.from_concrete_functions({"infer": infer.get_concrete_function()})
    made.target_spec.supported_ops = [lite.OpsSet.TFLITE_BUILTINS, lite.OpsSet.SELECT_TF_OPS]
    made.optimizations = [lite.Optimize.DEFAULT]
    sample = {"x": np.linspace(-1, 1, 8, dtype=np.float32)[None], "s": np.array([b"a"], object)}
    made.representative_dataset = [sample]
    content = made.convert()
    assert [outcome.op for outcome in made.quantization_report().outcomes] == ["RELU", "MUL"]
    got = lite.Interpreter(model_content=content).get_signature_runner()(**sample)
    assert got["text"].tolist() == [b"A!"]
    np.testing.assert_allclose(got["y"], 2 * np.maximum(sample["x"], 0), atol=0.02)

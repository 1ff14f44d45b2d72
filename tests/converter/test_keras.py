"""Keras models: results, operators that must not be Flex, node budgets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.converter.oracle import BOTH, compare, interpreter, pytestmark_converter, weights
from tflite_cupy.commands import demo_models

pytestmark = pytestmark_converter
RUNTIMES = ["ours", pytest.param("reference", marks=pytest.mark.reference)]


def dense(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential([keras.Input((8,)), layers.Dense(16, "relu"), layers.Dense(4, "softmax")])


def dense_on_sequences(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((5, 8)), layers.Dense(16, "tanh"), layers.LayerNormalization(), layers.Dense(4)]
    )


def convolutions(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Rescaling(1 / 255.0),
            layers.SeparableConv2D(8, 3),
            layers.BatchNormalization(),
            layers.PReLU(),
            layers.Conv2DTranspose(4, 3, strides=2, padding="same"),
            layers.LeakyReLU(),
            layers.UpSampling2D(2),
            layers.Cropping2D(1),
            layers.MaxPooling2D(),
            layers.GroupNormalization(2),
            layers.Activation("swish"),
            layers.GlobalMaxPooling2D(),
            layers.Dropout(0.5),
        ]
    )


def sequence_convolutions(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((20, 3)),
            layers.Conv1D(4, 3, activation="relu"),
            layers.MaxPooling1D(),
            layers.Conv1DTranspose(3, 3, strides=2),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )


def lstm(keras: Any) -> Any:
    return keras.Sequential([keras.Input((5, 8)), keras.layers.LSTM(4)])


def recurrent_layers(keras: Any) -> Any:
    """Layers over sequences of any length; each becomes a WHILE."""
    layers = keras.layers
    both = layers.Bidirectional(layers.LSTM(3, return_sequences=True))
    return keras.Sequential([keras.Input((None, 8)), both, layers.GRU(4, return_sequences=True), layers.SimpleRNN(3)])


def attention(keras: Any) -> Any:
    x = keras.Input((6, 8))
    y = keras.layers.MultiHeadAttention(2, 4)(x, x)
    y = keras.layers.LayerNormalization()(x + y)
    return keras.Model(x, y + keras.layers.Dense(8)(keras.layers.Dense(16, "gelu")(y)))


MODELS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "dense": (dense, 3),
    "dense on sequences": (dense_on_sequences, 13),
    "convolutions": (convolutions, 45),
    "sequence convolutions": (sequence_convolutions, 16),
    "lstm": (lstm, 35),
    "recurrent layers": (recurrent_layers, 140),
    "attention": (attention, 32),
}
"""Builder, and the most nodes that its file may have."""


def converted(model: Any, *, flex: bool = False) -> tuple[bytes, Any]:
    converter = lite.TFLiteConverter.from_keras_model(model)
    if flex:
        converter.target_spec.supported_ops = BOTH
    return converter.convert(), converter.report()["serving_default"]


def example(model: Any, batch: int = 2) -> np.ndarray:
    return weights(batch, *(n or 7 for n in model.inputs[0].shape[1:]))


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", MODELS)
def test_models_of_builtin_operators(name: str, runtime: str) -> None:
    import keras

    keras.utils.set_random_seed(1)
    build, budget = MODELS[name]
    model = build(keras)
    content, report = converted(model)
    assert report.flex_count == 0
    assert report.builtin_count <= budget, str(report)
    x = example(model)
    runner = interpreter(content, runtime).get_signature_runner("serving_default")
    got = runner(**{model.inputs[0].name: x})
    compare(got, {"output_0": np.asarray(model(x, training=False))}, 1e-4)


def test_names_of_inputs_and_outputs() -> None:
    import keras

    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    added, joined = keras.layers.Add()([a, b]), keras.layers.Concatenate()([a, b])
    as_dict = keras.Model({"b": b, "a": a}, {"sum": added, "pair": joined})
    as_list = keras.Model([b, a], [added, joined])
    lists = [lite.Interpreter(model_content=converted(m)[0]).get_signature_list() for m in (as_dict, as_list)]
    assert lists == [
        {"serving_default": {"inputs": ["a", "b"], "outputs": ["pair", "sum"]}},
        {"serving_default": {"inputs": ["a", "b"], "outputs": ["output_0", "output_1"]}},
    ]
    runner = lite.Interpreter(model_content=converted(as_list)[0]).get_signature_runner()
    x = weights(2, 4)
    np.testing.assert_allclose(runner(a=x, b=2 * x)["output_1"], np.concatenate([x, 2 * x], -1))


def test_subclassed_models_must_have_been_called() -> None:
    import keras

    class Net(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = keras.layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.layer(x)

    model = Net()
    with pytest.raises(lite.ConversionError, match="does not know the shapes of its inputs yet"):
        lite.TFLiteConverter.from_keras_model(model)
    x = weights(3, 5)
    expected = np.asarray(model(x))
    runner = lite.Interpreter(model_content=converted(model)[0]).get_signature_runner()
    (name,) = runner.get_input_details()
    np.testing.assert_allclose(runner(**{name: x})["output_0"], expected, rtol=1e-5, atol=1e-6)


def test_demo_models() -> None:
    import tensorflow as tf

    guide = demo_models.guide_model()
    converter = lite.TFLiteConverter.from_concrete_functions(demo_models.signatures(guide))
    converter.target_spec.supported_ops = BOTH
    runners = lite.Interpreter(model_content=converter.convert())
    encoded = runners.get_signature_runner("encode")(x=np.float32([1, 2, 3]))["encoded_result"]
    assert encoded.tolist() == [b"1.000000", b"2.000000", b"3.000000"]
    decoded = runners.get_signature_runner("decode")(x=encoded)["decoded_result"]
    assert decoded.tolist() == [1, 2, 3]

    mixed = demo_models.mixed_model()
    converter = lite.TFLiteConverter.from_concrete_functions(demo_models.signatures(mixed))
    converter.target_spec.supported_ops = BOTH
    content = converter.convert()
    assert [s.flex_count > 0 for s in converter.report().signatures] == [False, True]
    x = weights(3, 8)
    got = lite.Interpreter(model_content=content).get_signature_runner("classify")(features=x)
    expected = {name: value.numpy() for name, value in mixed.classify(tf.constant(x)).items()}
    compare(got, expected)

    content, report = converted(demo_models.keras_cnn())
    assert report.builtin == {
        "ADD": 3,
        "CONV_2D": 3,
        "DEPTHWISE_CONV_2D": 3,
        "FULLY_CONNECTED": 1,
        "MEAN": 1,
        "SOFTMAX": 1,
    }


def test_mobilenet_v2_stays_within_its_node_budget() -> None:
    import keras

    model = keras.applications.MobileNetV2((64, 64, 3), alpha=0.35, weights=None, classes=10)
    _, report = converted(model)
    assert (report.builtin_count, report.flex_count) == (65, 0)

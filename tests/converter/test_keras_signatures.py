"""Keras models of every make as signatures: how they are built, what they take and give, layers that hold tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.converter.oracle import BOTH, compare, interpreter, pytestmark_converter, run, weights

pytestmark = [
    *pytestmark_converter,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]
WORDS = np.array([[b"the cat"], [b"a dog, the dog"], [b""]], object)


@pytest.fixture(autouse=True)
def seeded() -> None:
    import keras

    keras.utils.set_random_seed(3)


def converted(source: Any, *, flex: bool = True) -> tuple[bytes, Any]:
    """File and report of a Keras model or a SavedModel, verified."""
    converter_type = lite.TFLiteConverter
    is_path = isinstance(source, Path)
    converter = converter_type.from_saved_model(source) if is_path else converter_type.from_keras_model(source)
    if flex:
        converter.target_spec.supported_ops = BOTH
    return converter.convert(verify=True), converter.report()


def names(content: bytes) -> dict[str, Any]:
    found: dict[str, Any] = lite.Interpreter(model_content=content).get_signature_list()
    return found


def called(model: Any, *example: Any) -> Any:
    model(*example)
    return model


def sequential(keras: Any) -> Any:
    return keras.Sequential([keras.Input((5,), name="x"), keras.layers.Dense(3, "relu")])


def built_by_a_call(keras: Any) -> Any:
    return called(keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(2)]), weights(1, 5))


def built_by_shape(keras: Any) -> Any:
    model = keras.Sequential([keras.layers.Dense(3)])
    model.build((None, 5))
    return model


def dicts(keras: Any) -> Any:
    image, text = keras.Input((5,), name="image"), keras.Input((2,), name="text")
    joined = keras.layers.Concatenate()([image, text])
    outputs = {"score": keras.layers.Dense(1)(joined), "features": joined}
    return keras.Model({"text": text, "image": image}, outputs)


def nested(keras: Any) -> Any:
    """A model that is a layer of another one, of which one output is taken twice."""
    inner = sequential(keras)
    x = keras.Input((5,), name="first")
    y = inner(x)
    return keras.Model(x, [y, inner(x * 2), y])


def subclassed_with_a_dict(keras: Any) -> Any:
    class Net(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = keras.layers.Dense(2)

        def call(self, inputs: Mapping[str, Any], training: bool = False) -> Any:
            y = self.layer(inputs["left"]) + inputs["right"]
            return {"y": y, "trained": y * (2.0 if training else 1.0)}

    return called(Net(), {"right": weights(1, 2), "left": weights(1, 5)})


def subclassed_with_two_arguments(keras: Any) -> Any:
    class Net(keras.Model):  # type: ignore[misc]
        def build(self, left_shape: Any, right_shape: Any) -> None:
            self.built = True

        def call(self, left: Any, right: Any) -> Any:
            return [left - right, keras.ops.sum(left)]

    return called(Net(), weights(1, 2), weights(1, 2))


def in_inference_mode(keras: Any) -> Any:
    layers = keras.layers
    stack = [layers.RandomFlip(), layers.GaussianNoise(1.0), layers.Dropout(0.9), layers.BatchNormalization()]
    return keras.Sequential([keras.Input((4, 4, 3), name="x"), *stack])


MODELS: dict[str, tuple[Callable[[Any], Any], list[str], list[str]]] = {
    "sequential": (sequential, ["x"], ["output_0"]),
    "built by a call": (built_by_a_call, [], ["output_0"]),
    "built by shape": (built_by_shape, [], ["output_0"]),
    "dicts": (dicts, ["image", "text"], ["features", "score"]),
    "nested": (nested, ["first"], ["output_0", "output_1", "output_2"]),
    "subclassed with a dict": (subclassed_with_a_dict, ["left", "right"], ["trained", "y"]),
    "subclassed with two arguments": (subclassed_with_two_arguments, ["left", "right"], ["output_0", "output_1"]),
    "in inference mode": (in_inference_mode, ["x"], ["output_0"]),
}
"""Builder and names; no names of inputs where Keras makes them up."""


@pytest.mark.parametrize("name", MODELS)
def test_models(name: str) -> None:
    import keras

    build, inputs, outputs = MODELS[name]
    content, report = converted(build(keras), flex=False)
    signature = names(content)["serving_default"]
    assert not inputs or signature["inputs"] == inputs
    assert signature["outputs"] == outputs
    assert report["serving_default"].peak_error < 1e-5


def test_an_unbuilt_model_is_an_error() -> None:
    import keras

    with pytest.raises(lite.ConversionError, match="does not know the shapes of its inputs yet") as error:
        lite.TFLiteConverter.from_keras_model(keras.Sequential([keras.layers.Dense(3)]))
    assert "call it once on an example" in str(error.value)


def test_a_model_that_forgot_an_argument_is_an_error() -> None:
    """Keras notes the first argument alone, unless the model's `build` takes the others too."""
    import keras

    class Net(keras.Model):  # type: ignore[misc]
        def call(self, left: Any, right: Any) -> Any:
            return left - right

    model = called(Net(), weights(1, 2), weights(1, 2))
    with pytest.raises(lite.ConversionError, match=r"traced: TypeError: missing.*'right'.*from_concrete_functions"):
        lite.TFLiteConverter.from_keras_model(model)


def normalization(keras: Any, folder: Path) -> tuple[Any, Any]:
    layer = keras.layers.Normalization()
    layer.adapt(weights(100, 3) * 5 + 2)
    return layer, weights(4, 3)


def discretization(keras: Any, folder: Path) -> tuple[Any, Any]:
    return keras.layers.Discretization(bin_boundaries=[-1.0, 0.0, 1.5]), weights(4, 3)


def category_encoding(keras: Any, folder: Path) -> tuple[Any, Any]:
    return keras.layers.CategoryEncoding(num_tokens=4, output_mode="multi_hot"), np.array([[0, 3], [1, 1]], np.int64)


def string_lookup(keras: Any, folder: Path) -> tuple[Any, Any]:
    words = keras.layers.StringLookup(vocabulary=["cat", "dog"])
    return words, np.array([[b"dog", b"cow"], [b"cat", b""]], object)


def vocabulary_file(keras: Any, folder: Path) -> tuple[Any, Any]:
    (folder / "words.txt").write_text("cat\ndog\n")
    return keras.layers.StringLookup(vocabulary=str(folder / "words.txt")), np.array([[b"dog", b"cow"]], object)


def inverse_lookup(keras: Any, folder: Path) -> tuple[Any, Any]:
    return keras.layers.StringLookup(vocabulary=["cat", "dog"], invert=True), np.array([[1, 2], [0, 1]], np.int64)


def hashing(keras: Any, folder: Path) -> tuple[Any, Any]:
    return keras.layers.Hashing(num_bins=7), np.array([[b"a", b"b"], [b"c", b""]], object)


def text_vectorization(keras: Any, folder: Path) -> tuple[Any, Any]:
    layer = keras.layers.TextVectorization(output_sequence_length=4)
    layer.adapt(["the dog", "the cat sat"])
    return layer, WORDS


def bag_of_words(keras: Any, folder: Path) -> tuple[Any, Any]:
    layer = keras.layers.TextVectorization(output_mode="tf_idf")
    layer.adapt(["the dog", "the cat sat"])
    return layer, WORDS


LAYERS = {
    f.__name__: f
    for f in (
        *(normalization, discretization, category_encoding, hashing, string_lookup, inverse_lookup, vocabulary_file),
        *(text_vectorization, bag_of_words),
    )
}


@pytest.mark.parametrize("name", LAYERS)
def test_preprocessing_layers(name: str, tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    layer, x = LAYERS[name](keras, tmp_path)
    spec = tf.TensorSpec([None, *x.shape[1:]], tf.string if x.dtype == object else x.dtype)
    function = tf.function(lambda x: {"y": layer(x)}, input_signature=[spec])
    converter = lite.TFLiteConverter.from_concrete_functions({"f": function})
    converter.target_spec.supported_ops = BOTH
    content = converter.convert(verify={"f": {"x": x}})
    for file in tmp_path.iterdir():
        file.unlink()
    expected = {"y": np.asarray(function(tf.constant(x, spec.dtype))["y"])}
    compare(run(content, "f", {"x": x}), expected)
    if converter.report()["f"].flex_count == 0:
        compare(run(content, "f", {"x": x}, "reference"), expected)


def test_a_model_with_its_vocabulary_through_a_saved_model(tmp_path: Path) -> None:
    import keras

    layer, words = text_vectorization(keras, tmp_path)
    text = keras.Input((1,), dtype="string", name="text")
    y = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(10, 4)(layer(text)))
    model = keras.Model(text, keras.layers.Dense(2)(y))
    model.export(tmp_path / "saved", verbose=False)
    content, _ = converted(tmp_path / "saved")
    assert names(content) == {"serving_default": {"inputs": ["text"], "outputs": ["output_0"]}}
    expected = np.asarray(model(words))
    compare(run(content, "serving_default", {"text": words}), {"output_0": expected})


def trainable() -> Any:
    """A module of a Keras model, an optimiser and signatures that train it, use it and tell its loss."""
    import keras
    import tensorflow as tf

    class Model(tf.Module):
        def __init__(self) -> None:
            self.net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(3)])
            self.optimizer = keras.optimizers.Adam(0.05)
            self.optimizer.build(self.net.trainable_variables)

        @tf.function(input_signature=[tf.TensorSpec([None, 4])])
        def infer(self, x: Any) -> Any:
            return {"scores": self.net(x)}

        @tf.function(input_signature=[tf.TensorSpec([None, 4]), tf.TensorSpec([None], tf.int32)])
        def train(self, x: Any, labels: Any) -> Any:
            with tf.GradientTape() as tape:
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, self.net(x))
                loss = tf.reduce_mean(losses)
            variables = self.net.trainable_variables
            self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            return {"loss": loss}

    return Model()


@pytest.mark.parametrize("saved", [False, True])
def test_a_training_step_is_a_signature(saved: bool, tmp_path: Path) -> None:
    import tensorflow as tf

    module = trainable()
    functions = {key: getattr(module, key).get_concrete_function() for key in ("infer", "train")}
    before = module.net.get_weights()
    if saved:
        tf.saved_model.save(module, str(tmp_path), signatures=functions)
        converter = lite.TFLiteConverter.from_saved_model(tmp_path)
    else:
        converter = lite.TFLiteConverter.from_concrete_functions(functions, module)
    converter.target_spec.supported_ops = BOTH
    content = converter.convert(verify=True)
    assert all((s.peak_error or 0) < 1e-5 for s in converter.report().signatures)
    assert all(map(np.array_equal, before, module.net.get_weights()))
    runners = interpreter(content)
    train, infer = runners.get_signature_runner("train"), runners.get_signature_runner("infer")
    x, labels = weights(8, 4), np.int32([0, 1, 2, 0, 1, 2, 0, 1])
    first = infer(x=x)["scores"]
    losses = [float(train(x=x, labels=labels)["loss"]) for _ in range(5)]
    assert losses == sorted(losses, reverse=True)
    expected = [float(module.train(tf.constant(x), tf.constant(labels))["loss"]) for _ in range(5)]
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    assert np.abs(infer(x=x)["scores"] - first).max() > 1e-2

"""TensorFlow models that show what tflite-cupy is for. Each builder needs TensorFlow.

`signatures(model)` lists the entry points of a `tf.Module` built here, as `from_concrete_functions` and
`tf.saved_model.save` take them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

SEED = 7


def guide_model() -> Any:
    """The model of the TFLite signature guide: `encode` turns floats into strings, `decode` strings into floats.

    encode: x float32 [n] -> encoded_result string [n]; decode: x string [n] -> decoded_result float32 [n].
    Both operators are TensorFlow's own, so each becomes a Flex node.
    """
    import tensorflow as tf

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
        def encode(self, x: Any) -> dict[str, Any]:
            return {"encoded_result": tf.strings.as_string(x)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def decode(self, x: Any) -> dict[str, Any]:
            return {"decoded_result": tf.strings.to_number(x)}

    return Model(name="guide")


def keras_cnn() -> Any:
    """An image classifier for 32 x 32 colour images: builtin operators only.

    serving_default: image float32 [n, 32, 32, 3] -> output_0 float32 [n, 10], probabilities.
    """
    import keras

    keras.utils.set_random_seed(SEED)
    layers = keras.layers
    image = keras.Input((32, 32, 3), name="image")
    x = image
    for filters in (16, 32, 64):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU(max_value=6)(x)
        y = layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
        x = layers.Add()([x, y])
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(10, activation="softmax")(x)
    return keras.Model(image, x, name="cnn")


def mixed_model() -> Any:
    """Dense layers and string operators in one model, two signatures sharing the weights.

    classify: features float32 [n, 8] -> scores float32 [n, 4], label string [n] (Flex nodes beside dense layers);
    score: features float32 [n, 8] -> scores float32 [n, 4] (builtin operators only).
    """
    import tensorflow as tf

    class Model(tf.Module):
        def __init__(self) -> None:
            super().__init__(name="mixed")
            normal = tf.random.Generator.from_seed(SEED).normal
            self.hidden = tf.Variable(normal([8, 32]) / 8**0.5, name="hidden")
            self.hidden_bias = tf.Variable(normal([32]), name="hidden_bias")
            self.head = tf.Variable(normal([32, 4]) / 32**0.5, name="head")

        def scores(self, features: Any) -> Any:
            return tf.nn.softmax(tf.nn.relu(features @ self.hidden + self.hidden_bias) @ self.head)

        @tf.function(input_signature=[tf.TensorSpec([None, 8], tf.float32)])
        def score(self, features: Any) -> dict[str, Any]:
            return {"scores": self.scores(features)}

        @tf.function(input_signature=[tf.TensorSpec([None, 8], tf.float32)])
        def classify(self, features: Any) -> dict[str, Any]:
            scores = self.scores(features)
            best = tf.strings.as_string(tf.argmax(scores, axis=1))
            percent = tf.strings.as_string(100 * tf.reduce_max(scores, axis=1), precision=1)
            return {"scores": scores, "label": tf.strings.join(["class ", best, ": ", percent, " %"])}

    return Model()


def signatures(model: Any) -> dict[str, Any]:
    """{signature key: ConcreteFunction} of the `tf.function`s with an input signature that a module's class defines."""
    import tensorflow as tf

    found = {name: getattr(model, name) for name in vars(type(model)) if not name.startswith("_")}
    kind = type(tf.function(lambda: None))
    return {name: f.get_concrete_function() for name, f in found.items() if isinstance(f, kind)}


def save(model: Any, folder: str, functions: Mapping[str, Any]) -> None:
    """Write `model` as a SavedModel with these signatures."""
    import tensorflow as tf

    tf.saved_model.save(model, folder, signatures=dict(functions))


def outputs(function: Any, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What TensorFlow itself gives: {output name: array} of a ConcreteFunction that returns a dict."""
    import tensorflow as tf

    tensors = function(**{name: tf.constant(value) for name, value in inputs.items()})
    return {name: np.asarray(tensor.numpy()) for name, tensor in tensors.items()}

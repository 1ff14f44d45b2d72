"""Small networks of TensorFlow that tests quantise, here and with TensorFlow's own quantiser."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Sample = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Network:
    """Functions of TensorFlow by signature key, and the shapes of their inputs."""

    signatures: Mapping[str, Any]
    inputs: Mapping[str, Mapping[str, tuple[int, ...]]]
    owner: Any  # keeps variables alive

    def samples(self, count: int, seed: int = 0) -> dict[str, list[Sample]]:
        """Normally distributed samples for every signature."""
        random = np.random.default_rng(seed)
        return {
            key: [{n: random.normal(size=s).astype(np.float32) for n, s in shapes.items()} for _ in range(count)]
            for key, shapes in self.inputs.items()
        }


def _keras(model: Any, *shape: int) -> Network:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((1, *shape), tf.float32, name="x")])
    def infer(x: Any) -> dict[str, Any]:
        return {"y": model(x, training=False)}

    owner = tf.Module()
    owner.variables_of_model = [variable.value for variable in model.variables]
    return Network({"infer": infer.get_concrete_function()}, {"infer": {"x": (1, *shape)}}, owner)


def _warmed(model: Any) -> Any:
    """The model with statistics of batch normalisation that are not those of a fresh layer."""
    random = np.random.default_rng(3)
    for variable in model.variables:
        name = variable.path
        if "moving" in name or name.endswith(("gamma", "beta", "bias")):
            low = 0.5 if "variance" in name or name.endswith("gamma") else -0.3
            variable.assign(random.uniform(low, low + 1.0, variable.shape))
    return model


def cnn() -> Network:
    """Convolutions, batch normalisation, ReLU6, depthwise, a residual connection, softmax."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(1)
    x = keras.Input((24, 24, 3))
    y = layers.ReLU(6.0)(layers.BatchNormalization()(layers.Conv2D(32, 3, 2, "same", use_bias=False)(x)))
    z = layers.ReLU(6.0)(layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(y)))
    y = layers.Add()([y, layers.BatchNormalization()(layers.Conv2D(32, 1)(z))])
    y = layers.Conv2D(64, 3, 2, activation="relu")(y)
    y = layers.Dense(128, "relu")(layers.GlobalAveragePooling2D()(y))
    return _keras(_warmed(keras.Model(x, layers.Dense(10, "softmax")(y))), 24, 24, 3)


def mlp() -> Network:
    """Dense layers with several activations."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(1)
    x = keras.Input((64,))
    y = layers.Dense(128, "relu")(x)
    y = layers.Dense(128, "tanh")(y)
    y = layers.LeakyReLU(0.1)(layers.Dense(96)(y))
    return _keras(_warmed(keras.Model(x, layers.Dense(32, "sigmoid")(y))), 64)


def unet() -> Network:
    """An encoder, and a decoder that concatenates what the encoder had."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(1)
    x = keras.Input((16, 16, 4))
    a = layers.Conv2D(16, 3, padding="same", activation="relu")(x)
    b = layers.Conv2D(32, 3, padding="same", activation="relu")(layers.MaxPooling2D()(a))
    c = layers.Conv2D(64, 3, padding="same", activation="relu")(layers.AveragePooling2D(2)(b))
    y = layers.Concatenate()([layers.Conv2DTranspose(32, 3, 2, "same")(c), b])
    y = layers.Concatenate()([layers.UpSampling2D(interpolation="bilinear")(layers.Conv2D(16, 1)(y)), a])
    return _keras(_warmed(keras.Model(x, layers.Conv2D(4, 3, padding="same")(y))), 16, 16, 4)


def lstm() -> Network:
    """A recurrent layer as a loop, with a dense layer after it."""
    import keras

    keras.utils.set_random_seed(1)
    x = keras.Input((6, 24))
    y = keras.layers.LSTM(48)(x)
    return _keras(keras.Model(x, keras.layers.Dense(8)(y)), 6, 24)


def two_signatures() -> Network:
    """An encoder and a decoder that share their weights."""
    import tensorflow as tf

    random = np.random.default_rng(2)
    matrix = tf.Variable(random.normal(size=(48, 64)).astype(np.float32) / 7)
    bias = tf.Variable(random.normal(size=64).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec((1, 48), tf.float32, name="x")])
    def encode(x: Any) -> dict[str, Any]:
        return {"code": tf.nn.relu(tf.matmul(x, matrix) + bias)}

    @tf.function(input_signature=[tf.TensorSpec((1, 64), tf.float32, name="code")])
    def decode(code: Any) -> dict[str, Any]:
        return {"x": tf.matmul(code, matrix, transpose_b=True)}

    functions = {"encode": encode.get_concrete_function(), "decode": decode.get_concrete_function()}
    inputs = {"encode": {"x": (1, 48)}, "decode": {"code": (1, 64)}}
    owner = tf.Module()
    owner.matrix, owner.bias = matrix, bias
    return Network(functions, inputs, owner)


def loop() -> Network:
    """A while loop around a dense layer, and a condition."""
    import tensorflow as tf

    random = np.random.default_rng(2)
    matrix = tf.constant(random.normal(size=(32, 32)).astype(np.float32) / 6)

    @tf.function(input_signature=[tf.TensorSpec((1, 32), tf.float32, name="x")])
    def infer(x: Any) -> dict[str, Any]:
        def turn(i: Any, y: Any) -> Any:
            return i + 1, tf.tanh(tf.matmul(y, matrix)) + x

        y = tf.while_loop(lambda i, _: i < 3, turn, (0, tf.nn.relu(x)))[1]
        return {"y": tf.cond(tf.reduce_sum(x) > 0, lambda: tf.nn.relu(y), lambda: y * 0.5)}

    owner = tf.Module()
    owner.matrix = matrix
    return Network({"infer": infer.get_concrete_function()}, {"infer": {"x": (1, 32)}}, owner)


NETWORKS: dict[str, Callable[[], Network]] = {
    "cnn": cnn,
    "mlp": mlp,
    "unet": unet,
    "lstm": lstm,
    "two signatures": two_signatures,
    "loop": loop,
}

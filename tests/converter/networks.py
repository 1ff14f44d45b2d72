"""Whole Keras networks, small in size but complete in structure, and how many nodes the official converter gives them.

`NETWORKS[name].build(keras)` makes one. Weights come from a seed; statistics, scales and offsets of batch
normalisations are drawn too, so that nothing folds away as a neutral element.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

SEED = 11


@dataclass(frozen=True)
class Network:
    """A builder, and nodes of the official converter's file (TensorFlow 2.21), all subgraphs together.

    `official` counts for an unknown batch and for a batch of 1; None where that file needs Flex nodes.
    """

    build: Callable[[Any], Any]
    official: tuple[int | None, int | None]
    slow: bool = False


def application(keras: Any, name: str, size: int, classes: int = 10) -> Any:
    """A network of keras.applications for images of `size` x `size`."""
    return getattr(keras.applications, name)(input_shape=(size, size, 3), weights=None, classes=classes)


def resnet(keras: Any) -> Any:
    """Bottleneck blocks of ResNet50, two stages of two."""
    layers = keras.layers

    def block(x: Any, filters: int, stride: int) -> Any:
        y = layers.Activation("relu")(layers.BatchNormalization()(layers.Conv2D(filters, 1, stride)(x)))
        y = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(y))
        y = layers.BatchNormalization()(layers.Conv2D(4 * filters, 1)(layers.Activation("relu")(y)))
        if stride > 1 or x.shape[-1] != 4 * filters:
            x = layers.BatchNormalization()(layers.Conv2D(4 * filters, 1, stride)(x))
        return layers.Activation("relu")(layers.Add()([x, y]))

    image = keras.Input((32, 32, 3))
    x = layers.Conv2D(8, 7, 2)(layers.ZeroPadding2D(3)(image))
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
    for filters, stride in ((4, 1), (4, 1), (8, 2), (8, 1)):
        x = block(x, filters, stride)
    return keras.Model(image, layers.Dense(10, "softmax")(layers.GlobalAveragePooling2D()(x)))


def bert(keras: Any, depth: int = 2, width: int = 32, steps: int = 12, words: int = 50) -> Any:
    """Encoder layers over token numbers with a mask, as in BERT: learned positions, normalisation after the sum."""
    layers = keras.layers
    tokens, mask = (keras.Input((steps,), dtype="int32", name=name) for name in ("tokens", "mask"))
    positions = keras.ops.arange(steps)
    x = layers.Embedding(words, width)(tokens) + layers.Embedding(steps, width)(positions)
    x = layers.LayerNormalization(epsilon=1e-6)(x)
    seen = keras.ops.expand_dims(mask, 1)
    for _ in range(depth):
        y = layers.MultiHeadAttention(4, width // 4)(x, x, attention_mask=seen)
        x = layers.LayerNormalization(epsilon=1e-6)(x + y)
        y = layers.Dense(width)(layers.Dense(2 * width, "gelu")(x))
        x = layers.LayerNormalization(epsilon=1e-6)(x + y)
    return keras.Model([tokens, mask], {"pooled": layers.Dense(width, "tanh")(x[:, 0]), "sequence": x})


def decoder(keras: Any) -> Any:
    """Two decoder layers of a Transformer: causal attention, attention to a memory, normalisation before each part."""
    layers = keras.layers
    tokens, memory = keras.Input((9,), dtype="int32", name="tokens"), keras.Input((7, 32), name="memory")
    x = layers.Embedding(60, 32)(tokens)
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(4, 8)(y, y, use_causal_mask=True)
        x = x + layers.MultiHeadAttention(4, 8)(layers.LayerNormalization()(x), memory)
        x = x + layers.Dense(32)(layers.Dense(64, "silu")(layers.LayerNormalization()(x)))
    return keras.Model([tokens, memory], layers.Dense(60)(layers.LayerNormalization()(x)))


def recurrent(keras: Any, kind: str, steps: int | None = 10, units: int = 16, **options: Any) -> Any:
    layer = getattr(keras.layers, kind)(units, **options)
    return keras.Sequential([keras.Input((steps, 8)), layer, keras.layers.Dense(4)])


def bidirectional(keras: Any) -> Any:
    layers = keras.layers
    both = layers.Bidirectional(layers.LSTM(12, return_sequences=True))
    return keras.Sequential([keras.Input((10, 8)), both, layers.Bidirectional(layers.LSTM(6)), layers.Dense(3)])


def cells(keras: Any) -> Any:
    """`RNN` over stacked cells, which also returns the last states."""
    layers = keras.layers
    x = keras.Input((7, 5))
    stack = layers.RNN([layers.LSTMCell(6), layers.GRUCell(4), layers.SimpleRNNCell(3)], return_sequences=True)
    y, *states = layers.RNN([layers.GRUCell(4), layers.LSTMCell(3)], return_state=True)(stack(x))
    return keras.Model(x, [y, *(s for state in states for s in (state if isinstance(state, list) else [state]))])


def conv_lstm(keras: Any) -> Any:
    layers = keras.layers
    x = keras.Input((4, 12, 12, 2))
    y = layers.ConvLSTM2D(6, 3, padding="same", return_sequences=True)(x)
    return keras.Model(x, layers.ConvLSTM2D(4, 3, activation="relu")(y))


def unet(keras: Any) -> Any:
    layers = keras.layers

    def twice(x: Any, filters: int) -> Any:
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
        return x

    image = keras.Input((32, 32, 3))
    x, skips = image, []
    for filters in (8, 16):
        skips.append(twice(x, filters))
        x = layers.MaxPooling2D()(skips[-1])
    x = twice(x, 32)
    x = layers.Conv2DTranspose(16, 2, 2)(x)
    x = twice(layers.Concatenate()([skips[1], x]), 16)
    x = layers.UpSampling2D(interpolation="bilinear")(x)
    x = twice(layers.Concatenate()([skips[0], x]), 8)
    return keras.Model(image, layers.Conv2D(2, 1, activation="softmax")(x))


def text(keras: Any) -> Any:
    layers = keras.layers
    tokens = keras.Input((20,), dtype="int32")
    x = layers.Embedding(100, 16, mask_zero=True)(tokens)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(tokens, layers.Dense(4, "softmax")(layers.Dense(16, "relu")(x)))


def audio(keras: Any) -> Any:
    """Separable convolutions over frames, as in keyword spotting."""
    layers = keras.layers
    x = keras.Input((800, 1))
    y = layers.Conv1D(16, 40, 20, padding="same", activation="relu")(x)
    for filters in (16, 24, 32):
        y = layers.SeparableConv1D(filters, 5, padding="same", use_bias=False)(y)
        y = layers.Activation("hard_silu")(layers.BatchNormalization()(y))
        y = layers.MaxPooling1D(2)(y)
    return keras.Model(x, layers.Dense(10)(layers.Dropout(0.3)(layers.GlobalAveragePooling1D()(y))))


def small_mobilenet_v2(keras: Any) -> Any:
    return keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, classes=10)


def applications(**official: tuple[int, tuple[int | None, int | None]]) -> dict[str, Network]:
    return {
        name: Network(partial(application, name=name, size=size), nodes, slow=True)
        for name, (size, nodes) in official.items()
    }


NETWORKS: dict[str, Network] = {
    "MobileNetV2 x0.35": Network(small_mobilenet_v2, (65, 67)),
    "ResNet, small": Network(resnet, (25, 25)),
    "BERT encoder": Network(bert, (160, 111)),
    "Transformer decoder": Network(decoder, (226, 162)),
    "LSTM": Network(partial(recurrent, kind="LSTM"), (None, 26)),
    "LSTM, any length": Network(partial(recurrent, kind="LSTM", steps=None, return_sequences=True), (None, 48)),
    "GRU": Network(partial(recurrent, kind="GRU"), (None, 28)),
    "GRU, reset before": Network(partial(recurrent, kind="GRU", reset_after=False, go_backwards=True), (None, 29)),
    "SimpleRNN": Network(partial(recurrent, kind="SimpleRNN", return_sequences=True), (None, 22)),
    "Bidirectional LSTM": Network(bidirectional, (None, 118)),
    "cells": Network(cells, (None, 93)),
    "ConvLSTM2D": Network(conv_lstm, (None, 66)),
    "U-Net": Network(unet, (21, 18)),
    "text": Network(text, (14, 14)),
    "audio": Network(audio, (29, 23)),
    **applications(
        MobileNet=(32, (33, 30)),
        MobileNetV2=(32, (65, 67)),
        MobileNetV3Small=(32, (110, 109)),
        MobileNetV3Large=(32, (123, 122)),
        EfficientNetB0=(32, (303, 237)),
        EfficientNetV2B0=(32, (334, 269)),
        ResNet50=(32, (75, 78)),
        ResNet50V2=(32, (115, 119)),
        ResNet101=(32, (143, 146)),
        VGG16=(32, (26, 22)),
        DenseNet121=(32, (311, 311)),
        InceptionV3=(75, (125, 125)),
        Xception=(71, (104, 104)),
        NASNetMobile=(32, (571, 596)),
        ConvNeXtTiny=(32, (730, 355)),
    ),
}


def build(name: str, batch: int | None = None) -> Any:
    """The network called `name`, with weights from a seed; `batch` fixes the first dimension of its inputs."""
    import keras

    keras.utils.set_random_seed(SEED)
    model = NETWORKS[name].build(keras)
    shake(model)
    return model if batch is None else with_batch(model, batch)


def shake(model: Any) -> None:
    """Give vectors, which start as zeros or ones, values of their own; those of variances stay positive."""
    random = np.random.default_rng(SEED)
    for variable in model.weights:
        if len(variable.shape) == 1:
            start = np.asarray(variable)
            variable.assign(start + random.uniform(-0.2, 0.2, start.shape).astype(np.float32))


def with_batch(model: Any, batch: int) -> Any:
    """The same network for batches of one size."""
    import keras

    inputs = [keras.Input(batch_shape=(batch, *x.shape[1:]), dtype=x.dtype, name=x.name) for x in model.inputs]
    structure = inputs if len(inputs) > 1 else inputs[0]
    return keras.Model(structure, model(structure))


def example(model: Any, batch: int) -> dict[str, np.ndarray]:
    """Inputs by name; a dimension that is unknown besides the batch is 6."""
    random = np.random.default_rng(SEED)
    return {x.name: _sample(random, x, (batch, *(n or 6 for n in x.shape[1:]))) for x in model.inputs}


def _sample(random: np.random.Generator, x: Any, shape: tuple[int, ...]) -> np.ndarray:
    if x.dtype.startswith("int"):
        return random.integers(0, 2 if x.name == "mask" else 40, shape).astype(x.dtype)
    return random.normal(size=shape).astype(x.dtype)

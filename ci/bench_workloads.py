"""What `ci/bench` runs on the CPU, and in which runtimes: networks in float32 and int8, with inputs from a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import networks
import numpy as np

from tflite_cupy import quantize, write_model
from tflite_cupy.interpreter.graph import Model, Tensor, TensorType

WORDS = 8000

NETWORKS: Mapping[str, Callable[..., Model]] = {
    "MobileNetV2": networks.mobilenet_v2,
    "MobileNetV3-Small": networks.mobilenet_v3_small,
    "EfficientNet-B0": networks.efficientnet_b0,
    "ResNet50": networks.resnet50,
    "U-Net": networks.unet,
    "BERT-small": partial(networks.bert, layers=4, width=256, heads=4, words=WORDS),
    "LSTM": networks.speech,
    "autoencoder": networks.autoencoder,
}
"""Models by name, for a batch size; that of `autoencoder` has two signatures."""

PRECISIONS = ("float32", "int8")

ONEDNN, NUMPY, BUILTIN, XNNPACK = "oneDNN", "NumPy", "LiteRT", "LiteRT + XNNPACK"
RUNTIMES = {ONEDNN: "onednn", NUMPY: "numpy", BUILTIN: "litert-builtin", XNNPACK: "litert"}
"""This package with either kind of kernels, and LiteRT without and with its delegate, by title."""

Feeds = dict[str, dict[str, np.ndarray]]
"""Inputs by name, by signature."""


def content(name: str, precision: str, batch: int) -> bytes:
    """The file of a network; int8 ones are quantised with one sample of random inputs."""
    model = with_logits(NETWORKS[name](batch=batch))
    if precision == "float32":
        return write_model(model)
    samples = {key: [inputs] for key, inputs in feeds(model).items()}
    return quantize(model, "int8", samples, inputs="int8", outputs="int8")


def with_logits(model: Model) -> Model:
    """With what a last SOFTMAX reads as a further output: random scores are too alike, or too far apart, to compare."""
    last = model.graphs[0].nodes[-1]
    if last.name != "SOFTMAX":
        return model
    outputs = {**model.signatures[0].outputs, "logits": last.inputs[0]}
    graph = replace(model.graphs[0], outputs=tuple(outputs.values()))
    return replace(model, graphs=(graph,), signatures=(replace(model.signatures[0], outputs=outputs),))


def feeds(model: Model, seed: int = 0) -> Feeds:
    """The same inputs for each precision of a network."""
    rng = np.random.default_rng(seed)
    return {
        signature.key: {
            name: _values(rng, name, model.graphs[signature.graph].tensors[tensor])
            for name, tensor in sorted(signature.inputs.items())
        }
        for signature in model.signatures
    }


def _values(rng: np.random.Generator, name: str, tensor: Tensor) -> np.ndarray:
    if tensor.type is TensorType.INT32:
        return rng.integers(0, WORDS if name == "input_word_ids" else 2, tensor.shape, np.int32)
    values = rng.standard_normal(tensor.shape, np.float32)
    return values if tensor.quantization is None else stored(values, tensor)


def stored(values: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Real numbers as the integers of a tensor with one scale."""
    assert tensor.quantization is not None
    scale, offset = tensor.quantization.scales[0], tensor.quantization.zero_points[0]
    result: np.ndarray = np.clip(np.rint(values / scale) + offset, -128, 127).astype(np.int8)
    return result

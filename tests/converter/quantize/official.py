"""TensorFlow's own quantiser, and how far a quantised file is from the float model."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import tflite_cupy as lite

from .networks import Network, Sample

EXACT = 120.0
"""Decibels that stand for no difference at all."""


def official(network: Network, mode: str, samples: Mapping[str, Sequence[Sample]]) -> bytes:
    """The file that tf.lite.TFLiteConverter makes of a network: mode "float", "dynamic", "float16" or "int8"."""
    import tensorflow as tf

    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its calibration makes an interpreter that warns of its age
        tf.saved_model.save(network.owner, folder, dict(network.signatures))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(network.signatures))
        if mode != "float":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if mode == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if mode == "int8":
            converter.representative_dataset = lambda: pairs(samples)
        content: bytes = converter.convert()
        return content


def pairs(samples: Mapping[str, Sequence[Sample]]) -> Iterator[tuple[str, Sample]]:
    """Samples with their signatures' keys, as a representative dataset gives them."""
    for key, own in samples.items():
        for sample in own:
            yield key, sample


def quality(
    run: Any, expected: Mapping[str, Sequence[Mapping[str, Any]]], samples: Mapping[str, Sequence[Sample]]
) -> dict[tuple[str, str], float]:
    """Signal to quantisation noise in decibels over all samples, for each output of each signature."""
    found = {}
    for key, wanted in expected.items():
        runner = run.get_signature_runner(key)
        got = [runner(**sample) for sample in samples[key]]
        for name in wanted[0]:
            signal = np.stack([np.asarray(w[name], np.float64) for w in wanted])
            noise = np.stack([np.asarray(g[name], np.float64) for g in got]) - signal
            found[key, name] = decibels(signal, noise)
    return found


def decibels(signal: np.ndarray, noise: np.ndarray) -> float:
    """Power of a signal over that of its noise."""
    lost = float(np.sum(np.square(noise)))
    return EXACT if not lost else min(EXACT, 10 * float(np.log10(np.sum(np.square(signal)) / lost)))


def outputs(network: Network, samples: Mapping[str, Sequence[Sample]]) -> dict[str, list[dict[str, Any]]]:
    """What TensorFlow gives."""
    import tensorflow as tf

    return {
        key: [
            {n: v.numpy() for n, v in network.signatures[key](**{k: tf.constant(x) for k, x in s.items()}).items()}
            for s in own
        ]
        for key, own in samples.items()
    }


def reference(content: bytes, kernels: str = "BUILTIN_WITHOUT_DEFAULT_DELEGATES") -> Any:
    """The reference runtime on a file."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    return Interpreter(model_content=content, experimental_op_resolver_type=OpResolverType[kernels])


def operators(content: bytes) -> dict[str, int]:
    """How often each operator occurs."""
    counts: dict[str, int] = {}
    for graph in lite.load_model(content).graphs:
        for node in graph.nodes:
            counts[node.name] = counts.get(node.name, 0) + 1
    return counts

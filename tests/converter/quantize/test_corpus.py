"""Real models, quantised in every mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite

from .official import decibels, operators

pytestmark = [pytest.mark.corpus]

MOBILENET = (
    "repo-mlcommons-tiny/benchmark__training__visual_wake_words__trained_models__vww_96_float.tflite"  # MobileNet
)
RESNET = (
    "repo-mlcommons-tiny/benchmark__training__image_classification__trained_models__pretrainedResnet_large_float.tflite"
)
AUTOENCODER = "repo-mlcommons-tiny/benchmark__training__anomaly_detection__trained_models__ad01_fp32.tflite"
HYBRID = "repo-mlcommons-tiny/benchmark__training__anomaly_detection__trained_models__ToyCar__baseline_tf23__model__model_ToyCar_quant.tflite"  # noqa: E501
LSTM = "repo-tflite-micro/tensorflow__lite__micro__examples__mnist_lstm__trained_lstm.tflite"

LEAST = {"dynamic": 19.0, "float16": 40.0, "int8": 25.0}
GREATEST = {"dynamic": 0.36, "float16": 0.56, "int8": 0.37}
"""Decibels that a result must have, and bytes that a file may have as parts of the float file's."""


def sample(corpus: Path, name: str) -> tuple[bytes, dict[str, np.ndarray]]:
    """The file, and an input that the corpus has for it."""
    path, stored = corpus / "models" / name, corpus / "refs" / f"{name.replace('/', '@').removesuffix('.tflite')}.npz"
    if not path.exists() or not stored.exists():
        pytest.skip(f"the corpus lacks {name}")
    content, values = path.read_bytes(), np.load(stored, allow_pickle=True)
    model = lite.load_model(content)
    if model.signatures:
        key, names = model.signatures[0].key, model.signatures[0].inputs
        return content, {n: values[f"s|{key}|in|{n}"] for n in names}
    graph = model.graphs[0]
    return content, {graph.tensors[t].name: values[f"d|0|in|{i}"] for i, t in enumerate(graph.inputs)}


def run(content: bytes, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    interpreter: Any = lite.Interpreter(model_content=content)
    if interpreter.get_signature_list():
        results = interpreter.get_signature_runner()(**inputs)
        return [np.asarray(value) for value in results.values()]
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], inputs[detail["name"]])
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


@pytest.mark.parametrize("mode", ["dynamic", "float16", "int8"])
@pytest.mark.parametrize("name", [MOBILENET, RESNET, AUTOENCODER], ids=["mobilenet", "resnet", "autoencoder"])
def test_networks(corpus: Path, name: str, mode: str) -> None:
    content, inputs = sample(corpus, name)
    data = [inputs] if mode == "int8" else None
    small, report = lite.quantize_with_report(content, mode, data)  # type: ignore[arg-type]
    assert len(small) <= GREATEST[mode] * len(content)
    for want, got in zip(run(content, inputs), run(small, inputs), strict=True):
        assert decibels(want, got - want) >= LEAST[mode]
    if mode == "int8":
        assert report.kept_float == ()
        before, after = operators(content), operators(small)
        assert {k: n for k, n in after.items() if k not in ("QUANTIZE", "DEQUANTIZE")} == before


def test_files_with_8_bit_weights_keep_them(corpus: Path) -> None:
    content, inputs = sample(corpus, HYBRID)
    small = lite.quantize(content, "int8", [inputs], allow_float=False)
    (before,), (after,) = (lite.load_model(c).graphs for c in (content, small))
    stored = [
        t.data.tobytes() for g in (before, after) for t in g.tensors if t.type.name == "INT8" and t.data is not None
    ]
    assert sorted(stored[: len(stored) // 2]) == sorted(stored[len(stored) // 2 :])
    (want,), (got,) = run(content, inputs), run(small, inputs)
    assert decibels(want, got - want) > 20


def test_an_lstm_in_integers(corpus: Path) -> None:
    content, inputs = sample(corpus, LSTM)
    small = lite.quantize(content, "int8", [inputs], allow_float=False)
    (want,), (got,) = run(content, inputs), run(small, inputs)
    assert decibels(want, got - want) > 25

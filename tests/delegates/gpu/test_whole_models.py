"""Whole models of the corpus, every launch on the emulated GPU, against NumPy.

How many launches and array steps each takes is recorded as properties of its test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.delegates.gpu.checks import call, check_bits, interpreter_of, noise, scheduled
from tests.emulator.device import EmulatedGpuDelegate

pytestmark = pytest.mark.corpus

TINY = "repo-mlcommons-tiny/benchmark__training__"
MODELS = {
    "MobileNetV1 fp32": f"{TINY}visual_wake_words__trained_models__vww_96_float.tflite",
    "MobileNetV1 int8": f"{TINY}visual_wake_words__trained_models__vww_96_int8.tflite",
    "MobileNetV1 uint8": "repo-tflite2onnx/assets__tests__mobilenet_v1_0.25_128_quant.tflite",
    "MobileNetV3 int8": "keras/mobilenetv3small_int8.tflite",
    "MobileNetV3 hybrid": "keras/mobilenetv3small_dyn.tflite",
    "ResNet8 fp32": f"{TINY}image_classification__trained_models__pretrainedResnet.tflite",
    "ResNet8 int8": f"{TINY}image_classification__trained_models__pretrainedResnet_quant.tflite",
    "U-Net fp32": "keras/unet_fp32.tflite",
    "U-Net fp16": "keras/unet_fp16.tflite",
    "U-Net int8": "keras/unet_int8.tflite",
    "segmentation fp16": "mediapipe__0.10.14/mediapipe__modules__selfie_segmentation__selfie_segmentation.tflite",
    "face detection fp16": "mediapipe__0.10.14/mediapipe__modules__face_detection__face_detection_short_range.tflite",
    "BERT hybrid": "keras/bert4_dyn.tflite",
    "BERT int8": "keras/bert4_int8.tflite",
    "Conformer fp32": "repo-litert/litert__test__testdata__torchaudio_conformer.tflite",
    "LSTM with WHILE fp32": "keras/lstm_while_fp32.tflite",
    "LSTM with WHILE fp16": "keras/lstm_while_fp16.tflite",
    "LSTM unrolled int8": "keras/lstm_unroll_int8.tflite",
    "keywords int8": f"{TINY}keyword_spotting__trained_models__kws_ref_model.tflite",
    "autoencoder fp32": f"{TINY}anomaly_detection__trained_models__ad01_fp32.tflite",
    "mel spectrogram fp32": "gen-extra/stft_mel.tflite",
}


@pytest.mark.parametrize("name", MODELS)
def test_whole_model(name: str, corpus: Path, record_property: Callable[[str, object], None]) -> None:
    content = (corpus / "models" / MODELS[name]).read_bytes()
    feeds = inputs(corpus, MODELS[name], content)
    expected = call(interpreter_of(content, feeds), feeds)
    delegate = EmulatedGpuDelegate()
    interpreter = interpreter_of(content, feeds, delegate)
    first = scheduled(interpreter, delegate, "greedy", feeds)
    record_property("launches", first[1])
    record_property("array steps", dict(Counter(delegate.array_steps)))
    for got, want in zip(first[0], expected, strict=True):
        assert (got.shape, got.dtype) == (want.shape, want.dtype)
        if want.dtype.kind == "f":
            assert relative_rms(got, want) < 1e-4
        else:
            np.testing.assert_array_equal(got, want)
    check_bits(scheduled(interpreter, delegate, "random", feeds), first, "captured")


def inputs(corpus: Path, model: str, content: bytes) -> list[Any]:
    """The first set of inputs that the corpus has for a model, or noise of the declared shapes."""
    path = corpus / "refs" / f"{model.replace('/', '@').removesuffix('.tflite')}.npz"
    details = lite.Interpreter(model_content=content, device="cpu").get_input_details()
    if not path.exists():
        return [noise(*detail["shape"], dtype=detail["dtype"]) for detail in details]
    with np.load(path) as stored:
        return [stored[f"d|0|in|{i}"] for i in range(len(details))]


def relative_rms(got: np.ndarray, want: np.ndarray) -> float:
    """Root of the mean square of the difference, over that of the values."""
    a, b = got.astype(np.float64), want.astype(np.float64)
    return float(np.linalg.norm(a - b)) / max(float(np.linalg.norm(b)), 1e-30)

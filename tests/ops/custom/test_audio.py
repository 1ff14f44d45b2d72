"""Spectrograms and cepstra of audio."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.ops.harness import Case, check, const, matrix, one_op
from tflite_cupy.interpreter.format.flexbuffer import write_flexbuffer
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops.checks import evaluate

RNG = np.random.default_rng(31)
FLOAT32 = TensorType.FLOAT32
SPEECH = {
    "upper_frequency_limit": 4000.0,
    "lower_frequency_limit": 20.0,
    "filterbank_channel_count": 40,
    "dct_coefficient_count": 13,
}


def audio(operator: str, inputs: list[Any], options: dict[str, Any], label: str, **expectations: Any) -> Case:
    packed = write_flexbuffer(options)
    return Case(operator, inputs, custom=True, custom_options=packed, outputs=[FLOAT32], label=label, **expectations)


def spectrogram(
    samples: int, window: int, stride: int, squared: bool = False, channels: int = 1, **expectations: Any
) -> Case:
    options = {"window_size": window, "stride": stride, "magnitude_squared": squared}
    sound = RNG.uniform(-1, 1, (samples, channels)).astype(np.float32)
    return audio("AudioSpectrogram", [sound], options, f"{samples}-{window}-{stride}", **expectations)


def energies(*shape: int) -> np.ndarray:
    return (RNG.uniform(0, 100, shape) ** 2).astype(np.float32)


def mfcc(
    label: str, rate: Any = 16000, frequencies: int = 257, expectations: dict[str, Any] | None = None, **changed: Any
) -> Case:
    given = const(np.int32([rate])) if isinstance(rate, int) else rate
    return audio("Mfcc", [energies(2, 3, frequencies), given], {**SPEECH, **changed}, label, **(expectations or {}))


SILENT = audio("Mfcc", [np.zeros((1, 2, 65), np.float32), const(np.int32([16000]))], SPEECH, "silent")
CASES = [
    spectrogram(1600, 400, 160, squared=True),
    spectrogram(1600, 256, 300, channels=2),
    spectrogram(30, 2, 1),
    spectrogram(100, 101, 1),
    spectrogram(100, 65, 13, channels=3),
    spectrogram(100, 1, 10, raises="at least 2 and 1"),
    spectrogram(100, 10, 0, raises="at least 2 and 1"),
    audio("AudioSpectrogram", [np.zeros(9, np.float32)], {"window_size": 4, "stride": 2}, "flat", raises="rank 1"),
    audio("AudioSpectrogram", [np.zeros((9, 1), np.int16)], {}, "int16", refused="not supported with int16"),
    mfcc("speech"),
    mfcc("rate given", rate=np.int32([16000])),
    mfcc("44.1 kHz", rate=44100),
    mfcc("all coefficients", dct_coefficient_count=40),
    mfcc("limits are whole numbers", upper_frequency_limit=7900.7, lower_frequency_limit=125.9),
    mfcc("channels between frequencies", frequencies=65, filterbank_channel_count=200),
    mfcc("narrow", frequencies=17, lower_frequency_limit=3900),
    mfcc("beyond the spectrum", rate=6000),
    SILENT,
    mfcc("limits", lower_frequency_limit=4000, expectations={"raises": "4000 to 4000 Hz"}),
    mfcc("coefficients", dct_coefficient_count=41, expectations={"raises": "41 coefficients of 40 channels"}),
    mfcc("no rate", rate=0, expectations={"raises": "sample_rate is 0"}),
    mfcc("two rates", rate=np.int32([1, 2]), expectations={"raises": "one rate"}),
    mfcc("one frequency", frequencies=1, expectations={"raises": "2 frequencies"}),
]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


def test_a_tone_is_one_peak() -> None:
    time = np.arange(4096) / 16000
    sound = np.sin(2 * np.pi * 1000 * time).astype(np.float32)[:, None]
    case = audio("AudioSpectrogram", [sound], {"window_size": 512, "stride": 256}, "tone")
    (magnitudes,) = evaluate(one_op(case), [sound])
    assert magnitudes.shape == (1, 15, 257)
    assert set(magnitudes[0].argmax(axis=-1).tolist()) == {32}  # 1000 Hz of 31.25 Hz steps


def test_louder_sound_changes_the_first_coefficient_alone() -> None:
    case, quiet, rate = mfcc("louder"), energies(2, 3, 257), np.int32([16000])
    (before,), (after,) = evaluate(one_op(case), [quiet, rate]), evaluate(one_op(case), [quiet * np.float32(100), rate])
    np.testing.assert_allclose(after[..., 0] - before[..., 0], np.log(10) * np.sqrt(2 * 40), rtol=1e-5)
    np.testing.assert_allclose(after[..., 1:], before[..., 1:], atol=1e-4)

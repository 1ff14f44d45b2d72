"""Whole networks, quantised here and by TensorFlow's own converter with the same data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

import tflite_cupy as lite

from .networks import NETWORKS, Network, Sample
from .official import EXACT, official, operators, outputs, quality, reference

pytestmark = [pytest.mark.flex]

MODES = ("dynamic", "float16", "int8")
COMPARED = ["cnn", "two signatures", *(pytest.param(name, marks=pytest.mark.slow) for name in ("mlp", "unet"))]
"""Networks that TensorFlow's quantiser takes in all modes; loops end its process while it calibrates."""

BARS = {"dynamic": 40.0, "float16": 65.0, "int8": 15.0}
"""Decibels of signal over noise that any of the networks must have; loops add up the noise of their turns."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A network with calibration data, and what TensorFlow gives for test data."""

    network: Network
    content: bytes
    calibration: dict[str, list[Sample]]
    test: dict[str, list[Sample]]
    expected: dict[str, list[dict[str, Any]]]

    def quantized(self, mode: str) -> tuple[bytes, lite.QuantizationReport]:
        data = self.calibration if mode == "int8" else None
        return lite.quantize_with_report(self.content, mode, data)  # type: ignore[arg-type]


@cache
def trial(name: str) -> Trial:
    network = NETWORKS[name]()
    content = lite.TFLiteConverter.from_concrete_functions(dict(network.signatures), network.owner).convert()
    test = network.samples(16, seed=9)
    return Trial(network, content, network.samples(8), test, outputs(network, test))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NETWORKS)
def test_results_are_near_those_of_tensorflow(name: str, mode: str) -> None:
    given = trial(name)
    content, report = given.quantized(mode)
    assert len(content) < len(given.content)
    assert report.size_after == len(content)
    got = quality(lite.Interpreter(model_content=content), given.expected, given.test)
    assert min(got.values()) >= BARS[mode], got
    if mode == "int8":
        assert report.kept_float == ()


@pytest.mark.reference
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NETWORKS)
def test_the_reference_runs_them_as_well(name: str, mode: str) -> None:
    given = trial(name)
    content, _ = given.quantized(mode)
    ours = quality(lite.Interpreter(model_content=content), given.expected, given.test)
    theirs = quality(reference(content), given.expected, given.test)
    for output, level in ours.items():
        assert abs(min(level, EXACT) - theirs[output]) < 0.7


@pytest.mark.reference
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", COMPARED)
def test_as_good_and_as_small_as_the_official_one(name: str, mode: str) -> None:
    """Within 1 dB for each output, on the same kernels; within 5 % of the bytes; the same operators."""
    given = trial(name)
    content, _ = given.quantized(mode)
    other = official(given.network, mode, given.calibration)
    ours = quality(reference(content), given.expected, given.test)
    theirs = quality(reference(other), given.expected, given.test)
    for output, level in ours.items():
        assert level >= theirs[output] - 1, (output, level, theirs[output])
    assert len(content) <= 1.05 * len(other)
    assert operators(content) == operators(other)

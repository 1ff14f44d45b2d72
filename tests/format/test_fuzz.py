"""No mutant of a sound file may do anything but load or be refused with an error of ours, in time."""

from __future__ import annotations

import pytest

from tests.format.fuzz import run
from tests.format.samples import SAMPLES
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.format.writer import write_model


@pytest.mark.parametrize("name", SAMPLES)
def test_few_mutants(name: str) -> None:
    data = write_model(SAMPLES[name]())
    outcomes = run(data, 200, seed=1)
    assert outcomes.total() == 200
    assert outcomes["ModelError"] > 20
    assert load_model(data).graphs


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLES)
def test_many_mutants(name: str) -> None:
    data = write_model(SAMPLES[name]())
    assert run(data, 20_000, seed=2).total() == 20_000
    assert load_model(data).graphs

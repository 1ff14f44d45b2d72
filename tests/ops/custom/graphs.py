"""Graphs run by us and by the reference runtime with its default delegate, which knows more custom operators."""

from __future__ import annotations

import numpy as np

from tests.build import model
from tests.engines import call, engine_of
from tests.litert import DEFAULT, call_reference, reference_interpreter
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import Graph


def ours(graph: Graph, *values: np.ndarray) -> list[np.ndarray]:
    """Outputs of a graph on the CPU."""
    return call(engine_of(model(graph)), *values)


def theirs(graph: Graph, *values: np.ndarray) -> list[np.ndarray]:
    """Outputs of a graph on the reference runtime with its default delegate."""
    return call_reference(reference_interpreter(write_model(model(graph)), DEFAULT), *values)

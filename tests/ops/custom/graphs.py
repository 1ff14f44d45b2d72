"""Graphs run by us and by the reference runtime with its default delegate, which knows more custom operators."""

from __future__ import annotations

import numpy as np
import pytest

from tests.build import model
from tflite_cupy.delegates.cpu import CpuDelegate
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import Graph
from tflite_cupy.interpreter.runtime.delegate import HOST
from tflite_cupy.interpreter.runtime.engine import Engine
from tflite_cupy.interpreter.runtime.plan import Value


def ours(graph: Graph, *values: np.ndarray) -> list[np.ndarray]:
    """Outputs of a graph on the CPU."""
    engine = Engine(model(graph), [CpuDelegate()])
    plan = engine.plan(graph, [value.shape for value in values])
    return [v.array for v in engine.call(plan, [Value(HOST, value) for value in values], graph.outputs)]


def theirs(graph: Graph, *values: np.ndarray) -> list[np.ndarray]:
    """Outputs of a graph on the reference runtime with its default delegate."""
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai_edge_litert is not installed")
    interpreter = litert.Interpreter(model_content=write_model(model(graph)))
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), values, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]

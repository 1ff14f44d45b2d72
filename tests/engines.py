"""An engine on the CPU delegate alone, for tests of graphs built by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from tflite_cupy.delegates.cpu import CpuDelegate
from tflite_cupy.interpreter.graph import Model
from tflite_cupy.interpreter.runtime.delegate import HOST
from tflite_cupy.interpreter.runtime.engine import Engine
from tflite_cupy.interpreter.runtime.plan import Value


def engine_of(model: Model) -> Engine:
    """A fresh engine."""
    return Engine(model, [CpuDelegate()])


def call(engine: Engine, *inputs: Any, graph: int = 0) -> list[Any]:
    """Outputs of a subgraph as arrays."""
    target = engine.model.graphs[graph]
    arrays = [np.asarray(x) for x in inputs]
    plan = engine.plan(target, [a.shape for a in arrays])
    return [r.array for r in engine.call(plan, [Value(HOST, a) for a in arrays], target.outputs)]

"""The reference runtime, for tests with the marker `reference`, which are skipped where it is not installed."""

from __future__ import annotations

from typing import Any

import numpy as np

PLAIN, OPTIMIZED, DEFAULT = "BUILTIN_REF", "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "AUTO"
"""Its kernels, by name in OpResolverType: written to be read, written to be fast, fast with its default delegate."""


def reference_interpreter(content: bytes, kernels: str = PLAIN) -> Any:
    """An interpreter of LiteRT for a model, with tensors allocated."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=OpResolverType[kernels])
    interpreter.allocate_tensors()
    return interpreter


def call_reference(interpreter: Any, *inputs: Any) -> list[np.ndarray]:
    """Outputs of one call for inputs, both in the order of the model."""
    for detail, value in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], np.asarray(value))
    interpreter.invoke()
    return [_fetched(interpreter, detail) for detail in interpreter.get_output_details()]


def _fetched(interpreter: Any, detail: Any) -> np.ndarray:
    """An output; LiteRT can't hand out empty ones, only their shapes."""
    if 0 in detail["shape"]:
        return np.empty(detail["shape"], detail["dtype"])
    return np.asarray(interpreter.get_tensor(detail["index"]))

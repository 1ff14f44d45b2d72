"""Every operator has a case."""

from __future__ import annotations

import importlib
from pathlib import Path

from tflite_cupy.interpreter.ops.base import OPS


def test_every_operator_has_a_case() -> None:
    modules = [importlib.import_module(f"tests.ops.{path.stem}") for path in Path(__file__).parent.glob("test_*.py")]
    covered = {case.operator for module in modules for case in getattr(module, "CASES", ())}
    covered |= {name for module in modules for name in getattr(module, "OPERATORS", ())}
    assert not set(OPS) - covered, f"no case in tests/ops for {sorted(set(OPS) - covered)}"

"""Every operator has a case."""

from __future__ import annotations

import importlib
from pathlib import Path

from tflite_cupy.interpreter.ops.base import OPS

ROOT = Path(__file__).parents[2]


def test_every_operator_has_a_case() -> None:
    paths = (path.relative_to(ROOT).with_suffix("") for path in Path(__file__).parent.rglob("test_*.py"))
    modules = [importlib.import_module(".".join(path.parts)) for path in paths]
    covered = {case.operator for module in modules for case in getattr(module, "CASES", ())}
    covered |= {name for module in modules for name in getattr(module, "OPERATORS", ())}
    assert not set(OPS) - covered, f"no case in tests/ops for {sorted(set(OPS) - covered)}"

"""A LiteRT that ends its process, for tests of what then happens to ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BODY = """
import os, signal
import numpy as np
import tflite_cupy
from tflite_cupy import OpResolverType

def die():
    {death}

class Interpreter(tflite_cupy.Interpreter):
    def __init__(self, **options):
        if {at_load}:
            die()
        super().__init__(**options)

    def set_tensor(self, index, value):
        super().set_tensor(index, value)
        if np.min(value, initial=0) <= -1000:
            die()
"""


def install(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    at_load: bool = False,
    death: str = "os.kill(os.getpid(), signal.SIGSEGV)",
    body: str = _BODY,
) -> None:
    """Put it before the real one, for processes that are started from now on. It dies as it loads a model, or where an
    input has an element of -1000 or less."""
    package, told = folder / "ai_edge_litert", folder / "ai_edge_litert-0.1.dist-info"
    package.mkdir()
    told.mkdir()
    (package / "__init__.py").write_text("")
    (package / "interpreter.py").write_text(body.format(at_load=at_load, death=death))
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: ai-edge-litert\nVersion: 0.1\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))

"""What tests need from outside the repository, and what they skip without it."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from tflite_cupy.delegates.gpu import available

ROOT = Path(__file__).parents[1]

os.environ.setdefault("TFLITE_CUPY_CPU_KERNELS", "numpy")  # the reference's integers; tests of oneDNN ask for it


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Folder of real models with reference outputs: TFLITE_CUPY_CORPUS, or shared/models beside the repository."""
    folder = Path(os.environ.get("TFLITE_CUPY_CORPUS") or ROOT.parent / "shared" / "models")
    if not folder.is_dir():
        pytest.skip(f"no corpus of models at {folder}; set TFLITE_CUPY_CORPUS")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what this machine can't run."""
    reasons = _missing()
    for item in items:
        for marker, reason in reasons.items():
            if item.get_closest_marker(marker) is not None:
                item.add_marker(pytest.mark.skip(reason=reason))


def _missing() -> dict[str, str]:
    """Per marker, why its tests can't run here."""
    usable, why_not = available()
    reasons = {} if usable else {"gpu": f"no GPU: {why_not}"}
    if find_spec("tensorflow") is None:
        reasons["flex"] = "TensorFlow is not installed"
    if find_spec("ai_edge_litert") is None:
        reasons["reference"] = "ai_edge_litert is not installed"
    return reasons

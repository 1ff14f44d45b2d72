"""A module of tests that imports this, before what needs them, is skipped where packages of the extra `serve` are not
installed."""

from __future__ import annotations

import pytest

for name in ("starlette", "uvicorn", "prometheus_client"):
    pytest.importorskip(name, reason=f"{name} is not installed: pip install 'tflite-cupy[serve]'")

"""Services of small models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tests.serve.needed  # noqa: F401  skips
from tests.models import add_sub, passthrough
from tflite_cupy.serve.repository import Repository
from tflite_cupy.serve.service import Service, Settings


def write(folder: Path, **models: bytes) -> dict[str, Path]:
    """Files of models by name."""
    paths = {name: folder / f"{name}.tflite" for name in models}
    for name, content in models.items():
        paths[name].write_bytes(content)
    return paths


def service(
    folder: Path, models: Mapping[str, bytes] | None = None, *, custom_ops: Any = (), **settings: Any
) -> Service:
    """A service of these models, by default `sums` (signatures add, sub) and `odd` (same, scalar, strings)."""
    paths = write(folder, **(models or {"sums": add_sub(), "odd": passthrough()}))
    repository = Repository.load(paths, device="cpu", custom_ops=custom_ops)
    return Service(repository, Settings(**settings))

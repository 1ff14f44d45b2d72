"""What is kept on disk for the next process, in CuPy's folder and by its environment variables."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from hashlib import sha256
from pathlib import Path


def kept(*key: object) -> Path | None:
    """The file for what this key names; None if nothing is to be kept."""
    if os.environ.get("CUPY_CACHE_IN_MEMORY", "") == "1":
        return None
    folder = Path(os.environ.get("CUPY_CACHE_DIR") or Path.home() / ".cupy" / "kernel_cache")
    return folder / f"{sha256(repr(key).encode()).hexdigest()}.tflite-cupy"


def read(path: Path) -> bytes | None:
    """What `write` wrote; None if it is not there or damaged."""
    with suppress(OSError):
        digest, content = (whole := path.read_bytes())[:32], whole[32:]
        if sha256(content).digest() == digest:
            return content
    return None


def write(path: Path, content: bytes) -> None:
    """All of it or nothing; where nothing can be written, the next process makes it again."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(sha256(content).digest() + content)
        os.replace(file.name, path)

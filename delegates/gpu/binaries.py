"""Kernels as machine code: built by NVRTC, and kept on disk for the next process.

CuPy's own RawModule is no way to build them: it adds -ftz=true after all other options, by which denormal numbers are
zero and equal to each other, in kernels whose results are to be the same everywhere.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from ...interpreter.errors import KernelError
from .kernel import Kernel

COMPILER_OPTIONS = ("--std=c++17", "--fmad=false", "--ftz=false")
"""Kernels say fmaf where they want it: the same results everywhere."""


def machine_code(nvrtc: Any, kernel: Kernel, arch: int) -> bytes:
    """What a module of this kernel is loaded from, for a device of this architecture: a cubin, or PTX for one that this
    NVRTC does not know yet. Raises KernelError with the compiler's log. Thread-safe.

    nvrtc: CuPy's module of that name.
    """
    known = max((n for n in nvrtc.getSupportedArchs() if n <= arch), default=arch)
    options = (*COMPILER_OPTIONS, f"--gpu-architecture={'sm' if known == arch else 'compute'}_{known}")
    folder = _folder()
    if folder is None:
        return _built(nvrtc, kernel, options)
    name = sha256(repr((kernel.text, options, nvrtc.getVersion())).encode()).hexdigest()
    path = folder / f"{name}.tflite-cupy"
    code = _read(path)
    if code is None:
        code = _built(nvrtc, kernel, options)
        _write(path, code)
    return code


def _built(nvrtc: Any, kernel: Kernel, options: tuple[str, ...]) -> bytes:
    program = nvrtc.createProgram(kernel.text, f"{kernel.entry}.cu", (), ())
    try:
        nvrtc.compileProgram(program, options)
        code: bytes = (nvrtc.getCUBIN if "=sm_" in options[-1] else nvrtc.getPTX)(program)
    except nvrtc.NVRTCError as error:
        said = nvrtc.getProgramLog(program).strip() or error
        raise KernelError(f"the kernel {kernel.entry} can't be built with {' '.join(options)}: {said}") from error
    finally:
        nvrtc.destroyProgram(program)
    return code


def _folder() -> Path | None:
    """CuPy's, by the same environment variables; None if nothing is to be kept."""
    if os.environ.get("CUPY_CACHE_IN_MEMORY", "") == "1":
        return None
    return Path(os.environ.get("CUPY_CACHE_DIR") or Path.home() / ".cupy" / "kernel_cache")


def _read(path: Path) -> bytes | None:
    """What `_write` wrote; None if it is not there or damaged."""
    with suppress(OSError):
        digest, code = (content := path.read_bytes())[:32], content[32:]
        if sha256(code).digest() == digest:
            return code
    return None


def _write(path: Path, code: bytes) -> None:
    """All of it or nothing; where nothing can be written, the next process builds it again."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(sha256(code).digest() + code)
        os.replace(file.name, path)

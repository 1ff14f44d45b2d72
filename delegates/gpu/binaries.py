"""Kernels as machine code: built by NVRTC, and kept on disk for the next process.

CuPy's own RawModule is no way to build them: it adds -ftz=true after all other options, by which denormal numbers are
zero and equal to each other, in kernels whose results are to be the same everywhere.
"""

from __future__ import annotations

from typing import Any

from ...interpreter.errors import KernelError
from .disk import kept, read, write
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
    path = kept(kernel.text, options, nvrtc.getVersion())
    code = None if path is None else read(path)
    if code is None:
        code = _built(nvrtc, kernel, options)
        if path is not None:
            write(path, code)
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

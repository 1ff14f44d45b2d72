"""Builds CUDA C for the host and calls it."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pytest

from tflite_cupy.delegates.gpu.kernel import Kernel
from tflite_cupy.delegates.gpu.listing import Dim

FOLDER = Path(__file__).parent
HEADERS = ("shim.h", "block.h", "stacks.h", "watch.h")
SCHEDULES = ("greedy", "reversed", "rounds", "random")  # as block.h numbers them
COMPILER = shutil.which("g++")
IS_SANITIZED = os.environ.get("TFLITE_CUPY_EMULATOR_SANITIZE") == "1"
"""Whether kernels are built for AddressSanitizer, whose library has to be preloaded; see `sanitized.py`."""

BARRIERS = re.compile(r"__sync|__shfl|__ballot|__any|__all|give\(")
COMMON = (
    *("-x", "c++", "-std=c++17", "-shared", "-fPIC", "-w", "-march=native"),
    *("-ffp-contract=off", "-fno-strict-aliasing", "-fwrapv"),
    *("-fsanitize=alignment,integer-divide-by-zero", "-fno-sanitize-recover=all"),
)
FAST, SANITIZED = ("-O2",), ("-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,bounds")
OPTIONAL = ("-ftrivial-auto-var-init=pattern",)  # makes variables without a value show; g++ 12 has it


class KernelFault(AssertionError):
    """A kernel did what a GPU would do wrong quietly; the sentence names the line of the kernel's text."""


class HostKernel:
    """A kernel, built. One call at a time; others wait."""

    def __init__(self, kernel: Kernel, path: Path | None = None) -> None:
        """path: its library; made if None."""
        self.kernel = kernel
        library = ctypes.CDLL(str(path or library_of(unit(kernel))))
        self._entry = library.emulated
        self._entry.argtypes = [
            *[ctypes.POINTER(ctypes.c_uint)] * 2,
            *(ctypes.c_size_t, ctypes.c_int, ctypes.c_uint64, ctypes.POINTER(ctypes.c_void_p)),
        ]
        self._entry.restype = ctypes.c_char_p
        library.emulated_static_bytes.restype = ctypes.c_size_t
        self.static_bytes = int(library.emulated_static_bytes())
        self._lock = Lock()

    def __call__(
        self, grid: Dim, block: Dim, shared: int, arguments: Sequence[Any], schedule: str = "greedy", seed: int = 0
    ) -> None:
        """Run it; addresses are given as int. Raises KernelFault."""
        cells = [np.array(a, np.uint64 if isinstance(a, int) else a.dtype) for a in arguments]
        pointers = (ctypes.c_void_p * max(len(cells), 1))(*(c.ctypes.data for c in cells))
        dims = (ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block)
        with self._lock:
            failure = self._entry(*dims, shared, SCHEDULES.index(schedule), seed, pointers)
        if failure is not None:
            raise KernelFault(f"{self.kernel.entry}: {failure.decode()}")


@cache
def built(kernel: Kernel) -> HostKernel:
    """The kernel, ready to be called; built once for all runs of the tests."""
    return HostKernel(kernel)


def unit(kernel: Kernel, *, fibers: bool = False) -> str:
    """A kernel as a library's text. fibers: threads have stacks of their own though they meet no barriers."""
    text = kernel.text.replace('extern "C" __global__', "__global__ static")
    arguments = ", ".join(f"*({p.type}{'*' if p.is_pointer else ''}*)a[{i}]" for i, p in enumerate(kernel.parameters))
    has_barriers = str(fibers or bool(BARRIERS.search(text))).lower()
    return (
        f'#include "{FOLDER / "shim.h"}"\nnamespace {{\n#line 1 "{kernel.entry}"\n{text}\n}}\n'
        'extern "C" size_t emulated_static_bytes() { return static_shared_bytes(); }\n'
        'extern "C" const char* emulated(\n'
        "    const unsigned* g, const unsigned* b, size_t shared, int schedule, uint64_t seed, void** a) {\n"
        f"    return run_grid({{g[0], g[1], g[2]}}, {{b[0], b[1], b[2]}}, shared, schedule, seed, {has_barriers},\n"
        f"                    [=] {{ {kernel.entry}({arguments}); }});\n}}\n"
    )


def library_of(text: str) -> Path:
    """A shared library made of the text, kept between runs of the tests."""
    return made(text, (*COMMON, *(SANITIZED if IS_SANITIZED else FAST), *_optional()), HEADERS)


def made(text: str, options: Sequence[str], headers: Sequence[str], libraries: Sequence[str] = ()) -> Path:
    """A shared library made of a text, with these options of the compiler, and headers that it may include."""
    parts = (text, *((FOLDER / name).read_text() for name in headers), *options)
    path = _folder() / f"{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:32]}.so"
    if not path.exists():
        new = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.so")
        command = [compiler(), *options, f"-I{FOLDER}", "-o", str(new), "-", *libraries]
        done = subprocess.run(command, input=text, text=True, capture_output=True)
        assert done.returncode == 0, f"{done.stderr[:4000]}"
        new.rename(path)
    return path


def compiler() -> str:
    """The host compiler."""
    if COMPILER is None:
        pytest.skip("no g++ to build kernels for the host")
    return COMPILER


@cache
def _optional() -> tuple[str, ...]:
    probe = [compiler(), *OPTIONAL, "-x", "c++", "-fsyntax-only", "-"]
    return OPTIONAL if subprocess.run(probe, input="", text=True, capture_output=True).returncode == 0 else ()


def _folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"tflite-cupy-emulator-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    return folder

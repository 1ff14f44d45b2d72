"""A library that stands for CUDA, built from stand_in.cpp, and this process made to use it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from tests.emulator.compiler import library_of, made, unit
from tflite_cupy.delegates.gpu.kernel import Kernel

from .redirect import redirected

FOLDER = Path(__file__).parent
WHEELS = {"cupy-cuda12x": 12, "cupy-cuda13x": 13}
"""CuPy's wheels, and the CUDA that each is made for."""
OPTIONS = (
    "-x",
    "c++",
    "-std=c++17",
    "-O1",
    "-g",
    "-shared",
    "-fPIC",
    "-pthread",
    "-fvisibility=hidden",
    "-Wl,-soname,libcuda.so.1",
)
SIZES = {"int": 4, "unsigned": 4, "float": 4}


class Counts(NamedTuple):
    """What has been done, what is there, and bytes of the device and of page-locked memory."""

    launches: int
    replays: int
    captures: int
    copies_in: int
    copies_out: int
    streams: int
    events: int
    graphs: int
    modules: int
    device_bytes: int
    host_bytes: int


def installed() -> tuple[int, str] | None:
    """CUDA of CuPy's wheel that is installed, and its version; None without one."""
    for name, cuda in WHEELS.items():
        with suppress(PackageNotFoundError):
            return cuda, version(name)
    return None


@cache
def library() -> ctypes.CDLL:
    """The library, loaded: whoever opens libcuda.so.1 after that gets this one, by its soname."""
    found = installed()
    assert found is not None, "CuPy is not installed"
    source = FOLDER / "stand_in.cpp"
    parts = [str(path) for path in (source, *sorted(FOLDER.glob("*.h")))]
    return ctypes.CDLL(str(made(f'#include "{source}"\n', (*OPTIONS, f"-DCUDA={found[0]}"), parts)))


def install() -> None:
    """Let CuPy find a device in this process; before anything imports CuPy."""
    os.environ["CUPY_ACCELERATORS"] = ""  # machine code of GPUs, in libraries
    target = library()
    runtime = import_module("cupy_backends.cuda.api.runtime")
    assert redirected(Path(runtime.__file__ or ""), target, "stand_in_missing"), "CuPy has no such functions inside"
    import cupy
    from cupy.cuda import compiler

    from tflite_cupy.delegates.gpu import cupy_device

    from . import array_kernels

    compiler._compile_module_with_cache = array_kernels.module
    array_kernels.replace_libraries(cupy)
    vars(cupy_device).update(machine_code=_machine_code)


def counts() -> Counts:
    numbers = (ctypes.c_long * len(Counts._fields))()
    library().stand_in_counts(numbers)
    return Counts(*numbers)


def allocations_left(count: int | None, *, host: bool = False) -> None:
    """How many allocations, of device memory or page-locked memory, succeed before all are refused; None: no end."""
    library().stand_in_allocations_left(ctypes.c_long(-1 if count is None else count), host)


def order(seed: int | None) -> None:
    """Run queued work when somebody waits for it, in an order by this seed; None: at once."""
    library().stand_in_order(seed is not None, ctypes.c_uint64(seed or 0))


def _machine_code(nvrtc: Any, kernel: Kernel, arch: int) -> bytes:
    """In the place of `binaries.machine_code`: names a library that the emulator's compiler has made."""
    sizes = [8 if p.is_pointer else SIZES.get(p.type, 8) for p in kernel.parameters]
    return blob(library_of(unit(kernel)), kernel.entry, sizes)


def blob(path: Path, entry: str, sizes: Sequence[int]) -> bytes:
    """What stands for machine code: names a library, its kernel, and how many bytes each argument has."""
    return f"host kernel\n{path}\n{entry}\n{' '.join(map(str, sizes))}\n".encode()

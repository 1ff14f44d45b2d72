"""`tflite-cupy doctor`: what is installed, what can run, and what to install for the rest."""

from __future__ import annotations

import argparse
import ctypes
import platform
from importlib import metadata
from typing import Any, NamedTuple

import numpy as np

from ..delegates.cpu import kernels_in_use
from ..delegates.cpu.onednn.binding import library
from ..delegates.gpu import CupyGpuDelegate, available, cublaslt
from ..interpreter.errors import MissingDependencyError, TfliteError
from ..version import __version__
from .output import result, table


class Part(NamedTuple):
    """Something that tflite-cupy can do here, or what it lacks."""

    name: str
    ready: bool
    found: str
    install: str = ""


def add(commands: Any) -> argparse.ArgumentParser:
    """Declare the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "doctor", help="what is installed and what is missing", description=__doc__
    )
    return parser


def main(arguments: argparse.Namespace) -> int:
    """Print what works here; 0: without a GPU or TensorFlow the rest still works."""
    cpu, gpu = Part("CPU delegate", True, f"NumPy {np.__version__}"), _gpu()
    parts = [cpu, _onednn(), gpu, *([products()] if gpu.ready else []), *_tensorflow()]
    facts = {"version": __version__, "python": platform.python_version(), "platform": platform.platform()}
    result(arguments, lambda: _show(parts), **facts, driver=driver(), parts=[part._asdict() for part in parts])
    return 0


def _show(parts: list[Part]) -> None:
    print(f"tflite-cupy {__version__}, Python {platform.python_version()}, {platform.platform()}\n")
    rows = [(p.name, "ready" if p.ready else "missing", p.found, p.install) for p in parts]
    table(("part", "", "found", "to get it"), rows)


def driver() -> dict[str, Any] | None:
    """CUDA version of the NVIDIA driver and the names of its devices, asked of libcuda; None without a driver."""
    try:
        cuda = ctypes.CDLL("nvcuda.dll" if platform.system() == "Windows" else "libcuda.so.1")
    except OSError:
        return None
    version, count, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(256)
    cuda.cuDriverGetVersion(ctypes.byref(version))
    if cuda.cuInit(0) == 0:
        cuda.cuDeviceGetCount(ctypes.byref(count))
    devices = []
    for index in range(count.value):
        cuda.cuDeviceGetName(name, len(name), index)
        devices.append(name.value.decode())
    return {"cuda": f"{version.value // 1000}.{version.value % 1000 // 10}", "devices": devices}


def _onednn() -> Part:
    try:
        found = library().version
    except MissingDependencyError as error:
        return Part("fast CPU kernels", False, error.what, "pip install 'tflite-cupy[fast]'")
    in_use = "in use" if kernels_in_use() == "onednn" else "switched off by TFLITE_CUPY_CPU_KERNELS"
    return Part("fast CPU kernels", True, f"oneDNN {found}, {in_use}")


def _gpu() -> Part:
    cuda = driver()
    if cuda is None or not cuda["devices"]:
        return Part("GPU delegate", False, "no NVIDIA GPU with a driver", "an NVIDIA driver")
    found = f"CUDA {cuda['cuda']} driver, {', '.join(cuda['devices'])}, {_version('cupy') or 'no CuPy'}"
    ready, reason = available()
    reason = _computing() if ready else reason
    if not reason:
        return Part("GPU delegate", True, found)
    extra = "cuda12" if cuda["cuda"].startswith("12.") else "cuda13"
    return Part("GPU delegate", False, f"{found}: {reason}", f"pip install 'tflite-cupy[{extra}]'")


def products() -> Part:
    """The library of large matrix products on the current GPU; without it, kernels of ours compute them."""
    name = "cuBLASLt, for large products"
    try:
        library = cublaslt.load()
        cublaslt.CublasLt(library)
    except TfliteError as error:
        return Part(name, False, error.what, "pip install nvidia-cublas-cu12 (for CUDA 13: nvidia-cublas)")
    return Part(name, True, cublaslt.version(library))


def _computing() -> str:
    """Why the GPU can't compile and run a kernel (a part of the CUDA toolkit is missing, say); "" if it can."""
    delegate = CupyGpuDelegate()
    space = delegate.space
    failures: tuple[type[Exception], ...] = (*delegate.errors, ImportError, OSError)
    try:
        with space.lane():
            space.get([space.put(np.ones(2, np.float32)) + 1])
    except failures as error:
        return f"it can't compute: {error}"
    return ""


def _tensorflow() -> list[Part]:
    version = _version("tensorflow")
    parts = (("Flex delegate", "flex"), ("converter", "convert"))
    if version is None:
        return [Part(name, False, "no TensorFlow", f"pip install 'tflite-cupy[{extra}]'") for name, extra in parts]
    return [Part(name, True, version) for name, _ in parts]


def _version(package: str) -> str | None:
    """Distributions that provide an importable package, with their versions; None if there are none."""
    names = sorted(set(metadata.packages_distributions().get(package, [])))
    return ", ".join(f"{name} {metadata.version(name)}" for name in names) or None

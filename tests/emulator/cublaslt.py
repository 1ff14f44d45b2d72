"""A library that stands for libcublasLt, built from cublaslt.cpp."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from tflite_cupy.delegates.gpu.cublaslt import declared

from .compiler import FOLDER, library_of

SOURCE = FOLDER / "cublaslt.cpp"
FAULTS = ("none", "no device", "no memory", "unsupported", "other device", "nothing found", "bad state", "execution")
HEADERS = ("nvidia/*/include", "nvidia/*/include/cccl", "tensorflow/include/third_party/gpus/cuda/include")
"""Where packages have the headers of CUDA."""


class Noted(NamedTuple):
    """What the library was asked last, how many handles it has given out, and how many products it has made."""

    live: int
    products: int
    compute: int
    epilogue: int
    stream: int
    workspace: int


@cache
def library() -> Any:
    """The library; one for all tests of a process. Skips the test where there is no compiler."""
    return declared(ctypes.CDLL(str(library_of(SOURCE.read_text()))))


def noted() -> Noted:
    numbers = (ctypes.c_int64 * len(Noted._fields))()
    library().fake_noted(numbers)
    return Noted(*numbers)


@contextmanager
def fault(name: str) -> Iterator[None]:
    """Something that goes wrong in the library; one of `FAULTS`."""
    library().fake_fault(FAULTS.index(name))
    try:
        yield
    finally:
        library().fake_fault(0)


def header_folders() -> list[Path]:
    """Folders with headers of CUDA among the installed packages, those with cublasLt.h first; empty without one."""
    found = [path for root in map(Path, sys.path) for pattern in HEADERS for path in root.glob(pattern)]
    has_it = {path: (path / "cublasLt.h").exists() for path in found}
    return sorted(found, key=lambda path: not has_it[path]) if any(has_it.values()) else []

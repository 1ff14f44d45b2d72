"""A .tflite file or its bytes -> Model."""

from __future__ import annotations

import mmap
import os
import stat
from threading import Lock
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, ModelError
from ..graph import Model
from ..limits import DEFAULT_LIMITS, Limits
from .buffers import Buffers
from .calls import check_calls
from .columns import INVALID
from .graphs import read_graphs
from .nodes import read_operators
from .schema import VERSION
from .signatures import read_metadata, read_signatures
from .tensors import read_tensors
from .verify import verify

Source: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview"

_lock = Lock()
_mapped: WeakValueDictionary[tuple[int, ...], mmap.mmap] = WeakValueDictionary()
"""Files that are mapped now, by device, inode, size and time of the last change."""


def _after_fork() -> None:
    global _lock
    _lock = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)  # a thread may have held it that a forked process does not have


def load_model(source: Source, limits: Limits = DEFAULT_LIMITS) -> Model:
    """The model in a file (a path; mapped, not read) or in bytes, which must not change while the model lives.

    Everything is checked before anything is built on it. Constants are read-only views of the source, copies only where
    it does not align them or packs them. Raises ModelError for what is no valid file, GraphError for a graph that can't
    run, UnsupportedError for tensor types and storage that this package does not have, LimitError beyond `limits`.
    """
    data, keepalive = _open(source)
    columns = verify(data, limits)
    version = int(columns.rows["Model"]["version"][0])
    if version != VERSION:
        what = f"Model provided is schema version {version} not equal to supported version {VERSION}."
        raise ModelError(what, where="version")
    buffers = Buffers(columns)
    graphs, latest = read_graphs(columns, read_tensors(columns, buffers), read_operators(columns))
    check_calls(graphs, limits)
    return Model(
        graphs,
        read_signatures(columns, graphs, latest),
        columns.texts("Model", "description")[0],
        version,
        read_metadata(columns, buffers),
        keepalive,
    )


def _open(source: Source) -> tuple[NDArray[np.uint8], Any]:
    """The bytes of a source, and the object that owns them."""
    if isinstance(source, bytes | bytearray | memoryview):
        content = memoryview(source)
        content = content.cast("B") if content.contiguous else memoryview(content.tobytes())
        return np.frombuffer(content.toreadonly(), np.uint8), source
    if not isinstance(source, str | os.PathLike):
        raise InputError(f"A model is a path or bytes, not {type(source).__name__}.")
    path = os.fspath(source)
    try:
        mapped = _map(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"Could not open '{path}'.", hint=str(error)) from error
    if mapped is None:
        raise ModelError(f"{INVALID}the file is empty.", where=path)
    return np.frombuffer(mapped, np.uint8), mapped


def _map(path: str) -> mmap.mmap | None:
    """The file, mapped; None for an empty one, which can't be mapped. Never blocks on a pipe or device."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is not a regular file.")
        return _mapping(descriptor, status) if status.st_size else None
    finally:
        os.close(descriptor)


def _mapping(descriptor: int, status: os.stat_result) -> mmap.mmap:
    """One mapping for all who have the same file open, which counts once in what the process takes."""
    key = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
    with _lock:
        mapped = _mapped.get(key)
        if mapped is None:
            mapped = _mapped[key] = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        return mapped

"""A .tflite file or its bytes -> Model."""

from __future__ import annotations

import mmap
import os
import stat
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, ModelError
from ..graph import Model
from .buffers import Buffers
from .calls import check_calls
from .columns import INVALID
from .graphs import read_graphs
from .limits import ReadLimits
from .nodes import read_operators
from .schema import VERSION
from .signatures import read_metadata, read_signatures
from .tensors import read_tensors
from .verify import verify

Source: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview"

DEFAULT_LIMITS = ReadLimits()


def load_model(source: Source, limits: ReadLimits = DEFAULT_LIMITS) -> Model:
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
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) if status.st_size else None
    finally:
        os.close(descriptor)

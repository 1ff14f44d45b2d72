"""Damaged files: bytes changed at places found by name, or tables changed before they are written."""

from __future__ import annotations

import re
import signal
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np
import pytest

from tflite_cupy.interpreter.errors import TfliteError
from tflite_cupy.interpreter.format.emit import Record, emit
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.format.schema import TABLES
from tflite_cupy.interpreter.format.verify import verify
from tflite_cupy.interpreter.format.writer import describe
from tflite_cupy.interpreter.graph import Model
from tflite_cupy.interpreter.limits import Limits

DEADLINE_S = 2.0


class Patient:
    """A sound file, to be damaged by `put`."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        self._columns = verify(np.frombuffer(bytes(data), np.uint8), Limits())

    def table(self, table: str, row: int = 0) -> int:
        """Position of a table."""
        return int(self._columns.rows[table].at[row])

    def vtable(self, table: str, row: int = 0) -> int:
        at = self.table(table, row)
        return at - self.get("<i", at)

    def entry(self, table: str, field: str, row: int = 0) -> int:
        """Position of a field's entry in the vtable."""
        return self.vtable(table, row) + 4 + 2 * TABLES[table][field].slot

    def field(self, table: str, field: str, row: int = 0) -> int:
        """Position of a field inside its table."""
        return self.table(table, row) + self.get("<H", self.entry(table, field, row))

    def target(self, table: str, field: str, row: int = 0) -> int:
        """Position of the string, vector or table that a field refers to."""
        at = self.field(table, field, row)
        return at + self.get("<I", at)

    def get(self, format: str, at: int) -> int:
        value: int = struct.unpack_from(format, self.data, at)[0]
        return value

    def put(self, format: str, at: int, value: int) -> Patient:
        struct.pack_into(format, self.data, at, value)
        return self


def part(record: Record, path: str) -> dict[str, Any]:
    """Fields of the record at a path such as ``subgraphs[0].tensors[3].quantization``."""
    for name, index in re.findall(r"(\w+)(?:\[(\d+)\])?", path):
        found = record.fields[name]
        record = found[int(index)] if index else found
    return record.fields


def edited(model: Model, edit: Callable[[Record], object]) -> bytes:
    """The file of a model after `edit` changed its tables."""
    record = describe(model)
    edit(record)
    return emit(record)


def refusal(data: bytes, limits: Limits | None = None) -> TfliteError:
    """The error that loading gives, which it must give in time; any other exception fails the test."""
    with in_time(), pytest.raises(TfliteError) as caught:
        load_model(data, limits or Limits())
    return caught.value


@contextmanager
def in_time(seconds: float = DEADLINE_S) -> Iterator[None]:
    """Fails what takes more processor time."""

    def late(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"took more than {seconds} s")

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)

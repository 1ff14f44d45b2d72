"""Tables -> the bytes of a flatbuffer, front to back: a table comes before what it refers to, constants come last.

Constants are referred to, not copied, until the parts are joined: writing takes the memory of one file.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ..errors import GraphError
from .schema import FILE_IDENTIFIER, TABLES, UNIONS, Field, Kind

Bytes: TypeAlias = bytes | bytearray | memoryview

DATA_ALIGNMENT = 16
_CODES = {"b1": "?", "i1": "b", "u1": "B", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q", "f4": "f"}


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A table to write: its type, its fields by name (others are absent), and its path for errors.

    Vectors of scalars are sequences of numbers or the bytes themselves, tables and unions are records.
    """

    table: str
    fields: dict[str, Any]
    where: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Outside:
    """Stands for the position of data that follows the flatbuffer; a value of fields such as Buffer.offset."""

    data: Bytes


def emit(root: Record) -> bytes:
    """The file with `root` as its root table. Raises GraphError for values that a field can't hold."""
    return _Emitter().run(root)


@dataclass(frozen=True, slots=True)
class _Slot:
    """Where a position is to be filled in once it is known."""

    part: bytearray
    at: int  # within the part
    position: int  # of the slot in the file


class _Emitter:
    def __init__(self) -> None:
        self._parts: list[Bytes] = []
        self._size = 0
        self._vtables: dict[tuple[int, ...], int] = {}
        self._strings: dict[bytes, list[_Slot]] = {}
        self._waiting: deque[tuple[_Slot, Field, Any]] = deque()
        self._data: list[tuple[_Slot, Bytes]] = []
        self._outside: list[tuple[_Slot, Bytes]] = []

    def run(self, root: Record) -> bytes:
        head = bytearray(4) + FILE_IDENTIFIER
        self._append(head)
        _fill(_Slot(head, 0, 0), self._table(root))
        while self._waiting:
            slot, field, value = self._waiting.popleft()
            _fill(slot, self._place(field, value))
        for text, slots in self._strings.items():
            at = self._vector(len(text), text + b"\0", 1)
            for slot in slots:
                _fill(slot, at)
        for slot, data in self._data:
            _fill(slot, self._vector(len(data), data, DATA_ALIGNMENT))
        for slot, data in self._outside:
            self._align(DATA_ALIGNMENT, 0)
            struct.pack_into("<Q", slot.part, slot.at, self._append(data))
        return b"".join(self._parts)

    def _append(self, part: Bytes) -> int:
        at = self._size
        self._parts.append(part)
        self._size += len(part)
        return at

    def _align(self, alignment: int, before: int) -> None:
        """Pads so that what comes `before` bytes later is aligned."""
        padding = -(self._size + before) % alignment
        if padding:
            self._append(bytes(padding))

    def _place(self, field: Field, value: Any) -> int:
        if field.kind is Kind.TABLES:
            return self._tables(field, value)
        if field.kind is Kind.SCALARS:
            return self._vector(len(value) // field.dtype.itemsize, value, field.dtype.itemsize)
        return self._table(value)

    def _vector(self, count: int, data: Bytes, alignment: int) -> int:
        self._align(max(alignment, 4), 4)
        at = self._append(struct.pack("<I", count))
        self._append(data)
        return at

    def _tables(self, field: Field, records: Sequence[Record]) -> int:
        self._align(4, 0)
        part = bytearray(4 + 4 * len(records))
        struct.pack_into("<I", part, 0, len(records))
        at = self._append(part)
        element = Field(field.name, 0, Kind.TABLE, field.type, field.dtype)
        for place, record in enumerate(records, 1):
            self._waiting.append((_Slot(part, 4 * place, at + 4 * place), element, record))
        return at

    def _table(self, record: Record) -> int:
        """Writes the fields of a table inline, widest first, and queues what they refer to."""
        held = sorted(self._held(record), key=lambda entry: -entry[0].width)
        places: dict[int, int] = {}
        size = 4
        for field, _ in held:
            places[field.slot] = size
            size += field.width
        wide = bool(held) and held[0][0].width == 8  # fields start 4 bytes into the table
        vtable = self._vtable(places, size)
        self._align(8 if wide else 4, 4 if wide else 0)
        part = bytearray(-(-size // 4) * 4)
        at = self._append(part)
        struct.pack_into("<i", part, 0, at - vtable)
        for field, value in held:
            place = places[field.slot]
            slot = _Slot(part, place, at + place)
            if field.kind is not Kind.SCALAR:
                self._refer(slot, record.table, field, value)
            elif isinstance(value, Outside):
                self._outside.append((slot, value.data))
            else:
                part[place : place + field.width] = value
        return at

    def _refer(self, slot: _Slot, table: str, field: Field, value: Any) -> None:
        if table == "Buffer":
            self._data.append((slot, value))
        elif field.kind is Kind.STRING:
            self._strings.setdefault(value, []).append(slot)
        else:
            self._waiting.append((slot, field, value))

    def _vtable(self, places: dict[int, int], size: int) -> int:
        count = max(places, default=-1) + 1
        vtable = (4 + 2 * count, size, *(places.get(slot, 0) for slot in range(count)))
        if vtable not in self._vtables:
            self._align(2, 0)
            self._vtables[vtable] = self._append(struct.pack(f"<{len(vtable)}H", *vtable))
        return self._vtables[vtable]

    def _held(self, record: Record) -> Iterable[tuple[Field, Any]]:
        """The fields to write, with scalars, vectors of scalars and strings as bytes."""
        for field in TABLES[record.table].fields:
            value = record.fields.get(field.name)
            if value is None or (field.kind is Kind.SCALAR and value == field.default):
                continue
            if field.kind is Kind.UNION:
                tag = UNIONS[field.type].index(value.table)
                yield TABLES[record.table][f"{field.name}_type"], bytes([tag])
            elif field.kind is Kind.STRING:
                if not isinstance(value, str):
                    raise _misfit(field, value, record)
                value = value.encode()
            elif field.kind in (Kind.SCALAR, Kind.SCALARS) and not isinstance(value, Outside | bytes | memoryview):
                value = _packed(field, value, record)
            yield field, value


def _packed(field: Field, value: Any, record: Record) -> bytes:
    values = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    values = values if isinstance(values, Sequence) else (values,)
    try:
        return struct.pack(f"<{len(values)}{_CODES[field.dtype.str[1:]]}", *values)
    except (struct.error, OverflowError) as error:
        raise _misfit(field, value, record) from error


def _misfit(field: Field, value: Any, record: Record) -> GraphError:
    where = f"{record.where}.{field.name}" if record.where else field.name
    return GraphError(f"{record.table}.{field.name} ({field.type}) can't hold {value!r}.", where=where)


def _fill(slot: _Slot, position: int) -> None:
    distance = position - slot.position
    if distance >= 2**31:
        raise GraphError("the flatbuffer is larger than 2 GiB; lower inline_limit to put constants after it.")
    struct.pack_into("<I", slot.part, slot.at, distance)

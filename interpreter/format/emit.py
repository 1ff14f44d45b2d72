"""Tables -> the bytes of a flatbuffer, through the flatbuffers package's builder, driven by the schema table."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, TypeAlias

import flatbuffers
import numpy as np
from flatbuffers import number_types

from ..errors import GraphError
from .schema import FILE_IDENTIFIER, TABLES, UNIONS, Field, Kind

Bytes: TypeAlias = bytes | bytearray | memoryview

DATA_ALIGNMENT = 16
FLATBUFFER_LIMIT = 2**31 - 1
"""Bytes that a flatbuffer may have; data outside it does not count."""

_TABLE_BYTES = 64
"""About what a table takes; the builder grows where that is too little."""

_LENGTH, _POSITION = struct.Struct("<I"), struct.Struct("<Q")
_UNPLACED = 2  # a position that is no default, for data whose place is not known yet
_CODES = {"b1": "?", "i1": "b", "u1": "B", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q", "f4": "f"}
_FLAGS = {
    "b1": number_types.BoolFlags,
    "i1": number_types.Int8Flags,
    "u1": number_types.Uint8Flags,
    "u2": number_types.Uint16Flags,
    "i4": number_types.Int32Flags,
    "u4": number_types.Uint32Flags,
    "i8": number_types.Int64Flags,
    "u8": number_types.Uint64Flags,
    "f4": number_types.Float32Flags,
}


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A table to write: its type, its fields by name (others are absent), and its path for errors.

    Vectors of scalars are sequences of numbers or the bytes themselves, tables and unions are records.
    """

    table: str
    fields: dict[str, Any]
    where: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Deferred:
    """Bytes that are made piece by piece when they are written, and not kept."""

    size: int
    pieces: Callable[[], Iterable[Bytes]]

    def __len__(self) -> int:
        return self.size


Data: TypeAlias = Bytes | Deferred


@dataclass(frozen=True, slots=True, eq=False)
class Outside:
    """Stands for the position of data that follows the flatbuffer; a value of fields such as Buffer.offset."""

    data: Data


@dataclass(frozen=True, slots=True, eq=False)
class _Inside:
    """A vector of bytes that lies in the flatbuffer, behind its tables."""

    data: Data


def emit(root: Record) -> bytes:
    """The file with `root` as its root table. Raises GraphError for values that a field can't hold.

    The data of buffers, which is most of a file, does not go through the builder: it lies behind the tables, which
    learn its position at the end. So the file is the one copy that is made. It ends with zeros up to the alignment of
    data, as kernels of the reference read a few bytes past the end of narrow constants.
    """
    emitter = _Emitter(root)
    head = emitter.head
    end = len(head)
    for slot, data in emitter.inside:
        start = _aligned(end + _LENGTH.size)
        _LENGTH.pack_into(head, slot, start - _LENGTH.size - slot)
        end = start + len(data)
    if end > FLATBUFFER_LIMIT:
        raise GraphError(f"a flatbuffer can't hold {end} bytes, {FLATBUFFER_LIMIT} at most.")
    for slot, data in emitter.outside:
        start = _aligned(end)
        _POSITION.pack_into(head, slot, start)
        end = start + len(data)
    return _joined(head, emitter, _aligned(end))


def _joined(head: Bytes, emitter: _Emitter, size: int) -> bytes:
    """The file of `size` bytes: the tables and, each where it is aligned, the data that follows them."""
    file = BytesIO()
    file.seek(size - 1)
    file.write(b"\0")  # all of its memory at once, as zeros
    file.seek(0)
    file.write(head)
    for _, data in emitter.inside:
        start = _aligned(file.tell() + _LENGTH.size)
        file.seek(start - _LENGTH.size)
        file.write(_LENGTH.pack(len(data)))
        file.writelines(_pieces(data))
    for _, data in emitter.outside:
        file.seek(_aligned(file.tell()))
        file.writelines(_pieces(data))
    return file.getvalue()


def _pieces(data: Data) -> Iterable[Bytes]:
    return data.pieces() if isinstance(data, Deferred) else (data,)


def _aligned(position: int) -> int:
    return -(-position // DATA_ALIGNMENT) * DATA_ALIGNMENT


class _Emitter:
    """The tables of one file, and the places in them that ask where data lies that follows them."""

    def __init__(self, root: Record) -> None:
        self._builder = flatbuffers.Builder(_size(root))
        self._inside: list[tuple[int, Data]] = []  # counted from the end, as the builder does
        self._outside: list[tuple[int, Data]] = []
        self._builder.Finish(self._table(root), file_identifier=FILE_IDENTIFIER)
        self.head = bytearray(memoryview(self._builder.Bytes)[self._builder.Head() :])
        self.inside = self._places(self._inside)
        self.outside = self._places(self._outside)

    def _places(self, found: list[tuple[int, Data]]) -> list[tuple[int, Data]]:
        """(position in the head, data) in the order of the positions."""
        return [(len(self.head) - offset, data) for offset, data in reversed(found)]

    def _table(self, record: Record) -> int:
        held = sorted(_held(record), key=lambda entry: -entry[0].width)
        values = [(field, self._value(field, value, record)) for field, value in held]
        self._builder.StartObject(1 + max((field.slot for field in TABLES[record.table].fields), default=-1))
        for field, value in values:
            self._field(field, value, record)
        return int(self._builder.EndObject())

    def _field(self, field: Field, value: Any, record: Record) -> None:
        builder = self._builder
        if isinstance(value, _Inside):
            builder.PrependUOffsetTRelativeSlot(field.slot, builder.Offset(), 0)
            self._inside.append((builder.Offset(), value.data))
        elif field.kind is not Kind.SCALAR:
            builder.PrependUOffsetTRelativeSlot(field.slot, value, 0)
        else:
            number = _UNPLACED if isinstance(value, Outside) else value
            try:
                builder.PrependSlot(_FLAGS[field.dtype.str[1:]], field.slot, number, None)
            except (TypeError, struct.error, OverflowError) as error:
                raise _misfit(field, value, record) from error
            if isinstance(value, Outside):
                self._outside.append((builder.Offset(), value.data))

    def _value(self, field: Field, value: Any, record: Record) -> Any:
        """What goes into the field's slot: a scalar, the offset of what is written for it, or data to be placed."""
        if isinstance(value, Outside):
            return value
        if field.kind is Kind.SCALAR:
            return value.item() if isinstance(value, np.generic) else value
        if field.kind is Kind.STRING:
            return self._builder.CreateSharedString(value)
        if field.kind is Kind.SCALARS:
            return self._vector(field, value, record)
        if field.kind is Kind.TABLES:
            return self._tables(value)
        return self._table(value)

    def _vector(self, field: Field, value: Any, record: Record) -> Any:
        if isinstance(value, Deferred):
            return _Inside(value)
        data = value if isinstance(value, Bytes) else _packed(field, value, record)
        if record.table == "Buffer":
            return _Inside(data)
        return int(self._builder.CreateNumpyVector(np.frombuffer(data, field.dtype)))

    def _tables(self, records: Sequence[Record]) -> int:
        """Built last to first, as the builder writes back to front: so they lie in order."""
        offsets = [self._table(record) for record in reversed(records)]
        self._builder.StartVector(4, len(offsets), 4)
        for offset in offsets:
            self._builder.PrependUOffsetTRelative(offset)
        return int(self._builder.EndVector())


def _held(record: Record) -> Iterable[tuple[Field, Any]]:
    """The fields to write: those that are there and are not their default; for a union its tag too."""
    for field in TABLES[record.table].fields:
        value = record.fields.get(field.name)
        if value is None or (field.kind is Kind.SCALAR and value == field.default):
            continue
        if field.kind is Kind.STRING and not isinstance(value, str):
            raise _misfit(field, value, record)
        if field.kind is Kind.UNION:
            yield TABLES[record.table][f"{field.name}_type"], UNIONS[field.type].index(value.table)
        yield field, value


def _size(record: Record) -> int:
    """About how many bytes a record and all that it refers to take."""
    size = _TABLE_BYTES
    for value in record.fields.values():
        if isinstance(value, Record):
            size += _size(value)
        elif isinstance(value, Bytes) and record.table != "Buffer":
            size += len(value) + DATA_ALIGNMENT
        elif isinstance(value, list) and value and isinstance(value[0], Record):
            size += sum(map(_size, value))
    return size


def _packed(field: Field, value: Any, record: Record) -> bytes:
    values = value.tolist() if isinstance(value, np.ndarray) else value
    try:
        return struct.pack(f"<{len(values)}{_CODES[field.dtype.str[1:]]}", *values)
    except (TypeError, struct.error, OverflowError) as error:
        raise _misfit(field, value, record) from error


def _misfit(field: Field, value: Any, record: Record) -> GraphError:
    where = f"{record.where}.{field.name}" if record.where else field.name
    return GraphError(f"{record.table}.{field.name} ({field.type}) can't hold {value!r}.", where=where)

"""Tables -> the bytes of a flatbuffer, through the flatbuffers package's builder, driven by the schema table."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, TypeAlias

import flatbuffers
import numpy as np
from flatbuffers import number_types

from ..errors import GraphError
from .schema import FILE_IDENTIFIER, TABLES, UNIONS, Field, Kind

Bytes: TypeAlias = bytes | bytearray | memoryview

DATA_ALIGNMENT = 16
_TABLE_BYTES = 64
"""About what a table takes; the builder grows where that is too little."""

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
class Outside:
    """Stands for the position of data that follows the flatbuffer; a value of fields such as Buffer.offset."""

    data: Bytes


def emit(root: Record) -> bytes:
    """The file with `root` as its root table. Raises GraphError for values that a field can't hold."""
    emitter = _Emitter(root, repeat(_UNPLACED))
    if not emitter.outside:
        return emitter.file
    places: list[int] = []
    parts: list[Bytes] = [b""]
    end = len(emitter.file)
    for data in emitter.outside:  # each where the flatbuffer, whose size no position changes, and the others leave off
        parts += [bytes(-end % DATA_ALIGNMENT), data]
        places.append(end + len(parts[-2]))
        end = places[-1] + len(data)
    parts[0] = _Emitter(root, iter(places)).file
    return b"".join(parts)


class _Emitter:
    """One flatbuffer. `places` are the positions of the outside data, in the order in which it turns up."""

    def __init__(self, root: Record, places: Iterator[int]) -> None:
        self.outside: list[Bytes] = []
        self._places = places
        self._builder = flatbuffers.Builder(_size(root))
        self._builder.Finish(self._table(root), file_identifier=FILE_IDENTIFIER)
        self.file = bytes(memoryview(self._builder.Bytes)[self._builder.Head() :])

    def _table(self, record: Record) -> int:
        builder = self._builder
        held = sorted(_held(record), key=lambda entry: -entry[0].width)
        values = [(field, self._value(field, value, record)) for field, value in held]
        builder.StartObject(1 + max((field.slot for field in TABLES[record.table].fields), default=-1))
        for field, value in values:
            if field.kind is Kind.SCALAR:
                flags = _FLAGS[field.dtype.str[1:]]
                try:
                    builder.PrependSlot(flags, field.slot, value, None)
                except (TypeError, struct.error, OverflowError) as error:
                    raise _misfit(field, value, record) from error
            else:
                builder.PrependUOffsetTRelativeSlot(field.slot, value, 0)
        return int(builder.EndObject())

    def _value(self, field: Field, value: Any, record: Record) -> Any:
        """What goes into the field's slot: a scalar, or the offset of what is written for it."""
        if isinstance(value, Outside):
            self.outside.append(value.data)
            return next(self._places)
        if field.kind is Kind.SCALAR:
            return value.item() if isinstance(value, np.generic) else value
        if field.kind is Kind.STRING:
            return self._builder.CreateSharedString(value)
        if field.kind is Kind.SCALARS:
            return self._vector(field, value, record)
        if field.kind is Kind.TABLES:
            return self._tables(value)
        return self._table(value)

    def _vector(self, field: Field, value: Any, record: Record) -> int:
        data = value if isinstance(value, Bytes) else _packed(field, value, record)
        if record.table == "Buffer":
            self._builder.Prep(DATA_ALIGNMENT, len(data))
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
        elif isinstance(value, Bytes):
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

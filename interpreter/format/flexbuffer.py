"""FlexBuffers: the self-describing values in custom options. Sizes and depths are bounded, nothing is trusted.

Strings are `bytes` here, as TensorFlow nodes travel in them and are not text. Source: FlexBuffers specification.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from ..errors import ModelError

MAX_DEPTH = 8


class _Type(IntEnum):
    NULL = 0
    INT = 1
    UINT = 2
    FLOAT = 3
    KEY = 4
    STRING = 5
    INDIRECT_INT = 6
    INDIRECT_UINT = 7
    INDIRECT_FLOAT = 8
    MAP = 9
    VECTOR = 10
    VECTOR_INT = 11
    VECTOR_UINT = 12
    VECTOR_FLOAT = 13
    VECTOR_KEY = 14
    VECTOR_STRING = 15
    VECTOR_INT2 = 16  # then UINT2, FLOAT2, INT3, ... FLOAT4: vectors of 2 to 4 scalars, their length not stored
    VECTOR_FLOAT4 = 24
    BLOB = 25
    BOOL = 26
    VECTOR_BOOL = 36


_INDIRECT = {_Type.INDIRECT_INT: _Type.INT, _Type.INDIRECT_UINT: _Type.UINT, _Type.INDIRECT_FLOAT: _Type.FLOAT}
_TYPED = {
    _Type.VECTOR_INT: _Type.INT,
    _Type.VECTOR_UINT: _Type.UINT,
    _Type.VECTOR_FLOAT: _Type.FLOAT,
    _Type.VECTOR_KEY: _Type.KEY,
    _Type.VECTOR_STRING: _Type.STRING,
    _Type.VECTOR_BOOL: _Type.BOOL,
}
_FLOATS = {4: "<f", 8: "<d"}


def read_flexbuffer(data: bytes, where: str = "") -> Any:
    """The value in a FlexBuffer: None, bool, int, float, bytes (strings, blobs), list, or dict with str keys.

    Raises ModelError where the bytes are not a FlexBuffer, nest deeper than 8 levels or refer to parts many times over.
    """
    try:
        return _Reader(data).root()
    except _Malformed as error:
        raise ModelError(f"custom options are no valid FlexBuffer: {error}.", where=where) from None


class _Malformed(Exception):
    pass


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._nodes = len(data)
        self._bytes = 8 * len(data) + 64
        self._known_keys: dict[int, bytes] = {}  # maps share keys

    def root(self) -> Any:
        if len(self._data) < 3:
            raise _Malformed(f"it has {len(self._data)} bytes")
        width, packed = self._data[-1], self._data[-2]
        return self._value(packed, len(self._data) - 2 - width, self._width(width), 0)

    def _value(self, packed: int, at: int, parent_width: int, depth: int) -> Any:
        """The value of a slot `parent_width` bytes wide at `at`, `packed` being its type and the width it refers to."""
        self._nodes -= 1
        if self._nodes < 0:
            raise _Malformed("it refers to parts many times over")
        number, width = packed >> 2, 1 << (packed & 3)
        if number in (_Type.NULL, _Type.INT, _Type.UINT, _Type.FLOAT, _Type.BOOL):
            return self._scalar(number, at, parent_width)
        at = self._follow(at, parent_width)
        if number in _INDIRECT:
            return self._scalar(_INDIRECT[_Type(number)], at, width)
        if number == _Type.KEY:
            return self._key(at)
        if number in (_Type.STRING, _Type.BLOB):
            return self._slice(at, self._uint(at - width, width))
        if depth >= MAX_DEPTH:
            raise _Malformed(f"it nests deeper than {MAX_DEPTH} levels")
        if _Type.VECTOR_INT2 <= number <= _Type.VECTOR_FLOAT4:
            count, element = divmod(number - _Type.VECTOR_INT2, 3)
            return [self._scalar(_Type.INT + element, at + i * width, width) for i in range(count + 2)]
        if number in _TYPED:
            packed = _TYPED[_Type(number)] << 2
            return [self._value(packed, place, width, depth + 1) for place in self._elements(at, width)]
        if number == _Type.VECTOR:
            return list(self._untyped(at, width, depth))
        if number == _Type.MAP:
            return dict(zip(self._keys(at, width), self._untyped(at, width, depth), strict=True))
        raise _Malformed(f"type {number} is unknown")

    def _untyped(self, at: int, width: int, depth: int) -> Iterator[Any]:
        places = self._elements(at, width)
        types = self._slice(at + len(places) * width, len(places))
        return (self._value(packed, place, width, depth + 1) for packed, place in zip(types, places, strict=True))

    def _keys(self, at: int, width: int) -> list[str]:
        """Keys of the map whose values start at `at`."""
        keys = self._follow(at - 3 * width, width)
        key_width = self._width(self._uint(at - 2 * width, width))
        places = self._elements(keys, key_width)
        if len(places) != self._uint(at - width, width):
            raise _Malformed("a map has more keys or values than the other")
        try:
            return [self._key(self._follow(place, key_width)).decode() for place in places]
        except UnicodeDecodeError:
            raise _Malformed("a key is not UTF-8") from None

    def _elements(self, at: int, width: int) -> range:
        """Places of the elements of a vector that starts at `at`."""
        count = self._uint(at - width, width)
        if count * width > len(self._data) - at:
            raise _Malformed("a vector ends past its end")
        if count > self._nodes:
            raise _Malformed("it refers to parts many times over")
        return range(at, at + count * width, width)

    def _follow(self, at: int, width: int) -> int:
        target = at - self._uint(at, width)
        if not 0 <= target <= at:  # an empty vector may start where the slot that refers to it does
            raise _Malformed("an offset leads nowhere")
        return target

    def _scalar(self, number: int, at: int, width: int) -> Any:
        if number == _Type.NULL:
            return None
        raw = self._slice(at, width)
        if number == _Type.FLOAT:
            if width not in _FLOATS:
                raise _Malformed(f"a float has {width} bytes")
            return struct.unpack(_FLOATS[width], raw)[0]
        value = int.from_bytes(raw, "little", signed=number == _Type.INT)
        return bool(value) if number == _Type.BOOL else value

    def _uint(self, at: int, width: int) -> int:
        return int.from_bytes(self._slice(at, width), "little")

    def _key(self, at: int) -> bytes:
        if at not in self._known_keys:
            end = self._data.find(b"\0", at)
            if end < 0:
                raise _Malformed("a key has no end")
            self._known_keys[at] = self._slice(at, end - at)
        return self._known_keys[at]

    def _slice(self, at: int, length: int) -> bytes:
        self._bytes -= length
        if at < 0 or at + length > len(self._data):
            raise _Malformed("something lies outside of it")
        if self._bytes < 0:
            raise _Malformed("it refers to parts many times over")
        return self._data[at : at + length]

    @staticmethod
    def _width(width: int) -> int:
        if width not in (1, 2, 4, 8):
            raise _Malformed(f"a width of {width} bytes")
        return width


def write_flexbuffer(value: Any) -> bytes:
    """The FlexBuffer of a value: None, bool, int, float, str or bytes (strings), sequences (untyped vectors), mappings.

    Keys are sorted, as readers look them up by bisection. The same value always gives the same bytes.
    """
    writer = _Writer()
    slot = writer.add(value)
    width = next(width for width in _WIDTHS if writer.fits(slot, writer.aligned(width), width))
    writer.pad(width)
    writer.put(slot, width)
    return bytes(writer.out) + bytes([slot.packed(width), width])


_WIDTHS = (1, 2, 4, 8)


class _Slot(NamedTuple):
    """A value that waits to be placed: a scalar, or (for what is not inline) the position it refers to."""

    type: _Type
    value: Any
    width: int  # bytes that a scalar needs, or the width inside what it refers to

    @property
    def inline(self) -> bool:
        return self.type in (_Type.NULL, _Type.INT, _Type.UINT, _Type.FLOAT, _Type.BOOL)

    def packed(self, parent_width: int) -> int:
        return self.type << 2 | _WIDTHS.index(parent_width if self.inline else self.width)


def _integer(value: int) -> _Slot:
    for kind, spare in ((_Type.INT, 1), (_Type.UINT, 0)):
        for width in _WIDTHS:
            if -(1 << 8 * width - 1) <= value < 1 << 8 * width - spare:
                return _Slot(kind, value, width)
    raise TypeError(f"no FlexBuffer form for {value}")


def _count(value: int) -> _Slot:
    return _Slot(_Type.UINT, value, next(width for width in _WIDTHS if value < 1 << 8 * width))


def _float_width(value: float) -> int:
    try:
        return 4 if struct.unpack("<f", struct.pack("<f", value))[0] == value else 8
    except OverflowError:
        return 8


class _Writer:
    def __init__(self) -> None:
        self.out = bytearray()

    def add(self, value: Any) -> _Slot:
        """Writes what a value refers to, and returns the value as a slot of its parent."""
        if value is None:
            return _Slot(_Type.NULL, 0, 1)
        if isinstance(value, bool):
            return _Slot(_Type.BOOL, int(value), 1)
        if isinstance(value, int):
            return _integer(value)
        if isinstance(value, float):
            return _Slot(_Type.FLOAT, value, _float_width(value))
        if isinstance(value, str | bytes):
            return self._string(value.encode() if isinstance(value, str) else value)
        if isinstance(value, Mapping):
            return self._map(value)
        if isinstance(value, Sequence):
            return self._vector(_Type.VECTOR, [self.add(element) for element in value], [])
        raise TypeError(f"no FlexBuffer form for {type(value).__name__}")

    def _string(self, text: bytes) -> _Slot:
        length = _count(len(text))
        self.pad(length.width)
        self.put(length, length.width)
        self.out += text + b"\0"
        return _Slot(_Type.STRING, len(self.out) - len(text) - 1, length.width)

    def _map(self, value: Mapping[str, Any]) -> _Slot:
        items = sorted((key.encode(), element) for key, element in value.items())
        keys = []
        for key, _ in items:
            keys.append(_Slot(_Type.KEY, len(self.out), 1))
            self.out += key + b"\0"
        values = [self.add(element) for _, element in items]
        index = self._vector(_Type.VECTOR_KEY, keys, [])
        return self._vector(_Type.MAP, values, [index, _Slot(_Type.INT, index.width, 1)])

    def _vector(self, type: _Type, elements: list[_Slot], prefix: list[_Slot]) -> _Slot:
        """Writes prefix, length, elements and (but for keys) their types, in the least width that holds them all."""
        slots = [*prefix, _count(len(elements)), *elements]
        width = next(
            width
            for width in _WIDTHS
            if all(self.fits(slot, self.aligned(width) + i * width, width) for i, slot in enumerate(slots))
        )
        self.pad(width)
        for slot in slots[: len(prefix) + 1]:
            self.put(slot, width)
        start = len(self.out)
        for slot in elements:
            self.put(slot, width)
        if type is not _Type.VECTOR_KEY:
            self.out += bytes(slot.packed(width) for slot in elements)
        return _Slot(type, start, width)

    def aligned(self, width: int) -> int:
        return -(-len(self.out) // width) * width

    def pad(self, width: int) -> None:
        self.out += bytes(self.aligned(width) - len(self.out))

    @staticmethod
    def fits(slot: _Slot, at: int, width: int) -> bool:
        return slot.width <= width if slot.inline else at - slot.value < 1 << 8 * width

    def put(self, slot: _Slot, width: int) -> None:
        if slot.type is _Type.FLOAT:
            self.out += struct.pack(_FLOATS[width], slot.value)
        elif slot.inline:
            self.out += slot.value.to_bytes(width, "little", signed=slot.type is _Type.INT)
        else:
            self.out += (len(self.out) - slot.value).to_bytes(width, "little")

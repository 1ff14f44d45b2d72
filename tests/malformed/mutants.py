"""Random damage to a sound file: to its bytes anywhere, and to what stands in the places that mean something."""

from __future__ import annotations

import random
import struct
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tflite_cupy.interpreter.format.schema import Field, Kind
from tflite_cupy.interpreter.format.verify import verify
from tflite_cupy.interpreter.limits import DEFAULT_LIMITS

NUMBERS = (0, 1, 2, 3, 4, 7, 8, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 4)
_ELEMENTS = 64  # of a vector, that are changed
_FORMATS = {1: "<B", 2: "<H", 4: "<I", 8: "<Q"}


class Place(NamedTuple):
    """Bytes of a file that hold one number."""

    at: int
    width: int


class Subject:
    """A sound file, and where its numbers stand by what they mean."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._places: defaultdict[str, list[Place]] = defaultdict(list)
        self._structure: dict[str, None] = {}  # kinds of places that hold offsets and lengths
        self._columns = verify(np.frombuffer(data, np.uint8), DEFAULT_LIMITS)
        for name, rows in self._columns.rows.items():
            for at in rows.at.tolist():
                for field in rows.table.fields:
                    self._note(name, at, field)
        self._values = tuple(name for name in self._places if name not in self._structure)

    def mutant(self, rng: random.Random) -> bytes:
        """The file after one to four changes."""
        made = bytearray(self.data)
        for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
            kinds = rng.choices((self._values, tuple(self._structure), ()), (8, 1, 1))[0]
            if kinds:
                self._change_number(made, rng.choice(kinds), rng)
            else:
                rng.choice(_ANYWHERE)(made, rng)
        return bytes(made)

    def _change_number(self, data: bytearray, kind: str, rng: random.Random) -> None:
        """A field, offset, length or element gets another value: one at an edge, near by, or from a place like it."""
        places = self._places[kind]
        at, width = rng.choice(places)
        if at + width > len(data):
            return
        how = rng.randrange(3)
        if how == 0:
            value = rng.choice(NUMBERS)
        elif how == 1:
            value = struct.unpack_from(_FORMATS[width], data, at)[0] + rng.choice((-8, -4, -2, -1, 1, 2, 4, 8))
        else:
            value = struct.unpack_from(_FORMATS[width], self.data, rng.choice(places).at)[0]
        struct.pack_into(_FORMATS[width], data, at, value % 2 ** (8 * width))

    def _note(self, table: str, at: int, field: Field) -> None:
        vtable = at - struct.unpack_from("<i", self.data, at)[0]
        entry = vtable + 4 + 2 * field.slot
        if entry + 2 > vtable + struct.unpack_from("<H", self.data, vtable)[0]:
            return
        place = struct.unpack_from("<H", self.data, entry)[0]
        if not place:
            return
        self._add("vtable", Place(entry, 2), structure=True)
        name = f"{table}.{field.name}"
        self._add(name, Place(at + place, field.width), structure=field.kind is not Kind.SCALAR)
        if field.kind not in (Kind.SCALAR, Kind.TABLE, Kind.UNION):
            self._note_vector(name, field, _target(self.data, at + place))

    def _note_vector(self, name: str, field: Field, at: int) -> None:
        self._add(f"{name} length", Place(at, 4), structure=True)
        width = 1 if field.kind is Kind.STRING else field.dtype.itemsize
        for i in range(min(struct.unpack_from("<I", self.data, at)[0], _ELEMENTS)):
            self._add(f"{name} elements", Place(at + 4 + width * i, width), structure=field.kind is Kind.TABLES)

    def _add(self, kind: str, place: Place, *, structure: bool) -> None:
        self._places[kind].append(place)
        if structure:
            self._structure[kind] = None


def _target(data: bytes, at: int) -> int:
    return at + int(struct.unpack_from("<I", data, at)[0])


def flip_bit(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def set_byte(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] = rng.randrange(256)


def set_word(data: bytearray, rng: random.Random) -> None:
    """An offset, length, index or size becomes a number at the edge of something."""
    struct.pack_into("<I", data, 4 * rng.randrange(len(data) // 4), rng.choice(NUMBERS))


def shift_word(data: bytearray, rng: random.Random) -> None:
    """An offset or length moves a little."""
    at = 4 * rng.randrange(len(data) // 4)
    value = struct.unpack_from("<I", data, at)[0] + rng.randrange(-16, 17)
    struct.pack_into("<I", data, at, value % 2**32)


def set_half(data: bytearray, rng: random.Random) -> None:
    """An entry of a vtable becomes another."""
    struct.pack_into("<H", data, 2 * rng.randrange(len(data) // 2), rng.choice((0, 2, 4, 6, 8, 12, 16, 20, 255, 65535)))


def copy_words(data: bytearray, rng: random.Random) -> None:
    """A piece of the file appears in another place."""
    size = 4 * rng.randrange(1, 9)
    source, target = (4 * rng.randrange(max(1, (len(data) - size) // 4)) for _ in range(2))
    data[target : target + size] = data[source : source + size]


def truncate(data: bytearray, rng: random.Random) -> None:
    del data[max(8, rng.randrange(len(data))) :]


_ANYWHERE: tuple[Callable[[bytearray, random.Random], None], ...] = (
    flip_bit,
    set_byte,
    set_word,
    shift_word,
    set_half,
    copy_words,
    truncate,
)

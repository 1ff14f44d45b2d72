"""Reads TensorFlow's NodeDef message off the wire, without TensorFlow (tensorflow/core/framework/node_def.proto).

Nothing is expanded: the values of attributes stay the encoded AttrValue that they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..errors import GraphError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types of protobuf that exist today; 3 and 4 (groups) are not used by TensorFlow."""

_NAME, _OP, _INPUT, _DEVICE, _ATTR = 1, 2, 3, 4, 5  # field numbers of NodeDef
_KEY, _VALUE = 1, 2  # of an entry of NodeDef.attr


@dataclass(frozen=True, slots=True)
class NodeDef:
    """One TensorFlow node. `inputs` are names of other nodes, all empty in a .tflite file ("^name": control input)."""

    name: str
    op: str
    inputs: tuple[str, ...]
    device: str
    attributes: Mapping[str, bytes]  # encoded AttrValue by name


def read_nodedef(data: bytes) -> NodeDef:
    """The message in `data`. Raises GraphError if that is malformed."""
    texts: dict[int, str] = {}
    inputs: list[str] = []
    attributes: dict[str, bytes] = {}
    for number, value in fields(data):
        if number in (_NAME, _OP, _DEVICE):
            texts[number] = _text(value)
        elif number == _INPUT:
            inputs.append(_text(value))
        elif number == _ATTR:
            entry = dict(fields(_bytes(value)))
            attributes[_text(entry.get(_KEY, b""))] = _bytes(entry.get(_VALUE, b""))
    name, op, device = (texts.get(number, "") for number in (_NAME, _OP, _DEVICE))
    return NodeDef(name, op, tuple(inputs), device, attributes)


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of each field of an encoded message, in order: int for numbers, bytes for the rest."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, position = _varint(message, position)
            yield number, value
            continue
        if wire == BYTES:
            length, position = _varint(message, position)
        elif wire in (FIXED32, FIXED64):
            length = 4 if wire == FIXED32 else 8
        else:
            raise GraphError(f"NodeDef is malformed: wire type {wire} at byte {position}")
        end = position + length
        if end > len(message):
            raise GraphError(f"NodeDef is malformed: a field of {length} bytes at byte {position} of {len(message)}")
        yield number, message[position:end]
        position = end


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise GraphError(f"NodeDef is malformed: it ends within a number at byte {position}")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position
    raise GraphError(f"NodeDef is malformed: a number of more than 10 bytes at byte {position}")


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise GraphError(f"NodeDef is malformed: the number {value} where a string or message belongs")
    return value


def _text(value: int | bytes) -> str:
    try:
        return _bytes(value).decode()
    except UnicodeDecodeError as error:
        raise GraphError(f"NodeDef is malformed: a name that is no UTF-8: {value!r}") from error

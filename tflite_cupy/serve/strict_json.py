"""JSON of strangers: read within bounds, written so that other servers' clients read it.

`NaN`, `Infinity` and `-Infinity` are read and written as such, as TensorFlow Serving and Triton do; clients that hold
to RFC 8259 ask for binary data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import chain
from typing import Any

from .faults import bad

MAX_AXES = 32
"""How deep lists of values may be nested."""

KINDS: Mapping[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
    bytes: "bytes",  # of base64
}
"""Names of what JSON holds."""


def parse(text: bytes | memoryview, what: str = "the body") -> dict[str, Any]:
    """A JSON object. Raises Refused (400)."""
    try:
        value = json.loads(bytes(text))
    except RecursionError:
        raise bad(f"{what} is nested too deeply.") from None
    except ValueError as error:  # no JSON, no UTF-8, or a number of thousands of digits
        raise bad(f"{what} is no JSON: {error}") from None
    found: dict[str, Any] = as_kind(value, dict, what)
    return found


def as_kind(value: Any, kind: type, what: str) -> Any:
    """`value`, if it is of this kind of JSON. Raises Refused (400)."""
    if type(value) is not kind:
        raise bad(f"{what} has to be {KINDS[kind]}, got {KINDS[type(value)]}.")
    return value


def field(holder: dict[str, Any], name: str, kind: type, where: str, default: Any = None) -> Any:
    """A field of an object; `default` where it is not there or null. Raises Refused (400) for another kind of value."""
    value = holder.get(name)
    return default if value is None else as_kind(value, kind, f"{name!r} of {where}")


def flattened(value: Any, what: str) -> tuple[list[Any], tuple[int, ...]]:
    """The elements of nested lists in row-major order, and their shape; a value that is no list has shape ().

    Raises Refused (400) for lists that are not of one length each, or nested deeper than MAX_AXES.
    """
    if not isinstance(value, list):
        return [value], ()
    level, shape = value, [len(value)]
    while level and isinstance(level[0], list):
        length = len(level[0])
        if not all(isinstance(item, list) and len(item) == length for item in level):
            raise bad(f"{what}: nested lists have to be of one length on each axis.")
        level = list(chain.from_iterable(level))
        shape.append(length)
        if len(shape) > MAX_AXES:
            raise bad(f"{what}: lists are nested deeper than {MAX_AXES}.")
    return level, tuple(shape)


def dump(value: Any) -> bytes:
    """JSON without blanks, in ASCII."""
    return json.dumps(value, separators=(",", ":")).encode()

"""FlexBuffers: what is written is read back, by us and by the official package; what is malformed is refused."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.format.surgery import in_time
from tflite_cupy.interpreter.errors import ModelError
from tflite_cupy.interpreter.format.flexbuffer import read_flexbuffer, write_flexbuffer

KEYS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.binary(max_size=300)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=20
)


def plain(value: Any) -> Any:
    """A value as it is read: text as bytes, sequences as lists, keys sorted."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, list):
        return [plain(element) for element in value]
    if isinstance(value, dict):
        return {key: plain(value[key]) for key in sorted(value, key=str.encode)}
    return value


def depth(value: Any) -> int:
    if isinstance(value, list | dict):
        return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)
    return 0


@settings(deadline=None)
@given(VALUES)
def test_round_trip(value: Any) -> None:
    if depth(value) > 8:
        with pytest.raises(ModelError, match="nests deeper"):
            read_flexbuffer(write_flexbuffer(value))
        return
    found = read_flexbuffer(write_flexbuffer(value))
    assert found == plain(value)
    assert repr(found) == repr(plain(value))  # types and the order of keys too


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with in_time(), suppress(ModelError):
        read_flexbuffer(data)


@settings(deadline=None)
@given(VALUES, st.data())
def test_damage_is_read_or_refused(value: Any, data: st.DataObject) -> None:
    raw = bytearray(write_flexbuffer(value))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with in_time(), suppress(ModelError):
        read_flexbuffer(bytes(raw))


@pytest.mark.parametrize(
    "value",
    [
        {"axis": 1, "name": "x", "weights": [0.5, 0.25], "deep": {"flag": True}},
        ["FlexAdd", "node"],
        [1, 300, -70_000, 2**40],
        [1] * 128,
        {"many": [0.5] * 256, "long": "x" * 300},
        {"a": [], "b": {}},
        3.1,
        None,
    ],
)
def test_the_official_package_agrees(value: Any) -> None:
    official = pytest.importorskip("flatbuffers.flexbuffers")
    assert official.Loads(write_flexbuffer(value)) == value
    assert read_flexbuffer(bytes(official.Dumps(value))) == plain(value)


def test_typed_vectors_of_the_official_package() -> None:
    official = pytest.importorskip("flatbuffers.flexbuffers")
    builder = official.Builder()
    with builder.Map():
        builder.TypedVectorFromElements("typed", [1, 2, 70_000])
        builder.FixedTypedVectorFromElements("fixed", [0.5, 1.5, 2.5])
        builder.Blob("blob", b"\0\xff")
        builder.IndirectInt("indirect", -5)
        builder.UInt("unsigned", 2**63)
        builder.TypedVectorFromElements("flags", [True, False])
    value = {"typed": [1, 2, 70_000], "fixed": [0.5, 1.5, 2.5], "blob": b"\0\xff", "indirect": -5}
    value |= {"unsigned": 2**63, "flags": [True, False]}
    assert read_flexbuffer(bytes(builder.Finish())) == {key: value[key] for key in sorted(value)}


def test_layout_of_a_tensorflow_node() -> None:
    """Untyped vector of two strings, as the official converter writes it."""
    assert write_flexbuffer(["NoOp", b"\xff"]) == b"\x04NoOp\0\x01\xff\0\x02\x09\x04\x14\x14\x04\x28\x01"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "0 bytes"),
        (b"\0\1", "2 bytes"),
        (b"\0\4\3", "width of 3"),
        (b"\5\x14\1", "offset leads nowhere"),  # before the start
        (b"\0\x0c\1", "a float has 1 bytes"),
        (b"\0\x7c\1", "type 31"),
        (b"\xff\0\x14\1", "lies outside"),
        (b"\3ab\0\2\x28\1", "ends past its end"),
        (bytes(20) + b"\1\0\x28\2\x28\1", "nests deeper"),  # a vector that holds itself
    ],
)
def test_malformed(data: bytes, says: str) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        read_flexbuffer(data, "subgraphs[0].operators[1]")
    assert caught.value.where == "subgraphs[0].operators[1]"


def test_sharing_does_not_multiply_without_end() -> None:
    """Eight levels of vectors with 100 offsets each to the one below: 10^16 values in a kilobyte."""
    data = bytearray(b"\0")
    below = 0
    for level in range(8):
        data += bytes(-(len(data) + 1) % 2) + b"\x64\0"
        start = len(data)
        for _ in range(100):
            data += (len(data) - below).to_bytes(2, "little") if level else b"\0\0"
        data += bytes([10 << 2 | 1 if level else 1 << 2] * 100)
        below = start
    data += bytes(len(data) % 2)
    data += (len(data) - below).to_bytes(2, "little") + bytes([10 << 2 | 1, 2])
    with in_time(), pytest.raises(ModelError, match="many times over"):
        read_flexbuffer(bytes(data))


def test_what_has_no_form() -> None:
    with pytest.raises(TypeError, match="no FlexBuffer form for set"):
        write_flexbuffer({"a": {1}})
    with pytest.raises(TypeError, match="no FlexBuffer form"):
        write_flexbuffer(2**64)

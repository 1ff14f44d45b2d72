"""JSON of strangers."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tflite_cupy.serve.faults import Refused
from tflite_cupy.serve.strict_json import MAX_AXES, dump, field, flattened, parse


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "the body is no JSON"),
        (b"{", "the body is no JSON"),
        (b'{"a": 1} x', "the body is no JSON: Extra data"),
        (b"\xff\xfe\xfd", "the body is no JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "the body is no JSON"),
        (b"[" * 100_000, "the body is nested too deeply"),
        (b'{"a":' * 100_000, "the body is nested too deeply"),
        (b"[1]", "the body has to be an object, got a list"),
        (b"null", "the body has to be an object, got null"),
    ],
)
def test_what_is_no_object_is_refused(text: bytes, says: str) -> None:
    with pytest.raises(Refused, match=says) as caught:
        parse(text)
    assert caught.value.status == 400


def test_numbers_that_are_not_finite_are_read_and_written() -> None:
    value: list[float] = parse(b'{"a": [NaN, Infinity, -Infinity]}')["a"]
    assert math.isnan(value[0])
    assert value[1:] == [math.inf, -math.inf]
    assert dump(value) == b"[NaN,Infinity,-Infinity]"


def test_fields_are_of_one_kind() -> None:
    assert field({"a": 1}, "a", int, "x") == 1
    assert field({"a": None}, "a", int, "x", 7) == 7
    assert field({}, "a", list, "x") is None
    values: list[Any] = [True, 1.0, "1", []]
    for value in values:
        with pytest.raises(Refused, match=r"'a' of x has to be a whole number, got .*\."):
            field({"a": value}, "a", int, "x")


@pytest.mark.parametrize(
    ("value", "elements", "shape"),
    [
        (5, [5], ()),
        ([], [], (0,)),
        ([1, 2], [1, 2], (2,)),
        ([[1, 2], [3, 4], [5, 6]], [1, 2, 3, 4, 5, 6], (3, 2)),
        ([[], []], [], (2, 0)),
        ([[["a"]]], ["a"], (1, 1, 1)),
        ([{"b64": ""}], [{"b64": ""}], (1,)),
    ],
)
def test_nested_lists_become_elements_and_a_shape(value: Any, elements: list[Any], shape: tuple[int, ...]) -> None:
    assert flattened(value, "x") == (elements, shape)


def test_lists_that_are_no_array_are_refused() -> None:
    for ragged in ([[1], [1, 2]], [[1], 2], [[[1]], [[1, 2]]]):
        with pytest.raises(Refused, match="x: nested lists have to be of one length on each axis"):
            flattened(ragged, "x")
    deep: Any = 1
    for _ in range(MAX_AXES + 1):
        deep = [deep]
    with pytest.raises(Refused, match="x: lists are nested deeper than 32"):
        flattened(deep, "x")
    assert flattened(deep[0], "x") == ([1], (1,) * MAX_AXES)

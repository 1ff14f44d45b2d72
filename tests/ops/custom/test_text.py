"""TensorFlow Text's operators. Expected values are those of its TensorFlow Lite kernels, version 2.19."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.ops.harness import Case, check, matrix
from tflite_cupy.interpreter.format.flexbuffer import write_flexbuffer
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops.custom.text import shares

STRING, I32, I64, U8 = TensorType.STRING, TensorType.INT32, TensorType.INT64, TensorType.UINT8
BOOL, F32 = TensorType.BOOL, TensorType.FLOAT32
SPACES = (9, 10, 11, 12, 13, 32, 0x85, 0xA0, 0x2009, 0x3000)


def texts(*values: bytes) -> np.ndarray:
    return np.array(values, object)


def config(spaces: Sequence[int] = SPACES) -> np.ndarray:
    """White space as bits by code point."""
    bits = np.zeros(max(spaces) + 1, np.uint8)
    bits[list(spaces)] = 1
    return np.array(np.packbits(bits, bitorder="little").tobytes(), object)


def text(operator: str, inputs: Any, outputs: Any, label: str, expect: Any = None, **more: Any) -> Case:
    options = write_flexbuffer(more.pop("options", {}))
    more = {"custom": True, "custom_options": options, "unreferenced": "TensorFlow Text brings its kernel"} | more
    return Case(f"TFText>{operator}", inputs, outputs=outputs, label=label, expect=expect, **more)


LINES = texts(b"Hello big  world", b" ", b"", "a\u3000b\tc\u00a0d".encode(), b"x")
WORDS = texts(b"Hello", b"big", b"world", b"a\xe3\x80", b"b", b"c\xc2", b"d", b"x")
TOKENS = texts(b"a", b"b", b"c", b"d", b"e")
TABLE = np.array([[b"a", b"b", b"c", b"d"], [b"e", b"f", b"", b"h"]], object)
GRAMS = {"width": 2, "axis": -1, "string_separator": "|"}
A, B = np.arange(9, dtype=np.int32), np.arange(9, dtype=np.int32) + 100
ROWS_A, ROWS_B = np.int64([0, 2, 5, 9]), np.int64([0, 3, 4, 9])
BITS = {"word_length": 3, "bits_per_char": 8, "replacement_char": 255}
CASES = [
    text("WhitespaceTokenizeWithOffsetsV2", [LINES, config()], [STRING, I64, I32, I32], "lines", [
        WORDS, np.int64([0, 3, 3, 3, 7, 8]), np.int32([0, 6, 11, 0, 4, 6, 9, 0]), np.int32([5, 9, 16, 3, 5, 8, 10, 1]),
    ]),
    text("WhitespaceTokenizeWithOffsetsV2", [texts(b"a?b c"), config((32, 0xD800, 0x110000))],
         [STRING, I64, I32, I32], "bits of no characters", [
        texts(b"a?b", b"c"), np.int64([0, 2]), np.int32([0, 4]), np.int32([3, 5]),
    ]),
    text("WhitespaceTokenizeWithOffsetsV2", [texts(), config()], [STRING, I64, I32, I32], "nothing", [
        texts(), np.int64([0]), np.int32([]), np.int32([]),
    ]),
    text("WhitespaceTokenizeWithOffsetsV2", [LINES, LINES], [STRING, I64, I32, I32], "two", raises="of 5 strings"),
    text("ByteSplitWithOffsets", [texts(b"ab", b"", b"c")], [U8, I64, I32, I32], "bytes", [
        np.uint8([97, 98, 99]), np.int64([0, 2, 2, 3]), np.int32([0, 1, 0]), np.int32([1, 2, 1]),
    ]),
    text("ByteSplitByOffsets",
         [texts(b"hello", b"world"), np.int32([0, 2, 1, 1]), np.int32([2, 5, 3, 2]), np.int64([0, 2, 4])],
         [STRING, I64], "parts", [texts(b"he", b"llo", b"or", b"o"), np.int64([0, 2, 4])]),
    text("ByteSplitByOffsets", [texts(b"hello"), np.int32([2]), np.int32([7]), np.int64([0, 1])],
         [STRING, I64], "past the end", raises="from 2 to 7 of a string of 5"),
    text("ByteSplitByOffsets", [texts(b"hello"), np.int32([2]), np.int32([3]), np.int64([0, 2])],
         [STRING, I64], "rows", raises="rise from 0 to 1"),
    text("ByteSplitByOffsets", [texts(b"hello"), np.int32([]), np.int32([]), np.int64([0, 2])],
         [STRING, I64], "rows of nothing", raises="rise from 0 to 0"),
    text("NgramsStringJoin", [TOKENS], [STRING], "row", [texts(b"a|b", b"b|c", b"c|d", b"d|e")], options=GRAMS),
    text("NgramsStringJoin", [TABLE], [STRING], "table",
         [np.array([[b"a b c", b"b c d"], [b"e f ", b"f  h"]], object)],
         options=GRAMS | {"width": 3, "string_separator": " "}),
    text("NgramsStringJoin", [TOKENS[:1]], [STRING], "short", [texts()], options=GRAMS),
    text("NgramsStringJoin", [TOKENS, np.int64([0, 3]), np.int64([0, 2, 2, 5])], [STRING, I64, I64], "ragged",
         [texts(b"a|b", b"c|d", b"d|e"), np.int64([0, 3]), np.int64([0, 1, 1, 3])], options=GRAMS),
    text("NgramsStringJoin", [TOKENS, np.int64([0, 2, 2, 9])], [STRING, I64], "splits", options=GRAMS,
         raises="rise from 0 to 5"),
    text("NgramsStringJoin", [TABLE], [STRING], "axis", options=GRAMS | {"axis": 0}, refused="with axis 0"),
    text("Utf8Binarize", [texts("h\u00e9\u00e9!".encode(), b"\xe3\x80", b"")], [F32], "bits", [np.float32([
        [0, 0, 0, 1, 0, 1, 1, 0] + [1, 0, 0, 1, 0, 1, 1, 1] * 2, [1] * 8 + [0] * 16, [0] * 24,
    ])], options=BITS),
    text("Utf8Binarize", [texts(b"")], [F32], "wide", options=BITS | {"bits_per_char": 40}, refused="3 x 40 bits"),
    text("RoundRobinTrim", [np.int32(5), A, B, ROWS_A, ROWS_B], [I32, I32, I64, I64], "two segments",
         [A[:8], B[:6], np.int64([0, 2, 5, 8]), np.int64([0, 3, 4, 6])]),
    text("RoundRobinTrim", [np.int32(5), A, B, ROWS_A, ROWS_B[:3]], [I32, I32, I64, I64], "rows", raises="row splits"),
    text("RoundRobinTrim", [np.int32(5), A], [I32], "no rows", refused="1 operands beside the length"),
    text("RoundRobinTrim", [np.int32(5), A, ROWS_A.astype(np.float32)], [I32, F32], "real rows",
         refused="row splits of int32 or int64"),
    text("RoundRobinGenerateMasks", [np.int32(5), A[:0], ROWS_A], [BOOL], "rows of nothing", raises="rise from 0 to 0"),
    text("RoundRobinGenerateMasks", [np.int32(5), A, B, ROWS_A, ROWS_B], [BOOL, BOOL], "two segments",
         [A < 8, B < 106]),
    text("RoundRobinGenerateMasks", [np.int32(-1), A, ROWS_A], [BOOL], "no room", [A < 0]),
]  # fmt: skip


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


@pytest.mark.parametrize(
    ("sizes", "room", "expected"),
    [([4, 5], 5, [3, 2]), ([2, 3], 5, [2, 3]), ([5, 1], 5, [4, 1]), ([3, 3, 3], 8, [3, 3, 2]), ([0, 7], 3, [0, 3])],
)
def test_room_is_shared_out_evenly(sizes: list[int], room: int, expected: list[int]) -> None:
    assert shares(np.array(sizes), room).tolist() == expected

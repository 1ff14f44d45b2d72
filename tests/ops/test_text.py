"""SKIP_GRAM: words of a text and what lies between them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.harness import Case, check, matrix, one_op
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops.checks import evaluate

STRING = TensorType.STRING


def strings(*values: bytes) -> np.ndarray:
    return np.array(values, object)


def grams(text: bytes, size: int, skips: int = 0, shorter: bool = False) -> Case:
    attributes = {"ngram_size": size, "max_skip_size": skips, "include_all_ngrams": shorter}
    label = f"{text!r} {size} {skips}{' shorter' if shorter else ''}"
    return Case("SKIP_GRAM", [strings(text)], attributes, [STRING], label=label)


TEXT = b"The quick\t brown fox\n jumps over the lazy dog!"

CASES = [
    *(grams(TEXT, size, skips, all_) for size in (1, 2, 3) for skips in (0, 1, 2) for all_ in (False, True)),
    *(grams(TEXT, *sizes) for sizes in ((9,), (10,), (0,), (2, -1), (2, 20))),
    grams(b" a  b c", 2, 1, shorter=True),
    *(
        grams(text, 1)
        for text in (b"a", b"", b" ", b" a", b" a b", b"  a b", b"a b ", "\u00e4 \u00f6".encode(), b"a\0b\x0bc")
    ),
    Case("SKIP_GRAM", [strings(b"a b", b"c d")], {"ngram_size": 2}, label="two texts"),
    Case(
        "SKIP_GRAM",
        [strings()],
        {"ngram_size": 2},
        label="no text",
        raises="expected a string",
        unreferenced="it crashes",
    ),
    Case("SKIP_GRAM", [np.int32([1])], {"ngram_size": 2}, [STRING], refused="not supported with int32"),
]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


def test_a_shorter_gram_follows_those_that_it_begins() -> None:
    (result,) = evaluate(one_op(grams(b"a b c", 2, 1, shorter=True)), [strings(b"a b c")])
    assert result.tolist() == [b"a b", b"a c", b"a", b"b c", b"b", b"c"]

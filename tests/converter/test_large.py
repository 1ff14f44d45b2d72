"""Weights of more than 2 GiB, which lie behind the flatbuffer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.converter.oracle import convert, pytestmark_converter

pytestmark = [*pytestmark_converter, pytest.mark.slow, pytest.mark.reference]
ROWS, WIDTH, TABLES = 300_000, 1024, 2
"""Two tables of 1.14 GiB each."""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file of two tables, row i of table t of which holds i + t / 2, and of a product with a matrix."""
    import tensorflow as tf

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            first = tf.repeat(tf.range(ROWS, dtype=tf.float32)[:, None], WIDTH, 1)
            self.tables = [tf.Variable(first if t == 0 else first + t / 2) for t in range(TABLES)]
            self.matrix = tf.Variable(tf.eye(WIDTH)[:, :3] * 2.0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)])
        def look_up(self, rows: Any) -> Any:
            found = sum(tf.gather(table, rows) for table in self.tables)
            return {"rows": found, "product": found @ self.matrix}

    path = tmp_path_factory.mktemp("large") / "large.tflite"
    module = Module()
    path.write_bytes(convert({"look_up": module.look_up}, flex=False))
    yield path
    path.unlink()


def test_both_runtimes_read_what_lies_past_2_gib(large: Path) -> None:
    assert large.stat().st_size > 2**31
    from ai_edge_litert.interpreter import Interpreter

    rows = np.array([0, 7, ROWS // 2, ROWS - 1], np.int32)
    expected = np.repeat((2 * rows.astype(np.float32) + 0.5)[:, None], WIDTH, 1)
    for kind in (lite.Interpreter, Interpreter):
        got = kind(model_path=str(large)).get_signature_runner("look_up")(rows=rows)
        np.testing.assert_array_equal(got["rows"], expected)
        np.testing.assert_array_equal(got["product"], 2 * expected[:, :3])

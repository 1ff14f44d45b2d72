"""Attention as one launch, in the forms in which converters write it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.build import BOOL, F32, GraphBuilder
from tests.delegates.gpu.checks import TOLERANCES, check, noise
from tflite_cupy.interpreter.graph import Graph


def heads(b: GraphBuilder, x: int, batch: int, rows: int, count: int, size: int, order: tuple[int, ...]) -> int:
    """[batch, rows, count * size] as [batch, count, rows, size], or in another order."""
    apart = b.add("RESHAPE", [x, b.constant([batch, rows, count, size], np.int32)], [batch, rows, count, size])
    shape = [(batch, rows, count, size)[axis] for axis in order]
    return b.add("TRANSPOSE", [apart, b.constant(order, np.int32)], shape)


def keras_attention(batch: int, rows: int, keys: int, count: int, size: int, *, mask: str = "") -> Graph:
    """As TensorFlow's converter writes it."""
    b = GraphBuilder()
    q, k, v = (b.input(F32, [batch, n, count * size]) for n in (rows, keys, keys))
    q = heads(b, q, batch, rows, count, size, (0, 2, 1, 3))
    k = heads(b, k, batch, keys, count, size, (0, 2, 3, 1))
    score = (batch, count, rows, keys)
    scores = b.add("BATCH_MATMUL", [q, k], score)
    scores = b.add("MUL", [scores, b.constant(np.float32(size**-0.5))])
    if mask == "added":
        scores = b.add("ADD", [b.input(F32, [batch, 1, 1, keys]), scores], score)
    if mask == "selected":
        outside = b.constant(np.float32(-np.inf))
        keep = b.input(BOOL, [batch, 1, rows, keys])
        (scores,) = b.op("SELECT_V2", [keep, scores, outside], [b.tensor(F32, score)])
    weights = b.add("SOFTMAX", [scores], beta=1.0)
    v = heads(b, v, batch, keys, count, size, (0, 2, 1, 3))
    mixed = b.add("BATCH_MATMUL", [weights, v], (batch, count, rows, size))
    back = b.add("TRANSPOSE", [mixed, b.constant((0, 2, 1, 3), np.int32)], (batch, rows, count, size))
    flat = (batch, rows, count * size)
    out = b.add("RESHAPE", [back, b.constant(flat, np.int32)], flat)
    return b.graph([b.add("ADD", [out, b.constant(np.float32(1))])])


@pytest.mark.parametrize(
    ("sizes", "mask"),
    [((2, 20, 20, 2, 16), "added"), ((1, 70, 130, 3, 64), ""), ((1, 5, 9, 2, 6), "added"), ((1, 40, 70, 1, 128), "")],
)
def test_attention_of_keras(sizes: tuple[int, int, int, int, int], mask: str) -> None:
    batch, rows, keys, count, size = sizes
    feeds = [noise(batch, n, count * size, seed=n + i) for i, n in enumerate((rows, keys, keys))]
    if mask:
        added = noise(batch, 1, 1, keys, seed=9)
        added[..., -3:] = -1e9
        feeds.append(added)
    check(keras_attention(*sizes, mask=mask), feeds, launches=1)


TENSOR_SIZES = [
    ((2, 20, 20, 2, 16), "added"),  # 4 warps to the rows of a block
    ((1, 70, 130, 3, 64), ""),
    ((1, 40, 70, 1, 128), "added"),
    ((66, 5, 9, 2, 8), "added"),  # one warp to the rows
    ((45, 70, 70, 3, 12), ""),
]


@pytest.mark.parametrize("precision", ["tf32", "fp16"])
@pytest.mark.parametrize(("sizes", "mask"), TENSOR_SIZES)
def test_attention_on_tensor_cores(sizes: tuple[int, int, int, int, int], mask: str, precision: str) -> None:
    batch, rows, keys, count, size = sizes
    feeds = [noise(batch, n, count * size, seed=n + i) for i, n in enumerate((rows, keys, keys))]
    if mask:
        added = noise(batch, 1, 1, keys, seed=9)
        added[..., -3:] = -1e9
        feeds.append(added)
    check(keras_attention(*sizes, mask=mask), feeds, launches=1, precision=precision, atol=TOLERANCES[precision])


@pytest.mark.parametrize("precision", ["strict", "tf32"])
def test_rows_of_which_all_keys_are_left_out(precision: str) -> None:
    keep = noise(1, 1, 6, 70, dtype=np.bool_)
    keep[0, 0, 1, :66] = False
    keep[0, 0, 2] = False
    feeds = [noise(1, n, 16, seed=i) for i, n in enumerate((6, 70, 70))]
    graph, atol = keras_attention(1, 6, 70, 2, 8, mask="selected"), TOLERANCES[precision]
    check(graph, [*feeds, keep], launches=1, precision=precision, atol=None if precision == "strict" else atol)


def test_attention_of_torch() -> None:
    """Operands scaled before the product, batch and heads as one dimension."""
    b = GraphBuilder()
    x, mask = b.input(F32, [1, 12, 3, 2, 24]), b.input(F32, [2, 1, 1, 12])
    parts = []
    for part in range(3):
        begin, size = b.constant([0, 0, part, 0, 0], np.int32), b.constant([1, 12, 1, 2, 24], np.int32)
        cut = b.add("SLICE", [x, begin, size], [1, 12, 1, 2, 24])
        if part < 2:
            cut = b.add("MUL", [cut, b.constant(np.float32(0.7))])
        flat = b.add("RESHAPE", [cut, b.constant([12, 6, 8], np.int32)], [12, 6, 8])
        parts.append(b.add("TRANSPOSE", [flat, b.constant([1, 0, 2], np.int32)], [6, 12, 8]))
    q, k, v = parts
    k = b.add("TRANSPOSE", [k, b.constant([0, 2, 1], np.int32)], [6, 8, 12])
    scores = b.add("BATCH_MATMUL", [q, k], [6, 12, 12])
    apart = b.add("RESHAPE", [scores, b.constant([2, 3, 12, 12], np.int32)], [2, 3, 12, 12])
    weights = b.add("SOFTMAX", [b.add("ADD", [apart, mask])], beta=1.0)
    joined = b.add("RESHAPE", [weights, b.constant([6, 12, 12], np.int32)], [6, 12, 12])
    mixed = b.add("BATCH_MATMUL", [joined, v], [6, 12, 8])
    back = b.add("TRANSPOSE", [mixed, b.constant([1, 0, 2], np.int32)], [12, 6, 8])
    check(b.graph([back]), [noise(1, 12, 3, 2, 24), noise(2, 1, 1, 12, seed=3)], launches=1)


def test_heads_that_are_too_large_run_as_products_and_softmax() -> None:
    feeds = [noise(1, n, 132, seed=i) for i, n in enumerate((3, 5, 5))]
    check(keras_attention(1, 3, 5, 1, 132), feeds)

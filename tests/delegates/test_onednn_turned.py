"""Matrix products on transposed tensors: read and written where they lie, with what NumPy gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.build import F32, GraphBuilder, model
from tests.engines import call
from tflite_cupy.delegates.cpu import CpuDelegate, kernels_in_use
from tflite_cupy.delegates.cpu.onednn.program import Program
from tflite_cupy.delegates.cpu.onednn.steps import Execution
from tflite_cupy.interpreter.errors import MissingDependencyError
from tflite_cupy.interpreter.graph import Model
from tflite_cupy.interpreter.runtime.delegate import Partition
from tflite_cupy.interpreter.runtime.engine import Engine

try:
    kernels_in_use("onednn")
except MissingDependencyError as error:
    pytest.skip(str(error), allow_module_level=True)

HEADS, TOKENS, WIDTH = 3, 6, 8
SPLIT, TURNED = [2, TOKENS, HEADS, WIDTH], [2, HEADS, TOKENS, WIDTH]
FLAT = [2, TOKENS, HEADS * WIDTH]


class Watched(CpuDelegate):
    """Keeps its programs."""

    def __init__(self) -> None:
        super().__init__(1, "onednn")
        self.programs: list[Program] = []

    def compile(self, partition: Partition) -> Any:
        made = super().compile(partition)
        assert isinstance(made, Program)
        self.programs.append(made)
        return made

    @property
    def fused(self) -> list[list[str]]:
        """Names of the nodes of each primitive."""
        steps = (step for program in self.programs for step in program.steps)
        return [[bound.node.name for bound in step.nodes] for step in steps if isinstance(step, Execution)]


def same(made: Model, *shapes: Sequence[int]) -> list[list[str]]:
    """Check that both kinds of kernels give the same in two calls; what is fused."""
    rng, watched = np.random.default_rng(3), Watched()
    engine, other = Engine(made, [watched]), Engine(made, [CpuDelegate(1, "numpy")])
    for _ in range(2):
        arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
        for got, want in zip(call(engine, *arrays), call(other, *arrays), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    return watched.fused


def turn(b: GraphBuilder, x: int, order: Sequence[int], shape: Sequence[int]) -> int:
    return b.add("TRANSPOSE", [x, b.constant(np.int32(order))], shape)


def heads(b: GraphBuilder, x: int) -> int:
    return turn(b, x, [0, 2, 1, 3], TURNED)


def test_attention() -> None:
    b = GraphBuilder()
    given = [b.input(F32, SPLIT, name) for name in "qkv"]
    query, key, value = (heads(b, b.add("RELU", [x], SPLIT)) for x in given)
    square = [2, HEADS, TOKENS, TOKENS]
    logits = b.add("BATCH_MATMUL", [query, key], square, adj_y=True)
    scores = b.add("SOFTMAX", [b.add("ADD", [logits, b.constant(np.float32([0.5]))], square)], square, beta=1.0)
    mixed = turn(b, b.add("BATCH_MATMUL", [scores, value], TURNED), [0, 2, 1, 3], SPLIT)
    y = b.add("RELU", [b.add("RESHAPE", [mixed], FLAT, new_shape=FLAT)], FLAT)
    fused = same(model(b.graph([y])), *[SPLIT] * 3)
    assert ["BATCH_MATMUL", "ADD"] in fused
    assert ["BATCH_MATMUL", "TRANSPOSE"] in fused


def test_products_of_what_a_product_has_written_transposed() -> None:
    b = GraphBuilder()
    x, weights = b.input(F32, TURNED, "x"), b.input(F32, [2, HEADS, WIDTH, WIDTH], "weights")
    first = b.add("BATCH_MATMUL", [x, weights], TURNED)
    middle = turn(b, first, [1, 0, 2, 3], [HEADS, 2, TOKENS, WIDTH])
    back = turn(b, b.input(F32, [2, HEADS, WIDTH, WIDTH], "others"), [1, 0, 2, 3], [HEADS, 2, WIDTH, WIDTH])
    y = b.add("BATCH_MATMUL", [middle, back], [HEADS, 2, TOKENS, WIDTH])
    fused = same(model(b.graph([y])), TURNED, *[[2, HEADS, WIDTH, WIDTH]] * 2)
    assert fused == [["BATCH_MATMUL", "TRANSPOSE"], ["BATCH_MATMUL"]]


def test_transposed_tensors_that_others_read_too() -> None:
    b = GraphBuilder()
    x = b.input(F32, SPLIT, "x")
    turned = heads(b, x)
    product = b.add("BATCH_MATMUL", [turned, turned], [2, HEADS, TOKENS, TOKENS], adj_y=True)
    swapped = turn(b, product, [1, 0, 2, 3], [HEADS, 2, TOKENS, TOKENS])
    ends = [
        b.add("ABS", [tensor], shape) for tensor, shape in ((product, [2, HEADS, TOKENS, TOKENS]), (turned, TURNED))
    ]
    fused = same(model(b.graph([swapped, turned, *ends])), SPLIT)
    assert ["BATCH_MATMUL"] in fused


@pytest.mark.parametrize("adjoint", [False, True])
def test_rows_that_are_not_whole_are_read_as_numpy_gives_them(adjoint: bool) -> None:
    b = GraphBuilder()
    shape = [2, 4, 5, 6] if adjoint else [2, 4, 6, 5]
    x, y = (b.add("RELU", [b.input(F32, size, name)], size) for size, name in (([2, 4, 6, 8], "x"), (shape, "y")))
    product = b.add("BATCH_MATMUL", [turn(b, x, [0, 1, 3, 2], [2, 4, 8, 6]), y], [2, 4, 8, 5], adj_y=adjoint)
    z = turn(b, product, [0, 1, 3, 2], [2, 4, 5, 8])
    assert ["BATCH_MATMUL"] in same(model(b.graph([z])), [2, 4, 6, 8], shape)

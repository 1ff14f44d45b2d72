"""The rotation of ai-edge-quantizer's models, against its matrix and the reference runtime."""

from __future__ import annotations

import numpy as np
import pytest

from tests.build import F32, GraphBuilder
from tests.ops.custom.graphs import ours, theirs
from tests.ops.harness import Case, check, matrix
from tflite_cupy.interpreter.format.flexbuffer import write_flexbuffer

RNG = np.random.default_rng(41)
ROTATION = "aeq.hadamard_rotation"


def rotated(x: np.ndarray, size: int) -> np.ndarray:
    """The product with the matrix whose entry at (i, j) is negative where i and j share an odd number of bits."""
    signs = [[-1.0 if (i & j).bit_count() % 2 else 1.0 for j in range(size)] for i in range(size)]
    product: np.ndarray = x.reshape(-1, size).astype(float) @ np.array(signs) / size**0.5
    return product.reshape(x.shape)


def options(size: int) -> bytes:
    return write_flexbuffer({"hadamard_size": size, "random_binary_vector": [1] * size})


def rotation(shape: tuple[int, ...], size: int, raises: str | None = None) -> Case:
    x = RNG.normal(size=shape).astype(np.float32)
    return Case(ROTATION, [x], label=f"{list(shape)} by {size}", expect=None if raises else [rotated(x, size)],
                raises=raises, custom=True, custom_options=options(size),
                unreferenced="only the default resolver has it")  # fmt: skip


CASES = [
    rotation((3, 8), 8),
    rotation((3, 16), 4),
    rotation((2, 3, 16), 16),
    rotation((2, 3, 2, 8), 8),
    rotation((4,), 1),
    rotation((2, 512), 256),
    rotation((0, 8), 8),
    rotation((2, 4, 8), 32),
    rotation((4,), 4),
    rotation((3, 6), 4, raises="a multiple of 4"),
    rotation((3, 6), 3, raises="expected a power of 2"),
    rotation((3, 6), 0, raises="expected a power of 2"),
]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


@pytest.mark.reference
@pytest.mark.parametrize(("shape", "size"), [((3, 8), 8), ((2, 3, 64), 16), ((2, 512), 512)])
def test_rotation_is_that_of_litert(shape: tuple[int, ...], size: int) -> None:
    b = GraphBuilder()
    graph = b.graph(b.op(ROTATION, [b.input(F32, shape)], [b.tensor(F32, shape)], options=options(size)))
    x = RNG.normal(size=shape).astype(np.float32)
    np.testing.assert_allclose(ours(graph, x), theirs(graph, x), rtol=1e-6, atol=1e-6)

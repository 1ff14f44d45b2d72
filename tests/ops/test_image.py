"""Blocks of pixels, local contrast, spectrum."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.harness import Case, check, const, matrix, one_op, q
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops.checks import infer_outputs

RNG = np.random.default_rng(8)
X = RNG.normal(size=(2, 4, 6, 3)).astype(np.float32)
DEEP = RNG.normal(size=(2, 3, 2, 8)).astype(np.float32)
BATCHES = RNG.normal(size=(12, 2, 3, 2)).astype(np.float32)
BYTES = RNG.integers(-128, 128, (1, 4, 6, 2)).astype(np.int8)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def pairs(*values: tuple[int, int]) -> np.ndarray:
    return np.array(values, np.int32)


NONE = pairs((0, 0), (0, 0))

DEPTH = [
    Case("SPACE_TO_DEPTH", [X], {"block_size": 2}),
    Case("SPACE_TO_DEPTH", [X.astype(np.int64)], {"block_size": 1}, label="int64"),
    Case("SPACE_TO_DEPTH", [q(BYTES, 0.1, 3)], {"block_size": 2}, label="int8"),
    Case("SPACE_TO_DEPTH", [X], {"block_size": 4}, raises="to be multiples of 4"),
    Case("SPACE_TO_DEPTH", [X], {"block_size": 0}, raises="block_size is 0"),
    Case("SPACE_TO_DEPTH", [X[0]], {"block_size": 2}, raises="has rank 3, expected 4"),
    Case("DEPTH_TO_SPACE", [DEEP], {"block_size": 2}),
    Case("DEPTH_TO_SPACE", [DEEP.astype(np.int32)], {"block_size": 1}, label="int32"),
    Case("DEPTH_TO_SPACE", [q(np.int8(DEEP * 40), 0.1, 3)], {"block_size": 2}, label="int8"),
    Case("DEPTH_TO_SPACE", [X], {"block_size": 2}, raises="to be a multiple of 4"),
    Case("DEPTH_TO_SPACE", [DEEP], {"block_size": -2}, raises="block_size is -2"),
]

BATCH = [
    Case("SPACE_TO_BATCH_ND", [X, const(ints(2, 3)), const(NONE)]),
    Case("SPACE_TO_BATCH_ND", [X, const(ints(2, 3)), const(pairs((1, 1), (2, 1)))], label="padded"),
    Case("SPACE_TO_BATCH_ND", [X[..., 0], const(ints(4)), const(pairs((1, 3)))], label="three dimensions"),
    Case("SPACE_TO_BATCH_ND", [X, ints(2, 3), NONE], label="dynamic"),
    Case("SPACE_TO_BATCH_ND", [q(BYTES, 0.1, 3), const(ints(2, 2)), const(pairs((1, 1), (0, 2)))], label="int8"),
    Case("SPACE_TO_BATCH_ND", [X, const(ints(3, 2)), const(NONE)], raises="expected multiples of"),
    Case("SPACE_TO_BATCH_ND", [X, const(ints(0, 2)), const(NONE)], raises="block_size is 0"),
    Case("SPACE_TO_BATCH_ND", [X, const(ints(2, 3)), const(pairs((0, 0)))], raises="expected one pair for each size"),
    Case("SPACE_TO_BATCH_ND", [X, const(ints(2)), const(NONE)], raises="expected one pair for each size"),
    Case("SPACE_TO_BATCH_ND", [X, const(ints(1, 1, 1, 1)), const(NONE)], raises="expected one size for each"),
    Case("BATCH_TO_SPACE_ND", [BATCHES, const(ints(2, 3)), const(NONE)]),
    Case("BATCH_TO_SPACE_ND", [BATCHES, const(ints(2, 3)), const(pairs((1, 1), (2, 0)))], label="cropped"),
    Case("BATCH_TO_SPACE_ND", [BATCHES[..., 0], ints(4), pairs((1, 3))], label="three dimensions, dynamic"),
    Case("BATCH_TO_SPACE_ND", [q(np.int8(BATCHES * 40), 0.1, 3), const(ints(3, 2)), const(NONE)], label="int8"),
    Case("BATCH_TO_SPACE_ND", [BATCHES, const(ints(5, 1)), const(NONE)], raises="batch to be a multiple of 5"),
    Case("BATCH_TO_SPACE_ND", [BATCHES, const(ints(2, 3)), const(pairs((1, -1), (0, 0)))], raises="has -1"),
    Case(
        "BATCH_TO_SPACE_ND", [BATCHES, const(ints(2, 3)), const(pairs((3, 2), (0, 0)))], raises="has -1 as dimension 1"
    ),
]

LRN = {"radius": 2, "bias": 1.5, "alpha": 0.3, "beta": 0.75}

OTHER = [
    Case("LOCAL_RESPONSE_NORMALIZATION", [DEEP], LRN),
    Case("LOCAL_RESPONSE_NORMALIZATION", [DEEP], LRN | {"radius": 20}, label="wide"),
    Case("LOCAL_RESPONSE_NORMALIZATION", [DEEP], LRN | {"radius": 0}, label="narrow"),
    Case("LOCAL_RESPONSE_NORMALIZATION", [DEEP[0]], LRN, raises="has rank 3, expected 4"),
    Case("RFFT2D", [X[..., 0], const(ints(4, 8))], outputs=[TensorType.COMPLEX64], atol=1e-5),
    Case("RFFT2D", [X[0, ..., 0], ints(2, 4)], outputs=[TensorType.COMPLEX64], label="cut, dynamic", atol=1e-5),
    Case(
        "RFFT2D",
        [X, const(ints(8, 1))],
        outputs=[TensorType.COMPLEX64],
        label="one column",
        expect=[np.fft.rfft2(X, (8, 1))],
        atol=1e-5,
        unreferenced="it fails",
    ),
    Case("RFFT2D", [X, const(ints(0, 4))], outputs=[TensorType.COMPLEX64], raises="expected 1 or more"),
    Case("RFFT2D", [X[0, 0, 0], const(ints(2, 4))], outputs=[TensorType.COMPLEX64], raises="2 dimensions or more"),
]

CASES = DEPTH + BATCH + OTHER


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


@pytest.mark.parametrize("operator", ["SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"])
def test_the_shape_is_open_while_the_operands_are(operator: str) -> None:
    op = one_op(Case(operator, [X, ints(1, 2), NONE]))
    assert infer_outputs(op, op.ins)[0].shape is None


def test_blocks_go_to_batches_and_back() -> None:
    spaced = Case("SPACE_TO_BATCH_ND", [X, const(ints(2, 3)), const(NONE)])
    back = Case("BATCH_TO_SPACE_ND", [X, const(ints(2, 3)), const(NONE)])
    batches = one_op(spaced).run(np, X, ints(2, 3), NONE)
    np.testing.assert_array_equal(one_op(back).run(np, batches, ints(2, 3), NONE), X)

"""LSTMs with sparse weights, in blocks of 1 x 16, against the reference runtime."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.ops.harness import Case, one_op_model
from tests.ops.recurrent.layers import (
    ASYMMETRIC,
    CLOSE,
    FLOAT32,
    TANH,
    RealParts,
    follow_reference,
    hybrid_of,
    lstm_operands,
    real,
    reseed,
)
from tflite_cupy.interpreter.graph import Model, Sparsity, Tensor
from tflite_cupy.interpreter.ops.binding import bind
from tflite_cupy.interpreter.ops.checks import refusal

BLOCK, SIZE = 16, 32
WEIGHTS = (*range(1, 9), 16)


def sparse(tensor: Tensor, block: int = BLOCK) -> Tensor:
    """A matrix of which every third block is left out."""
    assert tensor.data is not None
    rows, columns = tensor.shape
    blocks = tensor.data.reshape(rows, columns // block, block)
    kept = np.arange(rows * columns // block).reshape(blocks.shape[:2]) % 3 != 1
    compressed = {"format": 1, "dense_size": 0, "array_indices": np.nonzero(kept)[1].astype(np.int32),
                  "array_segments": np.append(0, np.cumsum(kept.sum(axis=1))).astype(np.int32)}  # fmt: skip
    levels = ({"format": 0, "dense_size": rows}, compressed, {"format": 0, "dense_size": block})
    return replace(tensor, data=blocks[kept].reshape(-1), sparsity=Sparsity((0, 1, 2), (1,), levels))


def layer(*flags: str, name: str = "LSTM", **options: object) -> Case:
    reseed(flags, options)
    outputs = BLOCK if "projection" in flags else SIZE
    given = lstm_operands(RealParts(hybrid_of(flags)), real(3, SIZE), 3, flags, SIZE, outputs)
    return Case(name, given, {**TANH, **options}, [FLOAT32], label="-".join(flags), **CLOSE)


def sparse_model(case: Case, positions: tuple[int, ...] = WEIGHTS, block: int = BLOCK) -> Model:
    """The model of a case, with the weights at these positions made sparse."""
    (graph,) = one_op_model(case).graphs
    chosen = {graph.nodes[0].inputs[p] for p in positions}
    tensors = tuple(sparse(t, block) if n in chosen else t for n, t in enumerate(graph.tensors))
    return Model(graphs=(replace(graph, tensors=tensors),))


RUNS = [
    layer("int8", "projection"),
    layer("int8", "projection", "cifg", "peephole", "norm"),
    layer("uint8", "projection", "unbiased", proj_clip=0.2),
]


@pytest.mark.reference
@pytest.mark.parametrize("case", RUNS, ids=str)
def test_calls_follow_the_reference(case: Case) -> None:
    follow_reference(case, sparse_model(case))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (sparse_model(layer("int8"), WEIGHTS[:8]), "needs a projection"),
        (sparse_model(layer("int8", "projection"), WEIGHTS[:4]), "all of its weights sparse"),
        (sparse_model(layer("int8", "projection"), block=8), "blocks of 1 x 16"),
        (sparse_model(layer("int8", "projection", **ASYMMETRIC)), "inputs no zero points"),
        (sparse_model(layer("projection")), "if they have 8 bits"),
        (sparse_model(layer("int8", "projection", name="UNIDIRECTIONAL_SEQUENCE_LSTM")), "needs a DENSIFY"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refusals(model: Model, words: str) -> None:
    (graph,) = model.graphs
    op = bind(graph.nodes[0], graph)
    assert words in (refusal(op, op.ins) or "")

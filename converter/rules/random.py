"""Random numbers of generators that remember.

What a stateless one gives is a function of its seed, which TensorFlow alone knows.
"""

from __future__ import annotations

from typing import Any

from ..draft import DraftTensor
from ..lower import Lowering, lowers
from .types import F32, INDEX

GENERATORS = {"RandomUniform": "RANDOM_UNIFORM", "RandomStandardNormal": "RANDOM_STANDARD_NORMAL"}


@lowers(*GENERATORS)
def random(op: Lowering) -> DraftTensor:
    op.require(op.output_type() is F32, f"random numbers are builtin of float32 only, not of {op.output_type().name}")
    return op.emit(GENERATORS[op.node.op], op.int32(0), **_seeds(op))


@lowers("Multinomial")
def multinomial(op: Lowering) -> DraftTensor:
    op.require(op.output_type() in INDEX, "samples are builtin as int32 or int64 only")
    return op.emit("MULTINOMIAL", op.input(0), op.int32(1), **_seeds(op))


def _seeds(op: Lowering) -> dict[str, Any]:
    return {"seed": op.attr("seed", 0), "seed2": op.attr("seed2", 0)}

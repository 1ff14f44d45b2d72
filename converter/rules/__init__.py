"""The rules, by family. Importing this registers them in `lower.RULES`."""

from . import (
    activation,
    composite,
    control,
    conv,
    einsum,
    elementwise,
    image,
    indexing,
    matmul,
    pool,
    reduction,
    shape,
    slicing,
    state,
)

__all__ = [
    "activation",
    "composite",
    "control",
    "conv",
    "einsum",
    "elementwise",
    "image",
    "indexing",
    "matmul",
    "pool",
    "reduction",
    "shape",
    "slicing",
    "state",
]

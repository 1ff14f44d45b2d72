"""Results whose size the values of an operand choose, checked before TensorFlow tries to allocate them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...interpreter.errors import LimitError

_ITEM_BYTES = 4  # the least that an element of such a result takes, but for bytes and halves

_SHAPES = {  # position of the operand that holds the shape of the result
    "BroadcastTo": 1,
    "Fill": 0,
    "RandomStandardNormal": 0,
    "RandomUniform": 0,
    "RandomUniformInt": 0,
    "ScatterNd": 2,
    "SparseToDense": 1,
    "StatelessRandomNormal": 0,
    "StatelessRandomNormalV2": 0,
    "StatelessRandomUniform": 0,
    "StatelessRandomUniformFullInt": 0,
    "StatelessRandomUniformFullIntV2": 0,
    "StatelessRandomUniformInt": 0,
    "StatelessRandomUniformIntV2": 0,
    "StatelessRandomUniformV2": 0,
    "StatelessTruncatedNormal": 0,
    "StatelessTruncatedNormalV2": 0,
    "TruncatedNormal": 0,
}
_FACTORS = {"OneHot": (0, 1), "Tile": (0, 1)}  # (operand whose size counts, operand that multiplies it)
_COUNTS = {"Bincount": 1, "DenseBincount": 1, "LinSpace": 2, "TensorListReserve": 1}  # operand that holds a length

_CHECKED = {*_SHAPES, *_FACTORS, *_COUNTS, "Range"}


def check_size(op: str, inputs: Sequence[Any], max_bytes: int) -> None:
    """Raise LimitError if an operator would give more than `max_bytes`, as far as its operands tell that."""
    elements = _elements(op, inputs) if op in _CHECKED else 0
    if elements * _ITEM_BYTES > max_bytes:
        raise LimitError(
            f"{op} would give {elements} elements, over the limit of {max_bytes} bytes",
            hint="Use smaller inputs, or raise max_tensor_bytes.",
        )


def _elements(op: str, inputs: Sequence[Any]) -> int:
    if op in _SHAPES:
        return _product(inputs[_SHAPES[op]])
    if op in _FACTORS:
        base, factor = (inputs[position] for position in _FACTORS[op])
        return math.prod(base.shape.as_list()) * _product(factor)
    if op in _COUNTS:
        return _product(inputs[_COUNTS[op]])
    if op == "Range":
        start, limit, delta = (float(operand) for operand in inputs)
        return int(abs((limit - start) / delta)) if delta and math.isfinite((limit - start) / delta) else 0
    return 0


def _product(operand: Any) -> int:
    return math.prod(int(n) for n in operand.numpy().reshape(-1))

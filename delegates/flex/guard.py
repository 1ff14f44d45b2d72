"""What TensorFlow's kernels take on trust, checked before they see it.

Where the values of an operand choose the size of a result, TensorFlow tries to allocate it. Some kernels ("fragile" in
ops.txt) end the process where a shape is wrong, Fourier transforms where a length is 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...interpreter.errors import GraphError, KernelError, LimitError
from .eager import Eager, EagerTensor, Operator
from .policy import known_ops

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

_SEGMENTS = {"SegmentMax", "SegmentMean", "SegmentMin", "SegmentProd", "SegmentSum"}  # one row up to the greatest id
_TRANSFORMS = {"IRFFT", "IRFFT2D", "IRFFT3D", "RFFT", "RFFT2D", "RFFT3D"}
_SINGLE = {"TensorListGetItem": (1,), "TensorListSetItem": (1,)}  # operands of one element
_RANKS: dict[str, dict[int, tuple[int, ...]]] = {  # ranks that operands may have, by position
    "ConjugateTranspose": {0: tuple(range(1, 9))},
    "TensorListConcatV2": {1: (0, 1), 2: (1,)},
    "TensorListGetItem": {2: (0, 1)},
}
_REMEMBERED = 1024  # combinations of shapes that one node remembers as good
_SIZED = {*_SHAPES, *_FACTORS, *_COUNTS, *_SEGMENTS, "Range"}


class Guard:
    """Looks at the operands of one node before TensorFlow does."""

    def __init__(self, eager: Eager, operator: Operator, max_bytes: int) -> None:
        self._eager, self._operator, self._max_bytes = eager, operator, max_bytes
        self._sized = operator.name in _SIZED
        self._transforms = operator.name in _TRANSFORMS
        self._fragile = operator.name in known_ops("fragile")
        self._passed: set[tuple[tuple[int, ...], ...]] = set()
        if self._fragile:
            _check_windows(operator)

    def check(self, inputs: Sequence[EagerTensor]) -> None:
        """Raises LimitError for a result that is too large, as far as the operands tell, KernelError for shapes and
        lengths that the kernel can't take."""
        if self._sized:
            self._check_size(inputs)
        if self._fragile:
            shapes = tuple(tuple(tensor.shape) for tensor in inputs)
            if shapes not in self._passed:
                _check_ranks(self._operator.name, shapes)
                self._eager.check_shapes(self._operator, inputs)
                if len(self._passed) < _REMEMBERED:
                    self._passed.add(shapes)
        if self._transforms and 0 in inputs[1].numpy():
            raise KernelError(f"{self._operator.name} got a length of 0")

    def _check_size(self, inputs: Sequence[EagerTensor]) -> None:
        elements = _elements(self._operator.name, inputs)
        if elements * _ITEM_BYTES > self._max_bytes:
            raise LimitError(
                f"{self._operator.name} would give {elements} elements, over the limit of {self._max_bytes} bytes",
                hint="Use smaller inputs, or raise max_tensor_bytes.",
            )


def _check_windows(operator: Operator) -> None:
    """Raises GraphError for strides and the like without an entry for each dimension."""
    rank = 5 if "3D" in operator.name else 4
    for name in ("strides", "dilations", "ksize"):
        got = len(operator.attributes.get(name, range(rank)))
        if got != rank:
            raise GraphError(f"attribute {name!r} of {operator.name} has {got} entries, expected {rank}")


def _check_ranks(op: str, shapes: Sequence[tuple[int, ...]]) -> None:
    for position in _SINGLE.get(op, ()):
        if math.prod(shapes[position]) != 1:
            raise KernelError(f"{op} got operand {position} of shape {shapes[position]}, expected one element")
    for position, ranks in _RANKS.get(op, {}).items():
        if len(shapes[position]) not in ranks:
            expected = " or ".join(map(str, ranks))
            raise KernelError(f"{op} got operand {position} of shape {shapes[position]}, expected rank {expected}")


def _elements(op: str, inputs: Sequence[EagerTensor]) -> int:
    if op in _SHAPES:
        return _product(inputs[_SHAPES[op]])
    if op in _FACTORS:
        base, factor = (inputs[position] for position in _FACTORS[op])
        return math.prod(map(int, base.shape)) * _product(factor)
    if op in _COUNTS:
        return _product(inputs[_COUNTS[op]])
    if op in _SEGMENTS:
        rows, ids = inputs
        return math.prod(map(int, rows.shape[1:])) * (int(ids.numpy().max(initial=-1)) + 1)
    if op == "Range":
        start, limit, delta = (float(operand) for operand in inputs)
        return int(abs((limit - start) / delta)) if delta and math.isfinite((limit - start) / delta) else 0
    return 0


def _product(operand: EagerTensor) -> int:
    return math.prod(int(n) for n in operand.numpy().reshape(-1))

"""What TensorFlow's kernels take on trust, checked before they see it.

The eager executor goes to a kernel without asking the operator's shape function, and many kernels end the process where
a shape, a length or an attribute is none that this function would have let through. So it is asked here, once for each
combination of shapes, which takes 1 ms, or once for all where an operator takes any. Where the values of an operand
choose the size of a result, TensorFlow would try to allocate it (`sizes`); some kernels draw random numbers until one
fits, which for some parameters none ever does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...interpreter.errors import GraphError, KernelError, LimitError
from .eager import Eager, EagerTensor, Operator, types_behind
from .sizes import BY_SHAPE_FUNCTION, sizer

_INT64 = 9  # of DataType
_ITEM_BYTES = 4  # the least that an element of such a result takes, but for bytes and halves
_WIDE = ("seed", "seed2", "num_buckets", "key", "deletion", "reduction_input_size_override")
"""Attributes that kernels read as 64-bit integers; they end the process where another is not one of 32 bits."""

_TRANSFORMS = {"IRFFT", "IRFFT2D", "IRFFT3D", "RFFT", "RFFT2D", "RFFT3D"}
_BATCHED = {"GatherV2": (0, 1)}  # operands with the batch dimensions; of a resource nobody knows how many it has
_SINGLE = {"TensorListGetItem": (1,), "TensorListSetItem": (1,)}  # operands of one element
_RANKS: dict[str, dict[int, tuple[int, ...]]] = {  # ranks that operands may have, by position
    "AvgPool3DGrad": {0: (1,), 1: (5,)},
    "AvgPoolGrad": {0: (1,), 1: (4,)},
    "ConjugateTranspose": {0: tuple(range(1, 9))},
    "MatrixDiag": {0: tuple(range(1, 9))},
    "MatrixDiagV2": {0: tuple(range(1, 9))},
    "MatrixDiagV3": {0: tuple(range(1, 9))},
    "TensorListConcatV2": {1: (0, 1), 2: (1,)},
    "TensorListGetItem": {2: (0, 1)},
}
_ELEMENT_SHAPES = {"EmptyTensorList": 0, "TensorListConcatV2": 1, "TensorListFromTensor": 1, "TensorListGather": 2,
                   "TensorListGetItem": 2, "TensorListPopBack": 1, "TensorListReserve": 0, "TensorListScatter": 2,
                   "TensorListScatterV2": 2, "TensorListSplit": 1, "TensorListStack": 1}  # fmt: skip
"""Operand that is the shape of a list's elements: a scalar means that it is not known, if its value says so."""

_MAX_TURNS = 1e4  # of the colour wheel; the kernel counts them off one by one
_POSITIVE = {"RandomGamma": 1, "StatelessRandomGammaV2": 2, "StatelessRandomGammaV3": 4}
"""Operand that must be positive and finite: the kernel rejects what it draws until it fits."""

_ALIKE = frozenset({
    "Add", "AddV2", "Div", "DivNoNan", "Equal", "FloorDiv", "FloorMod", "Greater", "GreaterEqual", "Less", "LessEqual",
    "LogicalAnd", "LogicalOr", "Maximum", "Minimum", "Mul", "NotEqual", "Pow", "RealDiv", "SquaredDifference",
    "StringJoin", "Sub",
})  # fmt: skip
"""Operators that take operands of one shape, whichever it is, and scalars."""

_POINTWISE = _ALIKE | {
    "Abs", "AsString", "Cast", "Ceil", "Cos", "Erf", "Exp", "Floor", "Log", "Log1p", "LogicalNot", "Neg",
    "RegexFullMatch", "RegexReplace", "Relu", "Round", "Rsqrt", "Sigmoid", "Sign", "Sin", "Sqrt", "Square",
    "StaticRegexFullMatch", "StaticRegexReplace", "StringLength", "StringLower", "StringStrip",
    "StringToHashBucketFast", "StringToHashBucketStrong", "StringToNumber", "StringUpper", "Tanh",
}  # fmt: skip
"""Operators that take a first operand of any shape where the others are scalars."""

_REMEMBERED = 1024  # combinations of shapes that one node remembers as good


class Guard:
    """Looks at the operands of one node before TensorFlow does."""

    def __init__(self, eager: Eager, operator: Operator, max_bytes: int) -> None:
        self._eager, self._operator, self._max_bytes = eager, operator, max_bytes
        self._sizer = sizer(operator.name)
        self._valued = operator.name in BY_SHAPE_FUNCTION
        self._handles = _handle_types(operator)
        self._passed: set[tuple[object, ...]] = set()
        _check_attributes(operator)

    def check(self, inputs: Sequence[EagerTensor]) -> None:
        """Raises LimitError for a result that is too large, as far as the operands tell, KernelError for shapes and
        values that the kernel can't take."""
        name = self._operator.name
        for position, types in self._handles.items():
            if types_behind(inputs[position]) != types:
                raise KernelError(f"{name} got a handle of other types than its own as operand {position}")
        self._check_shapes(inputs)
        if self._sizer is not None:
            self._check_size(self._sizer(inputs))
        if name == "AsString":
            width = max(self._operator.attributes["width"], self._operator.attributes["precision"])
            self._check_size(math.prod(inputs[0].shape) * width // _ITEM_BYTES)
        if name in _TRANSFORMS and 0 in inputs[1].numpy():
            raise KernelError(f"{name} got a length of 0")
        if name == "AdjustHue" and not abs(float(inputs[1])) <= _MAX_TURNS:
            raise KernelError(f"{name} got a delta of {float(inputs[1])}")
        if name in _POSITIVE:
            alpha = inputs[_POSITIVE[name]].numpy().astype(np.float64)
            if not (np.isfinite(alpha) & (alpha > 0)).all():
                raise KernelError(f"{name} got a parameter that is not positive and finite")

    def _check_shapes(self, inputs: Sequence[EagerTensor]) -> None:
        shapes = tuple(tuple(tensor.shape) for tensor in inputs)
        types = tuple(tensor.dtype for tensor in inputs)
        constants = {i: inputs[i].numpy() for i in self._looked_at(inputs)}
        seen = None if self._fits(shapes) else shapes
        key = (seen, types, *(array.tobytes() for array in constants.values()))
        if key in self._passed:
            return
        for shape in shapes:
            if 0 in shape:  # takes no memory, but results without that dimension would
                self._check_size(math.prod(n for n in shape if n))
        _check_ranks(self._operator, shapes)
        for result in self._eager.result_shapes(self._operator, inputs, constants):
            self._check_size(math.prod(result) if result is not None else 0)
        if len(self._passed) < _REMEMBERED:
            self._passed.add(key)

    def _fits(self, shapes: Sequence[tuple[int, ...]]) -> bool:
        """Whether the operator takes these shapes as it takes others that fit, so that one stands for all of them."""
        name = self._operator.name
        if name in _ALIKE and len({shape for shape in shapes if shape}) <= 1:
            return True
        return name in _POINTWISE and not any(shapes[1:])

    def _looked_at(self, inputs: Sequence[EagerTensor]) -> Sequence[int]:
        """Operands whose values the shape function is shown."""
        if self._operator.name in _ELEMENT_SHAPES:
            return [_ELEMENT_SHAPES[self._operator.name]]
        return [i for i, tensor in enumerate(inputs) if _chooses(tensor)] if self._valued else ()

    def written(self, results: Sequence[EagerTensor]) -> Sequence[EagerTensor]:
        """The results without memory that the kernel leaves as it was: above the diagonal, where there is no factor."""
        if self._operator.name != "Cholesky":
            return results
        whole, none = (self._eager.tensor(np.asarray(n, np.int64)) for n in (-1, 0))
        types = ("T", self._operator.attributes["T"], "Tindex", _INT64)
        return self._eager.execute("MatrixBandPart", types, [results[0], whole, none], 1)

    def _check_size(self, elements: int) -> None:
        if elements * _ITEM_BYTES > self._max_bytes:
            text = f"{self._operator.name} would give {elements} elements, over the limit of {self._max_bytes} bytes"
            raise LimitError(text, hint="Use smaller inputs, or raise max_tensor_bytes.")


def _chooses(tensor: EagerTensor) -> bool:
    """Whether an operand may hold sizes."""
    return bool(tensor.dtype.is_integer) and math.prod(tensor.shape) <= 32


def _check_attributes(operator: Operator) -> None:
    """Raises GraphError for numbers that the operator's definition, or its kernel, does not allow."""
    for name, value in operator.attributes.items():
        least = operator.minimums.get(name)
        got = len(value) if isinstance(value, list) else value
        if least is not None and isinstance(got, int) and got < least:
            raise GraphError(f"attribute {name!r} of {operator.name} is {got} or has {got} entries, expected {least}")
        numbers = value if isinstance(value, list) else [value]
        if name not in _WIDE and any(isinstance(n, int) and not -(1 << 31) <= n < 1 << 31 for n in numbers):
            raise GraphError(f"attribute {name!r} of {operator.name} is over the range of 32 bits")
    rank = 5 if "3D" in operator.name else 4
    for name in ("strides", "dilations", "ksize"):
        entries = operator.attributes.get(name)
        if isinstance(entries, list) and len(entries) != rank:
            raise GraphError(f"attribute {name!r} of {operator.name} has {len(entries)} entries, expected {rank}")


def _handle_types(operator: Operator) -> dict[int, tuple[int, ...]]:
    """DataTypes that must be behind operands that are handles, by position; kernels do not look."""
    attributes = operator.attributes
    if operator.name == "LookupTableExportV2":
        return {0: (int(attributes["Tkeys"]), int(attributes["Tvalues"]))}
    if not operator.name.startswith("Resource"):
        return {}
    return {i: (int(attributes["T" if "T" in attributes else "dtype"]),) for i in operator.handles}


def _check_ranks(operator: Operator, shapes: Sequence[tuple[int, ...]]) -> None:
    op, batch_dims = operator.name, operator.attributes.get("batch_dims", 0)
    batched = [len(shapes[position]) for position in _BATCHED.get(op, ())]
    if batch_dims and abs(batch_dims) > min(batched, default=0):
        raise KernelError(f"{op} has {batch_dims} batch dimensions, and operands of {batched} dimensions")
    for position in _SINGLE.get(op, ()):
        if math.prod(shapes[position]) != 1:
            raise KernelError(f"{op} got operand {position} of shape {shapes[position]}, expected one element")
    for position, ranks in _RANKS.get(op, {}).items():
        if len(shapes[position]) not in ranks:
            listed = " or ".join(map(str, ranks)) if len(ranks) < 4 else f"{ranks[0]} to {ranks[-1]}"
            raise KernelError(f"{op} got operand {position} of shape {shapes[position]}, expected rank {listed}")

"""Results whose size the values of operands choose: how large they would be, known before TensorFlow allocates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from .eager import EagerTensor

Sizer: TypeAlias = Callable[[Sequence[EagerTensor]], int]
"""Elements of the result, from the operands."""

BY_SHAPE_FUNCTION = frozenset({
    "AvgPool3DGrad", "AvgPoolGrad", "BatchToSpace", "BatchToSpaceND", "Conv2DBackpropFilter", "Conv2DBackpropInput",
    "Conv3DBackpropFilterV2", "Conv3DBackpropInputV2", "CropAndResize", "CropAndResizeGradImage",
    "DepthwiseConv2dNativeBackpropFilter", "DepthwiseConv2dNativeBackpropInput", "ExtractGlimpse", "ExtractGlimpseV2",
    "FusedResizeAndPadConv2D", "IRFFT", "IRFFT2D", "IRFFT3D", "MatrixDiagPartV2", "MatrixDiagPartV3", "MatrixDiagV2",
    "MatrixDiagV3", "MirrorPad", "Multinomial", "Pad", "PadV2", "ParameterizedTruncatedNormal",
    "QuantizedResizeBilinear", "RFFT", "RFFT2D", "RFFT3D", "RaggedBincount", "RaggedTensorToTensor", "ResizeArea",
    "ResizeBicubic", "ResizeBilinear", "ResizeNearestNeighbor", "ResizeNearestNeighborGrad", "ScaleAndTranslate",
    "SpaceToBatch", "SpaceToBatchND", "SparseBincount", "SparseSegmentMeanGrad", "SparseSegmentMeanGradV2",
    "SparseSegmentMeanWithNumSegments", "SparseSegmentSqrtNGrad", "SparseSegmentSqrtNGradV2",
    "SparseSegmentSqrtNWithNumSegments", "SparseSegmentSumGrad", "SparseSegmentSumGradV2",
    "SparseSegmentSumWithNumSegments", "SparseTensorDenseMatMul", "StatelessMultinomial",
    "StatelessParameterizedTruncatedNormal", "StatelessRandomGammaV3", "UnsortedSegmentJoin", "UnsortedSegmentMax",
    "UnsortedSegmentMin", "UnsortedSegmentProd", "UnsortedSegmentSum",
})  # fmt: skip
"""Operators whose shape functions know the size once they know the small operands."""

_SHAPES = {  # position of the operand that holds the shape of the result
    "BroadcastTo": 1, "Fill": 0, "RandomStandardNormal": 0, "RandomUniform": 0, "RandomUniformInt": 0, "ScatterNd": 2,
    "SparseToDense": 1, "StatefulStandardNormalV2": 2, "StatefulTruncatedNormal": 2, "StatefulUniform": 2,
    "StatefulUniformFullInt": 2, "StatefulUniformInt": 2, "StatelessRandomBinomial": 0, "StatelessRandomGammaV2": 0,
    "StatelessRandomNormal": 0, "StatelessRandomNormalV2": 0, "StatelessRandomUniform": 0,
    "StatelessRandomUniformFullInt": 0, "StatelessRandomUniformFullIntV2": 0, "StatelessRandomUniformInt": 0,
    "StatelessRandomUniformIntV2": 0, "StatelessRandomUniformV2": 0, "StatelessTruncatedNormal": 0,
    "StatelessTruncatedNormalV2": 0, "TruncatedNormal": 0,
}  # fmt: skip
_FACTORS = {  # (operand whose size counts, operand whose values multiply it)
    "OneHot": (0, 1), "RandomGamma": (1, 0), "Tile": (0, 1),
}  # fmt: skip
_COUNTS = {  # operand that holds a length
    "Bincount": 1, "DecodePaddedRaw": 1, "DenseBincount": 1, "EmptyTensorList": 1, "LinSpace": 2,
    "TensorListReserve": 1, "TensorListResize": 1,
}  # fmt: skip
_HANDLE_ITEMS = 16
"""Of a list an entry takes as much as this many elements."""


def _product(operand: EagerTensor) -> int:
    return math.prod(int(n) for n in operand.numpy().reshape(-1))


def _size(dims: Sequence[int]) -> int:
    return math.prod(int(n) for n in dims)


def _at(position: int) -> Sizer:
    return lambda inputs: _product(inputs[position])


def _factor(base: int, factor: int) -> Sizer:
    return lambda inputs: _size(inputs[base].shape) * _product(inputs[factor])


def _list_of(position: int) -> Sizer:
    return lambda inputs: _product(inputs[position]) * _HANDLE_ITEMS


def _rows(inputs: Sequence[EagerTensor]) -> int:
    """One row up to the greatest segment."""
    rows, ids = inputs[0], inputs[-1]
    return _size(rows.shape[1:]) * (_greatest(ids) + 1)


def _stitched(inputs: Sequence[EagerTensor]) -> int:
    """One row up to the greatest index; the first half of the operands are indices."""
    half = len(inputs) // 2
    row = _size(inputs[half].shape[len(inputs[0].shape) :])
    return row * (max(map(_greatest, inputs[:half]), default=-1) + 1)


def _steps(inputs: Sequence[EagerTensor]) -> int:
    """Lengths of ranges, together."""
    start, limit, delta = (np.asarray(operand.numpy(), np.float64) for operand in inputs)
    with np.errstate(all="ignore"):
        lengths = np.abs((limit - start) / delta)
    total = float(np.sum(lengths[np.isfinite(lengths)]))
    return int(total) if math.isfinite(total) else 1 << 62


def _spread(position: int) -> Sizer:
    """A list that reaches to the greatest index."""
    return lambda inputs: (_greatest(inputs[position]) + 1) * _HANDLE_ITEMS


def _greatest(ids: EagerTensor) -> int:
    return int(np.max(ids.numpy(), initial=-1))


_SIZERS: dict[str, Sizer] = {
    **{op: _at(position) for op, position in _SHAPES.items()},
    **{op: _factor(*positions) for op, positions in _FACTORS.items()},
    **{op: (_list_of if "List" in op else _at)(position) for op, position in _COUNTS.items()},
    **dict.fromkeys(("SegmentMax", "SegmentMean", "SegmentMin", "SegmentProd", "SegmentSum"), _rows),
    **dict.fromkeys(("SparseSegmentMean", "SparseSegmentSqrtN", "SparseSegmentSum"), _rows),
    **dict.fromkeys(("DynamicStitch", "ParallelDynamicStitch"), _stitched),
    **dict.fromkeys(("Range", "RaggedRange"), _steps),
    "SetSize": lambda inputs: math.prod(inputs[2].numpy().tolist()[:-1]),
    "TensorListScatter": _spread(1),
    "TensorListScatterV2": lambda inputs: max(_spread(1)(inputs), _list_of(3)(inputs)),
    "TensorListScatterIntoExistingList": _spread(2),
    "TensorListSetItem": _spread(1),
    "Diag": lambda inputs: math.prod(inputs[0].shape) ** 2,
    "MatrixDiag": lambda inputs: math.prod(inputs[0].shape) * max(1, *inputs[0].shape[-1:]),
    "TensorListFromTensor": lambda inputs: max(1, *inputs[0].shape[:1]) * _HANDLE_ITEMS,
}


def sizer(op: str) -> Sizer | None:
    """What counts the elements of an operator's results, None where the operands' values do not choose them."""
    return _SIZERS.get(op)

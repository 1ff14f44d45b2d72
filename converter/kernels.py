"""Element types and ranks that the reference's kernels take without quantisation, measured with ai-edge-litert 2.3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..interpreter.graph import TensorType
from .draft import DraftNode, DraftTensor

NAMES = {
    "f16": TensorType.FLOAT16,
    "f32": TensorType.FLOAT32,
    "f64": TensorType.FLOAT64,
    "bf16": TensorType.BFLOAT16,
    "i8": TensorType.INT8,
    "i16": TensorType.INT16,
    "i32": TensorType.INT32,
    "i64": TensorType.INT64,
    "u8": TensorType.UINT8,
    "u16": TensorType.UINT16,
    "u32": TensorType.UINT32,
    "u64": TensorType.UINT64,
    "c64": TensorType.COMPLEX64,
    "c128": TensorType.COMPLEX128,
    "bool": TensorType.BOOL,
    "string": TensorType.STRING,
}

FIXED = "f32 f16 bf16 f64 i8 i16 i32 i64 u8 u16 u32 u64 bool c64"
MOVED = "f32 f16 bf16 i8 i16 i32 i64 u8 bool"
BITS = "i8 i16 i32 u8 u16 u32"
SAME_SHAPE = "f32 f16 f64 i8 i16 i32 i64 u8 u16 u32 u64 bool"

_TABLE = {
    "f32": "BATCH_MATMUL CEIL CONV_2D CONV_3D DEPTHWISE_CONV_2D ELU EXP FAKE_QUANT FULLY_CONNECTED HARD_SWISH "
    "LEAKY_RELU LOG LOG_SOFTMAX MULTINOMIAL NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 PRELU RELU RELU6 RFFT2D "
    "RSQRT SQRT SQUARE AVERAGE_POOL_2D MAX_POOL_2D MEAN RESIZE_BILINEAR CONV_3D_TRANSPOSE:2 TRANSPOSE_CONV:2",
    "f32 f16": "COS GELU SIN SOFTMAX",
    "f32 f16 bf16": "FLOOR LOGISTIC ROUND TANH",
    "f32 f16 bf16 f64": "ATAN2",
    "f32 f64 i32": "SIGN",
    "f32 f64 i32 i64": "BUCKETIZE",
    "f32 i32": "ADD_N DIV POW SEGMENT_SUM SQUARED_DIFFERENCE UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_MIN "
    "UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_SUM",
    "f32 i32 i16": "ABS",
    "f32 i32 i16 i8": "FLOOR_DIV",
    "f32 i32 i64": "CUMSUM RANGE SUB SUM ZEROS_LIKE",
    "f32 i32 i64 i16 i8": "FLOOR_MOD",
    "f32 i32 i64 i16 u8": "REVERSE_SEQUENCE",
    "f32 i32 i64 i16 f16 u32 c64": "MUL",
    "f32 i32 i64 i16 i8 f16 bf16": "NEG",
    "f32 i32 i64 i16 f16": "ADD GREATER GREATER_EQUAL LESS LESS_EQUAL",
    "f32 i32 i64 i16 f16 bool string": "EQUAL",
    "f32 i32 i64 f16 bool string": "NOT_EQUAL",
    "f32 i32 i64 i8 u8": "DEPTH_TO_SPACE SPACE_TO_DEPTH",
    "f32 i32 i64 i8 u8 bool": "ONE_HOT:2 SCATTER_ND:1",
    "f32 i32 i64 i8 u8 u32 bool": "WHERE",
    "f32 i32 i64 i8 u8 i16": "REDUCE_MAX REDUCE_MIN REDUCE_PROD SPLIT:1 SPLIT_V TOPK_V2 UNIQUE",
    "f32 i32 i64 i8 u8 i16 u32": "MATRIX_DIAG MATRIX_SET_DIAG PACK",
    "f32 i32 i8 u8 bool": "ARG_MAX ARG_MIN",
    "f32 i32 i64 i8 i16 u8 f16 bf16": "MAXIMUM MINIMUM",
    "f32 i32 i64 i8 i16 u8 f16 bf16 u32 bool": "CONCATENATION",
    "f32 i32 i8 i16 u8 f16 bf16 bool": "UNPACK",
    "f32 i32 i8 i16 u8 u16 u32 f16 bf16 bool": "RESIZE_NEAREST_NEIGHBOR",
    MOVED: "PAD PADV2 REVERSE_V2",
    f"{MOVED} string": "GATHER GATHER_ND",
    FIXED: "BATCH_TO_SPACE_ND FILL:1 MIRROR_PAD SELECT:1 SELECT_V2:1 SPACE_TO_BATCH_ND TRANSPOSE",
    f"{FIXED} c128": "BITCAST BROADCAST_TO DYNAMIC_UPDATE_SLICE",
    f"{FIXED} string": "SLICE STRIDED_SLICE TILE",
    f"{FIXED} c128 string": "EXPAND_DIMS RANK RESHAPE SHAPE SQUEEZE",
    BITS: "BITWISE_XOR RIGHT_SHIFT",
    "bool": "LOGICAL_AND LOGICAL_NOT LOGICAL_OR REDUCE_ALL REDUCE_ANY",
    "c64": "COMPLEX_ABS IMAG REAL",
    "i8 i16 i32": "STABLEHLO_SHIFT_LEFT",
    "bool i8 i16 i32 i64 u8 u16 u32 u64": "STABLEHLO_AND",
    SAME_SHAPE: "STABLEHLO_ADD STABLEHLO_MAXIMUM STABLEHLO_MINIMUM STABLEHLO_MULTIPLY STABLEHLO_SCATTER",
    "f32 f16 bf16 f64 i8 i16 i32 i64 u8 u16 u32 bool c64": "CAST",
    "f32 i8 i32 i64 u8": "SPARSE_TO_DENSE:2",
}
"""Types -> operators; `:n` is the operand whose type decides, 0 if not given."""


class Kernel(NamedTuple):
    """The types that one operand of an operator may have."""

    operand: int
    types: tuple[TensorType, ...]


def _kernels() -> dict[str, Kernel]:
    kernels = {}
    for types, operators in _TABLE.items():
        for operator in operators.split():
            name, _, operand = operator.partition(":")
            kernels[name] = Kernel(int(operand or 0), tuple(NAMES[t] for t in types.split()))
    return kernels


KERNELS = _kernels()
"""By builtin operator. Those that are not here work on whatever their results are declared as."""

WIDER = {
    TensorType.FLOAT16: TensorType.FLOAT32,
    TensorType.BFLOAT16: TensorType.FLOAT32,
    TensorType.INT8: TensorType.INT32,
    TensorType.INT16: TensorType.INT32,
    TensorType.UINT8: TensorType.INT32,
    TensorType.UINT16: TensorType.INT32,
    TensorType.UINT32: TensorType.INT64,
}
"""Types that hold all values of narrower ones. What is computed in them and cast back is what TensorFlow computes."""


MAX_RANK = {"PAD": 5, "PADV2": 5}
"""Operators whose kernels in the reference take fewer dimensions than the interpreter's own."""


def refused_operand(node: DraftNode) -> str | None:
    """Why the reference's kernel does not take a node's operands, None if it does."""
    if node.custom:
        return None
    first = _operand(node.inputs, 0)
    if first is not None and first.rank is not None and first.rank > MAX_RANK.get(node.op, first.rank):
        return f"{node.op} takes no more than {MAX_RANK[node.op]} dimensions"
    kernel = KERNELS.get(node.op)
    if kernel is None:
        return None
    operand = _operand(node.inputs, kernel.operand)
    if operand is None or operand.type in kernel.types:
        return None
    names = ", ".join(t.name.lower() for t in kernel.types)
    return f"{node.op} takes no {operand.type.name.lower()}, but {names}"


def _operand(inputs: Sequence[DraftTensor | None], index: int) -> DraftTensor | None:
    return inputs[index] if index < len(inputs) else None

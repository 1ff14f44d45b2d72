"""Element types that the reference kernels take without quantisation (measured with ai-edge-litert 2.3)."""

from __future__ import annotations

from typing import TypeAlias

from ...interpreter.graph import TensorType

F16, F32, F64, BF16 = TensorType.FLOAT16, TensorType.FLOAT32, TensorType.FLOAT64, TensorType.BFLOAT16
I8, I16, I32, I64 = TensorType.INT8, TensorType.INT16, TensorType.INT32, TensorType.INT64
U8, U16, U32, U64 = TensorType.UINT8, TensorType.UINT16, TensorType.UINT32, TensorType.UINT64
BOOL, STRING = TensorType.BOOL, TensorType.STRING

Table: TypeAlias = dict[str, tuple[str, tuple[TensorType, ...]]]
"""TensorFlow operator -> the builtin one, and the types that this takes."""

INDEX = (I32, I64)
ARITHMETIC = (F32, I32, I64)
COMMON = (F32, I32, I64, BOOL, U8, I8, I16)
FIXED = (*COMMON, U16, U32, U64, F16, F64, BF16)
"""All types of fixed width that matter; what only moves bytes takes them."""

"""Short names of element types. Which of them kernels take is in `kernels.KERNELS`, checked for all that is emitted."""

from __future__ import annotations

from ...interpreter.graph import TensorType

F32, F64 = TensorType.FLOAT32, TensorType.FLOAT64
I32, I64 = TensorType.INT32, TensorType.INT64
BOOL, STRING, C64 = TensorType.BOOL, TensorType.STRING, TensorType.COMPLEX64

INDEX = (I32, I64)

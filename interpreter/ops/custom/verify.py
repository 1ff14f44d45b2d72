"""NumericVerify, which TensorFlow Lite's quantisation debugger puts behind quantised operators."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import KernelError
from ...graph import Array, TensorSpec, TensorType
from ..base import FLOAT, INT8, INT16, UINT8, Op, op
from ..shared.affine import affine, dequantized
from ..shared.host import host

_HALF = frozenset({TensorType.FLOAT16})


@op("NumericVerify", INT8 | UINT8 | INT16 | _HALF, FLOAT)
class NumericVerify(Op):
    """`input`, made real, minus `ref`.

    With `log_if_failed` and a `tolerance` of at least 0.1, a difference of more than `tolerance` times the scale is a
    KernelError (reference: numeric_verify.cc).
    """

    tolerance: float = 0.0
    log_if_failed: bool = False

    def refuses(self, input: TensorSpec, ref: TensorSpec) -> str | None:
        declared = self.ins[0]
        if input.type is not TensorType.FLOAT16 and (declared is None or declared.quantization is None):
            return "operator NumericVerify is not supported with integers that have no quantization parameters."
        return None

    def infer(self, input: TensorSpec, ref: TensorSpec) -> TensorSpec:
        if input.shape != ref.shape:
            raise KernelError(f"NumericVerify got {input} to compare with {ref}, expected equal shapes.")
        return TensorSpec(TensorType.FLOAT32, input.shape)

    def run(self, xp: Any, input: Array, ref: Array) -> Array:
        scale, real = np.float32(0), input.astype(np.float32)
        if input.dtype.kind in "iu":
            scale, real = affine(self.ins[0]).scale, dequantized(input, self.ins[0])
        difference = real - ref
        if self.log_if_failed and self.tolerance >= 0.1 and input.size:
            limit, worst = np.float32(self.tolerance) * scale, host(xp.abs(difference).max())
            if worst > limit:
                raise KernelError(f"Mismatch: the values differ by up to {worst:f} > {limit:f} (tolerance).")
        return difference

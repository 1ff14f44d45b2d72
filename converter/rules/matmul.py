"""Matrix products: FULLY_CONNECTED where the right side is a constant matrix, BATCH_MATMUL elsewhere."""

from __future__ import annotations

from ..draft import DraftTensor
from ..lower import Lowering, lowers
from .conv import transposed
from .types import F32


@lowers("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")
def matmul(op: Lowering) -> DraftTensor:
    types = {op.type(0), op.type(1), op.output_type()}
    op.require(types == {F32}, f"matrix products are builtin of float32 only, not of {op.type(0).name.lower()}")
    names = ("transpose_a", "transpose_b") if op.node.op == "MatMul" else ("adj_x", "adj_y")
    left, right = (bool(op.attr(name, False)) for name in names)
    if op.known(1) is None or len(op.dims(1)) != 2 or left:
        return op.emit("BATCH_MATMUL", op.input(0), op.input(1), adj_x=left, adj_y=right)
    weights = op.input(1) if right else transposed(op, 1, (1, 0))
    keep = len(op.dims(0)) != 2
    return op.emit("FULLY_CONNECTED", op.input(0), weights, None, keep_num_dims=keep, fused_activation_function=0,
                   version=6)  # fmt: skip

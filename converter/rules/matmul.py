"""Matrix products: FULLY_CONNECTED where the right side is a constant matrix, BATCH_MATMUL elsewhere."""

from __future__ import annotations

from ...interpreter.graph import TensorType
from ..draft import DraftTensor
from ..lower import Lowering, lowers
from .conv import transposed

F32 = TensorType.FLOAT32


@lowers("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")
def matmul(op: Lowering) -> DraftTensor:
    op.require_type(0, F32)
    op.require(op.graph.type_of(op.output()) is F32, "the product has another type than its operands")
    plain = op.node.op == "MatMul"
    left, right = (bool(op.attr(f"{name}_{x}", False)) for name, x in zip(*_flags(plain), strict=True))
    if op.known(1) is None or len(op.dims(1)) != 2 or left:
        return op.emit("BATCH_MATMUL", op.input(0), op.input(1), adj_x=left, adj_y=right)
    weights = op.input(1) if right else transposed(op, 1, (1, 0))
    keep = len(op.dims(0)) != 2
    return op.emit("FULLY_CONNECTED", op.input(0), weights, None, keep_num_dims=keep, fused_activation_function=0,
                   version=6)  # fmt: skip


def _flags(plain: bool) -> tuple[tuple[str, str], tuple[str, str]]:
    return (("transpose", "transpose"), ("a", "b")) if plain else (("adj", "adj"), ("x", "y"))

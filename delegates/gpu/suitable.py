"""Which nodes a GPU can run."""

from __future__ import annotations

from ...interpreter.graph import TensorType
from ...interpreter.ops.base import COMPLEX, HALF, NUMBER, PACKED, RESOURCE, StatefulOp
from ...interpreter.runtime.delegate import BoundNode

DEVICE_TYPES = (NUMBER | COMPLEX | PACKED | {TensorType.BOOL}) - (HALF - {TensorType.FLOAT16})
"""Element types that arrays on a GPU may have; packed integers are held unpacked."""


def device_refusal(bound: BoundNode) -> str | None:
    """Why a node has to run on the host whatever its operator's own limits are, as a sentence; None if it need not."""
    name = bound.op.name or bound.node.name
    if bound.op.host_only:
        return f"operator {name} runs on the host: it works on state, strings or values that the host needs."
    types = DEVICE_TYPES | RESOURCE if isinstance(bound.op, StatefulOp) else DEVICE_TYPES
    for spec in (*bound.ins, *bound.outs):
        if spec is not None and spec.type not in types:
            return f"operator {name} has an operand of type {spec.type.name.lower()}, which GPU arrays don't hold."
    return None

"""Which nodes can run on int8: those whose operator class accepts them with their operands quantised."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...interpreter.errors import KernelError
from ...interpreter.graph import Graph, Node, Quantization, TensorSpec, TensorType
from ...interpreter.ops.base import ControlOp, Op, StatefulOp
from ...interpreter.ops.binding import UnknownOp, bind
from ...interpreter.ops.checks import infer_outputs, refusal
from ...interpreter.ops.flex import Flex
from .constraints import FIXED_RESULTS, INDEX_RESULTS, SAME_SCALE
from .ranges import Ranges
from .recurrent import layer_form, state_position
from .roles import bias_position, channel_axis, is_plain, weights_position
from .scales import asymmetric, quantization

_NO_ARITHMETIC = frozenset({
    *("QUANTIZE", "DEQUANTIZE", "CAST", "SHAPE", "RANK"),
    *("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE"),
})  # fmt: skip
"""Operators that convert or keep real numbers, or ask for their shapes, and are no arithmetic on them."""

_UNIT = quantization(1 / 128)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A node with its op, and why it has to stay float: "" if it need not, None if it has nothing to do with floats."""

    node: Node
    op: Op
    reason: str | None

    @property
    def is_quantized(self) -> bool:
        return self.reason == ""


def judge(graph: Graph, ranges: Ranges) -> list[Judged]:
    """All nodes of a subgraph."""
    judged = []
    for node in graph.nodes:
        op = bind(node, graph)
        judged.append(Judged(node, op, _reason(node, op, graph, ranges)))
    return judged


def is_real(spec: TensorSpec | None) -> bool:
    """Whether an operand holds real numbers that may be quantised."""
    return spec is not None and spec.type is TensorType.FLOAT32


def _reason(node: Node, op: Op, graph: Graph, ranges: Ranges) -> str | None:
    if not any(map(is_real, (*op.ins, *op.outs))) or node.name in _NO_ARITHMETIC or isinstance(op, ControlOp):
        return None
    if isinstance(op, UnknownOp | Flex) or node.custom:
        return f"operator {node.name} has no kernel for int8."
    if isinstance(op, StatefulOp):
        return _layer_refusal(op, node, graph, ranges)
    if not (op.quantized or node.name in SAME_SCALE or node.name in INDEX_RESULTS):
        return f"operator {node.name} has no kernel for int8."
    if any(graph.tensors[tensor].is_variable for tensor in node.outputs):
        return "it writes to a variable tensor, which stays float."
    return _unseen(op, node, graph, ranges) or _undefined(node, graph, ranges) or _refused(op) or ""


def layer_reach(op: Op, node: Node, graph: Graph, ranges: Ranges) -> float | None:
    """The greatest magnitude of the state of a layer that has one; None if no sample showed it."""
    position = state_position(op)
    seen = None if position is None else ranges.of(graph, node.inputs[position])
    return None if seen is None else max(abs(seen[0]), abs(seen[1]))


def _layer_refusal(op: Op, node: Node, graph: Graph, ranges: Ranges) -> str:
    ends = [ranges.of(graph, tensor) for tensor in (node.inputs[0], node.outputs[0])] if node.outputs else [None]
    input, output = (asymmetric(*(seen or (0.0, 0.0))) for seen in (ends[0], ends[-1]))
    form = layer_form(op, input, output, layer_reach(op, node, graph, ranges) if None not in ends else None)
    if isinstance(form, str):
        return form
    ins = [spec and (form.spec(i, spec) or _with(spec, input)) for i, spec in enumerate(op.ins)]
    inner = tuple(TensorSpec(kind, (0,), parameters) for kind, parameters in form.intermediates)
    outs = tuple(_with(spec, output) for spec in op.outs)
    return _tried(replace(op, ins=tuple(ins), outs=outs, intermediates=inner, version=1)) or ""


def _with(spec: TensorSpec, parameters: Quantization) -> TensorSpec:
    return replace(spec, type=TensorType.INT8, quantization=parameters)


def _unseen(op: Op, node: Node, graph: Graph, ranges: Ranges) -> str | None:
    pairs = [*zip(op.ins, node.inputs, strict=True), *zip(op.outs, node.outputs, strict=True)]
    for spec, tensor in pairs:
        if not is_real(spec):
            continue
        seen = ranges.of(graph, tensor)
        name = graph.tensors[tensor].name
        if seen is None:
            return f"no calibration sample gave its tensor `{name}` a value."
        if not np.isfinite(seen).all():
            return f"its constant `{name}` holds numbers that are not finite."
    return None


def _undefined(node: Node, graph: Graph, ranges: Ranges) -> str | None:
    """Why the integer kernel may fail at run time where the float one does not."""
    if node.name == "DIV":
        low, high = ranges.of(graph, node.inputs[1]) or (0.0, 0.0)
        nearest = low if low > 0 else -high
        if nearest <= float(asymmetric(low, high).scales[0]) / 2:
            return "its divisor comes so near to 0 that int8 may not tell it from 0, on which the kernel fails."
    if node.name in ("SQRT", "RSQRT", "LOG"):
        low, _ = ranges.of(graph, node.inputs[0]) or (0.0, 0.0)
        if low < 0:
            return "its operand takes negative values, on which the kernel fails."
    return None


def _refused(op: Op) -> str | None:
    """Why the operator can't run with its real operands as int8."""
    bias = bias_position(op)
    if bias is not None and not is_plain(op.ins[bias]):
        return f"operator {op.name} has a bias that is no constant."
    weights = weights_position(op)
    ins = tuple(
        spec if spec is None or not is_real(spec) else _operand(op, spec, i == weights, i == bias)
        for i, spec in enumerate(op.ins)
    )
    result = FIXED_RESULTS.get(op.name, _UNIT)
    outs = tuple(_with(spec, result) if is_real(spec) else spec for spec in op.outs)
    return _tried(replace(op, ins=ins, outs=outs, version=1))


def _tried(candidate: Op) -> str | None:
    """Why an operator can't run as it is."""
    if refused := refusal(candidate, candidate.ins):
        return refused
    try:
        infer_outputs(candidate, candidate.ins)
    except KernelError as error:
        return error.what
    return None


def _operand(op: Op, spec: TensorSpec, is_weights: bool, is_bias: bool) -> TensorSpec:
    axis = channel_axis(op) if is_weights else None
    count = 1 if axis is None else np.asarray(spec.value).shape[axis]
    parameters = Quantization(np.full(count, 1 / 128, np.float32), np.zeros(count, np.int64), axis or 0)
    value = None if spec.value is None else np.zeros(np.asarray(spec.value).shape, np.int8)
    kind = TensorType.INT32 if is_bias else TensorType.INT8
    return replace(spec, type=kind, quantization=parameters, value=value)

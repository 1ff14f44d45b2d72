"""Layers with states in integers: what their weights, states and inner tensors are stored as (reference: the LSTM and
SVDF sections of operator_property.cc)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, log2

import numpy as np

from ...interpreter.graph import ABSENT, Graph, Node, Quantization, TensorSpec, TensorType
from ...interpreter.ops.base import Op
from ...interpreter.ops.binding import bind
from ...interpreter.ops.recurrent.layer import by_time
from ...interpreter.ops.recurrent.lstm import LstmKernelType, LstmLayer
from ...interpreter.ops.recurrent.lstm_float import FloatCell
from ...interpreter.ops.recurrent.svdf import Svdf
from .constants import Stored
from .roles import is_plain
from .scales import quantization, stored, symmetric

_INT16_MAX = 2**15 - 1
_TIME_MAX = 2**9  # of SVDF, whose sums over time have 32 bits
_LEAST_POWER, _GREATEST_POWER = 0, 6  # of two, that bound the cell state in kernels
_GATES = quantization(2.0**-12)
_FEATURE, _TIME, _BIAS, _STATE = 1, 2, 3, 4  # operands of SVDF


@dataclass(frozen=True, slots=True, eq=False)
class LayerForm:
    """How the operands of one node are stored, by position, and its intermediate tensors."""

    constants: dict[int, Stored]
    states: dict[int, tuple[TensorType, Quantization]]
    intermediates: list[tuple[TensorType, Quantization]] = field(default_factory=list)

    def spec(self, position: int, spec: TensorSpec) -> TensorSpec | None:
        """Spec of an operand in this form; None for one that is computed."""
        if position in self.constants:
            kind, data, parameters = self.constants[position]
            return replace(spec, type=kind, quantization=parameters, value=data)
        if position in self.states:
            kind, parameters = self.states[position]
            return replace(spec, type=kind, quantization=parameters)
        return None


def layer_form(op: Op, input: Quantization, output: Quantization, reach: float | None) -> LayerForm | str:
    """The integer form of a layer with states, or why there is none.

    `reach` is the greatest magnitude of its state (of an LSTM its cell state), None if no sample showed it.
    """
    if not isinstance(op, Svdf | LstmLayer):
        return f"operator {op.name} has no kernel for int8."
    if reach is None:
        return "no calibration sample reached it."
    constants = [i for i, spec in enumerate(op.ins) if i and spec is not None and i not in _state_positions(op)]
    if not all(is_plain(op.ins[i]) for i in constants):
        return "its weights are no float32 constants."
    return _svdf(op, reach) if isinstance(op, Svdf) else _lstm(op, input, output, reach)


def state_position(op: Op) -> int | None:
    """The operand whose reach `layer_form` asks for."""
    positions = _state_positions(op)
    return positions[-1] if positions else None


def _state_positions(op: Op) -> tuple[int, ...]:
    if isinstance(op, Svdf):
        return (_STATE,)
    return (op.layout.states, op.layout.states + 1) if isinstance(op, LstmLayer) else ()


def _svdf(op: Svdf, reach: float) -> LayerForm:
    feature, time = _values(op, _FEATURE), _values(op, _TIME)
    state = quantization(max(reach, 1e-6) / _INT16_MAX)
    times = symmetric(time, greatest=_TIME_MAX)
    constants = {
        _FEATURE: _symmetric(feature),
        _TIME: Stored(TensorType.INT16, stored(time, times, TensorType.INT16), times),
    }
    if op.ins[_BIAS] is not None:
        constants[_BIAS] = _bias(_values(op, _BIAS), times, state)
    return LayerForm(constants, {_STATE: (TensorType.INT16, state)})


def _lstm(op: LstmLayer, input: Quantization, output: Quantization, reach: float) -> LayerForm | str:
    roles = op.layout.of([None if spec is None else i for i, spec in enumerate(op.ins)])
    if getattr(op, "kernel_type", LstmKernelType.FULL) is not LstmKernelType.FULL:
        return f"operator {op.name} of the basic kind has no kernel for int8."
    if roles.is_normalized or roles.projection is not None:
        return f"operator {op.name} has normalisation or a projection, whose inner ranges calibration does not see."
    constants: dict[int, Stored] = {}
    for gate in roles.gates.values():
        constants[gate.input] = _symmetric(_values(op, gate.input))
        constants[gate.recurrent] = _symmetric(_values(op, gate.recurrent))
        constants[gate.bias] = _bias(_values(op, gate.bias), input, constants[gate.input].parameters)
        if gate.peephole is not None:
            values = _values(op, gate.peephole)
            parameters = symmetric(values, greatest=_INT16_MAX)
            data = stored(values, parameters, TensorType.INT16)
            constants[gate.peephole] = Stored(TensorType.INT16, data, parameters)
    power = min(max(ceil(log2(max(reach, 1e-6))), _LEAST_POWER), _GREATEST_POWER)
    cell = TensorType.INT16, quantization(2.0 ** (power - 15))
    inner = [(TensorType.INT16, _GATES)] * 4 + [(TensorType.INT8, output)]
    return LayerForm(constants, {roles.output_state: (TensorType.INT8, output), roles.cell_state: cell}, inner)


def _values(op: Op, position: int) -> np.ndarray:
    spec = op.ins[position]
    assert spec is not None
    return np.asarray(spec.value)


def _symmetric(values: np.ndarray) -> Stored:
    parameters = symmetric(values)
    return Stored(TensorType.INT8, stored(values, parameters), parameters)


def _bias(values: np.ndarray, one: Quantization, other: Quantization) -> Stored:
    parameters = quantization(np.float64(one.scales[0]) * np.float64(other.scales[0]))
    return Stored(TensorType.INT32, stored(values, parameters, TensorType.INT32), parameters)


class CellReach:
    """Follows the cell states of a subgraph's LSTMs, which no tensor shows, by computing them from their inputs."""

    def __init__(self, graph: Graph) -> None:
        self._layers = list(_layers(graph))

    def of(self, tensors: Mapping[int, np.ndarray]) -> list[tuple[int, np.ndarray]]:
        """(tensor of the cell state, its least and greatest number) in a run that left `tensors`."""
        return [(state, _extremes(op, cell, tensors[x])) for op, cell, x, state in self._layers if x in tensors]


def _layers(graph: Graph) -> Sequence[tuple[LstmLayer, FloatCell, int, int]]:
    found = []
    for node in graph.nodes:
        op = bind(node, graph)
        if isinstance(op, LstmLayer) and isinstance(layer_form(op, _GATES, _GATES, 1.0), LayerForm):
            found.append((op, _cell(op), node.inputs[0], _state(node, op)))
    return found


def _state(node: Node, op: LstmLayer) -> int:
    index = node.inputs[op.layout.states + 1]
    assert index != ABSENT
    return index


def _cell(op: LstmLayer) -> FloatCell:
    return FloatCell(op.layout.of(op.ins), op.layout.of([spec and spec.value for spec in op.ins]), op.parameters)


def _extremes(op: LstmLayer, cell: FloatCell, x: np.ndarray) -> np.ndarray:
    """Least and greatest number of the cell state over all steps, from states of zero."""
    steps = by_time(x, op.time_axis)
    h, c = (np.zeros((steps.shape[1], width), np.float32) for width in cell.widths)
    low = high = 0.0
    for rows in steps:
        h, c = cell.step(cell.drive(rows, None), (h, c))
        low, high = min(low, float(c.min())), max(high, float(c.max()))
    return np.array([low, high], np.float32)

"""8-bit arithmetic: integer nodes wherever there are kernels, QUANTIZE and DEQUANTIZE at the borders to float ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...interpreter.errors import ConversionError
from ...interpreter.graph import Graph, Model, Quantization, TensorType
from ...interpreter.ops.base import StatefulOp
from ...interpreter.ops.shared.products import ProductOp
from .assign import assign
from .constants import Stored, plain_constant, product_constants
from .editor import GraphEditor, rebuilt
from .forms import Forms, is_real_tensor
from .judge import Judged, is_real, judge, layer_reach
from .ranges import Ranges, called_by
from .recurrent import LayerForm, layer_form
from .report import NodeOutcome, QuantizationReport, outcomes
from .scales import same
from .versions import integer_version


@dataclass(frozen=True, slots=True)
class IntegerOptions:
    """What the quantised model looks like from outside, and whether it may compute on real numbers anywhere."""

    inputs: TensorType = TensorType.FLOAT32  # or INT8, UINT8
    outputs: TensorType = TensorType.FLOAT32
    allow_float: bool = True


def full_integer(model: Model, ranges: Ranges, options: IntegerOptions) -> tuple[Model, QuantizationReport]:
    """The model on int8, activations with one scale a tensor, weights with one a channel where kernels take that.

    Bodies of control flow take and give float32, and outputs that are constants stay what they are. Raises
    ConversionError, naming the nodes, if some would stay float and may not.
    """
    entries = {0, *(signature.graph for signature in model.signatures)}
    entries -= {index for graph in model.graphs for index in called_by(graph)}
    editors, judged = [], []
    for graph in model.graphs:
        own = options if graph.index in entries else IntegerOptions()
        nodes = judge(graph, ranges)
        judged += outcomes(graph, [(j.node, j.reason) for j in nodes if j.reason is not None])
        editors.append(_Integers(graph, nodes, ranges, own).rewrite())
    report = QuantizationReport("int8", tuple(judged))
    if not options.allow_float:
        _check_complete(report.kept_float)
    return rebuilt(model, editors), report


def _check_complete(strays: Sequence[NodeOutcome]) -> None:
    if not strays:
        return
    listed = "; ".join(f"{s.op} [at {s.where}]: {s.reason}" for s in strays)
    raise ConversionError(
        f"{len(strays)} nodes can't run on int8, and the model must not compute on real numbers: {listed}",
        hint="Allow float nodes beside the integer ones.",
    )


class _Integers:
    """One subgraph."""

    def __init__(self, graph: Graph, judged: Sequence[Judged], ranges: Ranges, options: IntegerOptions) -> None:
        self._graph, self._judged, self._options, self._ranges = graph, judged, options, ranges
        self._assignment = assign(graph, judged, ranges)
        self._editor = GraphEditor(graph)
        self._forms = Forms(self._editor, self._assignment, ranges)
        self._constants: dict[int, list[tuple[Stored, int]]] = {}
        self._named = {i for i in graph.outputs if is_real_tensor(graph.tensors[i]) and i not in graph.inputs}

    def rewrite(self) -> GraphEditor:
        for tensor in dict.fromkeys(self._graph.inputs):
            if not is_real_tensor(self._graph.tensors[tensor]):
                continue
            if self._options.inputs is TensorType.FLOAT32:
                self._forms.begin_real(tensor, tensor)
            else:
                self._forms.begin_stored(tensor, self._options.inputs)
        for j in self._judged:
            if j.is_quantized:
                self._quantize(j)
            else:
                self._keep(j)
        return self._editor

    def _keep(self, j: Judged) -> None:
        """A node that stays as it is."""
        tensors = self._graph.tensors
        inputs = tuple(self._forms.real(i) if i >= 0 and is_real_tensor(tensors[i]) else i for i in j.node.inputs)
        shown = [i for i in j.node.outputs if i in self._named and self._options.outputs is not TensorType.FLOAT32]
        real = {i: self._editor.like(i, "_float") for i in shown}
        self._editor.keep(j.node, inputs=inputs, outputs=tuple(real.get(i, i) for i in j.node.outputs))
        for tensor, source in real.items():
            self._forms.begin_real(tensor, source)
            self._forms.show_stored(tensor, self._options.outputs, source)

    def _quantize(self, j: Judged) -> None:
        layer = self._layer(j)
        constants = self._product_constants(j) if layer is None else layer.constants
        inner = () if layer is None else self._begin_layer(j, layer)
        states = {} if layer is None else layer.states
        inputs = tuple(
            tensor if position in states else self._operand(j, position, constants)
            for position, tensor in enumerate(j.node.inputs)
        )
        as_int8 = self._options.outputs is TensorType.INT8
        outputs = tuple(
            self._forms.result(tensor, tensor in self._named and not as_int8) if is_real(spec) else tensor
            for tensor, spec in zip(j.node.outputs, j.op.outs, strict=True)
        )
        self._editor.keep(j.node, inputs=inputs, outputs=outputs, version=integer_version(j.node), intermediates=inner)
        for tensor, result in zip(j.node.outputs, outputs, strict=True):
            if result == tensor:
                continue
            if self._options.outputs is TensorType.FLOAT32:
                self._forms.show_real(tensor)
            else:
                self._forms.show_stored(tensor, self._options.outputs, result)

    def _layer(self, j: Judged) -> LayerForm | None:
        """The form of a node with states."""
        if not isinstance(j.op, StatefulOp):
            return None
        input, output = self._forms.parameters(j.node.inputs[0]), self._forms.parameters(j.node.outputs[0])
        form = layer_form(j.op, input, output, layer_reach(j.op, j.node, self._graph, self._ranges))
        assert isinstance(form, LayerForm)
        return form

    def _begin_layer(self, j: Judged, layer: LayerForm) -> tuple[int, ...]:
        """Make the states of a node integers; its intermediate tensors."""
        for position, (kind, parameters) in layer.states.items():
            self._editor.change(j.node.inputs[position], type=kind, quantization=parameters)
        return tuple(
            self._editor.like(
                j.node.outputs[0], "_inner", type=kind, quantization=parameters, shape=(0,), shape_signature=None
            )
            for kind, parameters in layer.intermediates
        )

    def _product_constants(self, j: Judged) -> dict[int, Stored]:
        if not isinstance(j.op, ProductOp):
            return {}
        input, weights = (self._parameters(j, position) for position in j.op.positions)
        assert input is not None
        data = [None if spec is None else spec.value for spec in j.op.ins]
        return product_constants(j.op, data, input, weights)

    def _parameters(self, j: Judged, position: int) -> Quantization | None:
        """Quantisation of an operand: what the file gives it, or the one of its range; a constant's of its values."""
        tensor = self._graph.tensors[j.node.inputs[position]]
        if tensor.type is not TensorType.FLOAT32:
            return tensor.quantization
        if tensor.data is None:
            return self._forms.parameters(j.node.inputs[position])
        return plain_constant(j.op, tensor.data, None).parameters

    def _operand(self, j: Judged, position: int, constants: dict[int, Stored]) -> int:
        """The tensor that an integer node reads in place of an operand."""
        tensor = j.node.inputs[position]
        if not is_real(j.op.ins[position]):
            return tensor
        needed = self._assignment.operands.get((j.node.index, position))
        values = self._graph.tensors[tensor].data
        if values is None:
            return self._forms.stored(tensor, needed)
        return self._constant(tensor, constants.get(position) or plain_constant(j.op, values, needed))

    def _constant(self, tensor: int, value: Stored) -> int:
        """A constant's quantised form; one for all nodes that ask for the same."""
        for known, index in self._constants.setdefault(tensor, []):
            if known.kind is value.kind and same(known.parameters, value.parameters):
                return index
        index = self._editor.like(
            tensor, f"_{value.kind.name.lower()}", type=value.kind, quantization=value.parameters, data=value.data
        )
        self._constants[tensor].append((value, index))
        return index

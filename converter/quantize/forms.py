"""The forms of each real tensor in a quantised subgraph: float32, int8, and int8 on another scale, made as needed."""

from __future__ import annotations

from ...interpreter.graph import Quantization, Tensor, TensorType
from .assign import Assignment
from .editor import GraphEditor, int8
from .ranges import Ranges
from .scales import asymmetric, quantization, same

_DEQUANTIZE = {TensorType.INT8: 2, TensorType.UINT8: 1}
"""Versions of DEQUANTIZE by type of operand."""


class Forms:
    """Appends QUANTIZE and DEQUANTIZE nodes where a form is asked for that is not there yet."""

    def __init__(self, editor: GraphEditor, assignment: Assignment, ranges: Ranges) -> None:
        self._editor, self._assignment, self._ranges = editor, assignment, ranges
        self._real: dict[int, int] = {}  # tensor -> its float32 form
        self._stored: dict[int, int] = {}  # tensor -> its int8 form
        self._others: dict[int, list[int]] = {}  # tensor -> int8 forms on other scales
        self._outside: dict[int, int] = {}  # uint8 inputs

    def begin_real(self, tensor: int, form: int) -> None:
        """A tensor comes as float32, in the tensor `form`."""
        self._real[tensor] = form

    def begin_stored(self, tensor: int, kind: TensorType) -> None:
        """An input of the subgraph comes as int8 or uint8."""
        parameters = self.parameters(tensor)
        if kind is TensorType.INT8:
            self._editor.change(tensor, **int8(parameters))
            self._stored[tensor] = tensor
        else:
            self._editor.change(tensor, type=kind, quantization=unsigned(parameters))
            self._outside[tensor] = tensor

    def result(self, tensor: int, is_named: bool) -> int:
        """The int8 form in which a node writes a tensor; one that `is_named` keeps its float32 form beside it."""
        parameters = self.parameters(tensor)
        if is_named:
            self._stored[tensor] = self._editor.like(tensor, "_int8", **int8(parameters))
        else:
            self._editor.change(tensor, **int8(parameters))
            self._stored[tensor] = tensor
        return self._stored[tensor]

    def real(self, tensor: int) -> int:
        """The float32 form."""
        if tensor not in self._real:
            source = self._outside.get(tensor, self._stored.get(tensor, tensor))
            if source == tensor and self._editor.tensors[source].type is TensorType.FLOAT32:
                return tensor
            target = self._editor.like(tensor, "_float", type=TensorType.FLOAT32, quantization=None)
            self._link("DEQUANTIZE", source, target)
            self._real[tensor] = target
        return self._real[tensor]

    def show_real(self, tensor: int) -> None:
        """Make an output of the subgraph from its int8 form."""
        self._link("DEQUANTIZE", self._stored[tensor], tensor)
        self._real[tensor] = tensor

    def show_stored(self, tensor: int, kind: TensorType, source: int) -> None:
        """Make an int8 or uint8 output of the subgraph from another form."""
        parameters = self.parameters(tensor)
        if kind is TensorType.INT8:
            self._editor.change(tensor, **int8(parameters))
        else:
            self._editor.change(tensor, type=kind, quantization=unsigned(parameters))
        self._editor.add("QUANTIZE", source, tensor)

    def stored(self, tensor: int, needed: Quantization | None = None) -> int:
        """The int8 form, on the scale that a node needs."""
        if tensor not in self._stored:
            target = self._editor.like(tensor, "_int8", **int8(self.parameters(tensor)))
            self._link("QUANTIZE", self._outside.get(tensor, self._real.get(tensor, tensor)), target)
            self._stored[tensor] = target
        own = self._stored[tensor]
        if needed is None or same(needed, self.parameters(tensor)):
            return own
        for other in self._others.setdefault(tensor, []):
            parameters = self._editor.tensors[other].quantization
            if parameters is not None and same(needed, parameters):
                return other
        target = self._editor.like(own, "_rescaled", **int8(needed))
        self._link("QUANTIZE", own, target)
        self._others[tensor].append(target)
        return target

    def parameters(self, tensor: int) -> Quantization:
        """The quantisation of a tensor's int8 form; one that no integer node touches has that of its range."""
        if tensor not in self._assignment.tensors:
            seen = self._ranges.of(self._editor.graph, tensor)
            self._assignment.tensors[tensor] = asymmetric(*(seen or (0.0, 0.0)))
        return self._assignment.tensors[tensor]

    def _link(self, name: str, source: int, target: int) -> None:
        version = _DEQUANTIZE[self._editor.tensors[source].type] if name == "DEQUANTIZE" else 1
        self._editor.add(name, source, target, version)


def unsigned(parameters: Quantization) -> Quantization:
    """The quantisation of the same numbers in uint8."""
    return quantization(parameters.scales, parameters.zero_points + 128)


def is_real_tensor(tensor: Tensor) -> bool:
    """Whether a tensor holds real numbers that calls compute."""
    return tensor.type is TensorType.FLOAT32 and tensor.data is None and not tensor.is_variable

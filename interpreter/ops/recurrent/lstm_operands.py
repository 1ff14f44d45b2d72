"""The operands of LSTMs by role, and what they must agree on (reference: lstm_shared.h, CheckInputTensorDimensions)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ...errors import KernelError
from ...graph import TensorSpec, TensorType
from ..base import Activation, OptionalSpec
from ..shared.windows import expect_rank
from .layer import RecurrentOp, are_constant, expect_shape, expect_size, weights_refusal

GATES = ("input", "forget", "cell", "output")
_PEEPHOLES = {"input": 0, "forget": 1, "output": 2}


class Gate(NamedTuple):
    """What belongs to one gate: specs or values of operands, None for absent ones."""

    input: Any  # weights [cells, inputs]
    recurrent: Any  # weights [cells, outputs], or their diagonal [cells]
    peephole: Any  # [cells]
    bias: Any  # [cells]
    norm: Any  # [cells]
    aux: Any  # weights [cells, auxiliary inputs]


class Operands(NamedTuple):
    """Specs or values of the operands of one layer; one without an input gate couples it to the forget gate (CIFG)."""

    gates: dict[str, Gate]
    projection: Any  # weights [outputs, cells]
    projection_bias: Any  # [outputs]
    output_state: Any  # [batch, outputs]
    cell_state: Any  # [batch, cells]
    has_strays: bool  # whether there is no input gate, but some operand of one

    def each(self, part: str) -> list[Any]:
        """One part of all gates."""
        return [getattr(gate, part) for gate in self.gates.values()]

    @property
    def is_normalized(self) -> bool:
        """Whether the forget gate is normalised before its function: then all gates must be."""
        return self.gates["forget"].norm is not None

    @property
    def constants(self) -> Iterator[Any]:
        """Everything but the states."""
        for gate in self.gates.values():
            yield from gate
        yield from (self.projection, self.projection_bias)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the operands of a layer stand; `norm` and `aux` only for operators that have such operands."""

    first: int  # weights of the input gate
    states: int
    norm: int | None = None
    aux: int | None = None
    norms_alone: bool = False  # whether other gates are normalised where the forget gate is not

    def of(self, operands: Sequence[Any]) -> Operands:
        """Specs or values by role, from all operands in the order of the file; missing ones at the end are absent."""

        def at(position: int | None) -> Any:
            return operands[position] if position is not None and position < len(operands) else None

        def gate(place: int, name: str) -> Gate:
            seen = None if name == "cell" else self.first + 8 + _PEEPHOLES[name]
            norm, aux = (None if start is None else start + place for start in (norms, self.aux))
            weights, recurrent, bias = (self.first + offset + place for offset in (0, 4, 11))
            return Gate(*map(at, (weights, recurrent, seen, bias, norm, aux)))

        is_ignored = self.norm is not None and not self.norms_alone and at(self.norm + 1) is None
        norms = None if is_ignored else self.norm
        gates = {name: gate(place, name) for place, name in enumerate(GATES)}
        has_strays = gates["input"].input is None and any(part is not None for part in gates["input"])
        if gates["input"].input is None:
            del gates["input"]
        weights, bias = at(self.first + 15), at(self.first + 16)
        return Operands(gates, weights, bias, at(self.states), at(self.states + 1), has_strays)


@dataclass(frozen=True, slots=True)
class LstmParameters:
    """Options of a layer; a limit of 0 stands for none."""

    activation: Activation
    cell_clip: float
    proj_clip: float
    asymmetric: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class LstmOp(RecurrentOp):
    """A layer, or two, of LSTM, with the options that they all have."""

    cell_clip: float = 0.0
    proj_clip: float = 0.0

    @property
    def parameters(self) -> LstmParameters:
        """The options that the cells need."""
        return LstmParameters(
            self.fused_activation_function, self.cell_clip, self.proj_clip, self.asymmetric_quantize_inputs
        )


def structure_refusal(operator: str, layer: Operands) -> str | None:
    """Why a layer can't run with these operands present and those absent."""
    needed = [layer.output_state, layer.cell_state, *layer.each("input"), *layer.each("recurrent"), *layer.each("bias")]
    if any(spec is None for spec in needed):
        return f"operator {operator} needs states, and weights and a bias for each gate; one is absent."
    if layer.has_strays:
        return f"operator {operator} has operands of an input gate, but no weights from the input to it."
    if layer.projection is None and layer.projection_bias is not None:
        return f"operator {operator} is not supported with a projection bias and no projection."
    peepholes = [gate.peephole is None for name, gate in layer.gates.items() if name != "cell"]
    norms = [part is None for part in layer.each("norm")] if layer.is_normalized else []
    for given in (peepholes, norms, [part is None for part in layer.each("aux")]):
        if len(set(given)) > 1:
            return (
                f"operator {operator} needs peepholes, normalisation and auxiliary weights for all gates or for none."
            )
    return None


def float_refusal(operator: str, layer: Operands, outputs: Iterable[TensorSpec]) -> str | None:
    """Why a layer can't run on float inputs with operands of these types."""
    reals = [layer.output_state, layer.cell_state, layer.projection_bias, *outputs]
    reals += [*layer.each("bias"), *layer.each("norm")]
    matrices = [spec for spec in layer.each("recurrent") if not is_diagonal(spec)]
    reals += [spec for spec in layer.each("recurrent") if is_diagonal(spec)]
    if any(spec is not None and spec.type is not TensorType.FLOAT32 for spec in reals):
        return f"operator {operator} with a float32 input needs float32 states, biases, diagonals and normalisation."
    weights = [*layer.each("input"), *matrices, *layer.each("peephole"), *layer.each("aux"), layer.projection]
    if matrices and len(matrices) < len(layer.gates) and matrices[0].type is not TensorType.FLOAT32:
        return f"operator {operator} is not supported with 8-bit recurrent weights of which some are diagonal."
    return weights_refusal(operator, weights)


def options_refusal(operator: str, layer: Operands, options: LstmParameters) -> str | None:
    """Why a layer can't run with these options."""
    if options.cell_clip < 0 or options.proj_clip < 0:
        return f"operator {operator} is not supported with limits below 0."
    is_float = layer.gates["output"].input.type is TensorType.FLOAT32
    has_more = any(map(is_diagonal, layer.each("recurrent"))) or layer.gates["output"].aux is not None
    if options.activation is Activation.NONE and is_float and has_more:  # the reference then reads unrelated numbers
        return f"operator {operator} is not supported with diagonals or an auxiliary input and no activation."
    return None


_ROWS_OF_BLOCKS = (0, 1, 2), (1,)  # levels of a matrix whose rows are cut into blocks
_BLOCK = 16


def is_sparse(layer: Operands) -> bool:
    """Whether some weights are sparse."""
    return any(w is not None and w.sparsity is not None for w in _matrices(layer))


def sparse_refusal(operator: str, layer: Operands, asymmetric: bool) -> str | None:
    """Why a layer of some sparse weights can't run."""
    for weights in _matrices(layer):
        if weights is None or weights.sparsity is None:
            return f"operator {operator} needs a projection, and all of its weights sparse, or none."
        order, blocks, levels = (
            weights.sparsity.traversal_order,
            weights.sparsity.block_map,
            weights.sparsity.dimensions,
        )
        if (tuple(order), tuple(blocks)) != _ROWS_OF_BLOCKS or levels[2]["dense_size"] != _BLOCK:
            return f"operator {operator} needs sparse weights in blocks of 1 x {_BLOCK}."
    if asymmetric or layer.gates["output"].input.type is TensorType.FLOAT32:
        return (
            f"operator {operator} is only supported with sparse weights if they have 8 bits and inputs no zero points."
        )
    return None if are_constant(layer.constants) else f"operator {operator} needs constants beside sparse weights."


def _matrices(layer: Operands) -> list[Any]:
    return [*layer.each("input"), *layer.each("recurrent"), layer.projection]


def is_diagonal(recurrent: OptionalSpec) -> bool:
    """Whether recurrent weights are a vector that stands for a diagonal matrix."""
    return recurrent is not None and recurrent.shape is not None and len(recurrent.shape) == 1


def check_shapes(
    operator: str, layer: Operands, depth: int, batch: int, aux_depth: int | None = None, diagonals: bool = False
) -> int:
    """The number of outputs; raises KernelError for shapes that do not fit. `diagonals`: whether they are allowed."""
    last = layer.gates["output"]
    cells, _ = expect_rank(operator, "input_to_output_weights", last.input, 2)
    rank = 1 if diagonals and is_diagonal(last.recurrent) else 2
    outputs = expect_rank(operator, "recurrent_to_output_weights", last.recurrent, rank)[-1]
    for name, gate in layer.gates.items():
        expect_shape(operator, f"input_to_{name}_weights", gate.input, (cells, depth))
        recurrent = (cells,) if diagonals and is_diagonal(gate.recurrent) else (cells, outputs)
        expect_shape(operator, f"recurrent_to_{name}_weights", gate.recurrent, recurrent)
        expect_shape(operator, f"aux_input_to_{name}_weights", gate.aux, (cells, aux_depth or 0))
        for part in ("peephole", "bias", "norm"):
            expect_shape(operator, f"{name} {part}", getattr(gate, part), (cells,))
    if layer.projection is None and outputs != cells:
        raise KernelError(f"{operator} got {outputs} outputs of {cells} cells without a projection.")
    expect_shape(operator, "projection_weights", layer.projection, (outputs, cells))
    expect_shape(operator, "projection_bias", layer.projection_bias, (outputs,))
    expect_size(operator, "output_state", layer.output_state, batch * outputs)
    expect_size(operator, "cell_state", layer.cell_state, batch * cells)
    return outputs

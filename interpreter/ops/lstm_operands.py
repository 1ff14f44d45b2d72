"""The operands of the full LSTM kernels by role (reference: lstm_shared.h)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

COUNT = 24
"""Number of operands; without the last four, those of layer normalisation, there are 20."""


class Gate(NamedTuple):
    """What belongs to one gate: positions, specs or values of operands, None for absent ones."""

    input: Any  # weights [cells, inputs]
    recurrent: Any  # weights [cells, outputs]
    peephole: Any  # [cells]
    bias: Any  # [cells]
    norm: Any  # [cells]


_INPUT, _FORGET = Gate(1, 5, 9, 12, 20), Gate(2, 6, 10, 13, 21)
_CELL, _OUTPUT = Gate(3, 7, None, 14, 22), Gate(4, 8, 11, 15, 23)


class Operands(NamedTuple):
    """Specs or values of all operands; a layer without an input gate couples it to the forget gate (CIFG)."""

    x: Any
    input: Gate | None
    forget: Gate
    cell: Gate
    output: Gate
    projection: Any  # weights [outputs, cells]
    projection_bias: Any  # [outputs]
    output_state: Any  # [batch, outputs]
    cell_state: Any  # [batch, cells]

    @property
    def gates(self) -> dict[str, Gate]:
        """The gates that there are, by name."""
        named = {"input": self.input, "forget": self.forget, "cell": self.cell, "output": self.output}
        return {name: gate for name, gate in named.items() if gate is not None}


def by_role(operands: Sequence[Any]) -> Operands:
    """Operands in the order of the file, the last four of which may be missing, by their role."""
    padded = [*operands, *[None] * (COUNT - len(operands))]

    def gate(positions: Gate) -> Gate:
        return Gate(*(None if p is None else padded[p] for p in positions))

    first = gate(_INPUT)
    return Operands(padded[0], first if first.input is not None else None, gate(_FORGET), gate(_CELL), gate(_OUTPUT),
                    *padded[16:20])  # fmt: skip

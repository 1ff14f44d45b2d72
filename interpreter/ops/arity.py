"""How many operands an op takes, and which of them it can't do without."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .base import ControlOp, Op, StatefulOp


@dataclass(frozen=True, slots=True)
class Arity:
    """Operands that an op takes: names, how many are required, whether any number may follow, all of them present."""

    names: tuple[str, ...]
    required: int
    variadic: bool
    complete: bool = False

    def label(self, position: int) -> str:
        """What errors call the operand at a position."""
        return self.names[position] if position < len(self.names) else f"operand {position}"

    def misfit(self, name: str, operands: Sequence[Any]) -> tuple[str, int | None] | None:
        """Why operator `name` can't take these operands (None: absent), and the place of the one at fault if it is one.

        None if it can.
        """
        if len(operands) < self.required or (len(operands) > len(self.names) and not self.variadic):
            return f"operator {name} got {len(operands)} operands and takes {self._count()}.", None
        for position, operand in enumerate(operands):
            if operand is None and (position < self.required or (self.complete and position >= len(self.names))):
                return f"operator {name} needs operand `{self.label(position)}`, which is absent.", position
        return None

    def _count(self) -> str:
        if self.variadic:
            return f"at least {self.required}"
        low, high = self.required, len(self.names)
        return str(low) if low == high else f"{low} to {high}"


_ARITIES: dict[type[Op], Arity] = {}


def arity(cls: type[Op]) -> Arity:
    """Read from the parameters of `run` (of `run_with` or `execute` for ops with state or subgraphs)."""
    if cls not in _ARITIES:
        _ARITIES[cls] = _read_arity(cls)
    return _ARITIES[cls]


def _read_arity(cls: type[Op]) -> Arity:
    method = cls.run_with if issubclass(cls, StatefulOp) else cls.execute if issubclass(cls, ControlOp) else cls.run
    parameters = list(inspect.signature(method).parameters.values())[2:]
    names = tuple(p.name for p in parameters if p.kind is not p.VAR_POSITIONAL)
    required = sum(p.default is p.empty and p.kind is not p.VAR_POSITIONAL for p in parameters)
    rest = next((p for p in parameters if p.kind is p.VAR_POSITIONAL), None)
    return Arity(names, required, rest is not None, rest is not None and rest.annotation == "Array")

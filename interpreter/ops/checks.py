"""An op held against its operands: what it refuses, and whether it gives what its node declares."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import KernelError
from ..graph import Array, TensorSpec
from .base import ANY, ControlOp, Op, StatefulOp, TypeSet
from .binding import UnknownOp


@dataclass(frozen=True, slots=True)
class Arity:
    """Operands that an op takes: names, how many are required, whether any number may follow, all of them present."""

    names: tuple[str, ...]
    required: int
    variadic: bool
    complete: bool = False


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


def refusal(op: Op, inputs: Sequence[TensorSpec | None]) -> str | None:
    """Why `op` can't run with these input specs: version, arity, types, then the op's own limits. None if it can."""
    if isinstance(op, UnknownOp):
        return op.refuses()
    if op.version > op.versions:
        return f"operator {op.name} version {op.version} is not supported; versions 1 to {op.versions} are."
    takes = arity(type(op))
    if len(inputs) < takes.required or (len(inputs) > len(takes.names) and not takes.variadic):
        return f"operator {op.name} got {len(inputs)} operands and takes {_count(takes)}."
    for position, spec in enumerate(inputs):
        label = takes.names[position] if position < len(takes.names) else f"operand {position}"
        if spec is None:
            if position < takes.required or (takes.complete and position >= len(takes.names)):
                return f"operator {op.name} needs operand `{label}`, which is absent."
            continue
        accepted = _accepted(op, position)
        if spec.type not in accepted:
            names = ", ".join(t.name.lower() for t in sorted(accepted))
            return f"operator {op.name} is not supported with {spec.type.name.lower()} `{label}`; it takes {names}."
        if spec.sparsity is not None and position not in op.sparse:
            return f"operator {op.name} is not supported with sparse {label}; it needs a DENSIFY before it."
    return op.refuses(*inputs)


def _count(takes: Arity) -> str:
    if takes.variadic:
        return f"at least {takes.required}"
    low, high = takes.required, len(takes.names)
    return str(low) if low == high else f"{low} to {high}"


def _accepted(op: Op, position: int) -> TypeSet:
    types = op.quantized if op.is_quantized else op.types
    return types[min(position, len(types) - 1)] if types else ANY


class TypeMismatch(KernelError):
    """An operator gives another element type than the file declares for its output."""


def infer_outputs(op: Op, inputs: Sequence[TensorSpec | None]) -> tuple[TensorSpec, ...]:
    """Specs of the outputs: shapes from the op's rule where the inputs' shapes are known, the rest as declared."""
    if any(s is not None and s.shape is None for s in inputs):
        return tuple(replace(s, shape=None, value=None) for s in op.outs)
    result = op.infer(*inputs)
    specs = result if isinstance(result, tuple) else (result,)
    if len(specs) != len(op.outs):
        raise KernelError(f"{op.name} gives {len(specs)} outputs, the node declares {len(op.outs)}")
    for position, (got, declared) in enumerate(zip(specs, op.outs, strict=True)):
        if got.type != declared.type:
            got_name, name = got.type.name.lower(), declared.type.name.lower()
            raise TypeMismatch(f"{op.name} gives {got_name} as output {position}, the node declares {name}")
    return tuple(replace(d, shape=s.shape, value=_frozen(s.value)) for s, d in zip(specs, op.outs, strict=True))


def _frozen(value: Array | None) -> Array | None:
    """A value that outlives calls, so that whoever hands it out copies it first."""
    if value is not None:
        value.flags.writeable = False
    return value


def evaluate(op: Op, inputs: Sequence[Array | None]) -> tuple[np.ndarray, ...]:
    """Run a pure op on host arrays with NumPy; each result an array of the declared type."""
    with np.errstate(all="ignore"):
        result = op.body(np, *inputs)
    results = result if isinstance(result, tuple) else (result,)
    return tuple(np.asarray(r, dtype=spec.dtype) for r, spec in zip(results, op.outs, strict=True))

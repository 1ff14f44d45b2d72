"""An op held against its operands: what it refuses, and whether it gives what its node declares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import GraphError, KernelError
from ..graph import Array, TensorSpec
from .arity import arity
from .base import ANY, Op, TypeSet
from .binding import UnknownOp


def refusal(op: Op, inputs: Sequence[TensorSpec | None]) -> str | None:
    """Why `op` can't run with these input specs: version, arity, types, then the op's own limits. None if it can."""
    if isinstance(op, UnknownOp):
        return op.refuses()
    if op.version > op.versions:
        return f"operator {op.name} version {op.version} is not supported; versions 1 to {op.versions} are."
    takes = arity(type(op))
    if misfit := takes.misfit(op.name, inputs):
        return misfit[0]
    for position, spec in enumerate(inputs):
        if spec is None:
            continue
        label, accepted = takes.label(position), _accepted(op, position)
        if spec.type not in accepted:
            names = ", ".join(t.name.lower() for t in sorted(accepted))
            return f"operator {op.name} is not supported with {spec.type.name.lower()} `{label}`; it takes {names}."
        if spec.sparsity is not None and position not in op.sparse:
            return f"operator {op.name} is not supported with sparse {label}; it needs a DENSIFY before it."
    return op.refuses(*inputs)


def _accepted(op: Op, position: int) -> TypeSet:
    types = op.quantized if op.is_quantized else op.types
    return types[min(position, len(types) - 1)] if types else ANY


class TypeMismatch(KernelError):
    """An operator gives another element type than the file declares for its output."""


def infer_outputs(op: Op, inputs: Sequence[TensorSpec | None]) -> tuple[TensorSpec, ...]:
    """Specs of the outputs: shapes from the op's rule where the inputs' shapes are known, the rest as declared."""
    if any(s is not None and s.shape is None for s in inputs):
        return tuple(s.known(None) for s in op.outs)
    result = op.infer(*inputs)
    specs = result if isinstance(result, tuple) else (result,)
    if len(specs) != len(op.outs):
        raise GraphError(f"{op.name} gives {len(specs)} outputs, the node declares {len(op.outs)}")
    for position, (got, declared) in enumerate(zip(specs, op.outs, strict=True)):
        if got.type != declared.type:
            got_name, name = got.type.name.lower(), declared.type.name.lower()
            raise TypeMismatch(f"{op.name} gives {got_name} as output {position}, the node declares {name}")
    return tuple(d.known(s.shape, _frozen(s.value)) for s, d in zip(specs, op.outs, strict=True))


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

"""TensorFlow operators that a few builtin ones spell out, of float32 and element by element."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...interpreter.graph import TensorType
from ..draft import DraftTensor
from ..lower import Lowering, Operand, lowers
from .elementwise import broadcast
from .types import F32

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
"""Constants of Klambauer et al., "Self-Normalizing Neural Networks" (2017)."""


def number(value: float) -> np.ndarray:
    """A float32 scalar."""
    return np.array(value, np.float32)


def step(op: Lowering, name: str, *inputs: Operand, type: TensorType = F32, **attributes: Any) -> DraftTensor:
    """An intermediate result, of the shape of the node's result."""
    return op.emit(name, *inputs, out=op.tensor(type, op.output().dims, f"/{name.lower()}"), **attributes)


@lowers("Softplus")
def softplus(op: Lowering) -> DraftTensor:
    """log(1 + exp(x)), as max(x, 0) + log(1 + exp(-|x|)), which does not overflow."""
    op.require_type(0, F32)
    x = op.input(0)
    small = step(op, "EXP", step(op, "NEG", step(op, "ABS", x)))
    return op.emit("ADD", step(op, "RELU", x), step(op, "LOG", step(op, "ADD", small, number(1))))


@lowers("Softsign")
def softsign(op: Lowering) -> DraftTensor:
    op.require_type(0, F32)
    return op.emit("DIV", op.input(0), step(op, "ADD", step(op, "ABS", op.input(0)), number(1)))


@lowers("Selu")
def selu(op: Lowering) -> DraftTensor:
    """scale * (max(x, 0) + alpha * (exp(min(x, 0)) - 1))."""
    op.require_type(0, F32)
    x = op.input(0)
    below = step(op, "SUB", step(op, "EXP", step(op, "MINIMUM", x, number(0))), number(1))
    whole = step(op, "ADD", step(op, "RELU", x), step(op, "MUL", below, number(SELU_ALPHA)))
    return op.emit("MUL", whole, number(SELU_SCALE))


@lowers("Log1p")
def log1p(op: Lowering) -> DraftTensor:
    """log(1 + x): exact to the rounding of 1 + x."""
    op.require_type(0, F32)
    return op.emit("LOG", step(op, "ADD", op.input(0), number(1)))


@lowers("Expm1")
def expm1(op: Lowering) -> DraftTensor:
    """exp(x) - 1: exact to the rounding of exp(x)."""
    op.require_type(0, F32)
    return op.emit("SUB", step(op, "EXP", op.input(0)), number(1))


@lowers("Tan")
def tan(op: Lowering) -> DraftTensor:
    op.require_type(0, F32)
    return op.emit("DIV", step(op, "SIN", op.input(0)), step(op, "COS", op.input(0)))


@lowers("IsNan")
def is_nan(op: Lowering) -> DraftTensor:
    op.require_type(0, F32)
    return op.emit("NOT_EQUAL", op.input(0), op.input(0))


@lowers("DivNoNan")
def div_no_nan(op: Lowering) -> DraftTensor:
    """x / y, but 0 where y is 0."""
    op.require_type(0, F32)
    x, y = op.inputs
    zero = op.emit("EQUAL", y, number(0), out=op.tensor(TensorType.BOOL, y.dims, "/zero"))
    quotient = broadcast(op, "DIV", x, y, op.tensor(F32, op.output().dims, "/quotient"))
    return op.emit("SELECT_V2", zero, number(0), quotient)

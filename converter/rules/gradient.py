"""Gradients of activation functions, which signatures that train have. Operands as TensorFlow has them."""

from __future__ import annotations

from ..draft import DraftTensor
from ..lower import Lowering, lowers
from .composite import SELU_ALPHA, SELU_SCALE, require_float
from .steps import choose, number, step, truth


@lowers("ReluGrad", "Relu6Grad", "LeakyReluGrad")
def relu_grad(op: Lowering) -> DraftTensor:
    """(gradient, x or result): the gradient where the function grows, else nothing or `alpha` of it."""
    require_float(op)
    gradient, x = op.inputs
    grows = truth(op, "GREATER", x, number(0))
    if op.node.op == "Relu6Grad":
        grows = truth(op, "LOGICAL_AND", grows, truth(op, "LESS", x, number(6)))
    if op.node.op != "LeakyReluGrad":
        return choose(op, grows, gradient, number(0))
    return choose(op, grows, gradient, step(op, "MUL", gradient, number(op.attr("alpha", 0.2))))


@lowers("EluGrad", "SeluGrad")
def elu_grad(op: Lowering) -> DraftTensor:
    """(gradient, result)."""
    require_float(op)
    gradient, y = op.inputs
    scale, alpha = (SELU_SCALE, SELU_ALPHA) if op.node.op == "SeluGrad" else (1.0, 1.0)
    below = step(op, "MUL", gradient, step(op, "ADD", y, number(scale * alpha)))
    above = gradient if scale == 1 else step(op, "MUL", gradient, number(scale))
    return choose(op, truth(op, "LESS", y, number(0)), below, above)


@lowers("SigmoidGrad")
def sigmoid_grad(op: Lowering) -> DraftTensor:
    """(y, gradient): gradient * y * (1 - y)."""
    require_float(op)
    y, gradient = op.inputs
    return op.emit("MUL", step(op, "MUL", gradient, y), step(op, "SUB", number(1), y))


@lowers("TanhGrad")
def tanh_grad(op: Lowering) -> DraftTensor:
    """(y, gradient): gradient * (1 - y**2)."""
    require_float(op)
    y, gradient = op.inputs
    return op.emit("MUL", gradient, step(op, "SUB", number(1), step(op, "SQUARE", y)))


@lowers("SoftplusGrad")
def softplus_grad(op: Lowering) -> DraftTensor:
    """(gradient, x)."""
    require_float(op)
    gradient, x = op.inputs
    return op.emit("MUL", gradient, step(op, "LOGISTIC", x))


@lowers("SoftsignGrad")
def softsign_grad(op: Lowering) -> DraftTensor:
    """(gradient, x): gradient / (1 + |x|)**2."""
    require_float(op)
    gradient, x = op.inputs
    return op.emit("DIV", gradient, step(op, "SQUARE", step(op, "ADD", step(op, "ABS", x), number(1))))


@lowers("SqrtGrad")
def sqrt_grad(op: Lowering) -> DraftTensor:
    """(y, gradient): gradient / 2 / y."""
    require_float(op)
    y, gradient = op.inputs
    return op.emit("DIV", step(op, "MUL", gradient, number(0.5)), y)


@lowers("RsqrtGrad")
def rsqrt_grad(op: Lowering) -> DraftTensor:
    """(y, gradient): -gradient / 2 * y**3."""
    require_float(op)
    y, gradient = op.inputs
    return op.emit("MUL", step(op, "MUL", gradient, number(-0.5)), step(op, "MUL", step(op, "SQUARE", y), y))


@lowers("InvGrad", "ReciprocalGrad")
def reciprocal_grad(op: Lowering) -> DraftTensor:
    """(y, gradient): -gradient * y**2."""
    require_float(op)
    y, gradient = op.inputs
    return op.emit("MUL", step(op, "NEG", gradient), step(op, "SQUARE", y))

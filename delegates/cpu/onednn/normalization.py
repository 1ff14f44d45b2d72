"""Layer normalisation: the ten operators that a converted layer has, as one primitive."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from ....interpreter.graph import TensorSpec
from ....interpreter.ops.base import Activation
from ....interpreter.ops.reduction import Mean
from ....interpreter.runtime.delegate import BoundNode
from . import primitive as p
from .binding import Arg, Library
from .epilogue import Chains, is_float
from .primitive import Attributes, Layout, Primitive
from .recipe import Constants, Recipe, vector


def layer_norm(
    nodes: Sequence[BoundNode], chains: Chains, position: int, constants: Constants
) -> tuple[tuple[int, ...], Recipe] | None:
    """The nodes of a layer normalisation over the last dimension that begins at `position`, and all of them as one.

    x * s + (beta - mean * s) with s = gamma / sqrt(variance + epsilon), as layers of TensorFlow and Keras write it;
    gamma, beta and epsilon are constants.
    """
    first = nodes[position]
    if not _is_mean_of_rows(first, constants):
        return None
    x, mean = first.node.inputs[0], first.node.outputs[0]
    path = _Path(nodes, chains, constants, position)
    variance = path.mean(path.to("SQUARED_DIFFERENCE", mean, x))
    sum_, epsilon = path.with_constant("ADD", variance)
    factor, gamma = path.with_constant("MUL", path.to("RSQRT", sum_))
    shift, beta = _shift(path, mean, factor)
    result = path.to("ADD", path.to("MUL", factor, x), shift)
    spec = first.ins[0]
    if result is None or spec is None or epsilon is None or epsilon.size != 1 or not path.is_closed(result):
        return None
    recipe = _recipe(spec, x, result, float(epsilon.reshape(-1)[0]), gamma, beta)
    return None if recipe is None else (tuple(path.taken), recipe)


def _shift(path: _Path, mean: int, factor: int | None) -> tuple[int | None, np.ndarray | None]:
    """beta - mean * factor as a difference, or as a sum with the negative, and beta; without it that is 0."""
    negative = path.to("NEG", mean)
    if negative is None:
        return path.with_constant("SUB", path.to("MUL", mean, factor))
    product = path.to("MUL", negative, factor)
    shift, beta = path.with_constant("ADD", product)
    return (shift, beta) if shift is not None else (product, np.zeros((), np.float32))


def _recipe(
    spec: TensorSpec, x: int, result: int, epsilon: float, gamma: np.ndarray | None, beta: np.ndarray | None
) -> Recipe | None:
    assert spec.shape is not None
    rows, width = prod(spec.shape[:-1]), spec.shape[-1]
    if gamma is None or beta is None or gamma.size != width or beta.size not in (1, width):
        return None
    layout = Layout.of((rows, width), np.float32)

    def build(library: Library, attributes: Attributes) -> Primitive:
        return p.layer_normalization(library, layout, layout, epsilon, attributes)

    fixed = {int(Arg.SCALE): vector(gamma.reshape(-1)), int(Arg.SHIFT): vector(np.resize(beta, width))}
    return Recipe(build, {Arg.SRC: x}, result, None, constants=fixed, chains=False)


class _Path:
    """Goes from tensor to tensor through nodes of given operators; where there is none, all further ones are None."""

    def __init__(self, nodes: Sequence[BoundNode], chains: Chains, constants: Constants, start: int) -> None:
        self._nodes, self._chains, self._constants = nodes, chains, constants
        self.taken = [start]

    def to(self, operator: str, tensor: int | None, other: int | None = None) -> int | None:
        """The result of the one node of an operator, without activation, that reads a tensor, and the other one."""
        found = self._node(operator, tensor)
        if tensor is None or found is None:
            return None
        inputs = set(self._nodes[found].node.inputs)
        if inputs != ({tensor} if len(inputs) == 1 else {tensor, other}):
            return None
        self.taken.append(found)
        return self._nodes[found].node.outputs[0]

    def mean(self, tensor: int | None) -> int | None:
        """The result of the mean of its rows."""
        found = self._node("MEAN", tensor)
        if found is None or not _is_mean_of_rows(self._nodes[found], self._constants):
            return None
        self.taken.append(found)
        return self._nodes[found].node.outputs[0]

    def with_constant(self, operator: str, tensor: int | None) -> tuple[int | None, np.ndarray | None]:
        """The result of a node that reads a tensor and a constant, which comes first in a difference, and that."""
        found = self._node(operator, tensor)
        if found is None:
            return None, None
        inputs = self._nodes[found].node.inputs
        values = [self._constants[i] for i in inputs if i != tensor and i in self._constants]
        if len(values) != 1 or (operator == "SUB" and inputs[0] == tensor):
            return None, None
        self.taken.append(found)
        return self._nodes[found].node.outputs[0], values[0]

    def is_closed(self, result: int) -> bool:
        """Whether nobody else reads what the nodes make, but for the last result."""
        made = {tensor for position in self.taken for tensor in self._nodes[position].node.outputs} - {result}
        readers = [self._chains.readers(tensor) for tensor in made]
        return all(each and set(each) <= set(self.taken) for each in readers)

    def _node(self, operator: str, tensor: int | None) -> int | None:
        readers = [] if tensor is None else self._chains.readers(tensor)
        found = [r for r in readers if self._nodes[r].op.name == operator and r not in self.taken]
        return found[0] if len(found) == 1 and _is_plain(self._nodes[found[0]]) else None


def _is_plain(bound: BoundNode) -> bool:
    activation = getattr(bound.op, "fused_activation_function", Activation.NONE)
    return activation is Activation.NONE and (is_float(bound) or isinstance(bound.op, Mean))


def _is_mean_of_rows(bound: BoundNode, constants: Constants) -> bool:
    op, source = bound.op, bound.ins[0] if bound.ins else None
    if not isinstance(op, Mean) or not op.keep_dims or source is None or not source.shape:
        return False
    axes, last = constants.get(bound.node.inputs[1]), len(source.shape) - 1
    is_last = axes is not None and axes.size == 1 and int(axes.reshape(-1)[0]) in (-1, last)
    return is_last and source.dtype == bound.outs[0].dtype == np.float32 and 0 not in source.shape

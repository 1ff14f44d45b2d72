"""Runtimes that are wrong on purpose, and models to be wrong about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.build import BOOL, F32, I32, GraphBuilder, model
from tflite_cupy.delegates.cpu import CpuDelegate
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import Array, Quantization, TensorType
from tflite_cupy.interpreter.runtime.delegate import BoundNode, Executable, Partition
from tflite_cupy.interpreter.runtime.lane import Lane
from tflite_cupy.runtimes import Runtime, Source, open_runtime

Change = Callable[[np.ndarray], np.ndarray]


class WrongDelegate(CpuDelegate):
    """Runs one node of one subgraph on NumPy, and changes its first result."""

    def __init__(self, node: int, change: Change, graph: int = 0) -> None:
        super().__init__(1, "numpy")
        self.name = "wrong"
        self._node, self._change, self._graph = node, change, graph

    def refuses(self, bound: BoundNode) -> str | None:
        return super().refuses(bound) if bound.node.index == self._node else "it is another node."

    def compile(self, partition: Partition) -> Executable:
        right = super().compile(partition)
        if partition.graph.index != self._graph:
            return right

        def run(lane: Lane, inputs: Sequence[Array]) -> Sequence[Array]:
            first, *rest = right(lane, inputs)
            return [self._change(first).astype(first.dtype), *rest]

        return run


class WronglyFused(CpuDelegate):
    """Wrong where it runs several nodes of which only the last one's result is asked for."""

    def __init__(self) -> None:
        super().__init__(1, "numpy")
        self.name = "wrong"

    def compile(self, partition: Partition) -> Executable:
        right = super().compile(partition)
        if len(partition.outputs) > 1 or len(partition.nodes) == 1:
            return right
        return lambda lane, inputs: [output * 2 for output in right(lane, inputs)]


class WronglyChained(CpuDelegate):
    """Wrong where one of its nodes reads what another one has made."""

    def __init__(self) -> None:
        super().__init__(1, "numpy")
        self.name = "wrong"

    def compile(self, partition: Partition) -> Executable:
        right = super().compile(partition)
        nodes = [bound.node for bound in partition.nodes]
        if {t for node in nodes for t in node.inputs}.isdisjoint(t for node in nodes for t in node.outputs):
            return right
        return lambda lane, inputs: [output * 2 for output in right(lane, inputs)]


def wrong(node: int, change: Change, graph: int = 0) -> Callable[[Source], Runtime]:
    """Opens models in a runtime that is wrong about one node."""
    return lambda source: open_runtime("numpy", source, delegates=[WrongDelegate(node, change, graph)])


def off_by(amount: float) -> Change:
    """Adds to the first element."""

    def change(array: np.ndarray) -> np.ndarray:
        result = array.copy()
        result.reshape(-1)[0] += array.dtype.type(amount)
        return result

    return change


def amplifying() -> bytes:
    """main(x float32 [4]) -> y: six nodes, of which the fifth makes a difference a hundred times larger."""
    b = GraphBuilder()
    x = b.input(F32, [4], "x")
    scaled = b.add("MUL", [x, b.constant(np.float32([1, 2, 3, 4]))])
    moved = b.add("ADD", [scaled, b.constant(np.float32([0.5]))])
    squashed = b.add("TANH", [moved])
    centred = b.add("SUB", [squashed, b.constant(np.float32([0.5]))])
    large = b.add("MUL", [centred, b.constant(np.float32([100]))])
    y = b.add("ADD", [large, scaled])
    return write_model(model(b.graph([y]), signatures={"main": (0, {"x": x}, {"y": y})}))


def quantised(gain: int = 1) -> bytes:
    """main(x int8 [8]) -> y int8: three additions of a constant to itself, and one that adds `gain` results up."""
    b = GraphBuilder()
    q = Quantization(np.float32([0.02]), np.int64([3]))
    x = b.input(TensorType.INT8, [8], "x", q)
    one = b.constant(np.full(8, 7), np.int8, q)
    sums = [x]
    for _ in range(3):
        sums += b.op("ADD", [sums[-1], one], [b.tensor(TensorType.INT8, [8], q=q)])
    total = sums[-1]
    for _ in range(gain - 1):
        (total,) = b.op("ADD", [total, sums[-1]], [b.tensor(TensorType.INT8, [8], q=q)])
    return write_model(model(b.graph([total]), signatures={"main": (0, {"x": x}, {"y": total})}))


def looping() -> bytes:
    """main(x float32 [2]) -> y: four turns of x = tanh(x * 1.5) - 0.25, before them two nodes, one of constant
    operands alone, and behind them another one."""
    b = GraphBuilder("main")
    x = b.input(F32, [2], "x")
    start = b.add("NEG", [x])
    zero = b.add("NEG", [b.constant(np.int32(0))])
    outs = b.op("WHILE", [zero, start], [b.tensor(I32), b.tensor(F32, [2])],
                cond_subgraph_index=1, body_subgraph_index=2)  # fmt: skip
    y = b.add("ABS", [outs[1]])
    c = GraphBuilder("cond")
    i, _ = c.input(I32), c.input(F32, [2])
    (less,) = c.op("LESS", [i, c.constant(np.int32(4))], [c.tensor(BOOL)])
    d = GraphBuilder("body")
    turn, value = d.input(I32), d.input(F32, [2])
    after = d.add("ADD", [turn, d.constant(np.int32(1))])
    value = d.add("MUL", [value, d.constant(np.float32([1.5]))])
    value = d.add("TANH", [value])
    value = d.add("SUB", [value, d.constant(np.float32([0.25]))])
    bodies = c.graph([less]), d.graph([after, value])
    return write_model(model(b.graph([y]), *bodies, signatures={"main": (0, {"x": x}, {"y": y})}))


def branching() -> bytes:
    """main(flag bool [], x float32 [2]) -> y: -x or x + x."""
    b = GraphBuilder("main")
    flag, x = b.input(BOOL, [], "flag"), b.input(F32, [2], "x")
    (y,) = b.op("IF", [flag, x], [b.tensor(F32, [2])], then_subgraph_index=1, else_subgraph_index=2)
    c, d = GraphBuilder("then"), GraphBuilder("else")
    then = c.graph([c.add("NEG", [c.input(F32, [2])])])
    z = d.input(F32, [2])
    otherwise = d.graph([d.add("ADD", [z, z])])
    slots: Any = {"main": (0, {"flag": flag, "x": x}, {"y": y})}
    return write_model(model(b.graph([y]), then, otherwise, signatures=slots))


def lookup(rows: int) -> bytes:
    """main(i int32 [3]) -> y: rows of a table."""
    b = GraphBuilder()
    i = b.input(I32, [3], "i")
    table = b.constant(np.arange(rows * 2).reshape(rows, 2), np.float32)
    (y,) = b.op("GATHER", [table, i], [b.tensor(F32, [3, 2])], axis=0)
    return write_model(model(b.graph([y]), signatures={"main": (0, {"i": i}, {"y": y})}))


def noise() -> bytes:
    """main() -> y float32 [8]: random numbers that no seed fixes."""
    b = GraphBuilder()
    (y,) = b.op("RANDOM_UNIFORM", [b.constant(np.int32([8]))], [b.tensor(F32, [8])], seed=0, seed2=0)
    return write_model(model(b.graph([y]), signatures={"main": (0, {}, {"y": y})}))

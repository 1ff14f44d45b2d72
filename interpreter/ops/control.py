"""Control flow: operators that run other subgraphs. The runtime executes them between partitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ..graph import Array, TensorSpec
from .base import ANY, BOOL, ControlOp, OptionalSpec, Subgraphs, op

InferGraph = Callable[[int, Sequence[OptionalSpec]], list[TensorSpec]]


def merged(left: Sequence[TensorSpec], right: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Specs of values that come from either side: a shape is known where both sides agree."""
    return [
        replace(a, value=None, shape=a.shape if a.shape == b.shape else None) for a, b in zip(left, right, strict=True)
    ]


@op("IF", BOOL, ANY)
class If(ControlOp):
    """One of two subgraphs, chosen by a boolean."""

    then_subgraph_index: int = 0
    else_subgraph_index: int = 0

    @property
    def subgraphs(self) -> tuple[int, ...]:
        return (self.then_subgraph_index, self.else_subgraph_index)

    def execute(self, call: Subgraphs, condition: Any, *arguments: Any) -> list[Any]:
        return call.invoke(self.subgraphs[0 if call.truth(condition) else 1], arguments)

    def infer_through(self, infer_graph: InferGraph, inputs: Sequence[OptionalSpec]) -> list[TensorSpec]:
        then, otherwise = (infer_graph(index, inputs[1:]) for index in self.subgraphs)
        return merged(then, otherwise)


@op("WHILE", ANY)
class While(ControlOp):
    """Run `body` on the loop values as long as `cond` of them is true."""

    cond_subgraph_index: int = 0
    body_subgraph_index: int = 0

    @property
    def subgraphs(self) -> tuple[int, ...]:
        return (self.cond_subgraph_index, self.body_subgraph_index)

    def execute(self, call: Subgraphs, *values: Array) -> list[Any]:
        state = call.settle(self.subgraphs, values)
        while call.truth(call.invoke(self.cond_subgraph_index, state)[0]):
            state = call.invoke(self.body_subgraph_index, state)
        return state

    def infer_through(self, infer_graph: InferGraph, inputs: Sequence[OptionalSpec]) -> list[TensorSpec]:
        state = [replace(s, value=None) for s in inputs if s is not None]
        while True:  # each turn can only make known shapes unknown, so this ends
            after = merged(state, infer_graph(self.body_subgraph_index, state))
            if [s.shape for s in after] == [s.shape for s in state]:
                return after
            state = after


class _Calling(ControlOp):
    """An op that stands for its only subgraph."""

    def execute(self, call: Subgraphs, *values: Any) -> list[Any]:
        return call.invoke(self.subgraphs[0], values)

    def infer_through(self, infer_graph: InferGraph, inputs: Sequence[OptionalSpec]) -> list[TensorSpec]:
        return infer_graph(self.subgraphs[0], inputs)


@op("CALL", ANY)
class Call(_Calling):
    """Run a subgraph."""

    subgraph: int = 0

    @property
    def subgraphs(self) -> tuple[int, ...]:
        return (self.subgraph,)


@op("CALL_ONCE")
class CallOnce(ControlOp):
    """Run an initialiser subgraph once in the life of an interpreter."""

    init_subgraph_index: int = 0

    @property
    def subgraphs(self) -> tuple[int, ...]:
        return (self.init_subgraph_index,)

    def execute(self, call: Subgraphs) -> list[Any]:
        call.once(self.init_subgraph_index)
        return []

    def infer_through(self, infer_graph: InferGraph, inputs: Sequence[OptionalSpec]) -> list[TensorSpec]:
        return []


@op("STABLEHLO_COMPOSITE", ANY)
class StablehloComposite(_Calling):
    """A named composite operator, run as the subgraph that the file gives as its decomposition."""

    decomposition_subgraph_index: int = 0

    @property
    def subgraphs(self) -> tuple[int, ...]:
        return (self.decomposition_subgraph_index,)

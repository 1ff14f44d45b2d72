"""Control flow: operators that run other subgraphs. The runtime executes them between partitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ..errors import GraphError, KernelError
from ..graph import Array, TensorSpec, TensorType
from .base import ANY, BOOL, ControlOp, OptionalSpec, Subgraphs, op

InferGraph = Callable[[int, Sequence[OptionalSpec]], list[TensorSpec]]


def merged(left: Sequence[TensorSpec], right: Sequence[TensorSpec], name: str) -> list[TensorSpec]:
    """Specs of values that come from either side: a shape is known where both sides agree.

    Raises GraphError, about operator `name`, where they differ in number or type.
    """
    if [s.type for s in left] != [s.type for s in right]:
        sides = " and ".join(f"({', '.join(s.type.name.lower() for s in side)})" for side in (left, right))
        raise GraphError(f"{name} has values of types {sides} where they must be the same.")
    return [
        replace(a, value=None, shape=a.shape if a.shape == b.shape else None) for a, b in zip(left, right, strict=True)
    ]


def check_condition(specs: Sequence[OptionalSpec], name: str) -> None:
    """Raises GraphError, about operator `name`, unless `specs` are one of bools; KernelError unless of one element."""
    if len(specs) != 1 or specs[0] is None or specs[0].type is not TensorType.BOOL:
        raise GraphError(f"{name} needs one condition of type bool, got {specs}")
    if specs[0].size not in (None, 1):
        raise KernelError(f"the condition has {specs[0].size} elements, expected 1")


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
        check_condition(inputs[:1], self.name)
        then, otherwise = (infer_graph(index, inputs[1:]) for index in self.subgraphs)
        return merged(then, otherwise, self.name)


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
            call.count_turn()
            state = call.invoke(self.body_subgraph_index, state)
        return state

    def infer_through(self, infer_graph: InferGraph, inputs: Sequence[OptionalSpec]) -> list[TensorSpec]:
        state = [replace(s, value=None) for s in inputs if s is not None]
        while True:  # each turn can only make known shapes unknown, so this ends
            check_condition(infer_graph(self.cond_subgraph_index, state), self.name)
            after = merged(state, infer_graph(self.body_subgraph_index, state), self.name)
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

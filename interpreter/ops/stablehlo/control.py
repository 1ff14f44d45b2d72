"""StableHLO's control flow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from typing import Any

from ...errors import KernelError
from ...graph import TensorSpec
from ..base import ANY, INT32, ControlOp, OptionalSpec, Subgraphs, op
from ..control import InferGraph, While, merged


@op("STABLEHLO_WHILE", ANY)
class StablehloWhile(While):
    """Run `body` on the loop values as long as `cond` of them is true."""


@op("STABLEHLO_CASE", INT32, ANY)
class StablehloCase(ControlOp):
    """One of several subgraphs, chosen by `index`; the last one if there is none of that number."""

    branch_subgraph_indices: tuple[int, ...] = ()

    @property
    def subgraphs(self) -> tuple[int, ...]:
        return tuple(self.branch_subgraph_indices)

    def execute(self, call: Subgraphs, index: Any, *arguments: Any) -> list[Any]:
        (number,) = call.fetch([index])
        if number.size != 1 or not self.subgraphs:
            raise KernelError(f"{self.name} got {number.size} indices for {len(self.subgraphs)} branches.")
        chosen = int(number.reshape(-1)[0])
        return call.invoke(self.subgraphs[chosen if 0 <= chosen < len(self.subgraphs) else -1], arguments)

    def infer_through(self, infer_graph: InferGraph, inputs: Sequence[OptionalSpec]) -> list[TensorSpec]:
        branches = [infer_graph(index, inputs[1:]) for index in self.subgraphs]
        if not branches:
            raise KernelError(f"{self.name} has no branches.")
        return reduce(partial(merged, name=self.name), branches[1:], branches[0])

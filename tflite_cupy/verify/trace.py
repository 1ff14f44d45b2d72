"""One run of a subgraph on both runtimes, every tensor kept, and every node once more on its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ..interpreter.errors import TfliteError
from ..interpreter.graph import Graph, Model
from ..runtimes import Runtime, Source
from .probes import Tensors, exposed, fixed_value, isolated
from .samples import Call

Opener: TypeAlias = Callable[[Source], Runtime]
"""Opens a model in one runtime."""

Placement: TypeAlias = Mapping[tuple[int, int], str]
"""Names of delegates by (subgraph, node)."""


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What went in, what the reference computed and computed again, what the candidate did, and what its nodes do with
    the reference's operands (None where they could not be run so)."""

    given: Tensors
    want: Tensors
    again: Tensors
    got: Tensors
    own: Tensors | None

    def value(self, graph: Graph, tensor: int) -> np.ndarray | None:
        """A tensor as the reference has it."""
        found = self.want.get(tensor, self.given.get(tensor))
        return fixed_value(graph, tensor) if found is None else found

    def only(self, tensors: Collection[int]) -> Trace:
        """The same for some tensors."""
        want, got = ({t: values[t] for t in tensors if t in values} for values in (self.want, self.got))
        return Trace({}, want, want, got, None)


class Tracer:
    """Traces runs of one subgraph with inputs `given`, on runtimes of its own that remember what came before.

    `stack` closes them. Raises what opening the rewritten model raises.
    """

    def __init__(
        self,
        model: Model,
        index: int,
        given: Collection[int],
        candidate: Opener,
        reference: Opener,
        stack: ExitStack,
    ) -> None:
        self._whole, self._apart = exposed(model, index, given), isolated(model, index, given)
        self._references = [stack.enter_context(reference(self._whole.content)) for _ in range(2)]
        self._candidate = stack.enter_context(candidate(self._whole.content))
        self._alone: Runtime | None = None
        with suppress(TfliteError):  # a kernel that takes constants only, say
            self._alone = stack.enter_context(candidate(self._apart.content))

    def run(self, values: Tensors) -> Trace:
        """One run with these inputs."""
        want, again = (self._whole.run(runtime, values) for runtime in self._references)
        got = self._whole.run(self._candidate, values)
        own = None
        if self._alone is not None:
            try:
                own = self._apart.run(self._alone, {**values, **want})
            except TfliteError:
                self._alone = None
        return Trace(values, want, again, got, own)

    def pass_on(self, call: Call) -> None:
        """A call of another subgraph, which may leave something behind for this one."""
        for runtime in (*self._references, self._candidate, self._alone):
            if runtime is not None:
                runtime.call(call.key, call.inputs)

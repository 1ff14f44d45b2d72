"""Which node makes two runtimes differ.

The candidate runs every node on the reference's own operands, all of them in one call (`probes.isolated`): what is off
then is the node's own error, and what only passes on an error of others is not. The first node in execution order whose
own error is larger than a node's may be is the one. Where that is a loop or a branch, the search goes on in its body,
driven turn by turn by the reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from ..interpreter.details import OPAQUE
from ..interpreter.errors import TfliteError, UnsupportedError
from ..interpreter.graph import ABSENT, Graph, Model, Node
from ..interpreter.ops.base import ControlOp
from ..interpreter.ops.binding import bind
from ..interpreter.ops.control import CallOnce, If, While
from ..runtimes import entry
from .judge import Judge
from .measure import Measure
from .probes import Tensors
from .result import Divergence
from .samples import Call
from .trace import Opener, Placement, Trace, Tracer

TURNS = 1000
"""Turns of a loop that are looked into."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The node to name for an output, None if nothing differs when every tensor is kept; and how far the output is off
    then, in the call in which that is the most."""

    divergence: Divergence | None
    output: Measure


class Locator:
    """Finds first diverging nodes. A context manager, which holds runtimes open.

    judge: of what a node may be off by. placement: who ran the candidate's nodes.
    """

    def __init__(self, model: Model, candidate: Opener, reference: Opener, judge: Judge, placement: Placement) -> None:
        self._model, self._candidate, self._reference = model, candidate, reference
        self._judge, self._placement = judge, placement
        self._stack = ExitStack()
        self._traces: dict[int, tuple[Trace, list[Trace]]] = {}
        self._bodies: dict[int, Tracer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def locate(self, calls: Sequence[Call], number: int, output: str) -> Finding:
        """The first diverging node for an output of one of the calls, which are all made anew.

        Raises TfliteError where the model can't be looked into.
        """
        signature = entry(self._model, calls[number].key)
        graph, tensor = self._model.graphs[signature.graph], signature.outputs[output]
        if number not in self._traces:
            self._traces[number] = self._follow(calls, number)
        trace, others = self._traces[number]
        furthest = Measure()
        for each in (trace, *others):
            if tensor in each.got:
                furthest = furthest.worse(self._measure(graph, tensor, each.got, each)[0])
        return Finding(self._search(graph, trace, [tensor], ()), furthest)

    def _follow(self, calls: Sequence[Call], number: int) -> tuple[Trace, list[Trace]]:
        """A call in the subgraph of its signature, and of the other calls in it, the outputs."""
        signature = entry(self._model, calls[number].key)
        given, wanted = set(signature.inputs.values()), set(signature.outputs.values())
        others = []
        with ExitStack() as stack:
            tracer = Tracer(self._model, signature.graph, given, self._candidate, self._reference, stack)
            for place, call in enumerate(calls):
                its = entry(self._model, call.key)
                if its.graph != signature.graph or set(its.inputs.values()) != given:
                    tracer.pass_on(call)
                    continue
                found = tracer.run({t: np.asarray(call.inputs[name]) for name, t in its.inputs.items()})
                if place == number:
                    trace = found
                else:
                    others.append(found.only(wanted))
        return trace, others

    def _search(self, graph: Graph, trace: Trace, wanted: Iterable[int], within: tuple[str, ...]) -> Divergence | None:
        """The node of a subgraph to name, for tensors of it that differ."""
        values, nodes = trace.got if trace.own is None else trace.own, _needed(graph, wanted)
        suspect: tuple[tuple[float, float], Divergence] | None = None
        for node, tensor in self._results(graph, nodes, trace):
            measure, excess = self._measure(graph, tensor, values, trace)
            rank = excess, measure.absolute
            if measure.equal or (excess <= 1 and suspect is not None and rank <= suspect[0]):
                continue
            found = self._divergence(graph, node, tensor, trace, within)
            if excess > 1:
                found = self._inside(graph, node, trace, within) or found
                if found.certain:
                    return found
            suspect = rank, replace(found, certain=False)
        if suspect is not None or trace.own is None:
            return suspect and suspect[1]
        for node, tensor in self._results(graph, nodes, trace):
            if self._measure(graph, tensor, trace.got, trace)[1] > 1:
                return replace(self._divergence(graph, node, tensor, trace, within), certain=False)
        return None

    def _results(self, graph: Graph, nodes: Sequence[Node], trace: Trace) -> Iterator[tuple[Node, int]]:
        """Results that can be compared: both sides have them, and the reference agrees with itself."""
        for node in nodes:
            for tensor in node.outputs:
                if tensor in trace.want and self._measure(graph, tensor, trace.again, trace)[1] <= 1:
                    yield node, tensor

    def _measure(self, graph: Graph, tensor: int, values: Tensors, trace: Trace) -> tuple[Measure, float]:
        return self._judge.measure(graph.index, tensor, values[tensor], trace.want[tensor])

    def _divergence(self, graph: Graph, node: Node, tensor: int, trace: Trace, within: tuple[str, ...]) -> Divergence:
        operands = Measure()
        for t in node.inputs:
            if t in trace.got:
                operands = operands.worse(self._measure(graph, t, trace.got, trace)[0])
        return Divergence(
            subgraph=graph.index,
            node=node.index,
            operator=node.name,
            output=graph.tensors[tensor].name,
            own=None if trace.own is None else self._measure(graph, tensor, trace.own, trace)[0],
            accumulated=self._measure(graph, tensor, trace.got, trace)[0],
            operands=operands,
            delegate=self._placement.get((graph.index, node.index)),
            within=within,
        )

    def _inside(self, graph: Graph, node: Node, trace: Trace, within: tuple[str, ...]) -> Divergence | None:
        """The node to name in the subgraphs that `node` runs on the reference's operands, if they can be run alone."""
        op = bind(node, graph, graphs=self._model.graphs)
        if not isinstance(op, ControlOp) or isinstance(op, CallOnce):
            return None
        values = [trace.value(graph, t) if t != ABSENT else None for t in node.inputs]
        known = [value for value in values if value is not None]
        if len(known) != len(values):
            return None
        try:
            if isinstance(op, While):
                return self._in_loop(op, known, node, within)
            branch = 0
            if isinstance(op, If):
                branch, known = (0 if known[0].reshape(-1)[0] else 1), known[1:]
            return self._in_body(op.subgraphs[branch], known, (*within, str(node)))[0]
        except TfliteError:  # a body that can't be called on its own: one that shares state with others, say
            return None

    def _in_loop(
        self, op: While, values: Sequence[np.ndarray], node: Node, within: tuple[str, ...]
    ) -> Divergence | None:
        """Turn by turn, on the values that the reference has then."""
        suspect: Divergence | None = None
        for turn in range(TURNS):
            place = (*within, f"turn {turn} of {node}")
            found, (goes_on, *_) = self._in_body(op.cond_subgraph_index, values, place)
            if found is None or not found.certain:
                suspect = _larger(suspect, found)
                if not goes_on.reshape(-1)[0]:
                    break
                found, values = self._in_body(op.body_subgraph_index, values, place)
            if found is not None and found.certain:
                return found
            suspect = _larger(suspect, found)
        return suspect

    def _in_body(
        self, index: int, values: Sequence[np.ndarray], within: tuple[str, ...]
    ) -> tuple[Divergence | None, list[np.ndarray]]:
        """The node to name in one run of a subgraph, and what the reference has as its outputs."""
        graph = self._model.graphs[index]
        if index not in self._bodies:
            sides = self._candidate, self._reference
            self._bodies[index] = Tracer(self._model, index, graph.inputs, *sides, self._stack)
        trace = self._bodies[index].run(dict(zip(graph.inputs, values, strict=True)))
        outputs = [trace.value(graph, t) for t in graph.outputs]
        known = [value for value in outputs if value is not None]
        if len(known) != len(outputs):
            raise UnsupportedError("an output of the subgraph has no value on its own", where=f"subgraphs[{index}]")
        return self._search(graph, trace, graph.outputs, within), known


def _needed(graph: Graph, wanted: Iterable[int]) -> list[Node]:
    """The nodes that tensors depend on, in execution order; all that use resources, if one of them does."""
    needed, found = set(wanted), []
    opaque = {t for t, tensor in enumerate(graph.tensors) if tensor.type in OPAQUE}
    for node in reversed(graph.nodes):
        if not needed.isdisjoint(node.outputs) or (needed & opaque and not opaque.isdisjoint(node.inputs)):
            found.append(node)
            needed.update(node.inputs)
    return found[::-1]


def _larger(one: Divergence | None, other: Divergence | None) -> Divergence | None:
    """The one with the larger error of its own."""
    if one is None or other is None:
        return one or other
    if one.own is None or other.own is None:
        return one
    return one if one.own.worse(other.own) is one.own else other

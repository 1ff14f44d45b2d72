"""One conversion from entries to a model: the stages in order, and what they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import ref

import numpy as np

from ..interpreter.errors import ConversionError
from ..interpreter.graph import Model
from . import fusions, rules  # noqa: F401  (registers them)
from .branches import take_branches
from .draft import DraftGraph, DraftTensor
from .expand import Expander
from .flex import custom_node, flex_node, obstacle
from .fold import fold
from .functions import Body, Library
from .inline import Argument, inline
from .lists import lower_lists
from .load import Entry, Source
from .lower import GraphLowering
from .patterns import find_patterns
from .report import ConversionReport, report_on
from .resources import BRANCHES, Resources, mark_uses
from .rewrite import rewrite
from .shapes import TfSession
from .state import State
from .tfgraph import TfGraph, TfNode
from .write import Draft, freeze

ALWAYS_BUILTIN = frozenset(BRANCHES)
"""Operators that Flex nodes can't stand for: they hold functions."""


@dataclass(frozen=True)
class Options:
    """Which operators a conversion may use."""

    flex: bool = False
    builtins: bool = True
    custom: bool = False


@dataclass(frozen=True)
class Problem:
    """A node that can't be converted as asked."""

    graph: str
    name: str
    op: str
    text: str


def convert(source: Source, options: Options) -> tuple[Model, ConversionReport]:
    """The model that the entries make. Raises ConversionError, naming every node in the way."""
    conversion = Conversion(options)
    drafts = conversion.drafts(source.entries)
    conversion.raise_problems()
    return freeze(drafts), report_on(drafts)


class Conversion:
    """What the subgraphs of one model share: functions, resources, initialiser, problems."""

    always_builtin = ALWAYS_BUILTIN

    def __init__(self, options: Options) -> None:
        self.options = options
        self.all_flex = not options.builtins
        self.functions = Library()
        self.expander = Expander(self.functions)
        self.resources = Resources()
        self.state = State()
        self.problems: list[Problem] = []
        self._transposed: dict[tuple[int, tuple[int, ...]], tuple[ref[np.ndarray], ref[np.ndarray]]] = {}

    def drafts(self, entries: Sequence[Entry]) -> list[Draft]:
        """A subgraph for each entry; entries of one function share it."""
        bodies = {e.function: e.body(self.functions) for e in entries}
        arguments = {e.function: e.arguments(self.resources) for e in entries}
        for function, body in bodies.items():
            graph = inline(body, arguments[function], self.functions)
            mark_uses(graph, self.functions)
            graph.release()
        self.resources.settle(all_flex=self.all_flex)
        subgraphs: dict[object, DraftGraph] = {}
        for entry in entries:
            if entry.function not in subgraphs:
                names = [f"{entry.key}_{name}:0" for name in entry.inputs]
                body = bodies[entry.function]
                subgraphs[entry.function] = self.subgraph(body, arguments[entry.function], entry.key, names)
        for draft in subgraphs.values():
            self.state.call_once(draft)
        return [Draft(e.key, subgraphs[e.function], e.inputs, e.outputs) for e in entries]

    def subgraph(self, body: Body, arguments: Sequence[Argument], name: str, inputs: Sequence[str] = ()) -> DraftGraph:
        """A function, called with `arguments`, as a subgraph called `name`."""
        return self.lower(inline(body, arguments, self.functions), name, inputs)

    def lower(self, graph: TfGraph, name: str, inputs: Sequence[str] = ()) -> DraftGraph:
        """A flat graph, which is used up, as a subgraph called `name`; `inputs` are its tensors' names.

        By default they are numbered: names of arguments in function bodies depend on what was traced before.
        """
        self.fold(graph)
        while take_branches(graph, self.functions):
            self.fold(graph)
        find_patterns(graph)
        names = inputs or [f"{name}/input_{i}" for i in range(len(graph.inputs))]
        draft = GraphLowering(self, name).run(graph, names)
        rewrite(draft)
        graph.release()  # last: what `rewrite` makes would lie in the holes, which could not be given back then
        return draft

    def fold(self, graph: TfGraph) -> None:
        """Find shapes and constants of a flat graph, and write out what has no rule of its own."""
        lower_lists(graph, self.functions)
        self.expander.run(graph)
        session = TfSession(graph)
        fold(graph, session)
        session.close()

    def fallback(self, graph: GraphLowering, node: TfNode, reason: str) -> Sequence[DraftTensor]:
        """Results of a node that no rule takes: it becomes a Flex node, or a problem is noted."""
        outputs = [DraftTensor(v.name, graph.type_of(v), v.dims) for v in node.outputs]
        why_not = obstacle(node)
        if why_not is not None:
            self.problem(graph.draft, node, f"'tf.{node.op}' op can't be converted: {reason}; {why_not}")
            return outputs
        inputs = [graph.tensor(value) for value in node.inputs]
        if self.options.flex:
            graph.draft.nodes.append(flex_node(node, inputs, outputs, reason))
        elif self.options.custom:
            graph.draft.nodes.append(custom_node(node, inputs, outputs, reason))
        else:
            self.problem(graph.draft, node, f"'tf.{node.op}' op is neither a custom op nor a flex op: {reason}")
        return outputs

    def transposed(self, array: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
        """A view of a constant with its dimensions reordered: one array while any subgraph uses it."""
        source, result = self._transposed.get((id(array), order), (None, None))
        found = result() if result is not None and source is not None and source() is array else None
        if found is None:
            found = array.transpose(order)
            self._transposed[id(array), order] = ref(array), ref(found)
        return found

    def problem(self, draft: DraftGraph, node: TfNode, text: str) -> None:
        """Note a node that can't be converted; the conversion goes on, to find the others."""
        self.problems.append(Problem(draft.name, node.name, node.op, text))

    def raise_problems(self) -> None:
        """Raise ConversionError if there were problems."""
        if not self.problems:
            return
        lines = [f"{p.text} (node {p.name!r} in {p.graph!r})" for p in self.problems]
        flexible = any("neither a custom op nor a flex op" in p.text for p in self.problems)
        hint = "Add OpsSet.SELECT_TF_OPS to target_spec.supported_ops to run them as TensorFlow (Flex) nodes."
        head = "" if len(lines) == 1 else f"{len(lines)} nodes can't be converted:\n"
        raise ConversionError(head + "\n".join(lines), hint="\n" + hint if flexible else "")

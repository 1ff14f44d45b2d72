"""What runs where, as data: subgraphs with their tensors, nodes and steps. The other files of this room show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias, TypeVar

NAMES = ("gpu", "cpu", "flex")
"""Delegates that every report lists, also those with nothing to do."""

NOBODY = "nobody"
"""Stands, in steps, for the delegate that nodes lack."""

CALLER = "call"
"""Where the inputs of a subgraph come from, and its outputs go."""


@dataclass(frozen=True, slots=True)
class TensorReport:
    """A tensor as far as it is known before the call."""

    index: int
    name: str
    type: str  # "float32"
    shape: tuple[int, ...] | None  # None: not known before the call
    nbytes: int | None  # likewise
    is_constant: bool = False

    @property
    def form(self) -> str:
        """Type and shape: "float32[1,3]"."""
        return f"{self.type}[{'?' if self.shape is None else ','.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One node: who runs it (None: nobody has to), in which partition, and what each delegate that refused it said."""

    index: int
    name: str
    delegate: str | None
    partition: int | None
    refusals: Mapping[str, str]
    note: str = ""  # why nobody runs it: "folded", "unused" or "unsupported"
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    reason: str = ""  # why it is unsupported
    bookkeeping: bool = False  # computes nothing itself: control flow, whose bodies count instead, handles of resources
    subgraphs: tuple[int, ...] = ()  # that it runs
    multiply_adds: int | None = None  # of convolutions and matrix products whose shapes are known

    @property
    def counts(self) -> bool:
        """Whether it is work that some delegate has to do."""
        return not self.bookkeeping and self.note in ("", "unsupported")

    def __str__(self) -> str:
        return f"{self.name}#{self.index}"


@dataclass(frozen=True, slots=True)
class PartitionReport:
    """Nodes that one delegate runs as a unit, and what it says of them itself."""

    delegate: str  # NOBODY for nodes that lack one
    nodes: tuple[int, ...]
    details: Mapping[str, object] = field(default_factory=dict)
    inputs: tuple[int, ...] = ()  # tensors that it reads and does not make, apart from constants
    outputs: tuple[int, ...] = ()  # tensors that it makes and others read
    index: int = -1  # place among the partitions of the subgraph; -1 where nobody runs it


@dataclass(frozen=True, slots=True)
class CopyReport:
    """Tensors that are copied from one memory to another."""

    source: str  # the delegate that made them, or CALLER
    target: str  # the delegate that reads them, or CALLER
    tensors: tuple[int, ...]
    nbytes: int | None  # None: not known before the call
    is_certain: bool = True  # False: results of control flow, which may be there already


StepReport: TypeAlias = PartitionReport | CopyReport

Named: TypeAlias = tuple[tuple[str, int], ...]
"""Inputs or outputs: (name, tensor)."""


@dataclass(slots=True)
class DelegateTotal:
    """What one delegate does in a subgraph, a signature or the model."""

    nodes: int = 0
    partitions: int = 0
    bytes_in: int = 0  # copied into its space for one call
    bytes_out: int = 0  # copied out of its space for one call, outputs for a caller on the host included

    def add(self, other: DelegateTotal) -> None:
        self.nodes += other.nodes
        self.partitions += other.partitions
        self.bytes_in += other.bytes_in
        self.bytes_out += other.bytes_out


@dataclass(frozen=True, slots=True)
class SubgraphReport:
    """One subgraph."""

    index: int
    name: str
    nodes: tuple[NodeReport, ...]  # all of them, in file order
    steps: tuple[StepReport, ...]  # in the order in which they run
    totals: Mapping[str, DelegateTotal]
    unknown_moves: bool  # some copies' sizes depend on values
    tensors: Mapping[int, TensorReport] = field(default_factory=dict)  # those that nodes, inputs and outputs name
    inputs: Named = ()  # named as by its signature if it has one, by the first of several
    outputs: Named = ()

    @property
    def partitions(self) -> tuple[PartitionReport, ...]:
        """In the order in which they run."""
        return tuple(s for s in self.steps if isinstance(s, PartitionReport) and s.delegate != NOBODY)

    @property
    def copies(self) -> tuple[CopyReport, ...]:
        """In the order in which they are made; the last brings outputs to the caller, where they are not there yet."""
        return tuple(s for s in self.steps if isinstance(s, CopyReport))

    def of(self, note: str) -> int:
        """How many nodes are "folded", "unused" or "unsupported"."""
        return sum(node.note == note for node in self.nodes)

    def at(self, indices: Iterable[int]) -> list[NodeReport]:
        """The nodes of these indices."""
        return [self.nodes[index] for index in indices]


Report = TypeVar("Report", bound="Survey")


@dataclass(frozen=True, slots=True)
class Survey:
    """What runs where, and why, in a whole model."""

    subgraphs: tuple[SubgraphReport, ...]
    signatures: Mapping[str, tuple[int, ...]]  # key -> the subgraphs it reaches, its own first
    titles: Mapping[str, str] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)  # delegates that were not there to be asked, and why
    ends: Mapping[str, tuple[Named, Named]] = field(default_factory=dict)  # key -> inputs, outputs as it names them

    def at(self, indices: Iterable[int]) -> list[SubgraphReport]:
        """The subgraphs of these indices."""
        by_index = {subgraph.index: subgraph for subgraph in self.subgraphs}
        return [by_index[index] for index in indices]

    def reached(self, key: str | None = None) -> list[SubgraphReport]:
        """Subgraphs that a signature reaches, its own first, with its names; without a key all."""
        if key is None:
            return list(self.subgraphs)
        found = self.at(self.signatures[key])
        if key in self.ends and found:
            inputs, outputs = self.ends[key]
            found[0] = replace(found[0], inputs=inputs, outputs=outputs)
        return found

    def only(self: Report, key: str) -> Report:
        """The report of one signature."""
        reached = sorted(self.reached(key), key=lambda subgraph: subgraph.index)
        return replace(self, subgraphs=tuple(reached), signatures={key: self.signatures[key]})

    def totals(self, indices: Iterable[int] | None = None) -> dict[str, DelegateTotal]:
        """Totals per delegate over these subgraphs, by default all."""
        chosen = self.subgraphs if indices is None else self.at(indices)
        totals = {name: DelegateTotal() for name in (*NAMES, *self.titles)}
        for subgraph in chosen:
            for name, total in subgraph.totals.items():
                totals.setdefault(name, DelegateTotal()).add(total)
        return totals

    def coverage(self, delegate: str, key: str | None = None) -> float:
        """Percent of the nodes of a signature, or of all, that this delegate runs, of those that compute something."""
        nodes = counting(self.reached(key))
        return 100 * sum(node.delegate == delegate for node in nodes) / len(nodes) if nodes else 100.0

    def entries(self) -> list[tuple[str | None, list[SubgraphReport]]]:
        """(signature key, subgraphs that it reaches); None for the subgraphs of no signature, if there are any."""
        named: list[tuple[str | None, list[SubgraphReport]]] = [(key, self.reached(key)) for key in self.signatures]
        reached = {subgraph.index for _, subgraphs in named for subgraph in subgraphs}
        left = [subgraph for subgraph in self.subgraphs if subgraph.index not in reached]
        return [*named, (None, left)] if left else named

    def lanes(self) -> list[str]:
        """All delegates, those of every report first, then others that the model was offered."""
        return list(self.totals())


def counting(subgraphs: Iterable[SubgraphReport]) -> list[NodeReport]:
    """The nodes that are work for some delegate."""
    return [node for subgraph in subgraphs for node in subgraph.nodes if node.counts]

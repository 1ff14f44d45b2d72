"""What a conversion made of each signature: builtin operators, Flex nodes and why these are Flex."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from .difference import Difference
from .flex import is_flex
from .write import Draft


@dataclass(frozen=True, slots=True)
class FlexNode:
    """A node that only TensorFlow can run: its name (layer or scope included), its operator, the reason."""

    name: str
    op: str
    reason: str

    @property
    def scope(self) -> str:
        """The layer or name scope that the node stands in."""
        return self.name.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class OutputCheck:
    """The largest difference from TensorFlow that an output had; `random` if TensorFlow itself varies there."""

    name: str
    difference: Difference
    random: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {'random; shape and dtype agree' if self.random else self.difference}"


@dataclass(frozen=True, slots=True)
class SignatureReport:
    """Operators that one signature can reach, control flow and initialisers included."""

    key: str
    builtin: Mapping[str, int]  # operator -> nodes
    flex: tuple[FlexNode, ...]
    custom: Mapping[str, int]  # the user's own operators -> nodes
    checks: tuple[OutputCheck, ...] | None = None  # the outputs, if they were held against TensorFlow's

    @property
    def builtin_count(self) -> int:
        return sum(self.builtin.values())

    @property
    def flex_count(self) -> int:
        return len(self.flex)

    @property
    def peak_error(self) -> float | None:
        """Largest difference from TensorFlow, in parts of the output's largest element; None if not verified."""
        return None if self.checks is None else max((c.difference.relative for c in self.checks), default=0.0)

    def __str__(self) -> str:
        lines = [f"{self.key}: {self.builtin_count} builtin, {self.flex_count} Flex"]
        if self.builtin:
            lines.append("  " + ", ".join(f"{op} x{n}" if n > 1 else op for op, n in self.builtin.items()))
        lines += [f"  custom operator {op} x{n}" for op, n in self.custom.items()]
        lines += [f"  Flex{node.op} {node.name!r}: {node.reason}" for node in self.flex]
        lines += [f"  against TensorFlow, {check}" for check in self.checks or ()]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class ConversionReport:
    """The report of a whole conversion; `str()` of it is what a person reads."""

    signatures: tuple[SignatureReport, ...]

    def __getitem__(self, key: str) -> SignatureReport:
        """Report of one signature."""
        return {s.key: s for s in self.signatures}[key]

    def verified(self, checks: Mapping[str, tuple[OutputCheck, ...]]) -> ConversionReport:
        """The same with what a comparison with TensorFlow found, by signature key."""
        return ConversionReport(tuple(replace(s, checks=checks.get(s.key)) for s in self.signatures))

    def __str__(self) -> str:
        return "\n".join(map(str, self.signatures))


def report_on(drafts: Sequence[Draft]) -> ConversionReport:
    """Count the operators that each signature's subgraph can reach."""
    return ConversionReport(tuple(_report_signature(draft) for draft in drafts))


def _report_signature(draft: Draft) -> SignatureReport:
    nodes = [node for graph in draft.graph.reachable() for node in graph.nodes]
    builtin = Counter(node.op for node in nodes if not node.custom)
    flex = tuple(FlexNode(n.origin, n.op.removeprefix("Flex"), n.reason) for n in nodes if is_flex(n))
    custom = Counter(node.op for node in nodes if node.custom and not is_flex(node))
    return SignatureReport(draft.key, dict(sorted(builtin.items())), flex, dict(sorted(custom.items())))

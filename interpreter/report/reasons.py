"""Why nodes are not where they might be: what delegates said of them, as few sentences as possible."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from .data import NodeReport, SubgraphReport


@dataclass(frozen=True, slots=True)
class Reason:
    """A sentence, and the nodes that it was said of."""

    delegates: tuple[str, ...]  # who said it; none where it is why nobody runs the nodes
    before: str  # the sentence up to the operator's name
    after: str | None  # and from there on; None: it does not name the operator
    nodes: tuple[tuple[int, NodeReport], ...]  # (subgraph, node)

    @property
    def kinds(self) -> list[tuple[str, int]]:
        """(operator, how many nodes), the most frequent first."""
        return Counter(node.name for _, node in self.nodes).most_common()

    def sentence(self, operator: str = "[name]") -> str:
        """The sentence, with `operator` for the names of several."""
        if self.after is None:
            return self.before
        kinds = self.kinds
        return self.before + (kinds[0][0] if len(kinds) == 1 else operator) + self.after


def refusals(subgraphs: Iterable[SubgraphReport]) -> list[Reason]:
    """What delegates said of nodes that others took. Sentences that differ in the operator's name alone are one."""
    groups: dict[tuple[tuple[str, ...], str, str | None], list[tuple[int, NodeReport]]] = {}
    for subgraph in subgraphs:
        for node in subgraph.nodes:
            said: dict[tuple[str, str | None], tuple[str, ...]] = {}
            for delegate, sentence in node.refusals.items() if node.note != "unsupported" else ():
                parts = _parted(sentence, node.name)
                said[parts] = (*said.get(parts, ()), delegate)
            for (before, after), delegates in said.items():
                groups.setdefault((delegates, before, after), []).append((subgraph.index, node))
    return _sorted(groups)


def unsupported(subgraphs: Iterable[SubgraphReport]) -> list[Reason]:
    """Why nobody runs nodes, likewise."""
    groups: dict[tuple[tuple[str, ...], str, str | None], list[tuple[int, NodeReport]]] = {}
    for subgraph in subgraphs:
        for node in subgraph.nodes:
            if node.note == "unsupported":
                groups.setdefault(((), *_parted(node.reason, node.name)), []).append((subgraph.index, node))
    return _sorted(groups)


def _parted(sentence: str, name: str) -> tuple[str, str | None]:
    found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", sentence) if name else None
    return (sentence, None) if found is None else (sentence[: found.start()], sentence[found.end() :])


def _sorted(groups: dict[tuple[tuple[str, ...], str, str | None], list[tuple[int, NodeReport]]]) -> list[Reason]:
    reasons = [Reason(*key, tuple(nodes)) for key, nodes in groups.items()]
    return sorted(reasons, key=lambda reason: -len(reason.nodes))

"""What the picture has no room for: every node, and every reason, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..words import amount, count
from .colours import IDLE, LOST, Colour
from .data import NOBODY, NodeReport, PartitionReport, SubgraphReport
from .markup import kinds, name, rows, tensors, text
from .picture import anchor
from .reasons import Reason
from .words import details, spelled

_FEW = 12
"""Lists of nodes that are not folded away together."""

_LINKED = 48
"""Nodes of a reason that are named; the others are given by number."""


def partitions(subgraph: SubgraphReport, fills: Mapping[str, Colour]) -> str:
    """The nodes of each partition, folded; and those that do not run."""
    parts = [s for s in subgraph.steps if isinstance(s, PartitionReport)]
    blocks = [_partition(subgraph, part, fills) for part in parts]
    for note, why in (("folded", "known before the call"), ("unused", "nobody reads their outputs")):
        nodes = [node for node in subgraph.nodes if node.note == note]
        if nodes:
            title = f"<b>{note}</b> {count(len(nodes), 'node')}: {why}"
            blocks.append(_folded("", IDLE.css, title, _nodes(subgraph, nodes)))
    lists = "\n".join(blocks)
    if len(blocks) <= _FEW:
        return lists
    return f"<details><summary>All nodes, in {len(blocks)} lists</summary>{lists}</details>"


def _partition(subgraph: SubgraphReport, part: PartitionReport, fills: Mapping[str, Colour]) -> str:
    nodes = subgraph.at(part.nodes)
    head = "nobody" if part.delegate == NOBODY else f"partition {part.index} on {text(spelled(part.delegate))}"
    title = f"<b>{head}</b> {count(len(nodes), 'node')}: {kinds(nodes)}"
    facts = "".join(f"<p>{text(line)}</p>" for line in details(part.details))
    return _folded(anchor(subgraph, part), fills[part.delegate].css, title, facts + _nodes(subgraph, nodes))


def _folded(place: str, css: str, title: str, inside: str) -> str:
    """Folded markup; a link to `place` unfolds it, since that is inside."""
    mark = f' id="{place}"' if place else ""
    return f'<details class="nodes {css}"><summary>{title}</summary><div{mark}>{inside}</div></details>'


def _nodes(subgraph: SubgraphReport, nodes: Sequence[NodeReport]) -> str:
    has_work = any(node.multiply_adds is not None for node in nodes)
    head = rows([("node", "operator", "reads", "makes", *(["multiply-adds"] if has_work else []))], "th")
    lines = "".join(_node(subgraph, node, has_work) for node in nodes)
    return f'<div class="scroll"><table><thead>{head}</thead><tbody>{lines}</tbody></table></div>'


def _node(subgraph: SubgraphReport, node: NodeReport, has_work: bool) -> str:
    runs = "".join(f' <a href="#g{index}">runs subgraph {index}</a>' for index in node.subgraphs)
    cells = [str(node.index), f"{name(node.name)}{runs}"]
    cells += [tensors(subgraph, node.inputs, 24), tensors(subgraph, node.outputs, 24)]
    cells += [("" if node.multiply_adds is None else amount(node.multiply_adds))] if has_work else []
    return rows([cells], place=f"g{subgraph.index}n{node.index}")


def reasons(found: Sequence[Reason], fills: Mapping[str, Colour]) -> str:
    """Sentences with who said them and of which nodes."""
    lines = [_reason(reason, fills) for reason in found]
    head = rows([("nodes", "refused by", "reason", "which")], "th")
    return (
        f'<div class="scroll"><table class="reasons"><thead>{head}</thead><tbody>{"".join(lines)}</tbody></table></div>'
    )


def _reason(reason: Reason, fills: Mapping[str, Colour]) -> str:
    who = " ".join(f'<span class="chip {fills[d].css}">{text(spelled(d))}</span>' for d in reason.delegates)
    who = who or f'<span class="chip {LOST.css}">everybody</span>'
    linked = ", ".join(
        f'<a href="#g{place}n{node.index}">{name(node.name, 40)}#{node.index}</a>'
        for place, node in reason.nodes[:_LINKED]
    )
    rest = [(place, node.index) for place, node in reason.nodes[_LINKED:]]
    more = f", and {len(rest):,} more: {_ranges(rest)}" if rest else ""
    sentence = f"<bdi>{text(reason.sentence())}</bdi>"
    return f"<tr><td>{len(reason.nodes)}</td><td>{who}</td><td>{sentence}</td><td>{linked}{more}</td></tr>\n"


def _ranges(nodes: Sequence[tuple[int, int]]) -> str:
    """Nodes by number, runs of them as first to last."""
    runs: list[list[int]] = []
    for place, index in nodes:
        if runs and runs[-1][0] == place and runs[-1][2] == index - 1:
            runs[-1][2] = index
        else:
            runs.append([place, index, index])
    shown = []
    for position, (place, first, last) in enumerate(runs):
        where = f"subgraph {place}: " if position == 0 or runs[position - 1][0] != place else ""
        shown.append(f"{where}{first}" if first == last else f"{where}{first} to {last}")
    return ", ".join(shown)

"""The picture of a subgraph as SVG: a row of lanes after the other, each with what is told of its parts when one points
at them. No script is needed: `page.css` shows the part `tN` of a row while `bN` has the pointer or the focus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, hypot

from ..words import amount, count, short_size, shortened, size
from .colours import Colour, colours
from .data import CALLER, NOBODY, CopyReport, PartitionReport, SubgraphReport
from .layout import LEFT, Arrow, Box, Lane, Layout, Row, lay_out
from .markup import name, rows, tensor, tensors, text
from .words import copy_ends, details, kinds, spelled

_LISTED = 7
"""Nodes or tensors that are told of a part."""

_WHY = 110
"""Characters of why a lane is empty."""


def anchor(subgraph: SubgraphReport, part: PartitionReport | None = None) -> str:
    """Id of the subgraph's section, or of the list of a partition's nodes."""
    place = "" if part is None else f"p{part.index}" if part.index >= 0 else f"x{part.nodes[0]}"
    return f"g{subgraph.index}{place}"


def picture(subgraph: SubgraphReport, delegates: Sequence[str], absent: Mapping[str, str]) -> str:
    """The rows of a subgraph's picture."""
    layout = lay_out(subgraph, delegates, absent)
    painter = _Painter(subgraph, layout, colours(delegates))
    drawn = "\n".join(painter.row(row, place) for place, row in enumerate(layout.rows))
    more = f'<p class="more">{count(layout.left_out, "more step")}, listed below.</p>' if layout.left_out else ""
    return f'<div class="picture">{drawn}{more}</div>'


class _Painter:
    def __init__(self, subgraph: SubgraphReport, layout: Layout, fills: Mapping[str, Colour]) -> None:
        self._subgraph, self._layout, self._fills = subgraph, layout, fills
        self._lanes = {lane.name: lane for lane in layout.lanes}

    def row(self, row: Row, place: int) -> str:
        """One row: the drawing, and what is told of its parts."""
        label = text(f"Subgraph {self._subgraph.index} {self._subgraph.name}, row {place + 1}")
        drawn = [self._rail(row, is_last=place == len(self._layout.rows) - 1)]
        drawn += [self._lane(lane) for lane in self._layout.lanes[1:]]
        drawn += [self._flow(arrow) for arrow in row.arrows if arrow.copy is None]
        parts: list[Box | Arrow] = [*(arrow for arrow in row.arrows if arrow.copy is not None), *row.boxes]
        told = []
        for index, part in enumerate(sorted(parts, key=_time)):
            drawn.append(self._copy(part, index) if isinstance(part, Arrow) else self._box(part, index))
            told.append(f'<div class="tip t{index} {self._css(part)}">{self._told(part)}</div>')
        extent = f'class="w{ceil(row.width / 100)}" height="{self._layout.height + 2:g}"'
        svg = f'<svg {extent} role="group" aria-label="{label}">{"".join(drawn)}</svg>'
        tips = f'<div class="tips" aria-hidden="true">{"".join(told)}</div>'
        return f'<div class="row"><div class="scroll">{svg}</div>{tips}</div>'

    def _css(self, part: Box | Arrow) -> str:
        """The class of the delegate that a part belongs to: that of a copy is where it goes, or else comes from."""
        lane = part.lane if isinstance(part, Box) else CALLER
        if isinstance(part, Arrow) and part.copy is not None:
            lane = part.copy.source if part.copy.target == CALLER else part.copy.target
        return "ends" if lane == CALLER else self._fills[lane].css

    def _rail(self, row: Row, *, is_last: bool) -> str:
        """The lane of the caller: a line as long as the call takes."""
        y = self._layout.lanes[0].middle
        end = f"{row.width - 4:g}" if is_last and not self._layout.left_out else "100%"
        line = f'<line class="rail" x1="{LEFT - 8}" y1="{y:g}" x2="{end}" y2="{y:g}"/>'
        return f'{line}<text class="lane-name ends" x="10" y="{y + 4:g}">call</text>'

    def _lane(self, lane: Lane) -> str:
        y = lane.middle + 4
        css = self._fills[lane.name].css + (" quiet" if lane.why else "")
        band = f'<rect class="lane" y="{lane.top:g}" width="100%" height="{lane.height:g}" rx="7"/>'
        title = f'<text class="lane-name" x="10" y="{y:g}">{text(shortened(spelled(lane.name), 11))}</text>'
        why = f'<text class="why" x="100%" dx="-12" y="{y:g}">{text(shortened(lane.why, _WHY))}</text>'
        return f'<g class="{css}">{band}{title}{why if lane.why else ""}</g>'

    def _flow(self, arrow: Arrow) -> str:
        return f'<g class="flow"><path d="{_path(arrow.points)}"/>{_head(arrow)}</g>'

    def _copy(self, arrow: Arrow, index: int) -> str:
        assert arrow.copy is not None
        line, (begin, start), (turn, end) = _path(arrow.points), arrow.points[0], arrow.points[2]
        css = f"copy b{index} {self._css(arrow)}{'' if arrow.copy.is_certain else ' unsure'}"
        dot = f'<circle cx="{begin:g}" cy="{start:g}" r="3"/>' if begin == turn else ""
        y = (start + end) / 2 + (3.5 if abs(start - end) > 12 else -6)
        nbytes = f'<text x="{turn + 6:g}" y="{y:g}">{short_size(arrow.copy.nbytes)}</text>'
        return (
            f'<g class="{css}" tabindex="0" role="img" aria-label="{text(_copy_words(arrow.copy))}">'
            f'<path class="near" d="{line}"/><path d="{line}"/>{_head(arrow)}{dot}{nbytes}</g>'
        )

    def _box(self, box: Box, index: int) -> str:
        lane = self._lanes[box.lane]
        if box.step is None:
            named = self._subgraph.outputs if box.is_end else self._subgraph.inputs
            words = text(f"{'outputs' if box.is_end else 'inputs'}: {', '.join(n for n, _ in named) or 'none'}")
            pill = f'<rect x="{box.x:g}" y="{lane.middle - 13:g}" width="{box.width:g}" height="26" rx="13"/>'
            title = f'<text x="{box.x + box.width / 2:g}" y="{lane.middle + 3.5:g}">{text(box.title)}</text>'
            return f'<g class="pill b{index}" tabindex="0" role="img" aria-label="{words}">{pill}{title}</g>'
        nodes = self._subgraph.at(box.step.nodes)
        y, height = lane.top + 6, lane.height - 12
        is_control = any(node.subgraphs for node in nodes)
        css = f"box b{index} {self._fills[box.lane].css}{' control' if is_control else ''}"
        frame = f'<rect x="{box.x:g}" y="{y:g}" width="{box.width:g}" height="{height:g}" rx="6"/>'
        lines = "".join(
            f'<text class="op" x="8" y="{28.5 + 11.5 * i:g}">{text(line)}</text>' for i, line in enumerate(box.lines)
        )
        words = text(f"{_title(box.step)}: {count(len(nodes), 'node')}, {kinds(nodes)}")
        inner = f'<svg x="{box.x:g}" y="{y:g}" width="{box.width:g}" height="{height:g}">'
        return (
            f'<a class="{css}" href="#{anchor(self._subgraph, box.step)}" aria-label="{words}">{frame}'
            f'{inner}<text class="title" x="8" y="15">{text(box.title)}</text>{lines}</svg></a>'
        )

    def _told(self, part: Box | Arrow) -> str:
        subgraph = self._subgraph
        if isinstance(part, Arrow):
            assert part.copy is not None
            listed = "".join(f"<li>{tensor(subgraph.tensors[i])}</li>" for i in part.copy.tensors[:_LISTED])
            left = len(part.copy.tensors) - _LISTED
            return f"<h4>{text(_copy_words(part.copy))}</h4><ul>{listed}{_more(left, 'more tensor')}</ul>"
        if part.step is None:
            named = subgraph.outputs if part.is_end else subgraph.inputs
            lines = [f"<li>{name(key)}: {tensor(subgraph.tensors[i])}</li>" for key, i in named[:_LISTED]]
            what = count(len(named), "output" if part.is_end else "input")
            return f"<h4>{what}</h4><ul>{''.join(lines)}{_more(len(named) - _LISTED, 'more tensor')}</ul>"
        return self._told_of_partition(part.step)

    def _told_of_partition(self, part: PartitionReport) -> str:
        subgraph = self._subgraph
        nodes = subgraph.at(part.nodes)
        work = sum(node.multiply_adds or 0 for node in nodes)
        who = name(nodes[0].name, 60) if len(nodes) == 1 else count(len(nodes), "node")
        facts = [who, *([f"{amount(work)} multiply-adds"] if work else [])]
        said = [f"<p>{text(line)}</p>" for line in details(part.details)[:4]]
        ends = [("reads", part.inputs), ("makes", part.outputs)]
        said += [f"<p><b>{what}</b> {tensors(subgraph, indices, 3)}</p>" for what, indices in ends if indices]
        if len(nodes) == 1:
            return f'<h4>{text(_title(part))} · {" · ".join(facts)}</h4><div class="wide">{"".join(said)}</div>'
        lines = [(str(n.index), f"<b>{name(n.name, 40)}</b>", tensors(subgraph, n.outputs, 2)) for n in nodes[:_LISTED]]
        more = _more(len(nodes) - _LISTED, "more node", "p")
        title = f"<h4>{text(_title(part))} · {' · '.join(facts)}</h4>"
        return f"{title}<div>{''.join(said)}</div><div><table>{rows(lines)}</table>{more}</div>"


def _time(part: Box | Arrow) -> float:
    """Where a part of a row begins."""
    return part.x if isinstance(part, Box) else part.points[1][0]


def _head(arrow: Arrow) -> str:
    x, y = arrow.points[-1]
    head = f'<path class="head" d="M{x - 7:g} {y - 4.5:g}L{x:g} {y:g}L{x - 7:g} {y + 4.5:g}Z"/>'
    return head if arrow.has_head else ""


def _copy_words(copy: CopyReport) -> str:
    nbytes = "as many bytes as the call makes them" if copy.nbytes is None else size(copy.nbytes)
    unsure = "" if copy.is_certain else ", where they are not there already"
    return f"copy {copy_ends(copy)}: {count(len(copy.tensors), 'tensor')}, {nbytes}{unsure}"


def _title(part: PartitionReport) -> str:
    return "nobody runs these" if part.delegate == NOBODY else f"partition {part.index} on {spelled(part.delegate)}"


def _more(number: int, noun: str, tag: str = "li") -> str:
    return f'<{tag} class="more">{count(number, noun)}</{tag}>' if number > 0 else ""


def _path(points: Sequence[tuple[float, float]]) -> str:
    """Lines from point to point, the corners round."""
    drawn = f"M{_xy(points[0])}"
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        drawn += f"L{_xy(_towards(corner, before))}Q{_xy(corner)} {_xy(_towards(corner, after))}"
    return f"{drawn}L{_xy(points[-1])}"


def _xy(point: tuple[float, float]) -> str:
    return f"{point[0]:.4g} {point[1]:.4g}"


def _towards(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    """A little way along the line from one point to another."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = hypot(dx, dy)
    share = min(6.0, length / 2) / length if length else 0.0
    return start[0] + share * dx, start[1] + share * dy

"""Where everything lies in the picture of a subgraph: lanes from top to bottom, time from left to right, in as many
rows as are needed, like a score. Lengths are in pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt

from ..words import columns, count, printable, short_size, shortened
from .data import CALLER, NOBODY, CopyReport, PartitionReport, SubgraphReport

WIDTH = 1080
"""Of a row; narrower windows scroll it."""

LEFT = 92
"""Where time begins, right of the lanes' names."""

MOST = 240
"""Steps that are drawn; pages list the others."""

_BUSY, _IDLE, _CALL = 70, 22, 40  # heights of lanes
_SPACE = 30  # between boxes without a copy
_NARROWEST, _WIDEST = 84, 300
_LINES = 3  # of operators, below the title of a box
_TITLE, _MONO = 7.3, 6.1  # width of a character in monospaced text of 12 and of 10


@dataclass(frozen=True, slots=True)
class Lane:
    """A delegate's strip of the picture; `why` tells for an idle one why nothing is in it."""

    name: str
    top: float
    height: float
    why: str = ""

    @property
    def middle(self) -> float:
        return self.top + self.height / 2


@dataclass(frozen=True, slots=True)
class Box:
    """A partition (None: inputs or outputs), and the lines of text that fit in."""

    lane: str
    x: float
    width: float
    title: str
    lines: tuple[str, ...] = ()
    step: PartitionReport | None = None
    is_end: bool = False  # the outputs


@dataclass(frozen=True, slots=True)
class Arrow:
    """What leads to a box: a copy, or the order in which things run (None)."""

    points: tuple[tuple[float, float], ...]
    copy: CopyReport | None = None
    has_head: bool = True


@dataclass(slots=True)
class Row:
    """As much as fits side by side."""

    boxes: list[Box] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    width: float = LEFT


@dataclass(frozen=True, slots=True)
class Layout:
    """The whole picture; all rows have the same lanes."""

    lanes: tuple[Lane, ...]
    rows: tuple[Row, ...]
    left_out: int  # steps that are not drawn

    @property
    def height(self) -> float:
        return self.lanes[-1].top + self.lanes[-1].height


def lay_out(subgraph: SubgraphReport, delegates: Sequence[str], absent: Mapping[str, str]) -> Layout:
    """The picture of a subgraph, with a lane for each delegate."""
    lanes = tuple(_lanes(subgraph, delegates, absent))
    left_out = max(len(subgraph.steps) - MOST, 0)
    rows = _rows(subgraph, lanes, 1)
    for scale in (0.85, 0.7):
        if not rows[-1].boxes[-1].is_end or len(rows[-1].boxes) > 1:
            break
        rows = _rows(subgraph, lanes, scale)  # so that the outputs are not alone in a row
    return Layout(lanes, tuple(rows), left_out)


def _rows(subgraph: SubgraphReport, lanes: Sequence[Lane], scale: float) -> list[Row]:
    writer = _Writer({lane.name: lane for lane in lanes})
    writer.place(_end(subgraph.inputs, "no inputs"), [])
    copies: list[CopyReport] = []
    for step in subgraph.steps[:MOST]:
        if isinstance(step, CopyReport):
            copies.append(step)
        else:
            writer.place(_box(subgraph, step, scale), copies)
            copies = []
    if len(subgraph.steps) <= MOST:
        writer.place(_end(subgraph.outputs, "no outputs", is_end=True), copies)
    return writer.rows


def _lanes(subgraph: SubgraphReport, delegates: Sequence[str], absent: Mapping[str, str]) -> list[Lane]:
    busy = {step.delegate for step in subgraph.steps if isinstance(step, PartitionReport)}
    lanes = [Lane(CALLER, 0, _CALL)]
    for name in (*delegates, *([NOBODY] if NOBODY in busy else [])):
        why = f"not asked: {absent[name]}" if name in absent else "nothing to do here"
        top = lanes[-1].top + lanes[-1].height + 4
        lanes.append(Lane(name, top, _BUSY if name in busy else _IDLE, "" if name in busy else why))
    return lanes


class _Writer:
    """Places boxes one after the other, and the arrows that lead to them."""

    def __init__(self, lanes: Mapping[str, Lane]) -> None:
        self._lanes = lanes
        self.rows = [Row()]
        self._x = float(LEFT)
        self._before: tuple[str, float] | None = None  # lane and right edge of the last box of this row

    def place(self, box: Box, copies: Sequence[CopyReport]) -> None:
        """Add a box after its copies, in a new row where it does not fit into this one."""
        gaps = [_label_width(copy) for copy in copies] or [_SPACE if self.rows[-1].boxes or len(self.rows) > 1 else 0]
        if self._x + sum(gaps) + box.width > WIDTH and self.rows[-1].boxes:
            self._break()
        row = self.rows[-1]
        left = self._x
        x = left + sum(gaps)
        if copies:
            row.arrows += self._copies(copies, gaps, left, x, box.lane)
        elif len(self.rows) > 1 or row.boxes:
            row.arrows.append(self._flow(left, x, box.lane))
        row.boxes.append(Box(box.lane, x, box.width, box.title, box.lines, box.step, box.is_end))
        self._x = row.width = x + box.width
        self._before = box.lane, self._x
        self._last = box.lane

    def _break(self) -> None:
        """Begin a new row; short lines tell that time goes on there."""
        y = self._lanes[self._last].middle
        row = self.rows[-1]
        row.arrows.append(Arrow(((row.width, y), (row.width + 12, y)), has_head=False))
        row.width += 12
        self.rows.append(Row())
        self._x, self._before = float(LEFT), None

    def _flow(self, left: float, x: float, lane: str) -> Arrow:
        start, end = self._lanes[self._last].middle, self._lanes[lane].middle
        turn = (left + x) / 2
        return Arrow(((left, start), (turn, start), (turn, end), (x, end)))

    def _copies(
        self, copies: Sequence[CopyReport], gaps: Sequence[float], left: float, x: float, lane: str
    ) -> Iterator[Arrow]:
        for place, copy in enumerate(copies):
            turn = left + sum(gaps[:place]) + 12
            shift = 7 * (place - (len(copies) - 1) / 2)
            start, end = self._lanes[copy.source].middle, self._lanes[lane].middle + shift
            begin = self._before[1] if self._before and self._before[0] == copy.source else turn
            yield Arrow(((begin, start), (turn, start), (turn, end), (x, end)), copy)


def _label_width(copy: CopyReport) -> float:
    return 12 + 8 + _MONO * len(short_size(copy.nbytes)) + 8


def _box(subgraph: SubgraphReport, step: PartitionReport, scale: float) -> Box:
    nodes = subgraph.at(step.nodes)
    if len(nodes) == 1:
        (node,) = nodes
        title = printable(node.name)
        runs = [f"subgraph {index}" for index in node.subgraphs]
        lines = [f"runs {runs[0]}", *(f"and {other}" for other in runs[1:])] if runs else [f"node {node.index}"]
    else:
        title = count(len(nodes), "node")
        counts = Counter(node.name for node in nodes).most_common()
        lines = [
            f"{shortened(printable(name), 28)} x{n}" if n > 1 else shortened(printable(name), 28) for name, n in counts
        ]
    widest = max([_TITLE * columns(title), *(_MONO * columns(line) for line in lines)]) + 20
    width = min(max(_NARROWEST, min(widest, 190), 60 + 20 * sqrt(len(nodes))), _WIDEST)
    width = max(_NARROWEST, scale * width)
    fitting = _filled(lines, int((width - 16) / _MONO))
    return Box(step.delegate, 0, width, shortened(title, int((width - 16) / _TITLE)), fitting, step)


def _filled(words: Sequence[str], most: int) -> tuple[str, ...]:
    """As many of the words as fit in the lines of a box, several in a line; the last line says how many do not."""
    lines = [shortened(words[0], most)]
    for place, word in enumerate(words[1:], 1):
        if columns(lines[-1]) + columns(word) + 2 <= most - (5 if len(lines) == _LINES else 0):
            lines[-1] += f", {word}"
        elif len(lines) < _LINES:
            lines.append(shortened(word, most))
        else:
            lines[-1] = f"{shortened(lines[-1], most - 4)} +{len(words) - place}"
            break
    return tuple(lines)


def _end(named: Sequence[tuple[str, int]], nothing: str, *, is_end: bool = False) -> Box:
    """The inputs or outputs of a subgraph."""
    title = ", ".join(printable(name) for name, _ in named[:3]) + (", …" if len(named) > 3 else "")
    title = shortened(title or nothing, 22)
    return Box(CALLER, 0, max(48.0, _MONO * columns(title) + 24), title, is_end=is_end)

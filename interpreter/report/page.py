"""The report as a page: one file without scripts that loads nothing, so that what a model's names say stays text."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files
from typing import TypeAlias

from ..words import count, percent, size
from .cards import bar, cards
from .colours import colours
from .data import Named, SubgraphReport, Survey
from .markup import name, text
from .picture import anchor, picture
from .reasons import refusals, unsupported
from .tables import partitions, reasons
from .words import spelled

Drawing: TypeAlias = tuple[int, Named, Named]
"""What a picture shows: a subgraph, with these names for its inputs and outputs."""

MARK = '<meta name="generator" content="tflite-cupy report">'
"""What every page of ours holds."""

_OPEN = 4
"""Subgraphs of control flow that a page shows unfolded, for each signature."""

_HINT = (
    "Time runs from left to right. A box is a partition, an arrow with a number a copy, a thin line the order in which "
    "they run. Point at one, or reach it with Tab, to see its nodes and tensors; a click or Enter lists all of them."
)


def page(survey: Survey, title: str, subtitle: str) -> str:
    """The whole page."""
    style = _style()
    digest = b64encode(sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    entries = survey.entries()
    drawn: set[Drawing] = set()
    sections = [_entry(survey, place, key, subgraphs, drawn) for place, (key, subgraphs) in enumerate(entries)]
    absent = "".join(f"<p>{text(spelled(who))} was not asked: {text(why)}</p>" for who, why in survey.absent.items())
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{MARK}
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{text(title)}</title>
<style>{style}</style>
</head>
<body>
<header>
<p class="kind">Delegation report</p>
<h1>{name(title, 160)}</h1>
<p class="subtitle">{text(subtitle)}</p>
</header>
<main>
{cards(survey)}
{_navigation(survey) if len(entries) > 1 else ""}
<p class="hint">{_HINT}</p>
{"".join(sections)}
</main>
<footer>{absent}<p>Made by tflite-cupy. This page runs no script and loads nothing.</p></footer>
</body>
</html>
"""


def is_page(start: bytes) -> bool:
    """Whether a file that starts like this is such a page."""
    return MARK.encode() in start


def _style() -> str:
    """The style sheet; the rules that tell of a part of a picture while one points at it are made here."""
    css = (files(__package__) / "page.css").read_text(encoding="utf-8")
    shown = ",".join(f".row:has(.b{i}:is(:hover,:focus-visible)) .t{i}" for i in range(64))
    return f"{css}\n{shown}{{display:grid}}\n"


def _navigation(survey: Survey) -> str:
    fills = colours(survey.lanes())
    links = []
    for place, (key, subgraphs) in enumerate(survey.entries()):
        label = "no signature" if key is None else name(key, 40)
        links.append(f'<li><a href="#s{place}">{label}{bar(subgraphs, fills, 72, 5)}</a></li>')
    return f'<nav aria-label="signatures"><ul>{"".join(links)}</ul></nav>'


def _entry(
    survey: Survey, place: int, key: str | None, subgraphs: Sequence[SubgraphReport], drawn: set[Drawing]
) -> str:
    """A signature: its subgraph, those that it runs, and why nodes are not elsewhere."""
    title = "Subgraphs of no signature" if key is None else f"<small>signature</small> {name(key, 120)}"
    blocks = []
    for position, subgraph in enumerate(subgraphs):
        is_open = position <= _OPEN
        blocks.append(_subgraph(survey, subgraph, drawn, is_first=position == 0, is_open=is_open))
        drawn.add(_drawing(subgraph))
    return (
        f'<section class="entry" id="s{place}" aria-labelledby="h{place}"><h2 id="h{place}">{title}</h2>'
        f'<p class="counts">{_counts(survey, subgraphs)}</p>{"".join(blocks)}{_why(survey, subgraphs)}</section>'
    )


def _counts(survey: Survey, subgraphs: Sequence[SubgraphReport]) -> str:
    fills = colours(survey.lanes())
    nodes = [node for s in subgraphs for node in s.nodes]
    parts = [f"{count(len(nodes), 'node')}"]
    for who, total in survey.totals([s.index for s in subgraphs]).items():
        if total.nodes:
            share = percent(total.nodes, len(nodes))
            parts.append(f'<span class="chip {fills[who].css}">{text(spelled(who))} {total.nodes:,}</span> {share}')
    parts += [f"{n} {note}" for note in ("folded", "unused") if (n := sum(s.of(note) for s in subgraphs))]
    if lost := sum(s.of("unsupported") for s in subgraphs):
        parts.append(f'<span class="chip lost">nobody {lost}</span>')
    parts.append(count(sum(len(s.partitions) for s in subgraphs), "partition"))
    copies = [copy for s in subgraphs for copy in s.copies]
    nbytes = sum(copy.nbytes or 0 for copy in copies)
    at_least = "at least " if any(copy.nbytes is None or not copy.is_certain for copy in copies) else ""
    if copies:
        parts.append(f"{at_least}{size(nbytes)} copied" if nbytes or not at_least else "copies of unknown size")
    return " · ".join(parts)


def _drawing(subgraph: SubgraphReport) -> Drawing:
    return subgraph.index, subgraph.inputs, subgraph.outputs


def _subgraph(survey: Survey, subgraph: SubgraphReport, drawn: set[Drawing], *, is_first: bool, is_open: bool) -> str:
    """A subgraph, with a picture for each way in which a signature names its inputs and outputs."""
    called = f"subgraph {subgraph.index} {name(subgraph.name, 60)}"
    is_listed = any(index == subgraph.index for index, _, _ in drawn)
    if is_listed and not (is_first and subgraph.steps and _drawing(subgraph) not in drawn):
        return f'<p class="again"><a href="#{anchor(subgraph)}">{called}</a> is shown above.</p>'
    fills = colours(survey.lanes())
    shown = picture(subgraph, survey.lanes(), survey.absent) if subgraph.steps else "<p>Nothing runs here.</p>"
    if is_listed:
        listed = f'<p class="again">The nodes of <a href="#{anchor(subgraph)}">{called}</a> are listed above.</p>'
        return f'<div class="subgraph">{shown}{listed}</div>'
    inside = f'{shown}<div class="lists">{partitions(subgraph, fills)}</div>'
    what = f"{called} <small>{count(len(subgraph.nodes), 'node')}</small>"
    place = f'id="{anchor(subgraph)}"'
    if is_first:
        return f'<div class="subgraph" {place}><h3>{what}</h3>{inside}</div>'
    callers = _callers(survey, subgraph)
    state = " open" if is_open else ""
    head = f"<summary><h3>{what}</h3>{callers}</summary>"
    return f'<details class="subgraph body"{state}>{head}<div {place}>{inside}</div></details>'


def _callers(survey: Survey, subgraph: SubgraphReport) -> str:
    """Which nodes run a subgraph."""
    found = [(s, node) for s in survey.subgraphs for node in s.nodes if subgraph.index in node.subgraphs]
    links = [f'<a href="#g{s.index}n{node.index}">{name(str(node), 40)}</a>' for s, node in found[:4]]
    more = f" and {len(found) - 4} more" if len(found) > 4 else ""
    return f" run by {', '.join(links)}{more}" if links else ""


def _why(survey: Survey, subgraphs: Sequence[SubgraphReport]) -> str:
    fills = colours(survey.lanes())
    blocks = []
    if lost := unsupported(subgraphs):
        blocks.append(f'<h3 class="lost">Nobody runs these</h3>{reasons(lost, fills)}')
    if found := refusals(subgraphs):
        blocks.append(f"<h3>Why not elsewhere</h3>{reasons(found, fills)}")
    return "".join(blocks)

"""The counts at the top of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..words import amount, count, percent, short_size, size
from .colours import IDLE, LOST, Colour, colours
from .data import CALLER, DelegateTotal, SubgraphReport, Survey, counting
from .markup import text
from .words import spelled


def cards(survey: Survey) -> str:
    """Cards for the whole model."""
    subgraphs, totals = survey.subgraphs, survey.totals()
    fills = colours(survey.lanes())
    made = [_coverage(survey, subgraphs, fills), _nodes(totals, subgraphs, fills), _partitions(subgraphs)]
    made += [_copies(totals, subgraphs), _work(survey, subgraphs), _lost(subgraphs)]
    return f'<div class="cards">{"".join(made)}</div>'


def bar(subgraphs: Sequence[SubgraphReport], fills: Mapping[str, Colour], width: int, height: int) -> str:
    """The shares of delegates in the nodes, as a bar."""
    nodes = [node for s in subgraphs for node in s.nodes]
    drawn, x = "", 0.0
    for who, colour in [*fills.items(), ("", IDLE)]:
        number = sum((node.delegate or node.note) == who for node in nodes)
        if number:
            share = number / len(nodes) * width
            drawn += f'<rect class="{colour.css}" x="{x:.2f}" width="{share:.2f}" height="{height}"/>'
            x += share
    label = f'viewBox="0 0 {width} {height}" preserveAspectRatio="none" aria-hidden="true"'
    return f'<svg class="bar" width="{width}" height="{height}" {label}>{drawn}</svg>'


def _card(css: str, label: str, number: str, below: str) -> str:
    return f'<div class="card {css}"><p class="label">{label}</p><p class="number">{number}</p>{below}</div>'


def _lead(survey: Survey) -> str:
    """The delegate whose share matters most: one that is not there for what others leave; none if there is none."""
    return next((who for who in survey.titles if who not in ("cpu", "flex")), "")


def _coverage(survey: Survey, subgraphs: Sequence[SubgraphReport], fills: Mapping[str, Colour]) -> str:
    nodes, who = counting(subgraphs), _lead(survey)
    here = sum(node.delegate == who if who else node.delegate is not None for node in nodes)
    whose = "node that computes" if len(nodes) == 1 else "nodes that compute"
    below = f"<p>{here:,} of {len(nodes):,} {whose}</p>{bar(subgraphs, fills, 240, 8)}"
    title = f"on the {text(spelled(who))}" if who else "run here"
    css = fills[who].css if who else "cpu"
    return _card(f"first {css}", title, percent(here, len(nodes)) if nodes else "100 %", below)


def _nodes(
    totals: Mapping[str, DelegateTotal], subgraphs: Sequence[SubgraphReport], fills: Mapping[str, Colour]
) -> str:
    everything = sum(len(s.nodes) for s in subgraphs)
    lines = [(fills[who].css, who, total.nodes) for who, total in totals.items()]
    notes = [(IDLE.css, note, sum(s.of(note) for s in subgraphs)) for note in ("folded", "unused")]
    lines += [line for line in notes if line[2]]
    listed = "".join(
        f'<li><i class="dot {css}"></i>{text(spelled(who))} <b>{number:,}</b></li>' for css, who, number in lines
    )
    return _card("", "nodes", f"{everything:,}", f"<ul>{listed}</ul>")


def _partitions(subgraphs: Sequence[SubgraphReport]) -> str:
    parts = [part for s in subgraphs for part in s.partitions]
    largest = max((len(part.nodes) for part in parts), default=0)
    where = f"<p>in {len(subgraphs)} subgraphs</p>" if len(subgraphs) > 1 else ""
    return _card("", "partitions", f"{len(parts):,}", f"<p>the largest has {count(largest, 'node')}</p>{where}")


def _copies(totals: Mapping[str, DelegateTotal], subgraphs: Sequence[SubgraphReport]) -> str:
    copies = [copy for s in subgraphs for copy in s.copies]
    if not copies:
        return _card("", "copied", "nothing", "<p>all is on the host</p>")
    into = sum(total.bytes_in for total in totals.values())
    results = sum(copy.nbytes or 0 for copy in copies if copy.target == CALLER and copy.is_certain)
    back = sum(total.bytes_out for total in totals.values()) - results
    once = "<p>each subgraph called once</p>" if len(subgraphs) > 1 else ""
    is_open = any(copy.nbytes is None or not copy.is_certain for copy in copies)
    if is_open and not into + back + results:
        return _card("", "copied", "<small>sizes depend on values</small>", once)
    number = f"{'<small>at least</small> ' if is_open else ''}{short_size(into + back + results)}"
    lines = [("to devices", into), ("back", back), ("results", results)]
    listed = "".join(f"<li>{what} <b>{size(nbytes)}</b></li>" for what, nbytes in lines)
    return _card("", "copied", number, f"<ul>{listed}</ul>{once}")


def _work(survey: Survey, subgraphs: Sequence[SubgraphReport]) -> str:
    nodes, who = [node for s in subgraphs for node in s.nodes if node.delegate], _lead(survey)
    everything = sum(node.multiply_adds or 0 for node in nodes)
    if not everything:
        return ""
    here = sum(node.multiply_adds or 0 for node in nodes if node.delegate == who)
    share = f", {percent(here, everything)} of them on the {text(spelled(who))}" if who else ""
    return _card("", "multiply-adds", amount(everything), f"<p>of convolutions and products{share}</p>")


def _lost(subgraphs: Sequence[SubgraphReport]) -> str:
    number = sum(s.of("unsupported") for s in subgraphs)
    return _card(LOST.css, "nobody runs", count(number, "node"), "<p>the model can't run here</p>") if number else ""

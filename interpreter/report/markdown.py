"""The report as GitHub's Markdown, for comments on pull requests and summaries of jobs."""

from __future__ import annotations

from collections.abc import Sequence

from ..words import count, printable, short_size, shortened
from .data import NAMES, SubgraphReport, Survey, counting
from .reasons import Reason, refusals, unsupported

_LIMIT = 60_000
"""Characters; GitHub takes comments of up to 65,536."""


def markdown(survey: Survey, title: str = "Delegation report") -> str:
    """A table for each signature, and the reasons of refusal folded away. Names of the model can't make markup."""
    parts = [f"### {_escaped(title)}"]
    entries = survey.entries()
    for place, (key, subgraphs) in enumerate(entries):
        block = _entry(survey, key, subgraphs)
        if sum(map(len, parts)) + len(block) > _LIMIT:
            parts.append(f"{count(len(entries) - place, 'more signature')} left out, for a comment may not be longer.")
            break
        parts.append(block)
    parts += [f"**{_escaped(name)}** was not asked: {_escaped(why)}" for name, why in survey.absent.items()]
    return "\n\n".join(parts) + "\n"


def _entry(survey: Survey, key: str | None, subgraphs: Sequence[SubgraphReport]) -> str:
    nodes = count(sum(len(s.nodes) for s in subgraphs), "node")
    where = f" in {len(subgraphs)} subgraphs" if len(subgraphs) > 1 else ""
    title = "Subgraphs of no signature" if key is None else f"Signature {_code(key)}"
    parts = [f"**{title}**: {nodes}{where}", _table(survey, subgraphs)]
    if lost := unsupported(subgraphs):
        number = sum(len(reason.nodes) for reason in lost)
        parts.append(f":warning: **nobody runs {count(number, 'node')}**\n\n{_reasons(lost)}")
    if reasons := refusals(subgraphs):
        places = {(place, node.index) for reason in reasons for place, node in reason.nodes}
        summary = f"<summary>Why {count(len(places), 'node')} did not go to the first delegate asked</summary>"
        parts.append(f"<details>{summary}\n\n{_reasons(reasons)}\n\n</details>")
    return "\n\n".join(parts)


def _table(survey: Survey, subgraphs: Sequence[SubgraphReport]) -> str:
    computing = counting(subgraphs)
    least = "≥ " if any(s.unknown_moves for s in subgraphs) else ""
    lines = [
        "| delegate | nodes | coverage | partitions | copied in | copied out |",
        "|:---|---:|---:|---:|---:|---:|",
    ]
    for name, total in survey.totals([s.index for s in subgraphs]).items():
        if name not in NAMES and not total.nodes:
            continue
        share = sum(node.delegate == name for node in computing) / len(computing) if computing else 0.0
        copied = [least + short_size(n) if n else "-" for n in (total.bytes_in, total.bytes_out)]
        cells = _escaped(name), total.nodes, f"{share:.1%}", total.partitions, *copied
        lines.append(f"| {' | '.join(map(str, cells))} |")
    notes = {note: sum(s.of(note) for s in subgraphs) for note in ("folded", "unused", "unsupported")}
    lines += [f"| *{note}* | {number} |  |  |  |  |" for note, number in notes.items() if number]
    return "\n".join(lines)


def _reasons(reasons: Sequence[Reason]) -> str:
    lines = ["| nodes | refused by | reason | operators |", "|---:|:---|:---|:---|"]
    for reason in reasons:
        operators = [f"{_code(name)} x{n}" if n > 1 else _code(name) for name, n in reason.kinds]
        more = f", {count(len(operators) - 12, 'more')}" if len(operators) > 12 else ""
        who = _escaped(", ".join(reason.delegates)) or "all"
        sentence = _escaped(reason.sentence("[name]") if len(operators) > 1 else reason.sentence())
        lines.append(f"| {len(reason.nodes)} | {who} | {sentence} | {', '.join(operators[:12])}{more} |")
    return "\n".join(lines)


def _code(text: str) -> str:
    """A name as code, which neither mentions people nor links to anything."""
    return f"<code>{_entities(shortened(printable(text), 120))}</code>"


def _escaped(text: str) -> str:
    """Text as text: no markup, no mention, no link."""
    return _entities(printable(text)).replace("&#64;", "&#64;\u200b").replace("://", "&#58;//")


def _entities(text: str) -> str:
    return "".join(f"&#{ord(c)};" if c in "&<>|`*_[]()#@~\\!$:" else c for c in text)

"""The report as text for terminals: counts first, then what runs in which order, then why not elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from textwrap import wrap

from ..words import count, printable, shortened, size
from .data import NAMES, NOBODY, CopyReport, PartitionReport, SubgraphReport, Survey, counting
from .reasons import Reason, refusals
from .words import copy_ends, details, kinds

NOTES = {"folded": "known before the call", "unused": "nobody reads their outputs", "unsupported": "nobody runs them"}


def table(survey: Survey, width: int = 100) -> str:
    """The report in lines of at most `width` characters, as far as words of names and reasons allow."""
    shown: set[int] = set()
    blocks = []
    for key, subgraphs in survey.entries():
        title = "subgraphs of no signature" if key is None else f"signature '{printable(key)}'"
        blocks.append(_block(survey, title, subgraphs, shown, width))
        shown.update(subgraph.index for subgraph in subgraphs)
    absent = [
        _wrapped(f"{name} was not asked: {printable(reason)}", "", width) for name, reason in survey.absent.items()
    ]
    return "\n\n".join(["\n".join(lines) for lines in [*blocks, *absent]])


def _block(survey: Survey, title: str, subgraphs: Sequence[SubgraphReport], shown: set[int], width: int) -> list[str]:
    nodes = count(sum(len(s.nodes) for s in subgraphs), "node")
    where = f" in {len(subgraphs)} subgraphs" if len(subgraphs) > 1 else ""
    lines = _wrapped(f"{title}: {nodes}{where}", "", width)
    lines += _grid(_totals(survey, subgraphs), "  ")
    for subgraph in subgraphs:
        lines += ["", *_subgraph(subgraph, width, is_known=subgraph.index in shown)]
    reasons = refusals(subgraphs)
    return [*lines, "", *(line for reason in reasons for line in _reason(reason, width))] if reasons else lines


def _totals(survey: Survey, subgraphs: Sequence[SubgraphReport]) -> list[tuple[str, ...]]:
    """Rows of the table of counts."""
    computing = counting(subgraphs)
    at_least = "at least " if any(s.unknown_moves for s in subgraphs) else ""
    rows: list[tuple[str, ...]] = [("delegate", "nodes", "coverage", "partitions", "copied in", "copied out")]
    for name, total in survey.totals([s.index for s in subgraphs]).items():
        if name not in NAMES and not total.nodes:
            continue
        share = sum(node.delegate == name for node in computing) / len(computing) if computing else 0.0
        copied = (total.bytes_in or total.bytes_out) and [at_least + size(n) for n in (total.bytes_in, total.bytes_out)]
        rows.append((name, str(total.nodes), f"{share:.1%}", str(total.partitions), *(copied or ("-", "-"))))
    for note, why in NOTES.items():
        if number := sum(s.of(note) for s in subgraphs):
            rows.append((note, str(number), why))
    return rows


def _grid(rows: Sequence[tuple[str, ...]], indent: str) -> list[str]:
    """Rows as aligned columns: the first to the left, numbers to the right; a short row ends in a remark."""
    full = [row for row in rows if len(row) == len(rows[0])]
    widths = [max(map(len, column)) for column in zip(*full, strict=True)]
    widths[0] = max(len(row[0]) for row in rows)
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), row[1].rjust(widths[1])]
        is_full = len(row) == len(widths)
        cells += [cell.rjust(n) for cell, n in zip(row[2:], widths[2:], strict=True)] if is_full else [row[2]]
        lines.append(f"{indent}{'  '.join(cells)}")
    return lines


def _subgraph(subgraph: SubgraphReport, width: int, *, is_known: bool) -> list[str]:
    title = f"subgraph {subgraph.index} '{printable(subgraph.name)}': {count(len(subgraph.nodes), 'node')}"
    lines = _wrapped(title + (", as above" if is_known else ""), "  ", width)
    for step in () if is_known else subgraph.steps:
        if isinstance(step, CopyReport):
            lines += _copy(step, width)
        elif step.delegate != NOBODY:
            lines += _partition(subgraph, step, width)
        else:
            for node in subgraph.at(step.nodes):
                lines += _wrapped(f"nobody runs {printable(str(node))}: {printable(node.reason)}", "    ", width)
    return lines


def _copy(copy: CopyReport, width: int) -> list[str]:
    what = f"copy {copy_ends(copy)}: {count(len(copy.tensors), 'tensor')}"
    nbytes = "size known in the call" if copy.nbytes is None else size(copy.nbytes)
    return _wrapped(f"{what}, {nbytes}{'' if copy.is_certain else ', where not there already'}", "    ", width)


def _partition(subgraph: SubgraphReport, part: PartitionReport, width: int) -> list[str]:
    nodes = subgraph.at(part.nodes)
    bodies = [i for node in nodes for i in node.subgraphs]
    runs = f", runs {'subgraphs' if len(bodies) > 1 else 'subgraph'} {', '.join(map(str, bodies))}" if bodies else ""
    many = f"{count(len(nodes), 'node')}: " if len(nodes) > 1 else ""
    lines = _wrapped(f"partition {part.index} on {part.delegate}: {many}{kinds(nodes)}{runs}", "    ", width)
    return lines + [line for fact in details(part.details) for line in _wrapped(printable(fact), "      ", width)]


def _reason(reason: Reason, width: int) -> list[str]:
    operators = [f"{printable(name)} x{n}" if n > 1 else printable(name) for name, n in reason.kinds]
    listed = f" ({', '.join(operators)})" if reason.after is None or len(operators) > 1 else ""
    who = ", ".join(reason.delegates)
    return _wrapped(f"{who} refused {len(reason.nodes)}: {printable(reason.sentence())}{listed}", "  ", width)


def _wrapped(text: str, indent: str, width: int) -> list[str]:
    """Lines of at most `width` characters; longer words are shortened, and "x2" stays with what there are two of."""
    further = f"{indent}  "
    words = " ".join(shortened(word, width - len(further)) for word in text.split(" "))
    joined = re.sub(r" (?=x\d+\b)", "\u00a0", words)
    options = {"break_long_words": False, "break_on_hyphens": False}
    lines = wrap(joined, width, initial_indent=indent, subsequent_indent=further, **options)  # type: ignore[arg-type]
    return [line.replace("\u00a0", " ") for line in lines]

"""Pieces of HTML. What comes from a model file goes through `text` or `name`, which leave nothing to interpret."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Sequence

from ..words import count, printable, shortened
from .data import NodeReport, SubgraphReport, TensorReport

_LONGEST = 72
"""Characters of a name that are shown."""


def text(words: str) -> str:
    """Words of any origin."""
    return html.escape(printable(words))


def name(words: str, most: int = _LONGEST) -> str:
    """A name of the model's: shortened in the middle, and without effect on the direction of what stands beside it."""
    return f"<bdi>{text(shortened(words, most))}</bdi>"


def tensor(known: TensorReport) -> str:
    """A tensor: its name unless it is a constant, type and shape."""
    form = f'<span class="form">{text(known.form)}</span>'
    return f"constant {form}" if known.is_constant else f"{name(known.name or f'tensor {known.index}')} {form}"


def tensors(subgraph: SubgraphReport, indices: Iterable[int], most: int = 6) -> str:
    """Tensors in a list, the first so many of them; absent operands are left out."""
    known = [subgraph.tensors[i] for i in indices if i in subgraph.tensors]
    more = f", {len(known) - most} more" if len(known) > most else ""
    return ", ".join(map(tensor, known[:most])) + more


def rows(lines: Iterable[Sequence[str]], tag: str = "td", place: str = "") -> str:
    """Rows of a table, of cells that are markup; `place` is the id of a single row."""
    mark = f' id="{place}"' if place else ""
    return "".join(f"<tr{mark}>{''.join(f'<{tag}>{cell}</{tag}>' for cell in line)}</tr>\n" for line in lines)


def kinds(nodes: Iterable[NodeReport], most: int = 5) -> str:
    """Operators and how many of each, the most frequent first."""
    counts = Counter(node.name for node in nodes)
    listed = [name(kind, 40) + (f" x{n}" if n > 1 else "") for kind, n in counts.most_common(most)]
    return ", ".join([*listed, count(len(counts) - most, "more kind")] if len(counts) > most else listed)

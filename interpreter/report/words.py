"""Delegates, lists of nodes and facts as people read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from ..words import count, printable, size
from .data import CopyReport, NodeReport


def spelled(delegate: str) -> str:
    """A delegate as headings name it."""
    return {"gpu": "GPU", "cpu": "CPU", "flex": "Flex"}.get(delegate, delegate)


def kinds(nodes: Iterable[NodeReport], most: int = 6) -> str:
    """ "CONV_2D x2, ADD, 3 more kinds"."""
    counts = Counter(node.name for node in nodes)
    listed = [f"{printable(name)} x{n}" if n > 1 else printable(name) for name, n in counts.most_common(most)]
    left = len(counts) - most
    return ", ".join([*listed, count(left, "more kind")] if left > 0 else listed)


def copy_ends(copy: CopyReport) -> str:
    """ "from gpu to cpu"; results of control flow come from where its subgraphs have left them."""
    source = f"from {copy.source}" if copy.is_certain else "from control flow"
    return f"{source} to {copy.target}"


def details(facts: Mapping[str, object]) -> list[str]:
    """What a delegate says of a partition: a line of what is not 0, and reasons with what they are given for."""
    shown = [_fact(key.replace("_", " "), value) for key, value in facts.items() if _tells(value)]
    lines = [", ".join(shown)] if shown else []
    for reasons in facts.values():
        for why, names in _turned(reasons).items() if isinstance(reasons, Mapping) else ():
            lines.append(f"{', '.join(names)}: {why}")
    return lines


def _tells(value: object) -> bool:
    return not isinstance(value, Mapping) and value not in (0, "", None)


def _turned(reasons: Mapping[object, object]) -> dict[str, list[str]]:
    turned: dict[str, list[str]] = {}
    for name, why in reasons.items():
        turned.setdefault(str(why), []).append(str(name))
    return turned


def _fact(name: str, value: object) -> str:
    if isinstance(value, int) and name.endswith(" bytes"):
        return f"{name.removesuffix(' bytes')} {size(value)}"
    if isinstance(value, int):
        return f"{value:,} {_singular(name) if value == 1 else name}"
    return f"{name.removesuffix(' us')} {value} us" if name.endswith(" us") else f"{name} {value}"


def _singular(noun: str) -> str:
    return noun.removesuffix("es") if noun.endswith("ches") else noun.removesuffix("s")

"""Numbers, names and lists as people read them."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping

from .data import CopyReport, NodeReport

_BIDI = {*"\u200e\u200f\u061c", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}


_UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def spelled(delegate: str) -> str:
    """A delegate as headings name it."""
    return {"gpu": "GPU", "cpu": "CPU", "flex": "Flex"}.get(delegate, delegate)


def count(number: int, noun: str) -> str:
    """ "1 node", "2 nodes"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(nbytes: int | None) -> str:
    """ "1,504 bytes", "602.1 kB"; "?" for a size that is not known."""
    if nbytes is None:
        return "?"
    if nbytes < 10_000:
        return count(nbytes, "byte")
    unit, scale = next((unit, scale) for unit, scale in _UNITS if nbytes >= scale)
    return f"{nbytes / scale:,.1f} {unit}"


def short_size(nbytes: int | None) -> str:
    """The same in few characters: "1.5 kB", "?"."""
    if nbytes is None:
        return "?"
    for unit, scale in _UNITS:
        if nbytes >= scale:
            value = nbytes / scale
            return f"{value:.1f} {unit}" if value < 10 else f"{value:,.0f} {unit}"
    return f"{nbytes} B"


def percent(part: int, whole: int) -> str:
    """ "12 %"; never rounded to 0 or 100."""
    share = 100 * part / whole if whole else 0.0
    if 0 < share < 1:
        return "< 1 %"
    return "> 99 %" if 99 < share < 100 else f"{share:.0f} %"


def amount(number: int) -> str:
    """ "1.2 G": multiply-adds in few characters."""
    for unit, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= scale:
            return f"{number / scale:.3g} {unit}"
    return str(number)


def printable(text: str) -> str:
    """Text of a model file without characters that steer terminals or turn the direction of what follows."""
    return "".join(c if _is_plain(c) else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def _is_plain(character: str) -> bool:
    return character not in _BIDI and unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp", "Cn", "Co")


def shortened(text: str, most: int) -> str:
    """At most so many characters of a text, the middle left out."""
    return text if len(text) <= most else f"{text[: most // 2]}\u2026{text[len(text) - (most - most // 2 - 1) :]}"


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

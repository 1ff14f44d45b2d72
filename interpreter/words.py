"""Numbers and names as people read them."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence

_BIDI = {*"\u200e\u200f\u061c", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}
_UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


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


def plain(text: str) -> str:
    """Lines that may hold anything: `printable` ones."""
    return "\n".join(map(printable, text.split("\n")))


def columns(text: str) -> int:
    """How many columns of monospaced text a line takes."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in text)


def aligned(rows: Sequence[Sequence[str]], left: Collection[int] = (0,), gap: int = 2) -> list[str]:
    """Rows as lines of columns, `gap` spaces between them: those in `left` to the left, the others to the right."""
    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        pads = [" " * (width - columns(cell)) for cell, width in zip(row, widths, strict=True)]
        cells = [c + pad if i in left else pad + c for i, (c, pad) in enumerate(zip(row, pads, strict=True))]
        lines.append((" " * gap).join(cells).rstrip())
    return lines

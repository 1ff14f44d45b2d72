"""Which pages of files this process holds, for tests of what is let go of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_MAPS = Path("/proc/self/smaps")

needs_maps = pytest.mark.skipif(not _MAPS.exists(), reason="the system does not tell which pages are resident")


def resident_kb(path: Path) -> int:
    """Of a mapped file, in this process."""
    maps = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", _MAPS.read_text(), flags=re.MULTILINE)
    found = (re.search(r"^Rss: +(\d+) kB", each, re.MULTILINE) for each in maps if str(path) in each)
    return sum(int(match[1]) for match in found if match)

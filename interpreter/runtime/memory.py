"""How much memory this process may still take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_GROUPS = (  # of the control group that a container sees as its own, versions 2 and 1: limit, use
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)
_CACHED = {"inactive_file", "total_inactive_file"}
"""Lines of memory.stat, beside the use: pages of files that count as used and go when memory is short."""


def free_bytes() -> int | None:
    """Bytes that the machine and the control group have left; None where the system does not tell."""
    return min((max(0, n) for n in _known()), default=None)


def _known() -> Iterator[int]:
    for line in (_read(_MEMINFO) or "").splitlines():
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) << 10
    for limit, used in _GROUPS:
        most, now = _read(limit), _read(used)
        if most and now and most.strip().isdecimal() and now.strip().isdecimal():
            yield int(most) - int(now) + _cached(used.with_name("memory.stat"))


def _cached(path: Path) -> int:
    pairs = (line.split() for line in (_read(path) or "").splitlines())
    return max((int(value) for name, value in pairs if name in _CACHED), default=0)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None

"""SOFTMAX and LOG_SOFTMAX of float32 and float16."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ....interpreter.ops.softmax import LogSoftmax, Softmax
from ..groups import lowers
from ..kernel import CTYPES
from ..lowering import Site

HALF_OR_SINGLE = (np.float32, np.float16)
MIN_BLOCK = 256
MANY_ROWS = 2048
"""So many rows keep a GPU busy with a warp each."""


class Team(NamedTuple):
    """Threads that share a row, and how many of its elements each keeps; 0 if it reads them anew each time."""

    threads: int
    items: int

    def grid(self, rows: int) -> tuple[int, int]:
        """Blocks, and threads of each, for so many rows."""
        block = max(self.threads, MIN_BLOCK)
        return -(-rows * self.threads // block), block


def team_of(rows: int, depth: int) -> Team:
    """The team for so many rows of so many elements."""
    warps = [Team(32, 2), Team(32, 8), *([Team(32, 16)] if rows >= MANY_ROWS else [])]
    teams = (*warps, Team(256, 4))
    return next((team for team in teams if depth <= team.threads * team.items), Team(1024, 0))


@lowers(Softmax, LogSoftmax, tail=True, half=True)
def softmax(site: Site) -> str | None:
    x, op = site.ins[0], site.op
    if op.is_quantized or x.dtype not in HALF_OR_SINGLE:
        return "its element type has no kernel."
    assert x.shape is not None
    depth = x.shape[-1]
    rows, team, is_logarithm = x.size // depth, team_of(x.size // depth, depth), isinstance(op, LogSoftmax)
    what = site.kernel(
        "softmax", "softmax.cu",
        ELEMENT=CTYPES[x.dtype], TEAM=team.threads, ITEMS=team.items, LOGARITHM=int(is_logarithm),
    )  # fmt: skip
    beta = np.float32(1 if is_logarithm else op.beta)
    site.launch(what, *team.grid(rows), x, site.out, np.uint32(rows), np.uint32(depth), beta, *site.tail.arguments)
    return None

"""Times of torch and JAX with the same weights, on the same device: what users would have without this package.

Each library has processes of its own and a share of the time, the quickest to set up first; a row that fails says why.
Integer networks have no peer: neither library has integer convolutions on a GPU. What torch.compile makes takes minutes
for each network, and is a stage of its own, `compiled`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from .peer_worker import LIBRARIES
from .progress import Progress
from .target import Target
from .workers import PATIENCE, shared_out
from .workloads import BATCHES, SMALL, WORKLOADS, rows, urgency

SHARES = {"torch eager": 0.3, "torch graph": 0.5, "jax.jit": 1.0}
"""Of the time that is left."""

KEY = ("peer", "model", "batch", "precision")


def run(
    target: Target, progress: Progress, *, shares: Mapping[str, float] = SHARES, patience: float = PATIENCE
) -> None:
    """shares: by peer; patience: seconds for one row."""
    chosen = [row for row in rows(WORKLOADS, BATCHES) if row.precision != "int8"]
    chosen.sort(key=urgency)
    if not target.is_real:
        chosen = [row for row in rows(SMALL, (1,)) if row.model == "BERT"]
    there = [peer for peer in shares if find_spec(LIBRARIES[peer]) is not None]
    if not there:
        progress.skip(f"none of {', '.join(shares)} is installed")
        return

    def answered(task: Any, answer: dict[str, Any]) -> None:
        progress.row("rows", **dict(zip(KEY, task, strict=True)), **answer)

    left = progress.missing("rows", [dict(zip(KEY, (peer, *row), strict=True)) for peer in there for row in chosen])
    for peer in there:
        tasks = [tuple(key.values()) for key in left if key["peer"] == peer]
        until = time.monotonic() + shares[peer] * (progress.left - 3)
        shared_out("gpu_stages.peer_worker", [], tasks, answered, processes=1, until=until, patience=patience)
    progress.finish(any("device_ms" in row for row in progress.result.get("rows", ())))

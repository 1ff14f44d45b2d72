"""Times of torch.compile(mode="max-autotune") with the same weights; see `peers`."""

from __future__ import annotations

from . import peers
from .progress import Progress
from .target import Target

PATIENCE = 240.0
"""Seconds for one network."""


def run(target: Target, progress: Progress) -> None:
    peers.run(target, progress, shares={"torch.compile": 1.0}, patience=PATIENCE)

"""How much a file may ask for before it is refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Limits on what a model file may hold; exceeding one is a LimitError that names it."""

    max_model_bytes: int | None = None
    max_tables: int = 2_000_000
    max_string_bytes: int = 1 << 20
    max_rank: int = 16
    max_ops: int = 1_000_000
    max_subgraphs: int = 4096
    max_call_depth: int = 32

    @classmethod
    def untrusted(cls) -> ReadLimits:
        """Limits for files from strangers."""
        return cls(
            max_model_bytes=512 << 20,
            max_tables=200_000,
            max_string_bytes=64 << 10,
            max_rank=8,
            max_ops=20_000,
            max_subgraphs=64,
            max_call_depth=8,
        )

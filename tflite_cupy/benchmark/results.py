"""What a benchmark found, as data. `to_json` gives seconds and bytes; `text` and `markdown` print it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .agreement import Agreement
from .loading import Loading
from .statistics import Distribution
from .turns import WarmUp

SCHEMA_VERSION = 1
"""Of `Benchmark.to_json`; raised when a key changes its meaning or goes away."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of a run of one runtime. `on_device`: with inputs and outputs that stay on the GPU."""

    name: str
    title: str
    on_device: bool
    warm_up: WarmUp
    seconds: Distribution
    batch: int | None

    @property
    def per_second(self) -> float:
        """Elements of the batch, or runs without one, at the median."""
        return (self.batch or 1) / self.seconds.median

    def to_json(self) -> dict[str, Any]:
        return {
            "runtime": self.name,
            "title": self.title,
            "on_device": self.on_device,
            "warm_up": asdict(self.warm_up),
            "seconds": self.seconds.to_json(),
            "per_second": float(f"{self.per_second:.6g}"),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Times of the first runtime / times of another, of turns taken beside each other, and whether results agree."""

    name: str
    title: str
    ratios: Distribution
    agreement: Agreement

    def to_json(self) -> dict[str, Any]:
        return {
            "against": self.name,
            "title": self.title,
            "ratios": self.ratios.to_json(),
            "outputs": self.agreement.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Row:
    """One batch size: what ran, on inputs of which types and shapes."""

    batch: int | None
    inputs: Mapping[str, tuple[str, tuple[int, ...]]]
    timings: tuple[Timing, ...]
    comparisons: tuple[Comparison, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "batch": self.batch,
            "inputs": {name: {"dtype": kind, "shape": list(shape)} for name, (kind, shape) in self.inputs.items()},
            "runtimes": [timing.to_json() for timing in self.timings],
            "comparisons": [comparison.to_json() for comparison in self.comparisons],
        }


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A signature of a model in one runtime, and in others that it was held against.

    failures: of the runtimes that it was to be held against, how the process of each ended that could not do it.
    """

    model: str
    signature: str | None
    threads: int
    settings: Mapping[str, Any]
    machine: Mapping[str, Any]
    file_bytes: int
    weight_bytes: int
    arena_bytes: int | None
    rows: tuple[Row, ...]
    loading: tuple[Loading, ...]
    failures: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether all runtimes gave the same results."""
        return all(comparison.agreement.agrees for row in self.rows for comparison in row.comparisons)

    def to_json(self) -> dict[str, Any]:
        """Plain data, of `SCHEMA_VERSION`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "model": self.model,
            "signature": self.signature,
            "threads": self.threads,
            "settings": dict(self.settings),
            "machine": dict(self.machine),
            "memory": {
                "file_bytes": self.file_bytes,
                "weight_bytes": self.weight_bytes,
                "arena_bytes": self.arena_bytes,
            },
            "agrees": self.agrees,
            "rows": [row.to_json() for row in self.rows],
            "loading": [one.to_json() for one in self.loading],
            "failures": list(self.failures),
        }

    def text(self) -> str:
        """Tables for a terminal of 80 columns."""
        from .show import text

        return text(self)

    def markdown(self) -> str:
        """The same as Markdown."""
        from .show import markdown

        return markdown(self)

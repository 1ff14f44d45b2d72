"""The stages of ci/gpu_check: each a module of the same name with `run(target, progress)`, in a process of its own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """seconds: after so many it is stopped. is_optional: it does not fail the whole if no time is left for it."""

    seconds: int
    is_optional: bool = False


STAGES = {
    "device": Stage(40),
    "primitives": Stage(40),
    "models": Stage(90),
    "threads": Stage(45),
    "operators": Stage(100),
    "library": Stage(60),
    "memory": Stage(45),
    "benchmarks": Stage(90),
    "sanitizer": Stage(75),
    "suite": Stage(75),
    "peers": Stage(150, is_optional=True),
}
"""In the order in which they run: what time runs out for is what is missed least."""

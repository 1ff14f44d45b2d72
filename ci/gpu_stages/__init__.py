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
    "models": Stage(110),
    "benchmarks": Stage(130),
    "peers": Stage(150, is_optional=True),
    "sanitizer": Stage(90),
    "operators": Stage(100),
    "threads": Stage(45),
    "primitives": Stage(40),
    "start": Stage(60),
    "suite": Stage(120),
    "library": Stage(60),
    "memory": Stage(45),
    "tuned": Stage(120, is_optional=True),
    "compiled": Stage(500, is_optional=True),
}
"""In the order in which they run: what time runs out for is what is missed least."""

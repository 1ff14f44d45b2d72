"""Whether programs for different numbers of threads give the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from .binding import Arg, Handle, Query
from .primitive import address, aligned, arguments, make_layout
from .program import Program
from .steps import Execution

_SEED = 5

_PERIOD = 65521
"""Random numbers of which operands are made, repeated; a prime, so that rows differ."""


def alike(a: Program, b: Program) -> bool:
    """Whether the primitives of two programs of one partition give the same bits for random operands.

    Most split a result among threads, some the sums in it too. In which order one adds up does not depend on the
    numbers: where such results are the same, all are.
    """
    ours, theirs = ([step for step in each.steps if isinstance(step, Execution)] for each in (a, b))
    if [_indices(step) for step in ours] != [_indices(step) for step in theirs]:
        return False
    pairs = zip(ours, theirs, strict=True)
    return all(x.primitive is y.primitive or np.array_equal(_result(a, x), _result(b, y)) for x, y in pairs)


def _indices(step: Execution) -> list[int]:
    return [bound.node.index for bound in step.nodes]


def _result(program: Program, step: Execution) -> np.ndarray:
    """The bytes that a primitive makes of random operands and its own constants."""
    library, kept = program.library, []
    places: dict[int, Handle] = dict(step.constants)

    def put(argument: int, layout: Any, content: np.ndarray) -> None:
        kept.append(content)
        places[argument] = library.memory(layout, address(content))

    for argument, (tensor, layout) in step.operands.items():
        put(argument, layout, _random(library.nbytes(layout), program.specs[tensor].dtype))
    for argument, each in ({} if step.derived is None else step.derived.layouts).items():
        layout = make_layout(library, each)
        put(argument, layout, _random(library.nbytes(layout), each.dtype))
    result, layout = np.zeros(library.nbytes(step.result[1]), np.uint8), step.result[1]
    put(Arg.DST, layout, result)
    if step.primitive.scratch:
        query = library.query(step.primitive.description, Query.SCRATCHPAD)
        put(Arg.SCRATCHPAD, query, aligned(step.primitive.scratch))
    before = library.use_threads(step.threads)
    try:
        call = step.primitive.handle, library.stream(), len(places), arguments(places)
        library.check(library.execute(*call), step.nodes[0].node.name)
    finally:
        library.use_threads(before)
    return result


def _random(nbytes: int, dtype: np.dtype[Any]) -> np.ndarray:
    """Real numbers around 0, or integers of a byte."""
    rng = np.random.default_rng(_SEED)
    values = rng.random(_PERIOD, np.float32) - 0.5 if dtype.kind == "f" else rng.integers(0, 128, _PERIOD)
    return np.resize(values.astype(dtype), nbytes // dtype.itemsize)

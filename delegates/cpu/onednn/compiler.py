"""From partitions to programs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ....interpreter.ops.base import StatefulOp
from ....interpreter.ops.conv import TransposeConv
from ....interpreter.ops.shared.products import ProductOp
from ....interpreter.runtime.delegate import BoundNode, Executable, Partition
from ...arrays import Kernel
from .binding import Library
from .effort import is_brief
from .portions import Portions, portion
from .program import Program
from .recurrent import lstm
from .rows import Batch
from .steps import ArrayStep, Execution, Step, steps_of
from .threaded import Threaded
from .weights import weights_of

if TYPE_CHECKING:
    from ...arrays import ArrayDelegate

TINY = 1 << 14
"""Elements of a result below which one node alone is not worth a program."""


class Compiler:
    """Makes partitions ready to run with so many threads."""

    def __init__(self, library: Library, threads: int) -> None:
        self._library, self._threads = library, threads

    def compile(self, delegate: ArrayDelegate, partition: Partition) -> Executable | None:
        """A program; None where no node is worth a primitive. `delegate` gives the NumPy code of the others."""
        portions = self._portions(delegate, partition)
        if portions is not None:
            return portions
        threads = 1 if self._library.is_forked or is_brief(partition.nodes) else self._threads
        program = self._program(delegate, partition, threads)
        if program is None or program.threads == {1}:
            return program
        return Threaded(program, partial(self._program, delegate, partition, 1))

    def _portions(self, delegate: ArrayDelegate, partition: Partition) -> Portions | None:
        """A program for portions of a batch; None where the whole of it is better computed at a time, or must be."""
        batch = Batch.of(partition)
        count = None if batch is None else portion(batch, self._threads)
        if batch is None or count is None:
            return None
        program = self._program(delegate, batch.part(count), 1)
        if program is None or any(map(_knows_rows, program.steps)):
            return None
        return Portions(program, batch, count, self._threads)

    def prepare_stateful(self, op: StatefulOp) -> Kernel | None:
        """The kernel of an op that remembers; None for most."""
        return lstm(self._library, op)

    def _program(self, delegate: ArrayDelegate, partition: Partition, threads: int) -> Program | None:
        def kernel(bound: BoundNode) -> Kernel:
            constants = {p: partition.constants[t] for p, t in enumerate(bound.node.inputs) if t in partition.constants}
            return delegate.kernel(partition.graph, bound, constants)

        before = self._library.use_threads(1)
        try:
            with np.errstate(all="ignore"):  # scales of a file may be anything
                steps = steps_of(self._library, partition, kernel, weights_of(self._library), threads)
        finally:
            self._library.use_threads(before)
        is_worth_it = any(isinstance(step, Execution) for step in steps) and not _is_tiny(partition)
        return Program(self._library, partition, steps, delegate.name) if is_worth_it else None


def _is_tiny(partition: Partition) -> bool:
    """Whether a partition is one node on few elements, for which NumPy has less to prepare; products are not."""
    (first, *others) = partition.nodes
    is_product = isinstance(first.op, ProductOp)
    return not others and not is_product and all((spec.size or 0) < TINY for spec in first.outs)


def _knows_rows(step: Step) -> bool:
    """Whether an operand of NumPy code says how many rows its result has; that of a RESHAPE is never run."""
    return isinstance(step, ArrayStep) and isinstance(step.nodes[0].op, TransposeConv)

"""From partitions to programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ....interpreter.graph import Array
from ....interpreter.ops.shared.products import ProductOp
from ....interpreter.runtime.delegate import BoundNode, Executable, Partition
from ...arrays import Kernel
from .binding import Library
from .program import Program
from .steps import Execution, steps_of
from .weights import weights_of

if TYPE_CHECKING:
    from ....interpreter.runtime.lane import Lane
    from ...arrays import ArrayDelegate

TINY = 1 << 14
"""Elements of a result below which one node alone is not worth a program."""


class Compiler:
    """Makes partitions ready to run with so many threads."""

    def __init__(self, library: Library, threads: int) -> None:
        self._library, self._threads = library, threads

    def compile(self, delegate: ArrayDelegate, partition: Partition) -> Executable | None:
        """A program; None where no node is worth a primitive. `delegate` gives the NumPy code of the others."""

        def kernel(bound: BoundNode) -> Kernel:
            constants = {p: partition.constants[t] for p, t in enumerate(bound.node.inputs) if t in partition.constants}
            return delegate.kernel(partition.graph, bound, constants)

        before = self._library.use_threads(1)
        try:
            steps = steps_of(self._library, partition, kernel, weights_of(self._library), self._threads)
        finally:
            self._library.use_threads(before)
        threads = {step.threads for step in steps if isinstance(step, Execution)}
        if not threads or _is_tiny(partition):
            return None
        program = Program(self._library, partition, steps, delegate.name)
        is_forked = self._library.is_forked
        return program if is_forked or threads == {1} else _Forking(program, partial(self.compile, delegate, partition))


class _Forking:
    """A program that is made anew, for one thread, in a forked process."""

    def __init__(self, program: Program, remake: Callable[[], Executable | None]) -> None:
        self.program, self._remake = program, remake
        self._is_remade = False
        self.details = program.details

    def __call__(self, lane: Lane, inputs: Sequence[Array]) -> Sequence[Array]:
        if self.program.library.is_forked and not self._is_remade:
            remade = self._remake()
            assert isinstance(remade, Program)
            self.program, self._is_remade = remade, True
        return self.program(lane, inputs)


def _is_tiny(partition: Partition) -> bool:
    """Whether a partition is one node on few elements, for which NumPy has less to prepare; products are not."""
    (first, *others) = partition.nodes
    is_product = isinstance(first.op, ProductOp)
    return not others and not is_product and all((spec.size or 0) < TINY for spec in first.outs)

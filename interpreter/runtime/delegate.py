"""Who can run nodes, and where arrays live. A delegate is written against this page alone.

    class Shouting:                                         # a delegate of 10 lines
        name, title, space = "shout", "ShoutingDelegate", HOST
        def refuses(self, bound):
            return None if bound.node.name == "ADD" else "only ADD is delegated."
        def compile(self, partition):
            def run(lane, inputs):
                ...                                         # arrays of partition.inputs -> arrays of partition.outputs
            return run

An interpreter takes an ordered list of delegates; each node goes to the first one that does not refuse it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from ..errors import TfliteError, UnsupportedError
from ..graph import Array, Graph, Node, TensorSpec
from ..ops.base import Op

if TYPE_CHECKING:
    from .lane import Lane


class Space(Protocol):
    """A memory that arrays live in. Delegates whose spaces have equal names share arrays uncopied."""

    @property
    def name(self) -> str:
        """As plans and reports name it: "host", "cuda:0"."""

    @property
    def xp(self) -> Any:
        """The array module that works on its arrays."""

    def put(self, host: np.ndarray) -> Array:
        """A copy of a host array in this space."""

    def stage(self, host: np.ndarray) -> Array:
        """The same, but only until the call ends."""

    def get(self, arrays: Sequence[Array]) -> list[np.ndarray]:
        """Copies on the host; waits once for all of them."""

    def owns(self, value: Any) -> bool:
        """Whether a caller's value already lives here, so that it needs no copy."""

    def adopt(self, value: Any) -> Array:
        """A value that `owns` accepted, as an array of this space, uncopied."""

    def lane(self) -> AbstractContextManager[None]:
        """Entered around each call: what the call needs of this space alone, such as a stream."""

    def give(self, array: Array) -> Array:
        """A copy for the caller to keep, which another stream than the call's may read."""

    def wait(self) -> None:
        """Wait until this call's work is done."""

    def mark(self) -> Any:
        """The point that this call's work has reached; None where work is done when the functions return."""

    def follow(self, mark: Any) -> None:
        """Let this call's further work wait until that of another call has passed `mark`."""


class HostSpace:
    """Host memory: NumPy arrays; strings, resources and variants as Python objects."""

    name = "host"
    xp: Any = np

    def put(self, host: np.ndarray) -> Array:
        return host

    stage = put

    def get(self, arrays: Sequence[Array]) -> list[np.ndarray]:
        return list(arrays)

    def owns(self, value: Any) -> bool:
        return isinstance(value, np.ndarray)

    def adopt(self, value: Any) -> Array:
        return value

    def lane(self) -> AbstractContextManager[None]:
        return nullcontext()

    def give(self, array: Array) -> Array:
        return array.copy()

    def wait(self) -> None:
        return None

    def mark(self) -> None:
        return None

    def follow(self, mark: None) -> None:
        return None


HOST = HostSpace()


class Refusal(str):
    """A refusal that asks for an error of its own kind if no delegate takes the node (PolicyError, say)."""

    error: type[TfliteError]

    def __new__(cls, sentence: str, error: type[TfliteError] = UnsupportedError) -> Refusal:
        refusal = super().__new__(cls, sentence)
        refusal.error = error
        return refusal


@dataclass(frozen=True, slots=True, eq=False)
class BoundNode:
    """A node with its op and the specs that its operands have in one plan (shapes None where not known yet)."""

    node: Node
    op: Op
    ins: tuple[TensorSpec | None, ...]
    outs: tuple[TensorSpec, ...]
    refused: str | None  # why the op can't run with these specs (`checks.refusal`), whichever delegate is asked


@dataclass(frozen=True, slots=True, eq=False)
class Partition:
    """Nodes of one graph that one delegate runs as a unit, in order."""

    graph: Graph
    nodes: tuple[BoundNode, ...]
    inputs: tuple[int, ...]  # tensors that the nodes read and do not make; constants are not among them
    outputs: tuple[int, ...]  # tensors that the nodes make and others read
    constants: Mapping[int, np.ndarray]  # tensors with known values that the nodes read
    donated: frozenset[int] = frozenset()  # inputs that nobody reads any more and that may be overwritten


Executable: TypeAlias = "Callable[[Lane, Sequence[Array]], Sequence[Array]]"
"""Runs a partition: arrays of `partition.inputs` in, arrays of `partition.outputs` out, all in the delegate's space.

It must not write to its inputs but those donated, and may be called from several threads at once, each with its own
lane. After each node, or nodes that it computes as one, it calls `lane.ran(graph index, node indices, delegate name)`
if `lane.is_watched`; a partition that does not is profiled as a whole. An attribute `details`, a mapping of names to
numbers, texts and mappings of such, is shown by the delegation report. An attribute `is_silent` that is true says that
NumPy has nothing to warn of in it.
"""


class Delegate(Protocol):
    """Runs the nodes that it does not refuse.

    An attribute `forkable` says whether what it compiled runs in a forked process, too; without one, that of delegates
    whose space is the host's does. A method `after_fork`, if there is one, is called in such a process.
    """

    @property
    def name(self) -> str:
        """Short name, as in reports and `device=`: "gpu"."""

    @property
    def title(self) -> str:
        """As log lines name it: "CupyGpuDelegate"."""

    @property
    def space(self) -> Space:
        """Where its arrays live."""

    def refuses(self, bound: BoundNode) -> str | None:
        """Why this delegate can't run the node, as a sentence that reports print verbatim; None if it can."""

    def compile(self, partition: Partition) -> Executable:
        """Make a partition ready to run: weights uploaded and packed here, once, and kept between calls of this."""

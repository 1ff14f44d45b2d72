"""The Flex delegate: runs a model's TensorFlow operators through TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable

from ...interpreter.errors import GraphError, MissingDependencyError, PolicyError
from ...interpreter.ops.flex import Flex
from ...interpreter.runtime.delegate import HOST, BoundNode, Executable, Partition, Refusal, Space
from ..planned import run_nothing
from .eager import installed, load
from .policy import MAX_CONSTANT_BYTES, Policy
from .program import Program, Resources

__all__ = ["FlexDelegate", "PlannedFlexDelegate", "Policy"]

MAX_TENSOR_BYTES = 16 << 30


class FlexDelegate:
    """Runs TensorFlow operators, as far as the policy allows them, with eager TensorFlow on the CPU.

    policy: "pure" (operators that only compute or keep state in memory), "codecs" (media formats too), "off", or names
    of operators that may run beside the pure ones. TensorFlow is imported when the first such node is made ready.
    Variables and tables belong to the interpreter that makes them, also where one delegate serves several.
    """

    name = "flex"
    title = "FlexDelegate"
    space: Space = HOST
    forkable = False  # a forked process has none of TensorFlow's threads

    def __init__(
        self,
        policy: str | Iterable[str] = "pure",
        *,
        max_constant_bytes: int = MAX_CONSTANT_BYTES,
        max_tensor_bytes: int = MAX_TENSOR_BYTES,
    ) -> None:
        self.policy = Policy.of(policy, max_constant_bytes)
        self._max_tensor_bytes = max_tensor_bytes
        self._resources = Resources()

    def refuses(self, bound: BoundNode) -> str | None:
        """Why the node may not or can't run; None if it can. Does not import TensorFlow."""
        if not isinstance(bound.op, Flex):
            return "only TensorFlow operators run on the FlexDelegate."
        try:
            forbidden = self.policy.refuses(bound.op.node_def)
        except GraphError as error:
            return Refusal(f"{error.what}.", GraphError)
        if forbidden is not None:
            return Refusal(forbidden, PolicyError)
        if not self._is_there():
            return Refusal(
                f"TensorFlow operator {bound.op.node_def.op} needs TensorFlow, which is not installed: "
                "pip install tensorflow-cpu.",
                MissingDependencyError,
            )
        return None

    def compile(self, partition: Partition) -> Executable:
        """Make a partition ready to run. Raises GraphError for nodes that contradict their operators."""
        return Program(self.name, load(), self._resources, partition, self._max_tensor_bytes)

    def _is_there(self) -> bool:
        return installed()


class PlannedFlexDelegate(FlexDelegate):
    """Takes the nodes that the Flex delegate takes where TensorFlow is installed, and runs none: for reports."""

    def compile(self, partition: Partition) -> Executable:
        """Something that raises StateError when it is called. TensorFlow is not imported, nor are nodes held against
        what it knows of their operators."""
        return run_nothing

    def _is_there(self) -> bool:
        return True

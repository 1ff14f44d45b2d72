"""The CuPy delegate: runs operator bodies on an NVIDIA GPU."""

from __future__ import annotations

from ...interpreter.runtime.delegate import BoundNode, Executable, Partition
from ..arrays import ArrayDelegate
from .device import CupySpace, available
from .suitable import device_refusal

__all__ = ["CupyGpuDelegate", "CupySpace", "available", "device_refusal"]


class CupyGpuDelegate(ArrayDelegate):
    """Runs the nodes whose values a CUDA device can hold. Raises MissingDependencyError if there is no such device."""

    space: CupySpace

    def __init__(self, device: int = 0) -> None:
        space = CupySpace(device)
        super().__init__("gpu", "CupyGpuDelegate", space.xp, space)
        self.errors = (*self.errors, space.xp.cuda.compiler.CompileException)

    def refuses(self, bound: BoundNode) -> str | None:
        return super().refuses(bound) or device_refusal(bound)

    def compile(self, partition: Partition) -> Executable:
        with self.space.device:
            executable = super().compile(partition)
            self.space.xp.cuda.get_current_stream().synchronize()  # calls on any stream may use the constants now
        return executable

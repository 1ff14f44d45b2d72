"""The GPU delegate: plans partitions as kernel launches, and runs them as CUDA graphs.

Planning (`lowering`, `groups`, `arena`) is pure Python and needs no device; `device.Device` is all that the rest needs
of one. An operator without a kernel runs as array code between launches.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ...interpreter.errors import InputError
from ...interpreter.graph import Array
from ...interpreter.runtime.delegate import BoundNode, Executable, HostSpace, Partition, Space
from ...interpreter.runtime.lane import Lane
from ..arrays import ArrayDelegate
from ..planned import run_nothing
from . import kernels  # registers how operators become launches
from .arena import Arena, lay_out
from .cost import Total, costs, total
from .cupy_device import CupyDevice, available
from .device import Device
from .gemm import WORKSPACE_BYTES, Problem
from .listing import ArrayStep, Listing
from .lowering import Options, lower
from .program import Program
from .space import DeviceSpace
from .suitable import device_refusal
from .tuning import Tuner
from .weights import Weights

__all__ = [
    "CupyGpuDelegate",
    "GpuDelegate",
    "PlannedGpuDelegate",
    "available",
    "check_precision",
    "device_refusal",
    "kernels",
]

PRECISIONS = ("auto", "strict", "tf32", "fp16")


class _Planner(ArrayDelegate):
    """Takes the nodes whose values a GPU can hold, and plans them."""

    def __init__(self, title: str, xp: Any, space: Space, options: Options) -> None:
        super().__init__("gpu", title, xp, space)
        self.options = options
        self._weights = Weights()

    def refuses(self, bound: BoundNode) -> str | None:
        return super().refuses(bound) or device_refusal(bound)

    def plan(self, partition: Partition, *, apart: bool = False) -> tuple[Listing, Arena, dict[str, Any]]:
        """The steps of a partition, where its memory lies, and what reports say of it."""
        listing = lower(partition, self._weights, self.options)
        arena = lay_out(listing, apart=apart)
        expected = total(costs(listing, partition.graph, self.options.ceilings))
        return listing, arena, describe(listing, arena, self.options) | foretold(expected, self.options)


class GpuDelegate(_Planner):
    """Runs the nodes whose values a GPU can hold, on a device of any kind.

    precision: of convolutions and matrix products of float32. "strict" multiplies in float32, "tf32" and "fp16" on
        tensor cores with operands of that type and sums of float32; "auto" is tf32 where the device has it. With "fp16"
        what kernels make for each other is float16 in memory, too; see `storage`.
    apart: gives each tensor memory of its own, for tools that watch memory.
    library: whether large products go to cuBLASLt, where that is installed, and not to kernels of ours.
    tune: whether products are timed in several ways when they are planned for the first time on a kind of device, which
        takes seconds for each; without, a model of the device chooses. None: as TFLITE_CUPY_TUNE says, 0 or 1.
    """

    space: DeviceSpace

    def __init__(
        self,
        space: DeviceSpace,
        title: str,
        *,
        precision: str = "auto",
        apart: bool = False,
        library: bool = True,
        tune: bool | None = None,
    ) -> None:
        taken = partial(_is_taken, space.device) if library else None
        tuner = Tuner(space.device) if wishes_tuning(tune) else None
        super().__init__(title, space.xp, space, Options(space.device.arch, check_precision(precision), taken, tuner))
        self.errors = space.errors
        self._apart = apart

    def compile(self, partition: Partition) -> Executable:
        listing, arena, details = self.plan(partition, apart=self._apart)
        constants = {block: self._weights.array(block, self.space.put) for block in listing.constants}
        kernels = {step: self.kernel(partition.graph, step.bound, step.constants) for step in listing.array_steps}
        with self.space.told():
            return Program(self.space, self.name, partition, listing, arena, constants, kernels, details)


class CupyGpuDelegate(GpuDelegate):
    """Runs nodes on a CUDA device through CuPy. Raises MissingDependencyError if there is no such device."""

    def __init__(
        self, device: int = 0, *, precision: str = "auto", library: bool = True, tune: bool | None = None
    ) -> None:
        space = DeviceSpace(CupyDevice(device))
        super().__init__(space, "CupyGpuDelegate", precision=precision, library=library, tune=tune)


class PlannedGpuDelegate(_Planner):
    """Plans as the GPU delegate does, and runs nothing: for reports where there is no GPU.

    library: whether to assume one that takes all products it is asked for.
    """

    def __init__(self, *, arch: int = 90, precision: str = "auto", library: bool = True) -> None:
        options = Options(arch, check_precision(precision), (lambda _: True) if library else None)
        super().__init__("CupyGpuDelegate", None, PlannedSpace(), options)

    def compile(self, partition: Partition) -> Executable:
        listing, _, details = self.plan(partition)
        return Planned(listing, details)


class PlannedSpace(HostSpace):
    """Stands for the memory of a GPU that is not there."""

    name = "cuda:planned"

    def owns(self, value: object) -> bool:
        return False


class Planned:
    """A listing that nobody runs."""

    def __init__(self, listing: Listing, details: Mapping[str, Any]) -> None:
        self.listing, self.details = listing, details

    def __call__(self, lane: Lane, inputs: Sequence[Array]) -> Sequence[Array]:
        return run_nothing(lane, inputs)


def describe(listing: Listing, arena: Arena, options: Options) -> dict[str, Any]:
    """What reports say of a partition: how many launches a call takes, which nodes run as array code and why, what
    precision products of float32 have and which of them a library computes, bytes of device memory."""
    reasons: dict[str, str] = {}
    for step in listing.array_steps:
        reasons.setdefault(step.bound.node.name, step.reason)
    shapes = Counter(str(gemm.problem) for gemm in listing.gemms)
    return {
        "launches": listing.launches,
        "segments": sum(not isinstance(run[0], ArrayStep) for run in listing.segments),
        "array_nodes": len(listing.array_steps),
        "array_reasons": reasons,
        "library_products": len(listing.gemms),
        "library_shapes": {f"product {shape}": f"cuBLASLt, x{count}" for shape, count in shapes.items()},
        "precision": options.products,
        "weights_bytes": sum(block.nbytes for block in listing.constants),
        "arena_bytes": arena.nbytes,
        "workspace_bytes": WORKSPACE_BYTES if listing.gemms else 0,
    }


def foretold(expected: Total, options: Options) -> dict[str, Any]:
    """What a model expects of a call of a partition; see `cost`."""
    return {
        "moved_bytes": expected.nbytes,
        "operations": expected.operations,
        "predicted_for": options.ceilings.name,
        "floor_us": round(1e6 * expected.floor, 1),
        "time_us": round(1e6 * expected.expected, 1),
    }


def _is_taken(device: Device, problem: Problem) -> bool:
    """Whether a device's library computes a product."""
    return device.gemm_plan(problem) is not None


def wishes_tuning(asked: bool | None) -> bool:
    """Whether ways are to be timed, where `None` is asked by the environment variable TFLITE_CUPY_TUNE."""
    said = os.environ.get("TFLITE_CUPY_TUNE") or "0"
    if said not in ("0", "1"):
        raise InputError(f"TFLITE_CUPY_TUNE is {said!r}, expected 0 or 1.")
    return said == "1" if asked is None else asked


def check_precision(precision: str) -> str:
    """`precision`, if there is such a one; InputError otherwise."""
    if precision not in PRECISIONS:
        raise InputError(f"precision={precision!r} is unknown", hint=f"Use one of {', '.join(PRECISIONS)}.")
    return precision

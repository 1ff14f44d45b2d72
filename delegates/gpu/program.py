"""A listing made ready for a device: constants uploaded, kernels compiled. Shared by all threads; see `Bound`."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ...interpreter.errors import KernelError
from ...interpreter.graph import Array
from ...interpreter.ops.shared.resources import Variable, unboxed
from ...interpreter.runtime.delegate import Partition
from ...interpreter.runtime.faults import node_error
from ...interpreter.runtime.lane import DeviceState, Lane
from ..arrays import Kernel as ArrayKernel
from .arena import Arena
from .device import Device, Memory
from .ending import Ending
from .gemm import Pointers
from .listing import FAULT, ArrayStep, Block, Gemm, Launch, Listing, Operand, Queued, Step, Storage
from .stopwatch import Stopwatch
from .updates import Exclusive

if TYPE_CHECKING:
    from .space import DeviceSpace

MAX_GRAPHS = 8
"""Graphs kept of one segment on one lane: one for each set of addresses that inputs had."""

CAPTURE = threading.Lock()
"""Held while a graph is captured."""

Addresses: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Steps that become one graph."""

    steps: tuple[Queued, ...]
    ready: tuple[Any, ...]  # loaded kernels, and plans of products
    external: tuple[Block, ...]  # blocks whose addresses differ between calls


class Program:
    """Runs a partition on a device."""

    def __init__(
        self,
        space: DeviceSpace,
        name: str,
        partition: Partition,
        listing: Listing,
        arena: Arena,
        constants: Mapping[Block, Array],
        kernels: Mapping[ArrayStep, ArrayKernel],
        details: Mapping[str, Any],
    ) -> None:
        self.details = details
        self.space, self.listing, self.arena, self.constants = space, listing, arena, constants
        self.device: Device = space.device
        self._name, self.graph, self._nodes = name, partition.graph, [b.node.index for b in partition.nodes]
        self._kernels, self._array = kernels, self.device.xp.ndarray
        self.device.load([step.kernel for step in listing.steps if isinstance(step, Launch)])  # side by side
        self.steps = tuple(self._step(run) for run in listing.segments)

    def _step(self, run: Sequence[Step]) -> Segment | ArrayStep:
        if isinstance(run[0], ArrayStep):
            return run[0]
        steps = tuple(step for step in run if not isinstance(step, ArrayStep))
        used = dict.fromkeys(b for step in steps for b in step.reads)
        external = tuple(b for b in used if b.storage in (Storage.INPUT, Storage.ARRAY))
        return Segment(steps, tuple(self._ready(step) for step in steps), external)

    def _ready(self, step: Queued) -> Any:
        if isinstance(step, Launch):
            return self.device.load([step.kernel])[0]
        return self.device.gemm_plan(step.problem)

    def __call__(self, lane: Lane, inputs: Sequence[Array]) -> list[Array]:
        bound = self.space.bound(self)
        arrays: dict[Block, Array] = dict(zip(self.listing.inputs, inputs, strict=True))
        state = DeviceState(lane, self.space)
        watch = None if lane.recording is None else Stopwatch(self.device)
        with self._exclusively(state, arrays) as exclusive:
            for step in self.steps:
                if isinstance(step, Segment):
                    bound.launch(step, arrays, watch)
                    continue
                self._run(step, bound, arrays, exclusive if step.exclusive else state)
                if watch is not None:
                    watch.lap(step.nodes, step.name)
        if watch is not None and lane.recording is not None:
            lane.recording.measured(self.graph.index, self._name, watch.read(), self.listing.views)
        if lane.observer is not None:
            for node in self._nodes:
                lane.observer(self.graph.index, node, self._name)
        outputs = [bound.array(operand, arrays) for operand in self.listing.outputs]
        if lane.depth:  # a body's next turn writes to the same addresses
            return [self.space.within(array.copy) if hasattr(array, "copy") else array for array in outputs]
        return outputs

    def _exclusively(self, state: DeviceState, arrays: Mapping[Block, Array]) -> AbstractContextManager[Any]:
        """Variables for the steps that update some in place."""
        steps = self.listing.array_steps
        if not any(step.exclusive for step in steps):
            return nullcontext()
        handles = (step.inputs[0] for step in steps if step.is_stateful and step.inputs and step.inputs[0] is not None)
        given = (arrays.get(handle.block) for handle in handles)
        variables = {unboxed(array, Variable) for array in given if array is not None and array.dtype == object}
        return Exclusive(self.device, state, variables)

    def _run(self, step: ArrayStep, bound: Bound, arrays: dict[Block, Array], state: DeviceState | Exclusive) -> None:
        operands = [None if o is None else bound.array(o, arrays) for o in step.inputs]
        is_written = [o is not None and o.block.storage in (Storage.ARENA, Storage.INPUT) for o in step.inputs]
        lent = [a for a, is_one in zip(operands, is_written, strict=True) if is_one and isinstance(a, self._array)]
        try:
            result = self._kernels[step](state, *operands) if step.is_stateful else self._kernels[step](*operands)
            results = result if type(result) is tuple else (result,)
            for operand, spec, value in zip(step.outputs, step.bound.outs, results, strict=True):
                if operand.shape is not None and tuple(value.shape) != operand.shape:
                    raise KernelError(f"the value has shape {list(value.shape)}, planned for {list(operand.shape)}")
                arrays[operand.block] = value if spec.type.is_object else self._own(value, operand.dtype, lent)
        except self.space.errors as error:
            if (named := node_error(error, self.graph, step.bound.node)) is error:
                raise
            raise named from error

    def _own(self, value: Any, dtype: np.dtype[Any], lent: Sequence[Array]) -> Array:
        """A result as a dense array, and no view of what is `lent`: later steps may write there."""
        if getattr(value, "dtype", None) != dtype or not value.flags.c_contiguous:
            value = self.device.xp.ascontiguousarray(self.device.xp.asarray(value, dtype=dtype))
        start = self.device.address(value)
        starts = [(self.device.address(array), array.nbytes) for array in lent]
        return value.copy() if any(first <= start < first + nbytes for first, nbytes in starts) else value


class FaultWord:
    """Where a program's kernels report faults: page-locked memory, which a device reaches at the same address."""

    def __init__(self, program: Program) -> None:
        self._device, self._faults, self._graph = program.device, program.listing.faults, program.graph
        self._host = program.device.pinned(FAULT.nbytes).view(FAULT.dtype)
        self.clear()

    @property
    def address(self) -> int:
        return int(self._host.ctypes.data)

    def clear(self) -> None:
        """No fault; while no kernel of the program is in the queue."""
        self._host[0] = 0

    def check(self) -> None:
        """Wait, and raise the KernelError of the fault that there is."""
        self._device.synchronize()
        number, index = divmod(int(self._host[0]), 1 << 48)
        if number:
            node, message = self._faults[number - 1]
            signed = index - (1 << 48) if index >> 47 else index
            raise node_error(KernelError(message.format(signed)), self._graph, node)


class Bound:
    """A program on one lane: its arena there, and the graphs captured on it. Not for concurrent use."""

    def __init__(self, program: Program, workspace: Callable[[], Memory]) -> None:
        """workspace: what products on this lane may use beside their operands."""
        self.ending = Ending(self, program.device)  # of the last call: constants go with the program, after it
        self.workspace = workspace() if program.listing.gemms else None
        self._space = program.space
        self._device, self._graph, self._offsets = program.device, program.graph, program.arena.offsets
        self._memory: Memory = program.space.memory(program.arena.nbytes)
        base = self._memory.address
        self._addresses = {block: base + offset for block, offset in program.arena.offsets.items()}
        self._addresses |= {block: program.device.address(array) for block, array in program.constants.items()}
        self._constants = program.constants
        self._launch_errors: tuple[type[Exception], ...] = (KernelError, *program.device.errors)
        self._graphs: dict[Segment, OrderedDict[Addresses, Any]] = {}
        self._seen: dict[Segment, deque[Addresses]] = {}  # the latest, without a graph yet
        self._views: dict[Operand, Array] = {}
        self._faults = FaultWord(program) if program.listing.faults else None
        if self._faults is not None:
            self._addresses[FAULT.block] = self._faults.address
        self._counts = [
            (block, program.space.put(np.zeros(block.nbytes, np.uint8)))
            for block in program.listing.blocks(Storage.COUNTS)
        ]
        self._addresses |= {block: program.device.address(zeros) for block, zeros in self._counts}
        self._has_failed = False  # so that counts may be other than 0

    @property
    def nbytes(self) -> int:
        return self._memory.nbytes

    def begin(self) -> None:
        """A new call, after all work of the last one; that may have failed and left a fault, or counts."""
        if self._faults is not None:
            self._faults.clear()
        if self._has_failed:
            for block, counts in self._counts:
                self._device.copy_in(counts, np.zeros(block.nbytes, np.uint8))
            self._device.synchronize()
            self._has_failed = False

    def launch(self, segment: Segment, arrays: dict[Block, Array], watch: Stopwatch | None = None) -> None:
        """Run a segment: one graph launch, once the same addresses came twice; launch by launch under a watch."""
        for block in segment.external:
            arrays[block] = self._aligned(arrays[block])
        key = tuple([self._device.address(arrays[block]) for block in segment.external])
        if watch is not None:
            self._launch_all(segment, key, watch)
            return
        graphs = self._graphs.setdefault(segment, OrderedDict())
        graph = graphs.get(key)
        if graph is not None:
            graphs.move_to_end(key)
            self._replay(graph, segment)
        elif key not in (seen := self._seen.setdefault(segment, deque(maxlen=MAX_GRAPHS))):
            seen.append(key)
            self._launch_all(segment, key)
        elif (graph := self._captured(segment, key)) is None:
            self._launch_all(segment, key)
        else:
            graphs[key] = graph
            if len(graphs) > MAX_GRAPHS:
                graphs.popitem(last=False)
            self._replay(graph, segment)

    def check(self) -> None:
        """Wait, and raise the KernelError of what a kernel has found wrong; at once where none looks for faults."""
        if self._faults is not None:
            self._faults.check()

    def _captured(self, segment: Segment, key: Addresses) -> Any:
        """A graph of the segment; None if capturing failed: other libraries' calls in other threads may break it."""
        try:
            with CAPTURE:
                self._device.begin_capture()
                try:
                    self._launch_all(segment, key)
                finally:
                    graph = self._device.end_capture()
        except self._launch_errors:
            return None
        return graph

    def _replay(self, graph: Any, segment: Segment) -> None:
        try:
            self._device.replay(graph)
        except self._device.errors as error:
            nodes = dict.fromkeys(node for step in segment.steps for node in step.nodes)
            raise self._refused(tuple(nodes), error) from error

    def _launch_all(self, segment: Segment, key: Addresses, watch: Stopwatch | None = None) -> None:
        addresses = self._addresses | dict(zip(segment.external, key, strict=True))
        for step, ready in zip(segment.steps, segment.ready, strict=True):
            try:
                if isinstance(step, Gemm):
                    self._multiply(step, ready, addresses)
                else:
                    arguments = [addresses[a.block] + a.offset if isinstance(a, Operand) else a for a in step.arguments]
                    self._device.launch(ready, step.grid, step.block, step.shared, arguments)
                if watch is not None:
                    watch.lap(step.nodes, step.name)
            except self._launch_errors as error:
                raise self._refused(step.nodes, error) from error

    def _multiply(self, step: Gemm, plan: Any, addresses: Mapping[Block, int]) -> None:
        assert self.workspace is not None
        operands = step.a, step.b, step.out, step.c, step.bias
        pointers = Pointers(*(0 if o is None else addresses[o.block] + o.offset for o in operands))
        self._device.gemm(plan, pointers, self.workspace.address)

    def _refused(self, nodes: Sequence[int], error: Exception) -> KernelError:
        """The error of a launch, which names the nodes that it computes."""
        self._has_failed = True
        named = [self._graph.nodes[index] for index in nodes]
        shown = ", ".join(map(str, named[:3])) + (f" and {len(named) - 3} more" if len(named) > 3 else "")
        where = self._graph.where(named[0]) if named else ""
        return KernelError(f"the GPU refused to run {shown or 'a kernel'}: {error}", where=where)

    def _aligned(self, array: Array) -> Array:
        """Dense, and where loads of 16 bytes are allowed."""
        if not array.flags.c_contiguous or self._device.address(array) % 16:
            return self._space.within(lambda: array.copy(order="C"))
        return array

    def array(self, operand: Operand, arrays: Mapping[Block, Array]) -> Array:
        """An operand as an array."""
        block, shape = operand.block, operand.shape
        if block.storage is Storage.ARENA:
            if operand not in self._views:
                offset = self._offsets[block] + operand.offset
                self._views[operand] = self._device.array(self._memory, offset, shape or (), operand.dtype)
            return self._views[operand]
        array = self._constants[block] if block.storage is Storage.CONSTANT else arrays[block]
        if shape is None or (array.shape == shape and not operand.offset):
            return array
        skip = operand.offset // operand.dtype.itemsize
        return array.reshape(-1)[skip : skip + operand.size].reshape(shape)

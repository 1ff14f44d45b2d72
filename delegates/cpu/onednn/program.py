"""Partitions as flat lists of steps: primitives over one arena, NumPy code between them.

program     immutable, shared by all calls: primitives, packed constants, where in the arena each tensor lies
workspace   what one call has to itself: a stream, primitives bound to addresses in an arena
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from itertools import chain
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ....interpreter.graph import ABSENT, Array, TensorSpec
from ....interpreter.ops.layout import Split, SplitV, Transpose, Unpack
from ....interpreter.ops.slicing import Slice, StridedSlice
from ....interpreter.runtime.delegate import Partition
from ....interpreter.runtime.faults import BODY_ERRORS, node_error
from ....interpreter.runtime.sizes import sizing
from ...arena import place
from .arenas import Arena, taken
from .binding import Arg, Handle, Library, Query
from .effort import is_light
from .primitive import arguments, make_layout
from .steps import ArrayStep, Execution, Join, Step, View

if TYPE_CHECKING:
    from ....interpreter.runtime.lane import Lane

ALIGNMENT = 64

_TALLY = -1
"""Where among the values it is counted by how much the results of unknown size have grown."""

SMALL = 1 << 14
"""Bytes of a tensor that is rather copied into the arena, or out of it."""

PARTS = (Slice, Split, SplitV, StridedSlice, Transpose, Unpack)
"""Operators whose NumPy code gives views of an operand."""

Run: TypeAlias = "Callable[[list[Array], Lane], None]"
"""A step bound to a workspace: reads and writes values by slot."""

Call: TypeAlias = tuple[Any, Any, int, Any]
"""What `execute` takes: a primitive, a stream, and how many arguments of which memory."""


class Program:
    """A partition made ready. Each concurrent call takes a workspace of its own."""

    def __init__(self, library: Library, partition: Partition, steps: Sequence[Step], name: str) -> None:
        self.library, self.partition, self.steps, self.name = library, partition, steps, name
        self.specs = _specs(partition)
        tensors = chain([ABSENT], partition.inputs, partition.constants, self.specs)
        self.slots = {tensor: slot for slot, tensor in enumerate(dict.fromkeys(tensors))}
        self.first_result = 1 + len(partition.inputs) + len(partition.constants)
        blocks = self._blocks()
        self._dead = _dead(partition, steps, blocks)
        lives, bases = _lives(partition, steps, blocks)
        self.offsets, self.nbytes = place({t: self._nbytes(t) for t in blocks}, lives, ALIGNMENT)
        self.copied = [(self.slots[t], i) for i, t in enumerate(partition.inputs) if t in blocks]
        self.given = [(self.slots[t], i) for i, t in enumerate(partition.inputs) if t not in blocks]
        self.outputs = [(self.slots[t], bool(bases.get(t))) for t in partition.outputs]
        self.scratch = max((s.primitive.scratch for s in steps if isinstance(s, Execution)), default=0)
        self._idle: list[Workspace] = []

    def _blocks(self) -> dict[int, int]:
        """Tensors that lie in the arena, with the step from which on they do.

        Inputs, outputs and what NumPy makes are copied if they are small: that takes less time than to tell a primitive
        where they are.
        """
        read = {t for step in self.steps if isinstance(step, Execution) for t in step.reads}
        blocks = {t: 0 for t in self.partition.inputs if t in read and self._is_small(t)}
        inside = set(blocks)
        for position, step in enumerate(self.steps):
            if _gives_parts(step) and inside.issuperset(set(step.reads) - self.partition.constants.keys()):
                inside.update(step.writes)
                continue
            for tensor in step.writes if not isinstance(step, View) else ():
                is_ours = isinstance(step, Execution | Join)
                leaves = tensor in self.partition.outputs
                if (is_ours and not leaves) or ((is_ours or tensor in read) and self._is_small(tensor)):
                    blocks[tensor] = position
                    inside.add(tensor)
        return blocks

    def _is_small(self, tensor: int) -> bool:
        spec = self.specs.get(tensor)
        return spec is not None and spec.shape is not None and spec.dtype != object and self._nbytes(tensor) <= SMALL

    def _nbytes(self, tensor: int) -> int:
        spec = self.specs[tensor]
        assert spec.shape is not None
        return prod(spec.shape) * spec.dtype.itemsize

    def dead(self, step: Step) -> tuple[int, ...]:
        """Slots of arrays that no later step reads."""
        return tuple(self.slots[tensor] for tensor in self._dead.get(step, ()))

    @property
    def threads(self) -> set[int]:
        """How many threads primitives run on."""
        return {step.threads for step in self.steps if isinstance(step, Execution)}

    @cached_property
    def _switches(self) -> bool:
        """Whether a call may leave another number of threads behind than it starts with."""
        return self.threads != {1}

    @cached_property
    def is_silent(self) -> bool:
        """Whether no step is NumPy code that works on numbers, which may warn of them."""
        return all(isinstance(s, View | Join) or (isinstance(s, Execution) and s.derived is None) for s in self.steps)

    @property
    def details(self) -> dict[str, Any]:
        """What reports say of it."""
        primitives = sum(isinstance(step, Execution) for step in self.steps)
        fused = sum(len(step.nodes) for step in self.steps if isinstance(step, Execution))
        return {"onednn_primitives": primitives, "onednn_nodes": fused, "arena_bytes": self.nbytes + self.scratch}

    def __call__(self, lane: Lane, inputs: Sequence[Array]) -> list[Array]:
        try:
            workspace = self._idle.pop()
        except IndexError:
            workspace = self._new_workspace(lane)
        else:
            if not workspace.arena.take():
                workspace = self._other_workspace(workspace) or self._new_workspace(lane)
        library = self.library
        before = library.count_threads()
        if before != 1:
            library.set_threads(1)
        try:
            return workspace.run(lane, inputs)
        finally:
            if before != 1 or self._switches:
                library.use_threads(before)  # one in a forked process
            workspace.arena.give_back()
            self._idle.append(workspace)

    def _other_workspace(self, one: Workspace) -> Workspace | None:
        """One whose arena is free, taken for this call, where that of `one` is not."""
        busy = [one]
        try:
            while True:
                workspace = self._idle.pop()
                if workspace.arena.take():
                    return workspace
                busy.append(workspace)
        except IndexError:
            return None
        finally:
            self._idle.extend(busy)

    def _new_workspace(self, lane: Lane) -> Workspace:
        arena = taken(self.nbytes + self.scratch)
        try:
            return lane.prepared(partial(Workspace, self, arena))
        except BaseException:
            arena.give_back()
            raise


class Workspace:
    """The steps of a program bound to an arena, for one call at a time that has taken it."""

    def __init__(self, program: Program, arena: Arena) -> None:
        self._program, self.arena, self._arena = program, arena, arena.memory
        self._stream = program.library.stream()
        constants = program.partition.constants
        self._values: list[Array] = [constants.get(tensor) for tensor in program.slots]
        self._values.append(0)
        for tensor, offset in program.offsets.items():
            self._values[program.slots[tensor]] = self._inner(tensor, offset)
        self._held: list[Mapping[int, Handle]] = []  # memory objects that calls name by address
        self._threads = 1  # that the step bound last has
        self._steps = [(step, self._execute(step), *self._bound(step), program.dead(step)) for step in program.steps]
        self._busy = [each for each in self._steps if each[2] is not None or each[3] is not _nothing]

    def _inner(self, tensor: int, offset: int) -> np.ndarray:
        spec = self._program.specs[tensor]
        assert spec.shape is not None
        nbytes = prod(spec.shape) * spec.dtype.itemsize
        return self._arena[offset : offset + nbytes].view(spec.dtype).reshape(spec.shape)

    def run(self, lane: Lane, inputs: Sequence[Array]) -> list[Array]:
        """One call."""
        program, values, is_watched = self._program, self._values.copy(), lane.is_watched
        for slot, position in program.copied:
            values[slot][...] = inputs[position]  # takes less time than `copyto`
        for slot, position in program.given:
            values[slot] = inputs[position]
        step: Step | None = None
        try:
            for step, execute, call, run, dead in self._steps if is_watched else self._busy:
                if call is None:
                    run(values, lane)
                elif status := execute(*call):
                    program.library.check(status, step.nodes[0].node.name)
                for slot in dead:
                    values[slot] = None
                if is_watched:
                    nodes = [bound.node.index for bound in step.nodes]
                    name = "onednn" if isinstance(step, Execution) else ""
                    lane.ran(program.partition.graph.index, nodes, program.name, name)
        except BODY_ERRORS as error:
            graph = program.partition.graph
            if step is None or (named := node_error(error, graph, step.nodes[0].node)) is error:
                raise
            raise named from error
        return [values[slot].copy() if is_lent else values[slot] for slot, is_lent in program.outputs]

    def _execute(self, step: Step) -> Callable[..., int]:
        """The function that runs a primitive."""
        library = self._program.library
        is_short = isinstance(step, Execution) and is_light(step.nodes, step.parts)
        return library.execute_briefly if is_short else library.execute

    def _bound(self, step: Step) -> tuple[Call | None, Run]:
        """A primitive all of whose operands have their places as arguments of `execute`, other steps as functions."""
        if isinstance(step, Execution):
            return self._with_threads(step, *self._execution(step))
        if isinstance(step, Join):
            return None, self._join(step)
        if isinstance(step, View):
            return None, self._view(step)
        return None, _nothing if self._is_fixed(step) else self._array(step)

    def _with_threads(self, step: Execution, call: Call | None, run: Run) -> tuple[Call | None, Run]:
        """The same; where the primitive before it has another number of threads, that is set first."""
        if step.threads == self._threads:
            return call, run
        self._threads = step.threads
        library, count, execute = self._program.library, step.threads, self._execute(step)
        set_threads = library.set_threads

        def switch(values: list[Array], lane: Lane) -> None:
            set_threads(count)
            if call is None:
                run(values, lane)
            elif status := execute(*call):
                library.check(status, step.nodes[0].node.name)

        return None, switch

    def _is_fixed(self, step: ArrayStep) -> bool:
        """Whether a node gives parts of the arena, which then are known once and for all."""
        slots = self._program.slots
        operands = [self._values[slots[tensor]] for tensor in step.reads]
        is_copied = any(tensor in self._program.offsets for tensor in step.writes)
        if is_copied or not _gives_parts(step) or any(value is None for value in operands):
            return False
        results = step.kernel(*operands)
        results = results if isinstance(results, tuple) else (results,)
        if not all(map(self._lies_inside, results)):
            return False
        for tensor, result in zip(step.writes, results, strict=True):
            self._values[slots[tensor]] = result
        return True

    def _lies_inside(self, array: np.ndarray) -> bool:
        return bool(array.size) and np.may_share_memory(array, self._arena)

    def _array(self, step: ArrayStep) -> Run:
        slots, kernel, is_stateful = self._program.slots, step.kernel, step.is_stateful
        inputs, first = [slots[tensor] for tensor in step.reads], self._program.first_result
        sizes = sizing(self._program.partition.graph, step.nodes[0])
        specs = zip(step.writes, step.nodes[0].outs, strict=True)
        outputs = [(slots[t], spec.dtype, self._values[slots[t]]) for t, spec in specs]

        def run(values: list[Array], lane: Lane) -> None:
            operands = [values[slot] for slot in inputs]
            if sizes is not None:
                values[_TALLY] = sizes.account(lane, operands, values, first, values[_TALLY])
            result = kernel(lane.state, *operands) if is_stateful else kernel(*operands)
            results = result if type(result) is tuple else (result,)
            for (slot, dtype, inner), value in zip(outputs, results, strict=True):
                if inner is None:
                    values[slot] = np.asarray(value, dtype)
                else:
                    np.copyto(inner, value)

        return run

    def _view(self, step: View) -> Run:
        """Known once and for all if it is a view of the arena; elements that don't lie in order are copied."""
        slots, shape = self._program.slots, step.nodes[0].outs[0].shape
        source, target = slots[step.reads[0]], slots[step.writes[0]]
        if self._values[source] is not None and self._lies_inside(view := self._values[source].reshape(shape)):
            self._values[target] = view
            return _nothing

        def run(values: list[Array], lane: Lane) -> None:
            values[target] = values[source].reshape(shape)

        return run

    def _join(self, step: Join) -> Run:
        slots, axis = self._program.slots, step.axis
        sources, target = [slots[tensor] for tensor in step.reads], slots[step.writes[0]]
        inner = self._values[target]

        def run(values: list[Array], lane: Lane) -> None:
            values[target] = np.concatenate([values[slot] for slot in sources], axis, out=inner)

        return run

    def _execution(self, step: Execution) -> tuple[Call | None, Run]:
        program, library, slots = self._program, self._program.library, self._program.slots
        places = dict(step.constants)
        moving: list[tuple[Handle, int]] = []  # operands whose addresses differ between calls
        for argument, (tensor, layout) in step.operands.items():
            inner = self._values[slots[tensor]]
            is_fixed = inner is not None and inner.flags.c_contiguous
            places[argument] = library.memory(layout, inner.ctypes.data if is_fixed else 0)
            if not is_fixed:
                moving.append((places[argument], slots[tensor]))
        result, layout = step.result
        inner = self._values[slots[result]]
        places[Arg.DST] = library.memory(layout, 0 if inner is None else inner.ctypes.data)
        if step.primitive.scratch:
            scratch = library.query(step.primitive.description, Query.SCRATCHPAD)
            places[Arg.SCRATCHPAD] = library.memory(scratch, self._arena.ctypes.data + program.nbytes)
        derive = None
        if step.derived is not None:
            made = {a: library.memory(make_layout(library, each), 0) for a, each in step.derived.layouts.items()}
            places.update(made)
            derive = slots[step.derived.tensor], step.derived.work_out, made
        execute, move, check = self._execute(step), library.move, library.check
        handles = (each._as_parameter_ for each in (step.primitive.handle, self._stream))
        call = *handles, len(places), arguments(places)
        target, new, name = slots[result], None if inner is not None else program.specs[result], step.nodes[0].node.name
        if step.parts > 1:
            return None, self._in_parts(step, places, call)
        if new is None and derive is None and not moving:
            self._held.append(places)
            return call, _nothing

        def run(values: list[Array], lane: Lane) -> None:
            held = [move(memory, values[slot]) for memory, slot in moving]
            if derive is not None:
                slot, work_out, memories = derive
                held += [move(memories[argument], array) for argument, array in work_out(values[slot]).items()]
            if new is not None:
                values[target] = move(places[Arg.DST], np.empty(new.shape or (), new.dtype))
            status = execute(*call)
            if status:
                check(status, name)
            held.clear()

        return None, run

    def _in_parts(self, step: Execution, places: Mapping[int, Handle], call: Call) -> Run:
        """A primitive that runs for one part of its operands after the other."""
        library, slots, spec = self._program.library, self._program.slots, self._program.specs[step.result[0]]
        target, name = slots[step.result[0]], step.nodes[0].node.name
        inner = self._values[target]
        sources = [(places[argument], slots[tensor]) for argument, (tensor, _) in step.operands.items()]
        derived = step.derived

        def run(values: list[Array], lane: Lane) -> None:
            made = {} if derived is None else derived.work_out(values[slots[derived.tensor]])
            result = np.empty(spec.shape or (), spec.dtype) if inner is None else inner
            for part in range(step.parts):
                held = [library.move(memory, values[slot][part]) for memory, slot in sources]
                held += [library.move(places[argument], array[part]) for argument, array in made.items()]
                library.move(places[Arg.DST], result[part])
                if status := library.execute(*call):
                    library.check(status, name)
                held.clear()
            values[target] = result

        return run


def _dead(partition: Partition, steps: Sequence[Step], blocks: Mapping[int, int]) -> dict[Step, list[int]]:
    """Tensors outside the arena by the last step that has to do with them."""
    last = {tensor: step for step in steps for tensor in (*step.reads, *step.writes)}
    kept = {ABSENT, *partition.constants, *partition.outputs, *blocks}
    dead: dict[Step, list[int]] = {}
    for tensor, step in last.items():
        if tensor not in kept:
            dead.setdefault(step, []).append(tensor)
    return dead


def _gives_parts(step: Step) -> bool:
    return isinstance(step, View) or (isinstance(step, ArrayStep) and isinstance(step.nodes[0].op, PARTS))


def _nothing(values: list[Array], lane: Lane) -> None:
    """What a view costs, and a primitive that is called directly."""


def _specs(partition: Partition) -> dict[int, TensorSpec]:
    """Of all tensors but constants."""
    pairs = ((t, s) for b in partition.nodes for t, s in zip(b.node.inputs, b.ins, strict=False) if s is not None)
    inputs = {t: s for t, s in pairs if t in partition.inputs}
    return inputs | {t: s for b in partition.nodes for t, s in zip(b.node.outputs, b.outs, strict=True)}


def _lives(
    partition: Partition, steps: Sequence[Step], blocks: Mapping[int, int]
) -> tuple[dict[int, tuple[int, int]], dict[int, set[int]]]:
    """First and last step that may use each block, and the blocks in whose memory each tensor may lie."""
    bases = {tensor: {tensor} for tensor in blocks}
    lasts = dict(blocks)
    for position, step in enumerate(steps):
        lent = set().union(*(bases.get(tensor, set()) for tensor in step.reads))
        for tensor in step.writes:
            if tensor not in blocks:
                bases[tensor] = set() if isinstance(step, Execution | Join) else lent
        for tensor in (*step.reads, *step.writes):
            lasts.update(dict.fromkeys(bases.get(tensor, set()), position))
    for tensor in partition.outputs:
        lasts.update(dict.fromkeys(bases.get(tensor, set()), len(steps)))
    return {tensor: (first, lasts[tensor]) for tensor, first in blocks.items()}, bases

"""One subgraph with tensors that are set, run and read one at a time. Not for concurrent use; each holder has its own.

The classic API holds one, and so do the C++-shaped calls of a signature runner.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .details import as_array, opaque, owned, scalar, tensor_details
from .errors import InputError, KernelError, StateError
from .graph import Graph, Tensor, TensorType
from .runtime.delegate import HOST
from .runtime.engine import Engine
from .runtime.plan import Plan, Value

_UNALLOCATED = "Run allocate_tensors() first"
_MAX_DIMENSION = 2**31 - 1
"""As in details, whose shapes are int32."""


class Session:
    """Input shapes, input buffers, and the values that the last run left behind."""

    def __init__(self, engine: Engine, graph: Graph, *, keep_all: bool = False) -> None:
        self._engine, self.graph, self._keep_all = engine, graph, keep_all
        self._shapes = {i: graph.tensors[i].shape for i in graph.inputs}
        self._plan: Plan | None = None
        self._buffers: dict[int, np.ndarray] = {}
        self._bodies: dict[int, dict[int, np.ndarray]] | None = {} if keep_all else None

    def close(self) -> None:
        """Give up the tensors."""
        self._plan, self._bodies = None, None
        self._buffers.clear()

    def tensor(self, index: int) -> Tensor:
        """The declared tensor; InputError if there is none."""
        if not 0 <= index < len(self.graph.tensors):
            raise _no_tensor(self.graph, index)
        return self.graph.tensors[index]

    def details(self, index: int) -> dict[str, Any]:
        """Details of a tensor with its present shape."""
        tensor = self.tensor(index)
        shape: Sequence[int] = tensor.shape
        if index in self._shapes:
            shape = self._shapes[index]
        elif index in self._buffers:
            shape = self._buffers[index].shape
        elif self._plan is not None and (known := self._plan.resolved.specs[index].shape) is not None:
            shape = known
        return tensor_details(tensor, index, shape)

    def resize(self, index: int, shape: Sequence[int], *, strict: bool = False) -> None:
        """Give an input another shape for the next `allocate`. `strict` allows unknown dimensions only."""
        self._ensure_unreferenced()
        tensor = self._input(index)
        try:
            new = tuple(np.asarray(shape, np.int64).reshape(-1).tolist())
        except (OverflowError, TypeError, ValueError) as error:
            what = f"Cannot resize input {index}, name: {tensor.name}: {shape!r} is no shape: {error}"
            raise InputError(what, hint="Give a list of integers.") from error
        if any(not 0 <= n <= _MAX_DIMENSION for n in new):
            what = f"negative dimension, or one over {_MAX_DIMENSION}, in {list(new)}"
            raise InputError(f"Cannot resize input {index}, name: {tensor.name}: {what}")
        if strict:
            _check_strict(index, tensor, self._shapes[index], new)
        if new != self._shapes[index]:
            self._shapes[index] = new
            self._plan = None

    def allocate(self) -> None:
        """Plan the subgraph for the present input shapes and make the input buffers.

        Unknown dimensions are 1 until they are resized; nodes that can't take that wait for the call.
        """
        self._ensure_unreferenced()
        if self._plan is not None:
            return
        shapes = [self._shapes[i] for i in self.graph.inputs]
        try:
            plan = self._engine.plan(self.graph, shapes, keep_all=self._keep_all)
        except KernelError:
            open_shapes = [None if self._is_placeholder(i) else self._shapes[i] for i in self.graph.inputs]
            if None not in open_shapes:
                raise
            plan = self._engine.plan(self.graph, open_shapes, keep_all=self._keep_all)
        kept = {i: b for i, b in self._buffers.items() if i in self._shapes and b.shape == self._shapes[i]}
        self._buffers = kept | {
            i: self._engine.blank(self.graph.tensors[i], s) for i, s in self._shapes.items() if i not in kept
        }
        self._plan = plan

    def set(self, index: int, value: Any) -> None:
        """Copy a value into an input. Its dtype and shape must be the input's."""
        tensor = self.tensor(index)
        if self._plan is None:
            raise InputError("Cannot set tensor: Tensor is unallocated. Try calling allocate_tensors() first")
        self._input(index)
        buffer = self._buffers[index]
        array = as_array(value, tensor, index)
        _check_shape(array.shape, buffer.shape, index)
        buffer[...] = array

    def get(self, index: int) -> Any:
        """A copy of a tensor: an input, a constant, an output of the last run; any tensor if all are kept.

        A NumPy scalar for a number of rank 0.
        """
        return scalar(self._current(index).copy())

    def view(self, index: int) -> Callable[[], np.ndarray]:
        """A function that gives the present buffer of a tensor, uncopied. Do not hold what it returns."""
        self.tensor(index)
        return lambda: self._current(index)[...]

    def invoke(self, *, check_references: bool = True) -> None:
        """Run the subgraph on the input buffers; by default only while nobody holds a view of one."""
        if check_references:
            self._ensure_unreferenced()
        if self._plan is None:
            raise StateError("Invoke called on model that is not ready.", hint="Call allocate_tensors() first.")
        recorder = self._engine.recorder
        try:
            if recorder is None:
                self._run()
            else:
                with recorder.call("invoke", self.graph.index):
                    self._run()
        except BaseException:
            if check_references:  # the traceback holds on to the buffers that were read
                self._buffers.update({i: self._buffers[i].copy() for i in self._shapes})
            raise

    def _run(self) -> None:
        inputs = [self._written(i) for i in self.graph.inputs]
        plan = self._plan = self._engine.plan(self.graph, [b.shape for b in inputs], keep_all=self._keep_all)
        if self._bodies is None:
            wanted: Sequence[int] = self.graph.outputs
            arrays = self._engine.call_on_host(plan, inputs, wanted)
        else:
            wanted, values = list(plan.kept), [Value(HOST, b) for b in inputs]
            arrays = [array for _, array in self._engine.call(plan, values, wanted, bodies=self._bodies)]
        taken = set(map(id, inputs))
        for index, array in zip(wanted, arrays, strict=True):
            if index not in self._shapes:
                self._buffers[index] = owned(opaque(array, self.graph.tensors[index].type), taken)

    def get_in_body(self, graph: Graph, index: int) -> Any:
        """A copy of a tensor of another subgraph: a constant, or what the last `invoke` left in it if all are kept.
        Raises InputError if there is no such value."""
        if not 0 <= index < len(graph.tensors):
            raise _no_tensor(graph, index)
        tensor, values = graph.tensors[index], (self._bodies or {}).get(graph.index, {})
        array = values.get(index, tensor.data)
        if array is not None:
            return scalar(opaque(array, tensor.type).copy())
        hint = "" if self._keep_all else "Pass experimental_preserve_all_tensors=True to read tensors of subgraphs."
        where = f"subgraphs[{graph.index}].tensors[{index}]"
        raise InputError("Tensor data is null. No invoke() has run this subgraph yet.", where=where, hint=hint)

    def _written(self, index: int) -> np.ndarray:
        """The buffer of an input; one of strings holds whatever the caller wrote into it, and is checked here."""
        buffer, tensor = self._buffers[index], self.graph.tensors[index]
        return as_array(buffer, tensor, index) if tensor.type is TensorType.STRING else buffer

    def _is_placeholder(self, index: int) -> bool:
        """Whether an input still has the shape that stands for unknown dimensions."""
        tensor = self.graph.tensors[index]
        return tensor.dims is not None and None in tensor.dims and self._shapes[index] == tensor.shape

    def _input(self, index: int) -> Tensor:
        tensor = self.tensor(index)
        if index not in self._shapes:
            raise InputError(f"tensor {index} ({tensor.name!r}) is not an input; inputs are {list(self.graph.inputs)}")
        return tensor

    def _current(self, index: int) -> np.ndarray:
        tensor = self.tensor(index)
        if index in self._buffers and (self._plan is not None or index not in self._shapes):
            return self._buffers[index]
        if tensor.data is not None:
            data: np.ndarray = tensor.data
            return data
        if self._plan is not None and index in self.graph.outputs:
            spec = self._plan.resolved.specs[index]
            return self._engine.blank(tensor, spec.shape if spec.shape is not None else ())
        if self._plan is not None and not self._keep_all:
            hint = "Pass experimental_preserve_all_tensors=True to read intermediate tensors."
            raise InputError(f"tensor {index} ({tensor.name!r}) is not kept after a run", hint=hint)
        raise InputError(f"Tensor data is null. {_UNALLOCATED}", where=f"tensors[{index}]")

    def _ensure_unreferenced(self) -> None:
        """Views of a buffer hold a reference to it; without any there are two: the dictionary's and getrefcount's."""
        for index in self._buffers:
            if sys.getrefcount(self._buffers[index]) > 2:
                raise StateError(
                    "There is at least 1 reference to internal data in the interpreter in the form of a numpy array "
                    "or slice. Be sure to only hold the function returned from tensor() if you are using raw data "
                    "access.",
                    where=f"tensors[{index}]",
                )


def _no_tensor(graph: Graph, index: int) -> InputError:
    what = f"Invalid tensor index {index} exceeds max tensor index {len(graph.tensors) - 1}"
    return InputError(what, where=f"subgraphs[{graph.index}]")


def _check_strict(index: int, tensor: Tensor, present: Sequence[int], new: Sequence[int]) -> None:
    declared = tensor.shape_signature if tensor.shape_signature is not None else tensor.shape
    text = "ResizeInputTensorStrict only allows mutating unknown dimensions identified by -1."
    if len(new) != len(declared):
        raise StateError(f"Attempting to resize tensor {index} of rank {len(declared)} to rank {len(new)}. {text}")
    for axis, (known, old, size) in enumerate(zip(declared, present, new, strict=True)):
        if known >= 0 and size != known:
            raise StateError(
                f"Attempting to resize dimension {axis} of tensor {index} with value {old} to {size}. {text}"
            )


def _check_shape(got: Sequence[int], expected: Sequence[int], index: int) -> None:
    if len(got) != len(expected):
        raise InputError(
            f"Cannot set tensor: Dimension mismatch. Got {len(got)} but expected {len(expected)} for input {index}."
        )
    for axis, (size, wanted) in enumerate(zip(got, expected, strict=True)):
        if size != wanted:
            raise InputError(
                f"Cannot set tensor: Dimension mismatch. Got {size} but expected {wanted} for dimension {axis} "
                f"of input {index}.",
                hint="Call resize_tensor_input() and allocate_tensors() first.",
            )

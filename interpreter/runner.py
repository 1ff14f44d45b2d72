"""Signatures as callables: named tensors in, named tensors out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import repeat
from numbers import Real
from typing import Any, NoReturn

import numpy as np

from .details import as_array, opaque, owned, scalar, tensor_details
from .errors import GraphError, InputError, StateError, did_you_mean
from .graph import Array, Graph, Signature, Tensor
from .runtime.budget import Deadline
from .runtime.delegate import HOST, Space
from .runtime.engine import Engine, Watch
from .runtime.plan import Value
from .session import Session


class SignatureRunner:
    """Runs one signature: `runner(x=...)` gives {output name: array}.

    Calls may overlap, also with those of other runners of the same interpreter. Inputs may have any shape that the
    graph can take. Arrays of a delegate's own space (CuPy and whatever speaks DLPack or `__cuda_array_interface__`,
    where a GPU delegate runs) are taken uncopied, and then outputs made on that device stay there.

    The shape of the C++ and C APIs is there too: `resize_input_tensor`, `allocate_tensors`, `input_tensor`, `invoke`,
    `output_tensor`. That state belongs to the runner, and is not for concurrent use.
    """

    def __init__(self, engine: Engine, signature: Signature) -> None:
        self.signature = signature
        self._engine = engine
        self._graph = engine.model.graphs[signature.graph]
        names = {index: name for name, index in signature.inputs.items()}
        inner = set(signature.outputs.values()).difference(self._graph.outputs, self._graph.inputs)
        strangers = inner.difference(*(node.outputs for node in self._graph.nodes))
        if strangers:
            raise GraphError(
                f"tensors {sorted(strangers)} are outputs of the signature, but no node of subgraph {signature.graph} "
                "gives them a value",
                where=f"signature_defs[{engine.model.signatures.index(signature)}].outputs",
            )
        self._keep_all = bool(inner)  # outputs that the subgraph does not list: some quantisers leave such signatures
        self._order = tuple(names.get(index) for index in self._graph.inputs)
        self._plain = _plain_inputs(self._graph, self._order) if len(names) == len(signature.inputs) else None
        self._outputs = tuple(signature.outputs.values())
        self._results = tuple((name, self._graph.tensors[i].type) for name, i in signature.outputs.items())
        self._named = (*self._graph.inputs, *self._outputs)
        self._session: Session | None = None

    def __call__(self, /, **inputs: Any) -> dict[str, Any]:
        """Outputs by name, in the signature's order: new arrays that belong to the caller; NumPy scalars for numbers of
        rank 0. Raises InputError for a wrong name, count or dtype, KernelError for a shape that a node can't take."""
        return self._call(inputs) if self._engine.recorder is None else self.call(inputs)

    def call(
        self,
        inputs: Mapping[str, Any],
        *,
        outputs: str = "like_inputs",
        donate: Collection[str] = (),
        deadline_ms: float | None = None,
    ) -> dict[str, Any]:
        """The same with the inputs in a dictionary.

        outputs: "host"; "device" (InputError without one), where all but strings go; or "like_inputs": on the device,
            if that made them, where an input was there.
        donate: names of inputs that the caller gives up. Those on a device may be overwritten and come back as outputs,
            as a cache that is updated in place does; don't read them afterwards.
        deadline_ms: when this call has to be over, its waiting for others included, beside that of the limits; looked
            at between nodes and turns of loops. Raises LimitError.
        """
        recorder = self._engine.recorder
        if recorder is None:
            return self._call(inputs, outputs, donate, deadline_ms)
        with recorder.call(self.signature.key, self._graph.index):
            return self._call(inputs, outputs, donate, deadline_ms)

    def _call(
        self,
        inputs: Mapping[str, Any],
        outputs: str = "like_inputs",
        donate: Collection[str] = (),
        deadline_ms: float | None = None,
    ) -> dict[str, Any]:
        if deadline_ms is not None:
            deadline = _deadline(deadline_ms)
            return self._call_anywhere(self._values(inputs), self._target(outputs), donate, deadline)
        target, arrays = self._target(outputs), self._arrays(inputs)
        if arrays is None or self._engine.device_spaces or donate:
            return self._call_anywhere(self._values(inputs), target, donate)
        plan = self._engine.plan(self._graph, [array.shape for array in arrays], keep_all=self._keep_all)
        return self._handed_out(arrays, self._engine.call_on_host(plan, arrays, self._outputs))

    def check(self, inputs: Mapping[str, Any]) -> None:
        """Raise what a call with these inputs raises before a node runs: for names, dtypes, shapes that nodes can't
        take, and nodes that nobody runs."""
        values = self._values(inputs)
        shapes, spaces = [v.array.shape for v in values], [v.space for v in values]
        self._engine.plan(self._graph, shapes, spaces, keep_all=self._keep_all)

    def _call_anywhere(
        self,
        values: Sequence[Value],
        target: Space | None,
        donate: Collection[str],
        deadline: Deadline | None = None,
    ) -> dict[str, Any]:
        """The same for inputs that may be on a device, or may be outputs of the call."""
        arrays, spaces = [v.array for v in values], [v.space for v in values]
        donated = self._donated(donate, values) if donate else frozenset[int]()
        shapes = [array.shape for array in arrays]
        plan = self._engine.plan(self._graph, shapes, spaces, keep_all=self._keep_all, donated=donated)
        if target is None and all(space is HOST for space in spaces):
            target = HOST
        results = self._engine.call(plan, values, self._outputs, target=target, donated=donated, deadline=deadline)
        return self._handed_out(arrays, [value.array for value in results], [value.space for value in results])

    def _handed_out(
        self, inputs: Sequence[Array], results: Sequence[Array], spaces: Iterable[Space] = repeat(HOST)
    ) -> dict[str, Any]:
        """Results of a call by name. No two outputs share memory, and none is an input."""
        shapes = [array.shape for array in (*inputs, *results)]
        taken = set(map(id, inputs))
        named: dict[str, Any] = {}
        for (name, kind), array, space in zip(self._results, results, spaces):  # noqa: B905 (spaces may be endless)
            named[name] = scalar(owned(opaque(array, kind), taken)) if space is HOST else array
        self._engine.shapes[self._graph.index] = self._named, shapes
        return named

    def tensors(self, inputs: Mapping[str, Any], watch: Watch | None = None) -> dict[int, np.ndarray]:
        """A call that gives every tensor of the signature's subgraph that is computed in it, by index, on the host.

        `watch` is shown those of other subgraphs: watch(subgraph, {tensor: array}) after each run by control flow.
        """
        values = self._values(inputs)
        shapes, spaces = [v.array.shape for v in values], [v.space for v in values]
        plan = self._engine.plan(self._graph, shapes, spaces, keep_all=True)
        results = self._engine.call(plan, values, list(plan.kept), watch=watch)
        return dict(zip(plan.kept, (value.array for value in results), strict=True))

    def get_input_details(self) -> dict[str, dict[str, Any]]:
        """Details of each input by name, with the shapes of the interpreter's last call of this signature; see
        `details.tensor_details`."""
        return self._details(self.signature.inputs)

    def get_output_details(self) -> dict[str, dict[str, Any]]:
        """Details of each output by name."""
        return self._details(self.signature.outputs)

    def resize_input_tensor(self, name: str, shape: Sequence[int]) -> None:
        """Give an input another shape; takes effect with the next `allocate_tensors`."""
        self._own_session().resize(self._index(name, self.signature.inputs, "Input"), shape)

    def allocate_tensors(self) -> None:
        """Make the input tensors for the present shapes."""
        self._own_session().allocate()

    def input_tensor(self, name: str) -> np.ndarray:
        """The buffer of an input, to be written in place before `invoke`."""
        return self._own_session().view(self._index(name, self.signature.inputs, "Input"))()

    def invoke(self) -> None:
        """Run the signature on the input tensors."""
        self._own_session().invoke(check_references=False)

    def output_tensor(self, name: str) -> np.ndarray:
        """The value of an output after `invoke`, valid until the next one."""
        return self._own_session().view(self._index(name, self.signature.outputs, "Output"))()

    def __reduce__(self) -> NoReturn:
        raise StateError("a SignatureRunner can't be pickled or copied.", hint="Ask an Interpreter for another one.")

    def _own_session(self) -> Session:
        if self._session is None:
            self._session = Session(self._engine, self._graph, keep_all=self._keep_all)
        return self._session

    def _details(self, names: Mapping[str, int]) -> dict[str, dict[str, Any]]:
        session, tensors = self._session, self._graph.tensors
        if session is not None:
            return {name: session.details(index) for name, index in names.items()}
        shapes = dict(zip(*self._engine.shapes.get(self._graph.index, ((), ())), strict=True))
        return {
            name: tensor_details(tensors[index], index, shapes.get(index, tensors[index].shape))
            for name, index in names.items()
        }

    def _target(self, outputs: str) -> Space | None:
        """Where outputs go; None: they stay where they are made."""
        if outputs == "device":
            if not self._engine.device_spaces:
                raise InputError('outputs="device" needs a GPU delegate', hint="Use outputs='host', or device='gpu'.")
            return self._engine.device_spaces[0]
        if outputs not in ("host", "like_inputs"):
            raise InputError(f"outputs={outputs!r} is unknown", hint="Use 'host', 'device' or 'like_inputs'.")
        return HOST if outputs == "host" else None

    def _donated(self, names: Collection[str], values: Sequence[Value]) -> frozenset[int]:
        """Tensors that the call may overwrite: named inputs that are on a device, each an array of its own."""
        wanted = {self._index(name, self.signature.inputs, "Input") for name in names}
        found = frozenset(
            t for t, v in zip(self._graph.inputs, values, strict=True) if t in wanted and v.space is not HOST
        )
        for tensor, value in zip(self._graph.inputs, values, strict=True):
            others = (v for t, v in zip(self._graph.inputs, values, strict=True) if t != tensor)
            if tensor in found and any(value.array is other.array for other in others):
                name = self._graph.tensors[tensor].name
                raise InputError(f"input {name!r} is donated, and another input is the same array", hint="Copy it.")
        return found

    def _arrays(self, inputs: Mapping[str, Any]) -> list[np.ndarray] | None:
        """The inputs, if they are NumPy arrays that can be taken as they are; None if they must be looked at."""
        if self._plain is None or len(inputs) != len(self._plain):
            return None
        arrays = []
        for name, dtype in self._plain:
            array = inputs.get(name)
            if type(array) is not np.ndarray or array.dtype != dtype:
                return None
            arrays.append(array)
        return arrays

    def _values(self, inputs: Mapping[str, Any]) -> list[Value]:
        """One value for each input of the subgraph, in its order."""
        expected = self.signature.inputs
        if len(inputs) != len(expected):
            raise InputError(
                f"Invalid number of inputs provided for running a SignatureDef, expected {len(expected)} vs provided "
                f"{len(inputs)}",
                where=f"signature {self.signature.key!r}",
                hint=f"Its inputs are {', '.join(expected) or 'none'}.",
            )
        for name in inputs:
            self._index(name, expected, "Input")
        tensors = self._graph.tensors
        return [
            self._value(inputs[name], tensors[index], index)
            if name is not None
            else Value(HOST, self._engine.blank(tensors[index], tensors[index].shape))
            for index, name in zip(self._graph.inputs, self._order, strict=True)
        ]

    def _value(self, value: Any, tensor: Tensor, index: int) -> Value:
        for space in self._engine.device_spaces:
            if space.owns(value):
                return _adopted(space, value, tensor, index)
        return Value(HOST, as_array(value, tensor, index))

    def _index(self, name: str, known: Mapping[str, int], kind: str) -> int:
        if isinstance(name, str) and name in known:
            return known[name]
        raise InputError(
            f"Invalid {kind} name ({name}) for SignatureDef",
            where=f"signature {self.signature.key!r}",
            hint=f"{did_you_mean(name, known)}Known names: {', '.join(known) or 'none'}.",
        )


def _deadline(allowed_ms: float) -> Deadline:
    """From now; a number below 0 has passed. Raises InputError."""
    if not isinstance(allowed_ms, Real) or allowed_ms != allowed_ms:
        raise InputError(f"deadline_ms={allowed_ms!r} is no time", hint="Use milliseconds, or None for no deadline.")
    return Deadline(allowed_ms, "SignatureRunner.call")


def _plain_inputs(graph: Graph, names: Sequence[str | None]) -> list[tuple[str, np.dtype[Any]]] | None:
    """Names and dtypes of the inputs of a subgraph; None if one has no name or takes not all arrays of its dtype."""
    types = [graph.tensors[index].type for index in graph.inputs]
    plain = [(name, t.dtype) for name, t in zip(names, types, strict=True) if name and t.bits == t.dtype.itemsize * 8]
    return plain if len(plain) == len(names) else None


def _adopted(space: Space, value: Any, tensor: Tensor, index: int) -> Value:
    array = space.adopt(value)
    if np.dtype(array.dtype) != tensor.type.dtype:
        raise InputError(
            f"Cannot set tensor: Got value of type {array.dtype} but expected type {tensor.type.name} for input "
            f"{index}, name: {tensor.name}"
        )
    return Value(space, array)

"""Tensor lists (`tf.TensorArray`, recurrent layers) -> one dense tensor whose first dimension counts the elements.

A list qualifies if everything that happens to it, in loops too, is a read, a write or a stack; the others stay as they
are and become Flex nodes. The graph stays one of TensorFlow operators: reads become GatherV2, writes
TensorScatterUpdate, a new list a Fill.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .functions import Library
from .inline import Spec, inline
from .tfapi import TYPES, Dims, merged, node_def, tensorflow
from .tfgraph import TfGraph, TfNode, TfValue

VARIANT, INT32 = 21, 3  # DataType numbers
LOOPS = ("While", "StatelessWhile")
READS = ("TensorListGetItem", "TensorListStack", "TensorListLength")


def lower_lists(graph: TfGraph, functions: Library) -> None:
    """Replace the lists of a flat graph that qualify; to be done before its shapes are inferred."""
    if any(node.op.startswith("TensorList") for node in graph.nodes):
        _Lists(graph, functions).run()


class _Uses:
    """Who uses what in a flat graph."""

    def __init__(self, graph: TfGraph, functions: Library) -> None:
        self.graph, self.functions = graph, functions
        self.turns: dict[TfNode, _Uses] = {}
        self.users: dict[TfValue, list[tuple[TfNode, int]]] = {}
        for node in graph.nodes:
            for i, value in enumerate(node.inputs):
                self.users.setdefault(value, []).append((node, i))

    def qualifies(self, value: TfValue, home: int | None = None) -> bool:
        """Whether a list is only read, written and stacked, and returned as output number `home` at most."""
        returned = [i for i, out in enumerate(self.graph.outputs) if out is value]
        return set(returned) <= {home} and all(self._is_plain(n, i, home) for n, i in self.users.get(value, ()))

    def _is_plain(self, node: TfNode, position: int, home: int | None) -> bool:
        if node.op == "TensorListSetItem" and position == 0:
            return not node.attr("resize_if_index_out_of_bounds") and self.qualifies(node.output(), home)
        if node.op in LOOPS:
            turn = self.turn(node)
            argument = turn.graph.inputs[position]
            stays = _origin(turn.graph.outputs[position]) is argument and turn.qualifies(argument, position)
            return stays and self.qualifies(node.output(position), home)
        return node.op in READS and position == 0

    def turn(self, loop: TfNode) -> _Uses:
        """The body of a loop, all arguments of which are inputs."""
        if loop not in self.turns:
            specs = [Spec(v.data_type, None) for v in loop.inputs]
            self.turns[loop] = _Uses(
                inline(self.functions.body(loop.attr("body")), specs, self.functions), self.functions
            )
        return self.turns[loop]


class _Lists(_Uses):
    def __init__(self, graph: TfGraph, functions: Library) -> None:
        super().__init__(graph, functions)
        self.dense = {v: v for v in graph.inputs if v.data_type != VARIANT}  # list -> the tensor that stands for it
        self.dims: dict[TfValue, Dims] = {}  # of those tensors, where known
        self.reserved: dict[TfValue, TfNode] = {}  # lists that are made when a loop needs them

    def run(self) -> None:
        old, self.graph.nodes = self.graph.nodes, []
        for node in old:
            if node.op in LOOPS:
                self.enter(node)
            replacement = _REPLACE[node.op](self, node) if node.op in _REPLACE else None
            if replacement is not None:
                self.dense[node.output()] = replacement
            elif not node.outputs or node.outputs[0] not in self.reserved:
                node.inputs = [self.dense.get(v, v) for v in node.inputs]
                self.graph.add(node)
        self.graph.outputs = [self.dense.get(v, v) for v in self.graph.outputs]

    def enter(self, loop: TfNode) -> None:
        """Let a loop take dense tensors where it took lists."""
        for i, value in enumerate(loop.inputs):
            if value in self.reserved:
                self.fill(value, loop, i)
            if value in self.dense and loop.attr("T")[i] == VARIANT:
                loop.inputs[i] = self.dense[value]
                self.dense[loop.output(i)] = loop.output(i)
                _set_type(loop, i, self.element_type(value), self.dims.get(value, value.dims))

    def element_type(self, value: TfValue) -> int:
        return value.data_type or int(_origin(value).node.attr("element_dtype"))

    def from_tensor(self, node: TfNode) -> TfValue | None:
        return self.get(node.inputs[0]) if self.qualifies(node.output()) else None

    def reserve(self, node: TfNode) -> None:
        """Note a new list; it is made where its shape is known."""
        users = self.users.get(node.output(), ())
        numeric = not TYPES[node.attr("element_dtype")].is_object
        if len(users) != 1 or users[0][0].op not in LOOPS or not numeric or not self.qualifies(node.output()):
            return
        dims = self.element_dims(node, *users[0])
        if dims is not None and (None not in dims or self.like(*users[0]) is not None):
            self.reserved[node.output()] = node

    def element_dims(self, node: TfNode, loop: TfNode, position: int) -> Dims:
        """Shape of a new list's elements, as far as it is declared: where the list is made, or where it is written."""
        shape, item = node.inputs[0].const, self.written(loop, position)
        declared = item.node.declared_dims() if item is not None else []
        dims = None if shape is None or shape.ndim != 1 else tuple(None if n < 0 else int(n) for n in shape)
        return merged(dims, declared[item.index] if item is not None and len(declared) > item.index else None)

    def written(self, loop: TfNode, position: int) -> TfValue | None:
        """What the last write of a loop's turn puts into a list."""
        last = self.turn(loop).graph.outputs[position].node
        return last.inputs[2] if last.op == "TensorListSetItem" else None

    def like(self, loop: TfNode, position: int) -> TfValue | None:
        """A loop input shaped like the elements that the loop writes: written values are also its next state."""
        item = self.written(loop, position)
        same = [i for i, out in enumerate(self.turn(loop).graph.outputs) if out is item]
        return loop.inputs[same[0]] if same else None

    def fill(self, value: TfValue, loop: TfNode, position: int) -> None:
        """Make a reserved list as zeros."""
        node = self.reserved.pop(value)
        count, kind, dims = node.inputs[1], self.element_type(value), self.element_dims(node, loop, position)
        model = self.like(loop, position)
        assert dims is not None
        self.dims[value] = (_number(count), *dims)
        if None not in dims:
            element = self.constant(node, np.array(dims, np.int32))
        else:
            assert model is not None
            element = self.make(node, "Shape", [self.get(model)], T=kind, out_type=INT32)
        length = self.make(
            node, "Reshape", [count, self.constant(node, np.array([1], np.int32))], T=INT32, Tshape=INT32
        )
        axis = self.constant(node, np.zeros((), np.int32))
        shape = self.make(node, "ConcatV2", [length, element, axis], {"N": 2}, T=INT32, Tidx=INT32)
        zero = self.constant(node, np.zeros((), TYPES[kind].dtype))
        self.dense[value] = self.make(node, "Fill", [shape, zero], T=kind, index_type=INT32)

    def read(self, node: TfNode) -> TfValue | None:
        source = self.dense.get(node.inputs[0])
        if source is None:
            return None
        axis = self.constant(node, np.zeros((), np.int32))
        operands = [source, self.get(node.inputs[1]), axis]
        return self.make(node, "GatherV2", operands, Tparams=node.attr("element_dtype"), Tindices=INT32, Taxis=INT32)

    def write(self, node: TfNode) -> TfValue | None:
        source = self.dense.get(node.inputs[0])
        if source is None:
            return None
        kind = node.attr("element_dtype")
        if self.holds_one(source):
            first = self.constant(node, np.zeros((), np.int32))
            return self.make(node, "ExpandDims", [self.get(node.inputs[2]), first], T=kind, Tdim=INT32)
        index = [self.get(node.inputs[1]), self.constant(node, np.array([1, 1], np.int32))]
        rows = self.make(node, "Reshape", index, T=INT32, Tshape=INT32)
        item = [self.get(node.inputs[2]), self.constant(node, np.zeros((), np.int32))]
        update = self.make(node, "ExpandDims", item, T=kind, Tdim=INT32)
        return self.make(node, "TensorScatterUpdate", [source, rows, update], T=kind, Tindices=INT32)

    def holds_one(self, value: TfValue) -> bool:
        """Whether a list has one element, so that a write replaces all of it."""
        dims = self.dims.get(value, value.dims)
        return dims is not None and dims[:1] == (1,)

    def stack(self, node: TfNode) -> TfValue | None:
        return self.dense.get(node.inputs[0])

    def length(self, node: TfNode) -> TfValue | None:
        source = self.dense.get(node.inputs[0])
        if source is None:
            return None
        shape = self.make(node, "Shape", [source], T=self.element_type(node.inputs[0]), out_type=INT32)
        zero = self.constant(node, np.zeros((), np.int32))
        return self.make(node, "GatherV2", [shape, zero, zero], Tparams=INT32, Tindices=INT32, Taxis=INT32)

    def get(self, value: TfValue) -> TfValue:
        return self.dense.get(value, value)

    def constant(self, node: TfNode, array: Any) -> TfValue:
        return self.graph.constant(f"{node.name}/const", np.asarray(array))

    def make(
        self, node: TfNode, op: str, inputs: Sequence[TfValue], counts: Mapping[str, int] | None = None, **types: int
    ) -> TfValue:
        """Add a TensorFlow node with these attributes."""
        definition = node_def(op, node.name, types, counts=counts)
        return self.graph.add(TfNode(node.name, op, list(inputs), definition)).output()


_REPLACE: dict[str, Callable[[_Lists, TfNode], TfValue | None]] = {
    "TensorListFromTensor": _Lists.from_tensor,
    "TensorListReserve": _Lists.reserve,
    "TensorListGetItem": _Lists.read,
    "TensorListSetItem": _Lists.write,
    "TensorListStack": _Lists.stack,
    "TensorListLength": _Lists.length,
}


def _origin(value: TfValue) -> TfValue:
    """The list that a list was made from by writing to it."""
    while value.node.op == "TensorListSetItem":
        value = value.node.inputs[0]
    return value


def _number(value: TfValue) -> int | None:
    return None if value.const is None else int(value.const.item())


def _set_type(loop: TfNode, position: int, data_type: int, dims: Dims) -> None:
    definition = tensorflow().compat.v1.NodeDef()
    definition.CopyFrom(loop.definition)
    shape = tensorflow().TensorShape(dims).as_proto()
    definition.attr["T"].list.type[position] = data_type
    for key in ("output_shapes", "_output_shapes"):
        if key in definition.attr and len(definition.attr[key].list.shape) > position:
            definition.attr[key].list.shape[position].CopyFrom(shape)
    loop.definition = definition

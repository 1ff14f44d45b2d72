"""Nodes of the operators that TensorFlow registers, drawn at random: attributes and operands, fit and unfit.

A node stands in a graph of its own. What no array can be (variables, tables, lists, 8-bit quantised integers) comes
from other nodes before it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.build import RESOURCE, GraphBuilder
from tests.delegates.partitions import flex_options, integer, kind, node_def, shape, text
from tflite_cupy.interpreter.graph import Graph, TensorType

TYPES = {
    1: TensorType.FLOAT32, 2: TensorType.FLOAT64, 3: TensorType.INT32, 4: TensorType.UINT8, 5: TensorType.INT16,
    6: TensorType.INT8, 7: TensorType.STRING, 8: TensorType.COMPLEX64, 9: TensorType.INT64, 10: TensorType.BOOL,
    14: TensorType.BFLOAT16, 17: TensorType.UINT16, 18: TensorType.COMPLEX128, 19: TensorType.FLOAT16,
    20: TensorType.RESOURCE, 21: TensorType.VARIANT, 22: TensorType.UINT32, 23: TensorType.UINT64,
}  # fmt: skip
"""Type in a .tflite file by DataType."""

QUANTISED = {11: 6, 12: 4, 13: 3, 15: 5, 16: 17}
"""Types that no file holds, and those of the same width that Bitcast makes them from."""

USUAL = (1, 3, 9, 7, 10, 4, 2, 8, 19)
SIZES = (0, 1, 1, 2, 2, 3, 3, 4, 5)
WHOLE = (0, 1, -1, 2, 3, 4, 7, 100, -(1 << 31), (1 << 31) - 1, 1 << 40, -(1 << 63), (1 << 63) - 1)
REAL = (0.0, 1.0, -1.0, 0.5, 3.0, float("nan"), float("inf"), -float("inf"), 3e38, -3e38, 1e-45)
TEXTS = (b"", b"a", b"1", b"-1", b"a b,c", b"\xff\x00", b"%s{}[[", b"NHWC", b"x" * 300)


@dataclass
class Drawing:
    """Draws one node after another; `paths` are names of files that operators may be given."""

    seed: str
    paths: Sequence[str] = ()
    hostile: bool = True
    spoilt: tuple[int, int] | None = None  # of tame operands this one is hostile, in one of many ways
    dice: random.Random = field(init=False)
    drawn: int = field(default=0, init=False)
    attributes: dict[str, Any] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        rank = self.dice.choice((0, 1, 2, 3, 4, 5) if self.hostile else (0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 5))
        self.base = [self.dice.choice(SIZES if self.hostile else SIZES[1:]) for _ in range(rank)]
        self.wild = self.hostile and self.dice.random() < 0.6  # values and attributes, else small ones
        self.ragged = self.hostile and self.dice.random() < 0.5  # shapes that do not go together

    def node(self, op_def: Any) -> tuple[Graph, list[np.ndarray]]:
        """A graph that runs the operator, and its inputs."""
        attributes = self.attributes = {a.name: self.attribute(a) for a in op_def.attr}
        b, arrays = GraphBuilder(), list[np.ndarray]()
        inputs = [self.operand(b, arrays, number) for number in self.types(op_def.input_arg, attributes)]
        outputs = [
            b.tensor(TYPES.get(n, TensorType.VARIANT), [None]) for n in self.types(op_def.output_arg, attributes)
        ]
        encoded = {name: value.SerializeToString() for name, value in attributes.items()}
        b.op(f"Flex{op_def.name}", inputs, outputs, options=flex_options(op_def.name, node_def(op_def.name, encoded)))
        return b.graph(outputs), arrays

    def types(self, arguments: Sequence[Any], attributes: dict[str, Any]) -> list[int]:
        numbers: list[int] = []
        for argument in arguments:
            if argument.type_list_attr:
                numbers += attributes[argument.type_list_attr].list.type
                continue
            number = attributes[argument.type_attr].type if argument.type_attr else argument.type
            count = attributes[argument.number_attr].i if argument.number_attr else 1
            numbers += [number % 100] * max(0, min(count, 8))
        return numbers

    def attribute(self, declared: Any) -> Any:
        """An AttrValue of the type that an operator declares."""
        from tensorflow.core.framework import attr_value_pb2

        value = attr_value_pb2.AttrValue()
        default = declared.default_value if declared.HasField("default_value") else None
        if default is not None and self.dice.random() < (0.5 if self.wild else 0.9):
            return default
        if declared.type == "func":
            value.func.name = "f"
        elif declared.type.startswith("list("):
            kept = declared.type[5:-1]
            if not self.wild and declared.name in ("strides", "ksize", "dilations", "rates", "ksizes"):
                value.list.i.extend(self.window())
                return value
            for _ in range(max(declared.minimum, self.dice.choice((1, 1, 2, 3, 4, 4, 5)))):
                self.append(value.list, kept, declared)
        else:
            self.fill(value, declared.type, declared)
        return value

    def append(self, items: Any, kept: str, declared: Any) -> None:
        if kept == "shape":
            items.shape.add().CopyFrom(self.shape_proto())
        elif kept == "func":
            items.func.add().name = "f"
        elif kept == "tensor":
            items.tensor.add().dtype = 1
        else:
            field_name = {"int": "i", "float": "f", "bool": "b", "string": "s", "type": "type"}[kept]
            getattr(items, field_name).append(self.scalar(kept, declared))

    def fill(self, value: Any, kept: str, declared: Any) -> None:
        if kept == "shape":
            value.shape.CopyFrom(self.shape_proto())
        elif kept == "tensor":
            value.tensor.dtype = 1
            value.tensor.tensor_shape.SetInParent()
            value.tensor.float_val.append(1.0)
        else:
            name = {"int": "i", "float": "f", "bool": "b", "string": "s", "type": "type"}[kept]
            setattr(value, name, self.scalar(kept, declared))

    def scalar(self, kept: str, declared: Any) -> Any:
        allowed = declared.allowed_values.list
        if kept == "type":
            return self.dice.choice(list(allowed.type) or USUAL)
        if kept == "string":
            usual = allowed.s or [*TEXTS, *(p.encode() for p in self.paths)]
            return self.dice.choice(list(usual))
        if kept == "int":
            small = [n for n in (1, 1, 2, 2, 3, 4) if n >= declared.minimum] or [declared.minimum]
            numbers = small if declared.name == "N" or not self.wild or self.dice.random() < 0.6 else WHOLE
            return self.dice.choice(numbers)
        if kept == "float":
            return self.dice.choice(REAL if self.wild else REAL[:5])
        return self.dice.random() < 0.5

    def shape_proto(self) -> Any:
        from tensorflow.core.framework import tensor_shape_pb2

        proto = tensor_shape_pb2.TensorShapeProto()
        if self.dice.random() < 0.2:
            proto.unknown_rank = True
            return proto
        for size in self.dims():
            proto.dim.add().size = self.dice.choice((size, -1)) if self.wild else size
        return proto

    def dims(self) -> list[int]:
        roll = self.dice.random()
        if self.ragged and roll < 0.03:
            return self.dice.choice([[0, (1 << 31) - 1], [1 << 30, 0], [0, 1 << 20, 1 << 20], [1, 0, 1 << 30]])
        if self.ragged and roll < 0.5:
            return [self.dice.choice(SIZES) for _ in range(self.dice.randint(0, 5))]
        if roll < 0.7 if self.hostile else self.drawn < 2 or roll < 0.3:
            return list(self.base)
        return self.dice.choice([[], [], [len(self.base)], self.base[:1], self.base[-1:], self.base[1:], [1], [2]])

    def window(self) -> list[int]:
        """Sizes or steps along images: none along batches and channels."""
        size = self.dice.choice((1, 2, 2, 3))
        return [1, size, size, 1] if len(self.base) != 5 else [1, size, size, size, 1]

    def array(self, number: int) -> np.ndarray:
        """An operand of a type."""
        self.drawn += 1
        if self.spoilt is None or self.spoilt[0] != self.drawn:
            return self.values(number)
        outer, self.dice = self.dice, random.Random(f"{self.seed}/{self.spoilt}")
        self.wild, self.ragged = self.dice.random() < 0.7, self.dice.random() < 0.5
        array = self.values(number)
        self.dice, self.wild, self.ragged = outer, False, False
        return array

    def values(self, number: int) -> np.ndarray:
        dims = self.dims()
        count = math.prod(dims)
        if number == 7:
            words = (*TEXTS, *(p.encode() for p in self.paths))
            array = np.empty(count, object)
            array[:] = [self.dice.choice(words) for _ in range(count)]
            return array.reshape(dims)
        dtype = TYPES[number].dtype
        if dtype.kind == "b":
            values: list[Any] = [self.dice.random() < 0.5 for _ in range(count)]
        elif dtype.kind in "iu":
            low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
            pool = [n for n in WHOLE if low <= n <= high] if self.wild else [0, 1, 2, 3]
            values = [self.dice.choice(pool) for _ in range(count)]
            if self.dice.random() < 0.2:
                values = [n % 100 for n in range(count)]
        else:
            pool_of_reals = REAL if self.wild else REAL[:5]
            values = [self.dice.choice(pool_of_reals) for _ in range(count)]
        with np.errstate(all="ignore"):
            return np.array(values, dtype).reshape(dims)

    def operand(self, b: GraphBuilder, arrays: list[np.ndarray], number: int) -> int:
        """The tensor of an operand: an input of the graph, or what other nodes make."""
        if number == 20:
            return self.resource(b)
        if number == 21:
            return self.variant(b, arrays)
        source = QUANTISED.get(number, number)
        if source not in TYPES:  # a type of which nothing can be made
            source = number = 1
        array = self.array(source)
        arrays.append(array)
        x = b.input(TYPES[source], [None])
        return x if source == number else flex(b, "Bitcast", [x], TensorType.VARIANT, T=kind(source), type=kind(number))

    def resource(self, b: GraphBuilder) -> int:
        """A table, or a variable with or without a value."""
        own = [self.attributes[name].type for name in ("T", "dtype") if name in self.attributes]
        dtype = own[0] if own and own[0] in TYPES and not self.wild else self.dice.choice((1, 3, 9, 7))
        if self.dice.random() < (0.3 if self.hostile or not own else 0.0):
            keys, values = self.dice.choice([(7, 9), (9, 7), (9, 9), (9, 1)])
            op = self.dice.choice(["HashTableV2", "MutableHashTableV2", "MutableHashTableOfTensorsV2"])
            return flex(b, op, [], RESOURCE, key_dtype=kind(keys), value_dtype=kind(values), shared_name=text(b"t"))
        value = self.values(dtype)
        name = text(b"v%d" % self.dice.randint(0, 9))
        handle = flex(b, "VarHandleOp", [], RESOURCE, dtype=kind(dtype), shape=shape(*value.shape), shared_name=name)
        if self.dice.random() < (0.8 if self.hostile else 1.0):
            content = b.constant(value)
            options = flex_options("AssignVariableOp", node_def("AssignVariableOp", {"dtype": kind(dtype)}))
            b.op("FlexAssignVariableOp", [handle, content], [], options=options)
        return handle

    def variant(self, b: GraphBuilder, arrays: list[np.ndarray]) -> int:
        """A list, a map or a ragged tensor."""
        roll = self.dice.random()
        if roll < 0.15:
            return flex(b, "EmptyTensorMap", [], TensorType.VARIANT)
        dtype = self.dice.choice((1, 3, 7))
        if roll < 0.3:
            splits = b.constant(np.array([0, 1, 3], np.int64))
            values = b.constant(np.zeros(3, TYPES[dtype].dtype) if dtype != 7 else np.full(3, b"", object))
            attributes = {"RAGGED_RANK": integer(1), "Tvalues": kind(dtype), "Tsplits": kind(9)}
            batched = {"batched_input": b"\x28\x01" if self.dice.random() < 0.5 else b"\x28\x00"}
            return flex(b, "RaggedTensorToVariant", [splits, values], TensorType.VARIANT, **attributes, **batched)
        if roll < 0.5:
            dims = b.constant(np.array([-1], np.int32) if self.dice.random() < 0.5 else np.array(self.base, np.int32))
            count = b.constant(np.int32(self.dice.choice((0, 1, 3))))
            attributes = {"element_dtype": kind(dtype), "shape_type": kind(3)}
            return flex(b, "TensorListReserve", [dims, count], TensorType.VARIANT, **attributes)
        items = self.array(dtype)
        items = items if items.ndim else items.reshape(1)
        dims = b.constant(np.array(items.shape[1:] if max(items.shape, default=0) < 9 else [-1], np.int32))
        attributes = {"element_dtype": kind(dtype), "shape_type": kind(3)}
        return flex(b, "TensorListFromTensor", [b.constant(items), dims], TensorType.VARIANT, **attributes)


def flex(b: GraphBuilder, op: str, inputs: Sequence[int], output: TensorType, **attributes: bytes) -> int:
    """A TensorFlow node with one result."""
    (result,) = b.op(
        f"Flex{op}", inputs, [b.tensor(output, [None])], options=flex_options(op, node_def(op, attributes))
    )
    return result


def operators() -> dict[str, Any]:
    """OpDef of every operator that TensorFlow registers."""
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session

    registered = op_def_pb2.OpList.FromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    return {op.name: op for op in registered.op}

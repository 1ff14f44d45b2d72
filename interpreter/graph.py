"""The one form that every other room speaks: tensors, nodes, subgraphs, signatures of a model.

Plain frozen data. The reader makes it from a file, the converter from TensorFlow, the writer turns it into a file, the
runtime plans calls from it. What an operator *means* is not here but in `ops`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from math import prod
from types import MappingProxyType
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np

Array: TypeAlias = Any
"""An n-dimensional array of whatever array module a delegate uses; strings are object arrays of `bytes`."""

Shape: TypeAlias = tuple[int, ...]
"""Sizes of the dimensions of a tensor."""

ABSENT = -1
"""The tensor index that stands for an optional operand that is not given."""


class TensorType(IntEnum):
    """Element type of a tensor, numbered as in the file format."""

    FLOAT32 = 0
    FLOAT16 = 1
    INT32 = 2
    UINT8 = 3
    INT64 = 4
    STRING = 5
    BOOL = 6
    INT16 = 7
    COMPLEX64 = 8
    INT8 = 9
    FLOAT64 = 10
    COMPLEX128 = 11
    UINT64 = 12
    RESOURCE = 13
    VARIANT = 14
    UINT32 = 15
    UINT16 = 16
    INT4 = 17
    BFLOAT16 = 18
    INT2 = 19
    UINT4 = 20
    FLOAT8_E4M3FN = 21
    FLOAT8_E5M2 = 22

    @property
    def dtype(self) -> np.dtype[Any]:
        """dtype of the arrays that hold such a tensor at run time; object for strings, resources and variants.

        Packed types (int4, int2, uint4) are held unpacked, one element a byte.
        """
        return _DTYPE_OF[self]

    @property
    def bits(self) -> int:
        """Width of one element in the file; 0 for strings, resources and variants."""
        return _BITS_OF[self]

    @property
    def is_object(self) -> bool:
        """Whether values are Python objects, which live on the host only."""
        return not _BITS_OF[self]

    @classmethod
    def of(cls, dtype: Any) -> TensorType:
        """The type of arrays of `dtype`; bytes, str and object count as STRING. Raises KeyError for others."""
        dtype = np.dtype(dtype)
        return TensorType.STRING if dtype.kind in "OSU" else _TYPES[dtype.newbyteorder("=")]


_DTYPES: dict[TensorType, np.dtype[Any]] = {
    TensorType.FLOAT32: np.dtype(np.float32),
    TensorType.FLOAT16: np.dtype(np.float16),
    TensorType.INT32: np.dtype(np.int32),
    TensorType.UINT8: np.dtype(np.uint8),
    TensorType.INT64: np.dtype(np.int64),
    TensorType.STRING: np.dtype(object),
    TensorType.BOOL: np.dtype(np.bool_),
    TensorType.INT16: np.dtype(np.int16),
    TensorType.COMPLEX64: np.dtype(np.complex64),
    TensorType.INT8: np.dtype(np.int8),
    TensorType.FLOAT64: np.dtype(np.float64),
    TensorType.COMPLEX128: np.dtype(np.complex128),
    TensorType.UINT64: np.dtype(np.uint64),
    TensorType.RESOURCE: np.dtype(object),
    TensorType.VARIANT: np.dtype(object),
    TensorType.UINT32: np.dtype(np.uint32),
    TensorType.UINT16: np.dtype(np.uint16),
    TensorType.BFLOAT16: np.dtype(ml_dtypes.bfloat16),
    TensorType.FLOAT8_E4M3FN: np.dtype(ml_dtypes.float8_e4m3fn),
    TensorType.FLOAT8_E5M2: np.dtype(ml_dtypes.float8_e5m2),
    TensorType.INT4: np.dtype(np.int8),
    TensorType.INT2: np.dtype(np.int8),
    TensorType.UINT4: np.dtype(np.uint8),
}
_PACKED_BITS = {TensorType.INT4: 4, TensorType.UINT4: 4, TensorType.INT2: 2}
_DTYPE_OF = tuple(_DTYPES[t] for t in TensorType)  # by number, which takes less time than by member
_BITS_OF = tuple(
    _PACKED_BITS.get(t, 0 if d.hasobject else d.itemsize * 8) for t, d in zip(TensorType, _DTYPE_OF, strict=True)
)
_TYPES = {d: t for t, d in reversed(_DTYPES.items()) if t not in _PACKED_BITS and not t.is_object}


@dataclass(frozen=True, slots=True, eq=False)
class Quantization:
    """real = scale * (stored - zero_point), per tensor (length 1) or per slice of dimension `axis`."""

    scales: np.ndarray  # float32 [n]
    zero_points: np.ndarray  # int64 [n]
    axis: int = 0
    block_size: int = 0  # > 0: one scale per block of this many elements of the last dimension

    @property
    def per_channel(self) -> bool:
        return len(self.scales) > 1


@dataclass(frozen=True, slots=True, eq=False)
class Sparsity:
    """How the non-zero blocks of a sparse constant are laid out (schema: SparsityParameters)."""

    traversal_order: tuple[int, ...]
    block_map: tuple[int, ...]
    dimensions: tuple[Mapping[str, Any], ...]  # format, dense_size, array_segments, array_indices


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor as the file declares it."""

    name: str
    type: TensorType
    shape: tuple[int, ...]  # unknown dimensions are 1 here and -1 in `shape_signature`
    shape_signature: tuple[int, ...] | None = None
    has_rank: bool = True  # False: even the rank is unknown
    quantization: Quantization | None = None
    sparsity: Sparsity | None = None
    is_variable: bool = False
    data: Array | None = None  # constants: a read-only array of `shape`

    @property
    def dims(self) -> tuple[int | None, ...] | None:
        """Declared shape, None for an unknown dimension; None for an unknown rank."""
        if not self.has_rank and not self.shape:
            return None
        if self.shape_signature is None:
            return self.shape
        return tuple(None if n < 0 else n for n in self.shape_signature)


@dataclass(frozen=True, slots=True, eq=False)
class TensorSpec:
    """What is known of a tensor before a call: its type, its shape if that is known, its value if that is constant."""

    type: TensorType
    shape: tuple[int, ...] | None  # None: not known before the call
    quantization: Quantization | None = None
    value: Array | None = None
    name: str = ""
    sparsity: Sparsity | None = None
    stated: tuple[int, ...] | None = None  # what the file says of the shape, with 1 for what it does not know

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.type.dtype

    @property
    def rank(self) -> int:
        """Number of dimensions; only for a known shape."""
        assert self.shape is not None
        return len(self.shape)

    @property
    def size(self) -> int | None:
        """Number of elements, None if the shape is not known."""
        return None if self.shape is None else prod(self.shape)

    def known(self, shape: Shape | None, value: Array | None = None) -> TensorSpec:
        """The same tensor with this shape and value."""
        return TensorSpec(self.type, shape, self.quantization, value, self.name, self.sparsity, self.stated)

    @property
    def nbytes(self) -> int | None:
        """Bytes of the array that holds it, None if the shape is not known; strings count 8 bytes each."""
        return None if self.size is None else self.size * self.dtype.itemsize

    def __repr__(self) -> str:
        shape = "?" if self.shape is None else ",".join(map(str, self.shape))
        return f"{self.type.name.lower()}[{shape}]"


_NO_ATTRIBUTES: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One operator of a subgraph: its name, its attributes, the tensors it reads and writes."""

    index: int  # position in the subgraph
    name: str  # builtin operator ("CONV_2D"), or the custom code of a custom operator ("FlexAsString")
    inputs: tuple[int, ...]  # tensor indices; ABSENT for an optional operand that is not given
    outputs: tuple[int, ...]
    attributes: Mapping[str, Any] = field(default_factory=lambda: _NO_ATTRIBUTES)  # options fields by name
    version: int = 1
    custom: bool = False
    custom_options: bytes = b""
    intermediates: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}#{self.index}"


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Graph:
    """A subgraph: tensors, nodes in an order in which they can run, inputs and outputs as tensor indices."""

    index: int
    name: str
    tensors: tuple[Tensor, ...]
    nodes: tuple[Node, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def where(self, node: Node) -> str:
        """Path of a node, as errors name it."""
        return f"subgraphs[{self.index}].operators[{node.index}]"


@dataclass(frozen=True, slots=True, eq=False)
class Signature:
    """A named entry point: names of inputs and outputs -> tensor indices of one subgraph, in the file's order."""

    key: str
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    graph: int  # index of the subgraph


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A whole model. `graphs[0]` is the primary subgraph, which the classic API runs."""

    graphs: tuple[Graph, ...]
    signatures: tuple[Signature, ...] = ()
    description: str = ""
    version: int = 3
    metadata: Mapping[str, bytes] = field(default_factory=lambda: _NO_ATTRIBUTES)
    keepalive: Any = None  # what owns the memory of the constants (a mapped file)

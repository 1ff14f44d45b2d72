"""Model -> the bytes of a .tflite file."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..errors import GraphError
from ..graph import ABSENT, Array, Graph, Model, Node, Quantization, Signature, Sparsity, Tensor, TensorType
from .constants import encode
from .emit import Bytes, Data, Deferred, Outside, Record, emit
from .nodes import UNKNOWN
from .options import complete
from .schema import CUSTOM, ENUMS, OPERATORS, OPERATORS_BY_NAME, VERSION

INLINE_LIMIT = 2**31 - 2**27
"""Bytes of constants that a flatbuffer, which ends at 2 GiB, can hold besides everything else."""

SAMPLE = 4096
"""Bytes at the beginning of constants that are looked at to find those that may be equal."""

PIECE = 2**20
"""Bytes of a constant that are gathered at once."""


def write_model(model: Model, *, inline_limit: int = INLINE_LIMIT) -> bytes:
    """The .tflite file of a model. The same model always gives the same bytes.

    Equal constants are stored once, aligned to 16 bytes. Options are written in full: given attributes over the
    schema's defaults. Where constants take more than `inline_limit` bytes, they and custom options follow the
    flatbuffer. Raises GraphError for names that the schema lacks and values that its fields can't hold.
    """
    return emit(describe(model, inline_limit=inline_limit))


def describe(model: Model, *, inline_limit: int = INLINE_LIMIT) -> Record:
    """The root table of a model's file, ready to be emitted."""
    return _Writer(model, inline_limit).root()


class _Writer:
    def __init__(self, model: Model, inline_limit: int) -> None:
        self._model = model
        self._codes: dict[tuple[int, str, int], int] = {}
        self._buffers = _Buffers()
        self._tensors = [_tensors(graph, self._buffers) for graph in model.graphs]
        self._metadata = {name: self._buffers.add(data) for name, data in model.metadata.items()}
        self._outside = self._buffers.total > inline_limit

    def root(self) -> Record:
        model = self._model
        subgraphs = [self._subgraph(graph, tensors) for graph, tensors in zip(model.graphs, self._tensors, strict=True)]
        metadata = [Record("Metadata", {"name": name, "buffer": buffer}) for name, buffer in self._metadata.items()]
        fields = {
            "version": VERSION,
            "operator_codes": [_operator_code(*key) for key in self._codes],
            "subgraphs": subgraphs,
            "description": model.description or None,
            "buffers": self._buffers.records(self._outside),
            "metadata": metadata or None,
            "signature_defs": [_signature(signature) for signature in model.signatures] or None,
        }
        return Record("Model", fields)

    def _subgraph(self, graph: Graph, tensors: list[Record]) -> Record:
        fields = {
            "tensors": tensors,
            "inputs": graph.inputs,
            "outputs": graph.outputs,
            "operators": [self._operator(graph, node) for node in graph.nodes],
            "name": graph.name or None,
        }
        return Record("SubGraph", fields, f"subgraphs[{graph.index}]")

    def _operator(self, graph: Graph, node: Node) -> Record:
        where = graph.where(node)
        fields: dict[str, Any] = {
            "opcode_index": self._code(node, where),
            "inputs": node.inputs,
            "outputs": node.outputs,
            "intermediates": node.intermediates or None,
        }
        if node.custom_options and self._outside:
            fields["large_custom_options_offset"] = Outside(node.custom_options)
            fields["large_custom_options_size"] = len(node.custom_options)
        elif node.custom_options:
            fields["custom_options"] = node.custom_options
        operator = None if node.custom else OPERATORS_BY_NAME.get(node.name)
        if operator is not None and operator.options:
            attributes = complete(operator.options, node.attributes, where)
            union = "builtin_options" if operator.union == 1 else "builtin_options_2"
            fields[union] = Record(operator.options, dict(attributes), where)
        return Record("Operator", fields, where)

    def _code(self, node: Node, where: str) -> int:
        """Index of a node's entry in operator_codes, which are unique by code, custom code and version."""
        code, custom_code = (CUSTOM, node.name) if node.custom else (_builtin_code(node.name, where), "")
        key = code, custom_code, node.version
        return self._codes.setdefault(key, len(self._codes))


def _builtin_code(name: str, where: str) -> int:
    if name in OPERATORS_BY_NAME:
        return OPERATORS_BY_NAME[name].code
    number = name.removeprefix(UNKNOWN)
    if number != name and number.isdecimal() and int(number) >= len(OPERATORS):
        return int(number)
    raise GraphError(f"the schema has no operator {name}.", where=where)


def _operator_code(code: int, custom_code: str, version: int) -> Record:
    old = min(code, ENUMS["BuiltinOperator"]["PLACEHOLDER_FOR_GREATER_OP_CODES"])
    fields = {
        "deprecated_builtin_code": old,
        "custom_code": custom_code or None,
        "version": version,
        "builtin_code": code,
    }
    return Record("OperatorCode", fields)


def _signature(signature: Signature) -> Record:
    def side(slots: Mapping[str, int]) -> list[Record]:
        return [Record("TensorMap", {"name": name, "tensor_index": index}) for name, index in slots.items()]

    fields = {
        "inputs": side(signature.inputs),
        "outputs": side(signature.outputs),
        "signature_key": signature.key,
        "subgraph_index": signature.graph,
    }
    return Record("SignatureDef", fields)


class _Buffers:
    """The buffers of a file, equal data once. Buffer 0 is empty, as the schema asks."""

    def __init__(self) -> None:
        self._data: list[Data | None] = [None]
        self._known: dict[tuple[int, int], list[int]] = {}
        self.total = 0

    def add(self, data: Data, sample: Bytes | None = None) -> int:
        """Index of the buffer that holds `data`; `sample` is how that begins."""
        key = len(data), zlib.crc32(data[:SAMPLE] if isinstance(data, Bytes) else sample or b"")
        same = self._known.setdefault(key, [])
        for index in same:
            if np.array_equal(_bytes(self._data[index]), _bytes(data)):
                return index
        self._data.append(data)
        self.total += len(data)
        same.append(len(self._data) - 1)
        return same[-1]

    def constant(self, values: Array, type: TensorType) -> int:
        """Index of the buffer that holds a constant. What lies scattered in memory is gathered when it is written."""
        if type.bits < 8 or values.dtype != type.dtype or values.dtype == object or values.flags.c_contiguous:
            return self.add(encode(values, type))
        sample = values.flat[: SAMPLE // values.itemsize].tobytes()
        return self.add(Deferred(values.nbytes, partial(_gathered, values, type)), sample)

    def records(self, outside: bool) -> list[Record]:
        return [Record("Buffer", self._fields(data, outside)) for data in self._data]

    def _fields(self, data: Data | None, outside: bool) -> dict[str, Any]:
        if data is None:
            return {}
        return {"offset": Outside(data), "size": len(data)} if outside and len(data) else {"data": data}


def _bytes(data: Data | None) -> np.ndarray:
    return np.frombuffer((b"".join(data.pieces()) if isinstance(data, Deferred) else data) or b"", np.uint8)


def _gathered(values: Array, type: TensorType) -> Iterator[Bytes]:
    """The bytes of a constant, about `PIECE` at a time."""
    rows = max(1, PIECE * len(values) // values.nbytes)
    for first in range(0, len(values), rows):
        yield encode(values[first : first + rows], type)


def _tensors(graph: Graph, buffers: _Buffers) -> list[Record]:
    """The tensors of a subgraph, and behind them scales of blockwise quantisation that are not among them."""
    held = list(graph.tensors)
    records: list[Record] = []
    for tensor in held:  # grows by the scales that its tensors ask for
        where = f"subgraphs[{graph.index}].tensors[{len(records)}]"
        fields = {
            "shape": tensor.shape,
            "type": int(tensor.type),
            "buffer": 0 if tensor.data is None else buffers.constant(tensor.data, tensor.type),
            "name": tensor.name,
            "quantization": tensor.quantization and _quantization(tensor.quantization, held, where),
            "is_variable": tensor.is_variable,
            "sparsity": tensor.sparsity and _sparsity(tensor.sparsity, where),
            "shape_signature": tensor.shape_signature if -1 in (tensor.shape_signature or ()) else None,
            "has_rank": tensor.has_rank,
        }
        records.append(Record("Tensor", fields, where))
    return records


def _quantization(quantization: Quantization, held: list[Tensor], where: str) -> Record:
    fields: dict[str, Any] = {"quantized_dimension": quantization.axis}
    if quantization.block_size:
        details = {
            "scales": _constant(_narrowed(quantization.scales), held),
            "zero_points": _constant(quantization.zero_points, held) if quantization.zero_points.any() else ABSENT,
            "block_size": quantization.block_size,
        }
        fields["details"] = Record("BlockwiseQuantization", details, where)
    else:
        fields |= {"scale": quantization.scales, "zero_point": quantization.zero_points}
    return Record("QuantizationParameters", fields, where)


def _constant(values: np.ndarray, held: list[Tensor]) -> int:
    """Index among `held` of a constant with these values; it is added where there is none."""
    for index, tensor in enumerate(held):
        data = tensor.data
        if data is not None and data.size == values.size and data.dtype != object and _equal(data, values):
            return index
    held.append(Tensor(f"parameters_{len(held)}", TensorType.of(values.dtype), values.shape, data=values))
    return len(held) - 1


def _equal(data: np.ndarray, values: np.ndarray) -> bool:
    return bool((data.reshape(-1).astype(values.dtype) == values).all())


def _narrowed(scales: np.ndarray) -> np.ndarray:
    """Scales as float16, which the reference's kernels ask for, where that is exact."""
    half = scales.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), scales) else scales


def _sparsity(sparsity: Sparsity, where: str) -> Record:
    fields = {
        "traversal_order": sparsity.traversal_order,
        "block_map": sparsity.block_map or None,
        "dim_metadata": [_dimension(level, where) for level in sparsity.dimensions],
    }
    return Record("SparsityParameters", fields, where)


def _dimension(level: Mapping[str, Any], where: str) -> Record:
    fields: dict[str, Any] = {"format": level["format"], "dense_size": level["dense_size"]}
    if level["format"] != ENUMS["DimensionType"]["DENSE"]:
        for name in ("array_segments", "array_indices"):
            fields[name] = _indices(level[name], where)
    return Record("DimensionMetadata", fields, where)


def _indices(values: Sequence[int] | np.ndarray, where: str) -> Record:
    """The narrowest vector that holds the indices."""
    largest = max(np.asarray(values).tolist(), default=0)
    table = "Uint8Vector" if largest < 2**8 else "Uint16Vector" if largest < 2**16 else "Int32Vector"
    return Record(table, {"values": values}, where)

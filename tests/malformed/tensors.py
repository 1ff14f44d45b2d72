"""T1 to T13: tensors and constants that contradict themselves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tests.build import GraphBuilder
from tests.malformed.catalogue import (
    FORMAT,
    GRAPH,
    LIMIT,
    POLICY,
    UNSUPPORTED,
    Case,
    grafted,
    malformed,
    record,
)
from tests.malformed.seeds import Seed
from tflite_cupy.interpreter.format.emit import Record
from tflite_cupy.interpreter.graph import TensorType

INT_MAX = 2**31 - 1


def _first(seed: Seed) -> str:
    return f"subgraphs[0].tensors[{seed.model.graphs[0].inputs[0]}]"


def _shaped(seed: Seed, *shape: int, at: str = "", **more: Any) -> Case:
    """The primary subgraph's input with another shape."""
    fields = {"shape": shape, "shape_signature": None}
    return record(seed, f"shape {shape[:5]}", {_first(seed): fields}, at or f"{_first(seed)}.shape", **more)


def _with_constant(seed: Seed, title: str, change: Mapping[str, Any], **more: Any) -> Case:
    """A subgraph more, with a constant of float32 [4, 3], whose fields are then changed."""
    b = GraphBuilder("constant")
    graph = b.graph([b.constant(np.arange(12, dtype=np.float32).reshape(4, 3))])
    path = f"subgraphs[{len(seed.model.graphs)}].tensors[0]"
    grown = replace(seed, model=grafted(seed, graph))
    return record(grown, title, {path: change}, **{"at": path, **more})


@malformed("T1", GRAPH, LIMIT)
def dims(seed: Seed) -> Iterator[Case]:
    negative: list[tuple[int, ...]] = [(-1,), (-(2**31), 2), (1, -2, 3)]
    for shape in negative:
        yield _shaped(seed, *shape, code=GRAPH)
    for shape in ((2**16, 2**15), (2**16, 2**16), (INT_MAX, INT_MAX, 4), (INT_MAX,) * 4, (0, *(INT_MAX,) * 3)):
        yield _shaped(seed, *shape, at="subgraphs[0]", code=LIMIT)


@malformed("T2", LIMIT, GRAPH)
def huge(seed: Seed) -> Iterator[Case]:
    yield _shaped(seed, 2**28, 16, at="subgraphs[0]", code=LIMIT)
    yield _shaped(seed, INT_MAX, at="subgraphs[0]", code=LIMIT)
    yield _with_constant(seed, "a constant", {"shape": (2**30,)}, code=GRAPH)


@malformed("T3", LIMIT)
def rank(seed: Seed) -> Iterator[Case]:
    for count in (33, 1000):
        yield _shaped(seed, *(1,) * count, at=_first(seed))


@malformed("T4", UNSUPPORTED, GRAPH)
def element_type(seed: Seed) -> Iterator[Case]:
    for number in (23, 127, -1, -128):
        yield record(seed, str(number), {_first(seed): {"type": number}}, _first(seed), code=UNSUPPORTED)
    for count, kind in ((13, TensorType.INT4), (15, TensorType.INT4), (29, TensorType.INT2), (16, TensorType.UINT4)):
        case = _with_constant(seed, f"{count} {kind.name}", {"shape": (count,), "type": kind})
        yield replace(case, code=GRAPH)
    for kind in (TensorType.RESOURCE, TensorType.VARIANT):
        yield _with_constant(seed, f"constant {kind.name}", {"type": kind}, code=UNSUPPORTED)


@malformed("T5", FORMAT)
def buffer_index(seed: Seed) -> Iterator[Case]:
    for index in (999, INT_MAX, 2**32 - 1):
        yield record(seed, str(index), {_first(seed): {"buffer": index}}, f"{_first(seed)}.buffer")


@malformed("T6", FORMAT, GRAPH)
def data_length(seed: Seed) -> Iterator[Case]:
    for shape in ((4, 4), (4, 2), (3,), (), (0,), (4, 3, 1, 2)):
        yield _with_constant(seed, f"shape {shape}", {"shape": shape})
    for kind in (TensorType.FLOAT64, TensorType.FLOAT16, TensorType.INT8):
        yield _with_constant(seed, kind.name, {"type": kind})


def _place(seed: Seed, title: str, offset: int, size: int, *, padding: int = 0, inline: bool = False) -> Case:
    """The last buffer's data outside the flatbuffer, at a place of the file that does not fit."""
    grown = replace(seed, model=grafted(seed, GraphBuilder("more").graph([])))
    fields: dict[str, Any] = {"offset": offset, "size": size} | ({} if inline else {"data": None})
    case = record(grown, title, {"buffers[1]": fields}, "buffers[1]")
    return case.followed_by(lambda data: data + bytes(padding))


@malformed("T7", FORMAT)
def data_outside(seed: Seed) -> Iterator[Case]:
    for offset, size in ((2**32, 4), (2**64 - 4, 8), (8, 2**64 - 1), (2**64 - 1, 2**64 - 1), (2**63, 2**63), (8, 4)):
        yield _place(seed, f"{offset} + {size}", offset, size)
    yield _place(seed, "inside and outside", 2**16, 4, padding=2**16, inline=True)


def _strings(seed: Seed, title: str, count: int, words: list[int]) -> Case:
    """A constant of strings whose layout is `words`."""
    raw = np.int64(words).astype(np.int32)
    b = GraphBuilder("strings")
    graph = b.graph([b.constant(raw)])
    path = f"subgraphs[{len(seed.model.graphs)}].tensors[0]"
    grown = replace(seed, model=grafted(seed, graph))
    return record(grown, title, {path: {"type": TensorType.STRING, "shape": (count,)}}, path)


@malformed("T8", GRAPH)
def strings(seed: Seed) -> Iterator[Case]:
    yield _strings(seed, "count huge", 1, [INT_MAX, 12, 12])
    yield _strings(seed, "count negative", 1, [-1, 12, 12])
    yield _strings(seed, "count against shape", 3, [2, 16, 16, 16])
    yield _strings(seed, "offsets past the end", 2, [2, 16, 16, 99])
    yield _strings(seed, "offsets not in order", 2, [2, 16, 20, 16, 0])
    yield _strings(seed, "offsets into the head", 2, [2, 0, 4, 8])
    yield _strings(seed, "offsets negative", 2, [2, -(2**31), -1, 16])


@malformed("T9", GRAPH)
def quantization(seed: Seed) -> Iterator[Case]:
    wrong: list[dict[str, Any]] = [
        {"scale": [0.0]},
        {"scale": [-1.0]},
        {"scale": [math.nan]},
        {"scale": [math.inf]},
        {"scale": [-math.inf]},
        {"scale": [1.0, -2.0, 3.0, 4.0], "zero_point": [0] * 4},
        {"zero_point": []},
        {"zero_point": None},
        {"zero_point": [0, 0]},
        {"scale": [0.5] * 3, "zero_point": [0] * 3},
        {"scale": [0.5] * 4, "zero_point": [0] * 4, "quantized_dimension": 4},
        {"scale": [0.5] * 4, "zero_point": [0] * 4, "quantized_dimension": -1},
        {"zero_point": [128]},
        {"zero_point": [-(2**63)]},
        {"details": Record("BlockwiseQuantization", {"scales": 99, "zero_points": -1, "block_size": 3})},
        {"details": Record("BlockwiseQuantization", {"scales": 0, "zero_points": -1, "block_size": 0})},
        {"details": Record("BlockwiseQuantization", {"scales": 0, "zero_points": -1, "block_size": 5})},
    ]
    for fields in wrong:
        yield _quantised(seed, str({k: v for k, v in fields.items() if k != "details"}), fields)


def _quantised(seed: Seed, title: str, fields: Mapping[str, Any]) -> Case:
    b = GraphBuilder("quantised")
    graph = b.graph([b.constant(np.ones((4, 3), np.int8))])
    path = f"subgraphs[{len(seed.model.graphs)}].tensors[0]"
    grown = replace(seed, model=grafted(seed, graph))
    parameters = Record("QuantizationParameters", {"scale": [0.5], "zero_point": [0], **fields})
    return record(grown, title, {path: {"quantization": parameters}}, f"{path}.quantization")


def _level(format: int, size: int = 0, segments: Any = None, indices: Any = None) -> Record:
    fields: dict[str, Any] = {"format": format, "dense_size": size}
    for name, values in (("array_segments", segments), ("array_indices", indices)):
        if values is not None:
            fields[name] = Record("Int32Vector", {"values": values})
    return Record("DimensionMetadata", fields)


@malformed("T10", GRAPH, FORMAT)
def sparsity(seed: Seed) -> Iterator[Case]:
    rows, held = _level(0, 4), _level(1, 0, [0, 3, 6, 9, 12], [0, 1, 2] * 4)
    for title, order, blocks, levels in (
        ("too few levels", (0, 1), None, [rows]),
        ("no levels", (0, 1), None, []),
        ("an order that repeats", (0, 0), None, [rows, held]),
        ("an order out of range", (0, 5), None, [rows, held]),
        ("dense size", (0, 1), None, [_level(0, 3), held]),
        ("few segments", (0, 1), None, [rows, _level(1, 0, [0, 12], [0, 1, 2] * 4)]),
        ("segments not in order", (0, 1), None, [rows, _level(1, 0, [0, 6, 3, 9, 12], [0, 1, 2] * 4)]),
        ("segments past the indices", (0, 1), None, [rows, _level(1, 0, [0, 3, 6, 9, 13], [0, 1, 2] * 4)]),
        ("index past the dimension", (0, 1), None, [rows, _level(1, 0, [0, 3, 6, 9, 12], [0, 1, 3] * 4)]),
        ("index negative", (0, 1), None, [rows, _level(1, 0, [0, 3, 6, 9, 12], [0, 1, -1] * 4)]),
        ("no vectors", (0, 1), None, [rows, _level(1)]),
        ("block of 0", (0, 1, 2), (0,), [rows, held, _level(0, 0)]),
        ("block out of range", (0, 1, 2), (7,), [rows, held, _level(0, 2)]),
        ("fewer values than stored", (0, 1), None, [rows, _level(1, 0, [0, 1, 2, 3, 4], [0, 1, 2, 0])]),
        ("too many levels", (0, 1), None, [rows] * 40),
    ):
        fields = {"traversal_order": order, "block_map": blocks, "dim_metadata": levels}
        yield _with_constant(seed, title, {"sparsity": Record("SparsityParameters", fields)})


@malformed("T11", GRAPH)
def variable(seed: Seed) -> Iterator[Case]:
    yield _with_constant(seed, "with data", {"is_variable": True})


@malformed("T12", GRAPH)
def signature(seed: Seed) -> Iterator[Case]:
    for declared in ((-1, -1, -1), (4, 5), (-2, 3), (4,), (0, 0)):
        yield _with_constant(seed, str(declared), {"shape_signature": declared})


@malformed("T13", GRAPH, POLICY, UNSUPPORTED)
def external(seed: Seed) -> Iterator[Case]:
    for number in (1, 2**32 - 1):
        yield _with_constant(seed, f"id {number}", {"external_buffer": number, "buffer": 0})

"""S1 to S18: files whose bytes are not a flatbuffer of the schema."""

from __future__ import annotations

import gzip
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from io import BytesIO

import numpy as np

from tests.format.surgery import Patient
from tests.malformed.catalogue import (
    ACCEPTED,
    FORMAT,
    GRAPH,
    LIMIT,
    UNSUPPORTED,
    Case,
    damaged,
    malformed,
    poked,
    record,
    remade,
)
from tests.malformed.seeds import Seed
from tflite_cupy.interpreter.format.emit import Record
from tflite_cupy.interpreter.format.verify import verify
from tflite_cupy.interpreter.limits import DEFAULT_LIMITS, Limits

TENSOR = "subgraphs[0].tensors[0]"


@malformed("S1", FORMAT)
def short(seed: Seed) -> Iterator[Case]:
    for size in (1, 4, 7):
        yield Case(f"{size} bytes", partial(seed.data.__getitem__, slice(size)))


@malformed("S2", FORMAT, GRAPH)
def truncated(seed: Seed) -> Iterator[Case]:
    """Up to the end of what is in the file: of the zeros behind it nothing is missed."""
    for size in range(8, verify(np.frombuffer(seed.data, np.uint8), DEFAULT_LIMITS).end, 4):
        yield Case(f"{size} bytes", partial(seed.data.__getitem__, slice(size)))


@malformed("S3", FORMAT)
def other_formats(seed: Seed) -> Iterator[Case]:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("model.tflite", seed.data)
    yield Case("zip", file.getvalue)
    yield Case("gzip", partial(gzip.compress, seed.data))
    for identifier in (b"TFL2", b"TFL\0", b"3LFT", bytes(4)):
        yield Case(repr(identifier), partial(b"".join, (seed.data[:4], identifier, seed.data[8:])))


@malformed("S4", FORMAT)
def root(seed: Seed) -> Iterator[Case]:
    for offset in (0, 1, 4, 9, len(seed.data), 2**31, 2**32 - 1):
        yield poked(seed, "<I", lambda p: 0, offset)


@malformed("S5", FORMAT)
def vtable_offset(seed: Seed) -> Iterator[Case]:
    for value in (2**30, -(2**30), -(2**31), 5):  # before the file, past it, at an odd place
        yield poked(seed, "<i", lambda p: p.table("Tensor"), value, TENSOR)
    yield poked(seed, "<i", lambda p: p.table("Tensor"), 0, "subgraphs[0].tensors", title="itself")


@malformed("S6", FORMAT)
def vtable_size(seed: Seed) -> Iterator[Case]:
    for size in (0, 2, 3, 11, 65534, 65535):
        yield poked(seed, "<H", lambda p: p.vtable("Tensor"), size, TENSOR)


@malformed("S7", FORMAT)
def table_size(seed: Seed) -> Iterator[Case]:
    for size in (0, 3, 65535):
        yield poked(seed, "<H", lambda p: p.vtable("Tensor") + 2, size, TENSOR)


@malformed("S8", FORMAT)
def slot(seed: Seed) -> Iterator[Case]:
    for place in (2, 1000, 65535):
        yield poked(seed, "<H", lambda p: p.entry("Tensor", "name"), place, f"{TENSOR}.name")


@malformed("S9", FORMAT)
def misaligned(seed: Seed) -> Iterator[Case]:
    def moved(p: Patient, shift: int) -> None:
        entry = p.entry("Model", "subgraphs")
        p.put("<H", entry, p.get("<H", entry) - 4 + shift)

    for shift in (1, 2, 3):
        yield damaged(seed, f"by {shift}", partial(moved, shift=shift), "subgraphs")


PLACES = (
    ("Tensor", "name", f"{TENSOR}.name"),
    ("Operator", "outputs", "subgraphs[0].operators[0].outputs"),
    ("Model", "subgraphs", "subgraphs"),
    ("Model", "operator_codes", "operator_codes"),
)


@malformed("S10", FORMAT)
def offset(seed: Seed) -> Iterator[Case]:
    for table, field, where in PLACES:
        for value in (0, 6, 2**28, 2**32 - 8):
            yield poked(seed, "<I", partial(Patient.field, table=table, field=field), value, where)
    yield poked(seed, "<I", lambda p: p.target("SubGraph", "tensors") + 4, 2**31, TENSOR, title="of a table")


@malformed("S11", FORMAT)
def vector_length(seed: Seed) -> Iterator[Case]:
    for table, field, where in PLACES:
        for length in (2**32 - 1, 2**31, 2**30 + 1, 2**29):
            yield poked(seed, "<I", partial(Patient.target, table=table, field=field), length, where)


@malformed("S12", FORMAT, LIMIT)
def string(seed: Seed) -> Iterator[Case]:
    def start(p: Patient) -> int:
        return p.target("Tensor", "name")

    def end(p: Patient) -> int:
        return start(p) + 4 + p.get("<I", start(p))

    where = f"{TENSOR}.name"
    yield poked(seed, "<B", end, 65, where, title="no end")
    yield poked(seed, "<B", lambda p: start(p) + 4, 0xFF, where, title="not UTF-8")
    for length in (2**31, 2**32 - 1):
        yield poked(seed, "<I", start, length, where)
    described = replace(seed.model, description="d" * (1 << 20 | 1))
    yield remade("longer than 1 MiB", described, "description", code=LIMIT)


@malformed("S13", FORMAT, GRAPH, UNSUPPORTED)
def union(seed: Seed) -> Iterator[Case]:
    row = seed.optioned  # rows of tables follow nodes in these files
    where = f"subgraphs[0].operators[{row}].builtin_options"
    yield poked(seed, "<H", lambda p: p.entry("Operator", "builtin_options", row), 0, where, code=FORMAT)
    for tag, code in ((5, GRAPH), (126, GRAPH), (200, UNSUPPORTED)):
        yield poked(seed, "<B", lambda p: p.field("Operator", "builtin_options_type", row), tag, where, code=code)


@malformed("S14", LIMIT, GRAPH)
def sharing(seed: Seed) -> Iterator[Case]:
    yield Case("billion laughs", partial(bomb, 4000, 100_000), code=LIMIT)
    yield Case("more of them", partial(bomb, 60_000, 60_000), code=LIMIT)

    def all_to_one(p: Patient) -> None:
        at = p.target("SubGraph", "tensors")
        for i in range(p.get("<I", at)):
            p.put("<I", at + 4 + 4 * i, p.table("Tensor") - at - 4 - 4 * i)

    yield damaged(seed, "one tensor", all_to_one)


def bomb(subgraphs: int, tensors: int) -> bytes:
    """A file whose offsets all lead to one subgraph, whose offsets all lead to one tensor (which is a buffer too)."""
    vtables = struct.pack("<7Hxx", 14, 16, 4, 0, 8, 0, 12) + struct.pack("<3Hxx", 6, 8, 4) + struct.pack("<2H", 4, 4)
    start = 8 + len(vtables)
    buffers = start + 16
    many = buffers + 8
    subgraph = many + 4 + 4 * subgraphs
    vector = subgraph + 8
    tensor = vector + 4 + 4 * tensors
    return b"".join(
        [
            struct.pack("<I4s", start, b"TFL3"),
            vtables,
            struct.pack("<iIII", start - 8, 3, many - start - 8, 4),
            struct.pack("<II", 1, tensor - buffers - 4),
            struct.pack("<I", subgraphs),
            *(struct.pack("<I", subgraph - many - 4 - 4 * i) for i in range(subgraphs)),
            struct.pack("<iI", subgraph - 24, 4),
            struct.pack("<I", tensors),
            *(struct.pack("<I", tensor - vector - 4 - 4 * i) for i in range(tensors)),
            struct.pack("<i", tensor - 32),
        ]
    )


@malformed("S15", LIMIT)
def long_names(seed: Seed) -> Iterator[Case]:
    tensors = tuple(replace(seed.model.graphs[0].tensors[0], name="n" * 200_000) for _ in range(5000))
    graph = replace(seed.model.graphs[0], tensors=seed.model.graphs[0].tensors + tensors)
    made = replace(seed.model, graphs=(graph, *seed.model.graphs[1:]))
    yield remade("one for 5,000 tensors", made, "subgraphs[0].tensors", says="max_string_bytes")
    yield remade("the same, within the limits", made, code=ACCEPTED, limits=Limits(flex="off"))


@malformed("S16", FORMAT, LIMIT, GRAPH)
def overlapping(seed: Seed) -> Iterator[Case]:
    tail = -len(seed.data) % 16 + len(seed.data) + 4096
    changes = {
        "buffers[1]": {"data": None, "offset": tail, "size": 108},
        "buffers[0]": {"data": None, "offset": tail + 104, "size": 16},
    }
    case = record(seed, "buffers", changes, says="buffers overlap")
    yield case.followed_by(lambda data: data.ljust(tail + 4096, b"\0"))

    def names(p: Patient) -> None:
        """Each name begins 4 bytes after the one before and holds all of them."""
        end = len(p.data) + -len(p.data) % 4
        count = sum(len(graph.tensors) for graph in seed.model.graphs)
        p.data += bytes(end - len(p.data)) + struct.pack("<I", 4 * count) * (2 * count + 1)
        for row in range(count):
            at = p.field("Tensor", "name", row)
            p.put("<I", at, end + 4 * row - at)

    yield damaged(seed, "strings", names, code=FORMAT)


@malformed("S17", FORMAT, GRAPH)
def absent(seed: Seed) -> Iterator[Case]:
    nothing: list[list[Record] | None] = [None, []]
    for value in nothing:
        for field in ("subgraphs", "operator_codes", "buffers"):
            yield record(seed, f"{field} {value}", {"": {field: value}})
        yield record(seed, f"tensors {value}", {"subgraphs[0]": {"tensors": value}}, "subgraphs[0]")


@malformed("S18", FORMAT)
def version(seed: Seed) -> Iterator[Case]:
    for number in (0, 1, 2, 4, 2**31, 2**32 - 1):
        yield record(seed, str(number), {"": {"version": number}}, "version", says=f"schema version {number}")

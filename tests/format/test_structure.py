"""Files whose bytes are not a flatbuffer of the schema: each is refused with a path, none is read out of bounds."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest

from tests.build import F32, GraphBuilder, model
from tests.format.samples import SAMPLES, control_flow, convolution, strings
from tests.format.surgery import Patient, edited, in_time, part, refusal
from tflite_cupy.interpreter.errors import LimitError, ModelError, TfliteError
from tflite_cupy.interpreter.format.emit import Record
from tflite_cupy.interpreter.format.limits import ReadLimits
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.format.schema import TABLES
from tflite_cupy.interpreter.format.writer import write_model

INVALID = "The model is not a valid Flatbuffer buffer"


def archive(data: bytes) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("model.tflite", data)
    return file.getvalue()


@pytest.mark.parametrize(
    "make", [lambda d: b"", lambda d: d[:7], archive, gzip.compress, lambda d: d[:4] + b"TFL2" + d[8:]]
)
def test_other_kinds_of_file(make: Callable[[bytes], bytes]) -> None:
    error = refusal(make(write_model(strings())))
    assert type(error) is ModelError
    assert str(error).startswith(INVALID)


@pytest.mark.parametrize("root", [0, 1, 4, 9, 2**31, 2**32 - 1])
def test_root_offset(root: int) -> None:
    data = bytearray(write_model(strings()))
    struct.pack_into("<I", data, 0, root)
    assert str(refusal(bytes(data))).startswith(INVALID)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_truncation(name: str) -> None:
    data = write_model(SAMPLES[name]())
    with in_time(60):
        for end in range(0, len(data), 4):
            with pytest.raises(TfliteError):
                load_model(data[:end])


TENSOR = "subgraphs[0].tensors[0]"
DAMAGE: dict[str, tuple[Callable[[Patient], object], str]] = {
    "vtable before the file": (lambda p: p.put("<i", p.table("Tensor"), 2**30), TENSOR),
    "vtable after the file": (lambda p: p.put("<i", p.table("Tensor"), -(2**30)), TENSOR),
    "vtable at an odd place": (lambda p: p.put("<i", p.table("Tensor"), 5), TENSOR),
    "vtable of 2 bytes": (lambda p: p.put("<H", p.vtable("Tensor"), 2), TENSOR),
    "vtable of odd size": (lambda p: p.put("<H", p.vtable("Tensor"), 11), TENSOR),
    "vtable that ends past the file": (lambda p: p.put("<H", p.vtable("Tensor"), 65534), TENSOR),
    "table of 0 bytes": (lambda p: p.put("<H", p.vtable("Tensor") + 2, 0), TENSOR),
    "table that ends past the file": (lambda p: p.put("<H", p.vtable("Tensor") + 2, 65535), TENSOR),
    "slot outside its table": (lambda p: p.put("<H", p.entry("Tensor", "name"), 60), TENSOR + ".name"),
    "slot inside the table's head": (lambda p: p.put("<H", p.entry("Tensor", "name"), 2), TENSOR + ".name"),
    "misaligned field": (lambda p: p.put("<H", p.entry("Tensor", "name"), 6), TENSOR + ".name"),
    "offset 0": (lambda p: p.put("<I", p.field("Tensor", "name"), 0), TENSOR + ".name"),
    "offset past the file": (lambda p: p.put("<I", p.field("Tensor", "name"), 2**20), TENSOR + ".name"),
    "offset that would wrap": (lambda p: p.put("<I", p.field("Tensor", "name"), 2**32 - 8), TENSOR + ".name"),
    "offset to an odd place": (lambda p: p.put("<I", p.field("Tensor", "name"), 6), TENSOR + ".name"),
    "vector of 2^32 - 1": (lambda p: p.put("<I", p.target("Tensor", "shape"), 2**32 - 1), TENSOR + ".shape"),
    "vector whose size wraps": (lambda p: p.put("<I", p.target("Tensor", "shape"), 2**30 + 1), TENSOR + ".shape"),
    "vector of tables of 2^31": (
        lambda p: p.put("<I", p.target("SubGraph", "tensors"), 2**31),
        "subgraphs[0].tensors",
    ),
    "table that is not there": (
        lambda p: p.put("<I", p.target("SubGraph", "tensors") + 8, 2**31),
        "subgraphs[0].tensors[1]",
    ),
    "string without an end": (
        lambda p: p.put("<B", p.target("Tensor", "name") + 4 + p.get("<I", p.target("Tensor", "name")), 65),
        TENSOR + ".name",
    ),
    "string past the file": (lambda p: p.put("<I", p.target("Tensor", "name"), 2**31), TENSOR + ".name"),
    "string that is not UTF-8": (lambda p: p.put("<B", p.target("Tensor", "name") + 4, 0xFF), TENSOR + ".name"),
    "key that is not UTF-8": (
        lambda p: p.put("<B", p.target("SignatureDef", "signature_key") + 4, 0xFF),
        "signature_defs[0].signature_key",
    ),
    "buffer past the file": (lambda p: p.put("<I", p.target("Buffer", "data", 1), 2**31), "buffers[1].data"),
    "operator codes that are not there": (
        lambda p: p.put("<I", p.field("Model", "operator_codes"), 2**28),
        "operator_codes",
    ),
    "subgraphs that are not there": (lambda p: p.put("<I", p.field("Model", "subgraphs"), 2**28), "subgraphs"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_structure(damage: str) -> None:
    edit, where = DAMAGE[damage]
    patient = Patient(write_model(strings()))
    edit(patient)
    error = refusal(bytes(patient.data))
    assert type(error) is ModelError
    assert str(error).startswith(INVALID)
    assert error.where == where


def test_a_known_union_tag_needs_its_table() -> None:
    patient = Patient(write_model(convolution()))
    row = next(r for r in range(4) if patient.get("<H", patient.entry("Operator", "builtin_options", r)))
    patient.put("<H", patient.entry("Operator", "builtin_options", row), 0)
    error = refusal(bytes(patient.data))
    assert type(error) is ModelError
    assert error.where.endswith("builtin_options")


def test_what_a_newer_schema_adds_is_not_read() -> None:
    """A slot beyond the schema, and a tag beyond it on an operator beyond it, with values that lead nowhere."""
    patient = Patient(write_model(convolution()))
    at = patient.field("Operator", "builtin_options_type")
    patient.put("<B", at, 250).put("<I", patient.field("Operator", "builtin_options"), 2**31)
    code = patient.field("OperatorCode", "builtin_code")
    patient.put("<i", code, 5000).put("<b", patient.field("OperatorCode", "deprecated_builtin_code"), 127)
    node = load_model(bytes(patient.data)).graphs[0].nodes[0]
    assert node.name == "UNKNOWN_OPERATOR_5000"
    assert dict(node.attributes) == {}


@pytest.mark.parametrize("version", [0, 2, 4, 2**32 - 1])
def test_version(version: int) -> None:
    data = edited(strings(), lambda root: root.fields.update(version=version))
    error = refusal(data)
    assert type(error) is ModelError
    assert str(error).startswith(f"Model provided is schema version {version} not equal to supported version 3.")


@pytest.mark.parametrize("value", [None, []])
@pytest.mark.parametrize(
    ("path", "field", "says"),
    [
        ("", "subgraphs", "No subgraph in the model."),
        ("", "buffers", "the model has 0 buffers."),
        ("", "operator_codes", "there are 0 codes."),
        ("subgraphs[0]", "tensors", "the subgraph has 0 tensors."),
    ],
)
def test_absent_parts(path: str, field: str, says: str, value: list[Record] | None) -> None:
    error = refusal(edited(strings(), lambda root: part(root, path).update({field: value})))
    assert isinstance(error, ModelError)
    assert says in str(error)


def bomb(subgraphs: int, tensors: int) -> bytes:
    """A file whose offsets all lead to one subgraph, whose offsets all lead to one tensor (which is a buffer too)."""
    vtables = struct.pack("<7Hxx", 14, 16, 4, 0, 8, 0, 12) + struct.pack("<3Hxx", 6, 8, 4) + struct.pack("<2H", 4, 4)
    model = 8 + len(vtables)
    buffers = model + 16
    many = buffers + 8
    subgraph = many + 4 + 4 * subgraphs
    vector = subgraph + 8
    tensor = vector + 4 + 4 * tensors
    return b"".join(
        [
            struct.pack("<I4s", model, b"TFL3"),
            vtables,
            struct.pack("<iIII", model - 8, 3, many - model - 8, 4),
            struct.pack("<II", 1, tensor - buffers - 4),
            struct.pack("<I", subgraphs),
            *(struct.pack("<I", subgraph - many - 4 - 4 * i) for i in range(subgraphs)),
            struct.pack("<iI", subgraph - 24, 4),
            struct.pack("<I", tensors),
            *(struct.pack("<I", tensor - vector - 4 - 4 * i) for i in range(tensors)),
            struct.pack("<i", tensor - 32),
        ]
    )


def test_shared_tables_are_read_once() -> None:
    with in_time():
        tensors = load_model(bomb(1, 200_000)).graphs[0].tensors
    assert len(tensors) == 200_000
    assert len(set(map(id, tensors))) == 1


def test_sharing_does_not_multiply_without_end() -> None:
    error = refusal(bomb(4000, 100_000))
    assert type(error) is LimitError
    assert "400000000 tensors" in str(error)


def test_many_tensors_share_a_long_name() -> None:
    name = "n" * 200_000
    made = strings()
    tensors = tuple(replace(made.graphs[0].tensors[0], name=name) for _ in range(5000))
    graph = replace(made.graphs[0], tensors=made.graphs[0].tensors + tensors)
    data = write_model(replace(made, graphs=(graph, made.graphs[1])))
    assert len(data) < 600_000
    with in_time():
        loaded = load_model(data)
    assert len({id(tensor.name) for tensor in loaded.graphs[0].tensors[-5000:]}) == 1


def sharing(operator: str, options: str, field: str, length: int, count: int = 2000) -> bytes:
    """A file with `count` operators whose options all refer to one vector of `length` ones."""
    b = GraphBuilder()
    x = b.input(F32, [4], "x")
    fields = TABLES[options][field]
    for _ in range(count):
        b.add(operator, [x], [4], **{field: b"1" if fields.type == "ubyte" else (1,)})
    patient = Patient(write_model(model(b.graph([x]), GraphBuilder("other").graph([]))))
    end = len(patient.data) + -len(patient.data) % 4
    for row in range(count):
        at = patient.field(options, field, row)
        patient.put("<I", at, end - at)
    ones = np.ones(length, fields.dtype).tobytes()
    return bytes(patient.data.ljust(end, b"\0")) + struct.pack("<I", length) + ones


@pytest.mark.parametrize(
    ("operator", "options", "field"),
    [("RESHAPE", "ReshapeOptions", "new_shape"), ("FULLY_CONNECTED", "FullyConnectedOptions", "quant_spec")],
)
def test_shared_vectors_are_read_once(operator: str, options: str, field: str) -> None:
    data = sharing(operator, options, field, 100_000)
    tracemalloc.start()
    try:
        with in_time():
            nodes = load_model(data).graphs[0].nodes
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len({id(node.attributes[field]) for node in nodes}) == 1
    assert len(nodes[0].attributes[field]) == 100_000
    assert peak < 64 * 2**20 + 4 * len(data)


def test_many_operator_codes() -> None:
    b = GraphBuilder()
    x = b.input(F32, [4], "x")
    b.add("ABS", [x])
    graph = b.graph([x])
    nodes = tuple(replace(graph.nodes[0], index=i, version=i + 1) for i in range(20_000))
    data = write_model(model(replace(graph, nodes=nodes)))
    with in_time():
        loaded = load_model(data)
    assert loaded.graphs[0].nodes[-1].version == 20_000


def test_calls_do_not_multiply_without_end() -> None:
    error = refusal(sharing("STABLEHLO_CASE", "StablehloCaseOptions", "branch_subgraph_indices", 100_000))
    assert type(error) is LimitError
    assert "max_ops" in str(error)


def test_long_strings_are_limited() -> None:
    data = write_model(replace(strings(), description="d" * 70_000))
    assert load_model(data).description == "d" * 70_000
    error = refusal(data, ReadLimits.untrusted())
    assert type(error) is LimitError
    assert error.where == "description"


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (ReadLimits(max_model_bytes=100), "max_model_bytes"),
        (ReadLimits(max_tables=10), "max_tables"),
        (ReadLimits(max_ops=1), "max_ops"),
        (ReadLimits(max_subgraphs=1), "max_subgraphs"),
        (ReadLimits(max_rank=0), "max_rank"),
        (ReadLimits(max_call_depth=0), "max_call_depth"),
    ],
)
def test_limits_name_themselves(limits: ReadLimits, says: str) -> None:
    error = refusal(write_model(control_flow()), limits)
    assert type(error) is LimitError
    assert says in str(error)


def test_bytes_after_the_flatbuffer_are_nothing() -> None:
    """Files with metadata carry a zip archive of associated files there."""
    data = write_model(strings())
    assert load_model(data + archive(b"../../x")).description == strings().description

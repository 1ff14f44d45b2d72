"""What a file may share, what it may hold beyond the schema, and how much; tests/malformed has what is broken."""

from __future__ import annotations

import struct
import tracemalloc
import zipfile
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest

from tests.build import F32, GraphBuilder, model
from tests.format.samples import control_flow, convolution, strings
from tests.format.surgery import Patient, in_time, refusal
from tests.malformed.structure import bomb
from tflite_cupy.interpreter.errors import LimitError
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.format.schema import TABLES
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.limits import Limits


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


def test_shared_tables_are_read_once() -> None:
    with in_time():
        tensors = load_model(bomb(1, 200_000)).graphs[0].tensors
    assert len(tensors) == 200_000
    assert len(set(map(id, tensors))) == 1


def test_sharing_does_not_multiply_without_end() -> None:
    error = refusal(bomb(4000, 100_000))
    assert type(error) is LimitError
    assert "400000000 tensors" in str(error)


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
    error = refusal(data, Limits.untrusted())
    assert type(error) is LimitError
    assert error.where == "description"


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Limits(max_model_bytes=100), "max_model_bytes"),
        (Limits(max_tables=10), "max_tables"),
        (Limits(max_ops=1), "max_ops"),
        (Limits(max_subgraphs=1), "max_subgraphs"),
        (Limits(max_view_rank=0), "max_view_rank"),
        (Limits(max_call_depth=0), "max_call_depth"),
    ],
)
def test_limits_name_themselves(limits: Limits, says: str) -> None:
    error = refusal(write_model(control_flow()), limits)
    assert type(error) is LimitError
    assert says in str(error)


def test_bytes_after_the_flatbuffer_are_nothing() -> None:
    """Files with metadata carry a zip archive of associated files there."""
    data, file = write_model(strings()), BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("../../x", b"labels")
    assert load_model(data + file.getvalue()).description == strings().description

"""Odd graphs that are accepted, and what can't be read of constants of strings; tests/malformed has the rest."""

from __future__ import annotations

import numpy as np
import pytest

from tests.build import F32, GraphBuilder, model
from tests.format.samples import convolution, strings
from tests.format.surgery import Patient, edited, part, refusal
from tflite_cupy.interpreter.errors import GraphError, LimitError, TfliteError, UnsupportedError
from tflite_cupy.interpreter.format.emit import Record
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import Graph

OP, TENSORS = "subgraphs[0].operators[0]", "subgraphs[0].tensors"


def quantised(**fields: object) -> Record:
    return Record("QuantizationParameters", {"scale": [0.5], "zero_point": [0], **fields})


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", None),
        (b"\1\0", "2 bytes can't hold"),
        (np.int32([-1]).tobytes(), "can't hold -1 strings"),
        (np.int32([2**31 - 1, 12, 12]).tobytes(), "can't hold"),
        (np.int32([5, *[28] * 6]).tobytes(), "holds 5 strings, its shape asks for 6"),
        (np.int32([6, *[32] * 6, 33]).tobytes(), "not in order or out of bounds"),
        (np.int32([6, *[32] * 5, 31, 32]).tobytes(), "not in order or out of bounds"),
        (np.int32([6, *[0] * 7]).tobytes(), "not in order or out of bounds"),
        (np.int32([6, *[-(2**31)] * 7]).tobytes(), "not in order or out of bounds"),
    ],
)
def test_string_layout(raw: bytes, says: str | None) -> None:
    buffer = 1
    error = refusal(edited(strings(), lambda root: part(root, f"buffers[{buffer}]").update(data=raw)))
    assert type(error) is GraphError
    assert (says or "lacks data") in str(error)


@pytest.mark.parametrize(("length", "error"), [(30, None), (40, LimitError)])
def test_chains_of_calls(length: int, error: type[TfliteError] | None) -> None:
    graphs = []
    for index in range(length):
        b = GraphBuilder(f"g{index}")
        if index + 1 < length:
            b.op("CALL_ONCE", [], [], init_subgraph_index=index + 1)
        graphs.append(b.graph([]))
    data = write_model(model(*graphs))
    if error is None:
        assert len(load_model(data).graphs) == length
    else:
        assert type(refusal(data)) is error


def test_options_of_an_unknown_kind_are_unsupported() -> None:
    patient = Patient(write_model(convolution()))
    patient.put("<B", patient.field("Operator", "builtin_options_type"), 200)
    error = refusal(bytes(patient.data))
    assert type(error) is UnsupportedError
    assert error.where == f"{OP}.builtin_options"


def test_absent_options_are_the_schema_s_defaults() -> None:
    data = edited(convolution(), lambda root: part(root, OP).update(builtin_options=None))
    attributes = load_model(data).graphs[0].nodes[0].attributes
    assert attributes["dilation_w_factor"] == 1
    assert attributes["stride_w"] == 0


@pytest.mark.parametrize(("offset", "size"), [(0, 8), (1, 1), (4096, 0)])
def test_offsets_that_mean_nothing(offset: int, size: int) -> None:
    data = edited(convolution(), lambda root: part(root, "buffers[0]").update(offset=offset, size=size))
    assert load_model(data).graphs


def test_metadata_keeps_the_first_of_a_name() -> None:
    def edit(root: Record) -> None:
        root.fields["metadata"].append(Record("Metadata", {"name": "min_runtime_version", "buffer": 0}))

    assert load_model(edited(strings(), edit)).metadata == strings().metadata


def test_a_channel_of_zeros_may_have_scale_zero() -> None:
    change = {"quantization": quantised(scale=[0, 1, 2, 3], zero_point=[0] * 4)}
    data = edited(convolution(), lambda root: part(root, f"{TENSORS}[1]").update(change))
    quantization = load_model(data).graphs[0].tensors[1].quantization
    assert quantization is not None
    assert quantization.scales.tolist() == [0, 1, 2, 3]


def test_a_bias_may_carry_the_axis_of_its_filter() -> None:
    change = {"quantization": quantised(scale=[1, 2, 3, 4], zero_point=[0] * 4, quantized_dimension=3)}
    data = edited(convolution(), lambda root: part(root, f"{TENSORS}[2]").update(change))
    quantization = load_model(data).graphs[0].tensors[2].quantization
    assert quantization is not None
    assert quantization.axis == 0


def test_a_tensor_may_be_written_twice() -> None:
    b = GraphBuilder()
    x = b.input(F32, [2], "x")
    y = b.add("NEG", [x])
    b.op("ABS", [x], [y])
    assert load_model(write_model(model(b.graph([y])))).graphs[0].nodes[1].outputs == (y,)


def test_graph_ends_may_be_shared() -> None:
    b = GraphBuilder()
    x = b.input(F32, [2], "x")
    c = b.constant(np.float32([1, 2]))
    graph: Graph = b.graph([x, c, x])
    assert load_model(write_model(model(graph))).graphs[0].outputs == (x, c, x)

"""Well-formed files whose graph can't run: each is refused with the path of what is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.build import F32, GraphBuilder, model
from tests.format.samples import control_flow, convolution, strings
from tests.format.surgery import Patient, edited, part, refusal
from tflite_cupy.interpreter.errors import GraphError, LimitError, ModelError, TfliteError, UnsupportedError
from tflite_cupy.interpreter.format.emit import Record
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import Graph, Model

Fault = tuple[Callable[[], Model], str, dict[str, Any], type[TfliteError], str]

OP = "subgraphs[0].operators[0]"
TENSORS = "subgraphs[0].tensors"
INT_MIN = -(2**31)
CHAIN_END = 13  # tensors of the convolution


def quantised(**fields: Any) -> Record:
    return Record("QuantizationParameters", {"scale": [0.5], "zero_point": [0], **fields})


def dimension(format: int, size: int = 0, segments: Any = None, indices: Any = None) -> Record:
    fields: dict[str, Any] = {"format": format, "dense_size": size}
    if segments is not None:
        fields |= {"array_segments": Record("Int32Vector", {"values": segments})}
    if indices is not None:
        fields |= {"array_indices": Record("Int32Vector", {"values": indices})}
    return Record("DimensionMetadata", fields)


OPERANDS: list[Fault] = [
    (convolution, OP, {"inputs": (99, 1, 2)}, GraphError, f"{OP}.inputs[0]"),
    (convolution, OP, {"inputs": (0, -2, 2)}, GraphError, f"{OP}.inputs[1]"),
    (convolution, OP, {"inputs": (0, 1, INT_MIN)}, GraphError, f"{OP}.inputs[2]"),
    (convolution, OP, {"outputs": (-1,)}, GraphError, f"{OP}.outputs[0]"),
    (convolution, OP, {"outputs": (2**31 - 1,)}, GraphError, f"{OP}.outputs[0]"),
    (convolution, OP, {"outputs": (1,)}, GraphError, f"{OP}.outputs[0]"),  # a constant
    (convolution, OP, {"outputs": (3, 3)}, GraphError, f"{OP}.outputs[1]"),
    (convolution, OP, {"intermediates": (77,)}, GraphError, f"{OP}.intermediates[0]"),
    (convolution, OP, {"inputs": (4, 1, 2)}, GraphError, f"{OP}.inputs[0]"),  # written later
    (convolution, OP, {"opcode_index": 99}, ModelError, f"{OP}.opcode_index"),
    (convolution, OP, {"builtin_options": Record("Pool2DOptions", {})}, GraphError, f"{OP}.builtin_options"),
    (convolution, OP, {"builtin_options_2": Record("DilateOptions", {})}, GraphError, f"{OP}.builtin_options_2"),
    (convolution, "operator_codes[0]", {"version": 0}, GraphError, "operator_codes[0]"),
    (convolution, "operator_codes[0]", {"builtin_code": 9}, GraphError, "operator_codes[0]"),
    (
        convolution,
        "operator_codes[0]",
        {"deprecated_builtin_code": -1, "builtin_code": -1},
        GraphError,
        "operator_codes[0]",
    ),
    (
        convolution,
        "operator_codes[0]",
        {"deprecated_builtin_code": 32, "builtin_code": 32},
        GraphError,
        "operator_codes[0]",
    ),
    (convolution, "subgraphs[0]", {"inputs": (-1,)}, GraphError, "subgraphs[0].inputs[0]"),
    (convolution, "subgraphs[0]", {"outputs": (7, 999)}, GraphError, "subgraphs[0].outputs[1]"),
    (control_flow, "subgraphs[4]", {"operators": []}, GraphError, "subgraphs[4].outputs[0]"),  # nothing writes it
]

CALLS: list[Fault] = [
    (control_flow, f"{OP}.builtin_options", {"init_subgraph_index": 6}, GraphError, f"{OP}.init_subgraph_index"),
    (control_flow, f"{OP}.builtin_options", {"init_subgraph_index": -1}, GraphError, f"{OP}.init_subgraph_index"),
    (control_flow, f"{OP}.builtin_options", {"init_subgraph_index": 0}, GraphError, "subgraphs[0]"),
    (
        control_flow,
        "subgraphs[0].operators[4].builtin_options",
        {"else_subgraph_index": INT_MIN},
        GraphError,
        "subgraphs[0].operators[4].else_subgraph_index",
    ),
]

TENSOR: list[Fault] = [
    (strings, f"{TENSORS}[0]", {"shape": (-1,), "shape_signature": None}, GraphError, f"{TENSORS}[0].shape"),
    (strings, f"{TENSORS}[0]", {"shape": (2**31 - 1,) * 3, "shape_signature": None}, LimitError, f"{TENSORS}[0].shape"),
    (
        strings,
        f"{TENSORS}[0]",
        {"shape": (0, 2**31 - 1, 2**31 - 1, 2**31 - 1), "shape_signature": None},
        LimitError,
        f"{TENSORS}[0].shape",
    ),
    (strings, f"{TENSORS}[0]", {"shape": (1,) * 33, "shape_signature": None}, LimitError, f"{TENSORS}[0]"),
    (strings, f"{TENSORS}[0]", {"shape": (1,) * 1000, "shape_signature": None}, LimitError, f"{TENSORS}[0]"),
    (strings, f"{TENSORS}[0]", {"shape_signature": (-1, -1)}, ModelError, f"{TENSORS}[0].shape_signature"),
    (strings, f"{TENSORS}[0]", {"shape_signature": (5,)}, ModelError, f"{TENSORS}[0].shape_signature"),
    (strings, f"{TENSORS}[0]", {"shape_signature": (-2,)}, ModelError, f"{TENSORS}[0].shape_signature"),
    (strings, f"{TENSORS}[0]", {"type": 23}, UnsupportedError, f"{TENSORS}[0]"),
    (strings, f"{TENSORS}[0]", {"type": -1}, UnsupportedError, f"{TENSORS}[0]"),
    (strings, f"{TENSORS}[0]", {"external_buffer": 1}, UnsupportedError, f"{TENSORS}[0]"),
    (strings, f"{TENSORS}[0]", {"buffer": 99}, ModelError, f"{TENSORS}[0].buffer"),
    (convolution, f"{TENSORS}[1]", {"shape": (4, 3, 3, 4)}, GraphError, f"{TENSORS}[1]"),
    (convolution, f"{TENSORS}[2]", {"type": 4}, GraphError, f"{TENSORS}[2]"),
    (convolution, f"{TENSORS}[2]", {"type": 13}, UnsupportedError, f"{TENSORS}[2]"),
    (convolution, f"{TENSORS}[2]", {"is_variable": True}, GraphError, f"{TENSORS}[2]"),
    (convolution, f"{TENSORS}[6]", {"shape": (5, 63)}, GraphError, f"{TENSORS}[6]"),  # an odd count of int4
    (strings, f"{TENSORS}[2]", {"shape": (7,)}, GraphError, f"{TENSORS}[2]"),
]

QUANTISATION: list[Fault] = [
    (convolution, f"{TENSORS}[1]", {"quantization": quantised(**fields)}, GraphError, f"{TENSORS}[1].quantization{at}")
    for fields, at in [
        ({"scale": [0.0]}, ".scale"),
        ({"scale": [-1.0]}, ".scale"),
        ({"scale": [math.nan]}, ".scale"),
        ({"scale": [math.inf]}, ".scale"),
        ({"scale": [1, -2, 3, 4], "zero_point": [0] * 4}, ".scale"),
        ({"zero_point": []}, ""),
        ({"zero_point": None}, ""),
        ({"scale": [0.5] * 3, "zero_point": [0] * 3}, ""),
        ({"scale": [0.5] * 4, "zero_point": [0] * 4, "quantized_dimension": 4}, ""),
        ({"scale": [0.5] * 4, "zero_point": [0] * 4, "quantized_dimension": -1}, ""),
        ({"zero_point": [128]}, ""),
        ({"details": Record("BlockwiseQuantization", {"scales": 99, "zero_points": -1, "block_size": 3})}, ""),
        ({"details": Record("BlockwiseQuantization", {"scales": 0, "zero_points": -1, "block_size": 3})}, ""),
        ({"details": Record("BlockwiseQuantization", {"scales": 8, "zero_points": -1, "block_size": 0})}, ""),
        ({"details": Record("BlockwiseQuantization", {"scales": 8, "zero_points": -1, "block_size": 5})}, ""),
    ]
]

SPARSE = next(i for i, tensor in enumerate(convolution().graphs[0].tensors) if tensor.sparsity)
SPARSITY: list[Fault] = [
    (
        convolution,
        f"{TENSORS}[{SPARSE}]",
        {
            "sparsity": Record(
                "SparsityParameters", {"traversal_order": order, "block_map": blocks, "dim_metadata": levels}
            )
        },
        ModelError,
        f"{TENSORS}[{SPARSE}]",
    )
    for order, blocks, levels in [
        ((0, 1), None, [dimension(0, 2)]),
        ((0, 1), None, []),
        ((0, 0), None, [dimension(0, 2), dimension(1, 0, [0, 1, 3], [2, 0, 1])]),
        ((0, 5), None, [dimension(0, 2), dimension(1, 0, [0, 1, 3], [2, 0, 1])]),
        ((0, 1), None, [dimension(0, 3), dimension(1, 0, [0, 1, 3], [2, 0, 1])]),
        ((0, 1), None, [dimension(0, 2), dimension(1, 0, [0, 1], [2, 0, 1])]),
        ((0, 1), None, [dimension(0, 2), dimension(1, 0, [0, 2, 1], [2, 0, 1])]),
        ((0, 1), None, [dimension(0, 2), dimension(1, 0, [0, 1, 4], [2, 0, 1])]),
        ((0, 1), None, [dimension(0, 2), dimension(1, 0, [0, 1, 3], [2, 0, 3])]),
        ((0, 1), None, [dimension(0, 2), dimension(1, 0, [0, 1, 3], [2, -1, 1])]),
        ((0, 1), None, [dimension(0, 2), dimension(1, 0, [0, 1, 2], [2, 0])]),  # fewer than are stored
        ((0, 1), None, [dimension(0, 2), dimension(1)]),
        ((0, 1, 2), (0,), [dimension(0, 1), dimension(1, 0, [0, 3], [2, 0, 1]), dimension(0, 0)]),
        ((0, 1, 2), (7,), [dimension(0, 1), dimension(1, 0, [0, 3], [2, 0, 1]), dimension(0, 2)]),
        ((0, 1), None, [dimension(0, 1)] * 40),
    ]
]

SIGNATURES: list[Fault] = [
    (strings, "signature_defs[0]", {"subgraph_index": 2}, GraphError, "signature_defs[0]"),
    (strings, "signature_defs[0]", {"signature_key": ""}, GraphError, "signature_defs[0]"),
    (strings, "signature_defs[0]", {"signature_key": None}, GraphError, "signature_defs[0]"),
    (strings, "signature_defs[1]", {"signature_key": "encode"}, GraphError, "signature_defs[1]"),
    (strings, "signature_defs[0].inputs[0]", {"tensor_index": 99}, GraphError, "signature_defs[0].inputs[0]"),
    (strings, "signature_defs[0].inputs[0]", {"tensor_index": 1}, GraphError, "signature_defs[0].inputs"),
    (strings, "signature_defs[0].outputs[0]", {"tensor_index": 2**32 - 1}, GraphError, "signature_defs[0].outputs[0]"),
    (strings, "signature_defs[0].outputs[1]", {"name": "upper"}, GraphError, "signature_defs[0].outputs[1]"),
    (strings, "signature_defs[0].outputs[0]", {"name": ""}, GraphError, "signature_defs[0].outputs[0]"),
    (strings, "metadata[0]", {"buffer": 1000}, ModelError, "metadata[0].buffer"),
]


@pytest.mark.parametrize(
    ("make", "path", "change", "error", "where"),
    [*OPERANDS, *CALLS, *TENSOR, *QUANTISATION, *SPARSITY, *SIGNATURES],
)
def test_faults(
    make: Callable[[], Model], path: str, change: dict[str, Any], error: type[TfliteError], where: str
) -> None:
    found = refusal(edited(make(), lambda root: part(root, path).update(change)))
    assert isinstance(found, error)
    assert found.where.startswith(where)


def test_samples_are_what_the_faults_take_them_for() -> None:
    graph = convolution().graphs[0]
    assert [node.name for node in graph.nodes] == ["CONV_2D", "RESHAPE", "REDUCE_MAX", "DENSIFY"]
    assert graph.tensors[6].type.name == "INT4"
    assert graph.tensors[8].name == "scales"
    assert [node.name for node in control_flow().graphs[0].nodes][4] == "IF"


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
        (np.int32([6, *[INT_MIN] * 7]).tobytes(), "not in order or out of bounds"),
    ],
)
def test_string_layout(raw: bytes, says: str | None) -> None:
    buffer = 1
    error = refusal(edited(strings(), lambda root: part(root, f"buffers[{buffer}]").update(data=raw)))
    assert type(error) is GraphError
    assert (says or "lacks data") in str(error)


@pytest.mark.parametrize(("length", "error"), [(30, None), (40, LimitError), (4000, LimitError), (10_000, LimitError)])
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


def test_mutual_recursion() -> None:
    graphs = []
    for other in (1, 0):
        b = GraphBuilder()
        b.op("CALL_ONCE", [], [], init_subgraph_index=other)
        graphs.append(b.graph([]))
    error = refusal(write_model(model(*graphs)))
    assert type(error) is GraphError
    assert error.where == "subgraphs[0]"


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


@pytest.mark.parametrize(
    ("offset", "size", "says"),
    [
        (2**32, 4, "past the end"),
        (2**64 - 4, 8, "past the end"),
        (8, 2**64 - 1, "past the end"),
        (2**64 - 1, 2**64 - 1, "past the end"),
        (8, 4, "inside the flatbuffer"),
    ],
)
def test_data_outside_the_flatbuffer(offset: int, size: int, says: str) -> None:
    change = {"data": None, "offset": offset, "size": size}
    error = refusal(edited(convolution(), lambda root: part(root, "buffers[1]").update(change)))
    assert type(error) is ModelError
    assert says in str(error)
    assert error.where == "buffers[1].offset"


def test_data_both_inside_and_outside() -> None:
    data = edited(convolution(), lambda root: part(root, "buffers[1]").update(offset=4096, size=4))
    assert "both inside and outside" in str(refusal(data + bytes(8192)))


@pytest.mark.parametrize(("offset", "size"), [(0, 8), (1, 1), (4096, 0)])
def test_offsets_that_mean_nothing(offset: int, size: int) -> None:
    data = edited(convolution(), lambda root: part(root, "buffers[0]").update(offset=offset, size=size))
    assert load_model(data).graphs


def test_buffers_that_overlap() -> None:
    tail = 4096
    outside = [{"data": None, "offset": tail, "size": 108}, {"data": None, "offset": tail + 104, "size": 16}]

    def edit(root: Record) -> None:
        for index, change in enumerate(outside, 1):
            part(root, f"buffers[{index}]").update(change)

    data = edited(convolution(), edit)
    assert "buffers overlap" in str(refusal(data.ljust(8192, b"\0")))


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

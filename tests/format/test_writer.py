"""What files of ours look like, and that they hold what they were made from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.build import F32, GraphBuilder, model
from tests.format.samples import SAMPLES, control_flow, convolution, difference, strings
from tflite_cupy.interpreter.errors import GraphError
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.format.options import complete, defaults
from tflite_cupy.interpreter.format.schema import OPERATORS, TABLES, UNIONS, Kind
from tflite_cupy.interpreter.format.verify import verify
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import Model, Quantization
from tflite_cupy.interpreter.limits import Limits


def columns(data: bytes) -> Any:
    return verify(np.frombuffer(data, np.uint8), Limits())


def with_defaults(made: Model) -> Model:
    """The model as a file holds it: all options written out."""
    tables = {operator.name: operator.options for operator in OPERATORS if operator.options}
    graphs = []
    for graph in made.graphs:
        nodes = tuple(
            replace(node, attributes=complete(tables[node.name], node.attributes, "")) if node.name in tables else node
            for node in graph.nodes
        )
        graphs.append(replace(graph, nodes=nodes))
    return replace(made, graphs=tuple(graphs))


@pytest.mark.parametrize("inline_limit", [2**31, 0])
@pytest.mark.parametrize("name", SAMPLES)
def test_round_trip(name: str, inline_limit: int) -> None:
    made = SAMPLES[name]()
    data = write_model(made, inline_limit=inline_limit)
    assert difference(load_model(data), with_defaults(made)) is None
    assert write_model(load_model(data), inline_limit=inline_limit) == data


@pytest.mark.parametrize("name", SAMPLES)
def test_the_same_model_gives_the_same_bytes(name: str) -> None:
    SAMPLES[name].cache_clear()  # type: ignore[attr-defined]
    first = write_model(SAMPLES[name]())
    SAMPLES[name].cache_clear()  # type: ignore[attr-defined]
    assert write_model(SAMPLES[name]()) == first


@pytest.mark.parametrize("inline_limit", [2**31, 0])
def test_constants_are_aligned(inline_limit: int) -> None:
    found = columns(write_model(convolution(), inline_limit=inline_limit))
    rows = found.rows["Buffer"]
    inside = rows["data"][rows["data"] > 0] + 4
    outside = rows["offset"][rows["offset"] > 0]
    assert (len(inside) > 2) == (inline_limit > 0)
    assert (len(outside) > 2) == (inline_limit == 0)
    assert not (inside % 16).any()
    assert not (outside % 16).any()


def test_data_outside_lies_behind_everything_else() -> None:
    data = write_model(strings(), inline_limit=0)
    found = columns(data)
    offsets = found.rows["Buffer"]["offset"]
    assert offsets[offsets > 0].min() >= found.end
    assert found.rows["Operator"]["large_custom_options_offset"].max() >= found.end
    assert not found.rows["Operator"]["custom_options"].any()


def test_equal_constants_are_stored_once() -> None:
    b = GraphBuilder()
    x = b.input(F32, [4], "x")
    same = [b.constant(np.float32([1, 2, 3, 4])) for _ in range(5)]
    other = b.constant(np.float32([1, 2, 3, 5]))
    for constant in [*same, other]:
        x = b.add("ADD", [x, constant])
    found = columns(write_model(model(b.graph([x]))))
    assert len(found.rows["Buffer"]) == 3  # the empty one, and two
    assert found.rows["Buffer"]["data"][0] == 0


@pytest.mark.parametrize("inline_limit", [2**31, 0])
def test_constants_that_lie_scattered_in_memory(inline_limit: int) -> None:
    b = GraphBuilder()
    whole = np.arange(700 * 500, dtype=np.float32).reshape(700, 500)
    values = [whole.T, np.ascontiguousarray(whole.T), whole[::7], whole[:, :1]]
    for array in values:
        b.constant(array)
    data = write_model(model(b.graph([])), inline_limit=inline_limit)
    assert len(columns(data).rows["Buffer"]) == 4  # the empty one, and two of the four are equal
    for tensor, expected in zip(load_model(data).graphs[0].tensors, values, strict=True):
        assert tensor.data is not None
        np.testing.assert_array_equal(tensor.data, expected)


def test_operator_codes_are_unique_and_readable_by_old_readers() -> None:
    found = columns(write_model(control_flow()))
    rows = found.rows["OperatorCode"]
    keys = list(zip(rows["builtin_code"].tolist(), rows["version"].tolist(), strict=True))
    assert len(keys) == len(set(keys))
    assert rows["deprecated_builtin_code"].tolist() == [min(code, 127) for code, _ in keys]
    assert max(code for code, _ in keys) > 127


def test_versions_have_codes_of_their_own() -> None:
    b = GraphBuilder()
    x = b.input(F32, [4], "x")
    graph = b.graph([b.add("ABS", [b.add("ABS", [x])])])
    nodes = tuple(replace(node, version=index + 1) for index, node in enumerate(graph.nodes))
    loaded = load_model(write_model(model(replace(graph, nodes=nodes))))
    assert [node.version for node in loaded.graphs[0].nodes] == [1, 2]


@pytest.mark.parametrize("operator", [operator for operator in OPERATORS if operator.options], ids=lambda op: op.name)
def test_options_of_every_operator(operator: Any) -> None:
    """Each field survives with a value that is not its default, in the union that the schema asks for."""
    values: dict[str, Any] = {}
    for number, field in enumerate(TABLES[operator.options].fields, 1):
        if "subgraph" in field.name:
            values[field.name] = (1, 1) if field.kind is Kind.SCALARS else 1
        elif field.kind is Kind.SCALAR:
            values[field.name] = not field.default if field.type == "bool" else type(field.default)(number)
        elif field.kind is Kind.SCALARS:
            values[field.name] = b"\1\2" if field.type == "ubyte" else tuple(np.array([1, 0], field.dtype).tolist())
        else:
            values[field.name] = f"text {number}"
    b = GraphBuilder()
    x = b.input(F32, [4], "x")
    graph = b.graph([b.add(operator.name, [x])])
    graph = replace(graph, nodes=(replace(graph.nodes[0], attributes=values),))
    data = write_model(model(graph, GraphBuilder("other").graph([])))
    assert dict(load_model(data).graphs[0].nodes[0].attributes) == values
    row = columns(data).rows["Operator"]
    tags = {1: row["builtin_options_type"][0], 2: row["builtin_options_2_type"][0]}
    assert tags[operator.union] == operator.tag
    assert tags[3 - operator.union] == 0


def test_defaults_are_the_schema_s() -> None:
    assert defaults("SoftmaxOptions") == {"beta": 0.0}
    assert defaults("UniqueOptions") == {"idx_out_type": 2}
    assert defaults("FullyConnectedOptions")["quant_spec"] == b""
    assert "" in UNIONS["BuiltinOptions"]


@pytest.mark.parametrize(
    ("name", "attributes", "says"),
    [
        ("SOFTMAX", {"alpha": 1.0}, "SoftmaxOptions has no field alpha; it has beta."),
        ("ABS", {"alpha": 1.0}, "AbsOptions has no field alpha; it has none."),
        ("CONV_2D", {"stride_w": 1.5}, "can't hold 1.5"),
        ("CONV_2D", {"stride_w": 2**31}, "can't hold 2147483648"),
        ("CONV_2D", {"padding": 200}, "can't hold 200"),
        ("SOFTMAX", {"beta": 1e300}, "can't hold 1e+300"),
        ("SOFTMAX", {"beta": "1"}, "can't hold '1'"),
        ("RESHAPE", {"new_shape": (2**40,)}, "can't hold"),
        ("VAR_HANDLE", {"shared_name": b"v"}, "can't hold b'v'"),
        ("NO_SUCH_OPERATOR", {}, "the schema has no operator NO_SUCH_OPERATOR."),
        ("UNKNOWN_OPERATOR_3", {}, "the schema has no operator UNKNOWN_OPERATOR_3."),
    ],
)
def test_what_the_schema_can_t_hold(name: str, attributes: dict[str, Any], says: str) -> None:
    b = GraphBuilder()
    x = b.input(F32, [4], "x")
    graph = b.graph([b.add(name, [x], **attributes)])
    with pytest.raises(GraphError) as caught:
        write_model(model(graph))
    assert says in str(caught.value)
    assert caught.value.where.startswith("subgraphs[0].operators[0]")


def test_operators_beyond_the_schema() -> None:
    b = GraphBuilder()
    x = b.input(F32, [4], "x")
    y = b.add("UNKNOWN_OPERATOR_210", [x])
    assert load_model(write_model(model(b.graph([y])))).graphs[0].nodes[0].name == "UNKNOWN_OPERATOR_210"


def test_scales_of_blocks_are_added_where_they_are_not_tensors() -> None:
    b = GraphBuilder()
    b.constant(np.zeros((2, 64)), np.int8)
    graph = b.graph([0])
    scales = np.float32([0.1, 0.2, 0.3, 0.4])
    zero_points = np.int64([0, 1, 2, 3])
    tensor = replace(graph.tensors[0], quantization=Quantization(scales, zero_points, 0, 32))
    loaded = load_model(write_model(model(replace(graph, tensors=(tensor,)))))
    assert len(loaded.graphs[0].tensors) == 3
    found = loaded.graphs[0].tensors[0].quantization
    assert found is not None
    assert (found.scales.tolist(), found.zero_points.tolist(), found.block_size) == (scales.tolist(), [0, 1, 2, 3], 32)


def test_shape_signatures_are_written_only_where_a_dimension_is_unknown() -> None:
    b = GraphBuilder()
    b.input(F32, [4], "fixed")
    b.input(F32, [None, 4], "open")
    graph = b.graph([])
    fixed = replace(graph.tensors[0], shape_signature=(4,))
    data = write_model(model(replace(graph, tensors=(fixed, graph.tensors[1]))))
    given = columns(data).rows["Tensor"]["shape_signature"] > 0
    assert sorted(given.tolist()) == [False, True]
    assert load_model(data).graphs[0].tensors[1].dims == (None, 4)

"""What the interpreter knows of TensorFlow operators."""

from __future__ import annotations

import pytest

from tests.build import F32, I32, RESOURCE, STRING, GraphBuilder
from tests.delegates.partitions import flex_options, kind, node_def
from tflite_cupy.interpreter.errors import ModelError
from tflite_cupy.interpreter.graph import Graph, TensorType
from tflite_cupy.interpreter.ops.binding import bind
from tflite_cupy.interpreter.ops.checks import infer_outputs, refusal
from tflite_cupy.interpreter.ops.flex import Flex

OPERATORS = ("Flex",)


def flex_graph(op: str, ins: list[TensorType], outs: list[TensorType], options: bytes | None = None) -> Graph:
    b = GraphBuilder()
    inputs = [b.input(type, [2]) for type in ins]
    outputs = [b.tensor(type, [2]) for type in outs]
    b.op(f"Flex{op}", inputs, outputs, options=flex_options(op, node_def(op)) if options is None else options)
    return b.graph(outputs)


def flex_op(op_name: str, ins: list[TensorType], outs: list[TensorType], options: bytes | None = None) -> Flex:
    graph = flex_graph(op_name, ins, outs, options)
    op = bind(graph.nodes[0], graph)
    assert isinstance(op, Flex)
    return op


def test_node_def_is_read_without_tensorflow() -> None:
    encoded = node_def("Erf", {"T": kind(1)}, inputs=["", "^x"], device="/cpu:0")
    node = flex_op("Erf", [F32], [F32], flex_options("Erf", encoded)).node_def
    assert (node.name, node.op, node.inputs, node.device) == ("node", "Erf", ("", "^x"), "/cpu:0")
    assert node.attributes == {"T": kind(1)}


def test_nothing_is_known_of_its_results() -> None:
    op = flex_op("Erf", [F32], [F32])
    assert refusal(op, op.ins) is None
    (out,) = infer_outputs(op, op.ins)
    assert out.type is F32
    assert out.shape is None
    assert not op.pure


@pytest.mark.parametrize(
    ("op", "ins", "outs", "effects"),
    [
        ("Erf", [F32], [F32], False),
        ("StatelessRandomUniform", [I32, I32], [F32], False),
        ("RandomUniform", [I32], [F32], True),
        ("TruncatedNormal", [I32], [F32], True),
        ("HashTableV2", [], [RESOURCE], True),
        ("LookupTableFindV2", [RESOURCE, STRING, I32], [I32], True),
        ("Assert", [TensorType.BOOL], [], True),
        ("TensorListReserve", [I32, I32], [TensorType.VARIANT], False),
    ],
)
def test_effects(op: str, ins: list[TensorType], outs: list[TensorType], effects: bool) -> None:
    assert flex_op(op, ins, outs).effects is effects


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (b"", "FlexBuffer"),
        (b"\x02\x04\x01", "holds no .operator name, NodeDef."),
        (flex_options("Sin", node_def("Erf")), "'FlexErf' holds b'Sin'"),
        (flex_options("Erf", node_def("Sin")), "NodeDef of operator 'Sin'"),
        (flex_options("Sin", node_def("Sin")), "NodeDef of operator 'Sin'"),
        (flex_options("Erf", b"\xff"), "ends within a number"),
        (flex_options("Erf", b"\xff" * 11), "more than 10 bytes"),
        (flex_options("Erf", b"\x12\x7fErf"), "127 bytes"),
        (flex_options("Erf", b"\x13"), "wire type 3"),
        (flex_options("Erf", b"\x12\x02\xff\xfe"), "no UTF-8"),
        (flex_options("Erf", b"\x10\x01"), "the number 1 where"),
    ],
)
def test_malformed_options_are_an_error_of_the_model(options: bytes, says: str) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        flex_op("Erf", [F32], [F32], options)
    assert caught.value.where == "subgraphs[0].operators[0]"

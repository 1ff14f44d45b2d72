"""What tests of operators with bodies share: bodies on scalars, models of one such operator, and ways to run them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.build import GraphBuilder, model
from tests.engines import call, engine_of
from tests.fakes import DEVICE
from tests.litert import OPTIMIZED, call_reference, reference_interpreter
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import Graph, Model, TensorType
from tflite_cupy.interpreter.ops.base import Op
from tflite_cupy.interpreter.ops.binding import bind

LESS, GREATER = 5, 3  # StablehloComparisonDirection


def one_node(name: str, kind: TensorType) -> Graph:
    """A body (a, b) -> name(a, b)."""
    b = GraphBuilder(name)
    return b.graph([b.add(name, [b.input(kind), b.input(kind)])])


def second(kind: TensorType) -> Graph:
    """A body (a, b) -> b."""
    b = GraphBuilder("second")
    b.input(kind)
    return b.graph([b.input(kind)])


def looped(graph: Graph) -> Graph:
    """The same body with an operator in front of its first input that is not pointwise: a reshape to no dimensions."""
    b = GraphBuilder(graph.name)
    inputs = [b.input(graph.tensors[i].type) for i in graph.inputs]
    first = b.add("RESHAPE", [inputs[0], b.constant(np.zeros(0, np.int32))], ())
    places = {i: b.constant(t.data) for i, t in enumerate(graph.tensors) if t.data is not None}
    places.update(zip(graph.inputs, [first, *inputs[1:]], strict=True))
    for node in graph.nodes:
        outputs = [b.tensor(graph.tensors[i].type) for i in node.outputs]
        b.op(node.name, [places[i] for i in node.inputs], outputs, **node.attributes)
        places.update(zip(node.outputs, outputs, strict=True))
    return b.graph([places[i] for i in graph.outputs])


def one_op(
    name: str,
    operands: Sequence[Any],
    outputs: Sequence[tuple[TensorType, Sequence[int]]],
    body: Graph,
    *,
    declared: bool = True,
    **attributes: Any,
) -> Model:
    """A model of one operator whose body is subgraph 1, read from a file; `declared` says whether shapes are known."""
    b = GraphBuilder("main")
    arrays = [np.asarray(x) for x in operands]
    ins = [b.input(TensorType.of(x.dtype), x.shape if declared else [None] * x.ndim) for x in arrays]
    outs = b.op(name, ins, [b.tensor(kind, shape) for kind, shape in outputs], **attributes)
    return load_model(write_model(model(b.graph(outs), body)))


def linked(source: Model) -> Op:
    """The operator of a model of one, with its body."""
    graph = source.graphs[0]
    return bind(graph.nodes[0], graph, graphs=source.graphs)


def run(source: Model, operands: Sequence[Any]) -> list[np.ndarray]:
    """Results of the engine, and the same from the operator's body on a device."""
    arrays = [np.asarray(x) for x in operands]
    results = call(engine_of(source), *arrays)
    op = linked(source)
    if not op.host_only:
        on_device = op.run(DEVICE.xp, *map(DEVICE.put, arrays))
        for got, want in zip(on_device if isinstance(on_device, tuple) else (on_device,), results, strict=True):
            np.testing.assert_array_equal(got.get(), want)
    return results


def reference(source: Model, operands: Sequence[Any]) -> list[np.ndarray]:
    """Results of the reference runtime."""
    return call_reference(reference_interpreter(write_model(source), OPTIMIZED), *operands)

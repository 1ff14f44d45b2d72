"""`all_flex=True`: every operator as a TensorFlow node, held against TensorFlow.

all_flex.txt lists operators, each with the number of a drawing (`tests.delegates.registered`) that TensorFlow takes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.converter.oracle import compare, pytestmark_converter
from tests.delegates.registered import TYPES, Drawing, operators
from tflite_cupy.converter.inline import DROPPED, PASS_THROUGH
from tflite_cupy.converter.lower import RULES
from tflite_cupy.delegates.flex.policy import known_ops

pytestmark = pytestmark_converter

FOLDER = Path(__file__).parent
SEEDS = {name: int(seed) for name, seed in map(str.split, (FOLDER / "all_flex.txt").read_text().splitlines())}
KNOWN_BEFORE = PASS_THROUGH | DROPPED | {"Rank", "Shape", "Size"}
"""Operators that leave no node: they pass their operand, or the shapes tell their result."""

BATCH = 40
QUICK = 8
"""Of the batches this many run every time."""


BOX, SCORE, F4 = ((3, 4), np.float32), ((3,), np.float32), ((1, 4, 4, 2), np.float32)
BY_HAND: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "BatchToSpace": ([((4, 2, 2, 1), np.float32), [[0, 0], [0, 0]]], {"block_size": 2}),
    "BatchToSpaceND": ([((4, 2, 2, 1), np.float32), [2, 2], [[0, 0], [0, 0]]], {}),
    "Cholesky": ([np.eye(3, dtype=np.float32) * 4], {}),
    "Concat": ([0, F4, F4], {}),
    "Conv2DBackpropInput": ([[1, 4, 4, 3], ((2, 2, 3, 2), np.float32), F4],
                            {"strides": [1, 1, 1, 1], "padding": "SAME"}),
    "Conv3DBackpropInputV2": ([[1, 2, 2, 2, 3], ((1, 1, 1, 3, 2), np.float32), ((1, 2, 2, 2, 2), np.float32)],
                              {"strides": [1, 1, 1, 1, 1], "padding": "SAME"}),
    "Einsum": ([((2, 3), np.float32), ((3, 4), np.float32)], {"equation": "ab,bc->ac"}),
    "FusedBatchNormV2": ([F4, *[((2,), np.float32)] * 4], {"is_training": False}),
    "FusedBatchNormV3": ([F4, *[((2,), np.float32)] * 4], {"is_training": False}),
    "MatrixDiagV2": ([((3,), np.float32), 0, 3, 3, np.float32(0)], {}),
    "MatrixDiagV3": ([((3,), np.float32), 0, 3, 3, np.float32(0)], {}),
    "MaxPoolV2": ([F4, [1, 2, 2, 1], [1, 2, 2, 1]], {"padding": "VALID"}),
    "MirrorPad": ([((3, 3), np.float32), [[1, 1], [0, 1]]], {"mode": "REFLECT"}),
    "NonMaxSuppression": ([BOX, SCORE, 2], {}),
    "NonMaxSuppressionV2": ([BOX, SCORE, 2, np.float32(0.5)], {}),
    "NonMaxSuppressionV3": ([BOX, SCORE, 2, np.float32(0.5), np.float32(0)], {}),
    "NonMaxSuppressionV4": ([BOX, SCORE, 2, np.float32(0.5), np.float32(0)], {}),
    "NonMaxSuppressionV5": ([BOX, SCORE, 2, np.float32(0.5), np.float32(0), np.float32(0)], {}),
    "PadV2": ([((3, 3), np.float32), [[1, 1], [0, 1]], np.float32(2)], {}),
    "SpaceToBatch": ([F4, [[0, 0], [0, 0]]], {"block_size": 2}),
    "SpaceToBatchND": ([F4, [2, 2], [[0, 0], [0, 0]]], {}),
    "Split": ([1, ((2, 4), np.float32)], {"num_split": 2}),
    "SplitV": ([((2, 4), np.float32), [1, 3], 1], {"num_split": 2}),
    "TensorScatterMin": ([((4,), np.float32), [[1], [3]], ((2,), np.float32)], {}),
}  # fmt: skip
"""Operators that hardly any drawing fits: their operands (a shape and a type, or a value) and attributes."""


def by_hand(name: str) -> tuple[Any, list[np.ndarray]]:
    """A traced function that runs a node of this table, and its operands."""
    import tensorflow as tf

    operands, attributes = BY_HAND[name]
    random = np.random.default_rng(0)
    arrays = [
        np.asarray(random.random(o[0]), o[1]) if isinstance(o, tuple) else np.asarray(o, getattr(o, "dtype", np.int32))
        for o in operands
    ]
    specs = [tf.TensorSpec(a.shape, a.dtype, name=f"x{i}") for i, a in enumerate(arrays)]

    def body(*tensors: Any) -> Any:
        operator = getattr(tf.raw_ops, name)
        declared = operators()[name].input_arg
        parts = iter(tensors)
        names = ("axis" if a.name == "split_dim" else a.name for a in declared)
        lists = (bool(a.number_attr) for a in declared)
        given = {n: [next(parts), next(parts)] if two else next(parts) for n, two in zip(names, lists, strict=True)}
        result = operator(**given, **attributes)
        return {f"y{i}": output for i, output in enumerate(tf.nest.flatten(result))}

    return tf.function(body, input_signature=specs, autograph=False).get_concrete_function(), arrays


def function_of(op_def: Any, seed: int) -> tuple[Any, list[np.ndarray]]:
    """A traced function that runs one drawn node, and its operands. Raises what TensorFlow raises."""
    import tensorflow as tf

    drawing = Drawing(f"{op_def.name}/{seed}", hostile=False)
    graph, arrays = drawing.node(op_def)
    assert len(graph.nodes) == 1

    def body(*operands: Any) -> Any:
        attributes = dict(drawing.attributes)
        node = tf.compat.v1.get_default_graph().create_op(op_def.name, list(operands), [], attrs=attributes)
        return {f"y{i}": output for i, output in enumerate(node.outputs)}

    names = [f"x{i}" for i in range(len(arrays))]
    numbers = drawing.types(op_def.input_arg, drawing.attributes)
    specs = [tf.TensorSpec(a.shape, tf.as_dtype(n), name=x) for x, a, n in zip(names, arrays, numbers, strict=True)]
    return tf.function(body, input_signature=specs, autograph=False).get_concrete_function(), arrays


def batches() -> list[list[str]]:
    names = sorted({*SEEDS, *BY_HAND})
    return [names[start : start + BATCH] for start in range(0, len(names), BATCH)]


@pytest.mark.parametrize(
    "number", [pytest.param(i, marks=[] if i < QUICK else [pytest.mark.slow]) for i in range(len(batches()))]
)
def test_operators_as_tensorflow_nodes(number: int) -> None:
    import tensorflow as tf

    definitions, names = operators(), batches()[number]
    cases = {n: by_hand(n) if n in BY_HAND else function_of(definitions[n], SEEDS[n]) for n in names}
    converter = lite.TFLiteConverter.from_concrete_functions({name: case[0] for name, case in cases.items()})
    converter.all_flex = True
    interpreter = lite.Interpreter(model_content=converter.convert())
    for name, (function, arrays) in cases.items():
        report = converter.report()[name]
        assert not report.builtin, name
        assert [node.op for node in report.flex] == ([] if name in KNOWN_BEFORE else [name])
        inputs = {f"x{i}": array for i, array in enumerate(arrays)}
        got = interpreter.get_signature_runner(name)(**inputs)
        expected = function(*(tf.constant(a) for a in arrays))
        if definitions[name].is_stateful:  # random numbers
            assert {k: v.shape for k, v in got.items()} == {k: tuple(v.shape) for k, v in expected.items()}
        else:
            compare(
                got, {k: np.asarray(v.numpy(), object if v.dtype == tf.string else None) for k, v in expected.items()}
            )


def test_the_list_covers_the_operators_that_have_rules() -> None:
    assert len({*SEEDS, *BY_HAND}) >= 300
    pure, known = known_ops("pure").keys(), set(TYPES)
    definitions = operators()

    def is_plain(name: str) -> bool:
        """Whether its operands and results are of types that a file holds, and it has some of both."""
        arguments = [*definitions[name].input_arg, *definitions[name].output_arg]
        special = any((a.type and a.type not in known - {20, 21}) or a.is_ref for a in arguments)
        return bool(definitions[name].input_arg and definitions[name].output_arg) and not special

    expected = {name for name in RULES if name in pure and is_plain(name)}
    assert sorted(expected - SEEDS.keys() - BY_HAND.keys()) == []

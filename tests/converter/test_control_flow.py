"""Conditionals and loops: subgraphs, what travels through their operands and what does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.converter.oracle import (
    Case,
    check,
    compare,
    convert,
    interpreter,
    matrix,
    pytestmark_converter,
    run,
    weights,
)
from tflite_cupy.interpreter.format.model import load_model

pytestmark = pytestmark_converter


def by_number(tf: Any, n: Any, x: Any) -> Any:
    spec = tf.TensorSpec(x.shape, x.dtype)
    branches = [tf.function(f, autograph=False).get_concrete_function(spec) for f in (lambda v: v + 1, lambda v: -v)]
    return tf.raw_ops.StatelessIf(cond=n, input=[x], Tout=[x.dtype], then_branch=branches[0], else_branch=branches[1])


def growing(tf: Any, x: Any) -> Any:
    shapes = [tf.TensorShape([]), tf.TensorShape([None, 3])]
    return tf.while_loop(
        lambda i, a: i < 3, lambda i, a: (i + 1, tf.concat([a, x], 0)), [0, x], shape_invariants=shapes
    )


CASES = {
    "if": Case(lambda tf, c, x: tf.cond(c, lambda: x * 2 + weights(3), lambda: x - 1), [":bool", "?,3"]),
    "if of a number": Case(by_number, [":int32", "?,3"]),
    "if that returns constants and inputs": Case(
        lambda tf, c, x: tf.cond(c, lambda: (tf.constant(weights(3)), x), lambda: (x, x)), [":bool", "3"]
    ),
    "if within if": Case(
        lambda tf, c, x: tf.cond(c, lambda: tf.cond(x[0] > 0, lambda: x, lambda: -x), lambda: x * 3), [":bool", "3"]
    ),
    "while": Case(
        lambda tf, x: tf.while_loop(lambda i, a: i < 5, lambda i, a: (i + 1, a @ weights(3, 3) * 0.5), [0, x]), ["?,3"]
    ),
    "while with an invariant input": Case(
        lambda tf, x, y: tf.while_loop(
            lambda i, a: tf.reduce_sum(a) < y + 10, lambda i, a: (i + 1, a + abs(x) + 1), [0, x]
        ),
        ["3", ""],
    ),
    "while that grows": Case(growing, ["?,3"]),
    "while with if": Case(
        lambda tf, n, x: tf.while_loop(
            lambda i, a: i < n,
            lambda i, a: (i + 1, tf.cond(tf.equal(i % 2, 0), lambda: a + 1, lambda: a * 2)),
            [0, x],
        )[1],
        [":int32", "3"],
        values={0: 5},
    ),
    "while that never runs": Case(lambda tf, x: tf.while_loop(lambda a: False, lambda a: a + 1, [x]), ["3"]),
}


@pytest.mark.parametrize(("case", "shapes", "runtime"), matrix(CASES))
def test_rule(case: Case, shapes: str, runtime: str) -> None:
    check(case, shapes, runtime)


@pytest.mark.parametrize("condition", [True, False])
def test_either_branch_runs(condition: bool) -> None:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([], tf.bool), tf.TensorSpec([3])])
    def choose(c: Any, x: Any) -> Any:
        return tf.cond(c, lambda: x + 1, lambda: x - 1)

    x = np.float32([1, 2, 3])
    got = run(convert({"choose": choose}), "choose", {"c": np.bool_(condition), "x": x})
    compare(got, {"output_0": x + 1 if condition else x - 1})


def squares(tf: Any, n: Any, **options: Any) -> Any:
    """0, 1, 4, ... written to a TensorArray in a loop."""
    array = tf.TensorArray(tf.float32, **options)
    body = lambda i, a: (i + 1, a.write(i, tf.cast(i * i, tf.float32)))  # noqa: E731
    return tf.while_loop(lambda i, a: i < n, body, [0, array])[1].stack()


LISTS = {
    "array of known length": Case(lambda tf, n: squares(tf, n, size=4), [":int32"], values={0: 4}),
    "array of unknown length": Case(lambda tf, n: squares(tf, n, size=n), [":int32"], values={0: 3}),
    "array read back": Case(
        lambda tf, x: tf.while_loop(
            lambda i, s: i < 3, lambda i, s: (i + 1, s + tf.TensorArray(tf.float32, 3).unstack(x).read(i)), [0, x[0]]
        ),
        ["3,2"],
    ),
    "array that grows": Case(
        lambda tf, n: squares(tf, n, size=0, dynamic_size=True, element_shape=[]),
        [":int32"],
        values={0: 3},
        flex="TensorListReserve TensorListSetItem TensorListStack",
    ),
}


@pytest.mark.parametrize(("case", "shapes", "runtime"), matrix(LISTS))
def test_lists(case: Case, shapes: str, runtime: str) -> None:
    check(case, shapes, runtime)


def test_weights_of_a_loop_stay_in_its_body() -> None:
    import tensorflow as tf

    matrix = tf.Variable(weights(3, 3))

    @tf.function(input_signature=[tf.TensorSpec([2, 3])])
    def power(x: Any) -> Any:
        return tf.while_loop(lambda i, a: i < 3, lambda i, a: (i + 1, a @ matrix), [0, x])[1]

    model = load_model(convert({"power": power}, flex=False))
    loop = next(node for node in model.graphs[0].nodes if node.name == "WHILE")
    assert {model.graphs[0].tensors[i].shape for i in loop.inputs} == {(), (2, 3)}
    assert [graph.name for graph in model.graphs] == ["main", "power/while/cond", "power/while/body"]


def test_a_branch_may_write_a_variable() -> None:
    import tensorflow as tf

    count = tf.Variable(0.0, name="count")

    @tf.function(input_signature=[tf.TensorSpec([], tf.bool)])
    def visit(c: Any) -> Any:
        tf.cond(c, lambda: count.assign_add(1.0), lambda: count.assign(10.0))
        return count.read_value()

    content = convert({"visit": visit})
    for runtime in ("ours", "reference"):
        runner = interpreter(content, runtime).get_signature_runner("visit")
        seen = [float(runner(c=np.bool_(c))["output_0"]) for c in (True, True, False, True)]
        assert seen == [1.0, 2.0, 10.0, 11.0], runtime

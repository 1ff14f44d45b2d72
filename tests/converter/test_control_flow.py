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
    converted,
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
    "while that passes values on": Case(
        lambda tf, x, y: tf.while_loop(
            lambda i, *_: i < 4, lambda i, last, a, b, c, d: (i + 1, i, a * 2 + c, a, d, c), [0, 7, x, y, y + 1, x - 1]
        ),
        ["?,3", "?,3"],
    ),
    "while that swaps strings": Case(
        lambda tf, x, y: tf.while_loop(lambda i, *_: i < 3, lambda i, a, b: (i + 1, b, a), [0, x, y]),
        ["2,3:string", "2,3:string"],
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


def chosen(tf: Any, n: Any, x: Any) -> Any:
    return tf.switch_case(n, [lambda: x + 1, lambda: x * weights(3), lambda: tf.cond(n > 5, lambda: x - 9, lambda: -x)])


@pytest.mark.parametrize("number", [0, 1, 2, 7, -1])
@pytest.mark.parametrize("runtime", ["ours", pytest.param("reference", marks=pytest.mark.reference)])
def test_a_switch_runs_one_branch(number: int, runtime: str) -> None:
    check(Case(chosen, [":int32", "?,3"], values={0: number}), "dynamic", runtime)


def test_a_switch_that_writes_variables() -> None:
    import tensorflow as tf

    v = tf.Variable(1.0)

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32)])
    def step(n: Any) -> Any:
        tf.switch_case(n, [lambda: v.assign_add(1.0), lambda: v.assign(v * 10), lambda: v.assign(0.0)])
        return v.read_value()

    runner = interpreter(convert({"step": step}, flex=False)).get_signature_runner("step")
    assert [float(runner(n=np.int32(n))["output_0"]) for n in (0, 1, 0, 5, 0)] == [2, 20, 21, 0, 1]


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


def scattered(tf: Any, x: Any) -> Any:
    array = tf.TensorArray(tf.float32, 5, element_shape=[3]).scatter([4, 0, 2], x)
    return array.gather([0, 2, 4]), array.stack()


def ragged_rows(tf: Any, x: Any) -> Any:
    array = tf.TensorArray(tf.float32, 0, dynamic_size=True, infer_shape=False, element_shape=[None])
    for i in range(3):
        array = array.write(i, x[: i + 1])
    return array.concat(), array.read(1), array.size()


def nested(tf: Any, x: Any) -> Any:
    """A loop within a loop, both of which fill arrays."""

    def row(i: Any) -> Any:
        inner = tf.TensorArray(tf.float32, 3)
        return tf.while_loop(lambda j, a: j < 3, lambda j, a: (j + 1, a.write(j, x[i, j] * tf.cast(j, tf.float32))),
                             [0, inner])[1].stack()  # fmt: skip

    outer = tf.TensorArray(tf.float32, tf.shape(x)[0])
    body = lambda i, a: (i + 1, a.write(i, row(i)))  # noqa: E731
    return tf.while_loop(lambda i, a: i < tf.shape(x)[0], body, [0, outer])[1].stack()


def filtered(tf: Any, x: Any) -> Any:
    """An array that grows in some turns only."""
    array = tf.TensorArray(tf.float32, 0, dynamic_size=True, element_shape=[])

    def turn(i: Any, a: Any) -> Any:
        return i + 1, tf.cond(x[i] > 0, lambda: a.write(a.size(), x[i]), lambda: a)

    return tf.while_loop(lambda i, a: i < tf.size(x), turn, [0, array])[1].stack()


ARRAYS = {
    "scatter and gather": (scattered, ["3,3"]),
    "rows of different lengths": (ragged_rows, ["4"]),
    "loops within loops": (nested, ["?,3"]),
    "array that grows in some turns": (filtered, ["6"]),
    "map": (lambda tf, x: tf.map_fn(lambda r: tf.reduce_sum(r) * r, x), ["?,3"]),
    "map to two results": (lambda tf, x: tf.map_fn(lambda r: (r + 1, tf.cast(r[0] > 0, tf.int32)), x,
                                                   fn_output_signature=(tf.float32, tf.int32)), ["?,3"]),
    "fold": (lambda tf, x: tf.foldl(lambda a, r: a * 0.5 + r, x), ["?,3"]),
    "scan": (lambda tf, x: tf.scan(lambda a, r: a + r, x), ["?,3"]),
    "vectorized map": (lambda tf, x: tf.vectorized_map(lambda r: r / (1 + tf.reduce_max(r)), x), ["?,3"]),
    "split": (lambda tf, x: tf.TensorArray(tf.float32, 2, infer_shape=False).split(x, [1, 3]).read(1), ["4,2"]),
    "unstacked strings": (lambda tf, x: tf.TensorArray(tf.string, 3).unstack(x).read(2), ["3:string"]),
}  # fmt: skip


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("shapes", ["dynamic", "static"])
def test_arrays_give_what_tensorflow_gives(name: str, shapes: str) -> None:
    function, inputs = ARRAYS[name]
    case = converted(Case(function, inputs), shapes == "static")
    compare(run(case.content, "case", case.inputs), case.expected)


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

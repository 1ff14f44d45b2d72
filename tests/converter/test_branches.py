"""Conditionals whose condition is known when the model is converted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.converter.oracle import Case, check, compare, convert, matrix, pytestmark_converter, weights

pytestmark = pytestmark_converter


def by_shape(tf: Any, x: Any) -> Any:
    """The second dimension decides, and it is known."""
    return tf.cond(tf.shape(x)[1] > 2, lambda: tf.sin(x), lambda: tf.abs(x))


def nested(tf: Any, x: Any) -> Any:
    def inner() -> Any:
        return tf.cond(tf.constant(False), lambda: tf.exp(x), lambda: tf.reshape(x, [-1, tf.shape(x)[1]]) + 1.0)

    return tf.cond(tf.size(weights(3)) == 3, inner, lambda: tf.cos(x))


def switched(tf: Any, x: Any) -> Any:
    return tf.switch_case(tf.rank(x), [lambda: tf.sin(x), lambda: tf.cos(x), lambda: x * 2.0, lambda: x * 3.0])


def in_a_loop(tf: Any, x: Any) -> Any:
    def turn(i: Any, y: Any) -> Any:
        return i + 1, tf.cond(tf.shape(x)[1] == 3, lambda: y * 2.0, lambda: tf.exp(y))

    return tf.while_loop(lambda i, y: i < 3, turn, (0, x))[1]


def decided_at_run_time(tf: Any, x: Any) -> Any:
    return tf.cond(tf.shape(x)[0] > 2, lambda: x * 2.0, lambda: x * 3.0)


CASES = {
    "by shape": Case(by_shape, ["?,3"], "SIN"),
    "nested": Case(nested, ["?,3"], "ADD"),
    "switched": Case(switched, ["?,3"], "MUL"),
    "in a loop": Case(in_a_loop, ["?,3"], "WHILE LESS ADD*2 MUL"),
    "decided at run time": Case(decided_at_run_time, ["?,?"]),
}


@pytest.mark.parametrize(("case", "shapes", "runtime"), matrix(CASES))
def test_conditional(case: Case, shapes: str, runtime: str) -> None:
    check(case, shapes, runtime)


def test_a_frozen_variable_decides_and_effects_stay() -> None:
    import tensorflow as tf

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.training = tf.Variable(False, trainable=False)
            self.calls = tf.Variable(0)

        @tf.function(input_signature=[tf.TensorSpec([3])])
        def run(self, x: Any) -> Any:
            def count() -> Any:
                return x + tf.cast(self.calls.assign_add(1), tf.float32)

            return tf.cond(self.training, lambda: x * 100.0, count)

    module = Module()
    content = convert({"run": module.run}, flex=False)
    runner = lite.Interpreter(model_content=content).get_signature_runner("run")
    x = weights(3)
    for calls in (1, 2):
        compare(runner(x=x), {"output_0": x + np.float32(calls)})

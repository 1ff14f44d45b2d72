"""The node that is named is the one with the planted error, and no other."""

from __future__ import annotations

import numpy as np
import pytest

from tests.models import counter
from tests.verify.wrong import (
    WrongDelegate,
    WronglyChained,
    WronglyFused,
    amplifying,
    branching,
    looping,
    off_by,
    quantised,
    wrong,
)
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.runtimes import Runtime, Source, open_runtime
from tflite_cupy.verify import Divergence, compare_runtimes

SMALL = {"main": {"x": np.arange(8, dtype=np.int8)}}
"""Inputs of a quantised model, all far from where its numbers end."""


def named(found: Divergence | None) -> tuple[int, int]:
    """Subgraph and node of a divergence that is certain."""
    assert found is not None
    assert found.certain
    return found.subgraph, found.node


@pytest.mark.parametrize("node", range(6))
def test_a_node_with_an_error_of_its_own_is_named(node: int) -> None:
    comparison = compare_runtimes(amplifying(), wrong(node, off_by(1e-2)), "numpy")
    (output,) = comparison.outputs
    assert output.verdict == "FAIL"
    assert named(output.divergence) == (0, node)
    assert output.divergence is not None
    assert output.divergence.delegate == "wrong"
    assert output.divergence.operands.equal
    assert output.divergence.own == output.divergence.accumulated


def test_the_node_that_makes_a_small_error_large_is_not_named() -> None:
    comparison = compare_runtimes(amplifying(), wrong(2, off_by(2e-4)), "numpy")
    (output,) = comparison.outputs
    assert output.measure.absolute == pytest.approx(2e-2, rel=0.1)
    assert named(output.divergence) == (0, 2)


def test_of_two_wrong_nodes_the_first_is_named() -> None:
    def both(source: Source) -> Runtime:
        delegates = [WrongDelegate(1, off_by(0.1)), WrongDelegate(4, off_by(5))]
        return open_runtime("numpy", source, delegates=delegates)

    (output,) = compare_runtimes(amplifying(), both, "numpy").outputs
    assert named(output.divergence) == (0, 1)


def test_the_text_says_what_is_known() -> None:
    comparison = compare_runtimes(amplifying(), wrong(3, off_by(1e-2)), "numpy")
    text = str(comparison)
    assert "FAIL" in text.splitlines()[0]
    assert "main/y: first diverging node: SUB#3 (subgraph 0, output 't7', on wrong): its own error is " in text
    assert text.endswith("its operands in the call are equal")


@pytest.mark.parametrize("node", range(3))
def test_a_quantised_node_that_is_two_steps_off_is_named(node: int) -> None:
    (output,) = compare_runtimes(quantised(), wrong(node, off_by(2)), "numpy", inputs=SMALL).outputs
    assert output.measure.steps == 2
    assert named(output.divergence) == (0, node)
    assert "its own error is 2 steps" in str(output.divergence)


def test_single_steps_that_add_up_are_rounding() -> None:
    (output,) = compare_runtimes(quantised(gain=4), wrong(1, off_by(1)), "numpy", inputs=SMALL).outputs
    assert output.measure.steps == 4
    assert output.verdict == "rounding"
    assert output.passed
    assert output.divergence is not None
    assert not output.divergence.certain
    assert output.divergence.node == 1


def test_rounding_is_no_excuse_where_the_user_says_how_far_it_may_be_off() -> None:
    comparison = compare_runtimes(quantised(gain=4), wrong(1, off_by(1)), "numpy", inputs=SMALL, steps=3)
    assert [output.verdict for output in comparison.outputs] == ["FAIL"]
    assert compare_runtimes(quantised(gain=4), wrong(1, off_by(1)), "numpy", inputs=SMALL, steps=4).passed


@pytest.mark.parametrize("node", [1, 2, 3])
def test_a_node_in_the_body_of_a_loop_is_named(node: int) -> None:
    (output,) = compare_runtimes(looping(), wrong(node, off_by(1e-2), graph=2), "numpy").outputs
    assert named(output.divergence) == (2, node)
    assert output.divergence is not None
    assert output.divergence.within == ("turn 0 of WHILE#2",)


def test_an_error_in_a_later_turn_is_found_there() -> None:
    def early(array: np.ndarray) -> np.ndarray:
        return array + 2 if array.reshape(-1)[0] == 2 else array

    (output,) = compare_runtimes(looping(), wrong(0, early, graph=2), "numpy").outputs
    assert named(output.divergence) == (2, 0)
    assert output.divergence is not None
    assert output.divergence.within == ("turn 1 of WHILE#2",)


def test_a_wrong_condition_is_named() -> None:
    (output,) = compare_runtimes(looping(), wrong(0, np.logical_not, graph=1), "numpy").outputs
    assert named(output.divergence) == (1, 0)


@pytest.mark.parametrize(("node", "graph"), [(0, 0), (3, 0)])
def test_nodes_around_a_loop_are_named(node: int, graph: int) -> None:
    (output,) = compare_runtimes(looping(), wrong(node, off_by(1e-2), graph), "numpy").outputs
    assert named(output.divergence) == (graph, node)


@pytest.mark.parametrize(("flag", "graph"), [(True, 1), (False, 2)])
def test_a_node_in_a_branch_is_named(flag: bool, graph: int) -> None:
    given = {"main": {"flag": np.array(flag)}}
    (output,) = compare_runtimes(branching(), wrong(0, off_by(1), graph), "numpy", inputs=given).outputs
    assert named(output.divergence) == (graph, 0)
    assert output.divergence is not None
    assert output.divergence.within == ("IF#0",)


def test_a_node_that_works_on_what_the_model_remembers_is_named() -> None:
    content = write_model(counter())
    node = next(n.index for n in counter().graphs[0].nodes if n.name == "ADD")
    (output,) = compare_runtimes(content, wrong(node, off_by(1e-2)), "numpy").outputs
    assert named(output.divergence) == (0, node)


def test_nodes_that_are_wrong_together_only_are_not_taken_for_rounding() -> None:
    def fused(source: Source) -> Runtime:
        return open_runtime("numpy", source, delegates=[WronglyFused()])

    (output,) = compare_runtimes(amplifying(), fused, "numpy").outputs
    assert output.verdict == "FAIL"
    assert output.divergence is None
    assert "keeps nodes from being fused, the two agree" in output.remark


def test_a_result_that_is_nan_is_named() -> None:
    def spoil(array: np.ndarray) -> np.ndarray:
        return np.where(np.arange(array.size) == 1, np.nan, array)

    (output,) = compare_runtimes(amplifying(), wrong(4, spoil), "numpy").outputs
    assert "1 of 4 elements are NaN or infinite" in output.measure.problem
    assert named(output.divergence) == (0, 4)
    assert output.to_json()["absolute"] is None


def test_differences_that_do_not_explain_the_output_are_not_said_to_add_up() -> None:
    """Each node is off by 1e-6 when it is asked for; together they are wrong by half."""

    def fused(source: Source) -> Runtime:
        return open_runtime("numpy", source, delegates=[WrongDelegate(2, off_by(2e-6)), WronglyFused()])

    (output,) = compare_runtimes(amplifying(), fused, "numpy").outputs
    assert output.verdict == "FAIL"
    assert output.divergence is not None
    assert (output.divergence.node, output.divergence.certain, output.divergence.adds_up) == (2, False, False)
    assert "which does not explain how far the output is off. Furthest off: TANH#2" in str(output.divergence)
    assert output.remark.startswith("with every tensor kept, which keeps nodes from being fused, the two differ: ")


def test_differences_too_small_to_count_alone_add_up() -> None:
    (output,) = compare_runtimes(amplifying(), wrong(2, off_by(6e-8)), "numpy", tolerance=1e-9).outputs
    assert output.verdict == "FAIL"  # as the tolerance was given
    assert output.divergence is not None
    assert (output.divergence.node, output.divergence.certain, output.divergence.adds_up) == (2, False, True)
    assert "small differences add up. Furthest off: TANH#2" in str(output.divergence)


def test_nodes_that_agree_alone_and_are_wrong_in_the_call_are_no_rounding() -> None:
    def chained(source: Source) -> Runtime:
        return open_runtime("numpy", source, delegates=[WronglyChained()])

    (output,) = compare_runtimes(amplifying(), chained, "numpy").outputs
    assert output.verdict == "FAIL"
    assert "every node agrees on its own; the first that differs in the call: MUL#0" in str(output.divergence)

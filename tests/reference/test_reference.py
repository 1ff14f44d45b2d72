"""Every operator against the reference, with the kinds that ci/results/reference.json says it accepts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.build import F32, GraphBuilder, model
from tflite_cupy.interpreter.format.schema import OPERATORS
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.ops.base import OPS

from .drafts import Draft, build
from .oracle import RESOLVERS, Oracle
from .probe import AGREES, difference, draft_of, kinds_of, ours, verdict
from .recipes import RECIPES

REPORT = json.loads((Path(__file__).parents[2] / "ci" / "results" / "reference.json").read_text())["operators"]
AGREEMENTS = {name: REPORT[name]["agrees"] for name in sorted(REPORT) if REPORT[name]["agrees"]}
ELSEWHERE = {
    "ASSIGN_VARIABLE", "CALL", "CALL_ONCE", "HASHTABLE", "HASHTABLE_FIND", "HASHTABLE_IMPORT", "HASHTABLE_SIZE", "IF",
    "READ_VARIABLE", "SKIP_GRAM", "STABLEHLO_CASE", "STABLEHLO_COMPOSITE", "STABLEHLO_GATHER",
    "STABLEHLO_REDUCE_WINDOW", "STABLEHLO_SCATTER", "STABLEHLO_WHILE", "VAR_HANDLE", "WHILE", "DENSIFY",
}  # fmt: skip
"""Operators without a recipe, since they need state, subgraphs or special contents; tests/ops compares them."""

WITHOUT_KERNEL = {o.name for o in OPERATORS} - set(RECIPES) - ELSEWHERE - {"CUSTOM"}

Item = TypeVar("Item")


class Drawn:
    """Choices made by Hypothesis."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data
        self.rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="values"))

    def integer(self, low: int, high: int) -> int:
        return self._data.draw(st.integers(low, high))

    def pick(self, options: Sequence[Item]) -> Item:
        return options[self._data.draw(st.integers(0, len(options) - 1))]


@pytest.fixture(scope="module")
def oracles() -> Iterator[list[Oracle]]:
    with Oracle(RESOLVERS[0]) as plain, Oracle(RESOLVERS[1]) as optimised:
        yield [plain, optimised]


def test_most_combinations_are_covered() -> None:
    agreed = sum(len(entry["agrees"]) for entry in REPORT.values())
    lacking = sum(len(entry["lacks"]) for entry in REPORT.values())
    assert agreed / (agreed + lacking) >= 0.98


def test_the_report_has_every_recipe() -> None:
    assert set(REPORT) == set(RECIPES)


@pytest.mark.reference
@pytest.mark.parametrize("operator", sorted(WITHOUT_KERNEL))
def test_only_operators_without_a_kernel_are_left_out(operator: str, oracles: list[Oracle]) -> None:
    b = GraphBuilder()
    content = write_model(model(b.graph(b.op(operator, [b.input(F32, [1])], [b.tensor(F32, [1])]))))
    for oracle in oracles:
        assert "Didn't find op for builtin opcode" in oracle.run(content, [np.zeros(1, np.float32)]).reason


@pytest.mark.parametrize("operator", sorted(REPORT))
def test_every_version_of_the_reference_is_taken(operator: str) -> None:
    assert OPS[operator].versions >= REPORT[operator]["newest"]


@pytest.mark.reference
@pytest.mark.parametrize("operator", AGREEMENTS)
def test_some_combinations_agree_still(operator: str, oracles: list[Oracle]) -> None:
    for name in np.random.default_rng(5).permutation(AGREEMENTS[operator])[:4]:
        assert_agrees(operator, str(name), oracles)


def assert_agrees(operator: str, name: str, oracles: list[Oracle]) -> None:
    draft = draft_of(operator)
    by_variable = kinds_of(draft, name)
    kinds = tuple(by_variable[v] for v in draft.variables)
    assert verdict(operator, REPORT[operator]["version"], kinds, oracles) == AGREES, f"{operator} {name}"


@pytest.mark.reference
@pytest.mark.parametrize("operator", AGREEMENTS)
def test_random_shapes_and_attributes(operator: str, oracles: list[Oracle]) -> None:
    compare_random(operator, oracles, examples=8)


@pytest.mark.slow
@pytest.mark.reference
@pytest.mark.parametrize("operator", AGREEMENTS)
def test_many_random_shapes_and_attributes(operator: str, oracles: list[Oracle]) -> None:
    compare_random(operator, oracles, examples=150)


def compare_random(operator: str, oracles: list[Oracle], examples: int) -> None:
    """Random shapes and attributes: where the reference runs them, we give what one of its kernels gives."""

    @settings(max_examples=examples, deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.data())
    def compare(data: st.DataObject) -> None:
        chooser = Drawn(data)
        draft = RECIPES[operator](chooser, operator)
        name = chooser.pick([n for n in AGREEMENTS[operator] if _allows(draft, n)])
        sample = build(draft, operator, REPORT[operator]["version"], kinds_of(draft, name), chooser.rng)
        answers = [answer for o in oracles if (answer := o.run(sample.model, sample.feeds)).accepted]
        if answers:
            got = ours(sample)
            differences = [difference(draft, got, answer.outputs) for answer in answers]
            assert "" in differences, f"{operator} {name}: {differences[0]}"

    compare()


def _allows(draft: Draft, name: str) -> bool:
    """Whether the operands of a draft, whose values may need a sign or a few bits, can be of these kinds."""
    domains = draft.variables
    return name not in draft.unsound and all(kind in domains[v] for v, kind in kinds_of(draft, name).items())

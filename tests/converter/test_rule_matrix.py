"""Each rule of the converter against TensorFlow, in every element type that TensorFlow itself takes.

`rows/` has at least one case for each TensorFlow operator that has a rule: "AddV2", "AddV2: of a scalar".
`rows/types.py` says in which types a case becomes builtin operators and in which it stays a Flex node.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

import tflite_cupy.converter.rules  # noqa: F401  (registers them)
from tests.converter.oracle import Case, check, converted, has_unknown, pytestmark_converter
from tests.converter.rows import activation, elementwise, image, indexing, numeric, shape
from tests.converter.rows.types import BUILTIN, FLEX
from tflite_cupy.converter.lower import RULES
from tflite_cupy.converter.tfapi import op_def

pytestmark = pytestmark_converter

ROWS: Mapping[str, Case] = {
    name: case
    for module in (activation, elementwise, image, indexing, numeric, shape)
    for name, case in module.ROWS.items()
}
ELSEWHERE = {"control": "test_control_flow.py", "state": "test_state.py"}
"""Modules of rules that have a test file of their own."""
RUNTIMES = ["ours", pytest.param("reference", marks=pytest.mark.reference)]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", ROWS)
def test_rule_gives_what_tensorflow_gives(name: str, runtime: str) -> None:
    """In the first type: the operators that the row declares, with shapes unknown and known."""
    case = ROWS[name]
    for static in (False, True) if has_unknown(case) else (False,):
        check(case, "static" if static else "dynamic", runtime, BUILTIN[name][0])


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", [name for name in ROWS if len(BUILTIN[name]) > 1])
def test_rule_takes_other_types(name: str, runtime: str) -> None:
    case = ROWS[name]
    for dtype in BUILTIN[name][1:]:
        check(case, "dynamic", runtime, dtype)


@pytest.mark.parametrize("name", FLEX)
def test_other_types_stay_with_tensorflow(name: str) -> None:
    for dtype in FLEX[name]:
        flex = converted(ROWS[name], False, dtype).report.flex
        assert flex, f"{dtype} has become builtin"
        assert all(len(node.reason) > 10 and "\n" not in node.reason for node in flex)


def test_every_rule_has_a_row() -> None:
    """But for those of groups of nodes, for which TensorFlow has no operator."""
    rules = {op for op, rule in RULES.items() if rule.__module__.rpartition(".")[2] not in ELSEWHERE and op_def(op)}
    assert rules - {name.partition(":")[0] for name in ROWS} == set()


@pytest.mark.parametrize("name", [name for name in ROWS if ":" not in name])
def test_row_holds_the_operator_that_it_is_named_after(name: str) -> None:
    case = ROWS[name]
    assert (case.traced or name) in converted(case, False, BUILTIN[name][0]).traced

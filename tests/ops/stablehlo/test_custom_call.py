"""Calls of StableHLO to functions outside the model are refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.harness import Case, check, matrix, one_op
from tflite_cupy.interpreter.ops.checks import infer_outputs

X = np.float32([1, 2])
CALL = Case(
    "STABLEHLO_CUSTOM_CALL",
    [X, X],
    {"call_target_name": "tf.Erf", "has_side_effect": False, "backend_config": "", "api_version": 1},
    refused="calls 'tf.Erf', which is not part of the model",
)
CASES = [CALL, Case("STABLEHLO_CUSTOM_CALL", [], {"call_target_name": ""}, refused="calls ''", label="nameless")]


@pytest.mark.parametrize(("case", "backend"), matrix(CASES))
def test_operator(case: Case, backend: str) -> None:
    check(case, backend)


def test_nothing_is_known_of_the_results() -> None:
    op = one_op(CALL)
    (spec,) = infer_outputs(op, op.ins)
    assert spec.shape is None

"""Pools of integers: the bits of the bodies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.delegates.gpu.checks import check, noise
from tests.ops.harness import Case, q
from tflite_cupy.interpreter.ops.base import Activation, Padding


def case(operator: str, dtype: Any, shape: tuple[int, ...], label: str, **attributes: Any) -> Case:
    zero = 0 if dtype == np.int16 else 7
    return Case(operator, [q(noise(*shape, dtype=dtype), 0.05, zero)], attributes, label=f"{np.dtype(dtype)} {label}")


SAME = {"padding": Padding.SAME, "stride_w": 2, "stride_h": 1, "filter_width": 3, "filter_height": 2}
VALID = {"padding": Padding.VALID, "stride_w": 1, "stride_h": 2, "filter_width": 2, "filter_height": 3}
GLOBAL = {"padding": Padding.VALID, "stride_w": 7, "stride_h": 6, "filter_width": 7, "filter_height": 6}
RELU6 = {"fused_activation_function": Activation.RELU6}
POOLS = [
    case(operator, dtype, shape, label, **attributes)
    for operator in ("AVERAGE_POOL_2D", "MAX_POOL_2D")
    for dtype in (np.int8, np.uint8, np.int16)
    for shape, label, attributes in (
        ((2, 6, 7, 8), "same", SAME | RELU6),
        ((1, 6, 7, 5), "valid", VALID),
        ((1, 6, 7, 12), "global", GLOBAL),
    )
]


@pytest.mark.parametrize("case", POOLS, ids=str)
def test_one_launch_gives_the_bits_of_the_body(case: Case) -> None:
    check(case, launches=1)

"""BATCH_MATMUL on quantised integers: the bits of the body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.delegates.gpu.checks import check, noise
from tests.ops.harness import Case, q


def case(
    x: Sequence[int],
    y: Sequence[int],
    label: str,
    dtypes: Any = (np.int8, np.int8),
    zeros: Any = (5, -9),
    **flags: bool,
) -> Case:
    operands = [
        q(noise(*shape, seed=seed, dtype=dtype), 0.02, zero)
        for seed, (shape, dtype, zero) in enumerate(zip((x, y), dtypes, zeros, strict=True))
    ]
    scale = 0.2 if dtypes[1] == np.int8 else 50.0
    return Case("BATCH_MATMUL", operands, flags, [q(None, scale, 0 if dtypes[0] == np.int16 else 3)], label=label)


WORDS, MIXED = (np.int16, np.int16), (np.int16, np.int8)
CASES = [
    case([2, 3, 40, 21], [2, 3, 21, 35], "plain"),
    case([2, 3, 40, 24], [2, 3, 35, 24], "second swapped", adj_y=True),
    case([24, 10], [35, 24], "both swapped", adj_x=True, adj_y=True),
    case([2, 1, 3, 10, 70], [4, 1, 70, 6], "broadcast"),
    case([2, 9, 21], [2, 21, 8], "int16", WORDS, (0, 0)),
    case([2, 9, 21], [2, 21, 8], "int16 by int8", MIXED, (0, 0)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_launch_gives_the_bits_of_the_body(case: Case) -> None:
    checked = check(case, launches=1)
    assert len(np.unique(checked.outputs[0])) > 3

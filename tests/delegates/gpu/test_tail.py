"""Chains of elementwise nodes become one launch, with the nodes that make their other operands."""

from __future__ import annotations

import numpy as np

from tests.build import F32, GraphBuilder
from tests.delegates.gpu.checks import check, noise


def test_swish_is_one_launch() -> None:
    b = GraphBuilder()
    x = b.input(F32, [3, 5])
    check(b.graph([b.add("MUL", [x, b.add("LOGISTIC", [x])])]), [noise(3, 5)], launches=1)


def test_hard_swish_of_parts_is_one_launch() -> None:
    b = GraphBuilder()
    x = b.input(F32, [4, 8])
    gate = b.add("RELU6", [b.add("ADD", [x, b.constant(np.float32(3))])])
    check(b.graph([b.add("MUL", [b.add("MUL", [x, gate]), b.constant(np.float32(1 / 6))])]), [noise(4, 8)], launches=1)


def test_gelu_of_parts_is_one_launch_wherever_its_parts_stand() -> None:
    for half_comes_first in (True, False):
        b = GraphBuilder()
        x = b.input(F32, [4, 8])
        halved = b.add("MUL", [x, b.constant(np.float32(0.5))]) if half_comes_first else None
        cube = b.add("POW", [x, b.constant(np.float32(3))])
        inner = b.add("ADD", [x, b.add("MUL", [cube, b.constant(np.float32(0.044715))])])
        curve = b.add("TANH", [b.add("MUL", [inner, b.constant(np.float32(0.7978846))])])
        if halved is None:
            halved = b.add("MUL", [x, b.constant(np.float32(0.5))])
        gelu = b.add("MUL", [halved, b.add("ADD", [curve, b.constant(np.float32(1))])])
        check(b.graph([gelu]), [noise(4, 8)], launches=1)


def test_an_operand_that_others_read_is_a_launch_of_its_own() -> None:
    b = GraphBuilder()
    x, y = b.input(F32, [4, 8]), b.input(F32, [4, 8])
    made = b.add("EXP", [y])
    total = b.add("ADD", [b.add("NEG", [x]), made])
    check(b.graph([total, made]), [noise(4, 8), noise(4, 8, seed=1)], launches=2)


def test_a_smaller_operand_is_a_launch_of_its_own() -> None:
    b = GraphBuilder()
    x, y = b.input(F32, [2, 4, 4, 8]), b.input(F32, [2, 1, 1, 8])
    scaled = b.add("MUL", [b.add("RELU", [x]), b.add("LOGISTIC", [y])])
    check(b.graph([scaled]), [noise(2, 4, 4, 8), noise(2, 1, 1, 8)], launches=2)


def test_a_long_chain_is_cut() -> None:
    b = GraphBuilder()
    x = y = b.input(F32, [4])
    for _ in range(60):
        y = b.add("ADD", [y, x])
    check(b.graph([y]), [noise(4)], launches=3)

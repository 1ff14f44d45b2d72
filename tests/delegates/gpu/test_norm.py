"""Normalisation of rows on the emulated GPU: operators of their own, and what converters write instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.build import F32, GraphBuilder
from tests.delegates.gpu.checks import check, noise
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops.base import Activation

SHAPE = (2, 5, 24)
GAIN, OFFSET = noise(24, seed=1), noise(24, seed=2)


def _mean(b: GraphBuilder, x: int, shape: tuple[int, ...] = SHAPE, name: str = "MEAN") -> int:
    return b.add(name, [x, b.constant([-1], np.int32)], (*shape[:-1], 1), keep_dims=True)


def _rsqrt(b: GraphBuilder, variance: int) -> int:
    return b.add("RSQRT", [b.add("ADD", [variance, b.constant(1e-3, np.float32)])])


def keras(b: GraphBuilder, x: int) -> int:
    mean = _mean(b, x)
    inverse = _rsqrt(b, _mean(b, b.add("SQUARED_DIFFERENCE", [x, mean])))
    factor = b.add("MUL", [inverse, b.constant(GAIN)], SHAPE)
    shift = b.add("SUB", [b.constant(OFFSET), b.add("MUL", [mean, factor], SHAPE)], SHAPE)
    return b.add("ADD", [b.add("MUL", [x, factor]), shift])


def keras_negated(b: GraphBuilder, x: int) -> int:
    mean = _mean(b, x)
    opposite = b.add("NEG", [mean])
    inverse = _rsqrt(b, _mean(b, b.add("SQUARED_DIFFERENCE", [x, mean])))
    factor = b.add("MUL", [inverse, b.constant(GAIN.reshape(1, 1, 24))], SHAPE)
    return b.add("ADD", [b.add("MUL", [x, factor]), b.add("MUL", [opposite, factor], SHAPE)])


def torch(b: GraphBuilder, x: int) -> int:
    centred = b.add("SUB", [x, _mean(b, x)])
    inverse = _rsqrt(b, _mean(b, b.add("MUL", [centred, centred])))
    scaled = b.add("MUL", [b.add("MUL", [centred, inverse]), b.constant(GAIN)])
    return b.add("ADD", [scaled, b.constant(OFFSET)])


def torch_by_sums(b: GraphBuilder, x: int) -> int:
    count = b.constant(np.float32(24))
    mean = b.add("DIV", [_mean(b, x, name="SUM"), count])
    centred = b.add("SUB", [x, mean])
    variance = b.add("DIV", [_mean(b, b.add("SQUARE", [centred]), name="SUM"), count])
    root = b.add("SQRT", [b.add("ADD", [variance, b.constant(np.float32(1e-3))])])
    return b.add("DIV", [centred, root])


def root_mean_square(b: GraphBuilder, x: int) -> int:
    inverse = _rsqrt(b, _mean(b, b.add("MUL", [x, x])))
    return b.add("MUL", [b.add("MUL", [x, inverse]), b.constant(GAIN)])


@pytest.mark.parametrize("written", [keras, keras_negated, torch, torch_by_sums, root_mean_square])
def test_as_converters_write_it(written: Callable[[GraphBuilder, int], int]) -> None:
    b = GraphBuilder()
    x = b.input(F32, SHAPE)
    check(b.graph([written(b, x)]), [noise(*SHAPE)], launches=1, rtol=1e-5, atol=1e-5, apart=False)


def test_float16() -> None:
    b = GraphBuilder()
    x = b.input(TensorType.FLOAT16, SHAPE)
    centred = b.add("SUB", [x, _mean(b, x)])
    variance = _mean(b, b.add("MUL", [centred, centred]))
    inverse = b.add("RSQRT", [b.add("ADD", [variance, b.constant(1e-3, np.float16)])])
    scaled = b.add("MUL", [b.add("MUL", [centred, inverse]), b.constant(GAIN, np.float16)])
    check(b.graph([scaled]), [noise(*SHAPE, dtype=np.float16)], launches=1, rtol=5e-3, atol=2e-3)


def test_with_reshaped_means() -> None:
    b, shape = GraphBuilder(), (1, 6, 20)
    x, column = b.input(F32, shape), b.constant([1, 6, 1], np.int32)
    mean = b.add("MEAN", [x, b.constant([0, 2], np.int32)], [6])
    square = b.add("SQUARED_DIFFERENCE", [x, b.add("RESHAPE", [mean, column], [1, 6, 1])])
    inverse = _rsqrt(b, b.add("MEAN", [square, b.constant([0, 2], np.int32)], [6]))
    shift = b.add("SUB", [b.constant(np.float32(0)), b.add("MUL", [inverse, mean])], [6])
    scaled = b.add("MUL", [x, b.add("RESHAPE", [inverse, column], [1, 6, 1])])
    out = b.add("ADD", [scaled, b.add("RESHAPE", [shift, column], [1, 6, 1])])
    check(b.graph([out]), [noise(*shape)], launches=1, rtol=1e-5, atol=1e-5)


def test_a_mean_that_others_read_stays() -> None:
    b = GraphBuilder()
    x = b.input(F32, SHAPE)
    mean = _mean(b, x)
    centred = b.add("SUB", [x, mean])
    inverse = _rsqrt(b, _mean(b, b.add("MUL", [centred, centred])))
    check(b.graph([b.add("MUL", [centred, inverse]), mean]), [noise(*SHAPE)], rtol=1e-5, atol=1e-5)


def test_two_epsilons_are_not_mixed_up() -> None:
    b = GraphBuilder()
    x = b.input(F32, SHAPE)
    square = _mean(b, b.add("MUL", [x, x]))
    first, second = (b.add("RSQRT", [b.add("ADD", [square, b.constant(np.float32(e))])]) for e in (1e-3, 1.0))
    outs = [b.add("MUL", [x, first]), b.add("MUL", [x, second])]
    check(b.graph([b.add("ADD", outs)]), [noise(*SHAPE)], rtol=1e-5, atol=1e-5, apart=False)


def test_statistics_of_other_rows_are_no_normalisation() -> None:
    b, shape = GraphBuilder(), (8, 8)
    x = b.input(F32, shape)
    mean = b.add("MEAN", [x, b.constant([1], np.int32)], [8])
    centred = b.add("SUB", [x, mean])
    variance = b.add("MEAN", [b.add("MUL", [centred, centred]), b.constant([1], np.int32)], [8])
    check(b.graph([b.add("MUL", [centred, _rsqrt(b, variance)])]), [noise(*shape)], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("depth", [24, 300, 5000])
def test_rows_of_other_lengths(depth: int) -> None:
    b = GraphBuilder()
    x = b.input(F32, [2, depth])
    centred = b.add("SUB", [x, _mean(b, x, (2, depth))])
    inverse = _rsqrt(b, _mean(b, b.add("MUL", [centred, centred]), (2, depth)))
    check(b.graph([b.add("MUL", [centred, inverse])]), [noise(2, depth)], launches=1, rtol=1e-5, atol=1e-5, apart=False)


def _unit_norm(shape: tuple[int, ...], dtype: Any = np.float32, **options: Any) -> Any:
    b = GraphBuilder()
    return b.graph([b.add("L2_NORMALIZATION", [b.input(TensorType.of(np.dtype(dtype)), shape)], **options)])


def test_unit_norm() -> None:
    x = noise(3, 5, 40)
    x[0, 0], x[0, 1, 3] = 0, np.inf
    check(_unit_norm((3, 5, 40)), [x], launches=1)
    check(_unit_norm((3, 40), fused_activation_function=Activation.RELU), [noise(3, 40)], launches=1)
    check(_unit_norm((3, 40), np.float16), [noise(3, 40, dtype=np.float16)], launches=1)

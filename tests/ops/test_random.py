"""Random operators: the reference's numbers for given seeds, and the distributions for any."""

from __future__ import annotations

from collections.abc import Callable
from math import erf, sqrt
from typing import Any

import numpy as np
import pytest

from tests.build import F32, I32, I64, GraphBuilder, model
from tests.engines import call, engine_of
from tests.litert import call_reference, reference_interpreter
from tflite_cupy.interpreter.errors import KernelError, UnsupportedError
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import Model, TensorType

OPERATORS = ("MULTINOMIAL", "RANDOM_STANDARD_NORMAL", "RANDOM_UNIFORM")
SEEDS = [(1, 2), (0, 5), (-5, -7), (2**33 + 9, 2**40 + 3)]
CALLS = 3
LOGITS = np.float32([[0.5, -np.inf, 1, 2], [np.nan, 3, -1, 3], [-90, 0, 90, 89], [0, 0, 0, np.inf], [-np.inf] * 4])


def floats(name: str, shape: tuple[int, ...], seed: int = 0, seed2: int = 0, kind: TensorType = F32) -> Model:
    b = GraphBuilder()
    drawn = b.tensor(kind, [max(n, 0) for n in shape])
    (y,) = b.op(name, [b.constant(np.int32(shape))], [drawn], seed=seed, seed2=seed2)
    return load_model(write_model(model(b.graph([y]))))


def multinomial(count: int, seed: int = 0, seed2: int = 0, kind: TensorType = I64, shape: Any = LOGITS.shape) -> Model:
    b = GraphBuilder()
    operands = [b.input(F32, shape), b.constant(np.int32(count))]
    (y,) = b.op("MULTINOMIAL", operands, [b.tensor(kind, (shape[0], max(count, 0)))], seed=seed, seed2=seed2)
    return load_model(write_model(model(b.graph([y]))))


def reference(source: Model, *operands: np.ndarray) -> list[np.ndarray]:
    """Outputs of a few calls of one interpreter."""
    interpreter = reference_interpreter(write_model(source))
    return [call_reference(interpreter, *operands)[0] for _ in range(CALLS)]


def calls(source: Model, *operands: np.ndarray) -> list[np.ndarray]:
    """The same of ours."""
    engine = engine_of(source)
    return [call(engine, *operands)[0] for _ in range(CALLS)]


@pytest.mark.reference
@pytest.mark.parametrize(("seed", "seed2"), SEEDS)
@pytest.mark.parametrize("shape", [(5, 33), (4,), (3, 3)])
def test_uniform_as_the_reference(shape: tuple[int, ...], seed: int, seed2: int) -> None:
    source = floats("RANDOM_UNIFORM", shape, seed, seed2)
    for got, want in zip(calls(source), reference(source), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.reference
@pytest.mark.parametrize(("seed", "seed2"), SEEDS)
@pytest.mark.parametrize("shape", [(5, 33), (4,), (3, 3)])
def test_normal_as_the_reference(shape: tuple[int, ...], seed: int, seed2: int) -> None:
    source = floats("RANDOM_STANDARD_NORMAL", shape, seed, seed2)
    for got, want in zip(calls(source), reference(source), strict=True):
        np.testing.assert_array_max_ulp(got, want, 2)


@pytest.mark.reference
@pytest.mark.parametrize(("seed", "seed2"), SEEDS)
@pytest.mark.parametrize(("count", "kind"), [(7, I64), (50, I32), (1, I64)])
def test_multinomial_as_the_reference(count: int, kind: TensorType, seed: int, seed2: int) -> None:
    source = multinomial(count, seed, seed2, kind)
    for got, want in zip(calls(source, LOGITS), reference(source, LOGITS), strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("source", [floats("RANDOM_UNIFORM", (9,), 3), floats("RANDOM_STANDARD_NORMAL", (9,), 3),
                                    multinomial(30, 3)], ids=OPERATORS[::-1])  # fmt: skip
def test_seeds_make_calls_repeatable(source: Model) -> None:
    operands = [LOGITS] if source.graphs[0].inputs else []
    first, again = calls(source, *operands), calls(source, *operands)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], first[1])


@pytest.mark.parametrize("name", ["RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL"])
def test_without_seeds_interpreters_differ(name: str) -> None:
    source = floats(name, (9,))
    assert not np.array_equal(calls(source)[0], calls(source)[0])


def test_nodes_with_equal_seeds_draw_alike() -> None:
    b = GraphBuilder()
    shape = b.input(I32, [1])
    drawn = [b.op("RANDOM_UNIFORM", [shape], [b.tensor(F32, [None])], seed=4)[0] for _ in range(2)]
    engine = engine_of(model(b.graph(drawn)))
    for count in (5, 3, 0):  # shapes that are not known before the call
        first, second = call(engine, np.int32([count]))
        assert first.shape == (count,)
        np.testing.assert_array_equal(first, second)


def distance(sample: np.ndarray, distribution: Callable[[float], float]) -> float:
    """Kolmogorov and Smirnov's: between a sample and a distribution, times the root of its size."""
    x = np.sort(sample.ravel())
    expected = np.array([distribution(v) for v in x.tolist()])
    steps = np.arange(x.size + 1) / x.size
    return float(max(np.max(steps[1:] - expected), np.max(expected - steps[:-1])) * sqrt(x.size))


@pytest.mark.parametrize(
    ("name", "mean", "variance", "distribution"),
    [("RANDOM_UNIFORM", 0.5, 1 / 12, lambda v: v),
     ("RANDOM_STANDARD_NORMAL", 0, 1, lambda v: (1 + erf(v / sqrt(2))) / 2)],
)  # fmt: skip
def test_distributions(name: str, mean: float, variance: float, distribution: Callable[[float], float]) -> None:
    sample = calls(floats(name, (100, 200), 11, 12))[1].astype(np.float64)
    count = sample.size
    assert abs(sample.mean() - mean) < 4 * sqrt(variance / count)
    assert abs(sample.var() - variance) < 4 * variance * sqrt(2 / count)
    assert distance(sample, distribution) < 1.95  # exceeded by one sample in a thousand
    assert abs(np.corrcoef(sample.ravel()[:-1], sample.ravel()[1:])[0, 1]) < 4 / sqrt(count)


def test_multinomial_frequencies() -> None:
    logits = np.log(np.float32([[0.1, 0.2, 0.3, 0.4], [5, 1, 1, 3]]))
    drawn = calls(multinomial(20000, 8, 9, shape=(2, 4)), logits)[0]
    for row, weights in zip(drawn, np.exp(logits.astype(np.float64)), strict=True):
        expected = weights / weights.sum() * row.size
        chi_square = np.sum((np.bincount(row, minlength=4) - expected) ** 2 / expected)
        assert chi_square < 16.27  # of 3 degrees of freedom: exceeded by one sample in a thousand


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(KernelError, match=r"-1 as dimension 0"):
        call(engine_of(floats("RANDOM_UNIFORM", (-1,))))
    with pytest.raises(KernelError, match="num_samples"):
        call(engine_of(multinomial(-1)), LOGITS)
    with pytest.raises(KernelError, match="at least one class"):
        call(engine_of(multinomial(1, shape=(2, 0))), LOGITS[:2, :0])
    with pytest.raises(UnsupportedError, match="gives float32, not int32"):
        call(engine_of(floats("RANDOM_UNIFORM", (1,), kind=I32)))
    with pytest.raises(UnsupportedError, match="gives int32 or int64, not float32"):
        call(engine_of(multinomial(1, kind=F32)), LOGITS)


def test_no_samples() -> None:
    assert call(engine_of(multinomial(0)), LOGITS)[0].shape == (5, 0)
    assert call(engine_of(floats("RANDOM_STANDARD_NORMAL", (0, 3))))[0].shape == (0, 3)

"""Converted functions held against TensorFlow, on our interpreter and, if builtin only, on ai_edge_litert.

A test module lists functions as data and runs them all:

    CASES = {
        "conv": Case(lambda tf, x: tf.nn.relu(tf.nn.conv2d(x, weights(3, 3, 4, 8), 1, "SAME")), ["?,9,8,4"], "CONV_2D"),
        "einsum": Case(lambda tf, x: tf.einsum("aab->b", x), ["3,3,4"], flex="Einsum"),
    }

    @pytest.mark.parametrize(("case", "shapes", "runtime"), matrix(CASES))
    def test_rule(case: Case, shapes: str, runtime: str) -> None:
        check(case, shapes, runtime)

Inputs are written as "dims" or "dims:dtype"; "?" is an unknown dimension, "*" an unknown rank. Each case runs with the
unknown dimensions unknown ("dynamic") and, if it has any, with all of them known ("static").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest

import tflite_cupy as lite

BOTH = (lite.OpsSet.TFLITE_BUILTINS, lite.OpsSet.SELECT_TF_OPS)
UNKNOWN = 2
"""What an unknown dimension is when the case runs."""
TOLERANCE = {"float16": 4e-3, "bfloat16": 3e-2}
"""Least tolerance by element type."""

pytestmark_converter = [pytest.mark.flex]


@dataclass(frozen=True, eq=False)
class Case:
    """A function of TensorFlow tensors: `function(tf, *inputs)`, its inputs, the operators that must come out."""

    function: Callable[..., Any]
    inputs: Sequence[str]
    ops: str = ""  # builtin operators, "ADD MUL*2"; not checked if empty
    flex: str = ""  # TensorFlow operators that must be Flex nodes
    tolerance: float = 1e-5
    values: Mapping[int, Any] = field(default_factory=dict)  # inputs that must have these values
    runs: bool = True  # whether TensorFlow gives a result that can be compared
    traced: str = ""  # the TensorFlow operator in the graph, where the case is called otherwise


def raw(operator: str, arguments: str, **attributes: Any) -> Callable[..., Any]:
    """A single TensorFlow operator as a function of those of its arguments that are named."""

    def call(tf: Any, *inputs: Any) -> Any:
        return getattr(tf.raw_ops, operator)(**dict(zip(arguments.split(), inputs, strict=True)), **attributes)

    return call


def matrix(cases: Mapping[str, Case]) -> list[Any]:
    """(case, shapes, runtime) for each case: shapes dynamic and static, on our interpreter and on the reference."""
    return [
        pytest.param(case, shapes, runtime, id=f"{name}-{shapes}-{runtime}",
                     marks=[pytest.mark.reference] if runtime == "reference" else [])
        for name, case in cases.items()
        for shapes in ("dynamic", "static")
        for runtime in ("ours", "reference")
        if (shapes == "dynamic" or has_unknown(case)) and (runtime == "ours" or not case.flex)
    ]  # fmt: skip


def has_unknown(case: Case) -> bool:
    """Whether an input of a case has an unknown dimension."""
    return "?" in "".join(case.inputs)


def check(case: Case, shapes: str, runtime: str, dtype: str = "") -> None:
    """Convert a case, hold its operators against what it declares and its results against TensorFlow's.

    `dtype`: that of the inputs which have none of their own, if it is not float32, for which operators are declared.
    """
    made = converted(case, shapes == "static", dtype or "float32")
    assert Counter(node.op for node in made.report.flex) == _count(case.flex), str(made.report)
    if case.ops and dtype in ("", "float32"):
        assert Counter(made.report.builtin) == _count(case.ops), str(made.report)
    if case.runs:
        tolerance = max(case.tolerance, TOLERANCE.get(dtype, 0))
        compare(run(made.content, "case", made.inputs, runtime), made.expected, tolerance)


def run(content: bytes, key: str, inputs: Mapping[str, Any], runtime: str = "ours") -> dict[str, Any]:
    """Outputs of one signature on a fresh interpreter, ours or the reference."""
    results: dict[str, Any] = interpreter(content, runtime).get_signature_runner(key)(**inputs)
    return results


def interpreter(content: bytes, runtime: str = "ours") -> Any:
    """A fresh interpreter on a file."""
    if runtime == "ours":
        return lite.Interpreter(model_content=content)
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(model_content=content)


def compare(got: Mapping[str, Any], expected: Mapping[str, Any], tolerance: float = 1e-5) -> None:
    """Same names, dtypes, shapes and, for floats within `tolerance` of the largest element, the same values."""
    assert got.keys() == expected.keys()
    for name, want in expected.items():
        have = np.asarray(got[name])
        assert have.shape == want.shape, name
        if want.dtype.kind in "fcV":
            assert have.dtype == want.dtype, name
            have, want = (a.astype(np.float32) if a.dtype.kind == "V" else a for a in (have, want))
            largest = np.max(np.abs(want), initial=0, where=np.isfinite(want))
            limit = tolerance * max(1.0, float(largest))
            np.testing.assert_allclose(have, want, rtol=0, atol=limit, err_msg=name)
        else:
            assert want.dtype == object or have.dtype == want.dtype, name
            np.testing.assert_array_equal(have, want, err_msg=name)


def weights(*shape: int, seed: int = 1) -> np.ndarray:
    """Normally distributed float32 constants."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def convert(functions: Any, *, flex: bool = True) -> bytes:
    """The file of a dict of functions, Flex nodes allowed."""
    converter = lite.TFLiteConverter.from_concrete_functions(functions)
    if flex:
        converter.target_spec.supported_ops = BOTH
    return converter.convert()


def expected_outputs(result: Any) -> dict[str, np.ndarray]:
    """What a call of a TensorFlow function returned, by output name."""
    import tensorflow as tf

    if not isinstance(result, Mapping):
        result = {f"output_{i}": item for i, item in enumerate(tf.nest.flatten(result))}
    return {name: np.asarray(value) for name, value in result.items()}


class Converted(NamedTuple):
    """A case as a file, with what TensorFlow makes of some inputs."""

    content: bytes
    report: Any  # of the one signature, `case`
    inputs: dict[str, np.ndarray]
    expected: dict[str, np.ndarray]
    traced: frozenset[str]  # TensorFlow operators in the graph


@cache
def converted(case: Case, static: bool, dtype: str = "float32") -> Converted:
    """A case converted; `dtype` is that of inputs which have none of their own. Raises what TensorFlow raises."""
    import tensorflow as tf

    specs = [_spec(tf, text, f"x{i}", static, dtype) for i, text in enumerate(case.inputs)]
    function = tf.function(lambda *xs: _plain(case.function(tf, *xs)), input_signature=specs, autograph=False)
    concrete = function.get_concrete_function()
    with np.errstate(over="ignore"):  # great numbers are infinite in narrow types
        given = {i: np.asarray(v).astype(specs[i].dtype.as_numpy_dtype) for i, v in case.values.items()}
    arrays = [given.get(i, _sample(spec, i)) for i, spec in enumerate(specs)]
    inputs = dict(zip((f"x{i}" for i in range(len(specs))), arrays, strict=True))
    tensors = [tf.constant(a, s.dtype) for a, s in zip(arrays, specs, strict=True)]
    expected = expected_outputs(concrete(*tensors)) if case.runs else {}
    converter = lite.TFLiteConverter.from_concrete_functions({"case": concrete})
    converter.target_spec.supported_ops = BOTH
    content = converter.convert()
    traced = frozenset(operation.type for operation in concrete.graph.get_operations())
    return Converted(content, converter.report().signatures[0], inputs, expected, traced)


def _plain(result: Any) -> Any:
    """Named tuples, which operators of several results give, as tuples."""
    return tuple(map(_plain, result)) if isinstance(result, tuple | Generator) else result


def _spec(tf: Any, text: str, name: str, static: bool, default: str) -> Any:
    dims, _, dtype = text.partition(":")
    sizes = [(UNKNOWN if static else None) if n == "?" else int(n) for n in dims.split(",") if n and n != "*"]
    return tf.TensorSpec(None if dims == "*" else sizes, dtype or default, name=name)


def _sample(spec: Any, seed: int) -> np.ndarray:
    """Values that suit most operators: small numbers, words for strings."""
    random = np.random.default_rng(seed)
    shape = (2, 3) if spec.shape.rank is None else tuple(UNKNOWN if n is None else n for n in spec.shape)
    kind = np.dtype(spec.dtype.as_numpy_dtype).kind
    if kind == "O":
        return np.array([b"word %d" % n for n in range(int(np.prod(shape)))], object).reshape(shape)
    if kind == "b":
        return random.integers(0, 2, shape).astype(bool)
    if kind in "iu":
        return random.integers(0, 4, shape).astype(spec.dtype.as_numpy_dtype)
    if kind == "c":
        return np.asarray(random.normal(size=(*shape, 2)) @ [1, 1j], spec.dtype.as_numpy_dtype)
    return np.asarray(random.normal(size=shape), spec.dtype.as_numpy_dtype)


def _count(text: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for word in text.split():
        name, _, number = word.partition("*")
        counts[name] += int(number or 1)
    return counts

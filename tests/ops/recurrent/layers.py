"""What the tests of recurrent layers share: operands made up for them, and calls in a row against the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from tests.engines import call, engine_of
from tests.litert import OPTIMIZED, PLAIN, call_reference, reference_interpreter
from tests.ops.harness import Case, Operand, check, compare, const, one_op_model, q, variable
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import Model, TensorType
from tflite_cupy.interpreter.ops.base import Activation

RNG = np.random.default_rng(11)
TANH = {"fused_activation_function": Activation.TANH}
ASYMMETRIC = {"asymmetric_quantize_inputs": True}
FLOAT32 = TensorType.FLOAT32
CALLS = 3
CLOSE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-6}
HYBRID = {"int8": np.int8, "uint8": np.uint8}
"""Flags that give a layer 8-bit weights."""


def reseed(*what: Any) -> None:
    """Make the numbers of a case depend on what it is alone, not on the cases before it."""
    RNG.bit_generator.state = np.random.default_rng(crc32(repr(what).encode())).bit_generator.state


def real(*shape: int) -> np.ndarray:
    """Normal numbers."""
    return RNG.standard_normal(shape).astype(np.float32)


def stored(kind: Any, *shape: int) -> np.ndarray:
    """Uniform signed integers but the least one; those of an unsigned dtype are their bytes."""
    info = np.iinfo(np.dtype(kind).newbyteorder().str.replace("u", "i"))
    return RNG.integers(-info.max, info.max + 1, shape).astype(info.dtype).view(kind)


def quantized_state(kind: Any, shape: Sequence[int], scale: float, zero_point: int = 0) -> Operand:
    """A quantised variable."""
    return replace(q(np.full(shape, zero_point, kind), scale, zero_point), variable=True)


def state(*shape: int) -> Operand:
    """A float variable."""
    return variable(np.zeros(shape, np.float32))


def hybrid_of(flags: Sequence[str]) -> Any:
    """The dtype of 8-bit weights that flags ask for; None for float ones."""
    return next((HYBRID[flag] for flag in flags if flag in HYBRID), None)


class RealParts:
    """Float operands of a layer; where `hybrid` is a dtype, weights are of it."""

    def __init__(self, hybrid: Any = None) -> None:
        self.hybrid = hybrid

    def weights(self, *shape: int) -> Operand:
        if self.hybrid is None:
            return const(real(*shape) / 2)
        return q(stored(self.hybrid, *shape), float(RNG.uniform(0.003, 0.006)), constant=True)

    def vector(self, size: int) -> Operand:
        return const(real(size) / 2)

    def peephole(self, size: int) -> Operand:
        return self.weights(size)

    norm = bias = vector

    def states(self, batch: int, outputs: int, cells: int) -> list[Operand]:
        return [state(batch, outputs), state(batch, cells)]


def each(make: Any, chosen: Sequence[bool], *shape: int) -> list[Any]:
    """An operand for each chosen gate, None for the others."""
    return [make(*shape) if is_chosen else None for is_chosen in chosen]


def gates_of(flags: Sequence[str]) -> list[bool]:
    """Which of the gates input, forget, cell and output there are."""
    return ["cifg" not in flags, True, True, True]


def lstm_weights(parts: Any, depth: int, cells: int, outputs: int, flags: Sequence[str]) -> list[Any]:
    """Operands of one LSTM from its first weights to its projection bias.

    Flags: cifg, peephole, projection, unbiased (the projection), diagonal (recurrent weights), mixed (one of them).
    """
    gates = gates_of(flags)
    peepholes = [is_there and "peephole" in flags for gate, is_there in enumerate(gates) if gate != 2]
    recurrent = each(parts.weights, gates, cells, outputs)
    if "diagonal" in flags:
        recurrent = each(parts.vector, gates, cells)
    if "mixed" in flags:
        recurrent[1] = parts.vector(cells)
    has_projection, has_bias = "projection" in flags, "projection" in flags and "unbiased" not in flags
    return [
        *each(parts.weights, gates, cells, depth),
        *recurrent,
        *each(parts.peephole, peepholes, cells),
        *each(parts.bias, gates, cells),
        *each(parts.weights, [has_projection], outputs, cells),
        *each(parts.bias, [has_bias], outputs),
    ]


def lstm_operands(parts: Any, x: Any, batch: int, flags: Sequence[str], cells: int, outputs: int) -> list[Any]:
    """The operands of a full LSTM; the flag `norm` gives it layer normalisation."""
    depth = np.shape(x if isinstance(x, np.ndarray) else x.data)[-1]
    norms = [is_there and "norm" in flags for is_there in gates_of(flags)]
    weights = lstm_weights(parts, depth, cells, outputs, flags)
    return [x, *weights, *parts.states(batch, outputs, cells), *each(parts.norm, norms, cells)]


def labelled(flags: Sequence[Any], options: Mapping[str, Any]) -> str:
    """A case's label."""
    return "-".join([*map(str, flags), *(f"{name}={value}" for name, value in options.items())])


def changed(case: Case, position: int, operand: Any, **kwargs: Any) -> Case:
    """A case with another operand."""
    return replace(case, inputs=[*case.inputs[:position], operand, *case.inputs[position + 1 :]], **kwargs)


def feeds(case: Case) -> list[list[np.ndarray]]:
    """What each call gets: variations of the case's inputs."""
    given = [o if isinstance(o, Operand) else Operand(data=np.asarray(o)) for o in case.inputs if o is not None]
    arrays = [np.asarray(o.data) for o in given if not (o.constant or o.variable)]
    return [[np.roll(x, n, axis=-1) for x in arrays] for n in range(CALLS)]


def runs_and_failures(cases: Sequence[Case]) -> list[Any]:
    """pytest parameters: the cases, of which those that run are compared with the reference."""
    return [_parameter(case, case.refused or case.raises) for case in cases]


def _parameter(case: Case, failure: str | None) -> Any:
    if failure:
        return pytest.param(case, id=f"{case}-{failure}")
    return pytest.param(case, id=str(case), marks=pytest.mark.reference)


def check_calls(case: Case) -> None:
    """Assert that a case follows the reference over several calls, or fails as it says."""
    if case.refused or case.raises:
        check(case)
    else:
        follow_reference(case)


def results(case: Case, model: Model | None = None) -> list[list[np.ndarray]]:
    """Ours for each call of one engine; `model` stands for the case's own."""
    engine = engine_of(load_model(write_model(model or one_op_model(case))))
    return [call(engine, *inputs) for inputs in feeds(case)]


def follow_reference(case: Case, model: Model | None = None) -> None:
    """Assert that our results agree with the reference's in each of several calls; `model` as in `results`."""
    content = write_model(model or one_op_model(case))
    reference = reference_interpreter(content, OPTIMIZED if case.optimized else PLAIN)
    for inputs, ours in zip(feeds(case), results(case, model), strict=True):
        for got, want in zip(ours, call_reference(reference, *inputs), strict=True):
            compare(case, got, want)

"""Runs a model on the emulated GPU and on the CPU, and compares.

    def test_softmax() -> None:
        b = GraphBuilder()
        x = b.input(F32, [4, 100])
        check(b.graph([b.add("SOFTMAX", [x], beta=1.0)]), [noise(4, 100)], launches=1)

Each model runs four times: launched one by one, captured, replayed, and with memory of its own for each tensor. Threads
take turns in another order each time, and all results must be the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import tflite_cupy as lite
from tests.build import model
from tests.emulator.device import EmulatedGpuDelegate
from tests.ops.harness import Case, Operand, one_op_model
from tflite_cupy.interpreter.graph import Graph, Model

SCHEDULES = ("greedy", "reversed", "rounds")
TOLERANCES = {"strict": 1e-5, "tf32": 1e-3, "fp16": 1e-2}


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """What a model did."""

    outputs: list[np.ndarray]
    launches: int  # in one call
    array_steps: tuple[str, ...]  # operators that had no kernel, and why


def check(
    source: Graph | Model | bytes | Case,
    feeds: Sequence[Any] = (),
    *,
    launches: int | None = None,
    array_steps: int | None = 0,
    precision: str = "strict",
    rtol: float | None = None,
    atol: float | None = None,
    apart: bool = True,
) -> Checked:
    """Assert that a model gives on the emulated GPU what it gives on the CPU, and each time the same bits.

    feeds: arrays in the order of the inputs; the model is resized to their shapes. A `Case` has its own.
    launches: how many kernels one call launches; not checked if None.
    array_steps: how many nodes have no kernel; not checked if None. No node may be left to the CPU.
    rtol, atol: of floating-point results; atol is relative to the largest finite value. By default 1e-5 (tf32: 1e-3,
        fp16: 1e-2, results in float16: at least 2e-3) and a tenth of that. Other results are equal.
    apart: also run with memory of its own for each tensor.
    """
    content, feeds = _content(source), _feeds(source) if isinstance(source, Case) else feeds
    expected = call(interpreter_of(content, feeds), feeds)
    delegate = EmulatedGpuDelegate(precision=precision)
    interpreter = interpreter_of(content, feeds, delegate)
    with interpreter.trace() as ran:
        outputs, launched = scheduled(interpreter, delegate, SCHEDULES[0], feeds)
    assert launches is None or launched == launches, f"{launched} launches, expected {launches}"
    steps = tuple(delegate.array_steps)
    assert array_steps is None or len(steps) == array_steps, f"{len(steps)} array steps: {steps}"
    elsewhere = [entry for entry in ran if entry[2] != delegate.name]
    assert not elsewhere, f"(subgraph, node, delegate) that did not run on the GPU: {elsewhere}"
    for schedule in SCHEDULES[1:]:
        check_bits(scheduled(interpreter, delegate, schedule, feeds), (outputs, launched), schedule)
    rtol = TOLERANCES[precision] if rtol is None else rtol
    for result, want in zip(outputs, expected, strict=True):
        compare(result, want, rtol, rtol / 10 if atol is None else atol)
    if apart:
        alone = EmulatedGpuDelegate(precision=precision, apart=True)
        run = scheduled(interpreter_of(content, feeds, alone), alone, "random", feeds)
        check_bits(run, (outputs, launched), "apart")
    return Checked(outputs, launched, steps)


def compare(got: np.ndarray, want: np.ndarray, rtol: float, atol: float) -> None:
    """Assert that results agree: floating point within rtol, and atol times the largest value; others exactly."""
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    if want.dtype.kind != "f":
        np.testing.assert_array_equal(got, want)
        return
    if want.dtype == np.float16:
        rtol, atol = max(rtol, 2e-3), max(atol, 2e-4)
    wide = want.astype(np.float64)
    largest = np.max(np.abs(wide), where=np.isfinite(wide), initial=0)
    np.testing.assert_allclose(got.astype(np.float64), wide, rtol=rtol, atol=atol * float(largest))


def noise(*shape: int, seed: int = 0, dtype: Any = np.float32) -> np.ndarray:
    """Normal noise; of an integer type, all its values."""
    rng, kind = np.random.default_rng(seed), np.dtype(dtype)
    if kind == np.bool_:
        return rng.integers(0, 2, shape).astype(kind)
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        return rng.integers(limits.min, limits.max, shape, kind, endpoint=True)
    return rng.normal(size=shape).astype(kind)


def _content(source: Graph | Model | bytes | Case) -> bytes:
    if isinstance(source, bytes):
        return source
    if isinstance(source, Case):
        source = one_op_model(source)
    return lite.write_model(source if isinstance(source, Model) else model(source))


def _feeds(case: Case) -> list[Any]:
    operands = [o if isinstance(o, Operand) else Operand(data=o) for o in case.inputs if o is not None]
    return [o.data for o in operands if not (o.constant or o.variable)]


def interpreter_of(content: bytes, feeds: Sequence[Any], *delegates: EmulatedGpuDelegate) -> lite.Interpreter:
    interpreter = lite.Interpreter(model_content=content, device="cpu", delegates=list(delegates))
    for detail, feed in zip(interpreter.get_input_details(), feeds, strict=True):
        if tuple(detail["shape"]) != np.shape(feed):
            interpreter.resize_tensor_input(detail["index"], np.shape(feed))
    interpreter.allocate_tensors()
    return interpreter


def call(interpreter: lite.Interpreter, feeds: Sequence[Any]) -> list[np.ndarray]:
    """Outputs of one call, after which variables are as they were at first."""
    interpreter.reset_all_variables()
    for detail, feed in zip(interpreter.get_input_details(), feeds, strict=True):
        interpreter.set_tensor(detail["index"], feed)
    with np.errstate(all="ignore"):
        interpreter.invoke()
    return [np.array(interpreter.get_tensor(detail["index"])) for detail in interpreter.get_output_details()]


def scheduled(
    interpreter: lite.Interpreter, delegate: EmulatedGpuDelegate, schedule: str, feeds: Sequence[Any]
) -> tuple[list[np.ndarray], int]:
    """Outputs and number of launches of one call."""
    delegate.device.schedule = schedule
    delegate.array_steps.clear()
    before = delegate.device.launches
    return call(interpreter, feeds), delegate.device.launches - before


def check_bits(run: tuple[list[np.ndarray], int], first: tuple[list[np.ndarray], int], what: str) -> None:
    assert run[1] == first[1], f"{what}: {run[1]} launches, {first[1]} before"
    for number, (a, b) in enumerate(zip(run[0], first[0], strict=True)):
        assert a.shape == b.shape, f"{what}: output {number} is {a.shape}, before {b.shape}"
        differs = a.tobytes() != b.tobytes()
        assert not differs, f"{what}: output {number} differs from that of the first run at {_places(a, b)}"


def _places(a: np.ndarray, b: np.ndarray) -> str:
    places = np.argwhere(~((a == b) | ((a != a) & (b != b)))) if a.dtype.kind == "f" else np.argwhere(a != b)
    return f"{len(places)} of {a.size} places, first {[tuple(map(int, p)) for p in places[:4]]}"

"""Products that cuBLASLt computes: right with all that may stand around them, and how fast beside kernels of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from networks.builder import Builder

import tflite_cupy as lite
from tflite_cupy.delegates.gpu.gemm import Problem, Stored
from tflite_cupy.delegates.gpu.kernels import library
from tflite_cupy.interpreter.graph import Model, TensorType
from tflite_cupy.interpreter.ops.base import Activation

from .clock import Clock, median
from .models import LIMITS, TURNS
from .progress import Progress
from .target import Target, inputs_of, on_host, relative_error, runner, same_bits

LAYERS = 4
LARGE = {"BERT-base, batch 64": (8192, (768, 3072)), "4096 cubed": (4096, (4096, 4096))}
SMALL = {"small": (16, (16, 32))}
"""Rows, and the two widths between which layers go to and fro."""


def run(target: Target, progress: Progress) -> None:
    if target.device.gemm_plan(Problem(64, 64, 64, Stored(64), Stored(64), Stored(64))) is None:
        progress.skip("cuBLASLt is not installed, or can't work here")
        return
    library.LEAST_WORK = 1  # in this process
    shapes = LARGE if target.is_real else SMALL
    checked = progress.missing("models", [{"model": name, "precision": p} for name in NETWORKS for p in LIMITS])
    timed = progress.missing("times", [{"shape": shape, "precision": p} for shape in shapes for p in LIMITS])
    for key in progress.while_time(checked):
        make, products = NETWORKS[key["model"]]
        with progress.attempt("models", **key, expected=products) as row:
            _checked(target, make(), key["precision"], row)
    if target.is_real:
        progress.note(relu_keeps_nan=_keeps_nan(target))
    for number, key in enumerate(progress.while_time(timed)):
        share = max(progress.left / (len(timed) - number) - 2, 0.5)
        with progress.attempt("times", **key) as row:
            _timed(target, *shapes[key["shape"]], key["precision"], share, row)
    progress.finish()


def _checked(target: Target, model: Model, precision: str, row: dict[str, Any]) -> None:
    content = lite.write_model(model)
    here, delegate = runner(on_host(content)), target.delegate(precision)
    there = runner(lite.Interpreter(model_content=content, device="cpu", delegates=[delegate]))
    inputs = inputs_of(here, 1)
    want, on_device = here(**inputs), target.put(inputs)
    results = [target.get(there(**on_device)) for _ in TURNS]
    row["error"] = relative_error(results[0], want)
    row["differing"] = [turn for turn, got in zip(TURNS, results, strict=True) if not same_bits(got, results[0])]
    row["products"] = sum(program.details["library_products"] for program in delegate.programs)
    is_right = row["error"] <= LIMITS[precision] and not row["differing"]
    row["passed"] = is_right and row["products"] == row["expected"]


def _timed(
    target: Target, rows: int, widths: tuple[int, int], precision: str, seconds: float, row: dict[str, Any]
) -> None:
    """Milliseconds and TFLOP/s of one layer."""
    content = lite.write_model(_layers(rows, widths))
    for name, has_library in (("library", True), ("ours", False)):
        milliseconds = _time(target, content, target.delegate(precision, library=has_library), seconds / 3) / LAYERS
        row[f"{name}_ms"] = round(milliseconds, 4)
        row[f"{name}_tflops"] = round(2 * rows * widths[0] * widths[1] / milliseconds / 1e9, 2)


def _time(target: Target, content: bytes, delegate: Any, seconds: float) -> float:
    """Milliseconds of a call."""
    call, clock = runner(lite.Interpreter(model_content=content, device="cpu", delegates=[delegate])), Clock(target)
    inputs = target.put(inputs_of(call, 1))
    counts = {"warm": 4, "count": 20} if target.is_real else {"warm": 2, "count": 3}
    return median(lambda _: clock.once(lambda: call(**inputs)), seconds=seconds, **counts)


def _keeps_nan(target: Target) -> bool:
    """Whether relu of NaN is NaN in the library, as it is in the reference: NVIDIA does not say."""
    call = runner(target.interpreter(lite.write_model(_relu())))
    inputs = {name: np.full_like(value, np.nan) for name, value in inputs_of(call, 1).items()}
    return bool(np.isnan(next(iter(call(**inputs).values()))).all())


def _input(build: Builder, *shape: int) -> int:
    return build.input(f"x{len(build.inputs)}", TensorType.FLOAT32, shape)


def _layers(rows: int, widths: tuple[int, int]) -> Model:
    build = Builder(0)
    x = _input(build, rows, widths[0])
    for number in range(LAYERS):
        x = build.dense(x, widths[(number + 1) % 2])
    return build.model({"y": x}, "layers")


def _gelu() -> Model:
    build = Builder(6)
    return build.model({"y": build.gelu(build.dense(_input(build, 64, 512), 96))}, "gelu by way of tanh")


def _relu() -> Model:
    build = Builder(1)
    return build.model({"y": build.dense(_input(build, 64, 128), 96, Activation.RELU)}, "bias and relu")


def _residual() -> Model:
    build = Builder(2)
    x, residual = (build.softmax(_input(build, 64, width)) for width in (128, 96))
    y = build.add(build.dense(x, 96), residual, Activation.RELU)
    y = build.softmax(build.add(y, build.dense(y, 96)))  # so that all of them are float16 where that is asked for
    return build.model({"y": y}, "a tensor that is added, before relu or at last")


def _tail() -> Model:
    build = Builder(3)
    hidden = build.unary("TANH", build.dense(_input(build, 64, 512), 96))
    return build.model({"y": hidden}, "a tail of its own")


def _pixels() -> Model:
    build = Builder(4)
    return build.model({"y": build.conv(_input(build, 2, 8, 8, 64), 96, activation=Activation.NONE)}, "1x1 convolution")


def _batches() -> Model:
    build = Builder(5)
    x, y, z = (_input(build, *shape) for shape in ((3, 64, 32), (3, 48, 32), (96, 48)))
    scores = build.product(x, y, adj_y=True)
    return build.model({"scores": scores, "mixed": build.product(scores, build.transpose(z, (1, 0)))}, "batches")


NETWORKS: Mapping[str, tuple[Callable[[], Model], int]] = {
    "relu": (_relu, 1),
    "gelu": (_gelu, 1),
    "residual": (_residual, 2),
    "tail": (_tail, 1),
    "pixels": (_pixels, 1),
    "batches": (_batches, 2),
}
"""Models, and how many of their products go to the library."""

"""`quantize`: .tflite in, quantised .tflite out."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal, TypeAlias

from .converter.quantize import IntegerOptions, QuantizationReport
from .converter.quantize.request import INT8, MODES, Request, quantized
from .converter.quantize.samples import Calibration
from .interpreter.errors import InputError
from .interpreter.format.model import load_model
from .interpreter.format.writer import write_model
from .interpreter.graph import Model, TensorType
from .interpreter_api import Interpreter

Mode: TypeAlias = Literal["dynamic", "float16", "int8"]
ElementType: TypeAlias = Literal["float32", "int8", "uint8"]

_TYPES = {"float32": TensorType.FLOAT32, "int8": TensorType.INT8, "uint8": TensorType.UINT8}


def quantize(
    model: bytes | str | os.PathLike[str] | Model,
    mode: Mode,
    calibration: Calibration | None = None,
    *,
    inputs: ElementType = "float32",
    outputs: ElementType = "float32",
    allow_float: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> bytes:
    """A smaller and often faster `.tflite` file of a float32 model: of any file, whoever made it.

        content = lite.quantize("model.tflite", "int8", {"classify": [{"image": image} for image in images]})

    mode: "dynamic": constant weights of 1,024 elements and more in int8 with zero point 0; kernels quantise their
        inputs as they go, all other tensors stay float32. Four times smaller, no data needed.
        "float16": float32 constants in float16, computed with in float32. Half the size, no data needed.
        "int8": weights and activations in int8, biases in int32. Operators without integer kernels stay float32.
    calibration: for "int8", samples for each signature with float32 tensors: {signature key: samples}. A sample is
        {input name: array} of shapes that the signature takes, or a list of arrays in the order of the subgraph's
        inputs. For a model with one signature samples alone will do, as will a function that gives them. A model
        without signatures has the key "main" and the names of its input tensors.
    inputs, outputs: element type of float32 inputs and outputs of the quantised model ("int8" mode).
    allow_float: False raises ConversionError, naming the nodes, if any would stay float32.
    progress: called as progress(done, total) after each sample; `total` is 0 where it is not known.

    The same model and data always give the same bytes. `quantize_with_report` also says which nodes stayed float32, and
    why. Raises InputError for unknown options, ModelError for what is no model, and ConversionError for data that does
    not fit or is missing for a signature.

    Sources: the quantization specification at ai.google.dev/edge/litert ("8-bit quantization specification"), Jacob et
    al. 2018 (arXiv:1712.05877); where they leave a choice, that of `tf.lite.TFLiteConverter` 2.21.
    """
    content, _ = quantize_with_report(
        model, mode, calibration, inputs=inputs, outputs=outputs, allow_float=allow_float, progress=progress
    )
    return content


def quantize_with_report(
    model: bytes | str | os.PathLike[str] | Model,
    mode: Mode,
    calibration: Calibration | None = None,
    *,
    inputs: ElementType = "float32",
    outputs: ElementType = "float32",
    allow_float: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[bytes, QuantizationReport]:
    """`quantize`, and the report of what became of each node that computes on real numbers."""
    _check(mode, inputs, outputs)
    if mode != INT8 and (calibration is not None or not inputs == outputs == "float32" or not allow_float):
        raise InputError(f'calibration, inputs, outputs and allow_float are for mode "int8", not for "{mode}"')
    source = model if isinstance(model, Model) else load_model(model)
    request = Request(mode, calibration, IntegerOptions(_TYPES[inputs], _TYPES[outputs], allow_float))
    result, report = quantized(source, request, partial(Interpreter, precision="strict"), progress)
    content = write_model(result)
    before = len(model) if isinstance(model, bytes) else len(write_model(source))
    return content, replace(report, size_before=before, size_after=len(content))


def _check(mode: str, inputs: str, outputs: str) -> None:
    if mode not in MODES:
        raise InputError(f"mode={mode!r} is unknown", hint=f"Use one of {', '.join(MODES)}.")
    for name, kind in (("inputs", inputs), ("outputs", outputs)):
        if kind not in _TYPES:
            raise InputError(f"{name}={kind!r} is unknown", hint=f"Use one of {', '.join(_TYPES)}.")

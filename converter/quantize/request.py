"""What is asked for, in the words of `tf.lite.TFLiteConverter` or our own, and doing it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ...interpreter.classic import BaseInterpreter
from ...interpreter.errors import ConversionError
from ...interpreter.graph import Model, TensorType
from .dynamic import dynamic_range
from .half import float16_constants
from .integer import IntegerOptions, full_integer
from .ranges import calibrate
from .report import QuantizationReport
from .samples import Calibration
from .unpack import unpacked

DYNAMIC, FLOAT16, INT8 = "dynamic", "float16", "int8"
MODES = (DYNAMIC, FLOAT16, INT8)

Progress = Callable[[int, int], None]
"""Called as progress(done, total) after each sample; `total` is 0 where it is not known."""


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A mode, and for "int8" data and options."""

    mode: str
    calibration: Calibration | None = None
    options: IntegerOptions = field(default_factory=IntegerOptions)


class Settings(Protocol):
    """The attributes of a converter that ask for quantisation."""

    optimizations: Any
    representative_dataset: Any
    inference_input_type: Any
    inference_output_type: Any


def quantized(
    model: Model, request: Request, interpret: Callable[..., BaseInterpreter], progress: Progress | None = None
) -> tuple[Model, QuantizationReport]:
    """The model as asked for; `interpret(model_content=...)` runs it for calibration. Raises ConversionError."""
    if request.mode == FLOAT16:
        return float16_constants(model)
    plain = unpacked(model)
    if request.mode == DYNAMIC:
        return dynamic_range(plain)
    if request.calibration is None:
        raise ConversionError(
            "full integer quantisation needs calibration data, and there is none.",
            hint='Give samples (a converter\'s `representative_dataset`); mode "dynamic" needs none.',
        )
    return full_integer(plain, calibrate(plain, request.calibration, interpret, progress), request.options)


def requested(
    settings: Settings, types: Iterable[Any], *, optimize: bool, int8: bool, allow_float: bool
) -> Request | None:
    """What a converter's settings ask for; None: nothing.

    `types` are `target_spec.supported_types`, `optimize` says whether there are `optimizations`, `int8` and
    `allow_float` whether `supported_ops` name integer operators and any others. Raises ConversionError for settings
    that contradict each other.
    """
    kinds = {_type(kind, "target_spec.supported_types") for kind in types}
    if unknown := kinds - {TensorType.FLOAT32, TensorType.FLOAT16, TensorType.INT8}:
        names = ", ".join(kind.name.lower() for kind in sorted(unknown))
        raise ConversionError(f"target_spec.supported_types holds {names}; float32, float16 and int8 are supported.")
    options = IntegerOptions(
        _outer(settings.inference_input_type, "inference_input_type"),
        _outer(settings.inference_output_type, "inference_output_type"),
        allow_float,
    )
    data = settings.representative_dataset
    integer = int8 or (optimize and data is not None and TensorType.FLOAT16 not in kinds)
    if not integer and {options.inputs, options.outputs} != {TensorType.FLOAT32}:
        raise ConversionError(
            "inference_input_type and inference_output_type must be float32 without full integer quantisation.",
            hint="Set `optimizations` and `representative_dataset`.",
        )
    if integer:
        return Request(INT8, getattr(data, "input_gen", data), options)
    if not optimize:
        return None
    return Request(FLOAT16 if TensorType.FLOAT16 in kinds else DYNAMIC)


def _outer(value: Any, what: str) -> TensorType:
    kind = _type(value, what)
    if kind not in (TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8):
        raise ConversionError(f"{what} is {kind.name.lower()}; float32, int8 and uint8 are supported.")
    return kind


def _type(value: Any, what: str) -> TensorType:
    """An element type from what TensorFlow, NumPy or a name calls it."""
    try:
        return TensorType.of(np.dtype(getattr(value, "as_numpy_dtype", value)))
    except (TypeError, KeyError) as error:
        raise ConversionError(f"{what} holds {value!r}, which is no element type.") from error

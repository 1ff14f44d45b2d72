"""Quantisation of .tflite models: model in, model out, by any of three ways.

`dynamic`: 8-bit weights. `half`: 16-bit floating-point constants. `integer`: 8-bit arithmetic, from ranges that
`ranges` observes.
"""

from .dynamic import dynamic_range
from .half import float16_constants
from .integer import IntegerOptions, full_integer
from .ranges import Ranges, calibrate
from .report import QuantizationReport

__all__ = [
    "IntegerOptions",
    "QuantizationReport",
    "Ranges",
    "calibrate",
    "dynamic_range",
    "float16_constants",
    "full_integer",
]

"""The public `TFLiteConverter`: the converter with this package's runtime at hand, to verify and calibrate with."""

from __future__ import annotations

from .converter import TFLiteConverter as BaseConverter
from .interpreter_api import Interpreter


class TFLiteConverter(BaseConverter):
    __doc__ = BaseConverter.__doc__

    interpreter = Interpreter

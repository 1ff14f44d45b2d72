"""TensorFlow graphs -> .tflite files with signatures. Importing this does not import TensorFlow."""

from .api import TFLiteConverter
from .report import ConversionReport, FlexNode, SignatureReport
from .targets import OpsSet, Optimize, TargetSpec

__all__ = ["ConversionReport", "FlexNode", "OpsSet", "Optimize", "SignatureReport", "TFLiteConverter", "TargetSpec"]

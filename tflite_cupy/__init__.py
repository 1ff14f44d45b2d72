"""Run `.tflite` models by signature on NVIDIA GPUs through CuPy, with NumPy and TensorFlow for the rest.

    import tflite_cupy as lite

    interpreter = lite.Interpreter(model_path="model.tflite")
    encode = interpreter.get_signature_runner("encode")
    print(encode(x=[1.0, 2.0, 3.0]))
    print(interpreter.delegation_report())

Importing it imports neither CuPy nor TensorFlow; what needs them loads them on first use.
"""

from .batcher import SignatureBatcher
from .converter import OpsSet, Optimize, TargetSpec
from .converter.quantize.report import QuantizationReport
from .converter_api import TFLiteConverter
from .interpreter.classic import OpResolverType
from .interpreter.errors import (
    ConversionError,
    DelegationError,
    GraphError,
    InputError,
    KernelError,
    LimitError,
    MissingDependencyError,
    ModelError,
    PolicyError,
    StateError,
    TfliteError,
    UnsupportedError,
)
from .interpreter.format.model import load_model
from .interpreter.format.writer import write_model
from .interpreter.graph import TensorSpec, TensorType
from .interpreter.limits import Limits
from .interpreter.ops.custom_op import CustomOp, custom_op
from .interpreter.profile import Profile
from .interpreter.report import DelegationReport
from .interpreter.runner import SignatureRunner
from .interpreter.runtime.delegate import Delegate
from .interpreter_api import Interpreter, InterpreterWithCustomOps, load_delegate
from .quantizer_api import quantize, quantize_with_report
from .verify import Comparison, compare_runtimes
from .version import __version__

__all__ = [
    "Comparison",
    "ConversionError",
    "CustomOp",
    "Delegate",
    "DelegationError",
    "DelegationReport",
    "GraphError",
    "InputError",
    "Interpreter",
    "InterpreterWithCustomOps",
    "KernelError",
    "LimitError",
    "Limits",
    "MissingDependencyError",
    "ModelError",
    "OpResolverType",
    "OpsSet",
    "Optimize",
    "PolicyError",
    "Profile",
    "QuantizationReport",
    "SignatureBatcher",
    "SignatureRunner",
    "StateError",
    "TFLiteConverter",
    "TargetSpec",
    "TensorSpec",
    "TensorType",
    "TfliteError",
    "UnsupportedError",
    "__version__",
    "compare_runtimes",
    "custom_op",
    "load_delegate",
    "load_model",
    "quantize",
    "quantize_with_report",
    "write_model",
]

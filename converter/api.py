"""`TFLiteConverter`: the converter as people call it, shaped like `tf.lite.TFLiteConverter`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np

from ..interpreter.errors import ConversionError, StateError
from ..interpreter.format.writer import write_model
from ..interpreter.graph import Model
from .convert import Options, convert
from .examples import Samples
from .load import Source, load_functions, load_keras, load_keras_file, load_saved_model
from .quantize.report import QuantizationReport
from .quantize.request import Request, quantized, requested
from .report import ConversionReport
from .targets import OpsSet, Optimize, TargetSpec, members
from .verify import TOLERANCE, Progress, Runtime, Verifier


class TFLiteConverter:
    """Turns a TensorFlow model into a `.tflite` file with one subgraph per signature.

        converter = TFLiteConverter.from_saved_model("exported")
        converter.target_spec.supported_ops = [OpsSet.TFLITE_BUILTINS, OpsSet.SELECT_TF_OPS]
        content = converter.convert()

    `target_spec.supported_ops`: without SELECT_TF_OPS a graph that needs TensorFlow operators is an error; without
    TFLITE_BUILTINS every operator becomes a TensorFlow one. `allow_custom_ops`: operators that are neither become
    custom operators of their TensorFlow name. Assertions and prints are left out. Errors are `ConversionError`s.

    `optimizations = [Optimize.DEFAULT]` asks for 8-bit weights; with `target_spec.supported_types = [np.float16]` for
    16-bit floating-point constants; with a `representative_dataset` for 8-bit arithmetic, every signature calibrated
    with its own samples (`quantize.samples.Calibration`). `OpsSet.TFLITE_BUILTINS_INT8` alone forbids float operators.
    """

    interpreter: ClassVar[Runtime | None] = None
    """Runs what was converted, to verify it and to calibrate; the package's facade sets it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._report: ConversionReport | None = None
        self._quantization_report: QuantizationReport | None = None
        self.target_spec = TargetSpec()
        self.allow_custom_ops = False
        self.optimizations: Sequence[Any] = ()
        self.representative_dataset: Any = None
        self.inference_input_type: Any = np.float32
        self.inference_output_type: Any = np.float32
        """Element types of float inputs and outputs of an 8-bit model: float32, int8 or uint8."""
        self.all_flex = False
        """Experimental: carry every operator as a TensorFlow one, builtin or not (implies SELECT_TF_OPS)."""

    @classmethod
    def from_saved_model(cls, path: Any, signature_keys: Sequence[str] | None = None) -> Self:
        """Signatures of a SavedModel folder: those named, or all. A function of the model that is no signature may be
        named too, if it was saved with one trace."""
        return cls(load_saved_model(path, signature_keys))

    @classmethod
    def from_keras_model(cls, model: Any) -> Self:
        """A built Keras model as signature `serving_default`, outputs `output_0`, ... or the model's dict keys."""
        return cls(load_keras(model))

    @classmethod
    def from_keras_file(cls, path: Any) -> Self:
        """The model of a `.keras` or `.h5` file, as `from_keras_model` takes it."""
        return cls(load_keras_file(path))

    @classmethod
    def from_concrete_functions(cls, funcs: Any, trackable_obj: Any = None) -> Self:
        """ConcreteFunctions as signatures.

        A list gives each function its own name as key. A dict gives the keys; its values are ConcreteFunctions, or
        tf.functions that have an input signature. `trackable_obj` is kept alive, nothing more: variables are found
        through the functions.
        """
        return cls(load_functions(funcs, trackable_obj))

    def convert(self, *, verify: bool | Samples = False) -> bytes:
        """The `.tflite` file. Raises ConversionError, naming each node that is in the way.

        `verify` runs each signature here and in TensorFlow, as `verify()` does, before anything is quantised; True, or
        the inputs to do it with.
        """
        ops = members(OpsSet, self.target_spec.supported_ops, "target_spec.supported_ops")
        flex = self.all_flex or OpsSet.SELECT_TF_OPS in ops
        builtins = not self.all_flex and bool(ops - {OpsSet.SELECT_TF_OPS})
        if not flex and not builtins:
            raise ConversionError("target_spec.supported_ops is empty")
        request = self._quantization(ops)
        model, self._report = convert(self._source, Options(flex, builtins, self.allow_custom_ops))
        content = write_model(model)
        if verify is not False:
            self.verify(content, None if verify is True else verify)
        return content if request is None else self._quantized(model, request)

    def verify(
        self,
        content: bytes,
        inputs: Samples = None,
        *,
        tolerance: float | None = TOLERANCE,
        progress: Progress | None = None,
    ) -> None:
        """Run each signature of a file that `convert()` made in TensorFlow and here, on the same inputs, from the same
        state, and put the largest differences into `report()`.

        inputs: {signature key: {input name: array}}, or a list of such calls instead of one; or a function of the key
            that gives that. What is not given is made up. Signatures that share variables run in their order, twice.
        tolerance: of floats, in parts of the output's largest element. None measures only.
        progress: a function that is told (calls compared, calls).

        Raises ConversionError where a signature differs, naming the output and the first node that diverges. Variables
        of the TensorFlow model keep their values.
        """
        if self.interpreter is None:
            raise StateError("there is no runtime to verify with.", hint="Use tflite_cupy.TFLiteConverter.")
        verifier = Verifier(self._source.entries, content, self.interpreter, tolerance)
        self._report = self.report().verified(verifier.verify(inputs, progress))

    def report(self) -> ConversionReport:
        """What the last `convert()` made of each signature. Raises StateError before it."""
        if self._report is None:
            raise StateError("there is no report yet.", hint="Call convert() first.")
        return self._report

    def quantization_report(self) -> QuantizationReport:
        """Which nodes the last `convert()` quantised, and why others stayed float. Raises StateError before it."""
        if self._quantization_report is None:
            raise StateError("nothing has been quantised yet.", hint="Set `optimizations` and call convert() first.")
        return self._quantization_report

    def _quantization(self, ops: frozenset[OpsSet]) -> Request | None:
        """What `optimizations` and its kin ask for."""
        return requested(
            self,
            self.target_spec.supported_types,
            optimize=bool(members(Optimize, self.optimizations, "optimizations")),
            int8=OpsSet.TFLITE_BUILTINS_INT8 in ops,
            allow_float=ops != {OpsSet.TFLITE_BUILTINS_INT8},
        )

    def _quantized(self, model: Model, request: Request) -> bytes:
        if self.interpreter is None:
            raise StateError("there is no runtime to calibrate with.", hint="Use tflite_cupy.TFLiteConverter.")
        exact = partial(self.interpreter, precision="strict")
        result, self._quantization_report = quantized(model, request, exact)
        return write_model(result)

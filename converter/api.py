"""`TFLiteConverter`: the converter as people call it, shaped like `tf.lite.TFLiteConverter`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..interpreter.errors import ConversionError, StateError
from ..interpreter.format.writer import write_model
from .convert import Options, convert
from .load import Source, load_functions, load_keras, load_saved_model
from .report import ConversionReport
from .targets import OpsSet, Optimize, TargetSpec, members


class TFLiteConverter:
    """Turns a TensorFlow model into a `.tflite` file with one subgraph per signature.

        converter = TFLiteConverter.from_saved_model("exported")
        converter.target_spec.supported_ops = [OpsSet.TFLITE_BUILTINS, OpsSet.SELECT_TF_OPS]
        content = converter.convert()

    `target_spec.supported_ops`: without SELECT_TF_OPS a graph that needs TensorFlow operators is an error; without
    TFLITE_BUILTINS every operator becomes a TensorFlow one. `allow_custom_ops`: operators that are neither become
    custom operators of their TensorFlow name. `optimizations` and `representative_dataset` ask for quantisation, which
    is not available yet. Assertions and prints are left out. Errors are `ConversionError`s.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._report: ConversionReport | None = None
        self.target_spec = TargetSpec()
        self.allow_custom_ops = False
        self.optimizations: Sequence[Any] = ()
        self.representative_dataset: Any = None
        self.all_flex = False
        """Experimental: carry every operator as a TensorFlow one, builtin or not (implies SELECT_TF_OPS)."""

    @classmethod
    def from_saved_model(cls, path: Any, signature_keys: Sequence[str] | None = None) -> TFLiteConverter:
        """Signatures of a SavedModel folder: those named, or all."""
        return cls(load_saved_model(path, signature_keys))

    @classmethod
    def from_keras_model(cls, model: Any) -> TFLiteConverter:
        """A built Keras model as signature `serving_default`, outputs `output_0`, ... or the model's dict keys."""
        return cls(load_keras(model))

    @classmethod
    def from_concrete_functions(cls, funcs: Any, trackable_obj: Any = None) -> TFLiteConverter:
        """ConcreteFunctions as signatures.

        A list gives each function its own name as key. A dict gives the keys; its values are ConcreteFunctions, or
        tf.functions that have an input signature. `trackable_obj` is kept alive, nothing more: variables are found
        through the functions.
        """
        return cls(load_functions(funcs, trackable_obj))

    def convert(self) -> bytes:
        """The `.tflite` file. Raises ConversionError, naming each node that is in the way."""
        if members(Optimize, self.optimizations, "optimizations") or self.representative_dataset is not None:
            hint = "Leave `optimizations` and `representative_dataset` empty."
            raise ConversionError("quantisation is not available yet.", hint=hint)
        ops = members(OpsSet, self.target_spec.supported_ops, "target_spec.supported_ops")
        flex = self.all_flex or OpsSet.SELECT_TF_OPS in ops
        builtins = not self.all_flex and OpsSet.TFLITE_BUILTINS in ops
        if not flex and not builtins:
            raise ConversionError("target_spec.supported_ops is empty")
        model, self._report = convert(self._source, Options(flex, builtins, self.allow_custom_ops))
        return write_model(model)

    def report(self) -> ConversionReport:
        """What the last `convert()` made of each signature. Raises StateError before it."""
        if self._report is None:
            raise StateError("there is no report yet.", hint="Call convert() first.")
        return self._report

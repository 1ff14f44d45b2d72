"""The public `Interpreter`: the classic one with the delegates of this package."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import Any, NoReturn

from .delegates.cpu import CpuDelegate
from .delegates.flex import FlexDelegate, PlannedFlexDelegate
from .delegates.gpu import CupyGpuDelegate, PlannedGpuDelegate, available, check_precision
from .interpreter.classic import BaseInterpreter, OpResolverType
from .interpreter.errors import InputError, MissingDependencyError, UnsupportedError
from .interpreter.limits import DEFAULT_LIMITS, Limits
from .interpreter.ops.custom_op import CustomOp
from .interpreter.runtime.delegate import Delegate

DEVICES = ("auto", "gpu", "cpu")
TENSORFLOW_TEXT = frozenset({
    *("AddByteSplit", "AddByteSplitByOffsets", "AddFastBertNormalize", "AddFastSentencepieceDetokenize"),
    *("AddFastSentencepieceTokenize", "AddFastWordpieceDetokenize", "AddFastWordpieceTokenize", "AddNgramsStringJoin"),
    *("AddRaggedTensorToTensor", "AddRoundRobinGenerateMasks", "AddRoundRobinTrim", "AddSentenceFragmenterV2"),
    *("AddUtf8Binarize", "AddWhitespaceTokenize"),
})  # fmt: skip
"""Functions of TensorFlow Text that add its kernels to the reference runtime."""


class Interpreter(BaseInterpreter):
    """Runs a `.tflite` model on CuPy, NumPy and TensorFlow.

    `model_path` or `model_content` gives the model. The further positional arguments are those of `tf.lite.Interpreter`
    in 2.21 and are accepted for compatibility; `num_threads` and `experimental_preserve_all_tensors` have their effect,
    `experimental_delegates` takes delegates of this package's kind. Ours are keyword-only:

    device: "auto" (the GPU where there is one), "gpu" (MissingDependencyError without one), "cpu".
    dry_run: plans for a GPU and for TensorFlow, whether they are there or not, and runs nothing: for
        `delegation_report`.
    precision: of float32 convolutions and matrix products on the GPU: "strict" (float32), "tf32" or "fp16" (operands of
        that type, sums of float32; "fp16" also keeps values in float16 between kernels), "auto" (tf32 where the GPU has
        it, as TensorFlow does).
    cpu_kernels: "onednn" (the extra `fast`; quantised results within one step of the reference's an operator), "numpy"
        (the reference's integers), "auto" (oneDNN where it is installed, unless the environment variable
        TFLITE_CUPY_CPU_KERNELS or `OpResolverType.BUILTIN_REF` asks for NumPy).
    require: "gpu" raises DelegationError here if nodes that compute something (control flow and handles of resources do
        not) would not run on it, naming them all.
    delegates: more delegates, asked first: objects, or names from the entry-point group `tflite_cupy.delegates`.
    flex: which TensorFlow operators a model may reach: "pure", "off", "codecs", or a list of names; by default what
        `limits` says, which is "pure".
    limits: how much the model and its calls may ask for; `Limits.untrusted()` for models from strangers. Raises
        LimitError, here or in calls.
    custom_ops: custom operators of this interpreter alone, beside those that `custom_op` registers for the process.

    Raises ModelError (a ValueError) for anything that is no valid model.
    """

    def __init__(
        self,
        model_path: str | os.PathLike[str] | None = None,
        model_content: bytes | None = None,
        experimental_delegates: Sequence[Delegate] | None = None,
        num_threads: int | None = None,
        experimental_op_resolver_type: OpResolverType = OpResolverType.AUTO,
        experimental_preserve_all_tensors: bool = False,
        experimental_disable_delegate_clustering: bool = False,
        experimental_default_delegate_latest_features: bool = False,
        experimental_compress_quantization_zero_points: bool = False,
        experimental_disable_delegate_node_fusion: bool = False,
        experimental_force_delegate_node_profiling: bool = False,
        *,
        device: str = "auto",
        dry_run: bool = False,
        precision: str = "auto",
        cpu_kernels: str = "auto",
        require: str | None = None,
        delegates: str | Sequence[Delegate | str] = (),
        flex: str | Sequence[str] | None = None,
        custom_ops: Iterable[CustomOp] = (),
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        _check_threads(num_threads)
        asked = [delegates] if isinstance(delegates, str) else delegates
        named = [_checked(_from_entry_point(d) if isinstance(d, str) else d) for d in asked]
        further = [_checked(d) for d in experimental_delegates or ()]
        gpu, why_not = _gpu(device, precision, dry_run)
        plain = cpu_kernels == "auto" and experimental_op_resolver_type is OpResolverType.BUILTIN_REF
        cpu = CpuDelegate(num_threads, "numpy" if plain else cpu_kernels)
        super().__init__(
            model_path,
            model_content,
            [*named, *further, *gpu, cpu, _flex(flex, limits, dry_run)],
            keep_all=experimental_preserve_all_tensors,
            require=require,
            absent={"gpu": why_not} if why_not else {},
            custom_ops=custom_ops,
            limits=limits,
        )


class InterpreterWithCustomOps(Interpreter):
    """`Interpreter` with custom operators added by functions, as in `ai_edge_litert` and `tf.lite`.

    custom_op_registerers: functions that are called with a list, to which they append what `custom_op` made; or such
        operators themselves. Raises InputError for the names of C symbols and for functions of extension modules, which
        add C++ kernels to the reference runtime: this one has none to call. Those of TensorFlow Text
        (`tflite_registrar.SELECT_TFTEXT_OPS`) do no harm: what OPS.md lists of its operators is there without them.
    """

    def __init__(
        self,
        custom_op_registerers: Sequence[Callable[[list[CustomOp]], Any] | CustomOp] | None = None,
        *,
        custom_ops: Iterable[CustomOp] = (),
        **options: Any,
    ) -> None:
        added = list(custom_ops)
        for registerer in custom_op_registerers or ():
            if isinstance(registerer, CustomOp):
                added.append(registerer)
            elif getattr(registerer, "__name__", "") not in TENSORFLOW_TEXT or not inspect.isbuiltin(registerer):
                _check_registerer(registerer)
                registerer(added)
        super().__init__(custom_ops=added, **options)


def load_delegate(library: str, options: Any = None) -> NoReturn:
    """There for compatibility: native delegate libraries can't be loaded. Always raises UnsupportedError."""
    raise UnsupportedError(
        f"the native delegate library {library!r} can't be loaded by this runtime.",
        hint="Pass delegate objects as delegates=[...]; the GPU delegate is there by default.",
    )


def _gpu(device: str, precision: str, dry_run: bool) -> tuple[list[Delegate], str]:
    """The GPU delegate if `device` asks for it and there is a GPU, else why there is none."""
    check_precision(precision)
    if device not in DEVICES:
        raise InputError(f"device={device!r} is unknown", hint=f"Use one of {', '.join(DEVICES)}.")
    if device == "cpu":
        return [], 'device="cpu" was asked for.'
    if dry_run:
        return [PlannedGpuDelegate(precision=precision)], ""
    is_there, reason = available()
    if is_there:
        return [CupyGpuDelegate(precision=precision)], ""
    if device == "gpu":
        raise MissingDependencyError(f"there is no GPU to run on: {reason}", hint="Run `tflite-cupy doctor`.")
    return [], reason


def _flex(policy: str | Sequence[str] | None, limits: Limits, dry_run: bool) -> FlexDelegate:
    constant, tensor = limits.max_flex_const_bytes, limits.max_tensor_bytes
    kind = PlannedFlexDelegate if dry_run else FlexDelegate
    return kind(
        limits.flex if policy is None else policy,
        max_constant_bytes=sys.maxsize if constant is None else constant,
        max_tensor_bytes=sys.maxsize if tensor is None else tensor,
    )


@cache
def _from_entry_point(name: str) -> Delegate:
    found = entry_points(group="tflite_cupy.delegates")
    if name not in found.names:
        known = ", ".join(sorted(found.names)) or "none"
        raise InputError(f"no installed package offers a delegate {name!r}", hint=f"Known delegates: {known}.")
    delegate: Delegate = found[name].load()()
    return delegate


def _checked(delegate: Delegate) -> Delegate:
    """`delegate`, if it has what a delegate needs."""
    missing = [n for n in ("name", "title", "space", "refuses", "compile") if not hasattr(delegate, n)]
    if missing:
        raise InputError(
            f"a {type(delegate).__name__} is no delegate: it has no {', '.join(missing)}",
            hint="See tflite_cupy.Delegate.",
        )
    return delegate


def _check_registerer(registerer: object) -> None:
    if callable(registerer) and not inspect.isbuiltin(registerer):
        return
    what = "a function of an extension module" if callable(registerer) else f"a {type(registerer).__name__}"
    raise InputError(
        f"custom_op_registerers holds {registerer!r}, {what}: C++ kernels can't be added to this runtime.",
        hint="Give the operator's meaning as a Python function: see tflite_cupy.custom_op.",
    )


def _check_threads(num_threads: object) -> None:
    if num_threads is None:
        return
    if not isinstance(num_threads, int):
        raise InputError("type of num_threads should be int", where=f"num_threads={num_threads!r}")
    if num_threads < 1:
        raise InputError("num_threads should >= 1", where=f"num_threads={num_threads!r}")

"""cuBLASLt through ctypes: matrix products that a library computes. The only file that knows it.

The library counts in columns: to it a row-major matrix is the transpose in memory. So it is asked for the transposed
product, out^T = b^T a^T + c^T, in which the bias has one element for each row, as the library wants it.

Names, numbers and layouts are those of cublasLt.h, cublas_api.h and library_types.h of CUDA 12 and 13.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import suppress
from ctypes import byref, c_float, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p, sizeof
from dataclasses import dataclass
from typing import Any
from weakref import finalize

import numpy as np

from ...interpreter.errors import KernelError, LimitError, MissingDependencyError, TfliteError
from .gemm import ALIGNMENT, Pointers, Problem, Stored

CUBLAS_STATUS_SUCCESS = 0
CUBLAS_STATUS_NOT_INITIALIZED = 1
CUBLAS_STATUS_ALLOC_FAILED = 3
CUBLAS_STATUS_INVALID_VALUE = 7
CUBLAS_STATUS_ARCH_MISMATCH = 8
CUBLAS_STATUS_MAPPING_ERROR = 11
CUBLAS_STATUS_EXECUTION_FAILED = 13
CUBLAS_STATUS_INTERNAL_ERROR = 14
CUBLAS_STATUS_NOT_SUPPORTED = 15
CUBLAS_STATUS_LICENSE_ERROR = 16

CUBLAS_OP_N, CUBLAS_OP_T = 0, 1
CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_FAST_16F, CUBLAS_COMPUTE_32F_FAST_TF32 = 68, 74, 77
CUDA_R_32F, CUDA_R_16F = 0, 2

CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET = 5, 6
CUBLASLT_MATMUL_DESC_TRANSA, CUBLASLT_MATMUL_DESC_TRANSB = 3, 4
CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_MATMUL_DESC_BIAS_POINTER = 7, 8
CUBLASLT_EPILOGUE_DEFAULT, CUBLASLT_EPILOGUE_RELU, CUBLASLT_EPILOGUE_BIAS, CUBLASLT_EPILOGUE_RELU_BIAS = 1, 2, 4, 6
CUBLASLT_EPILOGUE_GELU, CUBLASLT_EPILOGUE_GELU_BIAS = 32, 36
CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES = 1
CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES = 5, 6
CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES = 7, 8

COMPUTE = {
    "strict": CUBLAS_COMPUTE_32F,
    "tf32": CUBLAS_COMPUTE_32F_FAST_TF32,
    "fp16": CUBLAS_COMPUTE_32F_FAST_16F,
}
TYPES = {np.dtype(np.float32): CUDA_R_32F, np.dtype(np.float16): CUDA_R_16F}
EPILOGUES = {
    (False, False, False): CUBLASLT_EPILOGUE_DEFAULT,
    (False, True, False): CUBLASLT_EPILOGUE_RELU,
    (False, False, True): CUBLASLT_EPILOGUE_GELU,
    (True, False, False): CUBLASLT_EPILOGUE_BIAS,
    (True, True, False): CUBLASLT_EPILOGUE_RELU_BIAS,
    (True, False, True): CUBLASLT_EPILOGUE_GELU_BIAS,
}
"""By whether there is a bias, relu, and gelu."""

STATUSES = {value: name for name, value in globals().items() if name.startswith("CUBLAS_STATUS_")}
LIBRARIES = ("libcublasLt.so.13", "libcublasLt.so.12")
MOST_PLANS = 1024


class Algorithm(ctypes.Structure):
    """cublasLtMatmulAlgo_t."""

    _fields_ = (("data", c_uint64 * 8),)


class Heuristic(ctypes.Structure):
    """cublasLtMatmulHeuristicResult_t."""

    _fields_ = (
        ("algo", Algorithm),
        ("workspaceSize", c_size_t),
        ("state", c_int),
        ("wavesCount", c_float),
        ("reserved", c_int * 4),
    )


FUNCTIONS = {
    "cublasLtCreate": (c_void_p,),
    "cublasLtDestroy": (c_void_p,),
    "cublasLtMatrixLayoutCreate": (c_void_p, c_int, c_uint64, c_uint64, c_int64),
    "cublasLtMatrixLayoutSetAttribute": (c_void_p, c_int, c_void_p, c_size_t),
    "cublasLtMatrixLayoutDestroy": (c_void_p,),
    "cublasLtMatmulDescCreate": (c_void_p, c_int, c_int),
    "cublasLtMatmulDescSetAttribute": (c_void_p, c_int, c_void_p, c_size_t),
    "cublasLtMatmulDescDestroy": (c_void_p,),
    "cublasLtMatmulPreferenceCreate": (c_void_p,),
    "cublasLtMatmulPreferenceSetAttribute": (c_void_p, c_int, c_void_p, c_size_t),
    "cublasLtMatmulPreferenceDestroy": (c_void_p,),
    "cublasLtMatmulAlgoGetHeuristic": (*(c_void_p,) * 7, c_int, c_void_p, c_void_p),
    "cublasLtMatmul": (*(c_void_p,) * 14, c_size_t, c_void_p),
}
"""Types of their arguments; pointers of all kinds are void*."""


def load() -> Any:
    """The library. Raises MissingDependencyError where it is not installed."""
    for name in _names():
        with suppress(OSError):
            return declared(ctypes.CDLL(name))
    hint = "Install tflite-cupy[cuda12] or tflite-cupy[cuda13], or the package nvidia-cublas-cu12 or nvidia-cublas."
    raise MissingDependencyError("cuBLASLt can't be loaded: there is no libcublasLt of CUDA 12 or 13.", hint=hint)


def version(library: Any) -> str:
    """As "12.9.1"."""
    number = int(library.cublasLtGetVersion())  # 120901; 13.1.0 is 130100
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def declared(library: Any) -> Any:
    """The library with the types of the functions that are called."""
    for name, arguments in FUNCTIONS.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, c_int
    library.cublasLtGetVersion.argtypes, library.cublasLtGetVersion.restype = (), c_size_t
    return library


def _names() -> Iterator[str]:
    """Where it may be: as NVIDIA's own packages find it, then as the linker does."""
    with suppress(ImportError):
        from cuda.pathfinder import DynamicLibNotFoundError, load_nvidia_dynamic_lib

        with suppress(DynamicLibNotFoundError):
            yield str(load_nvidia_dynamic_lib("cublasLt").abs_path)
    yield from LIBRARIES


def _check(function: str, status: int) -> None:
    """Raises what a status stands for: MissingDependencyError where the library can't work on this machine, LimitError
    where memory ran out, KernelError for all else."""
    if status == CUBLAS_STATUS_SUCCESS:
        return
    errors: dict[int, type[TfliteError]] = {
        CUBLAS_STATUS_ALLOC_FAILED: LimitError,
        **dict.fromkeys(
            (CUBLAS_STATUS_NOT_INITIALIZED, CUBLAS_STATUS_ARCH_MISMATCH, CUBLAS_STATUS_LICENSE_ERROR),
            MissingDependencyError,
        ),
    }
    name = STATUSES.get(status, f"status {status}")
    raise errors.get(status, KernelError)(f"{function} of cuBLASLt failed: {name}")


class _Handle:
    """What a function of the library has made: destroyed with this object, or with the process."""

    def __init__(self, library: Any, kind: str, *arguments: int) -> None:
        self._library, self._kind, self.value = library, kind, c_void_p()
        create, destroy = (getattr(library, f"cublasLt{kind}{verb}") for verb in ("Create", "Destroy"))
        _check(f"cublasLt{kind}Create", create(byref(self.value), *arguments))
        finalize(self, destroy, self.value).atexit = False

    def set(self, attribute: int, value: Any) -> None:
        """Set an attribute to a ctypes value of just the right size."""
        name = f"cublasLt{self._kind}SetAttribute"
        _check(name, getattr(self._library, name)(self.value, attribute, byref(value), sizeof(value)))


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How a product is computed. Immutable; the layouts are of the transposes."""

    problem: Problem
    left: _Handle  # of b
    right: _Handle  # of a
    out: _Handle
    algorithm: Algorithm
    workspace: int  # bytes


class CublasLt:
    """The library on the device that is current when this is made, and that has to be in each call. Thread-safe.

    Raises MissingDependencyError if the library can't work there.
    """

    def __init__(self, library: Any) -> None:
        self._library = library
        self._handle = _Handle(library, "")
        self._plans: dict[tuple[Problem, int], Plan | None] = {}
        self._lock = threading.Lock()

    def plan(self, problem: Problem, workspace: int) -> Plan | None:
        """What the library's heuristics advise, with so many bytes beside the operands; None where it can't do it."""
        with self._lock:
            key = problem, workspace
            if key not in self._plans:
                if len(self._plans) >= MOST_PLANS:
                    self._plans.clear()
                self._plans[key] = self._planned(problem, workspace)
            return self._plans[key]

    def run(self, plan: Plan, pointers: Pointers, workspace: int, stream: int) -> None:
        """Queue a product. Raises KernelError, or LimitError, if the library refuses it."""
        problem = plan.problem
        what = self._operation(problem, pointers.bias)
        one, beta = c_float(1.0), c_float(1.0 if problem.has_c else 0.0)
        status = self._library.cublasLtMatmul(
            self._handle.value, what.value,
            *(byref(one), pointers.b, plan.left.value, pointers.a, plan.right.value),
            *(byref(beta), pointers.c if problem.has_c else pointers.out, plan.out.value, pointers.out, plan.out.value),
            *(byref(plan.algorithm), workspace, plan.workspace, stream),
        )  # fmt: skip
        _check("cublasLtMatmul", status)

    def _planned(self, problem: Problem, workspace: int) -> Plan | None:
        p, preference = problem, self._preference(workspace)
        what = self._operation(problem, ALIGNMENT)  # the pointer tells how it will be aligned
        left = self._layout(p, p.b, p.depth, p.columns, p.dtype)
        right = self._layout(p, p.a, p.rows, p.depth, p.dtype)
        out = self._layout(p, p.out, p.rows, p.columns, p.out_dtype)
        found, count = Heuristic(), c_int()
        status = self._library.cublasLtMatmulAlgoGetHeuristic(
            self._handle.value, what.value, left.value, right.value, out.value, out.value,
            preference.value, 1, byref(found), byref(count),
        )  # fmt: skip
        if status in (CUBLAS_STATUS_NOT_SUPPORTED, CUBLAS_STATUS_ARCH_MISMATCH):
            return None
        _check("cublasLtMatmulAlgoGetHeuristic", status)
        if count.value == 0 or found.state != CUBLAS_STATUS_SUCCESS:
            return None
        return Plan(problem, left, right, out, found.algo, found.workspaceSize)

    def _operation(self, problem: Problem, bias: int) -> _Handle:
        compute = COMPUTE[problem.precision] if problem.dtype == np.float32 else CUBLAS_COMPUTE_32F
        made = _Handle(self._library, "MatmulDesc", compute, CUDA_R_32F)
        for attribute, side in (
            (CUBLASLT_MATMUL_DESC_TRANSA, problem.b),
            (CUBLASLT_MATMUL_DESC_TRANSB, problem.a),
        ):
            made.set(attribute, c_int32(CUBLAS_OP_T if side.transposed else CUBLAS_OP_N))
        made.set(CUBLASLT_MATMUL_DESC_EPILOGUE, c_uint32(EPILOGUES[problem.has_bias, problem.relu, problem.gelu]))
        if problem.has_bias:
            made.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, c_void_p(bias))
        return made

    def _layout(self, problem: Problem, stored: Stored, rows: int, columns: int, dtype: np.dtype[Any]) -> _Handle:
        """Of matrices [rows, columns] as the library sees their memory."""
        lines, length = (columns, rows) if stored.transposed else (rows, columns)
        made = _Handle(self._library, "MatrixLayout", TYPES[dtype], length, lines, stored.leading)
        if problem.batch > 1:
            made.set(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, c_int32(problem.batch))
            made.set(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, c_int64(stored.step))
        return made

    def _preference(self, workspace: int) -> _Handle:
        made = _Handle(self._library, "MatmulPreference")
        made.set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, c_uint64(workspace))
        for attribute in (
            CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
            CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
            CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
            CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
        ):
            made.set(attribute, c_uint32(ALIGNMENT))
        return made

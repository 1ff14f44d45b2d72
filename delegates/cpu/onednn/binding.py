"""oneDNN through its C API (version 3): loading it, its objects, its constants.

Constants and signatures are those of `oneapi/dnnl/dnnl.h` and `dnnl_types.h`; tests hold them against the header.
"""

from __future__ import annotations

import ctypes
import os
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from functools import cache, cached_property
from pathlib import Path
from sys import intern
from typing import Any

import numpy as np

from ....interpreter.errors import KernelError, MissingDependencyError

NAMES = ("libdnnl.so.3", "libdnnl.3.dylib", "dnnl.dll")
MAX_DIMS = 12

SPINS = "8000"
"""Turns for which a thread of OpenMP looks for work before it sleeps: some 80 us, which most often lasts until the next
primitive. By default these are 300,000: where another program has one of the processors, a call then takes 100 times as
long; with these it is 5 times, until `threaded.py` notices."""

_UNIMPLEMENTED = 3
_STATUS = {1: "out of memory", 2: "invalid arguments", 3: "unimplemented", 5: "runtime error"}
_CPU, _IN_ORDER = 1, 1
_KINDS = ("engine", "memory", "memory_desc", "post_ops", "primitive", "primitive_attr", "primitive_desc", "stream")
_DATA_TYPES = {np.dtype(np.float32): 3, np.dtype(np.int32): 4, np.dtype(np.int8): 5, np.dtype(np.uint8): 6}


class Arg(IntEnum):
    """What an argument of a primitive is."""

    SRC = 1
    SRC_1 = 2
    SRC_2 = 3
    DST = 17
    DST_1 = 18
    DST_2 = 19
    WEIGHTS = 33
    WEIGHTS_1 = 34
    BIAS = 41
    SCALE = 51
    SHIFT = 52
    SCRATCHPAD = 80
    SCALES = 4096
    ZERO_POINTS = 8192
    POST_OP = 32768


class Algorithm(IntEnum):
    """Kinds of primitives and of operations after them."""

    CONVOLUTION_DIRECT = 1
    DECONVOLUTION_DIRECT = 10
    RELU = 32
    TANH = 33
    ELU = 34
    SQUARE = 35
    ABS = 36
    SQRT = 37
    LINEAR = 38
    HARDSIGMOID = 40
    LOGISTIC = 41
    EXP = 42
    GELU_TANH = 43
    SWISH = 44
    POW = 48
    GELU_ERF = 49
    CLIP = 46
    ROUND = 50
    HARDSWISH = 52
    POOL_MAX = 511
    POOL_AVERAGE = 1023  # padding excluded
    ADD = 131056
    MUL = 131057
    MAX = 131058
    MIN = 131059
    DIV = 131060
    SUB = 131061
    RESAMPLING_LINEAR = 196593
    SOFTMAX = 196608


class Query(IntEnum):
    """What a primitive descriptor tells."""

    IMPLEMENTATION = 8
    SRC = 129
    WEIGHTS = 131
    DST = 133
    SCRATCHPAD = 136


VNNI = 0x48
"""Bits of dnnl_cpu_isa_t: instructions that add four products of bytes up in 32 bits, for AVX2 and for AVX-512."""

FORWARD_INFERENCE = 96
LEFT_TO_RIGHT = 1
USE_SCALE, USE_SHIFT = 2, 4
ANY_FORMAT = 1
USER_SCRATCHPAD = 1
EXEC_ARG = "iP"
"""dnnl_exec_arg_t, for `struct`: ctypes takes three times as long to fill one in."""


class Unimplemented(Exception):
    """oneDNN has nothing for what was asked."""


class Handle:
    """A oneDNN object, destroyed with this one."""

    __slots__ = ("_as_parameter_", "_destroy")

    def __init__(self, pointer: ctypes.c_void_p, destroy: Any) -> None:
        self._as_parameter_, self._destroy = pointer, destroy

    def __del__(self) -> None:
        self._destroy(self._as_parameter_)


class _Version(ctypes.Structure):
    """The start of dnnl_version_t."""

    _fields_ = (("major", ctypes.c_int), ("minor", ctypes.c_int), ("patch", ctypes.c_int))


class Library:
    """The loaded library and its one engine, the processor."""

    def __init__(self, path: str) -> None:
        with _short_waits():
            self._functions = ctypes.CDLL(path)
        self.execute = self._functions.dnnl_primitive_execute
        held = ctypes.PyDLL(path)  # the same library, called with Python's lock held: giving it up takes time, too
        self.execute_briefly = held.dnnl_primitive_execute
        self.count_threads, self.set_threads = held.omp_get_max_threads, held.omp_set_num_threads
        self.count_threads.restype, self.set_threads.restype = ctypes.c_int, None
        self._set_address = self._functions.dnnl_memory_set_data_handle
        self._set_address.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
        self._functions.dnnl_memory_desc_get_size.restype = ctypes.c_size_t
        self._functions.dnnl_primitive_desc_query_md.restype = ctypes.c_void_p
        self._destroy = {kind: self._functions[f"dnnl_{kind}_destroy"] for kind in _KINDS}
        self.is_forked = False
        self.engine = self.make("engine", "dnnl_engine_create", _CPU, ctypes.c_size_t(0))

    @property
    def version(self) -> str:
        """Like 3.2.0."""
        ask = self._functions.dnnl_version
        ask.restype = ctypes.POINTER(_Version)
        found = ask().contents
        return f"{found.major}.{found.minor}.{found.patch}"

    @cached_property
    def multiplies_bytes(self) -> bool:
        """Whether products of bytes are exact. Without VNNI two of them are added up in 16 bits: oneDNN halves weights
        for that, or lets the sum saturate."""
        return bool(self._functions.dnnl_get_effective_cpu_isa() & VNNI)

    def check(self, status: int, what: str) -> None:
        """Raise Unimplemented, MemoryError or KernelError for a status that is not success."""
        if status == _UNIMPLEMENTED:
            raise Unimplemented(what)
        if status:
            raise KernelError(f"oneDNN: {what} failed: {_STATUS.get(status, f'status {status}')}.")

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function that returns a status."""
        if status := getattr(self._functions, name)(*arguments):
            self.check(status, name)

    def make(self, kind: str, name: str, *arguments: Any) -> Handle:
        """Call a function that creates an object; `kind` names the function that destroys it."""
        pointer = ctypes.c_void_p()
        function = getattr(self._functions, intern(name))  # of names made anew, Python's look-ups would keep thousands
        if status := function(ctypes.byref(pointer), *arguments):
            self.check(status, name)
        return Handle(pointer, self._destroy[kind])

    def stream(self) -> Handle:
        """A queue for one call at a time."""
        return self.make("stream", "dnnl_stream_create", self.engine, _IN_ORDER)

    def layout(self, shape: Sequence[int], dtype: np.dtype[Any], strides: Sequence[int] | None = None) -> Handle:
        """A memory descriptor; `strides` in elements, None: what the primitive likes best."""
        create, form = "dnnl_memory_desc_create_with_tag", ANY_FORMAT
        if strides is None:
            return self.make("memory_desc", create, len(shape), dims(shape), _DATA_TYPES[dtype], form)
        create = "dnnl_memory_desc_create_with_strides"
        return self.make("memory_desc", create, len(shape), dims(shape), _DATA_TYPES[dtype], dims(strides))

    def description(self, primitive: Handle) -> ctypes.c_void_p:
        """The descriptor that belongs to a primitive."""
        found = ctypes.c_void_p()
        self.call("dnnl_primitive_get_primitive_desc", primitive, ctypes.byref(found))
        return found

    def nbytes(self, layout: Any) -> int:
        """Bytes that memory of a layout takes."""
        return int(self._functions.dnnl_memory_desc_get_size(layout))

    def query(self, description: Handle | ctypes.c_void_p, what: Query, index: int = 0) -> ctypes.c_void_p:
        """A layout that belongs to a primitive descriptor."""
        return ctypes.c_void_p(self._functions.dnnl_primitive_desc_query_md(description, int(what), index))

    def implementation(self, description: Handle | ctypes.c_void_p) -> str:
        """Name of the code that a primitive runs."""
        name = ctypes.c_char_p()
        self.call("dnnl_primitive_desc_query", description, int(Query.IMPLEMENTATION), 0, ctypes.byref(name))
        return (name.value or b"").decode()

    def are_equal(self, a: Any, b: Any) -> bool:
        """Whether two layouts are the same."""
        return bool(self._functions.dnnl_memory_desc_equal(a, b))

    def memory(self, layout: Any, address: int) -> Handle:
        """Memory at an address, in a layout."""
        return self.make("memory", "dnnl_memory_create", layout, self.engine, ctypes.c_void_p(address))

    def move(self, memory: Handle, array: np.ndarray) -> np.ndarray:
        """Let memory lie where an array does; gives the array whose elements it is, which must outlive its use."""
        array = np.ascontiguousarray(array)
        self._set_address(memory, array.__array_interface__["data"][0])
        return array

    def move_to(self, memory: Handle, address: int) -> None:
        """Let memory lie at an address."""
        self._set_address(memory, address)

    @property
    def threads(self) -> int:
        """How many threads primitives that this thread makes and runs may use."""
        count: int = self.count_threads()
        return count

    def use_threads(self, count: int) -> int:
        """Let primitives that this thread makes and runs use so many threads; gives the number before.

        One in a forked process, where the threads of OpenMP are missing and waited for all the same.
        """
        count = 1 if self.is_forked else count
        before: int = self.count_threads()
        if before != count:
            self.set_threads(count)
        return before

    def after_fork(self) -> None:
        """Called in a forked process."""
        self.is_forked = True


def dims(values: Sequence[int]) -> Any:
    """dnnl_dims_t."""
    return (ctypes.c_int64 * MAX_DIMS)(*values)


@contextmanager
def _short_waits() -> Iterator[None]:
    """OpenMP, if it is loaded within, gets `SPINS`, unless the environment says otherwise; it reads that only once."""
    if {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        yield
        return
    os.environ["GOMP_SPINCOUNT"] = SPINS
    try:
        yield
    finally:
        del os.environ["GOMP_SPINCOUNT"]


@cache
def library() -> Library:
    """The library. Raises MissingDependencyError where there is none that works."""
    problem = "it was not found"
    for path in _candidates():
        try:
            found = Library(path)
        except (OSError, AttributeError) as error:  # no such file, or one without OpenMP
            problem = str(error)
            continue
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=found.after_fork)
        return found
    raise MissingDependencyError(
        f"oneDNN can't be loaded: {problem}.", hint="Install the extra `fast`: pip install 'tflite-cupy[fast]'."
    )


def _candidates() -> list[str]:
    """Where wheels and systems put the library."""
    folder = Path(sysconfig.get_path("data")) / "lib"
    return [*(str(folder / name) for name in NAMES if (folder / name).exists()), *NAMES[:1]]

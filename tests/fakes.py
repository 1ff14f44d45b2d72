"""A device made of NumPy: its arrays raise when host code touches them, as arrays on a GPU would stall or fail.

    put, get, xp = DEVICE.put, DEVICE.get, DEVICE.xp        # xp is used like numpy or cupy, on FakeArrays

`xp` follows CuPy's rules where these are stricter: operands are device arrays or scalars, never host arrays;
results that NumPy gives as scalars are arrays; only dtypes that a GPU has. Where CuPy is installed, `xp` and its arrays
have no function, method or property that CuPy lacks.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any, NoReturn

import numpy as np

from tflite_cupy.delegates.arrays import ArrayDelegate
from tflite_cupy.delegates.gpu import device_refusal
from tflite_cupy.delegates.gpu.cupy_device import import_cupy
from tflite_cupy.interpreter.runtime.delegate import BoundNode


class HostAccessError(AssertionError):
    """Host code looked into a device array, or handed a host array to a device function."""


class _Touch(threading.local):
    before: Callable[[], None] | None = None


TOUCH = _Touch()
"""What this thread does before the array module works: a device with queued work runs it, or raises during capture."""


def _touched() -> None:
    if TOUCH.before is not None:
        TOUCH.before()


_ATTRIBUTES = frozenset({"shape", "dtype", "ndim", "size", "nbytes", "itemsize", "strides", "flags"})


class FakeArray:
    """A device array. `get()` copies it to the host; everything else stays on the device."""

    gets = 0
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, data: np.ndarray) -> None:
        _check_dtype(data.dtype)
        self._held = data

    @property
    def _data(self) -> np.ndarray:
        _touched()
        return self._held

    def get(self) -> np.ndarray:
        FakeArray.gets += 1
        return self._data.copy()

    def __getattr__(self, name: str) -> Any:
        if name in _ATTRIBUTES:
            return getattr(self._held, name)
        if name.startswith("_") or name in ("item", "tolist", "tobytes", "tofile", "to_device", "ctypes"):
            raise AttributeError(f"a device array has no {name!r}")
        _require(f"ndarray.{name}")
        value = getattr(self._data, name)
        return _device_function(value) if callable(value) else _wrap(value)

    def __getitem__(self, index: Any) -> Any:
        return _wrap(self._data[_unwrap_index(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._data[_unwrap_index(index)] = _unwrap(value)

    def __len__(self) -> int:
        return len(self._held)

    def __repr__(self) -> str:
        return f"FakeArray(shape={self._held.shape}, dtype={self._held.dtype})"

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise HostAccessError(f"host code touched {self!r}")

    __array__ = __bool__ = __int__ = __float__ = __complex__ = __index__ = __iter__ = __contains__ = __dlpack__ = (
        _refuse
    )


def _operator(function: Callable[..., Any], reflected: bool = False) -> Callable[..., Any]:
    def run(self: FakeArray, *others: Any) -> Any:
        operands = [self._data, *map(_unwrap, others)]
        return _wrap(function(*reversed(operands) if reflected else operands))

    return run


for _name in (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and_",
    "or_",
    "xor",
    "lshift",
    "rshift",
):
    _dunder, _function = _name.strip("_"), getattr(operator, _name)
    setattr(FakeArray, f"__{_dunder}__", _operator(_function))
    setattr(FakeArray, f"__r{_dunder}__", _operator(_function, reflected=True))
for _name in ("eq", "ne", "lt", "le", "gt", "ge", "neg", "pos", "abs", "invert"):
    setattr(FakeArray, f"__{_name}__", _operator(getattr(operator, _name)))


class FakeModule:
    """NumPy, or one of its submodules or ufuncs, working on FakeArrays."""

    def __init__(self, target: Any, path: str = "") -> None:
        self._target, self._path = target, path

    def __getattr__(self, name: str) -> Any:
        path = f"{self._path}{name}"
        if path == "ndarray":
            return FakeArray
        value = getattr(self._target, name)
        _require(path)
        if path in ("asarray", "array"):
            return _upload
        if path == "empty":
            return _poisoned
        if isinstance(value, np.ufunc):
            return _FakeUfunc(value, f"{path}.")
        if isinstance(value, ModuleType):
            return FakeModule(value, f"{path}.")
        plain = isinstance(value, type) or not callable(value)
        return value if plain else _device_function(value)


class _FakeUfunc(FakeModule):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _device_function(self._target)(*args, **kwargs)


@cache
def _require(path: str) -> None:
    """Raise AttributeError if CuPy is there and has no such name."""
    try:
        found = import_cupy()
    except ImportError:
        return
    for name in path.split("."):
        found = getattr(found, name, None)
    if found is None:
        raise AttributeError(f"CuPy has no {path}")


def _upload(value: Any, dtype: Any = None, copy: bool | None = None, order: str = "K") -> FakeArray:
    """`xp.asarray` and `xp.array`: the functions that take host data, too."""
    if isinstance(value, list | tuple):
        value = [v._data if isinstance(v, FakeArray) else v for v in value]
    if isinstance(value, FakeArray) and not copy and dtype in (None, value.dtype):
        return value
    _touched()
    host = value._data if isinstance(value, FakeArray) else np.asarray(value)
    return FakeArray(np.array(host, dtype=dtype))


def _poisoned(*args: Any, **kwargs: Any) -> FakeArray:
    """`xp.empty`, full of NaN or -1."""
    _touched()
    array = np.empty(*args, **kwargs)
    array.reshape(-1).view(np.uint8).fill(255)
    return FakeArray(array)


def _device_function(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        return _wrap(function(*map(_unwrap, args), **{key: _unwrap(value) for key, value in kwargs.items()}))

    return run


def _unwrap(value: Any) -> Any:
    """An operand of a device function as NumPy takes it."""
    if isinstance(value, FakeArray):
        return value._data
    if isinstance(value, np.ndarray):
        raise HostAccessError(f"a host array of shape {value.shape} went into a device function")
    if isinstance(value, list | tuple):
        return type(value)(map(_unwrap, value))
    return value


def _unwrap_index(index: Any) -> Any:
    if isinstance(index, slice) and any(isinstance(n, FakeArray) for n in (index.start, index.stop, index.step)):
        raise HostAccessError("a device array is the bound of a slice")
    return _unwrap(index)


def _wrap(value: Any) -> Any:
    """A result of NumPy as a device function gives it: arrays for scalars too."""
    if isinstance(value, np.ndarray | np.generic):
        _touched()
        return FakeArray(np.asarray(value))
    return type(value)(map(_wrap, value)) if type(value) in (list, tuple) else value


def _check_dtype(dtype: np.dtype[Any]) -> None:
    if dtype.kind not in "biufc":
        raise HostAccessError(f"a device has no arrays of dtype {dtype}")


class FakeSpace:
    """Memory of the fake device; counts the copies in and out, and the calls that entered it."""

    name = "fake"

    def __init__(self) -> None:
        self.xp = FakeModule(np)
        self.puts = self.gets = self.waits = self.lanes = 0

    def put(self, host: np.ndarray) -> FakeArray:
        assert isinstance(host, np.ndarray)
        self.puts += 1
        return FakeArray(host.copy())

    stage = put

    def get(self, arrays: Sequence[FakeArray]) -> list[np.ndarray]:
        self.gets += len(arrays)
        self.waits += 1
        return [array._data.copy() for array in arrays]

    def owns(self, value: Any) -> bool:
        return isinstance(value, FakeArray)

    def adopt(self, value: Any) -> FakeArray:
        assert isinstance(value, FakeArray)
        return value

    @contextmanager
    def lane(self) -> Iterator[None]:
        self.lanes += 1
        yield

    def give(self, array: FakeArray) -> FakeArray:
        return FakeArray(array._data.copy())

    def wait(self) -> None:
        return None

    def mark(self) -> None:
        return None

    def follow(self, mark: None) -> None:
        return None


class FakeDevice:
    """The array module and a space of its own."""

    def __init__(self) -> None:
        self.xp = FakeModule(np)
        self.space = FakeSpace()
        self.put, self.get = self.space.put, self.space.get


DEVICE = FakeDevice()


class FakeGpuDelegate(ArrayDelegate):
    """The GPU delegate as it is without a GPU: takes what a GPU takes and runs it on the fake device."""

    space: FakeSpace

    def __init__(self) -> None:
        super().__init__("gpu", "FakeGpuDelegate", DEVICE.xp, FakeSpace())

    def refuses(self, bound: BoundNode) -> str | None:
        return super().refuses(bound) or device_refusal(bound)

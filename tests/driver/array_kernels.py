"""CuPy's own kernels, those of its array functions, built by the host compiler in the place of NVRTC."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.emulator.compiler import COMMON, FAST, HEADERS, made

from .stand_in import blob

HEADER = Path(__file__).parent / "array_kernels.h"
DYNAMIC = re.compile(r"extern __shared__ ([\w ]+?) (\w+)\[\];")
FFTS = ("rfft", "irfft", "rfft2")
INCLUDES = re.compile(r"\A(?:\s*#.*\n)*")
WRAPPING = """
// Devices wrap around at the least number over -1, which is a fault of x86.
template <class T> static T wrapping_floor_divide(T x, T y) {
    if constexpr (std::is_integral<T>::value && std::is_signed<T>::value)
        if (y == (T)-1) return (T)(0 - (std::make_unsigned_t<T>)x);
    return _floor_divide(x, y);
}
#define _floor_divide wrapping_floor_divide
"""
KERNEL = re.compile(r'extern "C" __global__ void(?: __launch_bounds__\(.*?\))? (\w+)')


def replace_libraries(cupy: Any) -> None:
    """Array functions that need cuBLAS, cuFFT or Thrust: by NumPy, which waits for what is queued."""

    def by_numpy(function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arrays: Any, **options: Any) -> Any:
            results = function(*(a.get() if isinstance(a, cupy.ndarray) else a for a in arrays), **options)
            return tuple(map(cupy.asarray, results)) if isinstance(results, tuple) else cupy.asarray(results)

        return called

    for there, here, names in ((cupy, np, ("matmul", "argsort", "unique")), (cupy.fft, np.fft, FFTS)):
        for name in names:
            setattr(there, name, by_numpy(getattr(here, name)))


def module(source: str, options: Sequence[str] = (), **_: Any) -> Any:
    """In the place of `cupy.cuda.compiler._compile_module_with_cache`: a loaded module of the one kernel in a text."""
    import cupy

    (entry,) = dict.fromkeys(KERNEL.findall(source))
    source = DYNAMIC.sub(r"DYNAMIC_SHARED(\1, \2);", source)
    if "_floor_divide" in source:
        source = INCLUDES.sub(lambda found: found[0] + WRAPPING, source, count=1)
    text = f'#include "{HEADER}"\n{source}\nEXPORT_KERNEL({entry})\n'
    wanted = [o for o in options if o.startswith("-D") or (o.startswith("-I") and not Path(o[2:], "cuda.h").exists())]
    path = made(text, (*COMMON, *FAST, *wanted), [*HEADERS, str(HEADER)])
    numbers = (ctypes.c_size_t * 256)()
    library = ctypes.CDLL(str(path))
    library.emulated_sizes.restype = ctypes.c_size_t
    count = library.emulated_sizes(numbers)
    loaded = cupy.cuda.Module()
    loaded.load(blob(path, entry, numbers[:count]))
    return loaded

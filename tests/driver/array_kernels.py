"""CuPy's own kernels, those of its array functions, built by the host compiler in the place of NVRTC."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.emulator.compiler import COMMON, FAST, HEADERS, made

from .stand_in import blob

HEADER = Path(__file__).parent / "array_kernels.h"
DYNAMIC = re.compile(r"extern __shared__ ([\w ]+?) (\w+)\[\];")
KERNEL = re.compile(r'extern "C" __global__ void(?: __launch_bounds__\(.*?\))? (\w+)')


def matmul(a: Any, b: Any) -> Any:
    """In the place of `cupy.matmul`, which needs cuBLAS: by NumPy."""
    import cupy

    return cupy.asarray(np.matmul(a.get(), b.get()))


def module(source: str, options: Sequence[str] = (), **_: Any) -> Any:
    """In the place of `cupy.cuda.compiler._compile_module_with_cache`: a loaded module of the one kernel in a text."""
    import cupy

    (entry,) = dict.fromkeys(KERNEL.findall(source))
    source = DYNAMIC.sub(r"DYNAMIC_SHARED(\1, \2);", source)
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

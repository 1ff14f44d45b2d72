"""Leads the calls that CuPy makes to the CUDA runtime, which its wheels have inside, to functions of another library.

CuPy's module `runtime` has the runtime's functions as local symbols. Each gets a jump at its start, in the memory of
this process alone: of the code inside only the few functions of `KEPT` run after that, which read tables.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KEPT = ("cudaGetErrorName", "cudaGetErrorString", "cudaRuntimeGetVersion")
JUMP = struct.Struct("<2sQ2sQ2s")  # mov rdi, name; mov rax, function; jmp rax
PLAIN_JUMP = struct.Struct("<2sQ2s")  # mov rax, function; jmp rax

_names: list[Any] = []  # what jumps point to


def redirected(module: Path, target: ctypes.CDLL, missing: str) -> int:
    """Make functions cuda* of an extension module, which is loaded, those of the target; how many it has.

    One that the target lacks becomes its function `missing`, called with the name.
    """
    symbols = {name: address for name, address in _functions(module) if name.startswith("cuda") and name not in KEPT}
    base = _base(module, dict(_functions(module, dynamic=True)))
    for name, offset in symbols.items():
        found = getattr(target, name, None)
        if found is not None:
            code = PLAIN_JUMP.pack(b"\x48\xb8", _address(found), b"\xff\xe0")
        else:
            _names.append(ctypes.create_string_buffer(name.encode()))
            called = _address(getattr(target, missing))
            code = JUMP.pack(b"\x48\xbf", ctypes.addressof(_names[-1]), b"\x48\xb8", called, b"\xff\xe0")
        _write(base + offset, code)
    return sum(hasattr(target, name) for name in symbols)


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _base(module: Path, exported: dict[str, int]) -> int:
    """Where a loaded module begins."""
    library = ctypes.CDLL(str(module), os.RTLD_NOW | os.RTLD_NOLOAD)
    name = next(name for name in exported if name.startswith("PyInit_"))
    return _address(getattr(library, name)) - exported[name]


def _functions(path: Path, *, dynamic: bool = False) -> Iterator[tuple[str, int]]:
    """Functions of an ELF file of 64 bits, and where they are in it; the exported ones, or all."""
    data = path.read_bytes()
    table, size, count = struct.unpack_from("<Q10xHH", data, 0x28)[0], *struct.unpack_from("<HH", data, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, table + i * size) for i in range(count)]
    wanted = 11 if dynamic else 2  # SHT_DYNSYM, SHT_SYMTAB
    for _, kind, _, _, offset, length, link, *_ in sections:
        if kind != wanted:
            continue
        strings = sections[link][4]
        for name, info, _, section, value, _ in struct.iter_unpack("<IBBHQQ", data[offset : offset + length]):
            if info & 15 == 2 and section:  # STT_FUNC, defined here
                start = strings + name
                yield data[start : data.index(b"\0", start)].decode(), value


def _write(address: int, code: bytes) -> None:
    page = mmap.PAGESIZE
    start = address // page * page
    length = -(-(address + len(code) - start) // page) * page
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    everything = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    if protect(start, length, everything):
        sys.exit(f"code can't be written: {os.strerror(ctypes.get_errno())}")
    ctypes.memmove(address, code, len(code))
    protect(start, length, mmap.PROT_READ | mmap.PROT_EXEC)

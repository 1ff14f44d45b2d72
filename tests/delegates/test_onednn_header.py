"""The constants of our oneDNN binding against oneDNN's own header, as a C compiler reads it."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from tflite_cupy.delegates.cpu.onednn import binding
from tflite_cupy.delegates.cpu.onednn.binding import EXEC_ARG, Algorithm, Arg, Query

HEADER = Path(sysconfig.get_path("data")) / "include" / "oneapi" / "dnnl" / "dnnl.h"

ALGORITHMS = {
    Algorithm.CONVOLUTION_DIRECT: "convolution_direct",
    Algorithm.DECONVOLUTION_DIRECT: "deconvolution_direct",
    Algorithm.POOL_MAX: "pooling_max",
    Algorithm.POOL_AVERAGE: "pooling_avg_exclude_padding",
    Algorithm.RESAMPLING_LINEAR: "resampling_linear",
    Algorithm.SOFTMAX: "softmax_accurate",
}
BINARY = ("ADD", "MUL", "MAX", "MIN", "DIV", "SUB")


def _added(instructions: str) -> str:
    """What VNNI adds to a set of instructions."""
    return f"(dnnl_cpu_isa_{instructions}_vnni ^ dnnl_cpu_isa_{instructions})"


def constants() -> dict[str, int]:
    """Names of the header with the values that we have for them."""
    args: dict[str, int] = {
        f"DNNL_ARG_{arg.name}": arg for arg in Arg if arg.name not in ("SCALES", "ZERO_POINTS", "POST_OP")
    }
    args |= {"DNNL_ARG_ATTR_SCALES": Arg.SCALES, "DNNL_ARG_ATTR_ZERO_POINTS": Arg.ZERO_POINTS}
    args["DNNL_ARG_ATTR_MULTIPLE_POST_OP(2)"] = 3 * Arg.POST_OP
    named = {f"dnnl_{_algorithm(algorithm)}": algorithm for algorithm in Algorithm}
    queries = {f"dnnl_query_{query.name.lower()}_md": query for query in Query if query is not Query.IMPLEMENTATION}
    return {
        **args,
        **named,
        **queries,
        "dnnl_query_impl_info_str": Query.IMPLEMENTATION,
        "dnnl_unimplemented": binding._UNIMPLEMENTED,
        "dnnl_cpu": binding._CPU,
        "dnnl_stream_in_order": binding._IN_ORDER,
        f"({_added('avx2')} | {_added('avx512_core')})": binding.VNNI,
        "dnnl_forward_inference": binding.FORWARD_INFERENCE,
        "dnnl_unidirectional_left2right": binding.LEFT_TO_RIGHT,
        "dnnl_format_tag_any": binding.ANY_FORMAT,
        "dnnl_use_scale": binding.USE_SCALE,
        "dnnl_use_shift": binding.USE_SHIFT,
        "dnnl_scratchpad_mode_user": binding.USER_SCRATCHPAD,
        "DNNL_MAX_NDIMS": binding.MAX_DIMS,
        "sizeof(dnnl_exec_arg_t)": struct.calcsize(EXEC_ARG),
        **{f"dnnl_{_type(np.dtype(dtype).str)}": value for dtype, value in binding._DATA_TYPES.items()},
    }


def _algorithm(algorithm: Algorithm) -> str:
    if algorithm.name in BINARY:
        return f"binary_{algorithm.name.lower()}"
    return ALGORITHMS.get(algorithm, f"eltwise_{algorithm.name.lower()}")


def _type(text: str) -> str:
    """dnnl's name of a NumPy type: "<f4" is f32."""
    return f"{text[1].replace('i', 's')}{8 * int(text[2])}"


def test_constants(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not HEADER.exists():
        pytest.skip("no C compiler, or no oneDNN header (package onednn-devel-cpu-gomp)")
    expected = {name: int(value) for name, value in constants().items()}
    lines = "".join(f'printf("%d\\n", (int)({name}));' for name in expected)
    source, program = tmp_path / "constants.c", tmp_path / "constants"
    source.write_text(f'#include <stdio.h>\n#include "oneapi/dnnl/dnnl.h"\nint main(void) {{ {lines} return 0; }}\n')
    include = str(HEADER.parents[2])
    subprocess.run([compiler, f"-I{include}", str(source), "-o", str(program)], check=True)
    output = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout
    assert dict(zip(expected, map(int, output.split()), strict=True)) == expected

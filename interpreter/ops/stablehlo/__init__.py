"""The operators of StableHLO that the file format has as builtin ones; importing this registers them.

Their meaning is that of the StableHLO specification; where the reference runtime has a kernel, that of the kernel.
Operands of elementwise operators have one shape: nothing broadcasts.
"""

from . import (
    arithmetic,
    compare,
    control,
    convert,
    convolution,
    custom_call,
    dot,
    elementwise,
    gather,
    layout,
    padding,
    reduce_window,
    reduction,
    rng,
    scatter,
    slicing,
    sort,
)

__all__ = [
    "arithmetic",
    "compare",
    "control",
    "convert",
    "convolution",
    "custom_call",
    "dot",
    "elementwise",
    "gather",
    "layout",
    "padding",
    "reduce_window",
    "reduction",
    "rng",
    "scatter",
    "slicing",
    "sort",
]

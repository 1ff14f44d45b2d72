"""A PAD with zeros before a convolution, or before MAX_POOL_2D, becomes that one's own margins.

@takes_margins(DepthwiseConv2D)
def launch_depthwise(site, bound, x, before): ...       # `bound` reads `x` from `before` rows and columns outside on
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

import numpy as np

from ....interpreter.ops.base import Op, Padding
from ....interpreter.ops.padding import Pad
from ....interpreter.runtime.delegate import BoundNode
from ..groups import Lowering, Matcher, pattern
from ..listing import Operand
from ..lowering import Site

Launch: TypeAlias = Callable[[Site, BoundNode, Operand, tuple[int, int]], "str | None"]
"""Emits a convolution of an image with margins of zeros; a sentence if there is no kernel."""

TAKERS: dict[type[Op], Launch] = {}


AnyLaunch = TypeVar("AnyLaunch", bound=Launch)


def takes_margins(cls: type[Op]) -> Callable[[AnyLaunch], AnyLaunch]:
    """Register how convolutions of a class are launched with margins that a PAD before them adds."""

    def register(launch: AnyLaunch) -> AnyLaunch:
        TAKERS[cls] = launch
        return launch

    return register


def margins(bound: BoundNode) -> tuple[int, int] | None:
    """Rows and columns that a node adds before a float image; None if it adds anything but zeros around images."""
    if not isinstance(bound.op, Pad):
        return None
    paddings, image = bound.ins[1], bound.outs[0]
    if paddings is None or paddings.value is None or paddings.shape != (4, 2):
        return None
    if image.dtype != np.float32 or (len(bound.ins) > 2 and not _is_zero(bound)):
        return None
    sizes = paddings.value
    is_around = not sizes[[0, 3]].any() and (sizes >= 0).all()
    return (int(sizes[1, 0]), int(sizes[2, 0])) if is_around else None


def _is_zero(bound: BoundNode) -> bool:
    constant = bound.ins[2]
    return constant is None or (constant.value is not None and not constant.value.any())


@pattern
def padded_convolution(matcher: Matcher, position: int) -> tuple[Sequence[int], Lowering] | None:
    """PAD with zeros, then what takes margins, without padding of its own, and alone reads it."""
    bound = matcher.nodes[position]
    before = margins(bound)
    reader = None if before is None else matcher.reader(bound.node.outputs[0])
    if before is None or reader is None:
        return None
    convolution = matcher.nodes[reader]
    launch = TAKERS.get(type(convolution.op))
    is_valid = getattr(convolution.op, "padding", None) is Padding.VALID
    if launch is None or not is_valid or convolution.node.inputs[0] != bound.node.outputs[0]:
        return None

    def lower(site: Site) -> str | None:
        return launch(site, convolution, site.ins[0], before)

    return (position, reader), Lowering(lower, tail=True, half=True)

"""L2_NORMALIZATION, and layer and RMS normalisation as converters write them: some ten nodes that become one launch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....interpreter.ops.scan import L2Normalization
from ..groups import Lowering, Matcher, lowers, pattern
from ..kernel import CTYPES
from ..listing import Operand
from ..lowering import Site
from .depthwise import limits
from .normal_form import Norm, find_norm
from .softmax import HALF_OR_SINGLE, team_of


@lowers(L2Normalization, tail=True, half=True)
def unit_norm(site: Site) -> str | None:
    x, clamp = site.ins[0], limits(site.op.fused_activation_function)
    if site.op.is_quantized or x.dtype not in HALF_OR_SINGLE:
        return "its element type has no kernel."
    if clamp is None:
        return "its activation has no kernel."
    assert x.shape is not None
    depth = x.shape[-1]
    rows = x.size // depth
    team = team_of(rows, depth)
    what = site.kernel(
        "unit_norm", "norm.cu",
        ELEMENT=CTYPES[x.dtype], ROW="float", TEAM=team.threads, ITEMS=team.items, CENTERED=0,
    )  # fmt: skip
    site.launch(what, *team.grid(rows), x, site.out, np.uint32(rows), np.uint32(depth), *clamp, *site.tail.arguments)
    return None


@pattern
def layer_norm(matcher: Matcher, position: int) -> tuple[Sequence[int], Lowering] | None:
    found = find_norm(matcher, position)
    return (
        None
        if found is None
        else (found.positions, Lowering(lambda site: _normalize(site, found), tail=True, half=True))
    )


def _normalize(site: Site, norm: Norm) -> str | None:
    operands = {
        t: o
        for bound in site.nodes
        for t, o in zip(bound.node.inputs, site.operands(bound), strict=True)
        if t in norm.reads
    }
    x = operands[norm.x]
    gain, offset = _row(operands, norm.gain), _row(operands, norm.offset)
    rows_of = [o for o in (gain, offset) if o is not None]
    if any(o.dtype not in HALF_OR_SINGLE for o in (x, *rows_of)) or len({o.dtype for o in rows_of}) > 1:
        return "its element types have no kernel."
    rows = x.size // norm.depth
    team = team_of(rows, norm.depth)
    what = site.kernel(
        "layer_norm", "norm.cu",
        ELEMENT=CTYPES[x.dtype], ROW=CTYPES[(rows_of or [x])[0].dtype], TEAM=team.threads, ITEMS=team.items,
        CENTERED=int(norm.is_centered),
    )  # fmt: skip
    site.launch(
        what, *team.grid(rows), x, gain or (*rows_of, x)[0], offset or (*rows_of, x)[0], site.out,
        *(np.uint32(rows), np.uint32(norm.depth), np.float32(norm.epsilon)),
        *(np.int32(gain is not None), np.int32(offset is not None), *site.tail.arguments),
    )  # fmt: skip
    return None


def _row(operands: dict[int, Operand], tensor: int | None) -> Operand | None:
    return None if tensor is None else operands[tensor]

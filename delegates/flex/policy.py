"""Which TensorFlow operators a model may reach, decided without TensorFlow.

A model file is untrusted input, and TensorFlow registers operators that read and write files, run registered Python
functions, end the process or block. "Stateless" does not mean harmless, so what may run is an explicit list (ops.txt).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ...interpreter.errors import InputError
from ...interpreter.format.nodedef import NodeDef, fields

MAX_CONSTANT_BYTES = 256 << 20

_LIST, _TYPE, _TENSOR, _PLACEHOLDER, _FUNCTION = 1, 6, 8, 9, 10  # fields of AttrValue
_LISTED_TENSOR, _LISTED_FUNCTION = 8, 9  # fields of AttrValue.ListValue
_TENSOR_DTYPE, _TENSOR_SHAPE, _SHAPE_DIM, _DIM_SIZE = 1, 2, 2, 1  # fields of TensorProto and its shape
_RESOURCE, _VARIANT = 20, 21  # values of DataType
_MAX_ITEM_BYTES = 16
_LOCAL_CPU = re.compile(r"((/job:localhost)?(/replica:0)?(/task:0)?/(device:)?(CPU|cpu):\d+)?")


@cache
def known_ops(section: str) -> Mapping[str, frozenset[str]]:
    """Operators of a section of ops.txt ("pure" or "codecs"), each with the names of its attributes."""
    text = Path(__file__).with_name("ops.txt").read_text(encoding="ascii")
    lines = text.partition(f"\n[{section}]\n")[2].partition("\n[")[0].splitlines()
    return {name: frozenset(attributes) for name, *attributes in map(str.split, lines) if name != "#"}


@dataclass(frozen=True)
class Policy:
    """The operators that a model may run, and what their nodes may hold.

    `ops` maps a name to the attributes that its nodes may have, None for those that the host listed by name.
    """

    name: str
    ops: Mapping[str, frozenset[str] | None]
    max_constant_bytes: int = MAX_CONSTANT_BYTES

    @classmethod
    def of(cls, policy: str | Iterable[str], max_constant_bytes: int = MAX_CONSTANT_BYTES) -> Policy:
        """ "off": none; "pure": those that only compute; "codecs": also media formats; names: "pure" and these.

        Raises InputError for another word.
        """
        pure = known_ops("pure")
        if policy == "off":
            return cls("off", {}, max_constant_bytes)
        if policy == "pure":
            return cls("pure", pure, max_constant_bytes)
        if policy == "codecs":
            return cls("codecs", {**pure, **known_ops("codecs")}, max_constant_bytes)
        if isinstance(policy, str) or not isinstance(policy, Iterable):
            hint = "Pass a list to name operators."
            raise InputError(f'flex policy {policy!r} is none of "off", "pure", "codecs"', where="policy", hint=hint)
        listed = dict.fromkeys(policy)
        codecs = known_ops("codecs") if listed.pop("codecs", False) is None else {}
        return cls("names", {**listed, **pure, **codecs}, max_constant_bytes)

    def refuses(self, node: NodeDef) -> str | None:
        """Why a node may not run, as a sentence; None if it may. Raises GraphError for a malformed one."""
        if not self.ops:
            return f"TensorFlow operator {node.op} may not run: the flex policy is off."
        if node.op not in self.ops:
            return f"TensorFlow operator {node.op} is not allowed by the flex policy {self.name!r}."
        if not _LOCAL_CPU.fullmatch(node.device):
            return f"TensorFlow operator {node.op} asks for device {node.device!r}, and only the local CPU runs it."
        if any(name.startswith("^") for name in node.inputs):
            return f"TensorFlow operator {node.op} has control inputs, which a .tflite file can't hold."
        accepted = self.ops[node.op]
        for name, value in node.attributes.items():
            if name.startswith("_"):
                continue  # notes of TensorFlow's own, which are not handed on
            if accepted is not None and name not in accepted:
                return f"TensorFlow operator {node.op} has no attribute {name!r}."
            reason = self._refuses_attribute(value)
            if reason is not None:
                return f"attribute {name!r} of TensorFlow operator {node.op} {reason}."
        return None

    def _refuses_attribute(self, value: bytes) -> str | None:
        for number, content in fields(value):
            if number in (_FUNCTION, _PLACEHOLDER):
                return "is a function, which a .tflite file can't hold"
            if number == _TENSOR and isinstance(content, bytes):
                return self._refuses_constant(content)
            if number == _LIST and isinstance(content, bytes):
                numbers = {n for n, _ in fields(content)}
                if not numbers.isdisjoint((_LISTED_FUNCTION, _LISTED_TENSOR)):
                    return "is a list of functions or tensors, which no allowed operator takes"
        return None

    def _refuses_constant(self, tensor: bytes) -> str | None:
        sizes = [1]
        for number, content in fields(tensor):
            if number == _TENSOR_DTYPE and content in (_RESOURCE, _VARIANT):
                return "is a constant resource or variant, which could reach into other models"
            if number == _TENSOR_SHAPE and isinstance(content, bytes):
                dims = (dict(fields(dim)) for n, dim in fields(content) if n == _SHAPE_DIM and isinstance(dim, bytes))
                sizes = [size for dim in dims if isinstance(size := dim.get(_DIM_SIZE, 0), int)]
        nbytes = max(len(tensor), math.prod(sizes) * _MAX_ITEM_BYTES)
        if nbytes > self.max_constant_bytes:
            return f"is a constant of up to {nbytes} bytes, over the limit of {self.max_constant_bytes}"
        return None

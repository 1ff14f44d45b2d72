"""What a conversion aims at: which operators and element types the file may hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from ..interpreter.errors import ConversionError


class OpsSet(Enum):
    """Kinds of operators that a file may hold; `tf.lite.OpsSet` values of these names are accepted too."""

    TFLITE_BUILTINS = "TFLITE_BUILTINS"
    TFLITE_BUILTINS_INT8 = "TFLITE_BUILTINS_INT8"
    SELECT_TF_OPS = "SELECT_TF_OPS"


class Optimize(Enum):
    """What quantisation may trade for, named as in `tf.lite.Optimize`."""

    DEFAULT = "DEFAULT"
    OPTIMIZE_FOR_SIZE = "OPTIMIZE_FOR_SIZE"
    OPTIMIZE_FOR_LATENCY = "OPTIMIZE_FOR_LATENCY"


@dataclass
class TargetSpec:
    """The runtime that the file is for."""

    supported_ops: Iterable[Any] = field(default_factory=lambda: {OpsSet.TFLITE_BUILTINS})
    supported_types: Iterable[Any] = ()


Member = TypeVar("Member", bound=Enum)


def members(kind: type[Member], values: Iterable[Any], what: str) -> frozenset[Member]:
    """`values` as members of `kind`, by identity, name or value. Raises ConversionError for others."""
    return frozenset(_member(kind, value, what) for value in values)


def _member(kind: type[Member], value: Any, what: str) -> Member:
    name = getattr(value, "name", value)
    if isinstance(name, str) and name in kind.__members__:
        return kind[name]
    raise ConversionError(f"{what} holds {value!r}, which is not supported; {', '.join(kind.__members__)} are.")

"""Drafts of one-op models: operands with open element types, which become a model once kinds are chosen for them.

    @recipe("ADD", "SUB")
    def additive(c: Chooser, operator: str) -> Draft:
        a, b = broadcast_pair(c)
        return Draft([Slot("A", a), Slot("B", b)], [Out("C", Range(-6, 6))], {"fused_activation_function": c.pick(...)})

A slot names a *variable*; all slots of one variable get the same kind. The probe tries every kind for every variable,
so a recipe says nothing of what the reference accepts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np

from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import ABSENT, Graph, Model, Node, Quantization, Tensor, TensorType

from .kinds import KINDS, Kind, Range, Scheme, coarse_quantization, quantization, stored, values

Item = TypeVar("Item")
Assignment: TypeAlias = Mapping[str, "Kind | None"]
"""Kinds by variable; None leaves an optional operand out."""


class Chooser(Protocol):
    """Makes the free choices of a recipe: shapes, attributes, values."""

    def integer(self, low: int, high: int) -> int:
        """A number from low to high."""

    def pick(self, options: Sequence[Item]) -> Item:
        """One of several."""

    @property
    def rng(self) -> np.random.Generator:
        """For values."""


class Plain:
    """The first option, the middle of each range: what the probe uses, so that attributes do not get in the way."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(7)

    def integer(self, low: int, high: int) -> int:
        return (low + high + 1) // 2

    def pick(self, options: Sequence[Item]) -> Item:
        return options[0]


SPAN = Range(-3.0, 3.0)


@dataclass(frozen=True, kw_only=True)
class _Typed:
    reach: Range = SPAN
    fixed: Mapping[TensorType, tuple[float, int]] = field(default_factory=dict)  # scale and zero point by type
    like: str = ""  # variable whose quantisation this tensor shares, where their kinds are equal
    axis: int = 0  # of the channels, for kinds with a scale per channel
    kinds: Sequence[Kind | None] = KINDS  # what to try


@dataclass(frozen=True)
class Slot(_Typed):
    """An operand."""

    variable: str
    shape: tuple[int, ...]
    data: Any = None  # values, cast to the kind's dtype; None for random ones
    constant: bool = False
    state: bool = False  # a variable tensor, zeros at first
    product_of: tuple[str, str] | None = None  # variables whose scales multiply to this one's (biases)


@dataclass(frozen=True)
class Out(_Typed):
    """A result."""

    variable: str
    rescaled: bool = False  # has a scale of its own though it is of an operand's kind
    shape: tuple[int, ...] | None = None  # what the model declares; None for not even a rank


@dataclass(frozen=True)
class TypeOf:
    """Stands for the element type of a variable among the attributes, the schema's default for an absent operand."""

    variable: str


@dataclass(frozen=True)
class Draft:
    """One operator, its operands' kinds still open."""

    inputs: Sequence[Slot | None]
    outputs: Sequence[Out]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    intermediates: Sequence[Quantization | None] = ()
    steps: int = 0  # of the stored integer, by which results may differ
    tolerance: float = 1e-5  # relative, of floating-point results
    random: bool = False  # only shapes and types can be compared
    of_bytes: bool = False  # the result is made of bytes, equal or not, and kinds can't be held against each other
    unsound: Sequence[str] = ()  # labels of kinds that the reference gets wrong with these shapes and attributes

    @property
    def variables(self) -> dict[str, Sequence[Kind | None]]:
        """Kinds to try, by variable, in the order of the operands."""
        typed = [s for s in (*self.inputs, *self.outputs) if s is not None]
        kinds: dict[str, Sequence[Kind | None]] = {}
        for each in typed:
            kinds.setdefault(each.variable, each.kinds)
        return kinds


Recipe: TypeAlias = Callable[[Chooser, str], Draft]
RECIPES: dict[str, Recipe] = {}


def recipe(*operators: str) -> Callable[[Recipe], Recipe]:
    """Register how drafts of these operators are made."""

    def register(make: Recipe) -> Recipe:
        for operator in operators:
            assert operator not in RECIPES, operator
            RECIPES[operator] = make
        return make

    return register


@dataclass(frozen=True)
class Sample:
    """A model of one operator and what to feed it."""

    model: bytes
    feeds: tuple[Any, ...]
    outputs: tuple[tuple[Kind, Quantization | None], ...]


def build(
    draft: Draft,
    operator: str,
    version: int,
    kinds: Assignment,
    rng: np.random.Generator,
    *,
    units: Mapping[str, int] | None = None,
) -> Sample:
    """The model that a draft becomes with these kinds; with `units`, values are integers from units[variable] to 1."""
    builder = _Builder(kinds, rng, units)
    ins = tuple(builder.operand(slot) for slot in draft.inputs)
    outs = tuple(builder.result(out) for out in draft.outputs)
    scratch = tuple(builder.scratch(q) for q in draft.intermediates)
    attributes = {k: _resolved(v, kinds) for k, v in draft.attributes.items()}
    node = Node(
        0, operator, ins, outs, attributes, version=version, custom=not operator.isupper(), intermediates=scratch
    )
    graph = Graph(0, "main", tuple(builder.tensors), (node,), tuple(builder.fed), outs)
    return Sample(write_model(Model((graph,))), tuple(builder.feeds), tuple(builder.results))


def _resolved(value: Any, kinds: Assignment) -> Any:
    if isinstance(value, TypeOf):
        kind = kinds[value.variable]
        return TensorType.FLOAT32 if kind is None else kind.type
    return value


class _Builder:
    """Collects the tensors of a one-op model."""

    def __init__(self, kinds: Assignment, rng: np.random.Generator, units: Mapping[str, int] | None) -> None:
        self.kinds, self.rng, self.units = kinds, rng, units
        self.tensors: list[Tensor] = []
        self.fed: list[int] = []
        self.feeds: list[Any] = []
        self.results: list[tuple[Kind, Quantization | None]] = []
        self._scales: dict[str, Quantization | None] = {}

    def operand(self, slot: Slot | None) -> int:
        kind = None if slot is None else self.kinds[slot.variable]
        if slot is None or kind is None:
            return ABSENT
        q = self._quantization(slot, kind, slot.shape)
        data = self._values(slot, kind, q)
        index = len(self.tensors)
        # of a string alone that is fed, the reference's Python binding reads the object's address
        fixed = slot.constant or (kind.type is TensorType.STRING and not slot.shape)
        self.tensors.append(
            Tensor(
                f"input{index}",
                kind.type,
                slot.shape,
                quantization=q,
                data=data if fixed else None,
                is_variable=slot.state,
            )
        )
        if not (fixed or slot.state):
            self.fed.append(index)
            self.feeds.append(data)
        return index

    def result(self, out: Out) -> int:
        kind = self.kinds[out.variable]
        assert kind is not None
        q = self._quantization(out, kind, ())
        self.results.append((kind, q))
        name, ranked = f"output{len(self.tensors)}", out.shape is not None
        self.tensors.append(Tensor(name, kind.type, out.shape or (), has_rank=ranked, quantization=q))
        return len(self.tensors) - 1

    def scratch(self, q: Quantization | None) -> int:
        self.tensors.append(Tensor(f"scratch{len(self.tensors)}", TensorType.INT16, (), quantization=q))
        return len(self.tensors) - 1

    def _values(self, slot: Slot, kind: Kind, q: Quantization | None) -> Any:
        if slot.data is None and self.units is not None:
            low = 1 if slot.reach.low > 0 else self.units[slot.variable]
            return stored(kind, self.rng.integers(low, 2, slot.shape), q)
        if slot.data is None:
            return values(kind, slot.shape, slot.reach, q, self.rng)
        given = np.asarray(slot.data)
        if kind.type is TensorType.STRING:
            return np.array([str(v).encode() for v in given.ravel()], object).reshape(given.shape)
        return given.astype(kind.type.dtype)

    def _quantization(self, typed: Slot | Out, kind: Kind, shape: tuple[int, ...]) -> Quantization | None:
        if kind.scheme is Scheme.NONE:
            q = None
        elif isinstance(typed, Out) and typed.variable in self._scales and not typed.rescaled:
            q = self._scales[typed.variable]
        elif typed.like and self.kinds.get(typed.like) == kind:
            q = self._scales[typed.like]
        elif kind.type in typed.fixed:
            scale, zero = typed.fixed[kind.type]
            q = Quantization(np.float32([scale]), np.int64([zero]))
        elif isinstance(typed, Slot) and typed.product_of is not None and (product := self._product(typed.product_of)):
            q = product
        else:
            channels = shape[typed.axis] if len(shape) > typed.axis else 1
            make = quantization if self.units is None else coarse_quantization
            q = make(kind, typed.reach, channels, typed.axis, self.rng)
        self._scales.setdefault(typed.variable, q)
        return q

    def _product(self, variables: tuple[str, str]) -> Quantization | None:
        first, second = (self._scales.get(v) for v in variables)
        if first is None or second is None:
            return None
        scales = np.float32(first.scales * second.scales)
        return Quantization(scales, np.zeros(len(scales), np.int64), 0)

"""Generated code: elementwise nodes as one device function, `finish`, that a kernel calls for each element it makes.

    #define TAIL_PARAMETERS , const float* e0, const int s0         parameters that the kernel adds to its own
    #define FINISH(out, index, value) finish(out, index, value, e0, s0)
    __device__ void finish(float* out, unsigned index, float value, const float* e0, const int s0) {...}

`value` is the element of the head's result at the flat `index`. What differs between layers alike (sizes, scales) is a
parameter, not text, so that they share a kernel. Where all operands can be read 4 elements at a time there is also
`FINISH_4(out, first, values)`, for an array of the 4 values from an index on that is a multiple of 4.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ...interpreter.graph import ABSENT, Shape, TensorSpec
from ...interpreter.ops.base import Op
from ...interpreter.runtime.delegate import BoundNode
from .kernel import CTYPES, SCALARS
from .listing import Argument, Operand, constant

HALF = np.dtype(np.float16)

WIDTH = 4
"""Elements that `FINISH_4` makes."""

PASSED: Mapping[np.dtype[Any], str] = {
    np.dtype(np.float32): "float",
    np.dtype(np.float64): "double",
    HALF: "float",
    np.dtype(np.int64): "long long",
    np.dtype(np.uint32): "unsigned",
    **dict.fromkeys((np.dtype(t) for t in (np.bool_, np.int8, np.uint8, np.int16, np.uint16, np.int32)), "int"),
}
"""The type of the parameter by which one element of a type is passed."""


def value_type(dtype: np.dtype[Any]) -> str:
    """The type in which kernels compute: half_t is widened to float."""
    return "float" if dtype == HALF else CTYPES[dtype]


def loaded(dtype: np.dtype[Any], expression: str) -> str:
    """An element in memory as a value."""
    return f"half_to_float({expression})" if dtype == HALF else expression


def stored(dtype: np.dtype[Any], expression: str) -> str:
    """A value as an element in memory."""
    return f"float_to_half({expression})" if dtype == HALF else expression


Expression: TypeAlias = Callable[..., "str | None"]
"""expression(writer, op, *operands) -> C expression of the result's value type; None where it has none. Operands are
names of variables; one that is absent or not read is None."""

Reads: TypeAlias = Callable[[BoundNode], "Sequence[Shape | None]"]
"""The shapes in which a node reads its operands, which broadcast to its result; None for one that it does not read."""


@dataclass(frozen=True, slots=True, eq=False)
class Expressed:
    """An elementwise operator."""

    write: Expression
    reads: Reads


EXPRESSIONS: dict[type[Op], list[Expressed]] = {}
"""Candidates by operator; the first that has an expression for a node writes it."""


def _as_they_are(bound: BoundNode) -> Sequence[Shape | None]:
    return [None if spec is None else spec.shape for spec in bound.ins]


def expresses(*classes: type[Op], reads: Reads = _as_they_are) -> Callable[[Expression], Expression]:
    """Register the expression of elementwise operators."""

    def register(expression: Expression) -> Expression:
        for cls in classes:
            EXPRESSIONS.setdefault(cls, []).append(Expressed(expression, reads))
        return expression

    return register


class Line(NamedTuple):
    """A statement: as it stands where one element is made, and where a loop over `WIDTH` of them is."""

    one: str
    before: str  # the loop
    each: str  # inside it


class Writer:
    """Collects the parameters and lines of one `finish`.

    shape: of the result of the node that is being written; all nodes have as many elements.
    width: of how many elements in a row one thread may load and store all at once.
    prefix: what names of parameters start with.
    """

    def __init__(self, shape: Sequence[int], prefix: str = "") -> None:
        self.shape, self._prefix = tuple(shape), prefix
        self.width = WIDTH if math.prod(shape) % WIDTH == 0 else 1
        self.parameters: list[str] = []
        self.arguments: list[Argument] = []
        self.lines: list[Line] = []
        self.files = {"math.cuh": None}
        self._loaded: dict[tuple[object, ...], str] = {}

    def scalar(self, ctype: str, value: float) -> str:
        """The name of a parameter with this value: "int", "unsigned", "long long", "float" or "double"."""
        return self._parameter(f"const {ctype}", SCALARS[ctype](value))

    def include(self, file: str) -> None:
        """Make what a file of `cuda/` declares known to the expressions."""
        self.files[file] = None

    def table(self, values: np.ndarray) -> str:
        """The name of a pointer to host numbers."""
        operand = constant(values)
        return self._parameter(f"const {CTYPES[operand.dtype]}* __restrict__", operand)

    def line(self, ctype: str, expression: str) -> str:
        """The name of a new variable. The expression may use `index`, the number of the element."""
        name = f"v{len(self.lines)}_"
        statement = f"const {ctype} {name} = {expression};"
        self.lines.append(Line(statement, "", statement))
        return name

    def load(self, operand: Operand, shape: Sequence[int] | None = None) -> str:
        """The name of a variable with the element that broadcasting gives at `index`; `shape`: to read it in."""
        shape = tuple((operand.shape or ()) if shape is None else shape)
        key = id(operand.block), operand.offset, shape, self.shape
        if key not in self._loaded:
            self._loaded[key] = self._known(operand) or self._load(operand, broadcast_terms(shape, self.shape))
        return self._loaded[key]

    def array(self, values: np.ndarray, whole: Sequence[int] | None = None) -> str:
        """The name of a variable with the element of host numbers that broadcasting gives.

        whole: another shape for the result to which they broadcast.
        """
        operand = constant(values)
        return self._known(operand) or self._load(operand, broadcast_terms(values.shape, whole or self.shape))

    def coordinate(self, divisor: int, size: int) -> str:
        """C expression of index / divisor % size."""
        return f"index / {self.scalar('unsigned', divisor)} % {self.scalar('unsigned', size)}"

    def function(self, name: str, ctype: str, result: str) -> str:
        """C code of the lines as a function of (index, value), for kernels that call it by macro: for `name` "score"
        there are SCORE(index, value) and SCORE_PARAMETERS, which follow the kernel's own parameters.

        result: the variable that it returns, or "value", of type `ctype`, too.
        """
        parameters = "".join(f", {p}" for p in self.parameters)
        given = "".join(f", {p.split()[-1]}" for p in self.parameters)
        included = "".join(f'#include "{file}"\n' for file in self.files)
        lines = "".join(f"    {line.one}\n" for line in self.lines)
        return (
            f"{included}#define {name.upper()}_PARAMETERS {parameters.strip()}\n"
            f"#define {name.upper()}(index, value) {name}_of(index, value{given})\n"
            f"__device__ __forceinline__ {ctype} {name}_of(const unsigned index, const {ctype} value{parameters}) {{\n"
            f"{lines}    return {result};\n}}\n"
        )

    def _known(self, operand: Operand) -> str | None:
        """The parameter that holds a constant of one element."""
        data, ctype = operand.block.data, PASSED.get(operand.dtype)
        if operand.size != 1 or data is None or ctype is None:
            return None
        return self.scalar(ctype, data.reshape(-1)[operand.offset // operand.dtype.itemsize])

    def _load(self, operand: Operand, terms: Sequence[Term]) -> str:
        pointer = self._parameter(f"const {CTYPES[operand.dtype]}* __restrict__", operand)
        index = self._index(terms)
        name, vector = f"v{len(self.lines)}_", f"p{len(self.lines)}_"
        start = f"const {value_type(operand.dtype)} {name} = "
        one = f"{start}{loaded(operand.dtype, f'{pointer}[{index}]')};"
        first = index.replace("index", "first")
        if terms and terms[0].divisor == 1:
            many = (
                f"const Vector<{CTYPES[operand.dtype]}, {WIDTH}> {vector} = load_vector<{WIDTH}>({pointer} + {first});"
            )
            self.lines.append(Line(one, many, f"{start}{loaded(operand.dtype, f'{vector}.at[i]')};"))
            steady = terms[0].size % WIDTH == 0 and operand.offset % min(WIDTH * operand.dtype.itemsize, 16) == 0
        else:
            self.lines.append(Line(one, f"{start}{loaded(operand.dtype, f'{pointer}[{first}]')};", ""))
            steady = not terms or terms[0].divisor % WIDTH == 0
        self.width = self.width if steady else 1
        return name

    def _index(self, terms: Sequence[Term]) -> str:
        parts = []
        for divisor, size, stride, is_outermost in terms:
            part = "index" if divisor == 1 else f"index / {self.scalar('unsigned', divisor)}"
            part = part if is_outermost else f"{part} % {self.scalar('unsigned', size)}"
            parts.append(part if stride == 1 else f"{part} * {self.scalar('unsigned', stride)}")
        return " + ".join(parts) or "0"

    def _parameter(self, declared: str, argument: Argument) -> str:
        name = f"{self._prefix}{'e' if isinstance(argument, Operand) else 's'}{len(self.parameters)}"
        self.parameters.append(f"{declared} {name}")
        self.arguments.append(argument)
        return name


class Term(NamedTuple):
    """A run of dimensions that are not broadcast: index / divisor % size * stride is their part of an index."""

    divisor: int
    size: int
    stride: int
    is_outermost: bool  # nothing lies outside it, so that % size is not needed


def broadcast_terms(shape: Sequence[int], whole: Sequence[int]) -> list[Term]:
    """Of which terms the index into an operand of `shape` is the sum, in a result of shape `whole`; innermost first."""
    if math.prod(shape) == 1:
        return []
    padded = (1,) * (len(whole) - len(shape)) + tuple(shape)
    runs: list[list[int]] = []  # [divisor, size, stride]
    divisor = stride = 1
    was_broadcast = True
    for size, full in zip(reversed(padded), reversed(tuple(whole)), strict=True):
        if full == 1:
            continue
        if size != 1:
            if was_broadcast:
                runs.append([divisor, full, stride])
            else:
                runs[-1][1] *= full
        was_broadcast = size == 1
        divisor *= full
        stride *= size
    return [Term(d, n, s, d * n == divisor) for d, n, s in runs]


@dataclass(frozen=True, slots=True, eq=False)
class Tail:
    """What a kernel's text and launch need of its elementwise tail; without nodes it stores the value as it is.

    width: WIDTH where the text has `FINISH_4`, else 1.
    """

    code: str
    arguments: tuple[Argument, ...]
    nodes: tuple[BoundNode, ...]
    width: int


def is_expressible(bound: BoundNode) -> bool:
    """Whether a node can be part of a tail."""
    return _expressed(bound) is not None


def _expressed(bound: BoundNode) -> Expressed | None:
    """What writes a node; None if nothing does."""
    specs = [s for s in (*bound.ins, *bound.outs) if s is not None]
    if len(bound.outs) != 1 or any(s.shape is None or s.dtype not in CTYPES for s in specs):
        return None
    if not 0 < (bound.outs[0].size or 0) < 1 << 31:
        return None
    for expressed in EXPRESSIONS.get(type(bound.op), ()):
        names = [None if shape is None else f"x{i}" for i, shape in enumerate(expressed.reads(bound))]
        if expressed.write(Writer(bound.outs[0].shape or ()), bound.op, *names) is not None:
            return expressed
    return None


def write_tail(
    nodes: Sequence[BoundNode], out: Operand, operand_of: Callable[[int], Operand], head: tuple[int, TensorSpec] | None
) -> Tail:
    """The code of `nodes`, the last of which makes `out`.

    head: the tensor that the kernel itself makes, with its spec; None where the nodes read all from memory.
    """
    writer = Writer(out.shape or ())
    names = {} if head is None else {head[0]: "value"}
    write_nodes(writer, nodes, names, operand_of)
    last = names[nodes[-1].node.outputs[0]] if nodes else "value"
    kind = value_type(head[1].dtype) if head else "int"
    code = _text(writer, out, kind, last)
    return Tail(code, tuple(writer.arguments), tuple(nodes), writer.width)


def write_nodes(
    writer: Writer, nodes: Sequence[BoundNode], names: dict[int, str], operand_of: Callable[[int], Operand]
) -> None:
    """Write the nodes' expressions; `names`, of the variables that hold tensors, gets those of their results."""
    for bound in nodes:
        writer.shape = bound.outs[0].shape or ()
        expressed = _expressed(bound)
        assert expressed is not None, bound.node
        operands = [
            _name(tensor, shape, names, operand_of, writer)
            for tensor, shape in zip(bound.node.inputs, expressed.reads(bound), strict=True)
        ]
        expression = expressed.write(writer, bound.op, *operands)
        assert expression is not None, bound.node
        dtype = bound.outs[0].dtype
        rounded = f"half_round({expression})" if dtype == HALF else expression
        names[bound.node.outputs[0]] = writer.line(value_type(dtype), rounded)


def _name(
    tensor: int, shape: Shape | None, names: dict[int, str], operand_of: Callable[[int], Operand], writer: Writer
) -> str | None:
    if tensor == ABSENT or shape is None:
        return None
    return names.get(tensor) or writer.load(operand_of(tensor), shape)


def _text(writer: Writer, out: Operand, kind: str, last: str) -> str:
    parameters = "".join(f", {p}" for p in writer.parameters)
    names = "".join(f", {p.split()[-1]}" for p in writer.parameters)
    included = "".join(f'#include "{file}"\n' for file in writer.files)
    text = (
        f"{included}#define OUT {CTYPES[out.dtype]}\n#define VALUE {kind}\n"
        f"#define TAIL_PARAMETERS {parameters.strip()}\n"
        f"#define FINISH(out, index, value) finish(out, index, value{names})\n"
        f"__device__ __forceinline__ void finish(OUT* out, const unsigned index, const VALUE value{parameters}) {{\n"
        f"{_indented(4, (line.one for line in writer.lines))}"
        f"    out[index] = {stored(out.dtype, last)};\n}}\n"
    )
    if writer.width == 1:
        return text
    each = [*(line.each for line in writer.lines if line.each), f"result.at[i] = {stored(out.dtype, last)};"]
    given = {"index": "const unsigned index = first + i;", "value": "const VALUE value = values[i];"}
    used = [line for name, line in given.items() if re.search(rf"\b{name}\b", " ".join(each))]
    return text + (
        f"#define FINISH_{WIDTH}(out, first, values) finish_{WIDTH}(out, first, values{names})\n"
        f"__device__ __forceinline__ void finish_{WIDTH}(OUT* out, const unsigned first, "
        f"const VALUE (&values)[{WIDTH}]{parameters}) {{\n"
        f"{_indented(4, (line.before for line in writer.lines))}"
        f"    Vector<OUT, {WIDTH}> result;\n"
        f"#pragma unroll\n"
        f"    for (int i = 0; i < {WIDTH}; ++i) {{\n"
        f"{_indented(8, [*used, *each])}    }}\n"
        f"    store_vector(out + first, result);\n}}\n"
    )


def _indented(spaces: int, lines: Iterable[str]) -> str:
    return "".join(f"{' ' * spaces}{line}\n" for line in lines if line)


def readers(nodes: Iterable[BoundNode]) -> dict[int, list[int]]:
    """Per tensor, the positions of the nodes that read it."""
    found: dict[int, list[int]] = {}
    for position, bound in enumerate(nodes):
        for tensor in dict.fromkeys(bound.node.inputs):
            found.setdefault(tensor, []).append(position)
    return found

"""Custom operators of the user's own: a Python function is one.

@custom_op("Scale")
def scale(xp, x, *, factor=1.0):
    return xp.multiply(x, x.dtype.type(factor))
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from functools import update_wrapper
from types import MappingProxyType
from typing import Any, TypeVar

from ..errors import InputError
from ..graph import TensorType
from .base import ANY, Op, TypeSet
from .binding import class_of_custom
from .python_op import Function, Parameters, PythonOp, function_name, op_class

AnyFunction = TypeVar("AnyFunction", bound=Function)


class CustomOp:
    """A custom operator; made by `custom_op`. Calling it calls the function that it was made of."""

    def __init__(
        self,
        name: str,
        function: Function,
        *,
        types: Iterable[Any] = (),
        gpu: Function | None = None,
        infer: Function | None = None,
        effects: bool = False,
        replace: bool = False,
    ) -> None:
        """See `custom_op`; registers nothing."""
        if not isinstance(name, str) or not name:
            raise InputError(f"a custom operator's name is the custom code in the model, got {name!r}")
        if not replace and class_of_custom(name):
            what = f"operator {name} is there already: tflite_cupy runs it itself."
            raise InputError(what, hint=f"custom_op({name!r}, replace=True) puts yours in its place.")
        self.name, self.replace = name, replace
        self.parameters = Parameters(function)
        self.gpu_parameters: Parameters | None = None
        self.shape_function: Parameters | None = None
        self.op_class: type[PythonOp] = op_class(name, self, tuple(map(_type_set, types)), effects=effects)
        update_wrapper(self, function)
        if gpu is not None:
            self.gpu(gpu)
        if infer is not None:
            self.infer(infer)

    def __call__(self, *arguments: Any, **attributes: Any) -> Any:
        return self.parameters.function(*arguments, **attributes)

    def __repr__(self) -> str:
        return f"CustomOp({self.name!r})"

    def gpu(self, function: AnyFunction) -> AnyFunction:
        """Decorate the body that runs on GPUs, on CuPy arrays; it takes the same operands and attributes."""
        parameters = Parameters(function)
        differs = [
            what
            for what, ours, theirs in (
                ("operands", [p.name for p in self.parameters.operands], [p.name for p in parameters.operands]),
                ("attributes", set(self.parameters.attributes), set(parameters.attributes)),
            )
            if ours != theirs
        ]
        if differs:
            raise InputError(f"the GPU body of {self.name} takes other {' and '.join(differs)} than its host body")
        self.gpu_parameters = parameters
        self.op_class.host_only = False
        return function

    def infer(self, function: AnyFunction) -> AnyFunction:
        """Decorate the shape function: `TensorSpec`s of the operands (None for absent ones) -> the outputs' shapes.

        Each a tuple of sizes, None where it depends on values, or a TensorSpec; several outputs in a tuple. It is
        given the attributes that it names. `spec.shape` is known, `spec.value` is the value of a constant.
        """
        self.shape_function = Parameters(function)
        return function


def custom_op(
    name: str,
    *,
    types: Iterable[Any] = (),
    cupy: Function | None = None,
    infer: Function | None = None,
    effects: bool = False,
    replace: bool = False,
    register: bool = True,
) -> Callable[[Function], CustomOp]:
    """Make a Python function the meaning of a model's custom operator `name` (its custom code).

        @custom_op("Scale")
        def scale(xp, x, *, factor=1.0):
            return xp.multiply(x, x.dtype.type(factor))

        @scale.infer
        def _(x):
            return x.shape

    Positional parameters are the operands: arrays, read-only, None for an absent one with default None; `*inputs` takes
    any number. Keyword-only ones are attributes of the options' FlexBuffer map, by name; `**attributes` takes all. Text
    arrives as bytes, or as str where the default or annotation is one. Three names are ours:

    - `xp`, first: the array module, numpy or cupy, so that one body serves both. Without it the body runs on the host,
      on NumPy arrays; strings are object arrays of bytes.
    - `custom_options`, keyword-only, instead of attributes: the raw bytes of options that are no FlexBuffer map.
    - `node`, keyword-only: what the model declares: `node.ins`, `node.outs` (`TensorSpec`s with type and quantisation),
      `node.version`.

    The result is an array, or a tuple of arrays for several outputs, of the dtypes that the model declares; numbers,
    lists and str are converted.

    types: element types that each operand may have, the last entry for all further ones; each a dtype, a `TensorType`,
        several in a tuple, or None for any. Other nodes are refused before they run.
    cupy: a body of its own for GPUs, the same as `@my_op.gpu`.
    infer: the shape function, the same as `@my_op.infer`; without it shapes are known after the body ran.
    effects: the body is random, keeps state or acts on the world: it is never folded, dropped or reordered.
    replace: take the place of an operator of that name that is registered already, or that this package has.
    register: False keeps it out of the process-wide registry, for `Interpreter(custom_ops=[my_op])` alone.

    Interpreters know the operators that were registered before they were made. Raises InputError for a name that is
    taken and a function that can't be a body. What a body raises leaves the call as KernelError, which names the node
    and has the original as its `__cause__`.
    """

    def decorate(function: Function) -> CustomOp:
        made = CustomOp(name, function, types=types, gpu=cupy, infer=infer, effects=effects, replace=replace)
        if register:
            _registry.add(made)
        return made

    return decorate


class _Registry:
    """Custom operators of this process by name. Thread-safe: a snapshot never changes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.snapshot: Mapping[str, CustomOp] = MappingProxyType({})

    def add(self, op: CustomOp) -> None:
        with self._lock:
            _require_new(op, self.snapshot)
            self.snapshot = MappingProxyType({**self.snapshot, op.name: op})


_registry = _Registry()


def known_custom_ops(own: CustomOp | Iterable[CustomOp] = ()) -> Mapping[str, type[Op]]:
    """Operator classes by custom code: those of one interpreter's `own`, then those registered for the process.

    Raises InputError for what is no CustomOp, and for two of `own` with the same name.
    """
    added: dict[str, CustomOp] = {}
    for op in [own] if isinstance(own, CustomOp) else own:
        if not isinstance(op, CustomOp):
            hint = 'Decorate the function: @custom_op("Name", register=False).'
            raise InputError(f"{op!r} is no custom operator.", where="custom_ops", hint=hint)
        _require_new(op, added)
        added[op.name] = op
    return {name: op.op_class for name, op in {**_registry.snapshot, **added}.items()}


def _require_new(op: CustomOp, known: Mapping[str, CustomOp]) -> None:
    if op.name in known and known[op.name] is not op and not op.replace:
        other = known[op.name].parameters.function
        raise InputError(
            f"custom operator {op.name} is registered already, with the function {function_name(other)}.",
            hint=f"custom_op({op.name!r}, replace=True) puts yours in its place.",
        )


def _type_set(types: Any) -> TypeSet:
    if types is None:
        return ANY
    listed = types if isinstance(types, tuple | list | set | frozenset) else [types]
    try:
        return frozenset(t if isinstance(t, TensorType) else TensorType.of(t) for t in listed)
    except (KeyError, TypeError) as error:
        raise InputError(f"types={types!r} names no element type of a model: {error}") from error

"""Variables and hash tables: operators on resources, which belong to one interpreter and outlive its calls."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np

from ..errors import KernelError
from ..graph import Array, TensorSpec, TensorType
from .base import ANY, INT32, INT64, RESOURCE, STRING, StatefulOp, op

_Kind = TypeVar("_Kind")


class Memory(Protocol):
    """Where arrays live (`runtime.delegate.Space`)."""

    @property
    def name(self) -> str: ...

    def put(self, host: np.ndarray) -> Array: ...

    def get(self, arrays: Sequence[Array]) -> list[np.ndarray]: ...

    def mark(self) -> Any: ...

    def follow(self, mark: Any) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class _Copy:
    """A variable's value in one memory, None for the host's; complete once its maker's work has passed `mark`."""

    memory: Memory | None
    array: Array
    mark: Any = None


_HOST = "host"


class Variable:
    """A mutable tensor. Reads and assignments are atomic; the arrays it hands out never change.

    The value lives in the memory that it was assigned in, and is copied to another one when it is first read there.
    """

    __slots__ = ("_copies", "_lock", "name")

    def __init__(self, name: str, value: np.ndarray | None = None) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._copies = {} if value is None else {_HOST: _Copy(None, value)}

    def read(self, memory: Memory | None = None) -> Array:
        """The current value in `memory`, by default the host's, read-only. Raises KernelError if there is none yet."""
        name = _HOST if memory is None else memory.name
        with self._lock:
            if not self._copies:
                raise KernelError(f"variable {self.name!r} is read before it is assigned.")
            if name not in self._copies:
                self._copies[name] = _copied(next(iter(self._copies.values())), None if name == _HOST else memory)
            copy = self._copies[name]
        if memory is not None and copy.memory is not None:
            memory.follow(copy.mark)
        return copy.array

    def assign(self, value: Array, memory: Memory | None = None) -> None:
        """Replace the value by a copy of `value`, an array in `memory`."""
        if memory is None or memory.name == _HOST:
            copies = {_HOST: _Copy(None, _frozen(np.array(value, copy=True)))}
        else:
            array = value.copy()
            copies = {memory.name: _Copy(memory, array, memory.mark())}
        with self._lock:
            self._copies = copies

    def advance(self, step: np.ndarray) -> np.ndarray:
        """Add `step` to the value, and give the value before; no other call comes in between."""
        with self._lock:
            value: np.ndarray = self._copies[_HOST].array
            self._copies = {_HOST: _Copy(None, _frozen(value + step))}
        return value


def _frozen(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array


def _copied(copy: _Copy, memory: Memory | None) -> _Copy:
    """The value in another memory, by way of the host's."""
    host = copy.array
    if copy.memory is not None:
        copy.memory.follow(copy.mark)
        (host,) = copy.memory.get([copy.array])
    if memory is None:
        return _Copy(None, _frozen(host))
    array = memory.put(host)
    return _Copy(memory, array, memory.mark())


class Table:
    """A hash table from keys of one type to values of another, filled once and then looked up."""

    __slots__ = ("_entries", "_lock")

    def __init__(self) -> None:
        self._entries: dict[Any, Any] = {}
        self._lock = threading.Lock()

    def insert(self, keys: np.ndarray, values: np.ndarray) -> None:
        """Add entries if the table is still empty; a second import leaves it as it is, as in the reference."""
        if keys.size != values.size:
            raise KernelError(f"HASHTABLE_IMPORT got {keys.size} keys and {values.size} values.")
        with self._lock:
            if not self._entries:
                self._entries = dict(zip(keys.ravel().tolist(), values.ravel().tolist(), strict=True))

    def find(self, keys: np.ndarray, default: Any, dtype: np.dtype[Any]) -> np.ndarray:
        """Values of `keys`, `default` for those that are missing; same shape as `keys`."""
        entries = self._entries
        found = np.empty(keys.size, dtype=dtype)
        found[:] = [entries.get(key, default) for key in keys.ravel().tolist()]
        return found.reshape(keys.shape)

    def __len__(self) -> int:
        return len(self._entries)


class Resources(Protocol):
    """What resource operators ask of the interpreter's state."""

    def variable(self, container: str, shared_name: str) -> Variable: ...

    def table(self, table_id: int) -> Table: ...


class Storage(Protocol):
    """How nodes reach the values of variables: on the host (`runtime.state.State`), or where they run
    (`runtime.lane.DeviceState`)."""

    def read(self, variable: Variable) -> Array: ...

    def assign(self, variable: Variable, value: Array) -> None: ...


def boxed(resource: Any) -> np.ndarray:
    """A resource as the scalar tensor that stands for it in a slot."""
    array = np.empty((), dtype=object)
    array[()] = resource
    return array


def _unboxed(tensor: np.ndarray, kind: type[_Kind]) -> _Kind:
    """The resource in a tensor. Raises KernelError if it is of another kind."""
    resource = tensor.reshape(-1)[0] if tensor.size else None
    if not isinstance(resource, kind):
        raise KernelError(f"expected a {kind.__name__.lower()} resource, got {type(resource).__name__}.")
    return resource


@op("VAR_HANDLE")
class VarHandle(StatefulOp):
    """The variable with this name; all handles of one interpreter with equal names are one variable."""

    effects: ClassVar[bool] = False

    container: str = ""
    shared_name: str = ""

    def infer(self) -> TensorSpec:
        return TensorSpec(TensorType.RESOURCE, ())

    def run_with(self, state: Resources) -> np.ndarray:
        return boxed(state.variable(self.container, self.shared_name))


@op("READ_VARIABLE", RESOURCE)
class ReadVariable(StatefulOp):
    """The value of a variable. Fails if it was never assigned."""

    host_only: ClassVar[bool] = False

    def infer(self, resource: TensorSpec) -> TensorSpec:
        return TensorSpec(self.outs[0].type, None)

    def run_with(self, state: Storage, resource: np.ndarray) -> Array:
        return state.read(_unboxed(resource, Variable))


@op("ASSIGN_VARIABLE", RESOURCE, ANY)
class AssignVariable(StatefulOp):
    """Set a variable."""

    host_only: ClassVar[bool] = False

    def infer(self, resource: TensorSpec, value: TensorSpec) -> tuple[TensorSpec, ...]:
        return ()

    def run_with(self, state: Storage, resource: np.ndarray, value: Array) -> tuple[()]:
        state.assign(_unboxed(resource, Variable), value)
        return ()


_KEYS = INT64 | STRING | INT32


@op("HASHTABLE")
class Hashtable(StatefulOp):
    """The table with this id; ids are shared by all subgraphs of one interpreter."""

    table_id: int = 0
    key_dtype: TensorType = TensorType.STRING
    value_dtype: TensorType = TensorType.INT64

    def infer(self) -> TensorSpec:
        return TensorSpec(TensorType.RESOURCE, self.outs[0].shape)

    def run_with(self, state: Resources) -> np.ndarray:
        table = boxed(state.table(self.table_id))
        return table.reshape(self.outs[0].shape or ())


@op("HASHTABLE_IMPORT", RESOURCE, _KEYS, _KEYS)
class HashtableImport(StatefulOp):
    """Fill a table that is still empty."""

    def infer(self, table: TensorSpec, keys: TensorSpec, values: TensorSpec) -> tuple[TensorSpec, ...]:
        return ()

    def run_with(self, state: Resources, table: np.ndarray, keys: np.ndarray, values: np.ndarray) -> tuple[()]:
        _unboxed(table, Table).insert(keys, values)
        return ()


@op("HASHTABLE_FIND", RESOURCE, _KEYS, _KEYS)
class HashtableFind(StatefulOp):
    """Look up keys; missing ones give the default. Same shape as the keys."""

    def infer(self, table: TensorSpec, keys: TensorSpec, default: TensorSpec) -> TensorSpec:
        return TensorSpec(default.type, keys.shape)

    def run_with(self, state: Resources, table: np.ndarray, keys: np.ndarray, default: np.ndarray) -> np.ndarray:
        return _unboxed(table, Table).find(keys, default.reshape(-1)[0], default.dtype)


@op("HASHTABLE_SIZE", RESOURCE)
class HashtableSize(StatefulOp):
    """Number of entries, of shape [1] as in the reference (TensorFlow's operator gives a scalar)."""

    def infer(self, table: TensorSpec) -> TensorSpec:
        return TensorSpec(TensorType.INT64, (1,))

    def run_with(self, state: Resources, table: np.ndarray) -> np.ndarray:
        return np.array([len(_unboxed(table, Table))], np.int64)

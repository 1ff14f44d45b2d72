"""Variables and hash tables: operators on resources, which belong to one interpreter and outlive its calls."""

from __future__ import annotations

import threading
from typing import Any, Protocol, TypeVar

import numpy as np

from ..errors import KernelError
from ..graph import Array, TensorSpec, TensorType
from .base import ANY, INT32, INT64, RESOURCE, STRING, StatefulOp, op

_Kind = TypeVar("_Kind")


class Variable:
    """A mutable tensor. Reads and assignments are atomic; the arrays it hands out never change."""

    __slots__ = ("_lock", "_value", "name")

    def __init__(self, name: str, value: np.ndarray | None = None) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._value = value

    def read(self) -> np.ndarray:
        """The current value, read-only. Raises KernelError if none was assigned yet."""
        with self._lock:
            value = self._value
        if value is None:
            raise KernelError(f"variable {self.name!r} is read before it is assigned.")
        return value

    def assign(self, value: Array) -> None:
        """Replace the value by a copy of `value`."""
        copy = np.array(value, copy=True)
        copy.setflags(write=False)
        with self._lock:
            self._value = copy


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

    container: str = ""
    shared_name: str = ""

    def infer(self) -> TensorSpec:
        return TensorSpec(TensorType.RESOURCE, ())

    def run_with(self, state: Resources) -> np.ndarray:
        return boxed(state.variable(self.container, self.shared_name))


@op("READ_VARIABLE", RESOURCE)
class ReadVariable(StatefulOp):
    """The value of a variable. Fails if it was never assigned."""

    def infer(self, resource: TensorSpec) -> TensorSpec:
        return TensorSpec(self.outs[0].type, None)

    def run_with(self, state: Resources, resource: np.ndarray) -> np.ndarray:
        return _unboxed(resource, Variable).read()


@op("ASSIGN_VARIABLE", RESOURCE, ANY)
class AssignVariable(StatefulOp):
    """Set a variable."""

    def infer(self, resource: TensorSpec, value: TensorSpec) -> tuple[TensorSpec, ...]:
        return ()

    def run_with(self, state: Resources, resource: np.ndarray, value: np.ndarray) -> tuple[()]:
        _unboxed(resource, Variable).assign(value)
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

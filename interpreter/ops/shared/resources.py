"""Resources: what outlives the calls of an interpreter, and what operators ask of its state."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from ...errors import KernelError
from ...graph import Array

Kind = TypeVar("Kind")


class Space(Protocol):
    """Where arrays live, as far as variables need to know (`runtime.delegate.Space` has it all)."""

    @property
    def name(self) -> str: ...

    def put(self, host: np.ndarray) -> Array: ...

    def get(self, arrays: Sequence[Array]) -> list[np.ndarray]: ...

    def mark(self) -> Any: ...

    def follow(self, mark: Any) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class _Copy:
    """A variable's value in one space, None for the host's; complete once its maker's work has passed `mark`."""

    space: Space | None
    array: Array
    mark: Any = None


_HOST = "host"


class Variable:
    """A mutable tensor. Reads and assignments are atomic; the arrays it hands out never change.

    The value lives in the space that it was assigned in, and is copied to another one when it is first read there.
    """

    __slots__ = ("_borrowed", "_copies", "lock", "name")

    def __init__(self, name: str, value: np.ndarray | None = None) -> None:
        self.name = name
        self.lock = threading.RLock()  # whoever holds it is alone with the variable
        self._borrowed: Counter[int] = Counter()  # by identity, arrays that calls in flight still read
        self._copies = {} if value is None else {_HOST: _Copy(None, value)}

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Of the value; None if there is none yet."""
        copies = self._copies
        return tuple(next(iter(copies.values())).array.shape) if copies else None

    def read(self, space: Space | None = None) -> Array:
        """The current value in `space`, by default the host's, read-only. Raises KernelError if there is none yet."""
        name = _HOST if space is None else space.name
        with self.lock:
            if not self._copies:
                raise KernelError(f"variable {self.name!r} is read before it is assigned.")
            if name not in self._copies:
                self._copies[name] = _copied(next(iter(self._copies.values())), None if name == _HOST else space)
            copy = self._copies[name]
        if space is not None and copy.space is not None:
            space.follow(copy.mark)
        return copy.array

    def borrow(self, space: Space) -> Array:
        """`read` for a call that goes on reading the array until it calls `release`."""
        with self.lock:
            array = self.read(space)
            self._borrowed[id(array)] += 1
        return array

    def release(self, array: Array) -> None:
        """The call that has borrowed the array has ended."""
        with self.lock:
            self._borrowed[id(array)] -= 1
            self._borrowed += Counter()  # drops what nobody borrows

    def take(self, space: Space) -> Array:
        """The value in `space`, which whoever holds the lock may overwrite; a copy where it is borrowed."""
        with self.lock:
            array = self.read(space)
            return array.copy() if self._borrowed[id(array)] else array

    def give(self, array: Array, space: Space) -> None:
        """Replace the value by what `take` gave, uncopied."""
        with self.lock:
            self._copies = {space.name: _Copy(space, array, space.mark())}

    def assign(self, value: Array, space: Space | None = None) -> None:
        """Replace the value by a copy of `value`, an array in `space`."""
        if space is None or space.name == _HOST:
            copies = {_HOST: _Copy(None, _frozen(np.array(value, copy=True)))}
        else:
            array = value.copy()
            copies = {space.name: _Copy(space, array, space.mark())}
        with self.lock:
            self._copies = copies

    @property
    def held(self) -> Any:
        """What it holds now, for `restore`. A value that a device updates in place is not kept from that."""
        return self._copies

    def restore(self, held: Any) -> None:
        """Hold again what it held before."""
        with self.lock:
            self._copies = held

    def advance(self, step: np.ndarray) -> np.ndarray:
        """Add `step` to the value, and give the value before; no other call comes in between."""
        with self.lock:
            value: np.ndarray = self._copies[_HOST].array
            self._copies = {_HOST: _Copy(None, _frozen(value + step))}
        return value


def _frozen(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array


def _copied(copy: _Copy, space: Space | None) -> _Copy:
    """The value in another space, by way of the host's."""
    host = copy.array
    if copy.space is not None:
        copy.space.follow(copy.mark)
        (host,) = copy.space.get([copy.array])
    if space is None:
        return _Copy(None, _frozen(host))
    array = space.put(host)
    return _Copy(space, array, space.mark())


class Table:
    """A hash table from keys of one type to values of another, filled once and then looked up."""

    __slots__ = ("_entries", "lock")

    def __init__(self) -> None:
        self._entries: dict[Any, Any] = {}
        self.lock = threading.Lock()

    def insert(self, keys: np.ndarray, values: np.ndarray) -> None:
        """Add entries if the table is still empty; a second import leaves it as it is, as in the reference."""
        if keys.size != values.size:
            raise KernelError(f"HASHTABLE_IMPORT got {keys.size} keys and {values.size} values.")
        with self.lock:
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


class Memories(Protocol):
    """What nodes with a memory of their own ask of the interpreter's state."""

    def memory(self, place: tuple[int, int], start: np.ndarray) -> Variable: ...

    def stream(self, place: tuple[int, int], start: np.ndarray) -> Variable: ...


def boxed(resource: Any) -> np.ndarray:
    """A resource as the scalar tensor that stands for it in a slot."""
    array = np.empty((), dtype=object)
    array[()] = resource
    return array


def unboxed(tensor: np.ndarray, kind: type[Kind]) -> Kind:
    """The resource in a tensor. Raises KernelError if it is of another kind."""
    resource = tensor.reshape(-1)[0] if tensor.size else None
    if not isinstance(resource, kind):
        raise KernelError(f"expected a {kind.__name__.lower()} resource, got {type(resource).__name__}.")
    return resource

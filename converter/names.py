"""What signatures call their inputs and outputs: names of arguments, keys of dicts, fields of named tuples."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .tfapi import tensorflow


class Leaf(NamedTuple):
    """What stands at the end of a path through nested structures: a tensor, or the parts of a ragged or sparse one."""

    path: tuple[Any, ...]
    parts: int


def input_names(function: Any, tensors: Sequence[Any]) -> tuple[str, ...]:
    """A name for each of the own input tensors of a ConcreteFunction: that of the argument, inside of dicts and named
    tuples the key, unless two are called so; then, and inside of lists, argument and path (`pair_0`)."""
    positional, keywords = function.structured_input_signature
    leaves = [leaf for structure in (positional, keywords) for leaf in _leaves(structure)]
    starts = [sum(leaf.parts for leaf in leaves[:i]) for i in range(len(leaves))]
    if sum(leaf.parts for leaf in leaves) != len(tensors):
        return unique([t.op.name for t in tensors])
    bases = [_argument_name(tensors[start]) for start in starts]
    paths = [leaf.path[1:] for leaf in leaves]
    last = [path[-1] if path else base for base, path in zip(bases, paths, strict=True)]
    joined = [_join((base, *path)) for base, path in zip(bases, paths, strict=True)]
    names = [short if isinstance(short, str) and last.count(short) == 1 else long
             for short, long in zip(last, joined, strict=True)]  # fmt: skip
    return unique([name for name, leaf in zip(names, leaves, strict=True) for _ in range(leaf.parts)])


def output_names(structure: Any) -> tuple[str, ...]:
    """A name for each tensor of a function's results: keys or fields, joined along the path; `output_<i>` without."""
    leaves = list(_leaves(structure))
    named = isinstance(structure, Mapping) or _fields(structure) is not None
    names = [_join(leaf.path) for leaf in leaves for _ in range(leaf.parts)]
    return unique(names if named else [f"output_{i}" for i in range(len(names))])


def unique(names: Sequence[str]) -> tuple[str, ...]:
    """The names, `_1`, `_2`, ... behind those that are there already."""
    taken: dict[str, None] = {}
    for name in names:
        candidate, number = name, 1
        while candidate in taken:
            candidate, number = f"{name}_{number}", number + 1
        taken[candidate] = None
    return tuple(taken)


def _join(path: Sequence[Any]) -> str:
    return "_".join(map(str, path))


def _argument_name(tensor: Any) -> str:
    given = tensor.op.node_def.attr["_user_specified_name"].s.decode()
    return given or str(tensor.op.name)


def _leaves(structure: Any, path: tuple[Any, ...] = ()) -> Iterator[Leaf]:
    """Tensors in the order of tf.nest: dicts by sorted key. Whatever else a structure holds counts for nothing."""
    fields = _fields(structure)
    if fields is not None:
        for name, item in fields:
            yield from _leaves(item, (*path, name))
    elif isinstance(structure, Mapping):
        for key in sorted(structure):
            yield from _leaves(structure[key], (*path, key))
    elif isinstance(structure, list | tuple):
        for i, item in enumerate(structure):
            yield from _leaves(item, (*path, i))
    else:
        parts = tensorflow().nest.flatten(structure, expand_composites=True)
        count = sum(hasattr(part, "dtype") and hasattr(part, "shape") for part in parts)
        if count:
            yield Leaf(path, count)


def _fields(structure: Any) -> list[tuple[Any, Any]] | None:
    """(name, item) of a named tuple, or of a class that tells tf.nest what it holds; None for anything else."""
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return list(zip(structure._fields, structure, strict=True))
    if not hasattr(structure, "__tf_flatten__"):
        return None
    _, items = structure.__tf_flatten__()
    fields = dataclasses.fields(structure) if dataclasses.is_dataclass(structure) else ()
    names = {id(getattr(structure, field.name)): field.name for field in fields}
    return [(names.get(id(item), i), item) for i, item in enumerate(items)]

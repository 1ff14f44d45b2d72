"""What a shape of which parts may be unknown tells, for tensors of both the graphs that the converter works on."""

from __future__ import annotations

from .tfapi import Dims


class Shaped:
    """Has `dims`: None for an unknown rank, else a number or None for each dimension."""

    __slots__ = ()

    dims: Dims

    @property
    def rank(self) -> int | None:
        return None if self.dims is None else len(self.dims)

    @property
    def static(self) -> tuple[int, ...] | None:
        """The shape, if all of it is known."""
        if self.dims is None or None in self.dims:
            return None
        return tuple(n for n in self.dims if n is not None)

"""The fusions, by family. Importing this registers them in `rewrite.FUSIONS`."""

from . import activation, reshape, weights, windows

__all__ = ["activation", "reshape", "weights", "windows"]

"""The fusions, by family. Importing this registers them in `rewrite.FUSIONS`."""

from . import activation, cast, norm, reduction, reshape, transpose, weights, windows

__all__ = ["activation", "cast", "norm", "reduction", "reshape", "transpose", "weights", "windows"]

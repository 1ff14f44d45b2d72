"""Errors of nodes: whatever a node's body raises leaves as one of our errors that names the node."""

from __future__ import annotations

from ..errors import KernelError, LimitError, TfliteError
from ..graph import Graph, Node

BODY_ERRORS = (ArithmeticError, LookupError, MemoryError, RuntimeError, TypeError, ValueError, TfliteError)
"""What array code raises for values that it can't take; anything else is a defect and is left alone."""


def node_error(error: Exception, graph: Graph, node: Node) -> TfliteError:
    """`error` as an error that names `node`; one of ours that knows its place already is returned as it is.

    The reference's words, where an op used them, stay in front.
    """
    where = graph.where(node)
    if isinstance(error, TfliteError):
        return error if error.where else type(error)(f"{error.what} (in {node})", where=where, hint=error.hint)
    if isinstance(error, MemoryError):
        hint = "Use smaller inputs, or a device with more memory."
        return LimitError(f"{node} ran out of memory: {error}", where=where, hint=hint)
    return KernelError(f"{node} failed with {type(error).__name__}: {error}", where=where)

"""Models of our own for tests: graphs written down in a few lines, run as they are or through the file format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tflite_cupy.interpreter.graph import Graph, Model, Node, Quantization, Signature, Tensor, TensorType

F32, I32, I64 = TensorType.FLOAT32, TensorType.INT32, TensorType.INT64
BOOL, STRING, RESOURCE = TensorType.BOOL, TensorType.STRING, TensorType.RESOURCE


class GraphBuilder:
    """Collects the tensors and nodes of one subgraph; every method that makes a tensor returns its index."""

    def __init__(self, name: str = "main") -> None:
        self.name = name
        self._tensors: list[Tensor] = []
        self._nodes: list[Node] = []
        self._inputs: list[int] = []

    def tensor(
        self, kind: TensorType, shape: Sequence[int | None] = (), name: str = "", q: Quantization | None = None
    ) -> int:
        """A tensor; None stands for an unknown dimension."""
        fixed = tuple(1 if n is None else n for n in shape)
        signature = tuple(-1 if n is None else n for n in shape) if None in shape else None
        self._tensors.append(Tensor(name or f"t{len(self._tensors)}", kind, fixed, signature, quantization=q))
        return len(self._tensors) - 1

    def input(
        self, kind: TensorType, shape: Sequence[int | None] = (), name: str = "", q: Quantization | None = None
    ) -> int:
        """An input of the graph."""
        index = self.tensor(kind, shape, name, q)
        self._inputs.append(index)
        return index

    def constant(self, value: Any, dtype: Any = None, q: Quantization | None = None) -> int:
        """A constant."""
        array = np.asarray(value, dtype)
        kind = TensorType.of(array.dtype)
        index = self.tensor(kind, array.shape, q=q)
        self._tensors[index] = replace(self._tensors[index], data=array)
        return index

    def variable(self, kind: TensorType, shape: Sequence[int | None]) -> int:
        """A variable tensor."""
        index = self.tensor(kind, shape)
        self._tensors[index] = replace(self._tensors[index], is_variable=True)
        return index

    def op(
        self,
        name: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        *,
        options: bytes = b"",
        custom: bool | None = None,
        **attributes: Any,
    ) -> tuple[int, ...]:
        """A node that writes to given tensors; unless told, a name that is not in capitals is a custom operator."""
        custom = not name.isupper() if custom is None else custom
        index = len(self._nodes)
        node = Node(index, name, tuple(inputs), tuple(outputs), attributes, custom=custom, custom_options=options)
        self._nodes.append(node)
        return tuple(outputs)

    def add(
        self, name: str, inputs: Sequence[int], shape: Sequence[int | None] | None = None, **attributes: Any
    ) -> int:
        """A node with one output of the first input's type and shape, or another `shape`."""
        first = self._tensors[inputs[0]]
        dims = shape if shape is not None else first.dims or ()
        (index,) = self.op(name, inputs, [self.tensor(first.type, dims)], **attributes)
        return index

    def graph(self, outputs: Sequence[int], index: int = 0) -> Graph:
        """The finished subgraph."""
        tensors, nodes = tuple(self._tensors), tuple(self._nodes)
        return Graph(index, self.name, tensors, nodes, tuple(self._inputs), tuple(outputs))


def model(
    *graphs: Graph, signatures: Mapping[str, tuple[int, Mapping[str, int], Mapping[str, int]]] | None = None
) -> Model:
    """A model of these subgraphs; signatures as {key: (subgraph, inputs, outputs)}."""
    numbered = tuple(replace(graph, index=index) for index, graph in enumerate(graphs))
    entries = (signatures or {}).items()
    return Model(numbered, tuple(Signature(key, inputs, outputs, graph) for key, (graph, inputs, outputs) in entries))

"""Signatures and metadata of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from ..errors import GraphError
from ..graph import Graph, Signature
from .buffers import Buffers
from .columns import Columns
from .view import Ragged


def read_signatures(
    columns: Columns, graphs: Sequence[Graph], latest: Sequence[Mapping[int, int]]
) -> tuple[Signature, ...]:
    """The signatures in the file's order. Raises GraphError for wrong or repeated keys, names and indices.

    `latest` says, by subgraph, which tensors have the last values of others.
    """
    order = columns.vector("Model", "signature_defs").values
    keys = columns.texts("SignatureDef", "signature_key")
    maps = {name: columns.vector("SignatureDef", name) for name in ("inputs", "outputs")}
    for name, vectors in maps.items():
        columns.expand(vectors, order, f"signature {name}")
    names, tensors = columns.texts("TensorMap", "name"), columns.rows["TensorMap"]["tensor_index"].tolist()
    subgraphs = columns.rows["SignatureDef"]["subgraph_index"].tolist()
    made: dict[str, Signature] = {}
    fed = [frozenset(graph.inputs) for graph in graphs]
    for index, row in enumerate(order.tolist()):
        where = f"signature_defs[{index}]"
        key, graph = keys[row], subgraphs[row]
        if not key or key in made:
            raise GraphError(f"signature key {key!r} is {'used twice' if key else 'empty'}.", where=where)
        if graph >= len(graphs):
            raise GraphError(f"subgraph {graph} is not there; the model has {len(graphs)}.", where=where)
        inputs, outputs = (
            _slots(vectors, row, names, tensors, graphs[graph], f"{where}.{name}") for name, vectors in maps.items()
        )
        strangers = [name for name, tensor in inputs.items() if tensor not in fed[graph]]
        if strangers:
            what = f"{', '.join(map(repr, strangers))} is no input of subgraph {graph}."
            raise GraphError(what, where=f"{where}.inputs")
        final = {name: latest[graph].get(tensor, tensor) for name, tensor in outputs.items()}
        made[key] = Signature(key, inputs, MappingProxyType(final), graph)
    return tuple(made.values())


def _slots(
    vectors: Ragged, row: int, names: Sequence[str], tensors: Sequence[int], graph: Graph, where: str
) -> Mapping[str, int]:
    """Names -> tensor indices of one side of a signature."""
    made: dict[str, int] = {}
    for place, entry in enumerate(vectors[row].tolist()):
        name, tensor = names[entry], tensors[entry]
        if not name or name in made:
            what = f"name {name!r} is {'used twice' if name else 'empty'}."
            raise GraphError(what, where=f"{where}[{place}]")
        if tensor >= len(graph.tensors):
            what = f"tensor index {tensor} is out of range: the subgraph has {len(graph.tensors)} tensors."
            raise GraphError(what, where=f"{where}[{place}]")
        made[name] = tensor
    return MappingProxyType(made)


def read_metadata(columns: Columns, buffers: Buffers) -> Mapping[str, bytes]:
    """Metadata by name; of entries of one name the first counts."""
    rows = columns.rows["Metadata"]
    what = f"the model has {len(buffers)} buffers."
    columns.require(rows["buffer"] < len(buffers), "Metadata", "buffer", what)
    names, sources = columns.texts("Metadata", "name"), rows["buffer"].astype(np.int64)
    places = list(zip(buffers.starts[sources].tolist(), buffers.lengths[sources].tolist(), strict=True))
    held = {place: columns.view.bytes(*place) for place in set(places)}
    made: dict[str, bytes] = {}
    for row in columns.vector("Model", "metadata").values.tolist():
        made.setdefault(names[row], held[places[row]])
    return MappingProxyType(made)

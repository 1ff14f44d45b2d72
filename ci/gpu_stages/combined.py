"""Models made of the networks: several as the signatures of one, and one without its last softmax."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tflite_cupy.interpreter.graph import Model


def combined(models: Mapping[str, Model]) -> Model:
    """One model with a signature for each: the only one of that model, under a new name."""
    graphs, signatures = [], []
    for index, (key, model) in enumerate(models.items()):
        (graph,), (signature,) = model.graphs, model.signatures
        graphs.append(replace(graph, index=index, name=key))
        signatures.append(replace(signature, key=key, graph=index))
    return Model(tuple(graphs), tuple(signatures), " and ".join(models))


def logits_of(model: Model) -> Model:
    """The model without the softmax at its end, if it has one: of random logits, which may be large, that shows next to
    nothing but the largest."""
    (graph,), (signature,) = model.graphs, model.signatures
    last = graph.nodes[-1]
    if last.name != "SOFTMAX":
        return model
    shorter = replace(graph, nodes=graph.nodes[:-1], outputs=last.inputs)
    return Model((shorter,), (replace(signature, outputs={"logits": last.inputs[0]}),), model.description)

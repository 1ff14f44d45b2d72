"""Constants on a device: packed and uploaded once, kept for as long as their graph lives."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from weakref import WeakKeyDictionary

import numpy as np

from ...interpreter.graph import Array, Graph
from .listing import Block, Storage


class Weights:
    """Blocks of constants, and their arrays on the device. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._blocks: WeakKeyDictionary[Graph, dict[tuple[int, str], tuple[np.ndarray, Block]]] = WeakKeyDictionary()
        self._arrays: WeakKeyDictionary[Block, Array] = WeakKeyDictionary()

    def block(
        self,
        graph: Graph,
        tensor: int,
        value: np.ndarray,
        tag: str = "",
        pack: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> Block:
        """The block of a constant as it is, or, for each `tag`, as `pack` makes it."""
        with self._lock:
            blocks = self._blocks.setdefault(graph, {})
            known = blocks.get((tensor, tag))
            if known is None or known[0] is not value:
                data = np.ascontiguousarray(value if pack is None else pack(value))
                block = Block(Storage.CONSTANT, data.nbytes, graph.tensors[tensor].name, data)
                known = blocks[tensor, tag] = value, block
            return known[1]

    def array(self, block: Block, upload: Callable[[np.ndarray], Array]) -> Array:
        """A block's array on the device."""
        with self._lock:
            array = self._arrays.get(block)
            if array is None:
                assert block.data is not None
                array = self._arrays[block] = upload(block.data)
            return array

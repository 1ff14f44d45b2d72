"""Variables and hash tables: operators on resources, which belong to one interpreter and outlive its calls."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ..graph import Array, TensorSpec, TensorType
from .base import ANY, INT32, INT64, RESOURCE, STRING, StatefulOp, op
from .shared.resources import Resources, Storage, Table, Variable, boxed, unboxed


@op("VAR_HANDLE")
class VarHandle(StatefulOp):
    """The variable with this name; all handles of one interpreter with equal names are one variable."""

    effects: ClassVar[bool] = False
    writes: ClassVar[bool] = False

    container: str = ""
    shared_name: str = ""

    def infer(self) -> TensorSpec:
        return TensorSpec(TensorType.RESOURCE, ())

    def run_with(self, state: Resources) -> np.ndarray:
        return boxed(state.variable(self.container, self.shared_name))


@op("READ_VARIABLE", RESOURCE)
class ReadVariable(StatefulOp):
    """The value of a variable. Fails if it was never assigned."""

    host_only: ClassVar[bool] = False
    writes: ClassVar[bool] = False

    def infer(self, resource: TensorSpec) -> TensorSpec:
        return TensorSpec(self.outs[0].type, None)

    def run_with(self, state: Storage, resource: np.ndarray) -> Array:
        return state.read(unboxed(resource, Variable))


@op("ASSIGN_VARIABLE", RESOURCE, ANY)
class AssignVariable(StatefulOp):
    """Set a variable."""

    host_only: ClassVar[bool] = False

    def infer(self, resource: TensorSpec, value: TensorSpec) -> tuple[TensorSpec, ...]:
        return ()

    def run_with(self, state: Storage, resource: np.ndarray, value: Array) -> tuple[()]:
        state.assign(unboxed(resource, Variable), value)
        return ()


_KEYS = INT64 | STRING | INT32


@op("HASHTABLE")
class Hashtable(StatefulOp):
    """The table with this id; ids are shared by all subgraphs of one interpreter."""

    writes: ClassVar[bool] = False

    table_id: int = 0
    key_dtype: TensorType = TensorType.STRING
    value_dtype: TensorType = TensorType.INT64

    def infer(self) -> TensorSpec:
        return TensorSpec(TensorType.RESOURCE, self.outs[0].shape)

    def run_with(self, state: Resources) -> np.ndarray:
        table = boxed(state.table(self.table_id))
        return table.reshape(self.outs[0].shape or ())


@op("HASHTABLE_IMPORT", RESOURCE, _KEYS, _KEYS)
class HashtableImport(StatefulOp):
    """Fill a table that is still empty."""

    writes: ClassVar[bool] = False  # nobody sees a table half filled, and it never changes again

    def infer(self, table: TensorSpec, keys: TensorSpec, values: TensorSpec) -> tuple[TensorSpec, ...]:
        return ()

    def run_with(self, state: Resources, table: np.ndarray, keys: np.ndarray, values: np.ndarray) -> tuple[()]:
        unboxed(table, Table).insert(keys, values)
        return ()


@op("HASHTABLE_FIND", RESOURCE, _KEYS, _KEYS)
class HashtableFind(StatefulOp):
    """Look up keys; missing ones give the default. Same shape as the keys."""

    writes: ClassVar[bool] = False

    def infer(self, table: TensorSpec, keys: TensorSpec, default: TensorSpec) -> TensorSpec:
        return TensorSpec(default.type, keys.shape)

    def run_with(self, state: Resources, table: np.ndarray, keys: np.ndarray, default: np.ndarray) -> np.ndarray:
        return unboxed(table, Table).find(keys, default.reshape(-1)[0], default.dtype)


@op("HASHTABLE_SIZE", RESOURCE)
class HashtableSize(StatefulOp):
    """Number of entries, of shape [1] as in the reference (TensorFlow's operator gives a scalar)."""

    writes: ClassVar[bool] = False

    def infer(self, table: TensorSpec) -> TensorSpec:
        return TensorSpec(TensorType.INT64, (1,))

    def run_with(self, state: Resources, table: np.ndarray) -> np.ndarray:
        return np.array([len(unboxed(table, Table))], np.int64)

"""TensorFlow operators as the Flex delegate runs them: values, strings, state, errors, threads."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import tflite_cupy as lite
from tests.build import BOOL, F32, I32, I64, RESOURCE, STRING, GraphBuilder, model
from tests.delegates.partitions import (
    bound,
    constant,
    f32,
    flex_options,
    i32,
    i64,
    integer,
    integers,
    kind,
    kinds,
    node_def,
    run,
    shape,
    strings,
    text,
    whole,
)
from tflite_cupy.delegates.flex import FlexDelegate
from tflite_cupy.delegates.flex.eager import Eager
from tflite_cupy.interpreter.errors import GraphError, KernelError, LimitError
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.interpreter.graph import Graph, TensorType
from tflite_cupy.interpreter.limits import Limits
from tflite_cupy.interpreter.runtime.budget import Budget
from tflite_cupy.interpreter.runtime.lane import Lane
from tflite_cupy.interpreter.runtime.state import State

pytestmark = pytest.mark.flex

VARIANT = TensorType.VARIANT


class FlexBuilder(GraphBuilder):
    def flex(
        self, op: str, inputs: Sequence[int], outputs: Sequence[TensorType], **attributes: bytes
    ) -> tuple[int, ...]:
        """A TensorFlow node; its outputs' shapes are not known."""
        results = [self.tensor(type, [None]) for type in outputs]
        return self.op(f"Flex{op}", inputs, results, options=flex_options(op, node_def(op, attributes)))


def one(op: str, ins: Sequence[TensorType], outs: Sequence[TensorType], **attributes: bytes) -> Graph:
    b = FlexBuilder()
    return b.graph(b.flex(op, [b.input(type, [None]) for type in ins], outs, **attributes))


AS_STRING = one("AsString", [F32], [STRING], T=kind(1), precision=integer(2))
TO_NUMBER = one("StringToNumber", [STRING], [F32], out_type=kind(1))
LOWER = one("StringLower", [STRING], [STRING], encoding=text(b""))


def test_a_node() -> None:
    (result,) = run(FlexDelegate(), AS_STRING, f32([[1.5, -2]]))
    assert result.dtype == object
    assert result.tolist() == [[b"1.50", b"-2.00"]]


def test_nodes_in_a_row_with_constants() -> None:
    b = FlexBuilder()
    x = b.input(STRING, [None])
    (number,) = b.flex("StringToNumber", [x], [F32], out_type=kind(1))
    (total,) = b.flex("AddV2", [number, b.constant(f32([10, 20]))], [F32], T=kind(1))
    (rendered,) = b.flex("AsString", [total], [STRING], T=kind(1), precision=integer(0))
    total_array, rendered_array = run(FlexDelegate(), b.graph([total, rendered]), strings(b"1", b"2"))
    np.testing.assert_array_equal(total_array, f32([11, 22]))
    assert rendered_array.tolist() == [b"11", b"22"]


@pytest.mark.parametrize("text", [b"", b"\0", b"a\0b\0", b"\xff\xfe\x80", "käse".encode(), b"x" * 100_000])
def test_strings_pass_as_they_are(text: bytes) -> None:
    identity = one("Identity", [STRING], [STRING], T=kind(7))
    for array in (strings(text, b"y"), strings(text).reshape(()), strings().reshape(2, 0, 3)):
        (result,) = run(FlexDelegate(), identity, array)
        assert result.dtype == object
        assert result.shape == array.shape
        assert result.ravel().tolist() == array.ravel().tolist()


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i1", "i2", "i4", "i8", "u1", "u4", "?", "c8"])
def test_numbers_pass_as_they_are(dtype: str) -> None:
    type = TensorType.of(dtype)
    number = {"f4": 1, "f8": 2, "f2": 19, "i1": 6, "i2": 5, "i4": 3, "i8": 9, "u1": 4, "u4": 22, "?": 10, "c8": 8}
    identity = one("Identity", [type], [type], T=kind(number[dtype]))
    array = np.arange(6).reshape(3, 2).astype(dtype)
    for value in (array, array.T, array[:0], array[1, 1].reshape(())):
        (result,) = run(FlexDelegate(), identity, value)
        assert isinstance(result, np.ndarray)
        assert result.dtype == value.dtype
        np.testing.assert_array_equal(result, value)
        assert result.flags.writeable
        assert not np.shares_memory(result, value)


def test_shapes_may_differ_from_call_to_call() -> None:
    program = FlexDelegate().compile(whole(LOWER))
    for n in (1, 5, 0):
        assert program(Lane(State()), [strings(*[b"A"] * n)])[0].tolist() == [b"a"] * n


def test_a_constant_node() -> None:
    graph = one("Const", [], [F32], value=constant(1, f32([1, 2]).tobytes(), 2), dtype=kind(1))
    (result,) = run(FlexDelegate(), graph)
    np.testing.assert_array_equal(result, f32([1, 2]))


def test_tensor_lists_pass_between_partitions() -> None:
    delegate, item, size = FlexDelegate(), f32([1, 2]), np.int32(3)
    make = one("TensorListReserve", [I32, I32], [VARIANT], element_dtype=kind(1), shape_type=kind(3))
    put = one("TensorListSetItem", [VARIANT, I32, F32], [VARIANT], element_dtype=kind(1))
    stack = one("TensorListStack", [VARIANT, I32], [F32], element_dtype=kind(1))
    (values,) = run(delegate, make, i32([2]), np.asarray(size))
    assert values.dtype == object
    for index in range(3):
        (values,) = run(delegate, put, values, np.asarray(np.int32(index)), item)
        item += 1  # the list must not see what its operands become
    (result,) = run(delegate, stack, values, i32([2]))
    np.testing.assert_array_equal(result, f32([[1, 2], [2, 3], [3, 4]]))


def table_graph(container: str = "", name: str = "table") -> Graph:
    """(keys, values, query) -> looked-up values, size of a table."""
    b = FlexBuilder()
    keys, values, query = b.input(STRING, [None]), b.input(I64, [None]), b.input(STRING, [None])
    types: Mapping[str, bytes] = {"Tin": kind(7), "Tout": kind(9)}
    names = {"container": text(container.encode()), "shared_name": text(name.encode())}
    (table,) = b.flex("MutableHashTableV2", [], [RESOURCE], key_dtype=kind(7), value_dtype=kind(9), **names)
    b.flex("LookupTableInsertV2", [table, keys, values], [], **types)
    (found,) = b.flex("LookupTableFindV2", [table, query, b.constant(np.int64(-1))], [I64], **types)
    (size,) = b.flex("LookupTableSizeV2", [table], [I64])
    return b.graph([found, size])


def test_a_table_lives_as_long_as_its_interpreter_and_is_its_own() -> None:
    delegate, graph = FlexDelegate(), table_graph()
    program = delegate.compile(whole(graph))
    first, second = State(), State()
    query = strings(b"a", b"b")
    found, size = program(Lane(first), [strings(b"a"), i64([1]), query])
    assert (found.tolist(), int(size)) == ([1, -1], 1)
    found, size = program(Lane(first), [strings(b"b"), i64([2]), query])
    assert (found.tolist(), int(size)) == ([1, 2], 2)
    found, size = program(Lane(second), [strings(b"b"), i64([3]), query])
    assert (found.tolist(), int(size)) == ([-1, 3], 1)
    found, _ = run(FlexDelegate(), graph, strings(), i64([]), query)
    assert found.tolist() == [-1, -1]


def test_tables_are_told_apart_by_container_and_name() -> None:
    delegate, state, none = FlexDelegate(), State(), [strings(), i64([])]
    run(delegate, table_graph("a", "x"), strings(b"k"), i64([1]), strings(b"k"), state=state)
    results = {
        names: run(delegate, table_graph(*names), *none, strings(b"k"), state=state)[0].tolist()
        for names in (("a", "x"), ("b", "x"), ("a", "y"))
    }
    assert results == {("a", "x"): [1], ("b", "x"): [-1], ("a", "y"): [-1]}


def variable_graph(name: str = "v") -> Graph:
    """Adds its input to a variable that starts at zero; gives the value after."""
    b = FlexBuilder()
    x = b.input(F32, [2])
    (handle,) = b.flex("VarHandleOp", [], [RESOURCE], dtype=kind(1), shape=shape(2), shared_name=text(name.encode()))
    b.flex("AssignAddVariableOp", [handle, x], [], dtype=kind(1))
    return b.graph(b.flex("ReadVariableOp", [handle], [F32], dtype=kind(1)))


def initialised(delegate: FlexDelegate, state: State) -> None:
    b = FlexBuilder()
    x = b.input(F32, [2])
    (handle,) = b.flex("VarHandleOp", [], [RESOURCE], dtype=kind(1), shape=shape(2), shared_name=text(b"v"))
    b.flex("AssignVariableOp", [handle, x], [], dtype=kind(1))
    start = np.zeros(2, np.float32)
    run(delegate, b.graph([]), start, state=state)
    start += 100  # the variable must not see what its operand becomes


def test_variables_of_two_interpreters() -> None:
    delegate, states = FlexDelegate(), (State(), State())
    for state in states:
        initialised(delegate, state)
    for turn, state in enumerate((*states, *states)):
        (value,) = run(delegate, variable_graph(), f32([1, turn]), state=state)
    assert value.tolist() == [2, 4]
    (value,) = run(delegate, variable_graph(), f32([0, 0]), state=states[0])
    assert value.tolist() == [2, 2]
    with pytest.raises(KernelError, match="FlexAssignAddVariableOp#1"):
        run(delegate, variable_graph("other"), f32([1, 1]), state=states[0])


def test_resources_end_with_their_interpreter() -> None:
    delegate, state = FlexDelegate(), State()
    run(delegate, table_graph(), strings(b"a"), i64([1]), strings(b"a"), state=state)
    alive = weakref.ref(state)
    assert len(delegate._resources._handles) == 1
    del state
    gc.collect()
    assert alive() is None
    assert len(delegate._resources._handles) == 0


def test_a_builtin_resource_is_no_tensorflow_resource() -> None:
    boxed = np.empty((), object)
    boxed[()] = object()
    with pytest.raises(KernelError, match="object of a builtin operator is no resource of TensorFlow's"):
        run(FlexDelegate(), one("ReadVariableOp", [RESOURCE], [F32], dtype=kind(1)), boxed)


def test_errors_are_in_tensorflows_words_and_name_the_node() -> None:
    with pytest.raises(KernelError) as caught:
        run(FlexDelegate(), TO_NUMBER, strings(b"abc"))
    assert str(caught.value).startswith("StringToNumberOp could not correctly convert string: abc")
    assert "FlexStringToNumber#0" in str(caught.value)
    assert caught.value.where == "subgraphs[0].operators[0]"
    assert caught.value.__cause__ is not None
    (result,) = run(FlexDelegate(), TO_NUMBER, strings(b"1.5"))
    assert result.tolist() == [1.5]


def test_a_failed_assertion() -> None:
    b = FlexBuilder()
    b.flex("Assert", [b.input(BOOL), b.input(STRING)], [], T=kinds(7))
    with pytest.raises(KernelError, match=r"assertion failed: \[too much\]"):
        run(FlexDelegate(), b.graph([]), np.asarray(False), np.asarray(b"too much", object))


@pytest.mark.parametrize(
    ("op", "attributes", "data", "value", "size"),
    [
        ("Fill", {"index_type": kind(9)}, f32(1), i64([3]), 3),
        ("Tile", {"Tmultiples": kind(9)}, np.zeros(1000, np.float32), i64([3]), 3000),
        ("SegmentSum", {"Tindices": kind(9)}, np.zeros((1, 1000), np.float32), i64([2]), 3000),
    ],
)
def test_results_over_the_limit_are_not_tried(
    op: str, attributes: Mapping[str, bytes], data: np.ndarray, value: np.ndarray, size: int
) -> None:
    b = FlexBuilder()
    x, chosen = b.input(F32), b.input(I64)
    operands = [chosen, x] if op == "Fill" else [x, chosen]
    graph = b.graph(b.flex(op, operands, [F32], T=kind(1), **attributes))
    with pytest.raises(LimitError, match=f"{op} would give [0-9]+ elements, over the limit of 17179869184 bytes"):
        run(FlexDelegate(), graph, data, value + (1 << 40))
    with pytest.raises(LimitError, match="over the limit of 8 bytes"):
        run(FlexDelegate(max_tensor_bytes=8), graph, data, value)
    (result,) = run(FlexDelegate(), graph, data, value)
    assert result.size == size


@pytest.mark.parametrize(
    ("graph", "says"),
    [
        (one("AddV2", [F32] * 3, [F32], T=kind(1)), "AddV2 has 3 operands and 1 results, it takes and gives .2, 1."),
        (one("AddV2", [F32], [F32], T=kind(1)), "AddV2 has 1 operands"),
        (one("Unique", [F32], [F32], T=kind(1)), "Unique has 1 operands and 1 results"),
        (one("ConcatV2", [F32] * 2, [F32], T=kind(1), N=integer(7)), "ConcatV2 has 2 operands .* .8, 1."),
        (one("StringLower", [STRING] * 2, [STRING]), "StringLower has 2 operands"),
        (one("ConcatV2", [F32] * 3, [F32], T=kind(1)), "lacks the attribute 'N'"),
        (one("NoSuchOperator", [F32], [F32]), "has no operator 'NoSuchOperator'"),
        (one("Const", [], [F32], value=constant(1, b"\0" * 7, 2), dtype=kind(1)), "value of a Const node is malformed"),
        (one("Erf", [F32], [F32], T=b"\xff"), "attribute 'T' is no AttrValue"),
        (one("Erf", [F32], [F32], T=text(b"float")), "attribute 'T' is no type"),
        (
            one("Conv2D", [F32] * 2, [F32], T=kind(1), padding=text(b"SAME"), strides=integers(1)),
            "attribute 'strides' of Conv2D has 1 entries, expected 4",
        ),
        (one("Erf", [F32], [F32], T=b""), "attribute 'T' is no type"),
        (one("ConcatV2", [F32] * 3, [F32], T=kind(1), N=text(b"2")), "attribute 'N' is no int"),
        (one("Assert", [BOOL, STRING], [], T=kind(7)), r"attribute 'T' is no list\(type\)"),
    ],
)
def test_nodes_that_contradict_their_operator(graph: Graph, says: str) -> None:
    with pytest.raises(GraphError, match=says) as caught:
        FlexDelegate().compile(whole(graph))
    assert caught.value.where == "subgraphs[0].operators[0]"


CONV = one("Conv2D", [F32, F32], [F32], T=kind(1), strides=integers(1, 1, 1, 1), padding=text(b"VALID"))


def test_kernels_that_would_end_the_process_are_not_reached() -> None:
    with pytest.raises(KernelError, match=r"Shape must be rank 4 but is rank 2.*FlexConv2D#0"):
        run(FlexDelegate(), CONV, f32([[1]]), f32([1]))
    item = one("TensorListGetItem", [VARIANT, I32, I32], [F32], element_dtype=kind(1))
    make = one("TensorListReserve", [I32, I32], [VARIANT], element_dtype=kind(1), shape_type=kind(3))
    (values,) = run(FlexDelegate(), make, i32([2]), i32(3))
    for index, dims, says in ((i32([0, 1]), i32([2]), "one element"), (i32(0), i32([[2]]), "rank 0 or 1")):
        with pytest.raises(KernelError, match=f"TensorListGetItem got operand . of shape .* expected {says}"):
            run(FlexDelegate(), item, values, index, dims)
    transform = one("RFFT", [F32, I32], [TensorType.COMPLEX64], Treal=kind(1), Tcomplex=kind(8))
    with pytest.raises(KernelError, match="RFFT got a length of 0"):
        run(FlexDelegate(), transform, f32([1, 2]), i32([0]))
    (result,) = run(FlexDelegate(), transform, f32([1, 2]), i32([2]))
    assert result.tolist() == [3, -1]


def test_shapes_are_checked_once() -> None:
    program = FlexDelegate().compile(whole(CONV))
    x, weights = np.ones((1, 3, 3, 1), np.float32), np.ones((2, 2, 1, 1), np.float32)
    for size in (3, 3, 2):
        (result,) = program(Lane(State()), [x[:, :size], weights])
        np.testing.assert_array_equal(result, np.full((1, size - 1, 2, 1), 4, np.float32))


def test_wrong_types_are_an_error_of_the_call() -> None:
    with pytest.raises(KernelError, match=r"DT_FLOAT vs[.] DT_DOUBLE"):
        run(FlexDelegate(), one("AddV2", [F32, F32], [F32], T=kind(1)), f32([1]), np.ones(1))


def test_threads_share_one_partition() -> None:
    b = FlexBuilder()
    x = b.input(STRING, [None])
    (lower,) = b.flex("StringLower", [x], [STRING])
    (number,) = b.flex("StringToNumber", [lower], [F32], out_type=kind(1))
    program = FlexDelegate().compile(whole(b.graph([lower, number])))

    def call(index: int) -> bool:
        texts = [f"{index}E{n % 3}".encode() for n in range(index % 7 + 1)]
        if index % 5 == 0:
            with pytest.raises(KernelError, match="could not correctly convert"):
                program(Lane(State()), [strings(*texts, b"no")])
        lowered, numbers = program(Lane(State()), [strings(*texts)])
        return [lowered.tolist(), numbers.tolist()] == [[t.lower() for t in texts], [float(t) for t in texts]]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(800)))


def test_a_shared_table_counts_every_insertion() -> None:
    delegate, state = FlexDelegate(), State()
    program = delegate.compile(whole(table_graph()))

    def insert(index: int) -> None:
        program(Lane(state), [strings(f"k{index}".encode()), i64([index]), strings()])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(insert, range(200)))
    found, size = program(Lane(state), [strings(b"k0"), i64([0]), strings(b"k7", b"k199")])
    assert (found.tolist(), int(size)) == ([7, 199], 200)


def test_runs_within_a_graph_of_the_caller() -> None:
    import tensorflow as tf

    with tf.Graph().as_default():
        (result,) = run(FlexDelegate(), AS_STRING, f32([1]))
    assert result.tolist() == [b"1.00"]


def test_the_observer_hears_of_each_node() -> None:
    b = FlexBuilder()
    (lower,) = b.flex("StringLower", [b.input(STRING, [None])], [STRING])
    (upper,) = b.flex("StringUpper", [lower], [STRING])
    heard: list[tuple[int, int, str]] = []
    program = FlexDelegate().compile(whole(b.graph([upper])))
    program(Lane(State(), lambda *event: heard.append(event)), [strings(b"a")])
    assert heard == [(0, 0, "flex"), (0, 1, "flex")]


def test_takes_what_it_can_run() -> None:
    assert FlexDelegate().refuses(bound(AS_STRING)) is None


GATHERED = {"Tparams": kind(1), "Tindices": kind(3), "Taxis": kind(3), "batch_dims": integer(-96)}


@pytest.mark.parametrize(
    ("graph", "operands", "says"),
    [
        (one("GatherV2", [F32, I32, I32], [F32], **GATHERED), (f32([1]), i32([0]), i32(0)), "has -96 batch dimensions"),
        (one("MatrixDiag", [F32], [F32], T=kind(1)), (f32(1),), "expected rank 1 to 8"),
        (one("AdjustHue", [F32, F32], [F32], T=kind(1)), (np.ones((1, 1, 3), np.float32), f32(3e38)), "a delta of"),
        (one("RandomGamma", [I32, F32], [F32], S=kind(3), T=kind(1)), (i32([2]), f32(np.nan)), "positive and finite"),
        (one("TensorListFromTensor", [F32, I32], [VARIANT], element_dtype=kind(1), shape_type=kind(3)),
         (np.zeros((1 << 40, 0), np.float32), i32([0])), "over the limit"),
        (one("Qr", [F32], [F32, F32], T=kind(1)), (np.zeros((1, 0, 1 << 40), np.float32),), "over the limit"),
        (one("ResizeBilinear", [F32, I32], [F32], T=kind(1)),
         (np.ones((1, 2, 2, 1), np.float32), i32([1 << 30, 1 << 10])), "over the limit"),
        (one("RaggedRange", [I64, I64, I64], [I64, I64], T=kind(9)), (i64(0), i64(1 << 60), i64(1)), "over the limit"),
        (one("TensorListReserve", [I32, I32], [VARIANT], element_dtype=kind(1), shape_type=kind(3)),
         (i32([1]), i32((1 << 31) - 1)), "over the limit"),
    ],
)  # fmt: skip
def test_values_that_would_end_or_stall_the_process_are_not_tried(
    graph: Graph, operands: Sequence[np.ndarray], says: str
) -> None:
    with pytest.raises((KernelError, LimitError), match=says):
        run(FlexDelegate(), graph, *operands)


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"ksize": integers(1, 1 << 40, 1, 1), "strides": integers(1, 1, 1, 1)}, "'ksize' .* range of 32 bits"),
        ({"ksize": integers(1, 2, 2, 1), "strides": integers(1)}, "'strides' .* 1 entries, expected 4"),
    ],
)
def test_attributes_that_kernels_do_not_check(attributes: Mapping[str, bytes], says: str) -> None:
    graph = one("MaxPool", [F32], [F32], T=kind(1), padding=text(b"VALID"), **attributes)
    with pytest.raises(GraphError, match=says):
        FlexDelegate().compile(whole(graph))


def test_a_handle_is_used_as_what_it_is() -> None:
    """Kernels read a variable as the type that the node names, and end the process where it has another."""
    b = FlexBuilder()
    (handle,) = b.flex("VarHandleOp", [], [RESOURCE], dtype=kind(1), shape=shape(2), shared_name=text(b"v"))
    b.flex("AssignVariableOp", [handle, b.constant(f32([1, 2]))], [], dtype=kind(1))
    (rows,) = b.flex("ResourceGather", [handle, b.constant(i32([0]))], [I64], dtype=kind(9), Tindices=kind(3))
    with pytest.raises(KernelError, match="ResourceGather got a handle of other types than its own as operand 0"):
        run(FlexDelegate(), b.graph([rows]))
    b = FlexBuilder()
    names = {"shared_name": text(b"t")}
    (handle,) = b.flex("MutableHashTableV2", [], [RESOURCE], key_dtype=kind(7), value_dtype=kind(9), **names)
    exported = b.flex("LookupTableExportV2", [handle], [I64, I64], Tkeys=kind(9), Tvalues=kind(9))
    with pytest.raises(KernelError, match="LookupTableExportV2 got a handle of other types"):
        run(FlexDelegate(), b.graph(exported))


def test_two_models_with_the_same_names_never_share() -> None:
    """Neither a variable nor a table, in whole interpreters made from files."""
    contents = [write_model(model(graph)) for graph in (table_graph("box", "shared"), table_graph("box", "shared"))]
    first, second = (lite.Interpreter(model_content=content) for content in contents)
    query = strings(b"k")
    for interpreter, value, expected in ((first, 1, [1, 1]), (second, 2, [2, 1])):
        for index, array in enumerate((query, i64([value]), query)):
            interpreter.resize_tensor_input(index, array.shape)
        interpreter.allocate_tensors()
        for index, array in enumerate((query, i64([value]), query)):
            interpreter.set_tensor(index, array)
        interpreter.invoke()
        found, size = (interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details())
        assert [int(found[0]), int(size)] == expected


@pytest.mark.parametrize(
    ("number", "dtype"), [(1, np.float32), (2, np.float64), (8, np.complex64), (18, np.complex128)]
)
def test_a_factor_that_there_is_none_of_shows_no_memory(number: int, dtype: type) -> None:
    """The kernel leaves what is above the diagonal as it was."""
    kinds = {1: F32, 2: TensorType.FLOAT64, 8: TensorType.COMPLEX64, 18: TensorType.COMPLEX128}
    program = FlexDelegate().compile(whole(one("Cholesky", [kinds[number]], [kinds[number]], T=kind(number))))
    (factor,) = program(Lane(State()), [np.array([[4, 2], [2, 5]], dtype)])
    assert factor.tolist() == [[2, 0], [1, 2]]
    for _ in range(5):
        assert np.full((5, 5), 7.5, dtype).any()
        (factor,) = program(Lane(State()), [np.array(np.ones((5, 5)) - 3 * np.eye(5), dtype)])
        assert not factor[np.triu_indices(5, 1)].any()


def test_batch_dimensions_are_those_of_data_and_indices() -> None:
    graph = one("GatherV2", [F32, I32, I32], [F32], **{**GATHERED, "batch_dims": integer(1)})
    (result,) = run(FlexDelegate(), graph, f32([[1, 2], [3, 4]]), i32([[1], [0]]), i32(1))
    assert result.tolist() == [[2], [3]]
    with pytest.raises(KernelError, match=r"has 1 batch dimensions, and operands of \[1, 0\] dimensions"):
        run(FlexDelegate(), graph, f32([1, 2]), i32(0), i32(0))


def test_operators_that_take_any_shape_are_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    shapes = Eager.result_shapes

    def counted(self: Eager, operator: Any, *arguments: Any) -> Any:
        asked.append(operator.name)
        return shapes(self, operator, *arguments)

    monkeypatch.setattr(Eager, "result_shapes", counted)
    lower, add = (
        FlexDelegate().compile(whole(LOWER)),
        FlexDelegate().compile(whole(one("AddV2", [F32] * 2, [F32], T=kind(1)))),
    )
    for size in range(1, 4):
        (texts,) = lower(Lane(State()), [strings(*[b"A"] * size)])
        (sums,) = add(Lane(State()), [np.ones(size, np.float32), np.ones(size, np.float32)])
        assert (texts.tolist(), sums.tolist()) == ([b"a"] * size, [2.0] * size)
    assert asked == ["StringLower", "AddV2"]
    with pytest.raises(KernelError, match="must be equal"):
        add(Lane(State()), [np.ones(2, np.float32), np.ones(3, np.float32)])


def test_strings_that_grow_from_node_to_node() -> None:
    """Forty nodes that each double a string would come to a terabyte."""
    b = FlexBuilder()
    x = b.input(STRING, [None])
    for _ in range(40):
        (x,) = b.flex("StringJoin", [x, x], [STRING], N=integer(2), separator=text(b""))
    program = FlexDelegate().compile(whole(b.graph([x])))
    lane = Lane(State(), budget=Budget(Limits(max_output_string_bytes=1000)))
    with pytest.raises(LimitError, match=r"FlexStringJoin#9 gives strings of 1024 bytes, more than max_output_string"):
        program(lane, [strings(b"x")])
    wide = one("AsString", [F32], [STRING], T=kind(1), width=integer((1 << 31) - 1))
    with pytest.raises(LimitError, match="AsString would give"):
        run(FlexDelegate(), wide, np.ones(10, np.float32))

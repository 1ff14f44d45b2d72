"""G1 to G14: well-formed files whose graph can't run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from tests.build import BOOL, F32, I32, GraphBuilder
from tests.malformed.catalogue import (
    ACCEPTED,
    FORMAT,
    GRAPH,
    KERNEL,
    LIMIT,
    UNSUPPORTED,
    Case,
    faulty,
    grafted,
    malformed,
    node,
    record,
    remade,
)
from tests.malformed.seeds import Seed
from tflite_cupy.interpreter.format.emit import Record
from tflite_cupy.interpreter.graph import ABSENT, Graph, Model

INT_MIN, INT_MAX = -(2**31), 2**31 - 1
X = np.float32([1, 2])


def _with(values: tuple[int, ...], place: int, value: int) -> tuple[int, ...]:
    return (*values[:place], value, *values[place + 1 :])


def _inputs(seed: Seed) -> tuple[int, ...]:
    return seed.model.graphs[0].nodes[seed.operator].inputs


def _outputs(seed: Seed) -> tuple[int, ...]:
    return seed.model.graphs[0].nodes[seed.operator].outputs


@malformed("G1", GRAPH)
def operand_index(seed: Seed) -> Iterator[Case]:
    count = len(seed.model.graphs[0].tensors)
    for index in (count, 99_999, INT_MAX, -2, INT_MIN):
        for field, values in (("inputs", _inputs(seed)), ("outputs", _outputs(seed))):
            changes = {node(seed): {field: _with(values, 0, index)}}
            yield record(seed, f"{field} {index}", changes, f"{node(seed)}.{field}[0]")
        yield record(seed, f"intermediate {index}", {node(seed): {"intermediates": (index,)}}, node(seed))


@malformed("G2", GRAPH, UNSUPPORTED)
def required_operand(seed: Seed) -> Iterator[Case]:
    values, at = _inputs(seed), f"{node(seed)}.inputs[0]"
    yield record(seed, "absent", {node(seed): {"inputs": _with(values, 0, ABSENT)}}, at, code=GRAPH)
    yield record(seed, "none", {node(seed): {"inputs": None}}, node(seed), code=GRAPH)
    yield record(seed, "too many", {node(seed): {"inputs": values + (values[0],) * 30}}, node(seed))

    def among_many(b: GraphBuilder) -> int:
        return b.add("CONCATENATION", [b.input(F32, [2]), ABSENT], axis=0)

    yield faulty(seed, "absent of many", among_many, X, at=".operators[0].inputs[1]", code=GRAPH)


@malformed("G3", GRAPH)
def outputs(seed: Seed) -> Iterator[Case]:
    where = f"{node(seed)}.outputs"
    constant = next(i for i, tensor in enumerate(seed.model.graphs[0].tensors) if tensor.data is not None)
    yield record(seed, "absent", {node(seed): {"outputs": (ABSENT,)}}, f"{where}[0]")
    yield record(seed, "a constant", {node(seed): {"outputs": (constant,)}}, f"{where}[0]")
    yield record(seed, "twice", {node(seed): {"outputs": _outputs(seed) * 2}}, f"{where}[1]")
    yield record(seed, "none", {node(seed): {"outputs": None}})
    yield faulty(seed, "too many", _two_outputs, X)
    yield faulty(seed, "too few", _no_output, X)


def _two_outputs(b: GraphBuilder) -> int:
    return b.op("NEG", [b.input(F32, [2])], [b.tensor(F32, [2]), b.tensor(F32, [2])])[0]


def _no_output(b: GraphBuilder) -> int:
    x = b.input(F32, [2])
    b.op("NEG", [x], [])
    return x


@malformed("G4", GRAPH)
def order(seed: Seed) -> Iterator[Case]:
    def later(b: GraphBuilder) -> int:
        x, y = b.input(F32, [2]), b.tensor(F32, [2])
        z = b.add("ABS", [y])
        b.op("NEG", [x], [y])
        return z

    def cycle(b: GraphBuilder) -> int:
        y, z = b.tensor(F32, [2]), b.tensor(F32, [2])
        b.op("NEG", [y], [z])
        b.op("ABS", [z], [y])
        return z

    def itself(b: GraphBuilder) -> int:
        y = b.tensor(F32, [2])
        b.op("NEG", [y], [y])
        return y

    yield faulty(seed, "used before it is made", later, X, at=".operators[0].inputs[0]")
    yield faulty(seed, "a cycle", cycle, at=".operators[0].inputs[0]")
    yield faulty(seed, "of itself", itself, at=".operators[0].inputs[0]")
    yield faulty(seed, "nobody makes an output", lambda b: b.tensor(F32, [2]), at=".outputs[0]")


@malformed("G5", GRAPH, FORMAT, UNSUPPORTED)
def opcode(seed: Seed) -> Iterator[Case]:
    for index in (len(seed.model.graphs) * 99, 2**31, 2**32 - 1):
        yield record(seed, f"index {index}", {node(seed): {"opcode_index": index}}, f"{node(seed)}.opcode_index")
    entry = _entry(seed)
    beyond = {"builtin_code": 100_000, "deprecated_builtin_code": 127}
    yield record(seed, "beyond the enum", {entry: beyond}, node(seed), code=UNSUPPORTED)
    wrong: dict[str, dict[str, Any]] = {
        "contradiction": {"builtin_code": 150, "deprecated_builtin_code": 5},
        "negative": {"builtin_code": -1, "deprecated_builtin_code": -1},
        "least": {"builtin_code": INT_MIN, "deprecated_builtin_code": -128},
        "no custom code": {"builtin_code": 32, "deprecated_builtin_code": 32, "custom_code": None},
    }
    for title, fields in wrong.items():
        yield record(seed, title, {entry: fields}, entry, code=GRAPH)


def _entry(seed: Seed) -> str:
    """Path of the operator code of the node that `node` names; the writer numbers codes as it meets them."""
    nodes = seed.model.graphs[0].nodes
    names = list(dict.fromkeys(n.name for n in nodes[: seed.operator + 1]))
    return f"operator_codes[{names.index(nodes[seed.operator].name)}]"


@malformed("G6", GRAPH, UNSUPPORTED, KERNEL)
def swapped(seed: Seed) -> Iterator[Case]:
    for code in (0, 3, 27, 49, 69, 99, 119):  # ADD, CONV_2D, SVDF, SPLIT, FILL, RANK, WHILE
        name = seed.model.graphs[0].nodes[seed.operator].name
        if (name, code) != ("CONV_2D", 3):
            fields = {"builtin_code": code, "deprecated_builtin_code": code}
            yield record(seed, str(code), {_entry(seed): fields}, "subgraphs[0].operators[")


@malformed("G7", GRAPH, UNSUPPORTED, KERNEL)
def options(seed: Seed) -> Iterator[Case]:
    def pool(b: GraphBuilder) -> int:
        return b.add("MAX_POOL_2D", [b.input(F32, [1, 4, 4, 1])], [1, 2, 2, 1])

    image = np.ones((1, 4, 4, 1), np.float32)
    yield faulty(seed, "none, which says a window of 0", pool, image, code=KERNEL)
    where = f"subgraphs[0].operators[{seed.optioned}]"
    for title, union, table in (
        ("of another", "builtin_options", Record("SkipGramOptions", {})),
        ("of the other union", "builtin_options_2", Record("DilateOptions", {})),
    ):
        yield record(seed, title, {where: {union: table}}, f"{where}.{union}", code=GRAPH)


@malformed("G8", GRAPH, UNSUPPORTED)
def op_version(seed: Seed) -> Iterator[Case]:
    for version in (0, -1, INT_MIN):
        yield record(seed, str(version), {_entry(seed): {"version": version}}, _entry(seed), code=GRAPH)
    for version in (999, INT_MAX):
        case = record(seed, str(version), {_entry(seed): {"version": version}}, "subgraphs[0].operators[")
        yield replace(case, code=UNSUPPORTED, says=f"version {version}")


@malformed("G9", GRAPH)
def graph_ends(seed: Seed) -> Iterator[Case]:
    graph = seed.model.graphs[0]
    for field, values in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        for index in (len(graph.tensors), INT_MAX, -1, -2, INT_MIN):
            changes = {"subgraphs[0]": {field: _with(values, 0, index)}}
            yield record(seed, f"{field} {index}", changes, f"subgraphs[0].{field}[0]")
    yield record(seed, "an input twice", {"subgraphs[0]": {"inputs": graph.inputs * 2}}, code=ACCEPTED)


def _calling(name: str, **options: int) -> Graph:
    b = GraphBuilder(name)
    b.op(name, [], [], **options)
    return b.graph([])


@malformed("G10", GRAPH)
def callee(seed: Seed) -> Iterator[Case]:
    here = len(seed.model.graphs)
    for index in (here + 1, INT_MAX, -1, INT_MIN, here):
        for name, option in (("CALL_ONCE", "init_subgraph_index"), ("CALL", "subgraph")):
            if name == "CALL" and index < 0:
                continue  # its field has no sign
            made = grafted(seed, _calling(name, **{option: index}))
            yield remade(f"{name} {index}", made, f"subgraphs[{here}]")
    for option in ("then_subgraph_index", "else_subgraph_index"):
        yield remade(f"{option} of IF", grafted(seed, _if(**{option: here + 7})), f"subgraphs[{here}].operators[0]")


def _if(**options: int) -> Graph:
    b = GraphBuilder("if")
    b.op("IF", [b.input(BOOL, []), b.input(F32, [2])], [b.tensor(F32, [2])], **options)
    return b.graph([2])


@malformed("G11", GRAPH, LIMIT)
def recursion(seed: Seed) -> Iterator[Case]:
    here = len(seed.model.graphs)
    made = grafted(seed, *(_calling("CALL_ONCE", init_subgraph_index=here + other) for other in (1, 0)))
    yield remade("A calls B calls A", made, f"subgraphs[{here}]", code=GRAPH)
    for length in (40, 10_000 if seed.name == "control_flow" else 100):
        chain = [_calling("CALL_ONCE", init_subgraph_index=here + i + 1) for i in range(length)]
        made = grafted(seed, *chain, GraphBuilder("end").graph([]))
        yield replace(remade(f"a chain of {length}", made), code=LIMIT)


def _loop(condition: Any, *, body_outputs: int = 1, kind: Any = F32) -> list[Graph]:
    """Subgraphs of a WHILE over one value: the loop itself, its condition, its body."""
    main = GraphBuilder("loop")
    main.op("WHILE", [main.input(F32, [2])], [main.tensor(F32, [2])], cond_subgraph_index=1, body_subgraph_index=2)
    cond = GraphBuilder("cond")
    cond.input(F32, [2])
    body = GraphBuilder("body")
    x = body.input(kind, [2])
    return [main.graph([1]), cond.graph([cond.constant(condition)]), body.graph([x] * body_outputs)]


def _shifted(seed: Seed, graphs: list[Graph]) -> Model:
    """Grafts subgraphs whose nodes number them from 0."""
    here = len(seed.model.graphs)

    def moved(graph: Graph) -> Graph:
        nodes = (
            replace(n, attributes={k: v + here if "subgraph" in k else v for k, v in n.attributes.items()})
            for n in graph.nodes
        )
        return replace(graph, nodes=tuple(nodes))

    return grafted(seed, *map(moved, graphs))


@malformed("G12", LIMIT)
def endless(seed: Seed) -> Iterator[Case]:
    where = f"subgraphs[{len(seed.model.graphs)}].operators[0]"
    made = _shifted(seed, _loop(np.bool_(True)))
    yield replace(remade("always true", made, where), calls=({"a": X},), says="max_while_iterations")


@malformed("G13", GRAPH)
def once(seed: Seed) -> Iterator[Case]:
    here = len(seed.model.graphs)
    made = grafted(seed, _calling("CALL_ONCE", init_subgraph_index=here))
    yield remade("of itself", made, f"subgraphs[{here}]")
    entry = seed.model.graphs[0]
    operator = replace(_calling("CALL_ONCE", init_subgraph_index=0).nodes[0], index=len(entry.nodes))
    looped = replace(seed.model, graphs=(replace(entry, nodes=(*entry.nodes, operator)), *seed.model.graphs[1:]))
    yield remade("of the entry", looped, "subgraphs[0]")


@malformed("G14", GRAPH)
def bodies(seed: Seed) -> Iterator[Case]:
    where = f"subgraphs[{len(seed.model.graphs)}].operators[0]"
    loops = {
        "condition of integers": _loop(np.int32(1)),
        "body gives too much": _loop(np.bool_(False), body_outputs=2),
        "body gives nothing": _loop(np.bool_(False), body_outputs=0),
        "body of another type": _loop(np.bool_(False)),
    }
    other = GraphBuilder("body")
    other.input(F32, [2])
    loops["body of another type"][2] = other.graph([other.constant(np.int32([1, 2]))])
    for title, graphs in loops.items():
        yield replace(remade(title, _shifted(seed, graphs), where), calls=({"a": X},))
    b = GraphBuilder("if")
    b.op(
        "IF", [b.input(I32, []), b.input(F32, [2])], [b.tensor(F32, [2])], then_subgraph_index=1, else_subgraph_index=1
    )
    branch = GraphBuilder("branch")
    branches = [b.graph([2]), branch.graph([branch.input(F32, [2])])]
    made = remade("IF of an integer", _shifted(seed, branches), where)
    yield replace(made, calls=({"a": np.int32(1), "b": X},))
    wide = GraphBuilder("branch")
    wide.input(F32, [2])
    b = GraphBuilder("if")
    b.op(
        "IF", [b.input(BOOL, []), b.input(F32, [2])], [b.tensor(F32, [2])], then_subgraph_index=1, else_subgraph_index=1
    )
    branches = [b.graph([2]), wide.graph([wide.input(F32, [2])])]
    made = remade("branches of other arity", _shifted(seed, branches), where)
    yield replace(made, calls=({"a": np.True_, "b": X},))

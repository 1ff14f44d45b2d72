"""What a model may reach of TensorFlow. None of this needs TensorFlow, but for the comparison with its registry."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.build import F32, GraphBuilder, model
from tests.delegates.partitions import bound, constant, field, flex_options, integer, kind, kinds, node_def, text
from tflite_cupy import Interpreter, write_model
from tflite_cupy.delegates import flex as flex_package
from tflite_cupy.delegates.flex import FlexDelegate
from tflite_cupy.delegates.flex.policy import Policy, known_ops
from tflite_cupy.interpreter.errors import GraphError, InputError, MissingDependencyError, PolicyError, StateError
from tflite_cupy.interpreter.format.nodedef import read_nodedef
from tflite_cupy.interpreter.graph import Graph
from tflite_cupy.interpreter.runtime.delegate import Refusal

DANGEROUS = (
    "Abort",
    "BarrierTakeMany",
    "DebugIdentity",
    "DecodeProtoV2",
    "EagerPyFunc",
    "Empty",
    "GetSessionTensor",
    "ImmutableConst",
    "InitializeTableFromTextFileV2",
    "InplaceUpdate",
    "MatchingFiles",
    "MergeV2Checkpoints",
    "PartitionedCall",
    "Placeholder",
    "Print",
    "PrintV2",
    "PyFunc",
    "PyFuncStateless",
    "QueueDequeueV2",
    "ReadFile",
    "Recv",
    "RestoreV2",
    "SaveV2",
    "Send",
    "SleepOp",
    "Stage",
    "StatefulPartitionedCall",
    "SymbolicGradient",
    "TensorArrayReadV2",
    "TextLineDataset",
    "WriteFile",
    "XlaLaunch",
)


def refused(node: bytes, policy: Policy | None = None) -> str:
    return (policy or Policy.of("pure")).refuses(read_nodedef(node)) or ""


@pytest.mark.parametrize("op", DANGEROUS)
@pytest.mark.parametrize("policy", ["pure", "codecs"])
def test_no_policy_of_ours_allows_an_operator_that_reaches_out(op: str, policy: str) -> None:
    assert f"operator {op} is not allowed by the flex policy '{policy}'" in refused(node_def(op), Policy.of(policy))


def test_policies() -> None:
    erf, jpeg, read = (node_def(op) for op in ("Erf", "DecodeJpeg", "ReadFile"))
    allowed = {
        name: [not refused(node, Policy.of(words)) for node in (erf, jpeg, read)]
        for name, words in {
            "off": "off",
            "pure": "pure",
            "codecs": "codecs",
            "names": ["ReadFile"],
            "both": ("codecs", "ReadFile"),
        }.items()
    }
    assert allowed == {
        "off": [False, False, False],
        "pure": [True, False, False],
        "codecs": [True, True, False],
        "names": [True, False, True],
        "both": [True, True, True],
    }
    assert "the flex policy is off" in refused(erf, Policy.of("off"))


def test_a_policy_that_is_no_list_and_no_known_word() -> None:
    with pytest.raises(InputError, match="flex policy 'ReadFile' is none of"):
        Policy.of("ReadFile")


@pytest.mark.parametrize(
    ("node", "says"),
    [
        (node_def("Erf", {"f": kind(1)}), "Erf has no attribute 'f'"),
        (node_def("Erf", {"T": field(10, b"")}), "'T' of TensorFlow operator Erf is a function"),
        (node_def("Erf", {"T": field(9, b"x")}), "is a function"),
        (node_def("Erf", {"T": field(1, field(9, b""))}), "is a list of functions"),
        (node_def("Erf", {"T": kind(1)}, device="/job:worker/replica:0/task:0/device:CPU:0"), "asks for device"),
        (node_def("Erf", {"T": kind(1)}, device="/device:GPU:0"), "asks for device '/device:GPU:0'"),
        (node_def("Erf", {"T": kind(1)}, inputs=["", "^other"]), "has control inputs"),
        (node_def("Const", {"value": constant(20, b"")}), "constant resource or variant"),
        (node_def("Const", {"value": constant(21, b"")}), "constant resource or variant"),
        (
            node_def("Const", {"value": constant(1, b"", 1 << 20, 1 << 20)}),
            "is a constant of up to 17592186044416 bytes",
        ),
    ],
)
def test_rules_for_attributes(node: bytes, says: str) -> None:
    assert says in refused(node)


@pytest.mark.parametrize(
    "node",
    [
        node_def("Erf", {"T": kind(1)}),
        node_def("Erf", {"T": kind(1), "_class": field(1, b""), "_f": field(10, b"")}, inputs=[""]),
        node_def("Erf", {"T": kind(1)}, device="/device:CPU:0"),
        node_def("Erf", {"T": kind(1)}, device="/job:localhost/replica:0/task:0/device:CPU:0"),
        node_def("AsString", {"T": kind(1), "precision": integer(3), "fill": text(b"0")}),
        node_def("Assert", {"T": kinds(7, 7)}),
        node_def("Const", {"value": constant(1, b"\0" * 8, 2), "dtype": kind(1)}),
    ],
)
def test_nodes_within_the_rules(node: bytes) -> None:
    assert refused(node) == ""


def test_a_constant_over_the_limit_is_refused() -> None:
    node = node_def("Const", {"value": constant(1, b"\0" * 4000, 1000)})
    assert not refused(node, Policy.of("pure", 1 << 20))
    assert "over the limit of 2000" in refused(node, Policy.of("pure", 2000))


def flex_graph(op: str, encoded: bytes) -> Graph:
    b = GraphBuilder()
    x, y = b.input(F32, [2]), b.tensor(F32, [2])
    b.op(f"Flex{op}", [x], [y], options=flex_options(op, encoded))
    return b.graph([y])


@pytest.mark.parametrize(
    ("op", "encoded", "error"),
    [
        ("ReadFile", node_def("ReadFile"), PolicyError),
        ("Erf", node_def("Erf", {"T": field(10, b"")}), PolicyError),
        ("Erf", node_def("Erf", {"T": b"\xff"}), GraphError),
    ],
)
def test_a_refusal_asks_for_its_error(op: str, encoded: bytes, error: type[Exception]) -> None:
    sentence = FlexDelegate().refuses(bound(flex_graph(op, encoded)))
    assert isinstance(sentence, Refusal)
    assert sentence.error is error
    assert sentence.endswith(".")


def test_without_tensorflow_the_refusal_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flex_package, "installed", lambda: False)
    sentence = FlexDelegate().refuses(bound(flex_graph("Erf", node_def("Erf", {"T": kind(1)}))))
    assert isinstance(sentence, Refusal)
    assert sentence.error is MissingDependencyError
    assert "pip install tensorflow-cpu" in sentence


def test_a_plan_for_a_gpu_needs_no_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> None:
        raise AssertionError("TensorFlow is imported")

    monkeypatch.setattr(flex_package, "installed", lambda: False)
    monkeypatch.setattr(flex_package, "load", load)
    content = write_model(model(flex_graph("Erf", node_def("Erf", {"T": kind(1)}))))
    interpreter = Interpreter(model_content=content, dry_run=True)
    assert interpreter.delegation_report().totals()["flex"].nodes == 1
    interpreter.allocate_tensors()
    with pytest.raises(StateError, match="runs nothing"):
        interpreter.invoke()
    with pytest.raises(PolicyError):
        Interpreter(model_content=content, dry_run=True, flex="off").allocate_tensors()
    with pytest.raises(MissingDependencyError):
        Interpreter(model_content=content).allocate_tensors()


def test_builtin_operators_are_refused() -> None:
    b = GraphBuilder()
    x = b.input(F32, [2])
    assert FlexDelegate().refuses(bound(b.graph([b.add("ADD", [x, x])]))) is not None


def test_the_list_of_operators_is_sorted_and_has_no_dangerous_one() -> None:
    for section in ("pure", "codecs"):
        names = list(known_ops(section))
        assert len(set(names)) == len(names)
        assert not set(names) & set(DANGEROUS)
        forbidden = re.compile(
            r"File|PyFunc|Dataset|Iterator|Queue|Session|Summary|Checkpoint|Debug|Collective|Xla|Rpc"
        )
        assert not [name for name in names if forbidden.search(name)]


def test_each_class_of_operators_is_explained_and_sorted() -> None:
    text = Path(flex_package.__file__).with_name("ops.txt").read_text()
    classes = re.split(r"^#.*\n", text.partition("\n[pure]\n")[2], flags=re.MULTILINE)
    assert classes[0] == ""  # no operator before a reason
    names = [[line.split()[0] for line in lines.splitlines() if not line.startswith("[")] for lines in classes[1:]]
    assert len(names) > 10
    assert all(group == sorted(group) and group for group in names)
    assert {name for group in names for name in group} == known_ops("pure").keys() | known_ops("codecs").keys()


@pytest.mark.flex
def test_the_list_agrees_with_the_installed_tensorflow() -> None:
    from tflite_cupy.delegates.flex.eager import load

    load()
    from tensorflow import version
    from tensorflow.python.framework import op_def_registry

    producer = version.GRAPH_DEF_VERSION
    for name, attributes in {**known_ops("pure"), **known_ops("codecs")}.items():
        op_def = op_def_registry.get(name)
        assert op_def is not None, name
        assert attributes <= {a.name for a in op_def.attr}, name
        assert not [a.name for a in op_def.attr if "func" in a.type], name
        assert not op_def.HasField("deprecation") or op_def.deprecation.version > producer, name


@pytest.mark.flex
def test_every_other_registered_operator_is_refused() -> None:
    from tflite_cupy.delegates.flex.eager import load

    load()
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session

    registered = op_def_pb2.OpList.FromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    names = {op.name for op in registered.op}
    assert len(names) > 1000
    allowed = {name for name in names if not refused(node_def(name))}
    assert allowed == names & known_ops("pure").keys()

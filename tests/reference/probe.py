"""Finds the combinations of element kinds that the reference accepts, and what we make of them.

Kinds spread from combinations known to be accepted to their neighbours, which differ in one variable, until no new one
turns up; they start from all combinations of a few common kinds and from all uniform ones.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from tflite_cupy import Interpreter
from tflite_cupy.interpreter.errors import TfliteError
from tflite_cupy.interpreter.graph import TensorType

from .drafts import Draft, Plain, Sample, build
from .kinds import BY_NAME, KINDS, Kind, names, real_values
from .oracle import Answer, Oracle
from .recipes import RECIPES

Kinds: TypeAlias = tuple["Kind | None", ...]

COMMON = tuple(BY_NAME[n] for n in ("f32", "i8q", "i32", "i16q", "u8q", "i64", "f16", "bool", "string", "c64"))
MOST_SEEDS = 5_000
MOST_ASKED = 10_000  # combinations of one operator on one resolver; only those that read bytes as anything have more
NEWEST = 20
AGREES = "agrees"


@dataclass
class Findings:
    """What the probe found of one operator: a verdict per accepted combination of kinds."""

    operator: str
    version: int  # the newest that both resolvers have, with which it was probed
    newest: int  # the newest that either has
    verdicts: dict[str, str] = field(default_factory=dict)  # "f32,i32->f32": "agrees", or what is wrong
    misread: dict[str, str] = field(default_factory=dict)  # accepted, but the reference misreads the operands

    @property
    def agreed(self) -> int:
        return sum(v == AGREES for v in self.verdicts.values())

    def as_json(self) -> dict[str, Any]:
        """For the report: what agrees, what we lack and why, and some of what the reference misreads."""
        return {
            "version": self.version,
            "newest": self.newest,
            "agrees": sorted(name for name, v in self.verdicts.items() if v == AGREES),
            "lacks": {name: v for name, v in self.verdicts.items() if v != AGREES},
            "misread": len(self.misread),
            "misread_examples": dict(list(self.misread.items())[:3]),
        }


def newest_version(operator: str, oracle: Oracle) -> int:
    """The newest version that the reference registers, 0 for none."""
    draft = draft_of(operator)
    kinds = dict.fromkeys(draft.variables, BY_NAME["f32"])
    for version in range(NEWEST, 0, -1):
        sample = build(draft, operator, version, kinds, np.random.default_rng(0))
        if "Didn't find op" not in oracle.run(sample.model, ()).reason:
            return version
    return 0


def draft_of(operator: str) -> Draft:
    """The plain draft, the same at every call."""
    return RECIPES[operator](Plain(), operator)


def sample_of(
    operator: str, version: int, kinds: Kinds, *, seed: int = 11, units: Mapping[str, int] | None = None
) -> Sample:
    """The model of a combination, the same at every call."""
    draft = draft_of(operator)
    assignment = dict(zip(draft.variables, kinds, strict=True))
    return build(draft, operator, version, assignment, np.random.default_rng(seed), units=units)


def accepted(operator: str, version: int, oracle: Oracle) -> list[Kinds]:
    """Every combination of kinds that the reference runs without redeclaring a result."""
    domains = list(draft_of(operator).variables.values())
    seen: set[Kinds] = set()
    found: list[Kinds] = []
    queue: deque[Kinds] = deque(_seeds(domains))
    while queue and len(seen) < MOST_ASKED:
        kinds = queue.popleft()
        if kinds in seen:
            continue
        seen.add(kinds)
        if _runs(operator, version, kinds, oracle):
            found.append(kinds)
            queue.extend(_neighbours(kinds, domains))
    return found


def _runs(operator: str, version: int, kinds: Kinds, oracle: Oracle) -> bool:
    sample = sample_of(operator, version, kinds)
    answer = oracle.run(sample.model, sample.feeds)
    return answer.accepted and _as_declared(sample, answer)


def _as_declared(sample: Sample, answer: Answer) -> bool:
    """Whether the results are of the types that the model declares; 8-bit floats come as integers of 8 bits."""
    return all(_same_type(k.type.dtype, got.dtype) for (k, _), got in zip(sample.outputs, answer.outputs, strict=True))


def _same_type(want: np.dtype[Any], got: np.dtype[Any]) -> bool:
    if want.hasobject:
        return got.kind in "SO"
    return want == got or (want.name.startswith("float8") and got.itemsize == 1)


def _seeds(domains: Sequence[Sequence[Kind | None]]) -> Iterator[Kinds]:
    uniform = [tuple(k if k in d else next(iter(d)) for d in domains) for k in KINDS]
    common = len(COMMON)
    while common ** len(domains) > MOST_SEEDS:
        common -= 1
    yield from itertools.product(*([k for k in d if k is None or k in COMMON[:common]] for d in domains))
    yield from uniform


def _neighbours(kinds: Kinds, domains: Sequence[Sequence[Kind | None]]) -> Iterator[Kinds]:
    for position, domain in enumerate(domains):
        for kind in domain:
            yield (*kinds[:position], kind, *kinds[position + 1 :])


def verdict(operator: str, version: int, kinds: Kinds, oracles: Sequence[Oracle]) -> str:
    """`agrees` if we give what one of the reference's kernels gives, else what we do instead.

    Two sets of values are tried, since a kernel that misreads its operands may be right by chance.
    """
    draft = draft_of(operator)
    for seed in (11, 12):
        sample = sample_of(operator, version, kinds, seed=seed)
        try:
            outputs = ours(sample)
        except TfliteError as error:
            return f"refused: {str(error).splitlines()[0]}"
        answers = [oracle.run(sample.model, sample.feeds) for oracle in oracles]
        differences = [difference(draft, outputs, answer.outputs) for answer in answers if answer.accepted]
        if "" not in differences:
            return f"differs: {differences[0] if differences else answers[0].reason.splitlines()[0]}"
    return AGREES


def ours(sample: Sample) -> tuple[Any, ...]:
    """Outputs of our runtime."""
    interpreter = Interpreter(model_content=sample.model)
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), sample.feeds, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return tuple(interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details())


def difference(draft: Draft, got: Sequence[Any], want: Sequence[Any]) -> str:
    """How results differ from the reference's beyond the draft's tolerance; empty if they don't."""
    for position, (a, b) in enumerate(zip(got, want, strict=True)):
        if np.shape(a) != np.shape(b):
            return f"output {position} has shape {list(np.shape(a))}, not {list(np.shape(b))}"
        found = "" if draft.random else _unequal(draft, np.asarray(a), np.asarray(b))
        if found:
            return f"output {position} {found}"
    return ""


def _unequal(draft: Draft, a: np.ndarray, b: np.ndarray) -> str:
    if a.dtype.name.startswith("float8") and b.dtype.itemsize == 1:  # which the reference gives as integers
        b = b.view(a.dtype)
    if draft.of_bytes:
        return "" if a.tobytes() == b.tobytes() else "differs"
    if a.dtype != b.dtype and "S" not in (a.dtype.kind, b.dtype.kind):
        return f"is {a.dtype}, not {b.dtype}"
    if a.dtype.kind in "iu" and b.dtype.kind in "iu":
        steps = int(np.abs(a.astype(np.int64) - b.astype(np.int64)).max(initial=0))
        return f"is {steps} steps off" if steps > draft.steps else ""
    if a.dtype.kind in "fcV":
        wide = np.complex128 if "c" in (a.dtype.kind, b.dtype.kind) else np.float64
        x, y = a.astype(wide), b.astype(wide)
        eps = max(draft.tolerance, _EPSILON.get(a.dtype.name, 0.0))
        scale = float(np.abs(y[np.isfinite(y)]).max(initial=0.0))
        close = np.isclose(x, y, rtol=eps, atol=eps * min(scale, 1.0), equal_nan=True)
        return "" if close.all() else f"is {float(np.nanmax(np.abs(x - y))):.3g} off where values reach {scale:.3g}"
    return "" if np.array_equal(a, b) else "differs"


_EPSILON = {"float16": 2e-3, "bfloat16": 1.6e-2}


def probe(operator: str, oracles: Sequence[Oracle]) -> Findings:
    """Verdicts on every combination of kinds that one of the reference's resolvers accepts."""
    versions = {o.resolver: newest_version(operator, o) for o in oracles}
    version = min((v for v in versions.values() if v), default=0)
    findings = Findings(operator, version, max(versions.values()))
    draft = draft_of(operator)
    runners: dict[Kinds, list[Oracle]] = {}
    for oracle in oracles:
        for kinds in accepted(operator, version, oracle) if versions[oracle.resolver] else ():
            runners.setdefault(kinds, []).append(oracle)
    verdicts = {kinds: verdict(operator, version, kinds, able) for kinds, able in runners.items()}
    good = [kinds for kinds, v in verdicts.items() if v == AGREES]
    for kinds, found_verdict in verdicts.items():
        name = label(draft, kinds)
        if found_verdict != AGREES:
            nonsense = misread(operator, version, kinds, good, runners[kinds][0])
            if nonsense:
                findings.misread[name] = nonsense
                continue
        findings.verdicts[name] = found_verdict
    return findings


def misread(operator: str, version: int, kinds: Kinds, good: Sequence[Kinds], oracle: Oracle) -> str:
    """How the reference's result on small integers differs from its own with other kinds; empty if it does not.

    Some kernels do not look at the type of an operand or its scale and read its bytes as something else.
    """
    draft = draft_of(operator)
    peers = [g for g in good if [k is None for k in g] == [k is None for k in kinds]]
    if not peers or draft.of_bytes:
        return ""
    peer = max(peers, key=lambda g: sum(k is not None and k.type is TensorType.FLOAT32 for k in g))
    signed = [
        k is not None and k.has_negative and p is not None and p.has_negative for k, p in zip(kinds, peer, strict=True)
    ]
    units = dict(zip(draft.variables, (-1 if s else 0 for s in signed), strict=True))
    mine = _on_small_integers(operator, version, kinds, tuple(units.items()), oracle)
    theirs = _of_peer(operator, version, peer, tuple(units.items()), oracle)
    if not mine.accepted:
        return f"on small integers it {mine.reason.splitlines()[0]}"
    slack = _slack(max(mine.step, theirs.step))
    for a, b in zip(mine.results, theirs.results, strict=False):
        if a.shape != b.shape:
            return f"shape {list(a.shape)}, not {list(b.shape)} as for {label(draft, peer)}"
        if a.dtype.kind in "SO" or b.dtype.kind in "SO":
            continue
        off = float(np.abs(a - b).max(initial=0.0)) if np.isfinite(a).all() else np.inf
        if off > slack + 0.02 * float(np.abs(b).max(initial=0.0)):
            return f"on small integers {off:.3g} away from the result for {label(draft, peer)}"
    return ""


def _slack(step: float) -> float:
    """How far apart two right results may lie on a grid: fine grids also forgive a step of rounding."""
    return 1.6 * step if step < 0.1 else 0.6 * step


@dataclass(frozen=True)
class _Reals:
    """Real results of the reference (or strings), and the largest step of their grid."""

    results: Sequence[np.ndarray] = ()
    step: float = 0.0
    reason: str = ""

    @property
    def accepted(self) -> bool:
        return not self.reason


Units: TypeAlias = tuple[tuple[str, int], ...]  # least integer by variable


def _on_small_integers(operator: str, version: int, kinds: Kinds, units: Units, oracle: Oracle) -> _Reals:
    sample = sample_of(operator, version, kinds, units=dict(units))
    answer = oracle.run(sample.model, sample.feeds)
    if not answer.accepted:
        return _Reals(reason=answer.reason)
    pairs = [(kind, q, np.asarray(o)) for (kind, q), o in zip(sample.outputs, answer.outputs, strict=True)]
    steps = [float(q.scales[0]) for _, q, _ in pairs if q is not None]
    results = [o if o.dtype.kind in "SO" else real_values(kind, q, o) for kind, q, o in pairs]
    return _Reals(results, max(steps, default=0.0))


_of_peer = lru_cache(maxsize=64)(_on_small_integers)  # which many combinations are held against


def label(draft: Draft, kinds: Kinds) -> str:
    """`f32,i32->f32`: kinds of the operands' variables, then of the results'."""
    chosen = dict(zip(draft.variables, kinds, strict=True))
    left, right = (names(tuple(chosen[v] for v in side)) for side in _sides(draft))
    return f"{','.join(left)}->{','.join(right)}"


def kinds_of(draft: Draft, name: str) -> dict[str, Kind | None]:
    """Kinds by variable from a `label`."""
    found: dict[str, Kind | None] = {}
    for side, words in zip(_sides(draft), name.split("->"), strict=True):
        for variable, word in zip(side, words.split(","), strict=True):
            found[variable] = None if word == "-" else BY_NAME[word]
    return found


def _sides(draft: Draft) -> tuple[list[str], list[str]]:
    operands = dict.fromkeys(s.variable for s in draft.inputs if s is not None)
    return list(operands), list(dict.fromkeys(o.variable for o in draft.outputs))

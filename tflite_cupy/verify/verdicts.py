"""Verdicts on outputs, from what the calls gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..interpreter.errors import TfliteError
from ..runtimes import entry
from .history import History, Pair, Place, Seen
from .judge import Judge
from .locate import Finding, Locator
from .measure import Measure
from .result import OutputVerdict
from .trace import Opener

AMPLIFIED = 4
"""How much further off an output may be than in any of the calls when every tensor is kept, for rounding to explain it:
small differences grow to ones of about the same size, not of the same value."""


def random_outputs(pair: Pair, history: History, *, saved: bool) -> set[Place]:
    """Of the outputs that failed, those in which the reference differs from itself (the candidate, if the other side
    was saved)."""
    failed = {place: seen for place, seen in history.seen.items() if seen.failed}
    if not failed:
        return set()
    last = max(seen.call for seen in failed.values())
    again = pair.rerun(pair.candidate if saved else pair.reference, history.calls[: last + 1])
    found = set()
    for (key, name), seen in failed.items():
        signature = entry(pair.model, key)
        before = seen.got if saved else seen.want
        _, excess = pair.judge.measure(signature.graph, signature.outputs[name], again[seen.call][name], before)
        if excess > 1:
            found.add((key, name))
    return found


def verdicts_of(pair: Pair, history: History, random: set[Place]) -> list[OutputVerdict]:
    """A verdict for each output, before any node is looked for."""
    model, judge, verdicts = pair.model, pair.judge, []
    for (key, name), seen in history.seen.items():
        signature = entry(model, key)
        index = signature.outputs[name]
        alike = seen.got.shape == seen.want.shape and seen.got.dtype == seen.want.dtype
        verdicts.append(
            OutputVerdict(
                signature=key,
                output=name,
                type=model.graphs[signature.graph].tensors[index].type.name.lower(),
                shape=seen.want.shape,
                measure=seen.measure,
                allowed=judge.allowed(signature.graph, index),
                passed=not seen.failed or ((key, name) in random and alike),
                random=(key, name) in random,
                sample=history.samples[seen.call],
            )
        )
    return verdicts


def located(
    pair: Pair, history: History, verdicts: Sequence[OutputVerdict], candidate: Opener, reference: Opener
) -> list[OutputVerdict]:
    """The verdicts, those that failed with the first diverging node, or passed as rounding."""
    for_nodes = Judge(pair.model, pair.judge.tolerance.for_nodes())
    with Locator(pair.model, candidate, reference, for_nodes, history.placement) as locator:
        return [v if v.passed else _located(locator, pair.judge, history, v) for v in verdicts]


def _located(locator: Locator, judge: Judge, history: History, verdict: OutputVerdict) -> OutputVerdict:
    """A verdict with the first diverging node, or why it can't be told. It is rounding, and passes, where small errors
    of all nodes explain it, unless the user has said how far the output may be off."""
    seen = history.seen[verdict.signature, verdict.output]
    try:
        found = locator.locate(history.calls, seen.call, verdict.output)
    except TfliteError as error:
        return replace(verdict, remark=f"which node diverges first can't be told: {error}")
    if found.divergence is None:
        return replace(verdict, remark=_kept(Measure()))
    node = found.divergence
    if node.certain or node.own is None or node.own.equal:
        return replace(verdict, divergence=node)
    if not _adds_up(found, judge, seen):
        return replace(verdict, divergence=replace(node, adds_up=False), remark=_kept(found.output))
    rounding = seen.kind not in judge.tolerance.strict
    return replace(verdict, divergence=node, rounding=rounding, passed=rounding)


def _adds_up(found: Finding, judge: Judge, seen: Seen) -> bool:
    """Whether an output is off by what its nodes, none of which is off by more than it may be, add up to.

    It must be about as far off when every tensor is kept: else nodes that run together are at fault.
    """
    return not seen.measure.problem and seen.excess <= AMPLIFIED * judge.tolerance.excess(seen.kind, found.output)


def _kept(output: Measure) -> str:
    """How far an output is off when every tensor is kept."""
    kept = "with every tensor kept, which keeps nodes from being fused, the two"
    return f"{kept} agree" if output.equal else f"{kept} differ: {output}"

"""Conditions on what runs where, for continuous integration: `--require-full-delegation`, `--fail-on`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..interpreter.report import DelegationReport, NodeReport, SubgraphReport
from .output import note

_HELP = """fail (exit code 1) if: cpu, flex: a node runs there; partitions:N: a signature has more than N;
coverage:<95: less than 95 percent of a signature's nodes run on the GPU"""


def add_gates(parser: argparse.ArgumentParser) -> None:
    """Declare `--require-full-delegation` and `--fail-on`."""
    parser.add_argument(
        *("--require-full-delegation", "--require_full_delegation"),
        action="store_true",
        help="fail (exit code 1) if a node runs elsewhere than on the GPU",
    )
    parser.add_argument(
        "--fail-on", type=Gate.parse, action="append", default=[], metavar="CONDITION", help=_HELP.replace("%", "%%")
    )


def failed(report: DelegationReport, arguments: argparse.Namespace, key: str | None = None) -> bool:
    """Whether a condition is not met by a signature, or without a key by any of them; each is told on stderr."""
    gates = [*arguments.fail_on, *([Gate("coverage", 100)] if arguments.require_full_delegation else [])]
    keys: list[str | None] = [key] if key is not None or not report.signatures else [*report.signatures]
    failures = [text for key in keys for gate in gates for text in gate.failures(report, key)]
    for text in dict.fromkeys(failures):
        note(f"failed: {text}")
    return bool(failures)


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition: delegates that may run no node, partitions at most, percent of nodes on the GPU at least."""

    kind: str  # "cpu", "flex", "partitions" or "coverage"
    bound: float = 0

    FORMS: ClassVar[Mapping[str, str]] = {
        "cpu": "cpu",
        "flex": "flex",
        "partitions": r"partitions:(\d+)",
        "coverage": r"coverage:<(\d+(?:\.\d+)?)%?",
    }

    @classmethod
    def parse(cls, text: str) -> Gate:
        """`cpu`, `flex`, `partitions:N` or `coverage:<N`, as a type of argparse."""
        for kind, form in cls.FORMS.items():
            if found := re.fullmatch(form, text):
                return cls(kind, float(found[1]) if found.groups() else 0)
        raise argparse.ArgumentTypeError(f"{text!r} is none of cpu, flex, partitions:N, coverage:<95")

    def failures(self, report: DelegationReport, key: str | None) -> Iterator[str]:
        """Why a signature does not meet the condition; nothing if it does."""
        subgraphs = report.reached(key)
        whose = f"signature {key!r}" if key is not None else "the model"
        if self.kind == "coverage":
            coverage = report.coverage("gpu", key)
            if coverage < self.bound:
                others = ", ".join(_elsewhere(subgraphs)[:8])
                yield f"{coverage:.1f} % of {whose} runs on the GPU, {self.bound:g} % wanted; elsewhere: {others}"
        elif self.kind == "partitions":
            count = sum(len(subgraph.partitions) for subgraph in subgraphs)
            if count > self.bound:
                yield f"{whose} has {count} partitions, at most {self.bound:.0f} wanted"
        else:
            nodes = [n for subgraph in subgraphs for n in subgraph.nodes if n.counts and self._is_met_by(n)]
            if nodes:
                runs = f"{self.kind} runs" if nodes[0].delegate else "TensorFlow, which is not there, has to run"
                yield f"{runs} {len(nodes)} of the nodes of {whose}: {', '.join(map(str, nodes[:8]))}"

    def _is_met_by(self, node: NodeReport) -> bool:
        """Whether a node runs on the delegate, or would where TensorFlow is installed."""
        return node.delegate == self.kind or (
            self.kind == "flex" and not node.delegate and node.name.startswith("Flex")
        )


def _elsewhere(subgraphs: list[SubgraphReport]) -> list[str]:
    return [str(n) for s in subgraphs for n in s.nodes if n.counts and n.delegate != "gpu"]

"""The delegation report: what runs where, and why, read off the plans that run.

```
survey work         plans -> data; how much a node has to do
data                the report as frozen data
reasons             refusals, as few sentences as possible
words colours       how delegates and nodes are shown
text plain markdown explorer       the report as a table, as JSON, for GitHub, for Model Explorer
page page.css cards tables markup  the report as a page
layout picture      the page's pictures: where everything lies, and SVG of it
```
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..runtime.engine import Engine
from .data import (
    NAMES,
    CopyReport,
    DelegateTotal,
    NodeReport,
    PartitionReport,
    SubgraphReport,
    Survey,
    TensorReport,
)
from .explorer import node_data
from .markdown import markdown
from .page import is_page, page
from .plain import report_data
from .survey import survey
from .text import table

__all__ = [
    "NAMES",
    "CopyReport",
    "DelegateTotal",
    "DelegationReport",
    "NodeReport",
    "PartitionReport",
    "SubgraphReport",
    "TensorReport",
    "delegation_report",
    "is_page",
]


@dataclass(frozen=True, slots=True)
class DelegationReport(Survey):
    """What runs where, and why: `str()` gives a table, the methods other forms."""

    def __str__(self) -> str:
        return table(self)

    def to_text(self, width: int = 100) -> str:
        """The table, in lines of at most `width` characters as far as its words allow."""
        return table(self, width)

    def to_json(self) -> dict[str, Any]:
        """Plain data: fields named as in LiteRT's ModelRuntimeDetails where those exist, plus totals and refusals."""
        return report_data(self)

    def to_markdown(self, title: str = "Delegation report") -> str:
        """For a comment or a summary on GitHub: a table for each signature, and the reasons of refusal."""
        return markdown(self, title)

    def to_html(self, title: str = "Delegation report", subtitle: str = "") -> str:
        """A page in one file that runs no scripts and loads nothing: a picture of each signature, and all its nodes."""
        return page(self, title, subtitle)

    def to_model_explorer(self) -> dict[str, Any]:
        """Node data for Model Explorer: {subgraph: {"results": {operator index: {"value": delegate, ...}}}}."""
        return node_data(self)


def delegation_report(engine: Engine, absent: Mapping[str, str]) -> DelegationReport:
    """The report of every subgraph, from the plan made last, or for the declared shapes if there is none.

    Nodes that no delegate takes are in it too, each with the reason.
    """
    subgraphs, signatures, ends = survey(engine)
    return DelegationReport(subgraphs, signatures, {d.name: d.title for d in engine.delegates}, absent, ends)

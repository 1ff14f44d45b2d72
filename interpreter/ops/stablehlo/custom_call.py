"""Calls of StableHLO to functions outside the model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...graph import TensorSpec
from ..base import ANY, Op, Specs, op


@op("STABLEHLO_CUSTOM_CALL", ANY)
class StablehloCustomCall(Op):
    """A call to a function that the model does not hold; every delegate refuses it, by its name."""

    effects = True

    call_target_name: str = ""

    def infer(self, *inputs: TensorSpec) -> Specs:
        return tuple(replace(spec, shape=None) for spec in self.outs)

    def refuses(self, *inputs: TensorSpec) -> str | None:
        return (
            f"operator STABLEHLO_CUSTOM_CALL calls {self.call_target_name!r}, which is not part of the model and not "
            "known here."
        )

    def run(self, xp: Any, *inputs: Any) -> Any:
        raise NotImplementedError(self.refuses())

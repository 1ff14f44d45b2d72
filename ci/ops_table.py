"""OPS.md, made from the operator classes: `python ci/ops_table.py` writes it, `--check` fails if it is out of date."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tflite_cupy.delegates.cpu.kernels import KERNELS as CPU_KERNELS
from tflite_cupy.delegates.gpu.groups import LOWERINGS
from tflite_cupy.delegates.gpu.tail import EXPRESSIONS
from tflite_cupy.delegates.gpu.walk import WALKS
from tflite_cupy.interpreter.format.schema import OPERATORS
from tflite_cupy.interpreter.graph import TensorType
from tflite_cupy.interpreter.ops import base
from tflite_cupy.interpreter.ops.arity import arity
from tflite_cupy.interpreter.ops.base import OPS, ControlOp, Op, TypeSet

KERNELS = {"cpu": CPU_KERNELS, "gpu": {*LOWERINGS, *EXPRESSIONS, *WALKS}}
TARGET = ROOT / "OPS.md"
REFERENCE = json.loads((ROOT / "ci" / "results" / "reference.json").read_text(encoding="utf-8"))
OTHER_NAMES = {"CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES"}  # codes that stand for no operator
SHORT = {"float": "f", "bfloat": "bf", "uint": "u", "int": "i", "complex": "c"}
GROUPS = {  # named sets, larger ones first
    "all": base.ANY,
    "data": base.ANY - base.RESOURCE - {TensorType.VARIANT},
    "number": base.NUMBER,
    "integer": base.INTEGER,
    "packed": base.PACKED,
    "complex": base.COMPLEX,
}

PAGE = """\
# Operators

Made by `python ci/ops_table.py` from the operator classes in `interpreter/ops/`; do not edit.

{there} of the {builtin} builtin operators of the schema run, and custom operators by name. `Flex` stands for every
TensorFlow operator (`FlexAsString`, ...), which TensorFlow itself runs.

- types: element types that each operand may have, named by operand where they differ (`...`: all further operands).
  *all*: every type; *data*: all but resources and variants; {sets}.
- quantised: the same where integers carry a scale.
- where: `host` works on Python objects or needs values on the host, so it never runs on a GPU; `control` runs
  subgraphs, between partitions.
- kernels: delegates with a kernel of their own for it, faster than the operator's body, though perhaps not for all
  types; the GPU runs the body with CuPy where it has none (`tflite-cupy report --assume-gpu` names those of a model).
- reference: combinations of element types that the reference runs, and how many of them give its results here.

| operator | versions | types | quantised | where | kernels | reference | meaning |
|---|---|---|---|---|---|---|---|
{rows}

Not there ({count}): {missing}.

## Against the reference

`python ci/reference.py` tries every combination of element types on {runtime}, whose kernels decide
what counts: {agreed} of the {accepted} that they run give their results here, {share:.2%}. Another {misread} run, but
read an operand as another type or without its scale: on small integers they give other numbers than the operator's
function.

{lacking}
"""


def page() -> str:
    """The text of OPS.md."""
    builtin = [o.name for o in OPERATORS if o.name not in OTHER_NAMES]
    there, missing = [n for n in builtin if n in OPS], [n for n in builtin if n not in OPS]
    rows = [row(OPS[name]) for name in (*there, *sorted(set(OPS) - set(builtin)))]
    sets = "; ".join(f"*{name}*: {each(GROUPS[name])}" for name in ("number", "integer", "packed", "complex"))
    return PAGE.format(
        sets=sets,
        there=len(there),
        builtin=len(builtin),
        rows="\n".join(rows),
        count=len(missing),
        missing=", ".join(missing) or "none",
        **reference(),
    )


def reference() -> dict[str, Any]:
    """Figures of the comparison with the reference."""
    entries = REFERENCE["operators"]
    agreed = sum(len(e["agrees"]) for e in entries.values())
    lacking = [(name, combination, why) for name, e in entries.items() for combination, why in e["lacks"].items()]
    rows = [f"| {name} | {combination} | {_first_sentence(why)} |" for name, combination, why in lacking]
    return {
        "runtime": REFERENCE["runtime"],
        "agreed": agreed,
        "accepted": agreed + len(lacking),
        "share": agreed / max(agreed + len(lacking), 1),
        "misread": sum(e["misread"] for e in entries.values()),
        "lacking": "\n".join(["| operator | combination | what we do |", "|---|---|---|", *rows]) if rows else "",
    }


def _first_sentence(why: str) -> str:
    return why.split(" (node ")[0].split(" [at ")[0].replace("|", "\\|")


def row(cls: type[Op]) -> str:
    where = "control" if issubclass(cls, ControlOp) else "host" if cls.host_only else "any"
    kernels = " ".join(delegate for delegate, kernels in KERNELS.items() if cls in kernels)
    meaning = " ".join((cls.__doc__ or "").split("\n\n")[0].split()).replace("|", "\\|")
    versions = f"1-{cls.versions}" if cls.versions > 1 else "1"
    found = REFERENCE["operators"].get(cls.name)
    compared = f"{len(found['agrees'])} of {len(found['agrees']) + len(found['lacks'])}" if found else ""
    cells = [cls.name, versions, types(cls, cls.types), types(cls, cls.quantized), where, kernels, compared, meaning]
    return f"| {' | '.join(cells)} |"


def types(cls: type[Op], sets: tuple[TypeSet, ...]) -> str:
    """Sets of element types, named by operand where they differ."""
    if len(set(sets)) <= 1:
        return alternatives(sets[0]) if sets else ""
    names = [*arity(cls).names, "..."]
    return "; ".join(f"`{names[min(i, len(names) - 1)]}` {alternatives(s)}" for i, s in enumerate(sets))


def alternatives(kinds: TypeSet) -> str:
    words, rest = [], kinds
    for name, group in GROUPS.items():
        if group <= rest:
            words.append(name)
            rest -= group
    return " ".join([*words, each(rest)]).strip()


def each(kinds: TypeSet) -> str:
    """Every type of a set, floats first, narrow ones first."""
    order = sorted(kinds, key=lambda kind: ("fiucVbSO".find(kind.dtype.kind), kind.bits, kind))
    return " ".join(short(kind) for kind in order)


def short(kind: TensorType) -> str:
    name = kind.name.lower()
    word = name.rstrip("0123456789")
    return SHORT.get(word, word) + name[len(word) :]


def main() -> int:
    text = page()
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.exists() and TARGET.read_text(encoding="utf-8") == text:
        return 0
    print("OPS.md is out of date; run: python ci/ops_table.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())

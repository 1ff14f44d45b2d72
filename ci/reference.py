"""What the reference runtime accepts and what we make of it: `python ci/reference.py [OPERATOR...]`.

Tries every operator with every combination of element types on ai_edge_litert (tests/reference says how), compares our
results and writes ci/results/reference.json, from which OPS.md takes its figures. Named operators alone are looked at
again and take the place of what the file says of them. Exit status 1 if less than 98 % of the combinations agree.
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

TARGET = ROOT / "ci" / "results" / "reference.json"
ENOUGH = 0.98


def main(names: list[str]) -> int:
    from tests.reference.recipes import RECIPES

    unknown = [name for name in names if name not in RECIPES]
    if unknown:
        print(
            f"no recipe for {', '.join(unknown)}; there are recipes for {', '.join(sorted(RECIPES))}", file=sys.stderr
        )
        return 2
    report = json.loads(TARGET.read_text()) if names and TARGET.is_file() else {"operators": {}}
    report["runtime"] = f"ai-edge-litert {version('ai-edge-litert')}"
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for name, entry, seconds in pool.map(look_at, names or RECIPES):
            report["operators"][name] = entry
            agreed, lacking = len(entry["agrees"]), len(entry["lacks"])
            line = f"{name} {agreed} of {agreed + lacking}, {entry['misread']} misread"
            print(f"{line} ({seconds:.1f} s)", flush=True)
            TARGET.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n")
    return 0 if summarise(report) >= ENOUGH else 1


def look_at(name: str) -> tuple[str, dict[str, Any], float]:
    """What the probe finds of one operator, and in how many seconds."""
    from tests.reference.oracle import RESOLVERS, Oracle
    from tests.reference.probe import probe

    started = time.monotonic()
    with Oracle(RESOLVERS[0]) as plain, Oracle(RESOLVERS[1]) as optimised:
        findings = probe(name, (plain, optimised))
    return name, findings.as_json(), time.monotonic() - started


def summarise(report: dict[str, Any]) -> float:
    """Print the totals; the share of combinations that agree."""
    entries = report["operators"].values()
    agreed, lacking = sum(len(e["agrees"]) for e in entries), sum(len(e["lacks"]) for e in entries)
    share = agreed / max(agreed + lacking, 1)
    print(f"{agreed} of {agreed + lacking} combinations of {report['runtime']} agree, {share:.2%}")
    return share


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The tables of README: writes them, or with `--check` fails if they are out of date.

That of the CPU comes from ci/results/bench_cpu.json, that of conversions from ci/results/convert.json, that of the GPU
from the newest file of ci/gpu_results.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import measured_convert
import measured_gpu

ROOT = Path(__file__).parents[1]
README, RESULTS = ROOT / "README.md", ROOT / "ci" / "results"
GPU_RESULTS = ROOT / "ci" / "gpu_results"
CPU_BEGIN, GPU_BEGIN = "<!-- begin: python ci/measured.py -->\n", "<!-- begin: python ci/measured.py (GPU) -->\n"
CONVERT_BEGIN = "<!-- begin: python ci/measured.py (conversions) -->\n"
END = "<!-- end -->"
OURS, PEERS = "tflite-cupy", ("LiteRT", "LiteRT + XNNPACK")


def section(numbers: Mapping[str, Any]) -> str:
    """The table as Markdown: medians, ratios with the limits of their middle 80 %."""
    machine = numbers["machine"]
    where = "{processor}, {processors} cores, Python {python}, NumPy {numpy}, LiteRT {litert}".format_map(machine)
    lines = [
        "| model | threads | tflite-cupy | LiteRT | LiteRT + XNNPACK | ours / LiteRT | ours / XNNPACK |",
        "|---|---|---|---|---|---|---|",
        *(row(result) for result in numbers["results"]),
        "",
        f"Medians of runs taken in turn; ratios are of pairs, with the limits of their middle 80 %. {where}.",
    ]
    if machine["load"] > machine["processors"]:
        lines.append(f"Other work kept the machine busy meanwhile (load {machine['load']:.1f}): the ratios tell more.")
    return "\n".join([*lines, ""])


def row(result: Mapping[str, Any]) -> str:
    times = (f"{result['milliseconds'][name]['median']:.1f} ms" for name in (OURS, *PEERS))
    ratios = (result["ratios"][name] for name in PEERS)
    spreads = (f"{r['median']:.2f} ({r['p10']:.2f} to {r['p90']:.2f})" for r in ratios)
    return f"| {' | '.join([result['model'], str(result['threads']), *times, *spreads])} |"


def replaced(text: str, begin: str, body: str) -> str:
    """`text` with another body between `begin` and the next `END`."""
    head, found, rest = text.partition(begin)
    assert found, f"README.md has no {begin.strip()}"
    return head + begin + body + END + rest.partition(END)[2]


def main() -> int:
    text = README.read_text(encoding="utf-8")
    fresh = replaced(text, CPU_BEGIN, section(json.loads((RESULTS / "bench_cpu.json").read_text())))
    conversions = json.loads((RESULTS / "convert.json").read_text())
    fresh = replaced(fresh, CONVERT_BEGIN, measured_convert.section(conversions))
    fresh = replaced(fresh, GPU_BEGIN, measured_gpu.section(measured_gpu.newest(GPU_RESULTS)))
    if fresh == text:
        return 0
    if "--check" in sys.argv[1:]:
        print("README's measurements are out of date; run: python ci/measured.py", file=sys.stderr)
        return 1
    README.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

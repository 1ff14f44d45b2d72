"""The tables of README: writes them, or with `--check` fails if they are out of date.

That of the CPU comes from ci/results/bench_cpu.json, that of conversions from ci/results/convert.json, that of the GPU
from the newest file of ci/gpu_results.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import measured_convert
import measured_cpu
import measured_gpu

ROOT = Path(__file__).parents[1]
README, RESULTS = ROOT / "README.md", ROOT / "ci" / "results"
GPU_RESULTS = ROOT / "ci" / "gpu_results"
CPU_BEGIN, GPU_BEGIN = "<!-- begin: python ci/measured.py -->\n", "<!-- begin: python ci/measured.py (GPU) -->\n"
CONVERT_BEGIN = "<!-- begin: python ci/measured.py (conversions) -->\n"
END = "<!-- end -->"


def replaced(text: str, begin: str, body: str) -> str:
    """`text` with another body between `begin` and the next `END`."""
    head, found, rest = text.partition(begin)
    assert found, f"README.md has no {begin.strip()}"
    return head + begin + body + END + rest.partition(END)[2]


def main() -> int:
    text = README.read_text(encoding="utf-8")
    fresh = replaced(text, CPU_BEGIN, measured_cpu.section(json.loads((RESULTS / "bench_cpu.json").read_text())))
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

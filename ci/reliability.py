"""The figures of SECURITY.md: measures them, or with `--check` fails if the page is not what the last figures give.

Each figure is the work of a command that can be run by itself; what needs long is told how long it may take.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from machine import machine
from measured import replaced

from tests.build import F32, GraphBuilder, model
from tests.threads import side_by_side
from tflite_cupy import Interpreter, write_model

RESULTS = ROOT / "ci" / "results"
NUMBERS, SOAK, PAGE = RESULTS / "reliability.json", RESULTS / "soak.json", ROOT / "SECURITY.md"
BEGIN = "<!-- begin: python ci/reliability.py -->\n"
LEAST_SPEEDUP, MOST_SHARE = 1.6, 0.05
THREADS, FAULTS = "tests/runtime/test_concurrency.py", "tests/runtime/test_faults.py"
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="for the search for leaks (default: 10)")
    parser.add_argument("--only", nargs="+", choices=FIGURES, default=list(FIGURES), help="the others stay as they are")
    parser.add_argument("--json", type=Path, default=NUMBERS, help="where the numbers go")
    parser.add_argument("--check", action="store_true", help="measure nothing: fail if SECURITY.md is out of date")
    parser.add_argument("--write", action="store_true", help="measure nothing: write SECURITY.md from the last figures")
    parser.add_argument("--speedup", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.speedup:
        print(json.dumps(speedup()))
        return 0
    if not (options.check or options.write):
        measure(options)
        if options.json != NUMBERS:  # which may hold but some of the figures
            return 0
    return write_page(options.json, check=options.check)


def measure(options: argparse.Namespace) -> None:
    """Take the figures that are asked for, and keep those that are not, each with the machine it was taken on."""
    before = json.loads(options.json.read_text()) if options.json.exists() else {"figures": {}}
    figures = {name: {"machine": before.get("machine"), **figure} for name, figure in before["figures"].items()}
    for name in options.only:
        print(f"-- {name}", flush=True)
        figures[name] = {"machine": machine(), **FIGURES[name](options)}
        print(f"   {figures[name]['measured']}: {'passes' if figures[name]['passes'] else 'FAILS'}", flush=True)
    results = {"figures": {name: figures[name] for name in FIGURES if name in figures}}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(results, indent=1) + "\n")


def _figure(command: str, wanted: str, measured: str, passes: bool, **numbers: Any) -> dict[str, Any]:
    return {"command": command, "wanted": wanted, "measured": measured, "passes": passes, **numbers}


def _tests(wanted: str, *arguments: str) -> Callable[[argparse.Namespace], dict[str, Any]]:
    """A figure that tests measure: how many of them pass."""

    def run(options: argparse.Namespace) -> dict[str, Any]:
        start = time.monotonic()
        call = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "slow or not slow", *arguments]
        done = subprocess.run(call, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        last = done.stdout.strip().splitlines()[-1]
        seconds = time.monotonic() - start
        command = f'ci/test -m "slow or not slow" {" ".join(arguments)}'
        return _figure(command, wanted, last.strip("= "), done.returncode == 0, seconds=round(seconds, 1))

    return run


def _real_concurrency(options: argparse.Namespace) -> dict[str, Any]:
    """Calls in a second by two threads, against one; each call by one thread alone."""
    call = [sys.executable, __file__, "--speedup"]
    done = subprocess.run(call, env=os.environ | ONE_THREAD, stdout=subprocess.PIPE, text=True, check=True)
    ratios = sorted(json.loads(done.stdout))
    median = float(np.median(ratios))
    shown = f"{median:.2f} times ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    wanted = f"two threads, {LEAST_SPEEDUP} times the calls of one"
    return _figure("ci/reliability --only concurrency", wanted, shown, median >= LEAST_SPEEDUP, ratios=ratios)


def speedup() -> list[float]:
    """Throughput of two threads over that of one, in nine turns of each."""
    interpreter = Interpreter(model_content=products(), device="cpu", num_threads=1)
    run, x = interpreter.get_signature_runner("s"), np.ones((256, 1024), np.float32)
    run(x=x)

    def seconds(threads: int, calls: int) -> float:
        def work(number: int) -> None:
            for _ in range(calls):
                run(x=x)

        start = time.perf_counter()
        side_by_side(threads, work)
        return (time.perf_counter() - start) / (threads * calls)

    calls = max(2, int(0.5 / seconds(1, 2)))
    return [round(seconds(1, calls) / seconds(2, calls), 3) for _ in range(9)]


def products() -> bytes:
    """s(x float32 [256, 1024]) -> y: six products with weights [1024, 1024]."""
    b, rng = GraphBuilder(), np.random.default_rng(0)
    x = y = b.input(F32, [256, 1024], "x")
    for _ in range(6):
        weights = b.constant(rng.normal(0, 0.03, (1024, 1024)), np.float32)
        y = b.add("FULLY_CONNECTED", [y, weights, -1], [256, 1024])
    return write_model(model(b.graph([y]), signatures={"s": (0, {"x": x}, {"y": y})}))


def _leaks(options: argparse.Namespace) -> dict[str, Any]:
    """The greatest upper end of a slope, and whether the deliberate leak was found; runs ci/soak.py."""
    import soak

    call = [sys.executable, str(ROOT / "ci" / "soak.py"), "--minutes", str(options.minutes), "--json", str(SOAK)]
    subprocess.run(call, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
    results = json.loads(SOAK.read_text())
    work = {name: found for name, found in results["work"].items() if name != "deliberate leak"}
    highest = max(max(found["resident"]["high"], found["traced"]["high"]) for found in work.values())
    calls = sum(found["calls"] for found in work.values())
    control = results["work"]["deliberate leak"]["traced"]["slope"]
    shown = (
        f"at most {highest:.4f} KB a call in {calls:,} calls of {len(work)} kinds, {results['minutes']:.0f} minutes in "
        f"all; the leak of 1 KB was seen as {control:.2f}"
    )
    wanted = f"95 % interval ends below {soak.MOST_KB_PER_CALL} KB a call; a deliberate leak is found"
    return _figure(f"ci/soak --minutes {options.minutes:g}", wanted, shown, soak.passes(results))


def _sharing(options: argparse.Namespace) -> dict[str, Any]:
    """What further interpreters of one file take."""
    import soak

    found = soak.sharing()
    shown = "; ".join(f"{name} ({f['weights']:.0f} MB): {f['share']:.1%}" for name, f in found.items())
    wanted = f"each further interpreter takes less than {MOST_SHARE:.0%} of the weights"
    command = "ci/reliability --only sharing"
    return _figure(command, wanted, shown, all(f["share"] < MOST_SHARE for f in found.values()), models=found)


FIGURES: Mapping[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "threads": _tests("no wrong answer, no lost update, initialised once", THREADS),
    "concurrency": _real_concurrency,
    "leaks": _leaks,
    "sharing": _sharing,
    "faults": _tests("the next call is right, nothing written stays", FAULTS),
    "malformed": _tests("no death, no hang, every error typed", "tests/malformed"),
}
TITLES = {
    "threads": "1 to 16 threads, shared and own runners, two signatures, one and many shapes, 20,000 calls each",
    "concurrency": "calls that overlap",
    "leaks": "memory over many calls",
    "sharing": "8 interpreters of one file",
    "faults": "failures, out of memory and interrupts after every node",
    "malformed": "malformed files",
}


def section(results: Mapping[str, Any]) -> str:
    """The table as Markdown, and the machines of its figures."""
    places: dict[str, str] = {}
    lines = ["| what | promised | measured | by |", "|---|---|---|---|"]
    for name, figure in results["figures"].items():
        taken_on = figure.get("machine") or results["machine"]
        where = "{processor}, {processors} cores, Python {python}, NumPy {numpy}".format_map(taken_on)
        places[where] = f"{places[where]}; {TITLES[name]}" if where in places else TITLES[name]
        measured = figure["measured"] if figure["passes"] else f"**not reached:** {figure['measured']}"
        lines.append(f"| {TITLES[name]} | {figure['wanted']} | {measured} | `{figure['command']}` |")
    several = len(places) > 1
    taken = [f"{where}; no GPU{f' ({found})' if several else ''}." for where, found in places.items()]
    return "\n".join([*lines, "", *taken, ""])


def write_page(numbers: Path, *, check: bool) -> int:
    text = PAGE.read_text(encoding="utf-8")
    fresh = replaced(text, BEGIN, section(json.loads(numbers.read_text())))
    if fresh == text:
        return 0
    if check:
        print("SECURITY.md is out of date; run: python ci/reliability.py --write", file=sys.stderr)
        return 1
    PAGE.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

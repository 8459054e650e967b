"""P11 and the core's steps, without Python, network and other threads."""

import json
import platform
import re
import shutil
import subprocess
from typing import Any

from bench.processes import ROOT, environment, program
from bench.rows import OURS, RECORDED
from bench.run import Run

RECORD = ROOT / "bench" / "instructions.json"
"""The recorded figure of P11, and its compiler."""
TIMES = 100
FIRST = 10
"""The number of warm-up runs."""
STEPS = {
    **dict.fromkeys(("answer", "route", "template", "guard"), 1e3),
    **dict.fromkeys(("cut", "load", "duplicates", "rejects", "recipients", "titles", "texts"), 1e6),
}
"""The steps of ``micro`` with a row, and the nanoseconds per unit."""


def steps(run: Run) -> None:
    """The time of each step."""
    for step, unit_ns in STEPS.items():
        run.rows[f"core {step}"].add(OURS, int(_output(str(program("micro")), "time", step)) / unit_ns)


def instructions(run: Run) -> None:
    """The instructions of the plan by callgrind, relative to the recorded figure."""
    row = run.rows["P11"]
    if not shutil.which("valgrind"):
        row.not_run = "valgrind is not installed"
        return
    counted = (_count(FIRST + TIMES) - _count(FIRST)) / TIMES / 1e3
    row.add(OURS, counted)
    recorded = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    here = built_by()
    if recorded.get("built_by") == here:
        row.add(RECORDED, recorded["thousand_instructions"])
    else:
        row.note = f"not compared: recorded with {recorded.get('built_by')}, this is {here}"


def record(run: Run) -> None:
    """Record this run's figure for later comparisons."""
    samples = run.rows["P11"].samples.get(OURS)
    if samples:
        entry: dict[str, Any] = {"built_by": built_by(), "thousand_instructions": round(min(samples), 1)}
        RECORD.write_text(json.dumps(entry, indent=2) + "\n", encoding="utf-8")


def built_by() -> str:
    """The compiler and the processor, which affect the figure."""
    return f"{_output('rustc', '--version').strip()}, {platform.machine()}"


def _count(times: int) -> int:
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(program("micro")), "count", "plan"]
    done = subprocess.run(
        [*command, str(times)], capture_output=True, text=True, check=True, cwd=ROOT, env=environment()
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    if not found:
        raise RuntimeError(f"callgrind said no count:\n{done.stderr}")
    return int(found[1])


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment()).stdout

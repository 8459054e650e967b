"""Runs the benchmark: ``python -m bench``, as ``make bench`` does once everything is built.

``BENCH_QUICK=1`` is a look of a minute or so, ``ROUNDS=5`` takes more rounds, ``BENCH_ONLY=P2,P5`` only these rows,
``BENCH_RECORD=1`` writes P11's figure down. Ends with status 1 when something may not be reported or P11 has grown.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from bench import report
from bench.checks import RefusedError
from bench.measures import core, crowd, fan_out, growth, host, single, size, streams, tables
from bench.measures.timeline import TimeLine, time_lines
from bench.processes import ROOT, program
from bench.run import Run, raise_descriptor_limit, scale
from tests.harness import Standin

MEASURES: dict[str, list[Callable[[Run], None]]] = {
    "P1": [fan_out.fan_out, fan_out.channels],
    "P2": [single.single, single.execute],
    "P3": [host.throughput],
    "P6": [size.start, size.first_memory],
    "P7": [crowd.silent],
    "P8": [crowd.beside_a_slow_one],
    "P9": [crowd.beside_python],
    "P10": [growth.growth, growth.receivers],
    "P11": [core.instructions],
    "P12": [streams.accepted],
    "P13": [size.wheel],
    "P14": [streams.workers],
    "P15": [single.compiling],
    "rows": [tables.rows],
    "writes": [tables.beside_a_hanging_destination],
    "history": [tables.history],
    "core": [core.steps],
}
"""The measurements by their first row. P3 also measures P4 and P12, and P1 measures P5."""


def main() -> int:
    """Measure, print, write, draw; the exit status."""
    only = {name for name in os.environ.get("BENCH_ONLY", "").split(",") if name} or set(MEASURES)
    if unknown := only - set(MEASURES):
        report.say(f"BENCH_ONLY: there is no {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
        return 2
    started = time.monotonic()
    descriptors_before = raise_descriptor_limit()
    try:
        with Standin(program("standin")) as standin:
            run = Run(scale(), standin)
            measure(run, [step for name, steps in MEASURES.items() if name in only for step in steps])
            lines = time_lines(run) if only == set(MEASURES) else {}
    except RefusedError as refusal:
        report.say(f"refused: {refusal}")
        return 1
    found = report.conditions(run, descriptors_before, time.monotonic() - started)
    rows = [row for row in run.rows.values() if row.samples or row.not_run]
    footnotes = report.footnotes(run, found)
    print(f"{report.table(rows)}\n\n{footnotes}")
    if os.environ.get("BENCH_RECORD"):
        core.record(run)
    if lines and run.scale.is_complete:
        publish(run, found, lines, f"{report.page_table(rows)}\n\n{footnotes}")
    return verdict(run)


def measure(run: Run, steps: list[Callable[[Run], None]]) -> None:
    """Run every step once per round, so that temporary load of the machine affects all steps equally."""
    for number in range(run.scale.rounds):
        run.round = number
        for step in steps:
            report.say(f"round {run.round + 1} of {run.scale.rounds}: {step.__module__}.{step.__name__}")
            step(run)


def publish(run: Run, found: dict[str, Any], lines: dict[str, TimeLine], text: str) -> None:
    """Write the results, the table and the pictures. A quick run does not overwrite those of a complete run."""
    # Not before there is something to draw: it brings matplotlib.
    from bench import pictures

    report.write_results(ROOT / "bench" / "results.json", report.results(run, found))
    report.insert(ROOT / "docs" / "performance.md", text)
    for path in pictures.draw(run, lines, ROOT / "docs"):
        report.say(f"drawn: {path.relative_to(ROOT)}")


def verdict(run: Run) -> int:
    """The exit status: growth of P11 is an error. docs/performance.md explains other missed targets."""
    if run.rows["P11"].is_met() is False:
        report.say("P11 has grown by more than 5 %: make it smaller, or record what it costs now with BENCH_RECORD=1")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The table, and the same for machines."""

import json
import os
import platform
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench.rows import CONTENDERS, Compare, Row
from bench.run import Run, descriptors, max_connections

HEADINGS = ("", "measured", "unit", *CONTENDERS, "compared", "target", "met")


BEGIN, END = "<!-- benchmark -->", "<!-- end of benchmark -->"


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table: median, and least to most where the rounds differ."""
    lines = [HEADINGS, *(cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]

    def text(line: tuple[str, ...]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"

    rule = "| " + " | ".join("-" * max(width, 3) for width in widths) + " |"
    return "\n".join([text(HEADINGS), rule, *map(text, lines[1:])])


def cells(row: Row) -> tuple[str, ...]:
    """A row's cells."""
    number = row.id.split(" ")[0]
    if row.not_run:
        return (number, row.what, row.unit, *["-"] * len(CONTENDERS), f"not run: {row.not_run}", str(row.target), "-")
    figures = [spread(row.samples.get(name, [])) for name in CONTENDERS]
    compared = "" if row.compare is Compare.VALUE or row.peer is None else _compared(row)
    met = {True: "yes", False: "NO", None: ""}[row.is_met()]
    return (number, row.what, row.unit, *figures, compared, str(row.target or ""), met)


def _compared(row: Row) -> str:
    sign = "×" if row.compare is Compare.RATIO else "−"
    return f"{sign} {row.peer}: {spread(row.compared(), 3)}"


def spread(figures: list[float], digits: int = 3) -> str:
    """``104 (103-107)``; a dash where nothing was measured."""
    if not figures:
        return "-"
    middle, least, most = (number(figure, digits) for figure in (median(figures), min(figures), max(figures)))
    return middle if least == most else f"{middle} ({least}-{most})"


def number(figure: float, digits: int = 3) -> str:
    """So many significant digits, whole where there are more."""
    if abs(figure) >= 10 ** (digits - 1):
        return f"{figure:.0f}"
    return f"{figure:.{digits}g}"


def conditions(run: Run, descriptors_before: int, seconds: float) -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "ulimit -n": descriptors(),
        "ulimit -n as found": descriptors_before,
        "max_connections": max_connections(),
        "load average": round(os.getloadavg()[2], 1),
        "rounds": run.effort.rounds,
        "seconds": round(seconds),
    }


def footnotes(run: Run, found: dict[str, Any]) -> str:
    """The conditions in words, and the rows' notes."""
    raised = "" if found["ulimit -n"] == found["ulimit -n as found"] else f", raised from {found['ulimit -n as found']}"
    lines = [
        f"Medians of {found['rounds']} rounds (least-most) on {found['processors']} processors, {found['system']}, "
        f"Python {found['python']}, {found['date']}, {found['seconds']} s; load average over the last 15 minutes "
        f"{found['load average']}, the benchmark's own included.",
        f"P1 and P7: ulimit -n {found['ulimit -n']}{raised}, so max_connections is {found['max_connections']}.",
    ]
    lines += [f"{row.id}: {row.note}." for row in run.rows.values() if row.note]
    return "\n\n".join(lines)


def results(run: Run, found: dict[str, Any]) -> dict[str, Any]:
    """Everything for machines: each row's figures of each round, and the curves."""
    return {
        "conditions": found,
        "rows": {
            row.id: {
                "what": row.what,
                "unit": row.unit,
                "samples": row.samples,
                "compare": row.compare.value,
                "peer": row.peer,
                "compared": row.compared(),
                "target": str(row.target) if row.target else None,
                "met": row.is_met(),
                "not_run": row.not_run,
                "note": row.note,
            }
            for row in run.rows.values()
        },
        "series": run.series,
    }


def write_results(path: Path, content: dict[str, Any]) -> None:
    """Whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def insert(document: Path, text: str) -> None:
    """Put the text between the marks in a document, in place of what was there."""
    before, begin, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{document} has no {BEGIN} and {END}")
    document.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def say(text: str) -> None:
    """Progress, apart from the table."""
    print(text, file=sys.stderr, flush=True)

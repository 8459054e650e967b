"""The results as a table and as JSON."""

import json
import os
import platform
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench.rows import LIMIT, OURS, Compare, Row
from bench.run import Run, descriptors, max_connections

HEADINGS = ("", "measured", "ours", "peer", "compared", "target", "met")
BEGIN, END = "<!-- benchmark -->", "<!-- end of benchmark -->"


def table(rows: list[Row]) -> str:
    """The rows for a terminal, as a Markdown table."""
    lines = _lines(rows)
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    padded = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines)
    return "\n".join("| " + " | ".join(line) + " |" for line in padded)


def page_table(rows: list[Row]) -> str:
    """The rows that have a target, for the page; bench/results.json has all rows with all contenders."""
    return "\n".join("|" + "|".join(line) + "|" for line in _lines([row for row in rows if row.target]))


def _lines(rows: list[Row]) -> list[tuple[str, ...]]:
    return [HEADINGS, ("---",) * len(HEADINGS), *(cells(row) for row in rows)]


def cells(row: Row) -> tuple[str, ...]:
    """A row's cells: the medians of the notifier and its peer, and the compared value with its spread."""
    number, target = row.id.split(" ")[0], str(row.target or "")
    if row.not_run:
        return (number, row.what, "-", "-", f"not run: {row.not_run}", target, "-")
    figures = row.samples.get(OURS, [])
    met = {True: "yes", False: "NO", None: ""}[row.is_met()]
    if row.compare is Compare.VALUE or row.peer is None:
        return (number, row.what, f"{spread(figures)} {row.unit}", _peer(row), "", target, met)
    sign = "×" if row.compare is Compare.RATIO else "−"
    ours = f"{_middle(figures)} {row.unit}"
    return (number, row.what, ours, _peer(row), f"{sign} {row.peer}: {spread(row.compared())}", target, met)


def _peer(row: Row) -> str:
    """The median of the peer, or of the limit if the row has no peer."""
    return _middle(row.samples.get(row.peer or LIMIT, []))


def _middle(figures: list[float]) -> str:
    return number(median(figures)) if figures else "-"


def spread(figures: list[float], digits: int = 3) -> str:
    """``104 (103-107)``; a dash where nothing was measured."""
    if not figures:
        return "-"
    middle, least, most = (number(figure, digits) for figure in (median(figures), min(figures), max(figures)))
    return middle if least == most else f"{middle} ({least}-{most})"


def number(figure: float, digits: int = 3) -> str:
    """A figure with three significant digits, without decimals from 100."""
    if abs(figure) >= 10 ** (digits - 1):
        return f"{figure:.0f}"
    return f"{figure:.{digits}g}"


def conditions(run: Run, descriptors_before: int, seconds: float) -> dict[str, Any]:
    """The conditions of the run."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "ulimit -n": descriptors(),
        "ulimit -n as found": descriptors_before,
        "max_connections": max_connections(),
        "load average": round(os.getloadavg()[2], 1),
        "rounds": run.scale.rounds,
        "seconds": round(seconds),
    }


def footnotes(run: Run, found: dict[str, Any]) -> str:
    """The conditions as text, and the rows' notes."""
    raised = "" if found["ulimit -n"] == found["ulimit -n as found"] else f", raised from {found['ulimit -n as found']}"
    lines = [
        f"Medians of {found['rounds']} rounds (least-most) on {found['processors']} processors, {found['system']}, "
        f"Python {found['python']}, {found['date']}, {found['seconds']} s; load average over the last 15 minutes "
        f"{found['load average']}, the benchmark's own included.",
        f"P1 and P7: ulimit -n {found['ulimit -n']}{raised}, so max_connections is {found['max_connections']}.",
    ]
    lines += [f"{row.id}: {row.note}." for row in run.rows.values() if row.note and row.target]
    return "\n\n".join(lines)


def results(run: Run, found: dict[str, Any]) -> dict[str, Any]:
    """All results as JSON: the figures of each row and round, and the curves."""
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
    """Write a file atomically."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def insert(document: Path, text: str) -> None:
    """Replace the text between the marks of a document."""
    before, begin, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{document} has no {BEGIN} and {END}")
    document.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def say(text: str) -> None:
    """Progress, apart from the table."""
    print(text, file=sys.stderr, flush=True)

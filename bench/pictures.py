"""The pictures of docs/performance.md, drawn from one run."""

from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl

from bench.measures.timeline import ATTEMPTS, TimeLine
from bench.rows import APPRISE, FAN_OUT, HTTPX, LIMIT, OURS
from bench.run import Run

mpl.use("svg")
# The same figures make the same file.
mpl.rcParams.update({"svg.hashsalt": "influxdb3-notifier", "font.size": 10, "axes.grid": True, "grid.alpha": 0.3})

import matplotlib.pyplot as plt  # noqa: E402 - after the choice of what draws
from matplotlib.patches import Patch  # noqa: E402
from matplotlib.ticker import FuncFormatter  # noqa: E402

CHANNELS = list(ATTEMPTS)
COLOURS = {OURS: "#1b6ca8", LIMIT: "#2a9d5c", HTTPX: "#c0392b", APPRISE: "#8e6bbf"}
NAMES = {
    OURS: "influxdb3-notifier",
    LIMIT: "bare reqwest client",
    HTTPX: "Python plugin (httpx, twilio)",
    APPRISE: "apprise",
}
PLAIN = FuncFormatter(lambda figure, _: f"{figure:,g}")
"""0.1 and 1,000 in place of powers of ten."""
TAKEN, REFUSED = "#2a9d5c", "#c0392b"
CALLER_WAITS = 5
"""The timeout of official callers, after which they send again, in seconds."""


def draw(run: Run, lines: dict[str, TimeLine], directory: Path) -> list[Path]:
    """Draw everything into ``directory``."""
    return [
        _save(_fan_out(run), directory / "fan-out.svg"),
        _save(_growth(run), directory / "growth.svg"),
        _save(_time_lines(lines), directory / "time-line.svg"),
    ]


def _save(figure: Any, path: Path) -> Path:
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)
    return path


def _fan_out(run: Run) -> Any:
    """P1: wall time by number of destinations, for every peer."""
    figure, axes = plt.subplots(figsize=(7, 4.2))
    for name, colour in COLOURS.items():
        points = [(count, run.rows[f"P1 {count} warm"].samples.get(name)) for count in FAN_OUT]
        known = [(count, median(figures) / 1000) for count, figures in points if figures]
        style = {"linestyle": "--"} if name == LIMIT else {}
        axes.plot(*zip(*known, strict=True), marker="o", color=colour, label=NAMES[name], **style)
    axes.set(xscale="log", yscale="log", xlabel="destinations of 100 ms each", ylabel="seconds until all are delivered")
    axes.set_xticks(list(FAN_OUT), [f"{count:,}" for count in FAN_OUT])
    axes.yaxis.set_major_formatter(PLAIN)
    axes.legend()
    return figure


def _growth(run: Run) -> Any:
    """P10: CPU time by size, for the notifier and the limit."""
    figure, panels = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for axes, what, label in zip(panels, ("destinations", "body"), ("destinations", "bytes of text"), strict=True):
        for name, points in run.series[what].items():
            sizes = sorted(points)
            style = {"linestyle": "--"} if name == LIMIT else {}
            figures = [median(points[size]) * 1000 for size in sizes]
            exponent = median(run.rows[f"P10 {what}"].samples[name])
            text = f"{NAMES[name]} (exponent {exponent:.2f})"
            axes.plot(sizes, figures, marker="o", color=COLOURS[name], label=text, **style)
        axes.set(xscale="log", yscale="log", xlabel=label, ylabel="milliseconds of CPU time a call")
        axes.xaxis.set_major_formatter(PLAIN)
        axes.yaxis.set_major_formatter(PLAIN)
        axes.legend(fontsize=8)
    return figure


def _time_lines(lines: dict[str, TimeLine]) -> Any:
    """One request to four channels, as the providers received it."""
    figure, panels = plt.subplots(len(lines), 1, figsize=(8, 5), sharex=True)
    for axes, (name, line) in zip(panels, lines.items(), strict=True):
        for attempt in line.attempts:
            row = CHANNELS.index(attempt.channel)
            colour = TAKEN if attempt.accepted else REFUSED
            axes.barh(row, attempt.end - attempt.begin, left=attempt.begin, color=colour, height=0.6)
        answered = axes.axvline(line.answered, color="black", linewidth=1.2, label="the call is answered")
        given_up = axes.axvline(
            CALLER_WAITS, color="grey", linewidth=1, linestyle=":", label="official callers give up"
        )
        axes.set_yticks(range(len(CHANNELS)), CHANNELS)
        axes.invert_yaxis()
        axes.set_title(NAMES[name], loc="left", fontsize=10)
        axes.set_xlim(left=-0.05)
    panels[-1].set_xlabel("seconds")
    bars = [Patch(color=TAKEN, label="attempt, taken"), Patch(color=REFUSED, label="attempt, refused (503)")]
    figure.legend(handles=[*bars, answered, given_up], loc="lower center", ncols=4, fontsize=8, frameon=False)
    figure.subplots_adjust(bottom=0.16, hspace=0.3)
    return figure

"""Draws docs/architecture.svg: ``python -m docs.diagram``.

A test compares these layers with the sources.
"""

from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

PICTURE = Path(__file__).parent / "architecture.svg"
LAYERS: Final[dict[str, dict[str, str]]] = {
    "engine": {"python": "calls of the engine, log lines; only this knows pyo3"},
    "server stores": {"jetstream": "the outbox on NATS; uses store and what is below"},
    "calls, commands": {
        "plugin": "a call of the engine, from input to response",
        "offline": "check, routes, render: sends nothing",
    },
    "alert state": {"alerts": "events become alerts, groups and notifications"},
    "routing": {"routing": "a request becomes a plan of composed deliveries"},
    "steps of a call": {
        "config": "arguments, file, templates",
        "api": "request in, response out",
        "delivery": "retries, queues, limits",
    },
    "outside world": {
        "channels": "compose, classify",
        "transport": "send, check addresses",
        "store": "survive a restart",
        "observe": "log lines, metrics",
    },
    "shared types": {"model": "notification, plan, reason"},
    "small libraries": {
        "json": "reads, with positions",
        "secret": "hides and redacts",
        "panics": "catches panics",
        "time_limit": "abandons hung work",
    },
    "text": {"text": "cuts, splits, cleans", "warnings": "a bounded list"},
}
"""The layers from the top. Each layer uses those below it."""
WIDTH, LABEL, GAP, BOX, STEP = 880, 150, 12, 62, 84
INK, LINE, FILL, FAINT = "#1b2a41", "#7a8ba6", "#eaf0f9", "#5b6b84"
FONT = "Lato, 'Segoe UI', Helvetica, Arial, sans-serif"


def svg() -> str:
    """The picture."""
    height = STEP * len(LAYERS) + 2 * GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" font-family="{FONT}">',
        "<title>The modules of influxdb3-notifier in layers; each layer uses those below it</title>",
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff"/>',
    ]
    for number, (name, modules) in enumerate(LAYERS.items()):
        parts += layer(GAP + number * STEP, name, modules, last=number == len(LAYERS) - 1)
    return "\n".join([*parts, "</svg>", ""])


def layer(top: int, name: str, modules: dict[str, str], *, last: bool) -> list[str]:
    """A row of boxes, and the arrow to the row below."""
    available = WIDTH - LABEL - 2 * GAP
    width = (available - GAP * (len(modules) - 1)) / len(modules)
    parts = [text(GAP, top + BOX / 2 + 5, name, size=14, colour=FAINT)]
    for column, (module, description) in enumerate(modules.items()):
        left = LABEL + GAP + column * (width + GAP)
        middle = left + width / 2
        parts += [
            f'<rect x="{left:g}" y="{top}" width="{width:g}" height="{BOX}" rx="6" fill="{FILL}" stroke="{LINE}"/>',
            text(middle, top + 26, module, size=17, weight="bold", anchor="middle"),
            text(middle, top + 47, description, size=13, colour=FAINT, anchor="middle"),
        ]
    if not last:
        middle, start = LABEL + GAP + available / 2, top + BOX + 3
        parts.append(f'<path d="M{middle:g} {start}v10m-5 -5l5 6l5 -6" fill="none" stroke="{LINE}" stroke-width="2"/>')
    return parts


def text(
    x: float, y: float, content: str, *, size: int, colour: str = INK, weight: str = "normal", anchor: str = "start"
) -> str:
    """A line of text."""
    attributes = f'font-size="{size}" font-weight="{weight}" fill="{colour}" text-anchor="{anchor}"'
    return f'<text x="{x:g}" y="{y:g}" {attributes}>{escape(content)}</text>'


if __name__ == "__main__":
    PICTURE.write_text(svg(), encoding="utf-8")

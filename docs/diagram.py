"""Draws docs/architecture.svg: ``python -m docs.diagram``.

The layers are written down here, and a test holds the sources to them.
"""

from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

PICTURE = Path(__file__).parent / "architecture.svg"
LAYERS: Final[dict[str, dict[str, str]]] = {
    "for the engine": {"python": "calls of the engine, log lines; alone knows pyo3"},
    "stores on servers": {"jetstream": "the outbox on NATS; uses store and what is below"},
    "a call as a whole": {"plugin": "a call in, a report out", "offline": "check, routes, render: sends nothing"},
    "what is worth a message": {"alerts": "state, groups, what each destination knows"},
    "who is told what": {"routing": "a request becomes a plan of composed deliveries"},
    "the parts of a call": {
        "config": "arguments, file, templates",
        "api": "bodies in, answers out",
        "delivery": "retries, queues, bounds",
    },
    "the world outside": {
        "channels": "compose, classify; no I/O",
        "transport": "send; address guard",
        "store": "keep over a restart",
        "observe": "log lines, metrics",
    },
    "vocabulary": {"model": "notification, plan, reason"},
    "small libraries": {
        "json": "read, with places",
        "secret": "hidden, taken out",
        "panics": "kept from the database",
        "time_limit": "ends what may hang",
    },
    "words": {"text": "cut, split, clean", "warnings": "a bounded list"},
}
"""From the top; each uses those below it."""
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
    room = WIDTH - LABEL - 2 * GAP
    width = (room - GAP * (len(modules) - 1)) / len(modules)
    parts = [text(GAP, top + BOX / 2 + 5, name, size=14, colour=FAINT)]
    for place, (module, does) in enumerate(modules.items()):
        left = LABEL + GAP + place * (width + GAP)
        middle = left + width / 2
        parts += [
            f'<rect x="{left:g}" y="{top}" width="{width:g}" height="{BOX}" rx="6" fill="{FILL}" stroke="{LINE}"/>',
            text(middle, top + 26, module, size=17, weight="bold", anchor="middle"),
            text(middle, top + 47, does, size=13, colour=FAINT, anchor="middle"),
        ]
    if not last:
        middle, start = LABEL + GAP + room / 2, top + BOX + 3
        parts.append(f'<path d="M{middle:g} {start}v10m-5 -5l5 6l5 -6" fill="none" stroke="{LINE}" stroke-width="2"/>')
    return parts


def text(
    x: float, y: float, words: str, *, size: int, colour: str = INK, weight: str = "normal", anchor: str = "start"
) -> str:
    """A line of text."""
    look = f'font-size="{size}" font-weight="{weight}" fill="{colour}" text-anchor="{anchor}"'
    return f'<text x="{x:g}" y="{y:g}" {look}>{escape(words)}</text>'


if __name__ == "__main__":
    PICTURE.write_text(svg(), encoding="utf-8")

"""The channels' payloads as pages that look like the providers' clients.

They support only the markup that the notifier uses.
"""

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

READER = timezone(timedelta(hours=1))
"""The reader's time zone: Berlin in winter."""
TODAY = "2026-11-25"

MEASURE = """<script>
const box = document.getElementById("page").getBoundingClientRect();
document.body.dataset.size = Math.ceil(box.width) + "," + Math.ceil(box.height);
</script>"""


def page(kind: str, content: str) -> str:
    """A page with its size in ``data-size``."""
    css = (Path(__file__).parent / "clients.css").read_text(encoding="utf-8")
    body = f'<body><div id="page" class="{kind}">{content}</div>{MEASURE}</body>'
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><style>{css}</style>{body}</html>'


def div(kind: str, content: str, style: str = "") -> str:
    """A ``div`` element."""
    return f'<div class="{kind}" style="{style}">{content}</div>'


def clock(moment: datetime) -> str:
    """The time of day in the reader's client."""
    return f"{moment.astimezone(READER):%H:%M}"


# Slack


def slack(body: str) -> str:
    """The blocks, and the attachment with its colour bar."""
    payload = json.loads(body)
    [attachment] = payload["attachments"]
    bar = div("attachment", slack_blocks(attachment["blocks"]), f"border-color: {attachment['color']}")
    name = '<b class="name">InfluxDB</b><span class="badge">APP</span><span class="time">03:41</span>'
    return page("slack", div("avatar", "") + div("message", name + slack_blocks(payload["blocks"]) + bar))


def slack_blocks(blocks: list[dict[str, Any]]) -> str:
    """The blocks in order."""
    return "".join(slack_block(block) for block in blocks)


def slack_block(block: dict[str, Any]) -> str:
    """A block of one of the kinds that the notifier uses."""
    match block:
        case {"type": "header", "text": text}:
            return div("header", slack_text(text))
        case {"type": "section", "fields": fields}:
            return div("fields", "".join(div("field", slack_text(field)) for field in fields))
        case {"type": "section", "text": text}:
            return div("section", slack_text(text))
        case {"type": "context", "elements": elements}:
            return div("context", " ".join(slack_text(element) for element in elements))
        case _:
            raise ValueError(block)


def slack_text(text: dict[str, Any]) -> str:
    """A text object: plain text unchanged, mrkdwn with bold, links and dates."""
    if text["type"] == "plain_text":
        return escape(text["text"])
    html = re.sub(r"<!date\^(\d+)\^([^|>]+)\|[^>]*>", slack_date, text["text"])
    html = re.sub(r"<(https?:[^|>]+)\|([^>]+)>", r'<a href="\1">\2</a>', html)
    return re.sub(r"\*([^*]+)\*", r"<b>\1</b>", html)


def slack_date(token: re.Match[str]) -> str:
    """A date in the reader's time zone."""
    moment = datetime.fromtimestamp(int(token[1]), UTC).astimezone(READER)
    day = "today" if f"{moment:%Y-%m-%d}" == TODAY else f"{moment:%b %-d, %Y}"
    return token[2].replace("{date_short_pretty}", day).replace("{time}", clock(moment))


# Discord


def discord(body: str) -> str:
    """An embed with its colour bar."""
    [embed] = json.loads(body)["embeds"]
    moment = datetime.fromisoformat(embed["timestamp"])
    fields = "".join(
        div("field", div("key", discord_text(field["name"])) + discord_text(field["value"]))
        for field in embed["fields"]
    )
    footer = f"{escape(embed['footer']['text'])} &nbsp;•&nbsp; Today at {clock(moment)}"
    title = f'<a href="{escape(embed["url"])}">{discord_text(embed["title"])}</a>'
    parts = div("title", title) + div("description", discord_text(embed["description"]))
    box = div("embed", parts + div("fields", fields) + div("footer", footer), f"border-color: #{embed['color']:06x}")
    name = '<b class="name">InfluxDB</b><span class="badge">APP</span><span class="time">Today at 03:41</span>'
    return page("discord", div("avatar", "") + div("message", name + box))


def discord_text(text: str) -> str:
    """The text without escapes of Markdown. The notifier uses no other Markdown here."""
    return escape(re.sub(r"\\([^0-9A-Za-z\s])", r"\1", text))


# Phones


def sms(body: str) -> str:
    """A bubble below the sender's number."""
    return page("sms", div("from", "+1 501 712 2661") + div("day", "Today 03:41") + div("bubble", lines(body)))


def whatsapp(body: str) -> str:
    """A bubble with the time in its corner."""
    return page("whatsapp", div("bubble", lines(body) + '<span class="time">03:41</span>'))


def lines(body: str) -> str:
    """The text of a form as a phone shows it: addresses are links."""
    [text] = parse_qs(body)["Body"]
    html = re.sub(r"https?://\S+", lambda link: f'<a href="#">{link[0]}</a>', escape(text))
    return html.replace("\n", "<br>")

"""A message as people see it: title, text, fields, links and colour.

The text comes from the request body, so it shows exactly what the channel would send.
"""

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from influxdb3_notifier.cli.output import escape_control

Body = Mapping[str, Any]
Lines = Iterator[str]

COLOURS = {0xD7263D: "red", 0xE8731F: "orange", 0xECB22E: "yellow", 0x368BD6: "blue", 0x2EB67D: "green"}
TEAMS_STYLES = {"attention": "red", "warning": "yellow", "good": "green", "accent": "blue"}


def from_message(sender: str, message: str, content_type: str) -> str | None:
    """A message as text; None: a program reads the message, or its structure is unknown.

    :param message: the request body.
    """
    reader = READERS.get(sender)
    if reader is None:
        return None
    try:
        lines = list(reader(_parse(message, content_type)))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        # A template can produce any structure.
        return None
    return "\n".join(escape_control(line) for line in "\n".join(filter(None, lines)).splitlines()) or None


def _parse(message: str, content_type: str) -> Any:
    if content_type.startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(message, keep_blank_values=True))
    if content_type.startswith("application/json"):
        return json.loads(message)
    return {"mail": message}


def _link(words: str, url: str) -> str:
    return f"{words} <{url}>"


def _fields(fields: Body) -> Lines:
    for name, value in fields.items():
        yield f"{name}: {value}"


def _colour(number: int) -> str:
    return f"colour: {COLOURS.get(number, f'#{number:06X}')}"


def _plain_html(text: str) -> str:
    """HTML without tags. Links keep their addresses."""
    linked = re.sub(r'<a href="([^"]*)">(.*?)</a>', lambda link: _protected_link(link[2], link[1]), text)
    plain = html.unescape(re.sub(r"<[^>]*>", "", linked))
    return plain.replace("\ue000", "<").replace("\ue001", ">")


def _protected_link(words: str, url: str) -> str:
    """A link whose angle brackets survive the removal of tags."""
    return f"{words} \ue000{url}\ue001"


def _plain_mrkdwn(text: str) -> str:
    """Slack's mrkdwn without its markup: ``<URL|words>``, ``<!date^…|words>`` and three entities."""

    def replacement(match: re.Match[str]) -> str:
        target, words = match[1], match[2]
        return _protected_link(words, target) if "://" in target else words

    plain = html.unescape(re.sub(r"<([^<>|]+)\|([^<>]*)>", replacement, text))
    return plain.replace("\ue000", "<").replace("\ue001", ">")


def _plain_markdown(text: str) -> str:
    """Discord's Markdown without the backslashes that escape its markup."""
    return re.sub(r"\\([^A-Za-z0-9\s])", r"\1", text)


def _slack(body: Body) -> Lines:
    attachments = body.get("attachments", [])
    blocks = [*body.get("blocks", []), *(block for each in attachments for block in each["blocks"])]
    if not blocks:
        yield _plain_mrkdwn(body["text"])
    for block in blocks:
        texts = [block.get("text"), *block.get("fields", []), *block.get("elements", [])]
        for text in filter(None, texts):
            shown = _plain_mrkdwn(text["text"]) if text["type"] == "mrkdwn" else text["text"]
            # The channel makes words bold in context blocks only.
            yield re.sub(r"\*(\w+)\*", r"\1", shown) if block["type"] == "context" else shown
    for attachment in attachments:
        yield _colour(int(attachment["color"].removeprefix("#"), 16))


def _discord(body: Body) -> Lines:
    yield body.get("content") or ""
    for embed in body.get("embeds", []):
        yield _plain_markdown(embed["title"])
        yield embed["description"]
        yield from (_plain_markdown(f"{field['name']}: {field['value']}") for field in embed.get("fields", []))
        yield _link("link in the title", embed["url"]) if "url" in embed else ""
        yield " · ".join(filter(None, [embed.get("footer", {}).get("text"), embed.get("timestamp")]))
        yield _colour(embed["color"])


def _telegram(body: Body) -> Lines:
    yield _plain_html(body["text"]) if body.get("parse_mode") == "HTML" else body["text"]


def _teams(body: Body) -> Lines:
    for attachment in body["attachments"]:
        card, colours = attachment["content"], []
        for element in card["body"]:
            if element["type"] == "Container":
                colours.append(TEAMS_STYLES.get(element["style"], element["style"]))
            for shown in element.get("items", [element]):
                yield shown.get("text") or "".join(run["text"] for run in shown["inlines"])
        yield from (_link(f"[{action['title']}]", action["url"]) for action in card.get("actions", []))
        yield from (f"colour: {colour}" for colour in colours)


def _google_chat(body: Body) -> Lines:
    yield body["text"]
    for card in (each["card"] for each in body.get("cardsV2", [])):
        yield _plain_html(card["header"]["title"])
        for widget in (widget for section in card.get("sections", []) for widget in section["widgets"]):
            yield _plain_html(widget["decoratedText"]["text"]) if "decoratedText" in widget else ""
            for button in widget.get("buttonList", {}).get("buttons", []):
                yield _link(f"[{button['text']}]", button["onClick"]["openLink"]["url"])
        yield card["header"].get("subtitle", "")


def _pagerduty(body: Body) -> Lines:
    yield f"{body['event_action']} {body.get('dedup_key', '')}".strip()
    payload = body.get("payload", {})
    yield payload.get("summary", "")
    yield from _fields(payload.get("custom_details", {}))
    yield from (_link(link["text"], link["href"]) for link in body.get("links", []))
    yield f"severity: {payload['severity']}" if payload else ""


def _opsgenie(body: Body) -> Lines:
    yield from (html.unescape(body.get(name, "")) for name in ("message", "description", "note"))
    yield from _fields(body.get("details", {}))
    yield f"priority: {body['priority']}" if "priority" in body else ""


def _alertmanager(body: list[Body]) -> Lines:
    for alert in body:
        yield from _fields(alert["labels"])
        yield from _fields(alert["annotations"])
        yield _link("link", alert["generatorURL"]) if "generatorURL" in alert else ""


def _push(body: Body) -> Lines:
    """ntfy and Pushover. A Pushover request that ends an emergency shows nothing."""
    yield body.get("title", "")
    yield body.get("message", "")
    url = body.get("click") or body.get("url")
    yield _link(body.get("url_title", "link"), url) if url else ""
    yield f"priority: {body['priority']}" if "priority" in body else ""


def _twilio(body: Body) -> Lines:
    yield body.get("Body", "")
    yield from (f"{name}: {body[name]}" for name in ("ContentSid", "ContentVariables") if name in body)


def _email(body: Body) -> Lines:
    text, _, page = body["mail"].partition("\n\n<!DOCTYPE html>")
    yield text
    colour = re.search(r"border-left:4px solid #([0-9A-F]{6})", page)
    yield _colour(int(colour[1], 16)) if colour else ""


READERS: dict[str, Callable[[Any], Lines]] = {
    "slack": _slack,
    "discord": _discord,
    "sms": _twilio,
    "whatsapp": _twilio,
    "email": _email,
    "alertmanager": _alertmanager,
    "telegram": _telegram,
    "teams": _teams,
    "pagerduty": _pagerduty,
    "opsgenie": _opsgenie,
    "jsm": _opsgenie,
    "ntfy": _push,
    "google_chat": _google_chat,
    "pushover": _push,
}
"""By channel. A program reads the messages of ``http``, so they have no other text."""

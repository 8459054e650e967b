"""What a person sees of a message, as text: title, text, fields, links and colour.

It is read from the body that a channel has composed, so it shows what is sent, and nothing that is not.
"""

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from influxdb3_notifier.cli.output import clean

Body = Mapping[str, Any]
Lines = Iterator[str]

COLOURS = {0xD7263D: "red", 0xE8731F: "orange", 0xECB22E: "yellow", 0x368BD6: "blue", 0x2EB67D: "green"}
TEAMS_STYLES = {"attention": "red", "warning": "yellow", "good": "green", "accent": "blue"}


def of(sender: str, message: str, content_type: str) -> str | None:
    """The text form of a message; None: nobody but a program reads it, or it has no form that is known.

    :param message: the body, as it is sent.
    """
    reader = READERS.get(sender)
    if reader is None:
        return None
    try:
        lines = list(reader(_read(message, content_type)))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        # A template or a later version makes what it likes.
        return None
    return "\n".join(clean(line) for line in "\n".join(filter(None, lines)).splitlines()) or None


def _read(message: str, content_type: str) -> Any:
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


def _of_html(text: str) -> str:
    """HTML as it is shown: links with their addresses, and no tags."""
    linked = re.sub(r'<a href="([^"]*)">(.*?)</a>', lambda link: _link_mark(link[2], link[1]), text)
    plain = html.unescape(re.sub(r"<[^>]*>", "", linked))
    return plain.replace("\ue000", "<").replace("\ue001", ">")


def _link_mark(words: str, url: str) -> str:
    return f"{words} \ue000{url}\ue001"


def _of_mrkdwn(text: str) -> str:
    """Slack's own markup as it is shown: ``<URL|words>``, ``<!date^…|words>`` and three entities."""

    def shown(found: re.Match[str]) -> str:
        target, words = found[1], found[2]
        return _link_mark(words, target) if "://" in target else words

    plain = html.unescape(re.sub(r"<([^<>|]+)\|([^<>]*)>", shown, text))
    return plain.replace("\ue000", "<").replace("\ue001", ">")


def _of_markdown(text: str) -> str:
    """Without the backslashes that keep Discord from formatting."""
    return re.sub(r"\\([^A-Za-z0-9\s])", r"\1", text)


def _slack(body: Body) -> Lines:
    attachments = body.get("attachments", [])
    blocks = [*body.get("blocks", []), *(block for each in attachments for block in each["blocks"])]
    if not blocks:
        yield _of_mrkdwn(body["text"])
    for block in blocks:
        texts = [block.get("text"), *block.get("fields", []), *block.get("elements", [])]
        for text in filter(None, texts):
            shown = _of_mrkdwn(text["text"]) if text["type"] == "mrkdwn" else text["text"]
            # Bold words of ours.
            yield re.sub(r"\*(\w+)\*", r"\1", shown) if block["type"] == "context" else shown
    for attachment in attachments:
        yield _colour(int(attachment["color"].removeprefix("#"), 16))


def _discord(body: Body) -> Lines:
    yield body.get("content") or ""
    for embed in body.get("embeds", []):
        yield _of_markdown(embed["title"])
        yield embed["description"]
        yield from (_of_markdown(f"{field['name']}: {field['value']}") for field in embed.get("fields", []))
        yield _link("link in the title", embed["url"]) if "url" in embed else ""
        yield " · ".join(filter(None, [embed.get("footer", {}).get("text"), embed.get("timestamp")]))
        yield _colour(embed["color"])


def _telegram(body: Body) -> Lines:
    yield _of_html(body["text"]) if body.get("parse_mode") == "HTML" else body["text"]


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
        yield _of_html(card["header"]["title"])
        for widget in (widget for section in card.get("sections", []) for widget in section["widgets"]):
            yield _of_html(widget["decoratedText"]["text"]) if "decoratedText" in widget else ""
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
    """Of ntfy and Pushover. A Pushover message that only ends an emergency shows nothing."""
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
"""By channel. The body of ``http`` is for a program: it is shown as it is."""

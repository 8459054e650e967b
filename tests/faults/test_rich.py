"""Rich notifications with hostile markup, and with more of everything than a message holds."""

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest

from tests.faults.isolation import SENDERS, IsolationCheck
from tests.faults.test_content import follows_up
from tests.harness import Response, Trigger


def send(isolation: IsolationCheck, request: dict[str, Any]) -> tuple[Trigger, Response]:
    """Send to one destination of every channel. No message is rejected or mentions anybody."""
    trigger = isolation.triggers.create({"twilio_base_url": isolation.standin.url, "max_attempts": "1"})
    senders = {sender: isolation.working_destination(sender) for sender in SENDERS}
    response = trigger.notify({"notification_text": "row", **request, "senders_config": senders})
    assert response.json["results"] == dict.fromkeys(SENDERS, True), response.text
    assert [request["problem"] for request in isolation.standin.requests() if request["problem"]] == []
    assert [message["mentions"] for message in isolation.standin.messages() if message["mentions"]] == []
    return trigger, response


def bodies(isolation: IsolationCheck, path: str) -> list[Any]:
    return [json.loads(request["body"]) for request in isolation.standin.requests(path)]


def texts_of_phones(isolation: IsolationCheck) -> dict[str, str]:
    """By channel."""
    messages = [message for message in isolation.standin.messages() if message["provider"] == "twilio"]
    return {"whatsapp" if "whatsapp" in m["destination"] else "sms": m["text"] for m in messages}


def text_objects(value: Any, kind: str) -> list[str]:
    """The texts of Slack's text objects of a kind, however deep."""
    if isinstance(value, list):
        return [text for inner in value for text in text_objects(inner, kind)]
    if not isinstance(value, dict):
        return []
    if value.get("type") == kind:
        return [value["text"]]
    return [text for inner in value.values() for text in text_objects(inner, kind)]


# Markup

MARKUP = [
    "@everyone",
    "@here <!channel>",
    "<@U1> <@1> <@&2> <#3>",
    "**bold** *b* _i_ __u__ ~~s~~ ~s~",
    "`code` ```block```",
    "||spoiler||",
    "[text](https://evil.example)",
    "<https://evil.example|text>",
    "<b>bold</b><script>alert(1)</script>",
    "&lt;b&gt; &amp;",
    "# heading",
    "> quote",
    "- item",
    ":fire: <:fire:1> <t:1:R>",
    r"back\slash \*",
]


@pytest.mark.parametrize("place", ["title", "name", "value"])
@pytest.mark.parametrize("markup", MARKUP)
def test_markup_in_a_rich_form_is_shown_as_text(isolation: IsolationCheck, markup: str, place: str) -> None:
    request: dict[str, Any] = {"level": "error", place: markup}
    if place != "title":
        request = {"title": "title", "fields": {markup: "value"} if place == "name" else {"name": markup}}
    trigger, response = send(isolation, request)

    [slack] = bodies(isolation, "/services/")
    assert any(markup in text for text in text_objects(slack, "plain_text"))
    assert text_objects(slack, "mrkdwn") == ["row", "*Error*" if place == "title" else "*Info*"]
    # The visible texts of notifications.
    assert "<" not in slack["text"]

    [discord] = bodies(isolation, "/api/webhooks/")
    [embed] = discord["embeds"]
    shown, before = (embed["title"], "🟠 ") if place == "title" else (embed["fields"][0][place], "")
    assert re.sub(r"\\([^0-9A-Za-z\s])", r"\1", shown) == before + markup
    bare = re.sub(r"\\[^0-9A-Za-z\s]", "", shown)
    assert not re.search(r"[*_~`|<@\[\\]|^(#|>|- )|:\w+:", bare), shown
    assert discord["allowed_mentions"] == {"parse": []}

    [webhook] = bodies(isolation, "/hook/")
    assert markup in (webhook["title"], *webhook.get("fields", {}), *webhook.get("fields", {}).values())

    phones = texts_of_phones(isolation)
    assert markup in phones["sms"]
    # WhatsApp knows no escape; its marks are replaced where they would begin something.
    assert not re.search(
        r"(?<!\w)[*_~`](?=\S)|^>", phones["whatsapp"].partition("row")[2 if place != "title" else 0], re.M
    )
    assert len(phones["whatsapp"]) == len(phones["sms"])
    follows_up(isolation, trigger, response)


@pytest.mark.parametrize("markup", MARKUP)
@pytest.mark.parametrize("host", ["evil.example", "evil"])
def test_markup_in_a_link_stays_in_the_link(isolation: IsolationCheck, markup: str, host: str) -> None:
    trigger, response = send(isolation, {"link": f"https://{host}/|{markup}"})
    [slack] = bodies(isolation, "/services/")
    [_, link] = text_objects(slack, "mrkdwn")
    assert re.fullmatch(rf"<https://{host}/%7C[^<>|]*\|Open {host}>", link)
    [discord] = bodies(isolation, "/api/webhooks/")
    [embed] = discord["embeds"]
    address = embed.get("url") or embed["fields"][0]["value"][1:-1]
    assert address.startswith(f"https://{host}/|")
    assert not re.search(r"[<>\s]", address)
    follows_up(isolation, trigger, response)


# Too much of everything


@dataclass
class TooMuch:
    """A request, and the expected warning and text of each channel that truncates."""

    name: str
    request: dict[str, Any]
    said: dict[str, list[str]] = field(default_factory=dict)
    """Parts of the warnings, in order."""
    shown: dict[str, str] = field(default_factory=dict)
    """A regular expression that is found in the channel's first message."""


def fields(count: int, value: str = "v", name: str = "n") -> dict[str, str]:
    return {f"{name}{n}": value for n in range(count)}


PHONES = ("sms", "whatsapp")
TITLE, CUT, MISSING = "title: too long", "fields: too long", "fields: too many"


def at_phones(text: Any) -> dict[str, Any]:
    return dict.fromkeys(PHONES, text)


ROWS = [
    TooMuch("25 fields are not too many", {"fields": fields(25)}),
    TooMuch(
        "26 fields",
        {"fields": fields(26)},
        {"discord": ["the last 1 of 26 left out"]},
        {"discord": "and 1 more field"},
    ),
    TooMuch("header 150, with the level's emoji", {"title": "t" * 147}),
    TooMuch(
        "header 151",
        {"title": "t" * 148},
        {"slack": [TITLE]},
        {"slack": f"🔵 {'t' * 146}…"},
    ),
    TooMuch(
        "title 257",
        {"title": "t" * 255},
        {"slack": [TITLE], "discord": [TITLE], **at_phones([TITLE])},
        {"slack": "t…", "discord": f"🔵 {'t' * 253}…", **at_phones(r"t\.\.\.\n")},
    ),
    TooMuch("section 3,000", {"notification_text": "x" * 3_000, "level": "ok"}),
    TooMuch("section 3,001 goes on in a second message", {"notification_text": "x" * 3_001, "level": "ok"}),
    TooMuch(
        "a field of 2,000",
        {"fields": {"n": "v" * (2_000 - len("n: "))}},
        {"discord": [CUT], **at_phones([CUT])},
        {"discord": "v…", **at_phones(r"v\.\.\.")},
    ),
    TooMuch(
        "a field of 2,001",
        {"fields": {"n": "v" * (2_001 - len("n: "))}},
        {"slack": [CUT], "discord": [CUT], **at_phones([CUT])},
        {"slack": "v…", "discord": "v…", **at_phones(r"v\.\.\.")},
    ),
    TooMuch(
        "embed total 6,001",
        {"fields": fields(5, "v" * 1_000), "title": "t" * 100, "notification_text": "x" * 893},
        {"discord": ["the last 1 of 5"], **at_phones([CUT, MISSING])},
        {"discord": "and 1 more field", **at_phones("and 2 more fields")},
    ),
    TooMuch(
        "blocks beyond 50",
        {"fields": fields(461, "", "")},
        {"slack": ["the last 1 of 461"], "discord": ["the last 436 of 461"], **at_phones([MISSING])},
        {"slack": "and 1 more field", "discord": "and 436 more fields", **at_phones(r"and \d+ more fields")},
    ),
    TooMuch(
        "about 13,000 characters over all blocks",
        {"fields": fields(10, "v" * 1_900), "notification_text": "x" * 3_000},
        {"slack": ["the last 6 of 10"], "discord": [CUT, "the last 7 of 10"], **at_phones([CUT, MISSING])},
        {"slack": "and 6 more fields", "discord": "and 7 more fields", **at_phones(r"and 7 more fields")},
    ),
    TooMuch("SMS 1,600", {"notification_text": "x" * (1_600 - len("OK: ")), "level": "ok"}),
    TooMuch("SMS 1,601", {"notification_text": "x" * (1_601 - len("OK: ")), "level": "ok"}),
    TooMuch(
        "10,000 fields",
        {"fields": fields(10_000)},
        {"slack": [MISSING], "discord": ["the last 9975 of 10000"], **at_phones([MISSING])},
        {"slack": "and 9540 more fields", "discord": "and 9975 more fields", **at_phones(r"and \d+ more fields")},
    ),
    TooMuch(
        "a name of 100 KB",
        {"fields": {"n" * 102_400: "v"}},
        {"slack": [CUT], "discord": [CUT], **at_phones([CUT])},
        {"slack": "n…: v", "discord": "n…", **at_phones(r"n\.\.\.: v")},
    ),
    TooMuch(
        "markup that grows when it is escaped",
        {"title": "*" * 200, "fields": {"_" * 200: "<" * 900}},
        {"slack": [TITLE, CUT], "discord": [TITLE, CUT], **at_phones([TITLE, CUT])},
        {"slack": r"\*…", "discord": r"\*.*…", **at_phones(r"\.\.\.")},
    ),
    TooMuch(
        "a link that a text message has no room for",
        {"link": "https://grafana.example.com/" + "x" * 900, "title": "t"},
        at_phones(["link: too long"]),
        at_phones("link too long"),
    ),
    TooMuch(
        "a link inside the network that a field has no room for",
        {"link": "http://grafana/" + "x" * 1_100, "title": "t"},
        {"discord": ["link: too long"], **at_phones(["link: too long"])},
        {"discord": "link too long", **at_phones("link too long")},
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))
def test_limits_are_kept_and_cuts_get_a_warning(isolation: IsolationCheck, row: TooMuch) -> None:
    trigger, response = send(isolation, row.request)
    warnings = response.json["warnings"]
    for sender in SENDERS:
        mine = [w for w in warnings if w.startswith(f"senders_config.{sender}: ")]
        expected = row.said.get(sender, [])
        assert len(mine) == len(expected), (sender, mine)
        assert all(part in warning for part, warning in zip(expected, mine, strict=True)), (sender, mine)
    assert len(warnings) == sum(map(len, row.said.values()))
    first = first_messages(isolation)
    for sender, shown in row.shown.items():
        assert re.search(shown, first[sender]), (sender, first[sender][:500])
    unsaid = [
        sender for sender in SENDERS if sender not in row.shown and re.search("more fields?|too long", first[sender])
    ]
    assert unsaid == []
    follows_up(isolation, trigger, response)


def first_messages(isolation: IsolationCheck) -> dict[str, str]:
    """The visible text of each channel's first message."""
    slack, discord = bodies(isolation, "/services/")[0], bodies(isolation, "/api/webhooks/")[0]
    phones = {
        sender: next(
            m["text"]
            for m in isolation.standin.messages()
            if m["provider"] == "twilio" and (wa == ("whatsapp" in m["destination"]))
        )
        for sender, wa in (("sms", False), ("whatsapp", True))
    }
    return {
        "slack": "\n".join([*text_objects(slack, "plain_text"), *text_objects(slack, "mrkdwn")]),
        "discord": json.dumps(discord, ensure_ascii=False),
        "http": json.dumps(bodies(isolation, "/hook/")[0]),
        **phones,
    }


def test_ten_thousand_fields_of_wrong_types_are_left_out_with_a_warning(isolation: IsolationCheck) -> None:
    trigger, response = send(isolation, {"title": "t", "fields": {f"n{n}": [] for n in range(10_000)}})
    assert len(response.json["warnings"]) < 200
    assert response.json["warnings"][-1].startswith("and 9")
    follows_up(isolation, trigger, response)


def test_a_link_with_another_scheme_is_not_a_link(isolation: IsolationCheck) -> None:
    for link in ["javascript:alert(1)", "file:///etc/passwd", "//evil.example", quote("https://a.example/")]:
        _, response = send(isolation, {"title": "t", "link": link})
        assert [warning.partition(":")[0] for warning in response.json["warnings"]] == ["link"]
        assert not [request for request in isolation.standin.requests() if link in request["body"]]
        isolation.standin.clear()

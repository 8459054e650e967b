"""Rich notifications end to end: bodies, parts and mentions."""

import hashlib
import json
import re
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.channels.channel import FIRING
from tests.contract.case import ARGUMENTS, HOST, Case, body_bytes, delivered, delivers, fails, not_attempted, run_case
from tests.contract.provider_requests import DISCORD, HTTP, SLACK, TWILIO, to_discord, to_http, to_slack, to_twilio
from tests.contract.test_length import NUMBER, utf16
from tests.harness import Response, Standin, Trigger, Triggers

SENDERS: dict[str, Any] = {"slack": SLACK, "discord": DISCORD, "http": HTTP, "sms": TWILIO, "whatsapp": TWILIO}


@pytest.fixture
def trigger(triggers: Triggers, standin: Standin) -> Trigger:
    """A trigger that knows where Twilio is."""
    return create(triggers, standin)


def create(triggers: Triggers, standin: Standin, **arguments: str) -> Trigger:
    address = f"127.0.0.1:{standin.port}"
    return triggers.create({**{name: value.replace(HOST, address) for name, value in ARGUMENTS.items()}, **arguments})


def send(trigger: Trigger, standin: Standin, senders: dict[str, Any] = SENDERS, **request: Any) -> Response:
    """Send, and see to it that the providers found nothing wrong."""
    body = json.dumps({**request, "senders_config": senders}, ensure_ascii=False)
    response = trigger.notify(body_bytes(body, f"127.0.0.1:{standin.port}"))
    for got in standin.requests():
        assert (got["accepted"], got["problem"]) == (True, None), got
    return response


def mentions(standin: Standin, provider: str) -> list[str]:
    return [
        mention for message in standin.messages() if message["provider"] == provider for mention in message["mentions"]
    ]


FORM = b"To=%2B15558675310&From=%2B15017122661&Body="
ROWS = [
    # Fields without a rich form do not change the body.
    delivers(
        "a time and a key alone",
        {"notification_text": "hi", "senders_config": SENDERS, "timestamp": "2026-11-25T02:41:58Z", "dedup_key": "k"},
        to_slack("hi"),
        to_discord("hi"),
        # Programs may need them in every case.
        to_http(b'{"message":"hi","timestamp":"2026-11-25T02:41:58Z","dedup_key":"k"}'),
        to_twilio(FORM + b"hi"),
        to_twilio(FORM.replace(b"=", b"=whatsapp%3A", 2) + b"hi", "whatsapp"),
    ),
    delivers(
        "what is absent or unusable",
        {
            "notification_text": "hi",
            "senders_config": {"slack": SLACK},
            "title": "",
            "level": None,
            "status": "over",
            "fields": {"host": None},
        },
        to_slack("hi"),
        warnings=["status: must be one of firing, acknowledged, resolved, found 'over'; left out"],
    ),
    delivers(
        "a dedup key of a kibibyte is the key",
        {"notification_text": "hi", "title": "t", "dedup_key": "k" * 1024, "senders_config": {"http": HTTP}},
        to_http(b'{"message":"hi","title":"t","dedup_key":"' + b"k" * 1024 + b'"}'),
    ),
    delivers(
        "a longer dedup key is its SHA-256",
        {"notification_text": "hi", "title": "t", "dedup_key": "k" * 1025, "senders_config": {"http": HTTP}},
        to_http(
            b'{"message":"hi","title":"t","dedup_key":"' + hashlib.sha256(b"k" * 1025).hexdigest().encode() + b'"}'
        ),
        warnings=["dedup_key: is longer than 1024 bytes; its SHA-256 is used in its place"],
    ),
    delivers(
        "http gets the members as they came",
        {**FIRING, "notification_text": [1.50, None], "dedup_key": "cpu", "senders_config": {"http": HTTP}},
        to_http(
            b'{"message":[1.5,null],"title":"CPU of db1 above 95 %","level":"critical","status":"firing",'
            b'"fields":{"host":"db1","limit":95,"primary":true},'
            b'"link":"https://grafana.example.com/d/cpu?var-host=db1&from=now-1h",'
            b'"timestamp":"2026-11-25T02:41:58Z","dedup_key":"cpu"}'
        ),
    ),
    delivers(
        "http gets those only that there are",
        {"notification_text": "hi", "level": "WARN", "senders_config": {"http": HTTP}},
        to_http(b'{"message":"hi","level":"warning"}'),
    ),
    delivers(
        "a text message is a few lines",
        {**FIRING, "senders_config": {"sms": TWILIO}},
        to_twilio(
            FORM + b"CRITICAL%3A+CPU+of+db1+above+95+%25%0Acpu_usage+is+97.3+%25"
            b"%0Ahost%3A+db1%2C+limit%3A+95%2C+primary%3A+true"
            b"%0Afiring+since+2026-11-25+02%3A41+UTC"
            b"%0Ahttps%3A%2F%2Fgrafana.example.com%2Fd%2Fcpu%3Fvar-host%3Ddb1%26from%3Dnow-1h"
        ),
        deliveries=[delivered("sms", segments=2)],
    ),
    fails(
        "a rich form needs a text too",
        {**FIRING, "notification_text": " ", "senders_config": {"discord": DISCORD}},
        not_attempted("discord", "invalid_text", "notification_text is blank", "notification_text"),
    ),
]


@pytest.mark.parametrize("case", ROWS, ids=str)
def test_the_rich_fields_follow_the_contract(case: Case, triggers: Triggers, standin: Standin) -> None:
    run_case(case, triggers, standin)


def test_each_channel_sends_one_message_as_the_dry_run_shows(trigger: Trigger, standin: Standin) -> None:
    shown = send(trigger, standin, **FIRING, dry_run=True).json
    assert standin.requests() == []
    response = send(trigger, standin, **FIRING).json
    assert response["results"] == dict.fromkeys(SENDERS, True)
    assert (shown["warnings"], response["warnings"]) == ([], [])
    assert [entry["parts"] for entry in response["deliveries"]] == [1] * 5
    previews = [entry["preview"]["body"] for entry in shown["deliveries"]]
    arrived = {request["body"] for request in standin.requests()}
    assert arrived >= set(previews[:3])
    texts = [parse_qs(preview)["Body"][0] for preview in previews[3:]]
    assert [message["text"] for message in standin.messages() if message["provider"] == "twilio"] == texts


# Long texts

# The maximum text of the first message with only a level, and of the other messages.
FIRST = {"slack": 3_000, "discord": 4_096, "sms": 1_600 - len("INFO: "), "whatsapp": 1_600 - len("INFO: ")}


def text_of(request: dict[str, Any]) -> str:
    """The part of the notification's text that a message has."""
    if request["provider"] == "twilio":
        return re.sub(r"^(\(\d+/\d+\) )?INFO: ", r"\1", parse_qs(request["body"])["Body"][0])
    body = json.loads(request["body"])
    if "embeds" in body:
        assert body["allowed_mentions"] == {"parse": []}
        return str(body["embeds"][0]["description"])
    if "content" in body:
        assert body["allowed_mentions"] == {"parse": []}
        return str(body["content"])
    return str(body["blocks"][1]["text"]["text"] if "blocks" in body else body["text"])


@pytest.mark.parametrize("sender", FIRST)
def test_a_text_too_long_for_the_rich_message_continues_in_plain_messages(
    sender: str, trigger: Trigger, standin: Standin
) -> None:
    for length, parts in [(FIRST[sender], 1), (FIRST[sender] + 1, 2), (FIRST[sender] * 2, None)]:
        standin.clear()
        text = "".join(f"{n:05} " for n in range(length))[: length - 1] + "."
        response = send(trigger, standin, {sender: SENDERS[sender]}, notification_text=text, level="info").json
        assert response["results"] == {sender: True}
        assert response["warnings"] == []
        requests = standin.requests()
        assert parts in (None, len(requests))
        assert response["deliveries"][0]["parts"] == len(requests)
        got = [text_of(request) for request in requests]
        if len(got) > 1:
            numbers = [NUMBER.match(part) for part in got]
            assert [number and number.groups() for number in numbers] == [
                (str(n + 1), str(len(got))) for n in range(len(got))
            ]
        assert "".join(NUMBER.sub("", part, count=1) for part in got) == text
        # Only the first is rich.
        assert [any(word in request["body"] for word in ("blocks", "embeds", "INFO")) for request in requests] == [
            True,
            *[False] * (len(requests) - 1),
        ]


def test_a_text_beyond_ten_messages_says_how_much_is_missing(trigger: Trigger, standin: Standin) -> None:
    text = "x" * 30_000
    response = send(
        trigger, standin, {"sms": TWILIO}, notification_text=text, title="t", link="https://a.example/"
    ).json
    assert response["deliveries"][0]["parts"] == 10
    [warning] = response["warnings"]
    found = re.fullmatch(
        r"senders_config\.sms: notification_text is too long .* last (\d+) characters are missing", warning
    )
    assert found
    bodies = [message["text"] for message in standin.messages()]
    assert all(utf16(body) <= 1_600 for body in bodies)
    assert bodies[0].startswith("(1/10) INFO: t\nxxx")
    assert bodies[0].endswith("x\nhttps://a.example/")
    assert bodies[-1].endswith(f"… {found[1]} characters missing")
    assert sum(body.count("x") for body in bodies) + int(found[1]) == 30_000 + "https://a.example/".count("x")


# Mentions

CALLS = "<!channel> <@U1> <@1> @everyone @here"


def test_a_rich_text_can_mention_at_slack_and_never_at_discord(trigger: Trigger, standin: Standin) -> None:
    response = send(trigger, standin, notification_text=CALLS, level="critical").json
    assert response["results"] == dict.fromkeys(SENDERS, True)
    assert mentions(standin, "slack") == ["<!channel>", "<@U1>", "<@1>"]
    assert mentions(standin, "discord") == []


def test_with_allow_mentions_false_the_text_mentions_nobody(triggers: Triggers, standin: Standin) -> None:
    trigger = create(triggers, standin, allow_mentions="false")
    send(trigger, standin, notification_text=CALLS, level="critical")
    assert len(standin.messages()) == 5
    assert mentions(standin, "slack") == mentions(standin, "discord") == []
    [slack] = [json.loads(request["body"]) for request in standin.requests("/services/")]
    text = slack["blocks"][1]["text"]
    # Not even names without markup are looked for.
    assert (text["text"][:17], text["verbatim"]) == ("&lt;!channel&gt; ", True)


# The link

LINKS = [
    ("https://grafana.example.com/d/1", "url"),
    ("http://10.0.0.1:3000/d/1", "url"),
    ("http://grafana:3000/d/1", "field"),
    ("http://localhost:3000/", "field"),
    ("http://[::1]:3000/", "field"),
]


@pytest.mark.parametrize(("link", "place"), LINKS)
def test_a_link_that_discord_refuses_is_sent_as_a_field(
    link: str, place: str, trigger: Trigger, standin: Standin
) -> None:
    response = send(trigger, standin, {"discord": DISCORD}, notification_text="hi", link=link).json
    assert response["results"] == {"discord": True}
    [request] = standin.requests()
    embed = json.loads(request["body"])["embeds"][0]
    in_field = [{"name": "Link", "value": f"<{link}>", "inline": False}]
    assert (embed.get("url"), embed.get("fields")) == ((link, None) if place == "url" else (None, in_field))

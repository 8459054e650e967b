"""Texts at each channel's limit, split where they are longer, and nothing lost."""

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.contract.case import ARGUMENTS, HOST, body_bytes
from tests.contract.provider_requests import DISCORD, HTTP, SLACK, TWILIO
from tests.harness import Response, Standin, Trigger, Triggers

NUMBER = re.compile(r"\((\d+)/(\d+)\) ")


def utf16(text: str) -> int:
    """Length in UTF-16 code units."""
    return len(text.encode("utf-16-le")) // 2


@dataclass(frozen=True)
class LengthLimit:
    """The maximum length of a channel's message, and its unit."""

    configuration: dict[str, str]
    limit: int
    in_utf16: bool

    def length(self, text: str) -> int:
        """In the channel's unit."""
        return utf16(text) if self.in_utf16 else len(text)


CHANNELS = {
    "slack": LengthLimit(SLACK, 4_000, True),
    "discord": LengthLimit(DISCORD, 2_000, False),
    "sms": LengthLimit(TWILIO, 1_600, True),
    "whatsapp": LengthLimit(TWILIO, 1_600, True),
}

CLUSTERS = {
    "ASCII": "a",
    "emoji": "😀",
    "families": "👨‍👩‍👧‍👦",
    "flags": "🇩🇪",
    "skin tones": "👍🏽",
    "combining marks": "e\u0301\u0323",
    "Hangul jamo": "\u1112\u1161\u11ab",
    "right to left": "שׁ",
    "line ends": "\r\n",
    "Devanagari": "नि",
}


def text_of(channel: LengthLimit, cluster: str, length: int) -> str:
    """So many units, as far as whole clusters go, the rest in letters before them."""
    count, rest = divmod(length, channel.length(cluster))
    return "b" * rest + cluster * count


def received(request: dict[str, Any]) -> str:
    """The text of a message that arrived."""
    if request["provider"] == "twilio":
        return str(parse_qs(request["body"], strict_parsing=True)["Body"][0])
    body = json.loads(request["body"])
    assert len(body) == 1
    return str(next(iter(body.values())))


def send(trigger: Trigger, standin: Standin, sender: str, text: str) -> tuple[Response, list[str]]:
    """Send a text; the answer and the texts that the provider accepted, in order."""
    configuration = HTTP if sender == "http" else CHANNELS[sender].configuration
    body = {"notification_text": text, "senders_config": {sender: configuration}}
    response = trigger.notify(body_bytes(json.dumps(body, ensure_ascii=False), f"127.0.0.1:{standin.port}"))
    # On a machine with much else to do the answer may come before the last part.
    count = response.json["deliveries"][0]["parts"]
    requests = standin.wait_for("", count, timeout=20)
    assert all(request["accepted"] and request["problem"] is None for request in requests)
    return response, [received(request) for request in requests]


def joined(parts: list[str]) -> str:
    """The text of numbered parts."""
    if len(parts) == 1:
        return parts[0]
    for index, part in enumerate(parts, 1):
        number = NUMBER.match(part)
        assert number, part[:20]
        assert (int(number[1]), int(number[2])) == (index, len(parts))
    return "".join(NUMBER.sub("", part, count=1) for part in parts)


def assert_unbroken(parts: list[str], cluster: str) -> None:
    """Every part is made of whole clusters and single letters."""
    whole = re.compile(f"(?:{re.escape(cluster)}|b)*")
    for part in parts:
        assert whole.fullmatch(NUMBER.sub("", part, count=1) if len(parts) > 1 else part)


@pytest.fixture
def trigger(triggers: Triggers, standin: Standin) -> Trigger:
    """A trigger that knows where Twilio is."""
    address = f"127.0.0.1:{standin.port}"
    return triggers.create({name: value.replace(HOST, address) for name, value in ARGUMENTS.items()})


@pytest.mark.parametrize("script", CLUSTERS)
@pytest.mark.parametrize("sender", CHANNELS)
def test_at_the_limit_nothing_is_lost_and_no_cluster_is_broken(
    sender: str, script: str, trigger: Trigger, standin: Standin
) -> None:
    channel, cluster = CHANNELS[sender], CLUSTERS[script]
    for length, count in [(channel.limit - 1, 1), (channel.limit, 1), (channel.limit + 1, 2)]:
        standin.clear()
        # A blank text would be none.
        text = text_of(channel, cluster, length - 1) + "b"
        assert channel.length(text) == length
        response, parts = send(trigger, standin, sender, text)
        entry = response.json["deliveries"][0]
        assert (entry["outcome"], entry["parts"], entry["parts_delivered"], entry["attempts"]) == (
            "delivered",
            count,
            count,
            count,
        )
        assert len(parts) == count
        assert all(channel.length(part) <= channel.limit for part in parts)
        assert joined(parts) == text
        assert_unbroken(parts, cluster)
        assert response.json["warnings"] == []


@pytest.mark.parametrize("sender", CHANNELS)
def test_a_surrogate_pair_at_the_cut_stays_whole(sender: str, trigger: Trigger, standin: Standin) -> None:
    channel = CHANNELS[sender]
    prefix = len("(1/2) ")
    for before in range(channel.limit - prefix - 3, channel.limit - prefix + 1):
        standin.clear()
        text = "a" * before + "😀" + "b" * prefix * 2
        _, parts = send(trigger, standin, sender, text)
        assert joined(parts) == text
        assert all(channel.length(part) <= channel.limit for part in parts)


@pytest.mark.parametrize("sender", CHANNELS)
@pytest.mark.parametrize("parts_wanted", [3, 9, 10])
def test_up_to_ten_parts_arrive_in_order_and_whole(
    sender: str, parts_wanted: int, trigger: Trigger, standin: Standin
) -> None:
    channel = CHANNELS[sender]
    text = "".join(f"{n:05} " for n in range(channel.limit * 2))[
        : (channel.limit - 8) * parts_wanted - 20 * parts_wanted
    ]
    response, parts = send(trigger, standin, sender, text)
    entry = response.json["deliveries"][0]
    assert (entry["parts"], entry["parts_delivered"], len(parts)) == (parts_wanted,) * 3
    assert joined(parts) == text
    # After a space, where there is one near.
    assert all(part.endswith(" ") for part in parts[:-1])
    assert response.json["warnings"] == []


@pytest.mark.parametrize("cluster", ["a", "😀", "👨‍👩‍👧‍👦", "e\u0301\u0323"])
@pytest.mark.parametrize("sender", CHANNELS)
def test_beyond_ten_parts_the_tenth_says_how_much_is_missing(
    sender: str, cluster: str, trigger: Trigger, standin: Standin
) -> None:
    channel = CHANNELS[sender]
    text = cluster * (channel.limit * 101 // 10 // channel.length(cluster))
    response, parts = send(trigger, standin, sender, text)
    assert len(parts) == 10
    assert all(channel.length(part) <= channel.limit for part in parts)
    got, note, tail = joined(parts).partition("… ")
    assert note
    missing = re.fullmatch(r"(\d+) characters missing", tail)
    assert missing
    assert len(text) == len(got) + int(missing[1])
    assert text.startswith(got)
    assert_unbroken([got], cluster)
    assert response.json["warnings"] == [
        f"senders_config.{sender}: notification_text is too long for 10 messages: "
        f"the last {missing[1]} characters are missing"
    ]
    # Hardly more is left out than the note needs.
    longest = max(channel.length(part) for part in parts)
    assert channel.length(parts[-1]) > longest - 30 - channel.length(cluster)


def test_http_never_splits(trigger: Trigger, standin: Standin) -> None:
    text = "😀" * 80_000
    response, parts = send(trigger, standin, "http", text)
    assert parts == [text]
    assert response.json["deliveries"][0]["parts"] == 1


@pytest.mark.parametrize("sender", CHANNELS)
def test_a_grapheme_cluster_longer_than_a_message_is_cut_between_characters(
    sender: str, trigger: Trigger, standin: Standin
) -> None:
    channel = CHANNELS[sender]
    text = "e" + "\u0301" * (channel.limit + 100)
    response, parts = send(trigger, standin, sender, text)
    assert response.json["results"] == {sender: True}
    assert joined(parts) == text
    assert all(channel.length(part) <= channel.limit for part in parts)


@pytest.mark.parametrize(("text", "entity"), [("<", "&lt;"), ("&", "&amp;"), (">", "&gt;")])
def test_an_escaped_character_is_never_cut(text: str, entity: str, triggers: Triggers, standin: Standin) -> None:
    trigger = triggers.create({"allow_mentions": "false"})
    for padding in range(len(entity)):
        standin.clear()
        _, parts = send(trigger, standin, "slack", "a" * padding + text * 2_000)
        assert len(parts) in (2, 3)
        assert all(utf16(part) <= 4_000 for part in parts)
        assert all(re.fullmatch(rf"\(\d/\d\) a*({re.escape(entity)})+", part) for part in parts)
        assert joined(parts) == "a" * padding + entity * 2_000


SEGMENTS = [
    ("a" * 160, 1),
    ("a" * 161, 2),
    ("a" * 306, 2),
    ("a" * 307, 3),
    ("€" * 80, 1),
    ("€" * 81, 2),
    ("a" * 1_600, 11),
    # Two messages, (1/2) and (2/2): 1,600 and 13 characters.
    ("a" * 1_601, 11 + 1),
    ("ł" * 70, 1),
    ("ł" * 71, 2),
    ("😀" * 35, 1),
    ("😀" * 36, 2),
    ("😀" * 67, 3),
    ("e\u0301", 1),
    ("`", 1),
]


@pytest.mark.parametrize(("text", "segments"), SEGMENTS)
@pytest.mark.parametrize("sender", ["sms", "whatsapp"])
def test_segments_are_counted_as_twilio_does(
    sender: str, text: str, segments: int, trigger: Trigger, standin: Standin
) -> None:
    response, _ = send(trigger, standin, sender, text)
    assert response.json["deliveries"][0]["segments"] == segments
    assert sum(int(message["detail"]["num_segments"]) for message in standin.messages()) == segments

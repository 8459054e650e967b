"""docs/channels.md: every example is delivered, and every listed error has its reason."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.channels.channel import NUMBERS, REGISTRY, ChannelSpec, RequestSender, SendResult, channels
from tests.channels.conftest import request_sender
from tests.harness import ROOT, Standin

__all__ = ["request_sender"]

DOCUMENT = (ROOT / "docs" / "channels.md").read_text(encoding="utf-8")
SENDERS = list(REGISTRY)


def section(name: str) -> str:
    _, _, rest = DOCUMENT.partition(f"\n## {name}\n")
    return rest.partition("\n## ")[0]


def examples(text: str) -> list[str]:
    return re.findall(r"```json\n(.*?)```", text, re.DOTALL)


def at_the_standin(channel: ChannelSpec, configuration: Mapping[str, Any], standin: Standin) -> dict[str, Any]:
    """The same destination at a unique path of the stand-in."""
    number = next(NUMBERS)
    own = channel.at(standin, number)
    place = standin.url + channel.path_of(number).removesuffix(channel.path)
    moved = dict(configuration)
    for name, value in configuration.items():
        if isinstance(value, str) and value.startswith("https://"):
            moved[name] = value.replace(f"https://{urlsplit(value).netloc}", place)
    # The fields for the provider's address and account, if there is no URL.
    return moved | {name: own[name] for name in ("base_url", "twilio_sid", *channel.address_fields) if name in own}


def send(
    request_sender: RequestSender, standin: Standin, example: str, arguments: Mapping[str, str] | None = None
) -> SendResult:
    request = json.loads(example)
    destinations = []
    for name, given in request.pop("senders_config").items():
        channel = channels()[name]
        for configuration in given if isinstance(given, list) else [given]:
            destinations.append((channel, at_the_standin(channel, configuration, standin)))
    return request_sender.send(destinations, arguments, **request)


def senders_of(example: str) -> str:
    return "-".join(json.loads(example)["senders_config"])


@pytest.mark.parametrize("example", examples(DOCUMENT), ids=senders_of)
def test_an_example_is_delivered_without_a_warning(
    example: str, request_sender: RequestSender, standin: Standin
) -> None:
    sent = send(request_sender, standin, example)
    assert (sent.response.json["status"], sent.response.json["warnings"]) == ("success", []), sent.response.text
    for name in json.loads(example)["senders_config"]:
        channels()[name].check_arrivals(standin)


@pytest.mark.parametrize("name", SENDERS)
def test_the_rich_example_is_delivered_by_every_channel(
    name: str, request_sender: RequestSender, standin: Standin
) -> None:
    [rich] = [example for example in examples(section("Rich notifications")) if "title" in json.loads(example)]
    plain = json.loads(examples(section(name))[0])
    example = json.dumps({**json.loads(rich), "senders_config": plain["senders_config"]})
    sent = send(request_sender, standin, example)
    assert (sent.response.json["status"], sent.response.json["warnings"]) == ("success", []), sent.response.text
    channels()[name].check_arrivals(standin)


def test_every_channel_begins_with_a_plain_example() -> None:
    for name in SENDERS:
        request = json.loads(examples(section(name))[0])
        assert ("title" in request, list(request["senders_config"])) == (False, [name])


def test_every_channel_has_the_date_of_its_last_check() -> None:
    for name in SENDERS:
        checked = re.findall(r"^\*Checked on \d{4}-\d\d-\d\d[.,:]", section(name), re.MULTILINE)
        assert len(checked) == 1, name


# Errors


@dataclass
class ErrorListEntry:
    """An entry of a list of errors: a provider's reply, and its reason."""

    sender: str
    status: int
    body: str | None
    reason: str

    def __str__(self) -> str:
        return f"{self.sender}-{self.status}-{self.reason}"


def error_list() -> list[ErrorListEntry]:
    found = []
    for name in SENDERS:
        for reply, reasons in re.findall(r"^- (.+?) → (.+?)\. ", section(name), re.MULTILINE):
            found += entries_of(name, reply, re.findall(r"`(\w+)`", reasons))
    return found


def entries_of(name: str, reply: str, reasons: list[str]) -> list[ErrorListEntry]:
    statuses = [int(status) for status in re.findall(r"\b([2345]\d\d|[345]xx)\b(?!\d)", reply.replace("xx", "01"))]
    codes = [int(code) for code in re.findall(r"\b(\d{5,6})\b", reply)]
    words = re.findall(r"`([^`]+)`", reply)
    if codes:
        bodies = [json.dumps({"code": code, "message": "words of the provider"}) for code in codes]
        return [ErrorListEntry(name, status, body, reasons[0]) for status in statuses or [400] for body in bodies]
    body = full_body(name, words[0]) if words else None
    # Several statuses share a reason, or have one each.
    pairs = zip(statuses, reasons if len(reasons) == len(statuses) else reasons * len(statuses), strict=False)
    return [ErrorListEntry(name, status, body, reason) for status, reason in pairs]


def full_body(name: str, words: str) -> str:
    """The complete reply for the member in the list."""
    if name == "telegram":
        moved = {"parameters": {words: -1001234567891}} if words == "migrate_to_chat_id" else {}
        return json.dumps({"ok": False, "description": words, **moved})
    if name == "teams" and words.isalpha():
        return json.dumps({"error": {"code": words}})
    if name == "pagerduty":
        return json.dumps({"status": "invalid event", "message": "Event object is invalid", "errors": [words]})
    return words


def test_the_error_lists_are_parsed() -> None:
    assert {row.sender for row in error_list()} == set(SENDERS)
    assert len(error_list()) >= 25


@pytest.mark.parametrize("row", error_list(), ids=str)
def test_a_reply_gives_the_reason_in_the_list(
    row: ErrorListEntry, request_sender: RequestSender, standin: Standin
) -> None:
    channels()[row.sender].set_reply(standin, row.status, row.body)
    sent = send(request_sender, standin, examples(section(row.sender))[0], ENDS_AT_ONCE)
    assert (sent.entry["outcome"] in ("failed", "ambiguous"), sent.entry["reason"]) == (True, row.reason), sent.entry
    assert sent.entry["http_status"] == (row.status if channels()[row.sender].over_http else None)


ENDS_AT_ONCE = {"delivery_timeout": "1s", "initial_backoff": "2s"}
"""The retry would be after the deadline, so no delivery outlasts its test."""

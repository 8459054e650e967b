"""``influxdb3-notifier channels``, as it is installed."""

import json
from typing import Any

import pytest

from influxdb3_notifier import _native
from tests.cli.program import run
from tests.harness import Notify

KNOWN: list[dict[str, Any]] = json.loads(_native.channels())
SENDERS = [channel["sender"] for channel in KNOWN]


def shown(*arguments: str) -> str:
    done = run("channels", *arguments)
    assert (done.status, done.err) == (0, "")
    return done.out


def test_every_channel_is_listed_with_its_description() -> None:
    lines = shown().splitlines()
    assert [line.split()[0] for line in lines] == SENDERS
    assert all(line.endswith(channel["about"]) for line, channel in zip(lines, KNOWN, strict=True))


@pytest.mark.parametrize("channel", KNOWN, ids=SENDERS)
def test_one_channel_is_shown_with_all_details(channel: dict[str, Any]) -> None:
    text = shown(channel["sender"])
    for parameter in channel["parameters"]:
        assert f"  {parameter['name']} (" in text
        assert f"example: {parameter['example']}" in text
    if channel["longest_text"]:
        assert f"text: up to {channel['longest_text']['length']} " in text
    assert f"resend of the same notification: {channel['second_sending']}" in text
    assert channel["resolved"] in text
    assert json.loads(text.partition("example request:\n")[2]) == channel["example"]
    assert max(len(line) for line in text.splitlines() if "https://" not in line) <= 120


def test_programs_read_json() -> None:
    assert json.loads(shown("--format", "json")) == KNOWN
    assert json.loads(shown(SENDERS[0], "--format=json")) == KNOWN[0]


@pytest.mark.parametrize("channel", KNOWN, ids=SENDERS)
def test_the_example_is_a_valid_request(channel: dict[str, Any], notify: Notify) -> None:
    response = notify(channel["example"], args={"dry_run": "true"}).json
    assert (response["status"], response["warnings"]) == ("success", []), response["deliveries"]


@pytest.mark.parametrize(
    ("name", "words"), [("slakc", "did you mean slack?"), ("carrier pigeon", "the channels are slack, discord, ")]
)
def test_an_unknown_channel_is_an_error_with_a_suggestion(name: str, words: str) -> None:
    process = run("channels", name)
    assert (process.status, process.out) == (1, "")
    assert process.err.startswith(f"{name}: there is no such channel; {words}")

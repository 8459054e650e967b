"""docs/channels.md: every example is sent, and every row of its tables of errors comes true."""

import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Notify
from tests.harness import Standin

DOCUMENT = (Path(__file__).parent.parent / "docs" / "channels.md").read_text(encoding="utf-8")
SENDERS = ["slack", "discord", "http", "sms", "whatsapp"]


def section(sender: str) -> str:
    _, _, rest = DOCUMENT.partition(f"\n## {sender}\n")
    return rest.partition("\n## ")[0]


def examples(text: str) -> list[str]:
    return re.findall(r"```json\n(.*?)```", text, re.DOTALL)


def at_the_standin(example: str, standin: Standin) -> Any:
    for host in ("hooks.slack.com", "discord.com", "example.com"):
        example = example.replace(f'"https://{host}/', f'"{standin.url}/')
    # The stand-in's generic webhook.
    return json.loads(example.replace("/hooks/alerts", "/hook/alerts"))


def send(notify: Notify, standin: Standin, example: str, arguments: Mapping[str, str] | None = None) -> Any:
    return notify(at_the_standin(example, standin), args={"twilio_base_url": standin.url, **(arguments or {})}).json


@pytest.mark.parametrize("example", examples(DOCUMENT), ids=range(len(examples(DOCUMENT))))
def test_an_example_is_delivered_without_a_warning(example: str, notify: Notify, standin: Standin) -> None:
    answer = send(notify, standin, example)
    assert (answer["status"], answer["warnings"]) == ("success", [])
    assert len(standin.messages()) == len(answer["deliveries"])


def test_every_channel_has_a_plain_and_a_rich_example() -> None:
    for sender in SENDERS:
        requests = [json.loads(example) for example in examples(section(sender))]
        assert [("title" in request, list(request["senders_config"])) for request in requests] == [
            (False, [sender]),
            (True, [sender]),
        ]


# Errors


@dataclass
class Row:
    """A row of a table of errors: a reply that some channel gives, and the reason that comes of it."""

    sender: str
    status: int
    body: str | None
    reason: str

    def __str__(self) -> str:
        return f"{self.sender}-{self.status}-{self.reason}"


def rows() -> list[Row]:
    found = []
    for sender in SENDERS:
        for reply, reasons in re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$", section(sender), re.MULTILINE):
            found += rows_of(sender, reply, re.findall(r"`(\w+)`", reasons))
    return found


def rows_of(sender: str, reply: str, reasons: list[str]) -> list[Row]:
    statuses = [int(status) for status in re.findall(r"\b([345]\d\d|[345]xx)\b(?!\d)", reply.replace("xx", "01"))]
    codes = [int(code) for code in re.findall(r"\b(\d{5,6})\b", reply)]
    words = re.findall(r"`(\w+)`", reply)
    if codes:
        bodies = [json.dumps({"code": code, "message": "words of the provider"}) for code in codes]
        return [Row(sender, status, body, reasons[0]) for status in statuses or [400] for body in bodies]
    body = words[0] if words else None
    # Several statuses share a reason, or have one each.
    pairs = zip(statuses, reasons if len(reasons) == len(statuses) else reasons * len(statuses), strict=False)
    return [Row(sender, status, body, reason) for status, reason in pairs]


def test_the_tables_of_errors_are_read() -> None:
    assert {row.sender for row in rows()} == set(SENDERS)
    assert len(rows()) >= 25


@pytest.mark.parametrize("row", rows(), ids=str)
def test_a_reply_gives_the_reason_that_the_table_says(row: Row, notify: Notify, standin: Standin) -> None:
    reply: dict[str, object] = {"status": row.status}
    if row.body is not None:
        reply["body"] = row.body
    standin.rule("*", reply=reply)
    (delivery,) = send(notify, standin, of_its_own(examples(section(row.sender))[0]), ENDS_AT_ONCE)["deliveries"]
    assert (delivery["outcome"] in ("failed", "ambiguous"), delivery["reason"]) == (True, row.reason)
    assert delivery["http_status"] == row.status


ENDS_AT_ONCE = {"delivery_timeout": "1s", "initial_backoff": "2s"}
"""The next attempt would come too late: nothing of one test is left when the next begins."""

NUMBERS = itertools.count(1)


def of_its_own(example: str) -> str:
    """The example with a destination that no other test has: some refuse or pause for minutes."""
    number = next(NUMBERS)
    for shared in ("/XXXXXXXX", "/hooks/alerts", '"+15558675310'):
        example = example.replace(shared, f"{shared}{number}")
    return example

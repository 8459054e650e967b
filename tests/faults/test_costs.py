"""The cost of one request: large and nested bodies get a fast response with bounded memory."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faults.process_usage import peak_bytes, processor_seconds
from tests.harness import ProcessEngine, Response, Standin, Trigger, Triggers, eventually
from tests.rows.table import Table

MOST_BYTES = 1_048_576
GROWTH = 200 * 1024 * 1024
"""The maximum peak growth of the engine's process in bytes: 64 MiB of requests, and the engine's copies."""
LATEST = 3.0
"""Processor seconds for an answer of a wheel without optimisation."""


def each(count: int, one: str) -> str:
    """``count`` members of an object or a list, with ``#`` replaced by the number of the member."""
    return ",".join(one.replace("#", str(n)) for n in range(count))


def body(members: str, senders: str = "") -> bytes:
    """A request's body."""
    senders = f',"senders_config":{{{senders}}}' if senders else ""
    return f'{{"notification_text":"x",{members}{senders}}}'.encode()


def plain(senders: str) -> bytes:
    """A body that is nothing but long in its senders."""
    return body('"title":"t"', senders)


def mails(count: int, more: str = "") -> str:
    """So many recipients."""
    to = each(count, '"somebody.#@example.com"')
    return f'"email":{{"email_host":"h","email_from":"a@example.com","email_to":[{to}]{more}}}'


def nested() -> bytes:
    """Sixty nested objects with long keys, and 75,000 equal keys in the innermost."""
    opened = ('{"' + "k" * 8_000 + '":') * 60
    return body(f'"data":{opened}{{{each(75_000, QUOTED_1)}}}{"}" * 60}', HOOK)


def same_labels() -> bytes:
    """Fields with names that are equal for Alertmanager."""
    names = (format(n, "016b").translate({ord("0"): "-", ord("1"): "."}) for n in range(20_900))
    fields = json.dumps(dict.fromkeys(names, "v"))
    return body(f'"fields":{fields}', '"alertmanager":{"alertmanager_url":"http://127.0.0.1:9"}')


def discords(count: int) -> str:
    """So many webhooks of Discord."""
    return f'"discord":[{each(count, DISCORD)}]'


def long_text(sender: str, members: str) -> bytes:
    """A text that is split for each of four hundred destinations."""
    text = "wörld *bold* <b>x</b> " * 3_000
    return f'{{"notification_text":"{text}","senders_config":{{"{sender}":[{each(400, members)}]}}}}'.encode()


DISCORD = '{"discord_webhook_url":"http://127.0.0.1:9/api/webhooks/#/x"}'
SLACK = '{"slack_webhook_url":"http://127.0.0.1:9/#"}'
TEAMS = '{"teams_webhook_url":"http://127.0.0.1:9/#"}'
SMS = '{"twilio_sid":"AC1","twilio_token":"t","twilio_from_number":"+15005550006","twilio_to_number":"+1500555#"}'
QUOTED_1, S, Q, TEAM = '"a":1', '"#":1', '"#"', '"team-#"'
HOOK = '"http":{"http_webhook_url":"http://127.0.0.1:9/hook"}'
LONG_KEY = f'"dedup_key":"{"k" * 400_000}"'

BODIES: dict[str, tuple[Callable[[], bytes], int, str | None]] = {
    "duplicate keys below long ones": (nested, 200, None),
    "duplicate keys": (lambda: body(each(150_000, QUOTED_1), HOOK), 200, None),
    "a long key and too many recipients": (lambda: body(LONG_KEY, mails(20_000)), 400, "too_many_deliveries"),
    "a long key and many recipients": (lambda: body(LONG_KEY, mails(10_000)), 200, None),
    "too many entries of a sender": (lambda: plain(f'"slack":[{each(500_000, "1")}]'), 400, "too_many_deliveries"),
    "many entries of a sender": (lambda: plain(f'"slack":[{each(10_000, "1")}]'), 200, None),
    "too many receivers": (lambda: body(f'"receivers":[{each(110_000, Q)}]'), 400, "too_many_deliveries"),
    "many unknown receivers": (lambda: body(f'"receivers":[{each(10_000, TEAM)}]'), 200, None),
    "too many unknown senders": (lambda: plain(each(90_000, S)), 400, "too_many_deliveries"),
    "many unknown senders": (lambda: plain(each(10_000, S)), 200, None),
    "fields whose labels become the same": (same_labels, 200, None),
    "unknown fields beside recipients": (lambda: plain(mails(9_000, "," + each(60_000, S))), 200, None),
    "a long title to many": (lambda: body(f'"title":"{"t" * 60_000}"', discords(9_000)), 400, "too_large"),
    "a long text to many of Slack": (lambda: long_text("slack", SLACK), 200, None),
    "a long text to many of Discord": (lambda: long_text("discord", DISCORD), 200, None),
    "a long text to many of Teams": (lambda: long_text("teams", TEAMS), 200, None),
    "a long text to many numbers": (lambda: long_text("sms", SMS), 200, None),
    "many fields": (lambda: body(f'"fields":{{{each(90_000, S)}}}', discords(1)), 200, None),
}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[ProcessEngine]:
    """An engine in a separate process, to measure its memory."""
    with ProcessEngine(tmp_path) as engine:
        yield engine


@pytest.mark.parametrize(("make", "status", "code"), BODIES.values(), ids=BODIES.keys())
def test_a_hostile_body_is_answered_quickly_with_little_memory(
    engine: ProcessEngine, make: Callable[[], bytes], status: int, code: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "notifier.toml"
    # Names among which a wrong one is looked for, and expressions that look at the fields.
    receivers = "".join(
        f'[receivers.oncall-{n}]\nhttp.webhook_url = "http://127.0.0.1:9/{n}"\n'
        f'[[routes]]\nmatch = {{ fields = {{ "1" = "~^{n}$" }} }}\nreceivers = ["oncall-{n}"]\n'
        for n in range(500)
    )
    file.write_text(receivers)
    sent = make()
    assert len(sent) <= MOST_BYTES
    with ExitStack() as stack:
        arguments = {"config_file_path": str(file), "response_timeout": "0s", "dry_run": "true"}
        trigger = Triggers(engine, stack).create(arguments)
        trigger.notify(body('"title":"warm"', HOOK))
        before, used = peak_bytes(engine.pid), processor_seconds(engine.pid)
        response = trigger.notify(sent)
        used = processor_seconds(engine.pid) - used
        assert response.status == status, response.text[:500]
        assert isinstance(response.json["results"], dict)
        assert (response.json.get("error") or {}).get("code") == code
        assert len(response.json["warnings"]) <= 101
        assert peak_bytes(engine.pid) - before < GROWTH
        lines = trigger.log_lines()
        assert len(lines) <= 2 + 101 + 101
        assert used < LATEST


def fields_of_the_request(n: int, url: str) -> Any:
    """Small fields, which the channel cuts and which are kept for the alert's next message."""
    fields = {f"field {f}": f"{n}" for f in range(40_000)}
    return {"dedup_key": f"k{n}", "fields": fields, "senders_config": {"discord": {"discord_webhook_url": url}}}


def title(n: int, url: str) -> Any:
    """A title that the channel cuts."""
    text = f"{n}" + "t" * 1_000_000
    return {"dedup_key": f"k{n}", "title": text, "senders_config": {"discord": {"discord_webhook_url": url}}}


def header(n: int, url: str) -> Any:
    """A header that no server takes."""
    headers = b64encode(json.dumps({"x-long": f"{n}" + "h" * 700_000}).encode()).decode()
    return {"senders_config": {"http": {"http_webhook_url": url, "http_headers": headers}}}


def text(n: int, url: str, length: int = 999_998) -> Any:
    """A text that goes as it is."""
    return {"notification_text": f"{n:02}" + "x" * length, "senders_config": {"http": {"http_webhook_url": url}}}


KINDS = (fields_of_the_request, title, header, text)


def test_everything_that_waits_is_counted_and_nothing_is_accepted_beyond_the_limit(
    engine: ProcessEngine, standin: Standin
) -> None:
    url = standin.fault("silent")["url"]
    with ExitStack() as stack:
        trigger = Triggers(engine, stack).create({"response_timeout": "0s", "max_attempts": "1"})
        trigger.notify({"notification_text": "warm", "senders_config": {"http": {"http_webhook_url": url}}})
        before = peak_bytes(engine.pid)

        def send(kind: Callable[[int, str], Any], n: int) -> Response:
            return trigger.notify({"notification_text": "x"} | kind(n, url))

        until_refused(lambda n: send(KINDS[n % len(KINDS)], n))
        assert peak_bytes(engine.pid) - before < GROWTH
        until_refused(lambda n: send(partial(text, length=100_000), n))
        # There is room for a tenth of each kind at most.
        for kind in KINDS:
            refused = send(kind, 99)
            assert (refused.status, refused.json["error"]["code"]) == (503, "overloaded"), kind
            assert "too many bytes" in refused.json["message"]
            assert (refused.json["results"], refused.header("retry-after")) == ({}, "2")
        small = {
            "notification_text": "small",
            "senders_config": {"http": {"http_webhook_url": f"{standin.url}/hook/s"}},
        }
        assert trigger.notify(small).status == 200, "what finds room is taken"
        standin.clear()
        eventually(lambda: send(text, 0).status == 200, "room again", timeout=30)


def until_refused(send: Callable[[int], Response]) -> None:
    """Send requests until one is refused; fewer than the bound's bytes are enough."""
    for n in range(80):
        if send(n).status != 200:
            return
    raise AssertionError("all are taken")


def test_deliveries_that_were_never_tried_leave_room_for_log_lines_and_rows_of_others(table: Table) -> None:
    table.engine.create_trigger(
        "r", spec="request:r", arguments={"config_file_path": table.file, "history_table": "notifications"}
    )
    trigger = Trigger(table.engine, "r")
    working_destination = trigger.notify({"notification_text": "one", "receivers": ["oncall"]})
    assert working_destination.json["status"] == "success"
    response = trigger.notify({"notification_text": "many", "senders_config": {"slack": [1] * 9_000}})
    assert (response.status, len(response.json["deliveries"])) == (200, 9_000)
    lines = [text for _, text in trigger.log_lines() if response.json["task_id"] in text]
    assert len(lines) == 1 + 100 + 1
    assert lines[-1].endswith("and 8900 more deliveries were not tried; the answer has an entry for each")
    assert any(working_destination.json["task_id"] in text for _, text in trigger.log_lines())

    def status() -> Any:
        return trigger.notify(b"", query={"view": "status"}, method="GET").json

    # A call writes rows for a few milliseconds.
    eventually(lambda: status() and len(table.history()) >= 1 + 100, "all rows are written")
    assert len(table.history()) == 1 + 100
    assert sum(response.json["task_id"] in error["line"] for error in status()["last_errors"]) == 5

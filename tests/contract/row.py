"""A row of the tables: one request, and everything that must come of it.

Addresses are written ``http://standin.test/…`` everywhere: the stand-in's address takes that place when the row runs.
"""

import itertools
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.contract.wire import Sent, assert_arrived
from tests.harness import Headers, Response, Standin, Trigger, Triggers

HOST = "standin.test"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MILLISECONDS = re.compile(r"\b\d+ ms\b")
ENGINE_LINE = re.compile(r"starting execution of request plugin\.|finished execution in [\w ]+")

MEMBERS = ["status", "message", "task_id", "results", "deliveries", "warnings"]
ERROR_MEMBERS = [*MEMBERS, "error"]
ENTRY_MEMBERS = ["index", "sender", "receiver", "destination", "outcome", "reason", "detail", "hint"]
ENTRY_MEMBERS += ["http_status", "attempts", "parts", "parts_delivered", "elapsed_ms", "message_id"]
OPTIONAL_ENTRY_MEMBERS = ["path", "segments", "next_attempt_in_ms", "preview", "rule"]

ARGUMENTS: Mapping[str, str] = {"twilio_base_url": f"http://{HOST}"}
"""Of every row that gives none of its own; without it a row could reach Twilio."""


# Bodies


@dataclass(frozen=True)
class Encoded:
    """A body in another encoding, with or without a byte order mark."""

    value: object
    encoding: str
    mark: bytes = b""


@dataclass(frozen=True)
class Sized:
    """A body whose ``notification_text`` is filled up until the whole has so many bytes."""

    value: dict[str, Any]
    size: int


def body_bytes(body: object, address: str) -> bytes:
    """What is posted. bytes and str go as they are, anything else as JSON; ``standin.test`` becomes ``address``."""
    if isinstance(body, bytes):
        return body.replace(HOST.encode(), address.encode())
    if isinstance(body, Encoded):
        text = body.value if isinstance(body.value, str) else json.dumps(body.value, ensure_ascii=False)
        return body.mark + text.replace(HOST, address).encode(body.encoding, "surrogatepass")
    if isinstance(body, Sized):
        rest = body.size - len(body_bytes(body.value, address))
        filled = body.value | {"notification_text": body.value["notification_text"] + "x" * rest}
        return body_bytes(filled, address)
    text = body if isinstance(body, str) else json.dumps(body)
    return text.replace(HOST, address).encode()


# What must come of it


@dataclass(frozen=True)
class Entry:
    """An expected entry of ``deliveries``; what is None is expected to be null."""

    sender: str
    outcome: str = "delivered"
    reason: str | None = None
    detail: str | None = None
    """As a whole."""
    path: str | None = None
    http_status: int | None = None
    attempts: int = 1
    parts: int = 1
    parts_delivered: int = 1
    receiver: str | None = None
    destination: str | None = None
    """A regular expression, where the sender's usual one does not fit."""
    segments: int | None = None
    preview: tuple[str, str] | None = None
    """Content type and body."""
    rule: str | None = None
    """What suppressed it."""


DESTINATIONS = {
    "slack": r"slack 127\.0\.0\.1:\d+#[0-9a-f]{4}",
    "discord": r"discord 127\.0\.0\.1:\d+#[0-9a-f]{4}",
    "http": r"http 127\.0\.0\.1:\d+#[0-9a-f]{4}",
    "sms": r"sms \+1\*\*\*10",
    "whatsapp": r"whatsapp \+1\*\*\*10",
}
TWILIO = ("sms", "whatsapp")


def delivered(sender: str, **members: Any) -> Entry:
    """A delivery that arrived as one message, at the first attempt."""
    twilio = sender in TWILIO
    return replace(Entry(sender, http_status=201 if twilio else 200, segments=1 if twilio else None), **members)


def not_tried(sender: str, reason: str, detail: str | None, path: str | None, **members: Any) -> Entry:
    """A delivery that failed before anything was sent."""
    entry = Entry(sender, "failed", reason, detail, path, attempts=0, parts=0, parts_delivered=0)
    return replace(entry, **members)


def suppressed(sender: str, rule: str, **members: Any) -> Entry:
    """A delivery that a rule keeps back."""
    segments = 1 if sender in TWILIO else None
    return replace(Entry(sender, "suppressed", attempts=0, parts_delivered=0, segments=segments, rule=rule), **members)


def ignored(sender: str) -> Entry:
    """What a request brings where the operator lets it bring nothing."""
    return Entry(sender, "ignored", attempts=0, parts=0, parts_delivered=0)


def previewed(sender: str, content_type: str, body: str, **members: Any) -> Entry:
    """A delivery of a dry run."""
    segments = 1 if sender in TWILIO else None
    entry = Entry(sender, "dry_run", attempts=0, parts_delivered=0, segments=segments, preview=(content_type, body))
    return replace(entry, **members)


@dataclass(frozen=True)
class Refusal:
    """An expected error answer."""

    code: str
    message: str
    """As a whole."""
    path: str | None = None


@dataclass(frozen=True)
class Row:
    """A request and what comes of it."""

    name: str
    body: object
    results: Mapping[str, object] = field(default_factory=dict)
    """In the expected order."""
    status: str = "success"
    http: int = 200
    deliveries: Sequence[Entry] = ()
    sent: Sequence[Sent] = ()
    """What arrives, in any order, and nothing else."""
    warnings: Sequence[str] = ()
    refusal: Refusal | None = None
    args: Mapping[str, str] | None = None
    """Trigger arguments besides :data:`ARGUMENTS`; an empty mapping: none at all."""
    config: str | None = None
    """What stands in the file that ``config_file_path`` names."""
    headers: Headers = ()
    query: Mapping[str, str] = field(default_factory=dict)
    rule: Mapping[str, Any] | None = None
    """An order for the stand-in."""

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def arrives(name: str, body: object, *sent: Sent, **members: Any) -> Row:
    """A row whose senders all deliver, each one message."""
    usual: dict[str, Any] = {
        "results": {message.sender: True for message in sent},
        "deliveries": [delivered(message.sender) for message in sent],
        "sent": sent,
    }
    return Row(name, body, **(usual | members))


def reaches(name: str, body: object, config: str, *reached: tuple[str, Sent], **members: Any) -> Row:
    """A row of which each receiver's destinations get one message, in this order."""
    usual: dict[str, Any] = {
        "config": config,
        "results": {receiver: True for receiver, _ in reached},
        "deliveries": [delivered(message.sender, receiver=receiver) for receiver, message in reached],
        "sent": [message for _, message in reached],
    }
    return Row(name, body, **(usual | members))


def fails(name: str, body: object, *entries: Entry, **members: Any) -> Row:
    """A row of which nothing is delivered."""
    usual: dict[str, Any] = {
        "results": {entry.sender: "Invalid sender" if entry.reason == "unknown_sender" else False for entry in entries},
        "status": "failed",
        "deliveries": entries,
    }
    return Row(name, body, **(usual | members))


def refused(name: str, body: object, code: str, message: str, path: str | None = None, **members: Any) -> Row:
    """A row that is not taken at all."""
    usual: dict[str, Any] = {"status": "failed", "http": 400, "refusal": Refusal(code, message, path)}
    return Row(name, body, **(usual | members))


# The check


def run(row: Row, triggers: Triggers, standin: Standin) -> None:
    """Post the row's request to a trigger of its own and compare all that can be seen."""
    address = f"127.0.0.1:{standin.port}"
    if row.rule:
        standin.rule(**row.rule)
    arguments = dict(ARGUMENTS) if row.args is None else {**ARGUMENTS, **row.args} if row.args else {}
    if row.config is not None:
        file = write_config(triggers.engine.plugin_dir, row.config.replace(HOST, address))
        arguments["config_file_path"] = str(file)
    trigger = triggers.create({name: value.replace(HOST, address) for name, value in arguments.items()})
    answer = trigger.notify(body_bytes(row.body, address), headers=row.headers, query=row.query)
    assert answer.status == row.http, answer.text
    assert answer.header("content-type") == "application/json"
    if row.refusal:
        check_refusal(row.refusal, answer)
        lines = [("ERROR", f"answered {row.http}: {row.refusal.message} {answer.json['error']['hint']}")]
        assert_log(trigger, "-", lines, [])
    else:
        check_answer(row, answer)
        warnings = [("WARN", warning) for warning in row.warnings]
        ends = [line for entry in answer.json["deliveries"] for line in end_of(entry)]
        assert_log(trigger, answer.json["task_id"], opening(len(row.deliveries), warnings + ends) + warnings, ends)
    assert_arrived(standin, row.sent)


_files = itertools.count(1)


def write_config(directory: Path, text: str) -> Path:
    """A configuration file of its own, as if it had been there for a while."""
    file = directory / f"config-{next(_files)}.toml"
    file.write_text(text, encoding="utf-8")
    return settled(file)


def settled(file: Path) -> Path:
    """The file, as if nobody had written to it just now: an edit that has not rested for a second is not taken up."""
    long_ago = file.stat().st_mtime - 10
    os.utime(file, (long_ago, long_ago))
    return file


def check_refusal(refusal: Refusal, answer: Response) -> None:
    """The shape and the words of an error."""
    got = answer.json
    assert list(got) == ERROR_MEMBERS
    assert list(got["error"]) == ["code", "path", "hint"]
    assert got["message"] == refusal.message
    assert (got["error"]["code"], got["error"]["path"]) == (refusal.code, refusal.path)
    assert got["error"]["hint"].endswith(".")
    assert (got["status"], got["results"], got["deliveries"]) == ("failed", {}, [])


def check_answer(row: Row, answer: Response) -> None:
    """Every member of the answer to a request that was taken."""
    got = answer.json
    assert list(got) == MEMBERS
    assert UUID.fullmatch(got["task_id"])
    assert got["message"] == "Request processed"
    assert list(got["warnings"]) == list(row.warnings)
    assert list(got["results"].items()) == list(row.results.items())
    assert got["status"] == row.status
    assert len(got["deliveries"]) == len(row.deliveries)
    for index, (entry, expected) in enumerate(zip(got["deliveries"], row.deliveries, strict=True)):
        assert entry["index"] == index
        check_entry(entry, expected)


def check_entry(entry: dict[str, Any], expected: Entry) -> None:
    """Members, their order, their values."""
    members = list(entry)
    assert members[: len(ENTRY_MEMBERS)] == ENTRY_MEMBERS
    optional = members[len(ENTRY_MEMBERS) :]
    assert optional == [name for name in OPTIONAL_ENTRY_MEMBERS if name in optional]
    compared = ("sender", "outcome", "reason", "path", "http_status", "attempts", "parts", "parts_delivered")
    for name in (*compared, "receiver", "segments", "rule"):
        assert entry.get(name) == getattr(expected, name), (name, entry)
    if expected.detail is not None:
        assert entry["detail"] == expected.detail
    assert isinstance(entry["elapsed_ms"], int)
    failed = expected.outcome == "failed"
    assert (entry["reason"] is None, entry["detail"] is None, entry["hint"] is None) == (not failed,) * 3
    untried = expected.outcome in ("failed", "ignored") and expected.attempts == 0
    if untried and expected.destination is None:
        assert entry["destination"] is None
    else:
        assert re.fullmatch(expected.destination or DESTINATIONS[expected.sender], entry["destination"])
    if expected.preview is None:
        assert "preview" not in entry
    else:
        assert list(entry["preview"].items()) == list(zip(("content_type", "body"), expected.preview, strict=True))


def opening(deliveries: int, others: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The line that a request begins with. One with a single delivery needs none beside its other lines."""
    if deliveries == 1 and others:
        return []
    return [("INFO", f"accepted: {deliveries} {'delivery' if deliveries == 1 else 'deliveries'}")]


def end_of(entry: dict[str, Any]) -> list[tuple[str, str]]:
    """The line about a delivery's end, as its entry in the answer has it."""
    status = f"HTTP {entry['http_status']}, " if entry["http_status"] else ""
    if entry["outcome"] == "delivered":
        return [("INFO", f"{entry['destination']}: delivered in N ms ({status}attempt {entry['attempts']})")]
    if entry["outcome"] == "suppressed":
        return [("INFO", f"{entry['destination']}: suppressed by {entry['rule']}")]
    if entry["outcome"] != "failed":
        return []
    why = f"{entry['reason']}: {entry['detail']}".removesuffix(".")
    if entry["attempts"]:
        ended = f"failed after N ms ({status}attempts {entry['attempts']}), {why}. {entry['hint']}"
        return [("ERROR", f"{entry['destination']}: {ended}")]
    return [("ERROR", f"{entry['sender']}: failed, {why} ({entry['path']}). {entry['hint']}")]


def assert_log(trigger: Trigger, task: str, head: list[tuple[str, str]], ends: list[tuple[str, str]]) -> None:
    """The trigger's log holds these lines and nothing else but the engine's own two; deliveries end in any order."""
    rows = trigger.engine.logs(trigger.name)
    got = [(row["log_level"], row["log_text"]) for row in rows if not ENGINE_LINE.match(row["log_text"])]
    prefix = f"notifier [{task}] "
    assert all(text.isascii() and text.startswith(prefix) and "\n" not in text for _, text in got), got
    shown = [(level, MILLISECONDS.sub("N ms", text.removeprefix(prefix))) for level, text in got]
    assert shown[: len(head)] == [(level, in_ascii(text)) for level, text in head]
    assert sorted(shown[len(head) :]) == sorted((level, in_ascii(text)) for level, text in ends)


def in_ascii(text: str) -> str:
    """What a log line shows of a text; the same blanks stand for all that is no number of milliseconds."""
    spaced = " ".join(MILLISECONDS.sub("N ms", text).split())
    return "".join(c if c.isascii() else "..." if c == "…" else f"\\u{{{ord(c):x}}}" for c in spaced)

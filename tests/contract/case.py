"""Cases of the contract tables: a request, and the expected response, provider requests and log lines.

A case writes the stand-in's address as ``http://standin.test/…``. :func:`run_case` replaces it by the real address.
"""

import itertools
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.contract.provider_requests import ProviderRequest, assert_arrived
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
"""The trigger arguments of every case. Without them a case could call Twilio."""


# Bodies


@dataclass(frozen=True)
class Encoded:
    """A body in another encoding than UTF-8, with an optional byte order mark."""

    value: object
    encoding: str
    mark: bytes = b""


@dataclass(frozen=True)
class Sized:
    """A body with a padded ``notification_text``, so that the body has ``size`` bytes."""

    value: dict[str, Any]
    size: int


def body_bytes(body: object, address: str) -> bytes:
    """The request body: bytes and str unchanged, other types as JSON, with ``standin.test`` replaced by ``address``."""
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


# Expected results


@dataclass(frozen=True)
class ExpectedDelivery:
    """An expected entry of ``deliveries``. None stands for null."""

    sender: str
    outcome: str = "delivered"
    reason: str | None = None
    detail: str | None = None
    """The complete text."""
    path: str | None = None
    http_status: int | None = None
    attempts: int = 1
    parts: int = 1
    parts_delivered: int = 1
    receiver: str | None = None
    destination: str | None = None
    """A regular expression; None: the sender's one in :data:`DESTINATIONS`."""
    segments: int | None = None
    preview: tuple[str, str] | None = None
    """Content type and body."""
    rule: str | None = None
    """The rule that suppressed the delivery."""


DESTINATIONS = {
    "slack": r"slack 127\.0\.0\.1:\d+#[0-9a-f]{4}",
    "discord": r"discord 127\.0\.0\.1:\d+#[0-9a-f]{4}",
    "http": r"http 127\.0\.0\.1:\d+#[0-9a-f]{4}",
    "sms": r"sms \+1\*\*\*10",
    "whatsapp": r"whatsapp \+1\*\*\*10",
}
TWILIO = ("sms", "whatsapp")


def delivered(sender: str, **members: Any) -> ExpectedDelivery:
    """A delivery of one message at the first attempt."""
    twilio = sender in TWILIO
    return replace(
        ExpectedDelivery(sender, http_status=201 if twilio else 200, segments=1 if twilio else None), **members
    )


def not_attempted(sender: str, reason: str, detail: str | None, path: str | None, **members: Any) -> ExpectedDelivery:
    """A delivery that failed before the first attempt."""
    entry = ExpectedDelivery(sender, "failed", reason, detail, path, attempts=0, parts=0, parts_delivered=0)
    return replace(entry, **members)


def suppressed(sender: str, rule: str, **members: Any) -> ExpectedDelivery:
    """A delivery that a rule suppresses."""
    segments = 1 if sender in TWILIO else None
    return replace(
        ExpectedDelivery(sender, "suppressed", attempts=0, parts_delivered=0, segments=segments, rule=rule), **members
    )


def ignored(sender: str) -> ExpectedDelivery:
    """A destination of a request that may not name destinations."""
    return ExpectedDelivery(sender, "ignored", attempts=0, parts=0, parts_delivered=0)


def previewed(sender: str, content_type: str, body: str, **members: Any) -> ExpectedDelivery:
    """A delivery of a dry run."""
    segments = 1 if sender in TWILIO else None
    entry = ExpectedDelivery(
        sender, "dry_run", attempts=0, parts_delivered=0, segments=segments, preview=(content_type, body)
    )
    return replace(entry, **members)


@dataclass(frozen=True)
class ExpectedError:
    """An expected error response."""

    code: str
    message: str
    """The complete text."""
    path: str | None = None


@dataclass(frozen=True)
class Case:
    """A request and its expected results."""

    name: str
    body: object
    results: Mapping[str, object] = field(default_factory=dict)
    """In the expected order."""
    status: str = "success"
    http: int = 200
    deliveries: Sequence[ExpectedDelivery] = ()
    sent: Sequence[ProviderRequest] = ()
    """All expected requests to providers, in any order."""
    warnings: Sequence[str] = ()
    expected_error: ExpectedError | None = None
    args: Mapping[str, str] | None = None
    """Trigger arguments in addition to :data:`ARGUMENTS`; an empty mapping: no arguments at all."""
    config: str | None = None
    """The content of the file that ``config_file_path`` names."""
    headers: Headers = ()
    query: Mapping[str, str] = field(default_factory=dict)
    rule: Mapping[str, Any] | None = None
    """A rule for the stand-in: the parameters of :meth:`Standin.rule`."""

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def delivers(name: str, body: object, *sent: ProviderRequest, **members: Any) -> Case:
    """A case whose senders each deliver one message."""
    usual: dict[str, Any] = {
        "results": {message.sender: True for message in sent},
        "deliveries": [delivered(message.sender) for message in sent],
        "sent": sent,
    }
    return Case(name, body, **(usual | members))


def delivers_to(name: str, body: object, config: str, *reached: tuple[str, ProviderRequest], **members: Any) -> Case:
    """A case whose receivers each get one message, in this order."""
    usual: dict[str, Any] = {
        "config": config,
        "results": {receiver: True for receiver, _ in reached},
        "deliveries": [delivered(message.sender, receiver=receiver) for receiver, message in reached],
        "sent": [message for _, message in reached],
    }
    return Case(name, body, **(usual | members))


def fails(name: str, body: object, *entries: ExpectedDelivery, **members: Any) -> Case:
    """A case without any successful delivery."""
    usual: dict[str, Any] = {
        "results": {entry.sender: "Invalid sender" if entry.reason == "unknown_sender" else False for entry in entries},
        "status": "failed",
        "deliveries": entries,
    }
    return Case(name, body, **(usual | members))


def rejected(name: str, body: object, code: str, message: str, path: str | None = None, **members: Any) -> Case:
    """A case whose request is rejected."""
    usual: dict[str, Any] = {"status": "failed", "http": 400, "expected_error": ExpectedError(code, message, path)}
    return Case(name, body, **(usual | members))


# The check


def run_case(case: Case, triggers: Triggers, standin: Standin) -> None:
    """Send the case's request to a new trigger, and compare the response, the log and the providers' requests."""
    address = f"127.0.0.1:{standin.port}"
    if case.rule:
        standin.rule(**case.rule)
    arguments = dict(ARGUMENTS) if case.args is None else {**ARGUMENTS, **case.args} if case.args else {}
    if case.config is not None:
        file = write_config(triggers.engine.plugin_dir, case.config.replace(HOST, address))
        arguments["config_file_path"] = str(file)
    trigger = triggers.create({name: value.replace(HOST, address) for name, value in arguments.items()})
    response = trigger.notify(body_bytes(case.body, address), headers=case.headers, query=case.query)
    assert response.status == case.http, response.text
    assert response.header("content-type") == "application/json"
    if case.expected_error:
        check_error(case.expected_error, response)
        lines = [("ERROR", f"answered {case.http}: {case.expected_error.message} {response.json['error']['hint']}")]
        assert_log(trigger, "-", lines, [])
    else:
        check_answer(case, response)
        warnings = [("WARN", warning) for warning in case.warnings]
        ends = [line for entry in response.json["deliveries"] for line in end_lines(entry)]
        assert_log(
            trigger, response.json["task_id"], accepted_lines(len(case.deliveries), warnings + ends) + warnings, ends
        )
    assert_arrived(standin, case.sent)


_files = itertools.count(1)


def write_config(directory: Path, text: str) -> Path:
    """Write a new configuration file with an old modification time."""
    file = directory / f"config-{next(_files)}.toml"
    file.write_text(text, encoding="utf-8")
    return backdated(file)


def backdated(file: Path) -> Path:
    """Set the modification time to 10 s ago. The notifier ignores a file that was modified in the last second."""
    long_ago = file.stat().st_mtime - 10
    os.utime(file, (long_ago, long_ago))
    return file


def check_error(expected_error: ExpectedError, response: Response) -> None:
    """Check the members and the texts of an error response."""
    got = response.json
    assert list(got) == ERROR_MEMBERS
    assert list(got["error"]) == ["code", "path", "hint"]
    assert got["message"] == expected_error.message
    assert (got["error"]["code"], got["error"]["path"]) == (expected_error.code, expected_error.path)
    assert got["error"]["hint"].endswith(".")
    assert (got["status"], got["results"], got["deliveries"]) == ("failed", {}, [])


def check_answer(case: Case, response: Response) -> None:
    """Check every member of the response to an accepted request."""
    got = response.json
    assert list(got) == MEMBERS
    assert UUID.fullmatch(got["task_id"])
    assert got["message"] == "Request processed"
    assert list(got["warnings"]) == list(case.warnings)
    assert list(got["results"].items()) == list(case.results.items())
    assert got["status"] == case.status
    assert len(got["deliveries"]) == len(case.deliveries)
    for index, (entry, expected) in enumerate(zip(got["deliveries"], case.deliveries, strict=True)):
        assert entry["index"] == index
        check_entry(entry, expected)


def check_entry(entry: dict[str, Any], expected: ExpectedDelivery) -> None:
    """Check the members of an entry, their order and their values."""
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
    unattempted = expected.outcome in ("failed", "ignored") and expected.attempts == 0
    if unattempted and expected.destination is None:
        assert entry["destination"] is None
    else:
        assert re.fullmatch(expected.destination or DESTINATIONS[expected.sender], entry["destination"])
    if expected.preview is None:
        assert "preview" not in entry
    else:
        assert list(entry["preview"].items()) == list(zip(("content_type", "body"), expected.preview, strict=True))


def accepted_lines(deliveries: int, others: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The log line about an accepted request. A request with one delivery and other lines has none."""
    if deliveries == 1 and others:
        return []
    return [("INFO", f"accepted: {deliveries} {'delivery' if deliveries == 1 else 'deliveries'}")]


def end_lines(entry: dict[str, Any]) -> list[tuple[str, str]]:
    """The log line about the end of a delivery, from its entry in the response."""
    status = f"HTTP {entry['http_status']}, " if entry["http_status"] else ""
    if entry["outcome"] == "delivered":
        return [("INFO", f"{entry['destination']}: delivered in N ms ({status}attempt {entry['attempts']})")]
    if entry["outcome"] == "suppressed":
        return [("INFO", f"{entry['destination']}: suppressed by {entry['rule']}")]
    if entry["outcome"] != "failed":
        return []
    cause = f"{entry['reason']}: {entry['detail']}".removesuffix(".")
    if entry["attempts"]:
        line = f"failed after N ms ({status}attempts {entry['attempts']}), {cause}. {entry['hint']}"
        return [("ERROR", f"{entry['destination']}: {line}")]
    return [("ERROR", f"{entry['sender']}: failed, {cause} ({entry['path']}). {entry['hint']}")]


def assert_log(trigger: Trigger, task: str, head: list[tuple[str, str]], ends: list[tuple[str, str]]) -> None:
    """Check that the log has exactly these lines besides the engine's two; ``ends`` are in any order."""
    rows = trigger.engine.logs(trigger.name)
    got = [(row["log_level"], row["log_text"]) for row in rows if not ENGINE_LINE.match(row["log_text"])]
    prefix = f"notifier [{task}] "
    assert all(text.isascii() and text.startswith(prefix) and "\n" not in text for _, text in got), got
    shown = [(level, MILLISECONDS.sub("N ms", text.removeprefix(prefix))) for level, text in got]
    assert shown[: len(head)] == [(level, as_logged(text)) for level, text in head]
    assert sorted(shown[len(head) :]) == sorted((level, as_logged(text)) for level, text in ends)


def as_logged(text: str) -> str:
    """A text as a log line shows it: escaped to ASCII, white space merged, ``N ms`` for each number of milliseconds."""
    spaced = " ".join(MILLISECONDS.sub("N ms", text).split())
    return "".join(c if c.isascii() else "..." if c == "…" else f"\\u{{{ord(c):x}}}" for c in spaced)

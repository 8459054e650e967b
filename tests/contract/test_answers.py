"""Responses: optional fields, receivers, dry runs, statuses, retries."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.contract.case import (
    Case,
    ExpectedDelivery,
    body_bytes,
    delivered,
    delivers,
    fails,
    not_attempted,
    previewed,
    rejected,
    run_case,
)
from tests.contract.provider_requests import DISCORD, HTTP, SLACK, TWILIO, to_discord, to_http, to_slack, to_twilio
from tests.harness import ProcessEngine, Standin, Triggers

JSON = "application/json"
FORM = b"To=%2B15558675310&From=%2B15017122661&Body=hi"


def hi(senders: Mapping[str, Any] | None = None, /, **fields: Any) -> dict[str, Any]:
    """A request with further fields; to Slack where no sender is given."""
    return {"notification_text": "hi", "senders_config": {"slack": SLACK} if senders is None else senders, **fields}


NO_LINK = "link: must be an http or https URL of at most 2000 bytes; left out"


def left_out(name: str, expected: str, found: str) -> str:
    return f"{name}: must be {expected}, found {found}; left out"


OPTIONAL = [
    *(
        delivers(
            f"{name} that is {found}",
            hi(**{name: value}),
            to_slack("hi"),
            warnings=[left_out(name, expected, found)],
        )
        for name, expected, value, found in [
            ("title", "a string", 5, "a number"),
            ("status", "a string", True, "a boolean"),
            ("fields", "an object", "x", "a string"),
            ("link", "a string", {}, "an object"),
            ("dedup_key", "a string", 5, "a number"),
            ("timestamp", "a string", 1700000000, "a number"),
            ("template", "a string", False, "a boolean"),
            ("data", "an object", [], "an array"),
        ]
    ),
    *(
        delivers(f"{name} that is no {what}", hi(**{name: value}), to_slack("hi"), warnings=[warning])
        for name, what, value, warning in [
            (
                "status",
                "status",
                "over",
                "status: must be one of firing, acknowledged, resolved, found 'over'; left out",
            ),
            ("link", "URL", "wiki/page", NO_LINK),
            ("link", "URL of the web", "file:///etc/passwd", NO_LINK),
            ("link", "short URL", "https://example.com/" + "x" * 2000, NO_LINK),
            (
                "timestamp",
                "time",
                "yesterday",
                "timestamp: must be a time of RFC 3339, such as 2026-01-31T12:00:00Z, found 'yesterday'; left out",
            ),
            (
                "fields",
                "scalar",
                {"host": ["a", "b"]},
                "fields.host: must be a string, a number or a boolean, found an array; left out",
            ),
        ]
    ),
    delivers("a field that is null", hi(fields={"host": None}), to_slack("hi")),
    *(
        delivers(f"{name} that is absent by {word}", hi(**{name: value}), to_slack("hi"))
        for name in ["title", "level", "fields", "link", "dedup_key", "receivers", "idempotency_key", "dry_run", "data"]
        for word, value in [("null", None), ("emptiness", "")]
    ),
    *(
        rejected(
            f"{name} that is {found}",
            hi(**{name: value}),
            "invalid_field",
            f"The field {path or name} must be {expected}, found {found}.",
            path or name,
        )
        for name, value, expected, found, path in [
            ("dry_run", "true", "true or false", "a string", None),
            ("dry_run", 1, "true or false", "a number", None),
            ("dry_run", [], "true or false", "an array", None),
            ("idempotency_key", 5, "a string", "a number", None),
            ("idempotency_key", {}, "a string", "an object", None),
            ("receivers", "oncall", "a list of names", "a string", None),
            ("receivers", {"oncall": True}, "a list of names", "an object", None),
            ("receivers", ["oncall", 5], "a name", "a number", "receivers[1]"),
            ("receivers", [" "], "a name", "a string", "receivers[0]"),
        ]
    ),
    delivers(
        "an unknown field with a suggestion",
        hi(notification_txt="x"),
        to_slack("hi"),
        warnings=["notification_txt: unknown field, ignored; did you mean notification_text?"],
    ),
    delivers("an unknown field without one", hi(zzz=[1]), to_slack("hi"), warnings=["zzz: unknown field, ignored"]),
    delivers(
        "a name of a field with control characters and beyond ASCII",
        hi(**{"ü\x1b[31m\nx" + "y" * 100: 1}),
        to_slack("hi"),
        warnings=["ü[31m x" + "y" * 56 + "…: unknown field, ignored"],
    ),
    delivers("an empty list of receivers", hi(receivers=[]), to_slack("hi")),
    delivers("a key in the header", hi(), to_slack("hi"), headers={"Idempotency-Key": "k1"}),
    delivers(
        "a key in header and field", hi(idempotency_key="k2"), to_slack("hi"), headers={"idempotency-KEY": " k2 "}
    ),
    rejected(
        "another key in the header than in the field",
        hi(idempotency_key="a"),
        "idempotency_conflict",
        "The header Idempotency-Key and the field idempotency_key differ.",
        "idempotency_key",
        headers={"Idempotency-Key": "b"},
    ),
    rejected(
        "a key of 1,025 bytes",
        hi(idempotency_key="k" * 1025),
        "invalid_field",
        "The idempotency key is longer than 1024 bytes.",
        "idempotency_key",
    ),
    delivers(
        "the key of the http message follows from the caller's key",
        hi({"http": HTTP}, idempotency_key="abc"),
        # The first 32 digits of SHA-256 of key, delivery and part.
        to_http("hi", idempotency_key="[0-9a-f]{32}"),
    ),
]


def unknown_receiver(name: str) -> ExpectedDelivery:
    return not_attempted(name, "unknown_receiver", "There is no receiver of this name.", "receivers", receiver=name)


RECEIVERS = [
    Case(
        "only a receiver that there is not",
        {"notification_text": "hi", "receivers": ["oncall"]},
        {"oncall": "Invalid sender"},
        status="failed",
        deliveries=[unknown_receiver("oncall")],
    ),
    Case(
        "unknown receivers, each once, beside a sender",
        hi(receivers=["oncall", "backup", "oncall"]),
        {"slack": True, "oncall": "Invalid sender", "backup": "Invalid sender"},
        status="partial",
        deliveries=[delivered("slack"), unknown_receiver("oncall"), unknown_receiver("backup")],
        sent=[to_slack("hi")],
    ),
    Case(
        "a receiver with the name of a sender: the worse stands",
        hi(receivers=["slack"]),
        {"slack": "Invalid sender"},
        status="partial",
        deliveries=[delivered("slack"), unknown_receiver("slack")],
        sent=[to_slack("hi")],
    ),
]

EVERY_ONE = {"slack": SLACK, "discord": DISCORD, "http": HTTP, "sms": TWILIO, "whatsapp": TWILIO}
MASKED = "To=%2B1***10&From=%2B1***61&Body=hi"
PREVIEWS = [
    previewed("slack", JSON, '{"text":"hi"}'),
    previewed("discord", JSON, '{"content":"hi"}'),
    previewed("http", JSON, '{"message":"hi"}'),
    previewed("sms", "application/x-www-form-urlencoded", MASKED),
    previewed("whatsapp", "application/x-www-form-urlencoded", MASKED.replace("=%2B", "=whatsapp%3A%2B")),
]
DRY = dict.fromkeys(EVERY_ONE, "dry_run")

DRY_RUNS = [
    Case("a dry run of the request", hi(EVERY_ONE, dry_run=True), DRY, deliveries=PREVIEWS),
    Case("a dry run of the trigger", hi(EVERY_ONE), DRY, deliveries=PREVIEWS, args={"dry_run": "Yes"}),
    Case(
        "a request does not undo the trigger's",
        hi(EVERY_ONE, dry_run=False),
        DRY,
        deliveries=PREVIEWS,
        args={"dry_run": "1"},
    ),
    delivers("no dry run", hi(dry_run=False), to_slack("hi"), args={"dry_run": "off"}),
    Case(
        "a dry run with a sender that cannot be used",
        hi({"slack": SLACK, "http": {}, "pager": {}}, dry_run=True),
        {"slack": "dry_run", "http": False, "pager": "Invalid sender"},
        status="partial",
        deliveries=[
            PREVIEWS[0],
            not_attempted("http", "invalid_config", None, "senders_config.http.http_webhook_url"),
            not_attempted("pager", "unknown_sender", None, "senders_config.pager"),
        ],
    ),
    Case(
        "a dry run shows a content type of the caller's",
        hi({"http": HTTP | {"http_headers": "eyJDb250ZW50LVR5cGUiOiAidGV4dC94In0="}}, dry_run=True),
        {"http": "dry_run"},
        deliveries=[previewed("http", "text/x", '{"message":"hi"}')],
    ),
    Case(
        "a dry run of a text in two parts",
        hi({"sms": TWILIO}, dry_run=True) | {"notification_text": "x" * 1601},
        {"sms": "dry_run"},
        deliveries=[
            previewed(
                "sms",
                "application/x-www-form-urlencoded",
                "\n".join(
                    f"To=%2B1***10&From=%2B1***61&Body=%28{part}%2F2%29+{text}"
                    for part, text in [(1, "x" * 1594), (2, "x" * 7)]
                ),
                parts=2,
                segments=12,
            )
        ],
    ),
]


CLOSED_PATH = "/api/webhooks/123456789012345678/closed"
CLOSED = {"discord_webhook_url": f"http://standin.test{CLOSED_PATH}"}
"""A unique webhook, because the notifier pauses a deleted webhook for ten minutes."""


def answered(name: str, sender: str, reply: dict[str, Any], reason: str, detail: str | None, **members: Any) -> Case:
    """A provider's refusal."""
    configuration, path = {
        "slack": (SLACK, "/services/*"),
        "discord": (CLOSED, "/api/*"),
        "http": (HTTP, "/hook/*"),
        "sms": (TWILIO, "/2010-04-01/*"),
    }[sender]
    sent = {
        "slack": to_slack("hi"),
        "discord": to_discord("hi", CLOSED_PATH),
        "http": to_http("hi"),
        "sms": to_twilio(FORM),
    }[sender]
    entry = ExpectedDelivery(sender, "failed", reason, detail, http_status=reply["status"], parts_delivered=0)
    if sender == "sms":
        entry = ExpectedDelivery(**{**entry.__dict__, "segments": 1})
    rule = {"path": path, "reply": reply}
    return fails(name, hi({sender: configuration}), entry, **({"sent": [sent], "rule": rule} | members))


REFUSALS = [
    answered(
        "Slack says no_service",
        "slack",
        {"status": 404, "body": "no_service"},
        "unknown_destination",
        "Slack: no_service",
    ),
    answered(
        "Slack archived",
        "slack",
        {"status": 410, "body": "channel_is_archived"},
        "archived",
        "Slack: channel_is_archived",
    ),
    answered(
        "Discord's webhook is gone",
        "discord",
        {"status": 404, "body": '{"message": "Unknown Webhook", "code": 10015}'},
        "unknown_destination",
        "Discord 10015: Unknown Webhook",
    ),
    answered(
        "http says 400 without words",
        "http",
        {"status": 400, "body": ""},
        "rejected",
        "The provider refused the message.",
    ),
    answered(
        "http says it in several lines",
        "http",
        {"status": 401, "body": "go\r\naway \u0000\u202e now"},
        "unauthorized",
        "the receiver: go away now",
    ),
    answered(
        "http redirects",
        "http",
        {"status": 302, "body": "", "headers": [["location", "http://standin.test/hook/other"]]},
        "redirected",
        "the redirect leads to http://standin.test",
    ),
    answered(
        "Twilio's 21211",
        "sms",
        {"status": 400, "body": '{"code": 21211, "message": "Invalid To"}'},
        "invalid_number",
        "Twilio 21211: Invalid To",
    ),
]

FAILURE_STATUS = [
    answered(
        "failure_status 502 when nothing was delivered",
        "slack",
        {"status": 404, "body": "no_service"},
        "unknown_destination",
        "Slack: no_service",
        http=502,
        args={"failure_status": "502"},
    ),
    fails(
        "failure_status 502 when there is no such sender",
        hi({"pager": {}}),
        not_attempted("pager", "unknown_sender", None, "senders_config.pager"),
        http=502,
        args={"failure_status": "502"},
    ),
    Case(
        "failure_status 502 does not touch partial",
        hi({"slack": SLACK, "pager": {}}),
        {"slack": True, "pager": "Invalid sender"},
        status="partial",
        deliveries=[delivered("slack"), not_attempted("pager", "unknown_sender", None, "senders_config.pager")],
        sent=[to_slack("hi")],
        args={"failure_status": "502"},
    ),
    Case(
        "failure_status 502 does not touch an empty request",
        hi({}),
        warnings=["senders_config names no sender: nothing was sent"],
        args={"failure_status": "502"},
    ),
    rejected(
        "failure_status 502 does not touch 400",
        b"",
        "no_body",
        "No request body provided.",
        args={"failure_status": "502"},
    ),
    rejected(
        "more deliveries than may be in flight",
        hi({"slack": [SLACK, SLACK]}),
        "too_many_deliveries",
        "The request alone has 2 deliveries; at most 1 may be in flight.",
        "senders_config",
        args={"max_in_flight": "1"},
    ),
    rejected(
        "more deliveries that cannot be tried than may be in flight",
        hi({"slack": [1, 2], "pigeon": {}}),
        "too_many_deliveries",
        "The request alone has 3 deliveries; at most 2 may be in flight.",
        "senders_config",
        args={"max_in_flight": "2"},
    ),
    rejected(
        "more deliveries than one request may have",
        hi({"slack": [SLACK] * 10_000, "pigeon": {}}),
        "too_many_deliveries",
        "The request has 10001 deliveries; at most 10000 are taken in one: nothing was sent.",
        "senders_config",
        args={"max_in_flight": "20000"},
    ),
    rejected(
        "a text that is too long for so many destinations",
        {"notification_text": "x" * 500_000, "senders_config": {"discord": [DISCORD] * 135}},
        "too_large",
        "The messages of this request have more than 64 MiB together: nothing was sent.",
        "notification_text",
    ),
]


@pytest.mark.parametrize("case", OPTIONAL + RECEIVERS + DRY_RUNS + REFUSALS + FAILURE_STATUS, ids=str)
def test_a_request_is_answered_as_the_contract_says(case: Case, triggers: Triggers, standin: Standin) -> None:
    run_case(case, triggers, standin)


def test_a_delivery_that_outlasts_the_call_is_pending_and_its_outcome_is_logged(
    triggers: Triggers, standin: Standin
) -> None:
    standin.rule("/hook/*", delay_ms=150)
    trigger = triggers.create({"response_timeout": "20ms"})
    response = trigger.notify(body_bytes(hi({"slack": SLACK, "http": HTTP}), f"127.0.0.1:{standin.port}"))
    assert response.json["results"] == {"slack": True, "http": "pending"}
    assert (response.status, response.json["status"]) == (200, "pending")
    assert [(e["outcome"], e["reason"], e["attempts"]) for e in response.json["deliveries"]] == [
        ("delivered", None, 1),
        ("pending", None, 1),
    ]
    line = trigger.wait_for_log(f"{response.json['deliveries'][1]['destination']}: delivered in ")
    assert line.startswith(f"notifier [{response.json['task_id']}] ")
    assert len(trigger.log_lines()) == 3


def test_a_retry_is_a_warning_once_for_each_reason(triggers: Triggers, standin: Standin) -> None:
    standin.rule("/hook/*", reply={"status": 503, "body": "busy"}, times=3)
    trigger = triggers.create({"initial_backoff": "10ms", "max_backoff": "10ms"})
    response = trigger.notify(body_bytes(hi({"http": HTTP}), f"127.0.0.1:{standin.port}"))
    assert response.json["results"] == {"http": True}
    assert response.json["deliveries"][0]["attempts"] == 4
    levels = [(level, "next attempt in" in text) for level, text in trigger.log_lines()]
    assert levels == [("WARN", True), ("INFO", False)]


def test_with_too_much_in_flight_nothing_is_sent_and_the_response_has_retry_after(
    standin: Standin, tmp_path: Path
) -> None:
    standin.rule("/hook/*", delay_ms=300)
    # Entries of other tests use capacity too, so this test has a separate process.
    with ProcessEngine(tmp_path) as engine, ExitStack() as stack:
        trigger = Triggers(engine, stack).create({"max_in_flight": "1", "response_timeout": "0s"})
        body = body_bytes(hi({"http": HTTP}), f"127.0.0.1:{standin.port}")
        assert trigger.notify(body).json["results"] == {"http": "pending"}
        expected_error = trigger.notify(body.replace(b'"hi"', b'"ho"'))
        assert (expected_error.status, expected_error.header("retry-after")) == (503, "2")
        assert (expected_error.json["results"], expected_error.json["error"]["code"]) == ({}, "overloaded")
        trigger.wait_for_log("delivered in")
        assert len(standin.requests()) == 1

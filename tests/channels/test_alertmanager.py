"""Prometheus Alertmanager. ``tests/servers/test_alertmanager.py`` asks a real one the same."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.channels.channel import FIRING, NUMBERS, ChannelSpec, InvalidValue, Reply, RequestSender, delivered
from tests.harness import Standin

PATH = "/api/v2/alerts"
JSON = {"Content-Type": "application/json"}
CHANNEL = ChannelSpec(
    "alertmanager",
    destination=lambda base, _: {"alertmanager_url": base},
    path=PATH,
    plain=[
        {
            "labels": {"alertname": "InfluxDB 3", "notification": ...},
            "annotations": {"summary": "hi", "description": "hi"},
            "startsAt": ...,
            "endsAt": ...,
        }
    ],
    rich=[
        {
            "labels": {"alertname": "CPU of db1 above 95 %", "notification": ..., "severity": "critical"},
            "annotations": {
                "summary": "CPU of db1 above 95 %",
                "description": "cpu_usage is 97.3 %",
                "host": "db1",
                "limit": "95",
                "primary": "true",
            },
            "startsAt": "2026-11-25T02:41:58Z",
            "endsAt": ...,
            "generatorURL": FIRING["link"],
        }
    ],
    headers={"content-type": "application/json"},
    success=delivered(200),
    replies=[
        delivered(200),
        delivered(200, "{}"),
        Reply(200, "<!doctype html>", reason="rejected", hint="alertmanager_url must be the address"),
        Reply(400, '"start time must be before end time"', reason="rejected", detail="Alertmanager: start time must"),
        Reply(401, "Unauthorized", reason="unauthorized", hint="https://user:password@host"),
        Reply(404, "404 page not found", reason="unknown_destination", hint="without /api/v2"),
        Reply(422, {"code": 602, "message": "labels in body is required"}, reason="rejected", detail="labels in body"),
        Reply(503, "", reason="server_error"),
    ],
    invalid_values=[InvalidValue("alertmanager_url", "alertmanager:9093", "alertmanager_url has no scheme")],
    rejected_requests=[
        (JSON, b"{}", 422),
        (JSON, b"[{}]", 422),
        (JSON, b'[{"labels":{"a":1}}]', 422),
        (JSON, b'[{"labels":{"a":"b"},"startsAt":"now"}]', 422),
        (JSON, b'[{"labels":{"a":"b"},"generatorURL":"x"}]', 422),
        (JSON, b'[{"labels":{"a b":"c"}}]', 400),
        (JSON, b'[{"labels":{"a":""}}]', 400),
        (JSON, b'[{"labels":{"a":"b"},"startsAt":"2026-01-02T00:00:00Z","endsAt":"2026-01-01T00:00:00Z"}]', 400),
    ],
)


def send_all(
    request_sender: RequestSender, standin: Standin, *requests: dict[str, Any], **configuration: Any
) -> list[list[dict[str, Any]]]:
    """The alerts that arrive for each request."""
    number = next(NUMBERS)
    destination = (CHANNEL, {**CHANNEL.at(standin, number), **configuration})
    for request in requests:
        entry = request_sender.send([destination], **request).entry
        assert entry["outcome"] == "delivered", entry
    return [json.loads(request["body"]) for request in standin.requests(CHANNEL.path_of(number))]


def time_of(alert: dict[str, Any], name: str) -> datetime:
    return datetime.fromisoformat(alert[name])


def test_a_resolved_closes_the_alert_of_its_key_for_every_severity(
    request_sender: RequestSender, standin: Standin
) -> None:
    resolved = {**FIRING, "status": "resolved", "level": "ok", "title": "CPU is fine", "timestamp": None}
    [[firing], over] = send_all(
        request_sender, standin, FIRING | {"dedup_key": "cpu db1"}, resolved | {"dedup_key": "cpu db1"}
    )
    assert firing["labels"] == {"alertname": "cpu db1", "severity": "critical"}
    assert firing["labels"] in [alert["labels"] for alert in over]
    assert len(over) == 6
    now = datetime.now(UTC)
    assert timedelta(hours=23) < time_of(firing, "endsAt") - now <= timedelta(hours=24)
    for alert in over:
        assert alert["labels"]["alertname"] == "cpu db1"
        assert now - timedelta(seconds=30) < time_of(alert, "endsAt") <= now
        assert time_of(alert, "startsAt") <= time_of(alert, "endsAt")


STATE = """\
[settings]
state = "memory"

[receivers.am.alertmanager]
url = "URL"

[[routes]]
receivers = "am"
resolve_timeout = "1h"
"""
GROUPED = """\
group_by = ["fields.region"]
group_wait = "0s"
group_interval = "1s"
"""


def with_state(request_sender: RequestSender, url: str, path: Path, more: str = "") -> Callable[..., None]:
    """A sender of events under one key to a trigger with alert state."""
    path.write_text(STATE.replace("URL", url) + more, encoding="utf-8")
    trigger = request_sender.trigger({"config_file_path": str(path)})

    def send(status: str, level: str | None) -> None:
        event = {"notification_text": "x", "dedup_key": "a", "status": status, "level": level}
        response = trigger.notify({name: value for name, value in event.items() if value is not None}).json
        assert isinstance(response, dict)
        assert response["results"]["am"] in (True, "suppressed", "pending"), response

    return send


@pytest.mark.parametrize("more", ["", GROUPED])
def test_with_state_only_the_severity_that_was_sent_ends(
    more: str, request_sender: RequestSender, standin: Standin, tmp_path: Path
) -> None:
    number = next(NUMBERS)
    path = tmp_path / f"{number}.toml"
    send = with_state(request_sender, f"{standin.url}/at/{number}", path, more)

    def sent(count: int) -> list[tuple[str, bool]]:
        """The severities of the last message, and whether each fires."""
        requests = standin.wait_for(CHANNEL.path_of(number), count, timeout=10)
        alerts = json.loads(requests[-1]["body"])
        now = datetime.now(UTC)
        return [(alert["labels"].get("severity", ""), time_of(alert, "endsAt") > now) for alert in alerts]

    for count, (status, level, expected) in enumerate(
        [
            ("firing", None, [("", True)]),
            ("firing", "warning", [("warning", True), ("", False)]),
            ("firing", "critical", [("critical", True), ("warning", False)]),
            ("resolved", "ok", [("critical", False)]),
            ("firing", "info", [("info", True)]),
            ("resolved", None, [("info", False)]),
        ],
        start=1,
    ):
        send(status, level)
        assert sent(count) == expected, (status, level)


def test_labels_are_stable_and_without_a_key_each_notification_is_an_alert(
    request_sender: RequestSender, standin: Standin
) -> None:
    changed = FIRING | {"notification_text": "other", "timestamp": None, "fields": {"host": "db2"}, "title": "other"}
    [[first], [second]] = send_all(request_sender, standin, FIRING | {"dedup_key": "k"}, changed | {"dedup_key": "k"})
    assert first["labels"] == second["labels"]
    [[first], [second]] = send_all(request_sender, standin, {}, {})
    assert first["labels"] != second["labels"]
    now = datetime.now(UTC)
    assert time_of(first, "startsAt") <= now
    assert timedelta(minutes=59) < time_of(first, "endsAt") - now <= timedelta(hours=1)


def test_an_alert_without_a_dedup_key_cannot_be_closed_and_a_warning_says_so(
    request_sender: RequestSender, standin: Standin
) -> None:
    result = request_sender.send([(CHANNEL, CHANNEL.at(standin, next(NUMBERS)))], **{**FIRING, "status": "resolved"})
    assert (result.entry["reason"], result.entry["path"]) == ("missing_dedup_key", "dedup_key")


def test_a_retry_keeps_the_times_of_the_first_attempt(request_sender: RequestSender, standin: Standin) -> None:
    number = next(NUMBERS)
    standin.rule(CHANNEL.path_of(number), times=1, reply={"status": 503})
    limits = {"initial_backoff": "50ms", "response_timeout": "4s"}
    assert request_sender.send([(CHANNEL, CHANNEL.at(standin, number))], limits).entry["attempts"] == 2
    first, second = (request["body"] for request in standin.requests(CHANNEL.path_of(number)))
    assert first == second


def test_only_the_operator_can_add_labels(request_sender: RequestSender, standin: Standin, tmp_path: Any) -> None:
    def trigger(labels: str) -> dict[str, Any]:
        path = tmp_path / f"{next(NUMBERS)}.toml"
        url = f"{standin.url}/at/{next(NUMBERS)}"
        path.write_text(f'[receivers.am]\nalertmanager = {{ url = "{url}", labels = {labels} }}\n', encoding="utf-8")
        response = request_sender.trigger({"config_file_path": str(path)}).notify(
            {"notification_text": "hi", "receivers": ["am"]}
        )
        assert isinstance(response.json, dict)
        return response.json

    assert trigger('{ team = "db" }')["results"] == {"am": True}
    [message] = standin.messages()
    assert message["detail"][0]["labels"]["team"] == "db"
    for labels in ('{ severity = "x" }', '{ "a b" = "x" }'):
        assert "labels must have names" in json.dumps(trigger(labels))

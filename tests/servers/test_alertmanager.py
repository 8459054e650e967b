"""A real Alertmanager with a webhook at the stand-in."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.channels.channel import FIRING, RequestSender
from tests.channels.conftest import request_sender
from tests.channels.test_alertmanager import CHANNEL, with_state
from tests.harness import Standin, http_request
from tests.servers.conftest import Start, start_alertmanager

__all__ = ["request_sender"]

HOSTILE = '@everyone <b>h</b> "q" {{ .Labels }} größe 😀 \u0001 %zz'


@pytest.fixture
def alertmanager(start: Start, standin: Standin, tmp_path: Path) -> str:
    """The address of an Alertmanager that notifies the stand-in without delay."""
    return start_alertmanager(
        start,
        tmp_path,
        f"""
route:
  receiver: standin
  group_by: ["..."]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 4h
receivers:
  - name: standin
    webhook_configs:
      - url: {standin.url}/hook/alertmanager
        send_resolved: true
""",
    )


def active(url: str) -> list[dict[str, Any]]:
    """The Alertmanager's alerts."""
    return list(http_request("GET", f"{url}/api/v2/alerts").json)


def told(standin: Standin, count: int) -> list[dict[str, Any]]:
    """Wait for ``count`` alerts at the webhook, and return them."""
    requests = standin.wait_for("/hook/alertmanager", count, timeout=20)
    return [json.loads(request["body"]) for request in requests]


def send(request_sender: RequestSender, url: str, **request: Any) -> dict[str, Any]:
    """Send a notification, and check that it was delivered."""
    entry = request_sender.send([(CHANNEL, {"alertmanager_url": url})], **request).entry
    assert (entry["outcome"], entry["http_status"]) == ("delivered", 200), entry
    return entry


def test_a_firing_is_notified_once_and_its_resolved_ends_it(
    alertmanager: str, request_sender: RequestSender, standin: Standin
) -> None:
    for _ in range(2):
        send(request_sender, alertmanager, **FIRING, dedup_key="cpu db1")
    [alert] = active(alertmanager)
    assert alert["labels"] == {"alertname": "cpu db1", "severity": "critical"}
    assert alert["annotations"]["description"] == FIRING["notification_text"]
    assert alert["generatorURL"] == FIRING["link"]
    assert [heard["status"] for heard in told(standin, 1)] == ["firing"]
    send(request_sender, alertmanager, **{**FIRING, "status": "resolved", "level": "ok"}, dedup_key="cpu db1")
    heard = told(standin, 2)
    # Alertmanager does not report severities that never fired.
    assert [one["status"] for one in heard] == ["firing", "resolved"]
    assert [alert["labels"]["severity"] for one in heard for alert in one["alerts"]] == ["critical"] * 2
    assert active(alertmanager) == []


def test_with_state_a_rising_level_ends_the_lower_one(
    alertmanager: str, request_sender: RequestSender, standin: Standin, tmp_path: Path
) -> None:
    send = with_state(request_sender, alertmanager, tmp_path / "state.toml")
    for level in ("warning", "critical"):
        send("firing", level)
        assert [alert["labels"]["severity"] for alert in active(alertmanager)] == [level]
    send("resolved", "ok")
    assert active(alertmanager) == []
    heard = [(one["status"], one["commonLabels"]["severity"]) for one in told(standin, 4)]
    statuses, levels = ("firing", "resolved"), ("warning", "critical")
    assert sorted(heard) == sorted((status, level) for status in statuses for level in levels)


def test_plain_texts_are_alerts_of_their_own(
    alertmanager: str, request_sender: RequestSender, standin: Standin
) -> None:
    for text in ("one", "two"):
        send(request_sender, alertmanager, notification_text=text)
    assert sorted(alert["annotations"]["description"] for alert in active(alertmanager)) == ["one", "two"]
    texts = {alert["annotations"]["description"] for heard in told(standin, 2) for alert in heard["alerts"]}
    assert texts == {"one", "two"}


@pytest.mark.parametrize("timestamp", [None, "0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "9999-12-30T21:00:00Z"])
def test_any_notification_is_accepted(
    timestamp: str | None, alertmanager: str, request_sender: RequestSender, standin: Standin
) -> None:
    hostile = {
        "notification_text": HOSTILE,
        "title": HOSTILE,
        "fields": {HOSTILE: HOSTILE, "": "", "1": True, "summary": "x", "a b": 1, "a-b": 2},
        "link": f"https://evil.example/{HOSTILE}",
    }
    for status, key in (("firing", HOSTILE), ("resolved", HOSTILE), (None, None)):
        send(request_sender, alertmanager, **hostile, status=status, dedup_key=key, timestamp=timestamp, level="error")


def test_the_stand_in_refuses_with_the_real_servers_errors(alertmanager: str, request_sender: RequestSender) -> None:
    for path, reason in (("/x", "unknown_destination"), ("/api/v2", "unknown_destination")):
        entry = request_sender.send([(CHANNEL, {"alertmanager_url": alertmanager + path})]).entry
        assert (entry["outcome"], entry["reason"]) == ("failed", reason), entry


@pytest.mark.parametrize(("headers", "body", "status"), CHANNEL.rejected_requests)
def test_the_stand_in_is_as_strict_as_it(headers: dict[str, str], body: bytes, status: int, alertmanager: str) -> None:
    got = http_request("POST", f"{alertmanager}/api/v2/alerts", body=body, headers=headers)
    # Alertmanager also replies 400 to a syntax error.
    assert got.status in (status, 400), got.text


@pytest.mark.parametrize(
    ("bad", "status", "taken"),
    [
        ({"labels": {"a b": "c"}}, 400, ["x"]),
        ({"labels": {"a": "b"}, "annotations": {"a b": "c"}}, 400, ["x"]),
        ({"labels": {"a": "b"}, "generatorURL": "x"}, 422, []),
    ],
)
def test_valid_alerts_are_accepted_beside_an_invalid_one(
    bad: dict[str, Any], status: int, taken: list[str], alertmanager: str, standin: Standin
) -> None:
    body = json.dumps([{"labels": {"alertname": "x"}}, bad]).encode()
    for url in (alertmanager, f"{standin.url}/at/1"):
        headers = {"Content-Type": "application/json"}
        assert http_request("POST", f"{url}/api/v2/alerts", body=body, headers=headers).status == status
        assert [alert["labels"]["alertname"] for alert in active(url)] == taken
